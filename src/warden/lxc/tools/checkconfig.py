"""`lxc-checkconfig`: whether the kernel has what containers need, from its build configuration and from what it shows.

CONFIG=FILE in the environment checks another kernel's configuration. Colours only on a terminal. Always ends with 0.
"""

from __future__ import annotations

import os
import sys

from warden.light import TYPE_CHECKING, NamedTuple, late, pattern
from warden.lxc.options import LXC_VERSION
from warden.lxc.streams import settle

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping
else:
    re = late("re")

_COLOURS = {"enabled": "32", "required": "31", "missing": "33", "unknown": "33"}


class Row(NamedTuple):
    """*symbol*: of the kernel's configuration; *shown*: a path that a kernel without configuration shows it by; *needed*:
    nothing works without."""

    label: str
    symbol: str
    shown: str = ""
    needed: bool = False


NAMESPACES = (
    Row("Namespaces", "NAMESPACES", "/proc/self/ns", True),
    Row("Utsname namespace", "UTS_NS", "/proc/self/ns/uts"),
    Row("Ipc namespace", "IPC_NS", "/proc/self/ns/ipc", True),
    Row("Pid namespace", "PID_NS", "/proc/self/ns/pid", True),
    Row("User namespace", "USER_NS", "/proc/self/ns/user"),
    Row("Network namespace", "NET_NS", "/proc/self/ns/net"),
)
CGROUPS = (
    Row("Cgroup device", "CGROUP_DEVICE"),
    Row("Cgroup sched", "CGROUP_SCHED"),
    Row("Cgroup cpu account", "CGROUP_CPUACCT"),
    Row("Cgroup memory controller", "MEMCG"),
    Row("Cgroup cpuset", "CPUSETS"),
)
MISC = (
    Row("Veth pair device", "VETH"),
    Row("Macvlan", "MACVLAN"),
    Row("Vlan", "VLAN_8021Q"),
    Row("Bridges", "BRIDGE"),
    Row("Advanced netfilter", "NETFILTER_ADVANCED"),
    Row("CONFIG_IP_NF_TARGET_MASQUERADE", "IP_NF_TARGET_MASQUERADE"),
    Row("CONFIG_IP6_NF_TARGET_MASQUERADE", "IP6_NF_TARGET_MASQUERADE"),
    Row("CONFIG_NETFILTER_XT_TARGET_CHECKSUM", "NETFILTER_XT_TARGET_CHECKSUM"),
    Row("CONFIG_NETFILTER_XT_MATCH_COMMENT", "NETFILTER_XT_MATCH_COMMENT"),
    Row("FUSE (for use with lxcfs)", "FUSE_FS", "/dev/fuse"),
)
CHECKPOINT = (
    Row("checkpoint restore", "CHECKPOINT_RESTORE"),
    Row("CONFIG_FHANDLE", "FHANDLE"),
    Row("CONFIG_EVENTFD", "EVENTFD"),
    Row("CONFIG_EPOLL", "EPOLL"),
    Row("CONFIG_UNIX_DIAG", "UNIX_DIAG"),
    Row("CONFIG_INET_DIAG", "INET_DIAG"),
    Row("CONFIG_PACKET_DIAG", "PACKET_DIAG"),
    Row("CONFIG_NETLINK_DIAG", "NETLINK_DIAG"),
)
#: /proc/cgroups' name of the controller behind a symbol.
_CONTROLLERS = {
    "CGROUP_DEVICE": "devices",
    "CGROUP_SCHED": "cpu",
    "CGROUP_CPUACCT": "cpuacct",
    "MEMCG": "memory",
    "CPUSETS": "cpuset",
}
_SET = pattern(r"^CONFIG_(\w+)=([ym])$", re.MULTILINE)


def main(argv: list[str] | None = None) -> int:
    settle("lxc-checkconfig")
    words = sys.argv[1:] if argv is None else argv
    if words:
        print("Usage: lxc-checkconfig\n       CONFIG=/path/to/config lxc-checkconfig", file=sys.stderr)
        return 0 if words[0] in ("-h", "--help", "-?") else 1
    options, source = kernel_options(os.environ.get("CONFIG", ""))
    print(f"LXC version {LXC_VERSION}")
    if not source:
        print("kernel configuration not found: what cannot be seen otherwise is unknown")
    for line in report(options):
        print(line)
    print("\nNote : Before booting a new kernel, you can check its configuration")
    print("usage : CONFIG=/path/to/config lxc-checkconfig\n")
    return 0


