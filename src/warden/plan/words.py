"""Constructors of steps: each gives a Step its arguments and the words a manual page would use. Pure."""

from __future__ import annotations

import os
import stat

from warden.plan.flags import MS_BIND, MS_REMOUNT, clone_names, mount_names
from warden.plan.steps import BIND_IDMAP, BIND_IN_ROOT, BIND_RECURSIVE, BIND_TRY_IDMAP, KEEP, Op, Step


def raw(text: str) -> bytes:
    """A path or text as the kernel takes it."""
    return os.fsencode(text)


def simple(op: Op, text: str, why: str = "") -> Step:
    """A step without arguments."""
    return Step(op, (), text, why)


def join_cgroup(path: str, why: str) -> Step:
    return Step(Op.JOIN_CGROUP, (raw(path),), f"echo 0 > {path}", why)


def into_cgroup(path: str, why: str) -> Step:
    return Step(Op.INTO_CGROUP, (raw(path),), f"clone3 into cgroup {path}", why)


def unshare(flags: int, why: str) -> Step:
    return Step(Op.UNSHARE, (flags,), f"unshare({clone_names(flags)})", why)


def setns(path: str, flags: int, why: str) -> Step:
    return Step(Op.SETNS, (raw(path), flags), f"setns({path}, {clone_names(flags)})", why)


def write(path: str, text: str, why: str = "") -> Step:
    return Step(Op.WRITE, (raw(path), raw(text)), f"echo '{text}' > {path}", why)


def clone(flags: int, why: str) -> Step:
    return Step(Op.CLONE, (flags,), f"clone3({clone_names(flags)})", why)


def id_map(op: Op, text: str, why: str) -> Step:
    return Step(op, (text.encode(),), f"echo '{text}' > /proc/CHILD/{op.name.lower()}", why)


def netlink(messages: bytes, text: str, why: str) -> Step:
    return Step(Op.NETLINK, (messages,), text, why)


def root(path: str, why: str, resolve: int = 0) -> Step:
    """*resolve*: of openat2(2), beside the usual."""
    return Step(Op.ROOT, (raw(path), resolve), f"open({path}, O_PATH)", why)


def propagation(flags: int, text: str, why: str) -> Step:
    return Step(Op.PROPAGATION, (flags,), f"mount --make-{text} /", why)


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "", why: str = "") -> Step:
    options = ",".join(part for part in (mount_names(flags), data) if part)
    text = f"mount -t {fstype} -o {options} {source} {target}"
    return Step(Op.MOUNT, (raw(source), raw(target), fstype.encode(), flags, raw(data)), text, why)


def remount(target: str, flags: int, why: str) -> Step:
    """The flags of the mount at *target* alone, not of its file system."""
    args = (b"none", raw(target), b"", MS_REMOUNT | MS_BIND | flags, b"")
    return Step(Op.MOUNT, args, f"mount -o remount,bind,{mount_names(flags)} {target}", why)


def bind(source: str, target: str, attributes: int, flags: int = 0, why: str = "", propagation: int = 0) -> Step:
    kind = "rbind" if flags & BIND_RECURSIVE else "bind"
    mapped = ",idmap" if flags & (BIND_IDMAP | BIND_TRY_IDMAP) else ""
    own = " of its own" if flags & BIND_IN_ROOT else ""
    text = f"mount --{kind} -o {mount_names(attributes)}{mapped} {source}{own} {target}"
    return Step(Op.BIND, (raw(source), raw(target), attributes, flags, propagation), text, why)


def mkdir(path: str, mode: int = 0o755, owner: int = KEEP, why: str = "") -> Step:
    return Step(Op.MKDIR, (raw(path), mode, owner, owner), f"mkdir -p -m {mode:04o} {path}", why)


def symlink(text: str, path: str, why: str = "") -> Step:
    return Step(Op.SYMLINK, (raw(text), raw(path)), f"ln -s {text} {path}", why)


def device(path: str, major: int, minor: int, mode: int, owner: int, why: str = "") -> Step:
    args = (raw(path), stat.S_IFCHR | mode, os.makedev(major, minor), owner, owner)
    return Step(Op.MKNOD, args, f"mknod -m {mode:04o} {path} c {major} {minor}", why)


def empty_file(path: str, owner: int, why: str = "") -> Step:
    return Step(Op.MKNOD, (raw(path), stat.S_IFREG | 0o644, 0, owner, owner), f"touch {path}", why)


def mask(path: str, why: str) -> Step:
    return Step(Op.MASK, (raw(path),), f"mask {path}", why)


def readonly(path: str, why: str) -> Step:
    return Step(Op.READONLY, (raw(path),), f"mount -o remount,bind,ro {path}", why)


def profile(path: str, name: str) -> Step:
    """apparmor(7): of the next exec, which may also be told before a fork."""
    return write(path, f"exec {name}", "what its next exec may do")


def context(path: str, name: str, why: str) -> Step:
    """selinux(8): of the next exec, or of keys to come, told in a file of the process's own attributes."""
    return write(path, name, why)


def hostname(name: str) -> Step:
    return Step(Op.HOSTNAME, (name.encode(),), f"sethostname({name})")


def owner_ids(uid: int, gid: int, why: str) -> tuple[Step, Step]:
    return (
        Step(Op.SETGID, (gid,), f"setresgid({gid}, {gid}, {gid})", why),
        Step(Op.SETUID, (uid,), f"setresuid({uid}, {uid}, {uid})", why),
    )


def umount(path: str, flags: int, why: str = "") -> Step:
    return Step(Op.UMOUNT, (raw(path), flags), f"umount2({path}, {'MNT_DETACH' if flags == 2 else flags})", why)
