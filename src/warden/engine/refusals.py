"""A refused step of a plan in words: which step, on what, why, and what to do about it."""

from __future__ import annotations

import errno

from warden.errors import KernelRefused
from warden.plan.steps import Op, Plan

#: (operation, errno) → remedy. None as operation: for every operation.
_REMEDIES: dict[tuple[Op | None, int], str] = {
    (Op.BIND, errno.EINVAL): "its file system cannot be id-mapped: take ext4, xfs, btrfs, tmpfs, or no user namespace",
    (Op.BIND, errno.ENOENT): "the source does not exist on the host, or the target could not be made",
    (Op.CLONE, errno.ENOSPC): "too many namespaces: raise /proc/sys/user/max_*_namespaces",
    (Op.CLONE, errno.EPERM): "namespaces are forbidden to this process; `warden doctor` says by what",
    (Op.MOUNT, errno.EPERM): "the host hides part of /proc or forbids mounts in user namespaces; see `warden doctor`",
    (Op.MOUNT, errno.EINVAL): "the depot's file system cannot carry an overlay; put it on ext4, xfs, btrfs or tmpfs",
    (Op.MOUNT, errno.ENODEV): "the kernel has no such file system; load its module",
    (Op.NETLINK, errno.EEXIST): "an interface or address of that name exists already; `ip link` shows it",
    (Op.NETLINK, errno.EBUSY): "the parent is used in another way: macvlan, ipvlan and ports of bridges exclude each other",
    (Op.NETLINK, errno.EINVAL): "the parent cannot carry it: a passthru macvlan suffers no other beside it",
    (Op.NETLINK, errno.ENODEV): "a link of the host has vanished meanwhile",
    (Op.NETLINK, errno.EOPNOTSUPP): "the kernel has no veth; load its module: modprobe veth",
    (Op.JOIN_CGROUP, errno.ENOENT): "somebody removed the engine's cgroups; restart wardend",
    (Op.SERVE, errno.ENOENT): "its root has no /dev/null: lxc.autodev = 1 makes a /dev, or make the nodes there",
    (Op.SERVE, errno.ENODEV): "the /dev/null of its root is not the null device: mknod -m 666 /dev/null c 1 3",
    (Op.KEYRING, errno.EDQUOT): "its root has too many keys: kernel.keys.maxkeys, or lxc.keyring.session = 0",
    **{
        (op, errno.ELOOP): "a symbolic link is in its way, and nothing in a root of its own is looked up through links"
        for op in (Op.MOUNT, Op.BIND, Op.MKDIR, Op.MKNOD, Op.SYMLINK, Op.READONLY)
    },
    (None, errno.EOVERFLOW): "in another mount nothing can be made: the target must exist in its source",
    (None, errno.ENOMEM): "the host is out of memory",
    (None, errno.ENOSPC): "the disk or a kernel limit is full",
    (None, errno.EMFILE): "too many open files: raise the limit of wardend",
    (None, errno.EAGAIN): "too many processes: raise pids.max or RLIMIT_NPROC",
}


def refusal(plan: Plan, step: int, error: int, *, doing: str) -> KernelRefused:
    """The error for step number *step* of *plan*; *doing* names the whole ("create", "job 7")."""
    if not 0 <= step < len(plan.steps):
        return KernelRefused(f"{doing}: plan", errno=error, hint="wshd and the package are of different versions")
    failed = plan.steps[step]
    hint = _REMEDIES.get((failed.op, error)) or _REMEDIES.get((None, error)) or ""
    return KernelRefused(f"{doing}: step {step}:", failed.text, error, hint=hint)
