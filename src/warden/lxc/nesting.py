"""Containers in a container, as the host sees them. What it reads lies in the container and may be hostile.

Every path is opened below the container's root by descriptor, nothing but a regular file is read, none is long, and of
a configuration only plain lines count: what it includes is never followed. A process of an inner container is believed
in only when the kernel says that its pid namespace is a child of the outer one's.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time

from warden.errors import WardenError, WrongState
from warden.kernel.paths import open_in_root
from warden.light import TYPE_CHECKING, NamedTuple, signal, suppress
from warden.lxc import place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

_LXCPATH, _CONF = "/var/lib/lxc", "/etc/lxc/lxc.conf"
_MOST, _MOST_NAMES = 1 << 16, 1000
_PATIENCE_S = 5
_NS_GET_PARENT = 0xB702  # ioctl_ns(2), since 4.9


class Inner(NamedTuple):
    """One container in another. *pid*: of its first process, for the host; 0 for one that is not known. *settings*: lines
    of its own configuration, the last of each key."""

    name: str
    state: str
    pid: int
    settings: dict[str, str]


def inside(pid: int) -> list[Inner]:
    """Those of the container whose first process is *pid*, by name. Raises WrongState when it does not let itself be read:
    a file system of its own (FUSE) answers when it likes, and a request that it has taken waits for ever, killed or not
    (request_wait_answer() of fs/fuse/dev.c). So another process reads, and nobody waits for that one's end."""
    mine, other = os.pipe()
    child = os.fork()
    if not child:
        _read_for(other, pid)
    os.close(other)
    os.waitpid(child, 0)
    try:
        found = json.loads(_received(mine, pid))
    finally:
        os.close(mine)
    return [Inner(*fields) for fields in found]


def _read_for(other: int, pid: int) -> NoReturn:
    """In a child, whose own child is the machine's to wait for; it ends by itself where it can."""
    try:
        if not os.fork():
            signal.alarm(_PATIENCE_S)
            os.closerange(0, other)
            os.closerange(other + 1, 1 << 16)
            with open(other, "w", encoding="ascii") as file:
                file.write(json.dumps([list(item) for item in _found(pid)]))
    finally:
        os._exit(0)


def _received(mine: int, pid: int) -> bytes:
    """Until the other side is closed. Raises WrongState."""
    import select

    ready, data, end = select.poll(), b"", time.monotonic() + _PATIENCE_S
    ready.register(mine, select.POLLIN)
    while ready.poll(max(0.0, end - time.monotonic()) * 1000):
        more = os.read(mine, 1 << 16)
        if not more:
            break
        data += more
    if not data.endswith(b"]"):
        hint = "it has a file system of its own that does not answer: leave --nesting out"
        raise WrongState(f"the container of process {pid} cannot be looked into: no answer in {_PATIENCE_S} s", hint=hint)
    return data


def _found(pid: int) -> list[Inner]:
    root = -1
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        lxcpath = _lxcpath(root)
        known = {str(item.get("name")): item for item in _running(root)}
        sockets = _sockets(pid)
        return [_inner(root, pid, (lxcpath, name), known.get(name, {}), sockets) for name in _names(root, lxcpath)]
    except OSError:
        return []
    finally:
        if root >= 0:
            os.close(root)


def _inner(root: int, pid: int, where: tuple[str, str], found: dict[str, Any], sockets: set[bytes]) -> Inner:
    lxcpath, name = where
    alive = place.command_socket_name(lxcpath, name).replace(b"\0", b"@") in sockets
    state = ("FROZEN" if found.get("word") == "FROZEN" else "RUNNING") if alive else "STOPPED"
    number = found.get("pid")
    first = _first_process(pid, number) if alive and isinstance(number, int) else 0
    return Inner(name, state, first, _settings(_text(root, f"{lxcpath}/{name}/config")))


def _lxcpath(root: int) -> str:
    found = _settings(_text(root, _CONF)).get("lxc.lxcpath", "").rstrip("/")
    return found if found.startswith("/") else _LXCPATH


def _names(root: int, lxcpath: str) -> list[str]:
    """Of those with a configuration."""
    found = []
    for name in _listed(root, lxcpath):
        with suppress(OSError, WardenError):
            os.close(open_in_root(root, f"{lxcpath}/{name}/config", os.O_PATH | os.O_CLOEXEC))
            found.append(name)
    return found


def _listed(root: int, path: str) -> list[str]:
    with suppress(OSError, WardenError):
        fd = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with os.scandir(fd) as entries:
                return sorted(entry.name for entry, _ in zip(entries, range(_MOST_NAMES), strict=False))
        finally:
            os.close(fd)
    return []


def _text(root: int, path: str) -> str:
    """ "" for what is no file, or not to be read."""
    with suppress(OSError, WardenError):
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return os.read(fd, _MOST).decode(errors="replace")
        finally:
            os.close(fd)
    return ""


def _settings(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _running(root: int) -> Iterator[dict[str, Any]]:
    """What our own tools wrote down there."""
    state = place.Site().state
    for identity in _listed(root, state):
        with suppress(ValueError, RecursionError):  # json's, of a thousand brackets
            data = json.loads(_text(root, f"{state}/{identity}/container.json"))
            if isinstance(data, dict):
                words = _text(root, f"{state}/{identity}/journal").split()
                yield {**data, "word": words[-1] if words else ""}


def _sockets(pid: int) -> set[bytes]:
    """Paths of the sockets in its network: an abstract one begins with @."""
    with suppress(OSError), open(f"/proc/{pid}/net/unix", "rb") as file:
        return {line.split(maxsplit=7)[-1].rstrip(b"\n") for line in file}
    return set()


def _first_process(outer: int, number: int) -> int:
    """The host's number of the process that is *number* in the pid namespace of *outer*, and 1 in one below; 0: none."""
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError, IndexError):
            numbers = _numbers(int(name))
            if numbers[-1] == 1 and numbers[-2] == number and _is_child(int(name), outer):
                return int(name)
    return 0


def _numbers(pid: int) -> list[int]:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return [int(word) for word in line.split()[1:]]
    return []


def _is_child(pid: int, outer: int) -> bool:
    own = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        parent = fcntl.ioctl(own, _NS_GET_PARENT)
    finally:
        os.close(own)
    try:
        return os.fstat(parent).st_ino == os.stat(f"/proc/{outer}/ns/pid").st_ino
    finally:
        os.close(parent)
