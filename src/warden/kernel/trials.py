"""Trying kernel features for real, in forked children that a time limit ends.

Owns the children and what they try: namespaces, overlay, id-mapped mounts, links, queueing disciplines, nftables.
Everything a child makes lives in namespaces or detached mounts that vanish with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping

from warden.kernel import mounts
from warden.kernel.syscalls import libc_call
from warden.records import dataclass

_prctl = libc_call("prctl", ctypes.c_int, ctypes.c_ulong)
_PR_SET_PDEATHSIG = 1
_REAP_S = 0.2  # how long a killed child may take to be gone

Trial = Callable[[], str]

NAMESPACES = {
    "mnt": mounts.CLONE_NEWNS,
    "uts": mounts.CLONE_NEWUTS,
    "ipc": mounts.CLONE_NEWIPC,
    "pid": mounts.CLONE_NEWPID,
    "net": mounts.CLONE_NEWNET,
    "cgroup": mounts.CLONE_NEWCGROUP,
    "time": mounts.CLONE_NEWTIME,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended: *ok* None when it could not be told. *detail* is what was seen, or the error."""

    ok: bool | None
    detail: str = ""


@dataclass(slots=True)
class _Child:
    name: str
    pid: int
    fd: int
    text: bytes = b""


def run_trials(trials: Mapping[str, Trial], limit_s: float) -> dict[str, Outcome]:
    """Run all *trials* at once, each in a child of its own, for *limit_s* seconds together.

    A trial returns what it saw, or raises. Who is not done in time is killed.
    """
    children: list[_Child] = []
    outcomes: dict[str, Outcome] = {}
    try:
        for name, trial in trials.items():
            try:
                children.append(_start(name, trial))
            except OSError as error:
                outcomes[name] = Outcome(None, f"not tried: {error.strerror}")
        _collect(children, time.monotonic() + limit_s)
    finally:
        for child in children:
            _end(child)
    return outcomes | {child.name: _outcome(child.text) for child in children}


def _start(name: str, trial: Trial) -> _Child:
    read_end, write_end = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            _run_in_child(trial, write_end)
    except OSError:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    return _Child(name, pid, read_end)


def _run_in_child(trial: Trial, fd: int) -> None:
    """Never returns; the answer is one byte and a text."""
    answer = b"?the child ended early"
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        answer = b"+" + os.fsencode(trial())
    except OSError as error:
        answer = b"-" + os.fsencode(error.strerror or str(error))
    except BaseException as error:
        answer = b"?" + os.fsencode(repr(error))
    finally:
        os.write(fd, answer[: select.PIPE_BUF])
        os._exit(0)


def _collect(children: list[_Child], deadline: float) -> None:
    """Read every answer to its end of file, or until *deadline*."""
    waiting = {child.fd: child for child in children}
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for fd, _event in poll.poll(left * 1000):
            part = os.read(fd, select.PIPE_BUF)
            waiting[fd].text += part
            if not part:
                poll.unregister(fd)
                del waiting[fd]


def _end(child: _Child) -> None:
    """Kill and reap; a child stuck in the kernel is left to it, for that must not hang us."""
    os.close(child.fd)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + _REAP_S
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(child.pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)


def _outcome(text: bytes) -> Outcome:
    detail = os.fsdecode(text[1:])
    if not text:
        return Outcome(None, "gave no answer in time")
    return Outcome({b"+": True, b"-": False}.get(text[:1]), detail)


def namespace(flag: int) -> str:
    mounts.unshare(flag)
    return ""


