"""Limits by tmpfs: each layer is one, with its size and its number of inodes. The fastest, and in memory.

What is in it is charged to the memory of the job that wrote it, then of its container, and can be swapped out; a
container without a memory limit can fill half of the machine's. It outlives the daemon, not the machine. Blocking.
"""

from __future__ import annotations

import errno
import os

from warden.errors import BadInput, KernelRefused
from warden.kernel import mounts
from warden.model.limits import DiskLimits
from warden.rootfs.disk import Layer, make_layer, refuse_soft
from warden.rootfs.mounted import MountedDisk

_PAGE = os.sysconf("SC_PAGE_SIZE")
_FLAGS = mounts.MS_NODEV


class TmpfsDisk(MountedDisk):
    """Without limits a layer has the kernel's default: half of the memory, and half as many inodes as pages."""

    name = "tmpfs"

    def check(self, wanted: DiskLimits) -> None:
        refuse_soft(self.name, wanted)

    def make(self, layer: Layer, wanted: DiskLimits) -> None:
        os.mkdir(layer.path, 0o711)
        mounts.mount("warden", layer.path, "tmpfs", _FLAGS, f"mode=0711,{options(wanted)}")
        make_layer(layer)

    def limit(self, layer: Layer, wanted: DiskLimits) -> None:
        """The kernel refuses less than what is used (EINVAL)."""
        self.check(wanted)
        self.statvfs(layer)
        try:
            mounts.mount("warden", layer.path, "tmpfs", mounts.MS_REMOUNT | _FLAGS, options(wanted))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise KernelRefused("remount", layer.path, error.errno or 0) from error
            raise self._too_small(layer, wanted) from error

    def _too_small(self, layer: Layer, wanted: DiskLimits) -> BadInput:
        used = self.usage(layer)
        hint = f"in use are {used.bytes_used} bytes and {used.inodes_used} inodes; delete files first"
        field = "block_hard" if wanted.block_hard and wanted.block_hard * 1024 < used.bytes_used else "inode_hard"
        return BadInput(f"limit_disk: {field}: {getattr(wanted, field)} is below what is used", hint=hint)


def options(wanted: DiskLimits) -> str:
    """mount(2)'s data, tmpfs(5). Whole pages, and never 0, which would be no limit at all."""
    pages = os.sysconf("SC_PHYS_PAGES") // 2
    if wanted.block_hard:
        pages = max(wanted.block_hard * 1024 // _PAGE, 1)
    inodes = wanted.inode_hard or os.sysconf("SC_PHYS_PAGES") // 2
    return f"size={pages * _PAGE},nr_inodes={inodes}"
