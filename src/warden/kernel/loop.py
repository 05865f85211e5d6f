"""Loop devices: loop(4). Attached in one step by LOOP_CONFIGURE (since 5.8), freed by the kernel after the last use.

Raises OSError with the kernel's errno.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LOOP_SET_CAPACITY = 0x4C82, 0x4C0A, 0x4C07
LO_FLAGS_AUTOCLEAR = 4
LO_NAME_SIZE = 64
_TRIES = 20
#: struct loop_config: fd, block size, then struct loop_info64, and what is reserved.
_CONFIG = struct.Struct(f"=II5Q4I{LO_NAME_SIZE}s{LO_NAME_SIZE}s32s2Q8Q")


def open_loop(path: str) -> tuple[int, str]:
    """A loop device over the file *path*: a descriptor that keeps it until it is mounted, and its path. The one that
    has the file already is taken again."""
    found = find_loop(path)
    if found is not None:
        return os.open(found, os.O_RDWR | os.O_CLOEXEC), found
    return attach_loop(path)


def attach_loop(path: str) -> tuple[int, str]:
    """The same for a file that no device has: the others are not looked at, which takes time when there are many."""
    file_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return _attach(file_fd, path)
    finally:
        os.close(file_fd)


def _attach(file_fd: int, path: str) -> tuple[int, str]:
    name = os.fsencode(path)[: LO_NAME_SIZE - 1]
    numbers = (0, 0, 0, 0, 0, 0, 0, 0, LO_FLAGS_AUTOCLEAR)
    config = _CONFIG.pack(file_fd, 0, *numbers, name, b"", b"", *[0] * 10)
    for _ in range(_TRIES):  # between the two calls somebody else may take the device
        device = f"/dev/loop{_free_number()}"
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, LOOP_CONFIGURE, config)
        except OSError as error:
            os.close(fd)
            if error.errno != errno.EBUSY:
                raise
        else:
            return fd, device
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)


def _free_number() -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, LOOP_CTL_GET_FREE)
    finally:
        os.close(control)


def update_size(device: str) -> None:
    """After the file behind it has grown."""
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, LOOP_SET_CAPACITY)
    finally:
        os.close(fd)


def find_loop(path: str) -> str | None:
    """The device that has the file *path*, None when none has."""
    for name in os.listdir("/sys/block"):
        if name.startswith("loop"):
            try:
                with open(f"/sys/block/{name}/loop/backing_file", encoding="utf-8", errors="surrogateescape") as file:
                    if file.read().rstrip("\n") == path:
                        return f"/dev/{name}"
            except OSError:
                continue  # it has no file, or lost it while we looked
    return None
