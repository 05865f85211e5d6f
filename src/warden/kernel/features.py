"""What this machine can do for containers: the data of `warden doctor`.

Owns the list of findings and their remedies. Reads /proc and tries things in children (`trials`); changes nothing on
the machine and leaves nothing behind. Decides nothing: who needs what is for others to say.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping

from warden.kernel import btrfs, trials
from warden.kernel.disklimits import disk_limit_findings
from warden.kernel.finding import Finding
from warden.kernel.paths import openat2, remove_tree
from warden.kernel.proc import (
    CAPABILITIES,
    CapabilitySets,
    MountRecord,
    capability_names,
    mount_of,
    parse_capabilities,
    parse_cgroups,
    parse_mountinfo,
)
from warden.kernel.syscalls import system_call
from warden.kernel.trials import Outcome, Trial

DEFAULT_DEPOT = "/var/lib/warden/containers"
LIMIT_S = 0.7  # for everything that is tried in children, which run side by side

_AS_ROOT = "run as root, with all capabilities"
_LINKS = {"veth": "containers have no network", "ifb": "upload bandwidth cannot be limited"}
_QDISCS = {"tbf": "bandwidth cannot be limited", "ingress": "upload bandwidth cannot be limited"}
_CONTROLLERS = {
    "cpu": "no cpu shares",
    "memory": "no memory limit, no out-of-memory verdict",
    "pids": "no limit of processes",
    "freezer": "no pause",
    "devices": "every device is allowed",
}
_IN_V2 = ("freezer", "devices")  # built into v2, where the second is a BPF program
_COSTS = {
    "CAP_SYS_ADMIN": "no namespaces and no mounts: no containers",
    "CAP_SETUID": "jobs cannot change their user",
    "CAP_SETGID": "jobs cannot change their group",
    "CAP_SETPCAP": "the bounding set of jobs cannot be cut",
    "CAP_SYS_CHROOT": "existing containers cannot be entered",
    "CAP_CHOWN": "files cannot be given to a container's users",
    "CAP_FOWNER": "files of a container's users cannot be changed",
    "CAP_DAC_OVERRIDE": "files of a container's users cannot be read or removed",
    "CAP_KILL": "jobs cannot be killed",
    "CAP_MKNOD": "device nodes cannot be made",
    "CAP_NET_ADMIN": "no network",
    "CAP_SYS_PTRACE": "namespaces of running containers cannot be opened",
    "CAP_SYS_RESOURCE": "rlimits cannot be raised above the engine's own, and oom_score_adj cannot be lowered",
}
_ROOM_BYTES = 1 << 30
_ROOM_INODES = 10_000


def probe(depot: str = DEFAULT_DEPOT) -> list[Finding]:
    """Everything that can be known of this machine in less than a second. Never raises, needs no root."""
    place = nearest_directory(depot)
    records = parse_mountinfo(_read("/proc/self/mountinfo"))
    record = mount_of(os.path.realpath(place), records)
    root = os.geteuid() == 0
    with _scratch(place if root else None) as scratch:
        outcomes = trials.run_trials(_trials(scratch if root else None), LIMIT_S)
    return [
        *kernel_findings(),
        *trial_findings(outcomes, root=root),
        *sysctl_findings(_sysctl),
        *cgroup_findings(records, _read("/proc/cgroups"), _read),
        *capability_findings(parse_capabilities(_read("/proc/self/status"))),
        *library_findings(),
        *disk_limit_findings(record, _read("/proc/filesystems"), _which, os.path.exists, _have_groups(place)),
        disk_space_finding(place),
    ]


def nearest_directory(path: str) -> str:
    """*path*, or the nearest directory above it that exists."""
    path = os.path.abspath(path)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


@contextlib.contextmanager
def _scratch(place: str | None) -> Iterator[str | None]:
    """An empty directory in *place* for as long as the trials run; None where none can be made."""
    try:
        directory = tempfile.mkdtemp(prefix=".warden-probe-", dir=place) if place else None
    except OSError:
        directory = None
    try:
        yield directory
    finally:
        if directory is not None:
            remove_tree(directory)


def _read(path: str) -> bytes:
    """The file's bytes, empty where it is absent or closed to us."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _have_groups(place: str) -> bool:
    """Whether quota groups are on where *place* lies; only btrfs has them."""
    try:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return os.path.isdir(btrfs.groups_directory(fd))
        finally:
            os.close(fd)
    except OSError:
        return False


