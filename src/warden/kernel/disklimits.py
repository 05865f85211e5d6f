"""Which ways to limit disks work here, for `warden doctor`: a table of what each needs. Pure.

Where the daemon tries (rootfs/disks.py), this looks at what is there: nothing is made and no module loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from warden.kernel.finding import Finding
from warden.kernel.proc import MountRecord

#: The order of disk.backend "auto".
AUTO = ("project", "btrfs", "pool", "loop")
_LOOPS = "load the kernel module: modprobe loop"
#: Ways that need a loop device: file system, program, package, what it is like.
_IN_FILES = {
    "pool": ("xfs", "mkfs.xfs", "xfsprogs", "an XFS in a file of the depot"),
    "btrfs-pool": ("btrfs", "mkfs.btrfs", "btrfs-progs", "a btrfs in a file of the depot; bytes only"),
    "loop": ("ext4", "mkfs.ext4", "e2fsprogs", "an ext4 in a file for each container"),
}
#: Ways of the depot's own file system: mount options of which one is needed, the one to use, what more it takes.
_BY_QUOTA = {
    "project": ({"prjquota", "pquota"}, "prjquota", "tune2fs -O project,quota"),
    "user": ({"usrquota", "uquota", "quota", "usrjquota"}, "usrquota", "tune2fs -O quota"),
}


def disk_limit_findings(
    record: MountRecord | None,
    filesystems: bytes,
    which: Callable[[str], str | None],
    exists: Callable[[str], bool],
    quota_groups: bool = False,
) -> Iterator[Finding]:
    """For a depot on the mount *record*, one for each value of disk.backend. *quota_groups*: btrfs's, there."""
    found = [
        _quota("project", record),
        _btrfs(record, quota_groups=quota_groups),
        *(_in_file(name, filesystems.split(), which, exists) for name in _IN_FILES),
        Finding("disk limit: tmpfs", True, "in memory, charged to the container"),
        _quota("user", record),
    ]
    yield _auto({finding.name.removeprefix("disk limit: "): finding for finding in found}, on=quota_groups)
    yield from found


def _auto(found: dict[str, Finding], *, on: bool) -> Finding:
    for name in AUTO:
        if found[name].ok and (name != "btrfs" or on):
            return Finding("disk limit: auto", True, f"takes {name}")
    maybe = [name for name in AUTO if found[name].ok is None]
    if maybe:
        return Finding(
            "disk limit: auto", None, f"may take {maybe[0]}: {found[maybe[0]].detail}", found[maybe[0]].remedy
        )
    return Finding("disk limit: auto", False, "limits nothing", f"for loop: {found['loop'].remedy}")


def _place(record: MountRecord | None) -> str:
    return f"{record.fstype} at {record.target}" if record else "unknown file system"


def _quota(name: str, record: MountRecord | None) -> Finding:
    known, option, more = _BY_QUOTA[name]
    options = {option.partition("=")[0] for option in record.super_options} if record else set()
    if record is not None and record.fstype in ("xfs", "ext4") and options & known:
        detail = f"{_place(record)}{'; vcap and root, each by itself' if name == 'user' else ''}"
        return Finding(f"disk limit: {name}", True, detail)
    remedy = f"mount the depot's xfs or ext4 with {option} (ext4: {more} first), or use another way"
    return Finding(f"disk limit: {name}", False, f"{_place(record)} enforces no {name} quota", remedy)


def _btrfs(record: MountRecord | None, *, quota_groups: bool) -> Finding:
    if record is None or record.fstype != "btrfs":
        return Finding("disk limit: btrfs", False, _place(record), "put the depot on btrfs, or use another way")
    state = "on" if quota_groups else f"off: set disk.backend to btrfs, or btrfs quota enable {record.target}"
    return Finding("disk limit: btrfs", True, f"{_place(record)}, bytes only; quota groups are {state}")


def _in_file(
    name: str, filesystems: list[bytes], which: Callable[[str], str | None], exists: Callable[[str], bool]
) -> Finding:
    fstype, program, package, what = _IN_FILES[name]
    label = f"disk limit: {name}"
    # XFS's files in /proc are there once the module is loaded, the second only with CONFIG_XFS_QUOTA.
    has_quota = fstype != "xfs" or not exists("/proc/fs/xfs/stat") or exists("/proc/fs/xfs/xqm")
    for there, detail, remedy in (
        (exists("/dev/loop-control"), "no /dev/loop-control", _LOOPS),
        (which(program) is not None, f"no {program}", f"install {package}"),
        (has_quota, f"the kernel's {fstype} has no quotas", "use a kernel with CONFIG_XFS_QUOTA, or another way"),
    ):
        if not there:
            return Finding(label, False, detail, remedy)
    if fstype.encode() in filesystems:
        return Finding(label, True, what)
    return Finding(label, None, f"{fstype} is not loaded: could be a module", f"modprobe {fstype}")
