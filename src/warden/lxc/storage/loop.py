"""Kind `loop`: a file system in a file, NAME/rootdev. Sparse: it occupies what is written to it."""

from __future__ import annotations

import os
import stat

from warden.errors import BadInput, KernelRefused, NotSupported
from warden.kernel.loop import open_loop
from warden.lxc.home import Home
from warden.lxc.storage.base import DEFAULT_SIZE, Root, Wanted, mount, rootfs_directory
from warden.undo import Undo

IMAGE = "rootdev"
#: Of mkfs: its package, and what keeps it from asking and from writing more than it must.
_FSTYPES = {
    "ext2": ("e2fsprogs", ("-q", "-F")),
    "ext3": ("e2fsprogs", ("-q", "-F")),
    "ext4": ("e2fsprogs", ("-q", "-F", "-E", "nodiscard")),
    "xfs": ("xfsprogs", ("-q", "-K")),
    "btrfs": ("btrfs-progs", ("-q", "-K")),
}
#: Where its superblock says what a file system is: type, offset, bytes. (linux/magic.h, xfs_format.h, btrfs_tree.h)
_MARKS = (("ext4", 0x438, b"\x53\xef"), ("xfs", 0, b"XFSB"), ("btrfs", 0x10040, b"_BHRfS_M"))


class LoopStorage:
    name = "loop"

    def why_not(self, _directory: str) -> str:
        return "" if os.path.exists("/dev/loop-control") else "no /dev/loop-control (modprobe loop)"

    def make(self, home: Home, wanted: Wanted) -> Root:
        if wanted.fstype not in _FSTYPES:
            known = ", ".join(_FSTYPES)
            raise BadInput(f"{wanted.fstype!r} is not a type of file system that can be made", hint=f"one of {known}")
        from warden.rootfs.pool import find_program, run_mkfs  # containers in directories must not pay for it

        package, options = _FSTYPES[wanted.fstype]
        program = find_program(f"mkfs.{wanted.fstype}", package, "choose another --fstype")
        file = os.path.join(wanted.directory or home.path, IMAGE)
        rootfs_directory(home)
        with Undo() as undo:
            fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            undo.add("file", os.unlink, file)
            try:
                os.truncate(fd, wanted.size or DEFAULT_SIZE)
            finally:
                os.close(fd)
            run_mkfs([program, *options, file])
            undo.release()
        return Root("loop", file)

    def begins_in(self, _root: Root) -> str:
        return ""

    def shows_in(self, _root: Root) -> str:
        return ""

    def mount(self, root: Root, target: str, data: str = "") -> None:
        fstype = fstype_of(root.place)
        try:
            fd, device = open_loop(root.place)
        except OSError as error:
            raise KernelRefused("attach a loop device to", root.place, error.errno or 0) from error
        try:
            mount(device, target, fstype, 0, data)
        finally:
            os.close(fd)  # the mount keeps it now, and it goes with that

    def clone(self, root: Root, home: Home, wanted: Wanted) -> Root:
        from warden.rootfs.loopdisk import copy_sparse

        file = os.path.join(wanted.directory or home.path, IMAGE)
        rootfs_directory(home)
        try:
            _refuse_pipe(root.place)
            copy_sparse(root.place, file)
            os.chmod(file, 0o600)
        except OSError as error:
            raise KernelRefused("copy", root.place, error.errno or 0) from error
        return Root("loop", file)

    def snapshot(self, _root: Root, _home: Home) -> Root:
        hint = "copy it without -s; blocks are shared where the host's file system can"
        raise NotSupported("loop has no snapshots", hint=hint)

    def depends(self, _root: Root) -> str:
        return ""

    def measure(self, root: Root) -> int:
        return os.stat(root.place).st_blocks * 512

    def places(self, root: Root) -> tuple[str, ...]:
        return (root.place,)


def _refuse_pipe(file: str) -> None:
    """Who opens one waits for its other end. Raises BadInput, OSError."""
    mode = os.stat(file).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise BadInput(f"lxc.rootfs.path: {file} is neither a regular file nor a block device")


def fstype_of(file: str) -> str:
    """What file system is in *file*; raises BadInput, KernelRefused."""
    try:
        _refuse_pipe(file)
        with open(file, "rb") as image:
            for fstype, offset, mark in _MARKS:
                image.seek(offset)
                if image.read(len(mark)) == mark:
                    return fstype
    except OSError as error:
        raise KernelRefused("read", file, error.errno or 0) from error
    known = ", ".join(fstype for fstype, _, _ in _MARKS)
    raise BadInput(f"lxc.rootfs.path: {file} has no file system that is known", hint=f"one of {known}")