def _which(program: str) -> str | None:
    """Also where root's programs are."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _sysctl(name: str) -> str:
    return _read("/proc/sys/" + name.replace(".", "/")).decode().strip()


def _trials(scratch: str | None) -> dict[str, Trial]:
    found: dict[str, Trial] = {"user namespace": trials.user_namespace}
    for name, flag in trials.NAMESPACES.items():
        found[f"{name} namespace"] = functools.partial(trials.namespace, flag)
    for kind in _LINKS:
        found[f"link {kind}"] = functools.partial(trials.link, kind)
    for kind in _QDISCS:
        found[f"qdisc {kind}"] = functools.partial(trials.qdisc, kind)
    found["nftables"] = trials.nftables
    for kind, (content, _, _) in _EXPRESSIONS.items():
        found[f"nftables {kind}"] = functools.partial(trials.nftables, content)
    if scratch is not None:
        found["overlay"] = functools.partial(trials.overlay, scratch)
        found["id-mapped mounts"] = functools.partial(trials.idmapped_mount, scratch)
    return found


def trial_findings(outcomes: Mapping[str, Outcome], *, root: bool) -> Iterator[Finding]:
    """A finding for each outcome. What failed for want of root is not known, not absent."""
    for name, outcome in outcomes.items():
        cost, remedy = _trial_advice(name)
        ok, detail = outcome.ok, outcome.detail
        if ok is False:
            detail = f"{detail}: {cost}"
        if ok is not True and not root:
            ok, remedy = None, _AS_ROOT
        yield Finding(name, ok, detail, "" if ok else remedy)
    for name in ("overlay", "id-mapped mounts"):
        if name not in outcomes:
            yield Finding(name, None, "not tried: no directory could be made beside the depot", _AS_ROOT)


_NO_FIREWALL = "no containers with a network"
_FORWARD, _NAT = "chain c { type filter hook forward priority 0;", "chain c { type nat hook postrouting priority 100;"
#: What the firewall's rules are made of and a kernel may lack, each: a chain with it, its module, and what is lost.
_EXPRESSIONS = {
    "fib": (f"{_FORWARD} fib daddr type local; }};", "nft_fib_inet", _NO_FIREWALL),
    "masquerade": (f"{_NAT} masquerade; }};", "nft_masq", _NO_FIREWALL),
    "reject": (f"{_FORWARD} reject; }};", "nft_reject_inet", _NO_FIREWALL),
    "limit": (f"{_FORWARD} limit rate 1/second; }};", "nft_limit", _NO_FIREWALL),
    "log": (f"{_FORWARD} log; }};", "nft_log", "no `log` of a rule"),
    "ct count": (f"{_FORWARD} ct count over 1; }};", "nft_connlimit", "network.max_connections does not hold"),
    "ct label": (
        f"{_FORWARD} ct label set 109; }};",
        "xt_connlabel",
        "what begins while another program has flushed the ruleset goes on after the repair",
    ),
}


def _trial_advice(name: str) -> tuple[str, str]:
    """What it costs when *name* is absent, and what to do."""
    kind = name.rsplit(" ", 1)[-1]
    if name.startswith("link "):
        return _LINKS[kind], f"load the kernel module: modprobe {kind}"
    if name.startswith("qdisc "):
        return _QDISCS[kind], f"load the kernel module: modprobe sch_{kind}"
    if name.startswith("nftables "):
        _, module, cost = _EXPRESSIONS[name.removeprefix("nftables ")]
        return cost, f"load the kernel module: modprobe {module}"
    table = {
        "user namespace": (
            "root in a container would be root of the machine",
            "set user.max_user_namespaces above 0, and kernel.apparmor_restrict_unprivileged_userns to 0 if it is 1",
        ),
        "overlay": (
            "images cannot be shared",
            "load the module overlay, and keep the depot on ext4, xfs, btrfs or tmpfs",
        ),
        "id-mapped mounts": (
            "images and binds cannot be shared with user namespaces",
            "keep the depot on ext4, btrfs, xfs or tmpfs (6.3) with Linux 5.15 or newer",
        ),
        "nftables": ("no port mapping and no firewall", "install libnftables1 and load the kernel module nf_tables"),
    }
    return table.get(name, ("no containers", f"{_AS_ROOT}, on a kernel with namespaces"))


def kernel_findings() -> Iterator[Finding]:
    """System calls that are asked for by number; each is called in a way that changes nothing."""
    clone3 = system_call(435, ctypes.c_void_p, ctypes.c_size_t)
    calls: tuple[tuple[str, str, Callable[[], int]], ...] = (
        ("clone3", "5.3", lambda: clone3(None, 0)),  # EINVAL: it is there and does not like the size
        ("openat2", "5.6", lambda: openat2("/", os.O_PATH)),
        ("pidfd_open", "5.3", lambda: os.pidfd_open(os.getpid())),
    )
    for name, since, call in calls:
        remedy = f"run Linux {since} or newer; in a container, its seccomp profile must allow {name}"
        try:
            os.close(call())
        except OSError as error:
            there = name == "clone3" and error.errno == errno.EINVAL
            yield Finding(name, there, "" if there else str(error.strerror), "" if there else remedy)
        else:
            yield Finding(name, True)


def sysctl_findings(sysctl: Callable[[str], str]) -> Iterator[Finding]:
    """Settings that forbid or cost something; *sysctl* gives a value as text, empty where there is none."""
    for name, bad, detail in (
        ("user.max_user_namespaces", "0", "no user namespace can be made"),
        ("kernel.unprivileged_userns_clone", "0", "only root makes user namespaces"),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            "1",
            "users other than root get user namespaces without rights",
        ),
    ):
        value = sysctl(name)
        wanted = "1" if bad == "0" else "0"
        wrong = value == bad
        # The last two hold for users other than root, as whom the engine does not run: a remark, no failure.
        ok = not wrong or (None if name.startswith("kernel.") else False)
        if value:
            remedy = f"sysctl {name}={wanted if name.startswith('kernel.') else 65536}" if wrong else ""
            yield Finding(name, ok, f"{value}: {detail}" if wrong else value, remedy)
    forward = sysctl("net.ipv4.ip_forward")
    detail = f"{forward}; warden switches forwarding on for its own interfaces only" if forward else "no IPv4"
    yield Finding("net.ipv4.ip_forward", bool(forward), detail, "" if forward else "run a kernel with IPv4")


def cgroup_findings(records: Iterable[MountRecord], cgroups: bytes, read: Callable[[str], bytes]) -> Iterator[Finding]:
    """Layout, controllers, and swap accounting, from the mounts and /proc/cgroups; *read* gives a file's bytes."""
    records = list(records)
    legacy = {name: record.target for record in records if record.fstype == "cgroup" for name in record.super_options}
    unified = next((record.target for record in records if record.fstype == "cgroup2"), None)
    known = {controller.name for controller in parse_cgroups(cgroups)}
    in_v1 = {name for name in legacy if name in known}
    in_v2 = set(read(f"{unified}/cgroup.controllers").decode().split()) if unified else set()
    yield _layout_finding(bool(in_v1), unified, in_v2)
    for name, cost in _CONTROLLERS.items():
        if name in in_v1:
            yield Finding(f"cgroup {name}", True, f"v1 at {legacy[name]}")
        elif name in in_v2 or (unified and not in_v1 and name in _IN_V2):
            yield Finding(f"cgroup {name}", True, f"v2 at {unified}")
        else:
            yield Finding(f"cgroup {name}", False, f"in no hierarchy: {cost}", "boot with this controller switched on")
    yield _swap_finding(legacy.get("memory") if "memory" in in_v1 else None, unified, read)


