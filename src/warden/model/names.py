"""Names: what a container finds others by, as far as it is asked for when it is made. Checked here, without a machine."""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, late, pattern
from warden.records import dataclass

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Iterable, Mapping
else:
    ipaddress = late("ipaddress")

#: In place of an address: the host's, on the link of the container.
HOST_GATEWAY = "host-gateway"
MOST = {"dns": 16, "dns_search": 32, "dns_option": 32, "add_host": 256}

_LIKE_LETTERS = str.maketrans("._-", "aaa")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = pattern(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_OPTION = pattern(r"[a-z][a-z0-9-]{0,40}(?::[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Names:
    """What /etc/resolv.conf and /etc/hosts are to have; what is empty is as without it.

    *servers*: addresses; *search*: domains, "." alone for none; *options*: of resolv.conf(5). *hosts*: (name, address or
    HOST_GATEWAY), after the container's own. Raises BadInput naming the field.
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for field, given in self.by_option().items():
            if len(given) > MOST[field]:
                raise BadInput(f"{field}: {len(given)} are too many", hint=f"{MOST[field]} at most")
        object.__setattr__(self, "servers", tuple(str(check_ip(text, "dns")) for text in self.servers))
        for domain in self.search:
            if domain != ".":
                check_domain(domain, "dns_search")
        if "." in self.search and len(self.search) > 1:
            raise BadInput("dns_search: '.' means none", hint="give it alone")
        for option in self.options:
            if not _OPTION.fullmatch(option):
                raise BadInput(f"dns_option: {option!r} is not an option", hint="such as ndots:1, see resolv.conf(5)")
        object.__setattr__(self, "hosts", tuple((_host(name), _address(at)) for name, at in self.hosts))

    def __bool__(self) -> bool:
        return any(self.by_option().values())

    def by_option(self) -> dict[str, tuple[object, ...]]:
        return dict(zip(MOST, (self.servers, self.search, self.options, self.hosts), strict=True))


def is_host_name(text: str) -> bool:
    """1 to 64 letters, digits, dots, dashes and underscores."""
    return 1 <= len(text) <= 64 and text.isascii() and text.translate(_LIKE_LETTERS).isalnum()


def check_ip(text: str, field: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Raises BadInput for what cannot be a server's."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise BadInput(f"{field}: {text!r} is not an address", hint="such as 192.0.2.1 or 2001:db8::1") from None
    if found.is_unspecified or found.is_multicast or getattr(found, "scope_id", None):
        raise BadInput(f"{field}: {text!r} is not the address of a host")
    return found


def check_domain(text: str, field: str) -> str:
    """*text* itself; raises BadInput when it cannot be a domain's name."""
    if len(text) > 253 or not _DOMAIN.fullmatch(text):
        raise BadInput(f"{field}: {text!r} is not a name", hint="letters, digits, dashes and dots, 63 between two dots")
    return text


def _host(name: str) -> str:
    return check_domain(name, "add_host")


def _address(at: str) -> str:
    return at if at == HOST_GATEWAY else str(check_ip(at, "add_host"))


def parse_host(text: str) -> tuple[str, str]:
    """NAME:ADDRESS or NAME=ADDRESS, the address in brackets or not; raises BadInput."""
    name, sign, at = text.partition("=") if "=" in text else text.partition(":")
    if not sign or not name or not at:
        raise BadInput(f"add_host: {text!r} is not NAME:ADDRESS", hint="such as db:10.1.2.3, or db:host-gateway")
    return name, at[1:-1] if at.startswith("[") and at.endswith("]") else at


def names_of(
    dns: Iterable[str] | str = (),
    dns_search: Iterable[str] | str = (),
    dns_options: Iterable[str] | str = (),
    add_hosts: Mapping[str, str] | Iterable[str] = (),
) -> Names:
    """From what people give; raises BadInput."""
    from collections.abc import Mapping

    pairs = add_hosts.items() if isinstance(add_hosts, Mapping) else map(parse_host, add_hosts)
    return Names(_several(dns), _several(dns_search), _several(dns_options), tuple(pairs))


def _several(given: Iterable[str] | str) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
