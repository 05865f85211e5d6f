"""resolv.conf(5) as text: read, and written with what was asked for. Pure."""

from __future__ import annotations

import os

from warden.model.names import Names
from warden.records import dataclass


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What a resolv.conf says: addresses of servers, domains, options; of lines the last counts, as for the resolver."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse(text: bytes) -> ResolvConf:
    """What is no keyword is passed over."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        word, *rest = os.fsdecode(line).split() or [""]
        if word == "nameserver" and rest:
            servers.append(rest[0])
        elif word in ("search", "domain"):
            search = tuple(rest)
        elif word == "options":
            options += rest
    return ResolvConf(tuple(servers), search, tuple(options))


def written(conf: ResolvConf) -> bytes:
    lines = [f"nameserver {server}" for server in conf.servers]
    lines += [f"{word} {' '.join(rest)}" for word, rest in (("search", conf.search), ("options", conf.options)) if rest]
    return b"".join(os.fsencode(line) + b"\n" for line in lines)


def container_text(usual: bytes, names: Names, resolver: str | None) -> bytes:
    """The text for a container. *usual*: what it is without anything asked, and it stays so if nothing is; *resolver*:
    the address that answers names on its bridge, the only one then, because some libraries ask all at once and take
    the first answer (musl)."""
    if resolver is None and not (names.servers or names.search or names.options):
        return usual
    found = parse(usual)
    search = () if names.search == (".",) else names.search or found.search
    servers = (resolver,) if resolver is not None else names.servers or found.servers
    return written(ResolvConf(servers, search, names.options or found.options))
