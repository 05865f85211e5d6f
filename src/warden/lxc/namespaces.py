"""In whose user namespace this process is."""

from __future__ import annotations


def have_nodes() -> bool:
    """Whether this one is the host's own: nowhere else can nodes of devices be made."""
    with open("/proc/self/uid_map", encoding="utf-8") as file:
        return file.read().split() == ["0", "0", str(2**32 - 1)]