def _layout_finding(in_v1: bool, unified: str | None, in_v2: set[str]) -> Finding:
    if not in_v1 and unified is None:
        return Finding("cgroup layout", False, "none is mounted: no limits", "mount cgroup2 at /sys/fs/cgroup")
    layout = "unified (v2)" if not in_v1 else "hybrid (v1, and v2 beside it)" if unified else "legacy (v1)"
    return Finding("cgroup layout", True, layout + (f", v2 has {' '.join(sorted(in_v2))}" if in_v2 else ""))


def _swap_finding(memory: str | None, unified: str | None, read: Callable[[str], bytes]) -> Finding:
    """v1 has memory.memsw only with swap accounting; v2 has it with its memory controller, but not in the root."""
    name, without = "swap accounting", "a memory limit does not hold back swapping"
    if memory is not None:
        there = bool(read(f"{memory}/memory.memsw.limit_in_bytes"))
        detail = "memory.memsw" if there else f"no memory.memsw: {without}"
        return Finding(name, there, detail, "" if there else "boot with swapaccount=1")
    there = unified is not None and b"memory" in read(f"{unified}/cgroup.controllers").split()
    return Finding(name, there, "memory.swap.max" if there else without, "" if there else "mount a memory controller")


def capability_findings(sets: CapabilitySets) -> Iterator[Finding]:
    """What is missing from the effective or the bounding set, and what that costs."""
    full = set(capability_names(sets.effective & sets.bounding))
    missing = [name for name in CAPABILITIES if name in _COSTS and name not in full]
    if not missing:
        yield Finding("capabilities", True, "all that are used are there")
    for name in missing:
        where = "effective" if name in capability_names(sets.bounding) else "bounding"
        remedy = _AS_ROOT if where == "effective" else f"start the engine where {name} is not taken away"
        yield Finding(name, False, f"not in the {where} set: {_COSTS[name]}", remedy)


def library_findings() -> Iterator[Finding]:
    """libseccomp, and the kernel's half of it."""
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        yield Finding("libseccomp", False, "libseccomp.so.2 is not there: no filters", "install libseccomp2")
    else:
        yield Finding("libseccomp", True)
    there = bool(_sysctl("kernel.seccomp.actions_avail"))
    yield Finding(
        "seccomp", there, "" if there else "not in this kernel", "" if there else "use one with CONFIG_SECCOMP"
    )


def disk_space_finding(place: str) -> Finding:
    """Room on the depot's file system; one without inode counts (btrfs) reports 0 of 0."""
    try:
        room = os.statvfs(place)
    except OSError as error:
        return Finding("disk space", None, f"{place}: {error.strerror}", _AS_ROOT)
    free = room.f_bavail * room.f_frsize
    enough = free >= _ROOM_BYTES and (room.f_files == 0 or room.f_favail >= _ROOM_INODES)
    detail = f"{free >> 20} MiB and {room.f_favail} inodes free at {place}"
    return Finding("disk space", enough, detail, "" if enough else "make room, or put the depot on a larger disk")
