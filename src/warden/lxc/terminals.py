"""The terminals of a container: pseudo terminals of a devpts of their own, whose other sides lie on /dev/console and
/dev/ttyN. Root of the container can remount what it has of a devpts, and so may have nothing of the host's.

Owns how they are made, and a client's way to one of them through the monitor's socket (docs/plan-format.md).
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct

from warden.errors import BadInput, KernelRefused, WrongState
from warden.kernel import quickmounts, sockets
from warden.light import TYPE_CHECKING, suppress
from warden.lxc.settings import LxcConfig
from warden.model.system import System
from warden.plan.container import Bind
from warden.process.launch import SOCKET_NAME, receive
from warden.records import dataclass
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 50  # descriptors that the monitor can be given, less a few
ANY = 2**32 - 1
_NUMBER = struct.Struct("<I")
_TTY_GROUP = 5
_PAGE, _AUTO = 4096, 128 << 10
_ROUNDS = 200  # of reading: who says much may fill it each time
_MS_NOSUID, _MS_NOEXEC = 2, 8
_PTS = "pts"  # in the container's directory
_TIOCSPTLCK, _TIOCGPTPEER, _TIOCGPTN = 0x40045431, 0x5441, 0x80045430  # asm-generic/ioctls.h
_BUFFER = "console-"  # in the container's directory, with the size after it


@dataclass(frozen=True, slots=True)
class Terminals:
    """*masters*: the console's, or /dev/null, then those of the ttys. *console*: the descriptor that is the first
    process's standard streams, None for none. *log*: what keeps the console's output, *buffer*: what keeps the last of it;
    *bounds*: of both the path that a full one is renamed at and its size, as Monitor has them. *path*: of the console."""

    masters: tuple[int, ...]
    console: int | None
    log: int
    buffer: int
    bounds: tuple[tuple[str, int], tuple[str, int]]
    binds: tuple[Bind, ...]
    path: str = ""


def needed(config: LxcConfig) -> bool:
    """Whether some are made: `mounted` has to be called before."""
    return bool(config.tty_max) or (
        config.console_path != "none" and not (config.console_path and _is_terminal(config.console_path))
    )


def mounted(directory: str, undo: Undo, *, private: bool) -> None:
    """Their devpts; *private*: in a mount namespace that is made for it. Raises KernelRefused."""
    path = f"{directory}/{_PTS}"
    try:
        os.mkdir(path, 0o700)
        if private:
            quickmounts.private()
        quickmounts.mount("devpts", path, _MS_NOSUID | _MS_NOEXEC, "newinstance,ptmxmode=0600")
    except OSError as error:
        raise KernelRefused("mount devpts", path, error.errno or 0) from error
    undo.add("devpts", _unmounted, path)


def _unmounted(path: str) -> None:
    with suppress(OSError):  # of the namespace that is left by now
        quickmounts.unmount(path)


def make(config: LxcConfig, system: System, undo: Undo, directory: str) -> Terminals:
    """*directory*: the container's, for the buffer and the devpts. Descriptors are closed by *undo*. Raises BadInput for a
    path that cannot be the console or the log."""
    if config.tty_max > MOST:
        raise BadInput(f"lxc.tty.max: {config.tty_max}: at most {MOST}")
    given = "" if config.console_path == "none" else config.console_path
    is_file = bool(given) and not _is_terminal(given)
    if is_file and config.console_logfile:
        raise BadInput("lxc.console.path: is a file, and there is a lxc.console.logfile", hint="give one of them")
    log = _open(given if is_file else config.console_logfile or "/dev/null", undo)
    bound = _bound(config, log)
    size = _power(config.console_buffer_size) if config.console_path != "none" else 0
    kept = f"{directory}/{_BUFFER}{size}" if size else "/dev/null"
    buffer = _open(kept, undo)
    masters, console, path = [_open("/dev/null", undo)], None, ""
    binds: list[Bind] = []
    if given and not is_file:
        console, path = _open(given, undo), given
        os.set_blocking(console, True)  # its programs' standard stream
    elif config.console_path != "none":
        masters[0], console, path = _pair(system, undo, directory)
        os.set_blocking(masters[0], False)
    if path:
        binds += _binds(config, path, "console")
    for number in range(1, config.tty_max + 1):
        master, _, other = _pair(system, undo, directory)
        masters.append(master)
        binds += _binds(config, other, f"tty{number}")
    bounds = (bound, (kept, size) if size else ("", 0))
    return Terminals(tuple(masters), console, log, buffer, bounds, tuple(binds), path)


def _bound(config: LxcConfig, log: int) -> tuple[str, int]:
    """Of lxc.console.logfile. Raises BadInput."""
    if not config.console_logfile or not config.console_size:
        return "", 0
    if not stat.S_ISREG(os.fstat(log).st_mode):
        raise BadInput(f"lxc.console.size: {config.console_logfile} is not a regular file", hint="give no size for it")
    return (config.console_logfile if config.console_rotate else ""), _power(config.console_size)


def _power(size: int) -> int:
    """As LXC has it: at least a page, and the next power of two; 128 KiB for `auto`. 0 stays."""
    return _AUTO if size < 0 else 1 << (max(size, _PAGE) - 1).bit_length() if size else 0


def buffered(directory: str) -> bytes:
    """The last of what a running container's console said. Raises WrongState when nothing keeps it."""
    names = [name.removesuffix(".1") for name in os.listdir(directory) if name.startswith(_BUFFER)]
    if not names:
        raise WrongState("nothing keeps what its console says", hint="lxc.console.buffer.size = auto, and a new start")
    path, data = f"{directory}/{names[0]}", b""
    for _ in range(_ROUNDS):
        data, before = b"", _number(path)
        for part in (f"{path}.1", path):
            with suppress(FileNotFoundError), open(part, "rb") as file:
                data += file.read()
        if before and _number(path) == before:  # else it was full meanwhile
            break
    return data[-int(names[0].removeprefix(_BUFFER)) :]