def kernel_options(asked: str) -> tuple[Mapping[str, str] | None, str]:
    """Symbol → "y" or "m" of the first configuration that can be read, and its path; None and "" without one."""
    release = os.uname().release
    places = ("/proc/config.gz", f"/boot/config-{release}", f"/lib/modules/{release}/config")
    for path in (asked,) if asked else (*places, f"/lib/modules/{release}/build/.config"):
        text = _read(path)
        if text:
            return dict(_SET.findall(text)), path
    return None, ""


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(1 << 24)
        if data[:2] == b"\x1f\x8b":
            import gzip

            data = gzip.decompress(data)
    except (OSError, EOFError):
        return ""
    return data.decode(errors="replace")


def report(options: Mapping[str, str] | None) -> Iterator[str]:
    """The lines of all sections."""
    yield from ("", "--- Namespaces ---")
    for row in NAMESPACES:
        yield _line(row, options)
        if row.symbol == "USER_NS":
            yield from filter(None, map(_helper, ("newuidmap", "newgidmap")))
    yield from ("", "--- Control groups ---")
    yield _line(Row("Cgroups", "CGROUPS", "/proc/cgroups"), options)
    yield _stated("Cgroup namespace", "enabled" if os.path.exists("/proc/self/ns/cgroup") else "required")
    yield from _mount_points()
    yield from (_line(row, options) for row in CGROUPS)
    yield from ("", "--- Misc ---")
    yield from (_line(row, options) for row in MISC)
    yield from ("", "--- Checkpoint/Restore ---")
    yield from (_line(row, options) for row in CHECKPOINT)
    yield _stated("File capabilities", "enabled")  # since 2.6.33 they cannot be left out


def _line(row: Row, options: Mapping[str, str] | None) -> str:
    lacking = "required" if row.needed else "missing"
    if options is None:
        return _stated(row.label, _seen(row, lacking))
    how = options.get(row.symbol)
    text = _stated(row.label, "enabled" if how else lacking)
    return text + _module(row.symbol) if how == "m" else text


def _seen(row: Row, lacking: str) -> str:
    """Of a kernel that does not tell its configuration."""
    if row.shown:
        return "enabled" if os.path.exists(row.shown) else lacking
    controller = _CONTROLLERS.get(row.symbol)
    if controller is None:
        return "unknown"
    names = _read("/proc/cgroups") + _read("/sys/fs/cgroup/cgroup.controllers")
    return "enabled" if re.search(rf"\b{controller}\b", names) else lacking


def _module(symbol: str) -> str:
    """Whether the module is there already. Modules are called as their symbols, but for a few."""
    name = {"VLAN_8021Q": "8021q", "FUSE_FS": "fuse", "NETFILTER_XT_TARGET_CHECKSUM": "xt_CHECKSUM"}.get(symbol)
    loaded = os.path.isdir(f"/sys/module/{name or symbol.lower()}")
    return ", loaded" if loaded else ", not loaded"


def _stated(label: str, state: str) -> str:
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"{label}: \033[1;{_COLOURS[state]}m{state}\033[0;39m" if coloured else f"{label}: {state}"


def _helper(name: str) -> str:
    """Of the programs by which a user maps ids; they work only with root's rights of their own."""
    folders = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").split(":")
    found = next(
        (path for path in (os.path.join(folder, name) for folder in folders) if os.access(path, os.X_OK)), None
    )
    if found is None:
        return f"{name} is not installed"
    return "" if os.stat(found).st_mode & 0o4000 or _has_capabilities(found) else f"Warning: {name} is not setuid-root"


def _has_capabilities(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def _mount_points() -> Iterator[str]:
    mounted = [line.split() for line in _read("/proc/self/mounts").splitlines()]
    points = {kind: [fields[1] for fields in mounted if fields[2] == kind] for kind in ("cgroup", "cgroup2")}
    for version, kind in (("v1", "cgroup"), ("v2", "cgroup2")):
        yield f"Cgroup {version} mount points: "
        yield from (f" - {point}" for point in points[kind])
    if any(os.path.exists(f"{point}/cgroup.clone_children") for point in points["cgroup"]):
        yield _stated("Cgroup v1 clone_children flag", "enabled")
