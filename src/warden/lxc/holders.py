"""Who has the abstract name that marks a container as taken (place.py). Anybody may bind any such name, unix(7): a
stranger's is neither believed nor waited for, but it cannot be taken from him, so whoever needs it is told who he is.
"""

from __future__ import annotations

import os
import socket
import struct

from warden.errors import WrongState
from warden.light import TYPE_CHECKING, suppress
from warden.lxc.place import command_socket_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_UCRED = struct.Struct("3i")  # unix(7): of who called listen(2)


def is_answered(lxcpath: str, name: str) -> bool:
    """Whether LXC's own monitor is behind the name: ours mark it, and never listen there. It is never waited for:
    connect(2) to a socket whose queue is full would not return."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(command_socket_name(lxcpath, name))
            _, user, _ = _UCRED.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        except BlockingIOError:
            return not _stranger(lxcpath, name)
        except OSError:
            return False
    return _is_known(user)


def refuse_stranger(lxcpath: str, name: str) -> None:
    """Raises WrongState, saying who has the name, when that is another user's process."""
    if whose := _stranger(lxcpath, name):
        hint = f"by @{lxcpath}/{name}/command LXC's tools know that a container runs: end that process"
        raise WrongState(f"{name}: its name is held by {whose}", hint=hint)


def refuse_holder(lxcpath: str, name: str) -> None:
    """As that, for a name of which nobody runs the container, nor works on it. Raises WrongState, whoever it is."""
    refuse_stranger(lxcpath, name)
    hint = f"ss -xap shows who has @{lxcpath}/{name}/command"
    raise WrongState(f"{name}: its name is held, but nobody runs it", hint=hint)


def _is_known(user: int) -> bool:
    return user in (0, os.geteuid())


def _stranger(lxcpath: str, name: str) -> str:
    """ "" when one of ours or of root's has it too, or nobody can be seen."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(command_socket_name(lxcpath, name).replace(b"\0", b"@"))}
    found = ""
    for pid in os.listdir("/proc") if wanted else ():
        if pid.isdecimal() and _holds(pid, wanted):
            with suppress(OSError):
                user = os.stat(f"/proc/{pid}").st_uid
                if _is_known(user):
                    return ""
                found = f"process {pid} of user {user}"
    return found


def _holds(pid: str, wanted: set[str]) -> bool:
    with suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in wanted:
                    return True
    return False


def _inodes(shown: bytes) -> Iterator[str]:
    """Of the sockets of that name in our network namespace, which proc(5) has in the seventh column."""
    with suppress(OSError), open("/proc/self/net/unix", "rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(maxsplit=7)
            if len(fields) == 8 and fields[7] == shown:
                yield fields[6].decode()
