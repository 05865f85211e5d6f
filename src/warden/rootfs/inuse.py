"""Which images living containers use, as the kernel tells: no count is kept that a crash could spoil.

A container's root is an overlay whose source, a word that overlay itself does not read, is the image's root directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from warden.kernel.proc import MountRecord, parse_mountinfo


def images_in_use() -> set[str]:
    """Root directories of images, of whatever store."""
    return {record.source for record in _overlays() if record.source.startswith("/")}


def _overlays() -> Iterator[MountRecord]:
    """Of every mount namespace that has a process."""
    seen = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
            if namespace in seen:
                continue
            with open(f"/proc/{pid}/mountinfo", "rb") as file:
                text = file.read()
        except OSError:  # it ended, or is a zombie
            continue
        seen.add(namespace)
        yield from (record for record in parse_mountinfo(text) if record.fstype == "overlay")
