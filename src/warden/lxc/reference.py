"""The table of docs/lxc.md, made from keys.py and networks.py: a test compares them."""

from __future__ import annotations

from collections.abc import Iterator

from warden.lxc.keys import KEYS, Kind
from warden.lxc.networks import SUB_KEYS

_MARKS = {Kind.ONE: "", Kind.MANY: " (repeat)", Kind.BELOW: ".*", Kind.DROPPED: ""}


def rows() -> Iterator[str]:
    """One line of the table a key."""
    yield "| key | before 2.1 | means | becomes |"
    yield "|---|---|---|---|"
    for key in KEYS:
        mark = _MARKS[key.kind]
        dropped = key.kind is Kind.DROPPED
        name = f"`{key.name}{mark if key.kind is Kind.BELOW else ''}`" + (mark if key.kind is Kind.MANY else "")
        old = ", ".join(f"`{legacy}`" for legacy in key.legacy)
        means = key.note.replace("|", "\\|")
        yield f"| {name} | {old} | {means} | {'nothing: given up by LXC' if dropped else key.becomes or 'the tools'} |"
    for sub in SUB_KEYS:
        old = f"`lxc.network.{sub.legacy}`" if sub.legacy else ""
        mark = " (repeat)" if sub.many else ""
        yield f"| `lxc.net.N.{sub.name}`{mark} | {old} | {sub.note} | an interface |"