def user_namespace() -> str:
    """A user namespace in which one can do something: a restriction may give one without capabilities."""
    uid, gid = os.geteuid(), os.getegid()
    mounts.unshare(mounts.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    mounts.unshare(mounts.CLONE_NEWUTS)
    socket.sethostname("probe")
    return ""


def overlay(directory: str) -> str:
    """An overlay with its upper directory in *directory*, which is empty and writable."""
    mounts.unshare(mounts.CLONE_NEWNS)
    mounts.mount("none", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    os.chdir(directory)  # option strings know no quoting; relative names need none
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(name)
    mounts.mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work")
    os.close(os.open("merged/file", os.O_CREAT | os.O_WRONLY))
    if not os.path.exists("upper/file"):
        raise OSError(errno.EIO, "what was written did not reach the upper directory")
    return ""


def idmapped_mount(directory: str) -> str:
    """A detached clone of the mount at *directory*, id-mapped to a throw-away user namespace."""
    with _other_user_namespace() as userns_fd:
        tree_fd = mounts.open_tree(directory, mounts.OPEN_TREE_CLONE)
        mounts.mount_setattr(tree_fd, mounts.MOUNT_ATTR_IDMAP, userns_fd=userns_fd)
        if os.fstat(tree_fd).st_uid != os.stat(directory).st_uid + 100_000:
            raise OSError(errno.EIO, "the owner was not mapped")
    return ""


@contextlib.contextmanager
def _other_user_namespace() -> Iterator[int]:
    """A user namespace that maps 0 to 100000, held by a child that ends when we do."""
    ready, tell = os.pipe()
    hold, release = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(release)
        try:
            mounts.unshare(mounts.CLONE_NEWUSER)
            os.write(tell, b"+")
            os.read(hold, 1)
        finally:
            os._exit(0)
    os.close(tell)
    try:
        if os.read(ready, 1) != b"+":
            raise OSError(errno.EPERM, "no user namespace")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
                file.write("0 100000 65536")
        yield os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    finally:
        os.close(release)
        os.waitpid(pid, 0)


_RTM_NEWLINK, _RTM_NEWQDISC = 16, 36
_CREATE = 0x1 | 0x4 | 0x200 | 0x400  # NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE
_IFLA_LINKINFO, _IFLA_INFO_KIND, _TCA_KIND = 18, 1, 1


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def _rtnetlink(kind: int, payload: bytes) -> int:
    """Send one request in a network namespace of our own; the errno of its acknowledgement (netlink(7))."""
    mounts.unshare(mounts.CLONE_NEWNET)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(struct.pack("=IHHII", 16 + len(payload), kind, _CREATE, 1, 0) + payload)
        answer = route.recv(65536)
    code: int = struct.unpack_from("=i", answer, 16)[0]
    return -code


def link(kind: str) -> str:
    """A network link of *kind*."""
    info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, kind.encode() + b"\0"))
    code = _rtnetlink(_RTM_NEWLINK, bytes(16) + info)
    if code:
        raise OSError(code, "not in this kernel" if code == errno.EOPNOTSUPP else os.strerror(code))
    return ""


def qdisc(kind: str) -> str:
    """A queueing discipline of *kind* on lo, without options: one that wants some is there when it says EINVAL."""
    parent, handle = (0xFFFFFFF1, 0xFFFF0000) if kind == "ingress" else (0xFFFFFFFF, 0x10000)
    message = struct.pack("=BxxxiIII", 0, 1, handle, parent, 0) + _attribute(_TCA_KIND, kind.encode() + b"\0")
    code = _rtnetlink(_RTM_NEWQDISC, message)
    if code not in (0, errno.EINVAL):
        raise OSError(code, "not in this kernel" if code == errno.ENOENT else os.strerror(code))
    return ""


def nftables(content: str = "") -> str:
    """A table by libnftables, in a network namespace of our own. *content*: of it, as nft's text."""
    mounts.unshare(mounts.CLONE_NEWNET)
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    library.nft_ctx_buffer_error(context)
    if library.nft_run_cmd_from_buffer(context, f"table inet warden_probe {{ {content} }}".encode()) != 0:
        raise OSError(errno.EOPNOTSUPP, "the kernel has no such expression" if content else "the kernel has no nf_tables")
    return ""
