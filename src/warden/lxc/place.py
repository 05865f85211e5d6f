"""Where running containers of LXC's tools have their things on the host, and what marks one as running.

Owns STATE/ID (its directory while it runs, locked by the process that runs it), the abstract socket name by which LXC's
own tools know that a container is taken, and the sweep of what a killed process left.
"""

from __future__ import annotations

import errno
import fcntl
import os

from warden.depot import systems
from warden.errors import WardenError, WrongState
from warden.light import TYPE_CHECKING, MappingProxyType, NamedTuple, contextmanager, signal, suppress
from warden.plainjson import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from warden.kernel import sockets

LENT = ".lent"  # beside the containers: what lending.py writes
TUNNEL = "tunnel.json"  # in its directory: which directory of the host it shares
OUTSIDE = "outside.json"  # in its directory: what it changed on links of the host
LOCKS = ".locks"  # a file for each container's directory that was ever worked on, by device and inode
STARTS = ".starting"  # locked by those who start one
TURN = ".ending"  # locked by who removes what is above the containers' cgroups
_SUN_PATH = 107  # what fits beside the first NUL, unix(7)
_EXIT_MS = 5000
_NONE: Mapping[str, Any] = MappingProxyType({})


class Site(NamedTuple):
    """*state*: directory of the running ones, which root of a container must be able to pass; *parent*: of their cgroups.
    The environment can move both."""

    state: str = systems.USUAL
    parent: str = systems.USUAL_PARENT

    @classmethod
    def from_environment(cls) -> Site:
        state = systems.state_directory()
        if os.geteuid() and "WARDEN_LXC_STATE" not in os.environ:
            from warden.lxc.ordinary import state_directory  # an ordinary user's own

            state = state_directory()
        return cls(state, systems.cgroup_parent())


class Running(NamedTuple):
    """What is known of a running container. *pid*: of its first process, as the host sees it, 0 while it has none;
    *monitor*: of the process that watches it; *asked*: the command line that it was started with, as Given has it;
    *tasks*: what its end has to do beside the usual. *groups*: directory of its cgroup by v1's controller, "" the one
    of v2; *made*: those to be removed. *signals*: what asks its first process to halt, to
    reboot, and ends it; 0: the usual one. *rootfs*: its root, as its configuration has it."""

    container_id: str
    name: str
    lxcpath: str
    pid: int
    monitor: int = 0
    asked: Mapping[str, Any] = _NONE
    tasks: tuple[str, ...] = ()
    groups: Mapping[str, str] = _NONE
    signals: tuple[int, int, int] = (0, 0, 0)
    made: tuple[str, ...] = ()
    rootfs: str = ""


def lock_directory() -> str:
    """Of the locks of containers' directories, made when it is not there; its owner's alone."""
    state = Site.from_environment().state
    path = f"{state}/{LOCKS}"
    if not os.path.isdir(path):
        make_state(state)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
    return path


def make_state(state: str) -> None:
    """Whatever the umask, from its first moment on nobody else's."""
    with suppress(FileExistsError):
        os.makedirs(os.path.dirname(state), exist_ok=True)
        _mkdir(state, 0o711)


def own(path: str, flags: int) -> int:
    """open()'s opener for what is written below a state directory: by umask 0 it would be anybody's to write."""
    return os.open(path, flags, 0o600)


def command_socket_name(lxcpath: str, name: str) -> bytes:
    """The abstract name of a container's command socket, as LXC makes it: hashed where it is too long."""
    plain = f"{lxcpath}/{name}/command"
    if len(os.fsencode(plain)) > _SUN_PATH:
        plain = f"lxc/{_fnv1a_64(os.fsencode(f'{lxcpath}/{name}')):016x}/command"
    return b"\0" + os.fsencode(plain)


def _fnv1a_64(data: bytes) -> int:
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return found


def claim(lxcpath: str, name: str) -> sockets.socket:
    """Marks the container as taken until the socket is closed, for LXC's own tools too. Raises WrongState."""
    from warden.kernel import sockets

    claimed = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        claimed.bind(command_socket_name(lxcpath, name))
    except OSError as error:
        claimed.close()
        raise WrongState(f"container {name}: is running already", hint=f"below {lxcpath}") from error
    return claimed


