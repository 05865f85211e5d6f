"""Tools of an ordinary user: in a user namespace with the ids that /etc/subuid and /etc/subgid grant him.

Every id is there what it is outside, so a configuration means the same; he himself keeps his own, with all capabilities
over the namespace. What is done there is bounded by it: no device nodes, no network devices of the host, and of cgroups
those that were delegated to him. Owns how a process gets there; idmaps.py has the maps.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import sys
from types import FrameType

from warden.errors import BadInput, KernelRefused
from warden.kernel.mounts import CLONE_NEWNS, unshare
from warden.kernel.syscalls import libc_call
from warden.lxc import idmaps
from warden.lxc.namespaces import have_nodes
from warden.model.system import IdRange

#: Tools that make something for which root's rights over other ids are needed.
_NAMES = "start execute create destroy copy clone snapshot restart autostart start-ephemeral"
TOOLS = frozenset(f"lxc-{name}" for name in _NAMES.split())
_CLONE_NEWUSER = 0x10000000
_PR_CAP_AMBIENT, _RAISE = 47, 2
_VERSION_3 = 0x20080522
_prctl = libc_call("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_capset = libc_call("capset", ctypes.c_char_p, ctypes.c_char_p)
_capget = libc_call("capget", ctypes.c_char_p, ctypes.c_char_p)
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def enter() -> None:
    """Comes back in the user namespace, in a child; the process itself waits for it and ends as it does. Nothing where the
    caller has rights over its namespace already. Raises NotSupported, BadInput, KernelRefused."""
    if os.geteuid() == 0 or not have_nodes():
        return
    ranges = (*(IdRange(r.kind, r.outside, r.outside, r.count) for r in idmaps.granted()), *_own())
    ready, go = os.pipe(), os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(go[1])
        _become(ready[1], go[0])
        return
    os.close(ready[1])
    os.close(go[0])
    said = os.read(ready[0], 16)
    if said != b"ok":
        raise KernelRefused("unshare", "a user namespace", int(said or b"1"), hint="sysctl user.max_user_namespaces")
    try:
        idmaps.write(child, ranges)
    except BaseException:
        os.close(go[1])
        os.waitpid(child, 0)
        raise
    os.write(go[1], b"g")
    _end_as(child)


def check_map(ranges: tuple[IdRange, ...]) -> None:
    """Raises BadInput for a container that an ordinary user cannot have: without ids of its own, or with others' ids."""
    if not ranges:
        hint = "its root is one of the ids that /etc/subuid grants you, such as: lxc.idmap = u 0 100000 65536, and with g"
        raise BadInput("lxc.idmap: an ordinary user's container needs a user namespace", hint=hint)
    for kind, path in (("u", "/proc/self/uid_map"), ("g", "/proc/self/gid_map")):
        with open(path, encoding="ascii") as file:
            known = [tuple(map(int, line.split())) for line in file]
        for item in (item for item in ranges if item.kind == kind):
            if not any(first <= item.outside and item.outside + item.count <= first + count for first, _, count in known):
                what = f"{kind} {item.inside} {item.outside} {item.count}"
                raise BadInput(f"lxc.idmap: {what}: these ids are not yours", hint=f"/etc/sub{kind}id has to grant them")


def state_directory() -> str:
    """Where his running containers have their things: others must be able to pass, their roots among them."""
    path = f"/tmp/warden-lxc-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o711)
        os.chmod(path, 0o711)
    status = os.lstat(path)
    if status.st_uid != os.getuid() or status.st_mode & 0o170022 != 0o040000:
        raise BadInput(f"{path} is somebody else's", hint="WARDEN_LXC_STATE names another directory")
    return path


def _own() -> tuple[IdRange, ...]:
    return IdRange("u", os.getuid(), os.getuid(), 1), IdRange("g", os.getgid(), os.getgid(), 1)


def _become(ready: int, go: int) -> None:
    try:
        unshare(_CLONE_NEWUSER | CLONE_NEWNS)  # the host's mount namespace, to which a launcher goes back, is not his
    except OSError as error:
        os.write(ready, str(error.errno).encode())
        os._exit(1)
    os.write(ready, b"ok")
    os.close(ready)
    if os.read(go, 1) != b"g":
        os._exit(1)
    os.close(go)
    _keep_capabilities()


def _keep_capabilities() -> None:
    """Over exec too: who is not root loses them there, but for the ambient ones (capabilities(7), since 4.3)."""
    header, data = struct.pack("=Ii", _VERSION_3, 0), ctypes.create_string_buffer(24)
    _capget(header, data)
    low = struct.unpack("=6I", data.raw)
    permitted = low[1] | low[4] << 32
    halves = (permitted & 0xFFFFFFFF, permitted >> 32)
    _capset(header, struct.pack("=6I", *(halves[0],) * 3, *(halves[1],) * 3))
    for number in range(permitted.bit_length()):
        if permitted >> number & 1:
            _prctl(_PR_CAP_AMBIENT, _RAISE, number, 0, 0)


def _end_as(child: int) -> None:
    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)
