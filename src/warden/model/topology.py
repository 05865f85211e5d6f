"""Topology: network namespaces, the links in them, and how they are tied together. Plain data, host first."""

from __future__ import annotations

from warden.records import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One link. *kind*: "" for one that is no software's. *addresses*: with their prefixes. *master*: the index of the
    bridge that it is a port of, 0 none. *other*: the index of its other end or parent in the namespace *other_space* (an
    inode), 0 unknown. *network*: the name of a bridge of ours. *bandwidth_in*, *bandwidth_out*: into the container and
    out of it, "RATE BURST" in bytes, "" unlimited."""

    name: str
    index: int
    kind: str = ""
    mac: str = ""
    mtu: int = 0
    up: bool = False
    addresses: tuple[str, ...] = ()
    master: int = 0
    other: int = 0
    other_space: int = 0
    network: str = ""
    bandwidth_in: str = ""
    bandwidth_out: str = ""


@dataclass(frozen=True, slots=True)
class Space:
    """One network namespace by its inode. *handles*: the containers in it, its owner first. *routes*: of IPv4, in words.
    *rules*: what its owner may reach by net_out; *ports*: of the host that lead to it. *host*: it is the daemon's."""

    inode: int
    handles: tuple[str, ...] = ()
    links: tuple[Node, ...] = ()
    routes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    host: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """The host's namespace first. *gone*: containers whose namespace could not be looked into."""

    spaces: tuple[Space, ...] = ()
    gone: tuple[str, ...] = ()
