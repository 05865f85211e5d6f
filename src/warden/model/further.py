"""Further: what an interface may have on the host beside its link. Plain data."""

from __future__ import annotations

from warden.records import dataclass


@dataclass(frozen=True, slots=True)
class Outside:
    """On links of the host that stay. *link*: index of the one that answers for *addresses*; *lo*: which have a route to
    the loopback, without which an ipvlan's parent does not answer (ipvlan in mode l3s takes packets after routing)."""

    link: int = 0
    addresses: tuple[str, ...] = ()
    lo: bool = False


@dataclass(frozen=True, slots=True)
class Further:
    """*vlan*: of untagged frames on the port, 0 none, None the bridge's own; *default*: that one, 0 none; *tagged*: further
    VLANs. *routes*: networks and addresses behind the host's end; *answers*: addresses that it answers for, and
    forwards. *queues*: of the container's end, to receive and to transmit, 0 the kernel's. *isolation*: an ipvlan's."""

    vlan: int | None = None
    default: int = 0
    tagged: tuple[int, ...] = ()
    routes: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    queues: tuple[int, int] = (0, 0)
    isolation: str = "bridge"
    outside: Outside = Outside()


NOTHING = Further()
