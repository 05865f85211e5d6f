"""Files that LXC ships and configurations name: where LXC is not installed, ours take their place."""

from __future__ import annotations

import os
import re

_WHERE = re.compile(r"/usr(/local)?/share/lxc/config/+(?P<name>.+)")
_OWN = os.path.join(os.path.dirname(__file__), "config")


def stand_in(path: str) -> str | None:
    """Of a file of LXC's that is not there: ours, or "" for a directory of additions. None for others. The common file
    of a distribution, ubuntu.common.conf say, is what all have in common."""
    found = _WHERE.fullmatch(path)
    if found is None or os.path.lexists(path):
        return None
    name = found["name"].rstrip("/")
    if name.endswith(".conf.d"):
        return ""
    kind = re.sub(r".*\.(common|userns)\.conf", r"\1.conf", name)
    own = os.path.join(_OWN, kind)
    return own if "/" not in kind and os.path.isfile(own) else None