def make_directory(site: Site, container_id: str) -> tuple[str, int]:
    """STATE/ID with what a container needs, and the descriptor that locks it."""
    path = f"{site.state}/{container_id}"
    make_state(site.state)
    while True:
        _mkdir(path, 0o711)
        lock = os.open(f"{path}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            break
        os.close(lock)  # a sweep had it first, took it for one that was left, and has removed it
    for name, mode in (("mnt", 0o711), ("mnt/root", 0o755), ("run", 0o700)):
        _mkdir(f"{path}/{name}", mode)
    return path, lock


def _mkdir(path: str, mode: int) -> None:
    """Whatever the umask: a container's root passes here."""
    os.mkdir(path, mode)
    os.chmod(path, mode)


def _turn(site: Site, name: str) -> int:
    """A file that only its owner can open: a lock on the directory would be anybody's who may read that."""
    return os.open(f"{site.state}/{name}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


@contextmanager
def starting(site: Site) -> Iterator[None]:
    """From when the groups above a container's are there until it lives in them: no end of another removes them."""
    fd = _turn(site, STARTS)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


@contextmanager
def ending(site: Site) -> Iterator[bool]:
    """One at a time, so that the last sees that it is the last. Whether nobody starts a container: if one does, what is
    above is its own end's to remove."""
    turn, state = _turn(site, TURN), _turn(site, STARTS)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(state)
        os.close(turn)


def remember(site: Site, running: Running) -> None:
    """For tools that look for it by name."""
    data = {**running._asdict(), "asked": dict(running.asked), "groups": dict(running.groups)}
    write_down(f"{site.state}/{running.container_id}/container.json", data)


def write_down(path: str, data: object) -> None:
    """As JSON, whole or not at all, whenever this process is killed."""
    with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape", opener=own) as file:
        file.write(dumps(data))
    os.replace(f"{path}.new", path)


def running(site: Site) -> Iterator[Running]:
    """All that have a first process, or had one until they were killed."""
    return (item for item in present(site) if item.pid)


def present(site: Site) -> Iterator[Running]:
    """Those too that are being started."""
    for container_id in systems.entries(site.state):
        with suppress(OSError, ValueError, TypeError):
            yield recalled(f"{site.state}/{container_id}")


def recalled(directory: str) -> Running:
    """What `remember` wrote. Raises OSError, ValueError, TypeError."""
    data = systems.recalled(directory)
    return Running(**{**data, **{name: tuple(data.get(name, ())) for name in ("tasks", "signals", "made")}})


def find(site: Site, lxcpath: str, name: str) -> Running:
    """Raises WrongState when no such container runs. The pid of one whose starter was killed may be another's by now."""
    for item in running(site):
        if (item.name, item.lxcpath) == (name, lxcpath) and systems.is_held(f"{site.state}/{item.container_id}"):
            return item
    raise WrongState(f"container {name}: is not running", hint=f"below {lxcpath}")


def sweep(site: Site) -> None:
    """Ends and removes what a tool that was killed has left; whoever holds a lock is at work and left alone."""
    for container_id in systems.entries(site.state):
        path = f"{site.state}/{container_id}"
        try:
            lock = os.open(f"{path}/lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # just being made, or removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            end_left(path)
            undo_outside(path)
            remove_cgroups(site, container_id)
            remove_directory(path)
        except (OSError, ValueError, WardenError):
            continue
        finally:
            os.close(lock)


def end_left(path: str) -> None:
    """Kills the PID 1 that serves in a directory, if one does: the pidfd comes from itself."""
    from warden.kernel import sockets
    from warden.process.packets import PING, connect_socket, descriptors_of, packed_request

    try:
        sock = connect_socket(f"{path}/run")
    except OSError:
        return
    with sock:
        sock.settimeout(_EXIT_MS / 1000)
        sock.sendall(packed_request(PING)[0])
        _, ancillary, _, _ = sock.recvmsg(65536, sockets.CMSG_SPACE(32), sockets.MSG_CMSG_CLOEXEC)
        for pidfd in descriptors_of(ancillary):
            end(pidfd)


def undo_outside(path: str) -> None:
    """What a container changed on the host that does not go with it. Raises KernelRefused."""
    if os.path.exists(f"{path}/{OUTSIDE}"):
        from warden.lxc.connecting import undo_outside

        undo_outside(path)
    if os.path.exists(f"{path}/{TUNNEL}"):
        from warden.lxc.tunnel import closed

        closed(path)


def end(pidfd: int) -> None:
    """Kills a PID 1 and with it all its namespace, waits with a bound until it is gone, closes the descriptor."""
    import select

    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    gone = select.poll()
    gone.register(pidfd, select.POLLIN)
    gone.poll(_EXIT_MS)
    os.close(pidfd)


def remove_directory(path: str) -> None:
    """What a container has there, after its end. Raises KernelRefused."""
    try:
        _remove_plain(path)
    except OSError:
        from warden.kernel.paths import remove_tree  # whatever it is, and with ctypes

        remove_tree(path)


def _remove_plain(path: str) -> None:
    """A directory is entered only after rmdir(2) said ENOTEMPTY: of one that something is mounted on it says EBUSY."""
    try:
        os.rmdir(path)
        return
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
    for name in os.listdir(path):
        try:
            os.unlink(f"{path}/{name}")
        except IsADirectoryError:
            _remove_plain(f"{path}/{name}")
    os.rmdir(path)


def remove_cgroups(site: Site, container_id: str, *, leave: bool = False) -> None:
    """The container's, and the parent where it is the last; *leave*: this process lives there itself."""
    from warden.cgroup.driver import Manager  # who only looks for containers needs none

    manager = Manager(site.parent)
    group = manager.container(container_id)
    group.kill()
    for job in group.existing_jobs():
        group.job(job).remove()
    group.remove()
    with ending(site) as alone:
        if leave:
            manager.leave()
        if alone:
            manager.remove_parent_if_empty()
