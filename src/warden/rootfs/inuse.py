"""Which images living containers use, as the kernel tells: no count is kept that a crash could spoil.

A container's overlay shows its lower directory: the image itself, or, with a user namespace, the place where an
id-mapped clone of it was, DIRECTORY/mnt/lower, beside which the link DIRECTORY/image says what it is a clone of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from warden.errors import EngineFault
from warden.kernel.proc import MountRecord, parse_mountinfo

LINK = "image"
_CLONE = "/mnt/lower"


def images_in_use() -> set[str]:
    """Root directories of images, of whatever store. Raises EngineFault for a container of which it cannot be told."""
    lowers = {lower for record in _overlays() if (lower := _lower_of(record)) is not None}
    return {_image_of(lower.removesuffix(_CLONE)) if lower.endswith(_CLONE) else lower for lower in lowers}


def _image_of(directory: str) -> str:
    try:
        return os.readlink(f"{directory}/{LINK}")
    except OSError as error:
        hint = "its directory was renamed, or an older version made it: destroy the container"
        raise EngineFault(f"read {directory}/{LINK}: {error.strerror}: what it uses is not known", hint=hint) from error


def _lower_of(record: MountRecord) -> str | None:
    for option in record.super_options:
        name, _, value = option.partition("=")
        if name in ("lowerdir", "lowerdir+"):
            return value.replace("\\:", ":").replace("\\\\", "\\")
    return None


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
