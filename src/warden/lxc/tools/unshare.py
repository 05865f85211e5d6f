"""`lxc-unshare`: a program in namespaces of its own."""

from __future__ import annotations

import os
import pwd
import socket
import sys

from warden.errors import BadInput, KernelRefused, WardenError
from warden.kernel import mounts
from warden.lxc import idmaps
from warden.lxc.options import Given, Option, Tool
from warden.lxc.unsharing import Unsharing, run
from warden.model.system import IdRange

SPACES = {
    "MOUNT": mounts.CLONE_NEWNS,
    "PID": mounts.CLONE_NEWPID,
    "UTSNAME": mounts.CLONE_NEWUTS,
    "IPC": mounts.CLONE_NEWIPC,
    "USER": mounts.CLONE_NEWUSER,
    "NETWORK": mounts.CLONE_NEWNET,
    "CGROUP": mounts.CLONE_NEWCGROUP,
}
TOOL = Tool(
    "lxc-unshare",
    "-s NAMESPACES [-- COMMAND [ARGUMENT ...]]",
    "lxc-unshare run a COMMAND in a new set of NAMESPACES",
    (
        Option("s", "namespaces", "FLAGS", "namespaces separated by |:\n" + ", ".join(SPACES)),
        Option("u", "user", "USERID", "id to be in the namespace USER, 0 without"),
        Option("H", "hostname", "HOSTNAME", "Set the hostname in the container"),
        Option("i", "ifname", "IFNAME", "Interface to be moved into the namespace NETWORK; may be repeated", many=True),
        Option("d", "daemon", "", "Daemonize (do not wait for container to exit)"),
        Option("M", "remount", "", "Mount /proc, /dev/shm and /dev/mqueue anew in the namespace MOUNT"),
    ),
    named=False,
    config=False,
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    if not given.last("namespaces"):
        TOOL.fail("-s is missing: which namespaces?")
    try:
        flags = _flags(given.last("namespaces"))
        _check(given, flags)
        return run(_order(given, flags))
    except WardenError as error:
        TOOL.fail(str(error))


def _flags(text: str) -> int:
    """Raises BadInput."""
    found = 0
    for word in filter(None, text.split("|")):
        flag = SPACES.get(word.strip().upper())
        if flag is None:
            raise BadInput(f"namespace {word!r} is unknown", hint="one of " + ", ".join(SPACES))
        found |= flag
    if not found:
        raise BadInput("-s names no namespace", hint="one of " + ", ".join(SPACES))
    return found


def _check(given: Given, flags: int) -> None:
    for option, space in (("user", "USER"), ("hostname", "UTSNAME"), ("ifname", "NETWORK"), ("remount", "MOUNT")):
        if given.has(option) and not flags & SPACES[space]:
            raise BadInput(f"--{option} needs the namespace {space}", hint=f"-s {given.last('namespaces')}|{space}")
    if not given.rest:
        raise BadInput("no command is given", hint="lxc-unshare -s NETWORK -- ip addr")


def _order(given: Given, flags: int) -> Unsharing:
    user = _user(given.last("user")) if given.has("user") else 0

    def outside(pid: int) -> None:
        if flags & mounts.CLONE_NEWUSER:
            idmaps.write(pid, (IdRange("u", user, os.geteuid(), 1), IdRange("g", user, os.getegid(), 1)))
        for name in given.values.get("ifname", ()):
            _move(name, pid)

    def inside() -> None:
        if flags & mounts.CLONE_NEWNS:
            mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
        if given.has("hostname"):
            socket.sethostname(given.last("hostname"))
        if given.has("remount"):
            _remount()

    return Unsharing(TOOL.tool, flags, given.rest, outside, inside, not given.has("daemon"))


def _user(text: str) -> int:
    """A number or a name of passwd. Raises BadInput."""
    if text.isdecimal() and int(text) < 2**32 - 1:
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError as error:
        raise BadInput(f"user {text!r} is unknown", hint="a number, or a name of passwd") from error


def _move(name: str, pid: int) -> None:
    """An interface of the caller's goes into the network namespace of *pid*. Raises BadInput, KernelRefused."""
    from warden.network.netlink import move_link  # few move any
    from warden.network.route import Route

    try:
        index = socket.if_nametoindex(name)
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BadInput(f"there is no interface {name!r}", hint="ip link lists them") from error
    try:
        with Route() as route:
            route.ask(move_link(index, namespace, name=name), f"ip link set {name} netns")
    finally:
        os.close(namespace)


def _remount() -> None:
    nothing = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
    shared = mounts.MS_NOSUID | mounts.MS_NODEV
    for fstype, target, flags in (
        ("proc", "/proc", nothing),
        ("tmpfs", "/dev/shm", shared),
        ("mqueue", "/dev/mqueue", nothing),
    ):
        if not os.path.isdir(target):
            continue
        try:
            mounts.mount(fstype, target, fstype, flags)
        except OSError as error:
            raise KernelRefused("mount", target, error.errno or 0, hint="/proc needs PID, mqueue needs IPC") from error


if __name__ == "__main__":
    sys.exit(main())
