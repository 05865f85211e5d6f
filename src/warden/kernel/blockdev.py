"""Which block device a device file, a directory or a pair of numbers means. Reads only."""

from __future__ import annotations

import os
import re
import stat


def whole_disk(target: str) -> str:
    """ "MAJOR:MINOR" of the disk that *target* is, is a part of, or lies on: "8:1", "/dev/sda1", "/srv". Raises
    FileNotFoundError when there is no such device, OSError (ENODEV) when *target* lies on none.

    Limits are kept for whole disks only (blkg_conf_prep(), block/blk-cgroup.c).
    """
    numbers = target if re.fullmatch(r"\d+:\d+", target) else _numbers(target)
    device = f"/sys/dev/block/{numbers}"
    if not os.path.exists(device):
        raise FileNotFoundError(f"no block device {numbers}")
    if os.path.exists(f"{device}/partition"):
        device = os.path.dirname(os.path.realpath(device))
    with open(f"{device}/dev") as file:
        return file.read().strip()


def _numbers(path: str) -> str:
    status = os.stat(path)
    number = status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev
    if os.major(number) == 0:  # overlay, tmpfs, btrfs, network file systems: none of one disk
        raise OSError(19, f"{path} lies on no single block device")
    return f"{os.major(number)}:{os.minor(number)}"