def _number(path: str) -> int:
    """Of the inode; 0 for a file that is not there, as one is for a moment when it is full."""
    with suppress(FileNotFoundError):
        return os.stat(path).st_ino
    return 0


def _binds(config: LxcConfig, path: str, name: str) -> Iterator[Bind]:
    """Without a root file system of its own the host's stay as they are. With lxc.tty.dir they are there as well."""
    folders = ("/dev", f"/dev/{config.tty_dir}") if config.tty_dir else ("/dev",)
    for folder in folders if config.rootfs_path else ():
        yield Bind(path, f"{folder}/{name}", read_only=False, is_directory=False)


def _is_terminal(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.isatty(fd)
    finally:
        os.close(fd)


def _open(path: str, undo: Undo) -> int:
    try:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
        flags = flags if not path.startswith("/dev/") else os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        fd = os.open(path, flags | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise BadInput(f"console: {path}: {error.strerror}") from error
    undo.add(path, os.close, fd)
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):  # its monitor would wait for a reader
        raise BadInput(f"console: {path}: is neither a regular file nor a terminal")
    return fd


def _pair(system: System, undo: Undo, directory: str) -> tuple[int, int, str]:
    """Both sides, and the other's path: it belongs to the container's root and the group tty, as login(1) leaves it."""
    path, flags = f"{directory}/{_PTS}/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    try:
        master = os.open(path, flags)
        undo.add("terminal", os.close, master)
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        other = fcntl.ioctl(master, _TIOCGPTPEER, flags)
        undo.add("terminal", os.close, other)
    except OSError as error:
        raise KernelRefused("open", path, error.errno or 0) from error
    group = system.outside(_TTY_GROUP, "g") if system.maps(_TTY_GROUP, "g") else system.outside(0, "g")
    os.fchown(other, system.outside(0), group)
    os.fchmod(other, 0o620)
    (number,) = _NUMBER.unpack(fcntl.ioctl(master, _TIOCGPTN, bytes(_NUMBER.size)))
    return master, other, f"{directory}/{_PTS}/{number}"


def connect(directory: str, number: int) -> tuple[sockets.socket, int, int]:
    """A terminal of a running container for as long as the socket is open: that, the master, and its number. What is
    said on the console, 0, comes through the socket, and what is typed goes in by it. Raises WrongState."""
    sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    folder = -1
    try:
        folder = os.open(f"{directory}/run", os.O_PATH | os.O_DIRECTORY)
        sock.connect(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
        sock.send(_NUMBER.pack(number))
        data, descriptors = receive(sock, 4096, 1)
    except OSError as error:
        sock.close()
        raise WrongState(f"its monitor does not answer: {error.strerror}") from error
    finally:
        if folder >= 0:
            os.close(folder)
    if not descriptors:
        sock.close()
        raise WrongState("Denied access to tty", hint="there is none of that number, or somebody else has it")
    return sock, descriptors[0], _NUMBER.unpack(data[:4])[0]
