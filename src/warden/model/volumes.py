"""A volume: files that outlive containers, kept by the engine under a name."""

from __future__ import annotations

from warden.records import dataclass


@dataclass(frozen=True, slots=True)
class Volume:
    """*path*: where its files lie on the host, with the owners that containers see. *created*: seconds since the epoch.
    *anonymous*: made without a name. *used_by*: handles. *stays*: until it is removed; else it was made for a container,
    and goes with the last one that has it. Only the engine knows."""

    name: str
    path: str
    created: float
    anonymous: bool = False
    used_by: tuple[str, ...] = ()
    stays: bool = True
