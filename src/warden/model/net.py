"""NetRule: what a container may reach, as Warden's net_out says it; and ports of the host forwarded to it."""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, Enum, late, pattern
from warden.records import dataclass

if TYPE_CHECKING:
    import ipaddress

    Range = tuple[ipaddress.IPv4Address, ipaddress.IPv4Address] | tuple[ipaddress.IPv6Address, ipaddress.IPv6Address]
else:
    ipaddress = late("ipaddress")

MAX_PORT = 65535
ANY_ICMP = -1
PORT_PROTOCOLS = ("tcp", "udp")
_PORTS = pattern(r"([0-9]{1,5})(?::([0-9]{1,5}))?")


class Protocol(Enum):
    """Of a NetRule; the values are the snapshot's (spec/warden.md §6)."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class NetRule:
    """Traffic that a container may begin. *network*: an address, a CIDR or FIRST-LAST; None: any outside the pool.

    *ports*: "80" or "8000:8080", TCP and UDP only; None: all. *icmp_type* and *icmp_code*: None or -1 for any, a code
    only with a type. *log*: each new connection is logged by the kernel. Raises BadInput; two texts are Warden's.
    """

    network: str | None = None
    ports: str | None = None
    protocol: Protocol = Protocol.TCP
    icmp_type: int | None = None
    icmp_code: int | None = None
    log: bool = False

    def __post_init__(self) -> None:
        if self.network is None and self.ports is None:
            raise BadInput("Please specify network, port, and/or port_range.")
        if self.network is not None:
            destination(self.network)
        if self.ports is not None:
            self._check_ports(self.ports)
        self._check_icmp()

    def _check_ports(self, ports: str) -> None:
        low, high = parse_ports(ports)
        if ":" in ports and low >= high:
            raise BadInput("Port range maximum must be greater than minimum")
        if self.protocol not in (Protocol.TCP, Protocol.UDP):
            raise BadInput(f"net_out: a port has no meaning for {self.protocol.value}", hint="protocol TCP or UDP")

    def _check_icmp(self) -> None:
        for name, value in (("icmp_type", self.icmp_type), ("icmp_code", self.icmp_code)):
            if value not in (None, ANY_ICMP) and self.protocol is not Protocol.ICMP:
                raise BadInput(f"net_out: {name} has no meaning for {self.protocol.value}", hint="protocol ICMP")
            if value is not None and not ANY_ICMP <= value <= 255:
                raise BadInput(f"net_out: {name}: {value} is out of range", hint="0 to 255, or -1 for any")

    @property
    def icmp(self) -> tuple[int | None, int | None]:
        """Type and code, None for any; a code without a type is none (spec/warden.md §6)."""
        kind = None if self.icmp_type == ANY_ICMP else self.icmp_type
        code = None if self.icmp_code == ANY_ICMP else self.icmp_code
        return kind, (None if kind is None else code)


@dataclass(frozen=True, slots=True)
class PortMap:
    """A port of the host that leads to one of the container. *host_ip*: one address of the host, None: all of them.

    As a wish, *host_port* 0: one of the pool; *container_port* 0: the same. *protocol*: "tcp" or "udp". Raises BadInput.
    """

    host_ip: str | None
    host_port: int
    container_port: int
    protocol: str = "tcp"

    def __post_init__(self) -> None:
        if self.host_port:
            check_port(self.host_port, "port: host_port")
        if self.container_port or self.host_port:
            check_port(self.container_port or self.host_port, "port: container_port")
        if self.protocol not in PORT_PROTOCOLS:
            raise BadInput(f"port: {self.protocol!r} is not a protocol with ports", hint=" or ".join(PORT_PROTOCOLS))
        if self.host_ip is not None:
            try:
                found = ipaddress.ip_address(self.host_ip)
                if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
                    raise ValueError(self.host_ip)  # a zone is any text
                object.__setattr__(self, "host_ip", str(found))
            except ValueError:
                raise BadInput(f"port: {self.host_ip!r} is not an address", hint="an IPv4 or IPv6 address") from None


@dataclass(frozen=True, slots=True)
class NetPolicy:
    """Where a container may go when no NetRule says so, instead of what holds for all. *allow* wins over *deny*; what is
    in neither is open, other containers and the host excepted. Both: networks as NetRule's. Raises BadInput."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in (*self.allow, *self.deny):
            destination(text)

    @property
    def denied(self) -> tuple[str, ...]:
        """What *deny* means: all of IPv4 is all of IPv6 too, which who wrote it may not have known of."""
        return with_ipv6(self.deny)


@dataclass(frozen=True, slots=True)
class Refused:
    """A destination that a container was refused: *packets* that would have begun a connection, within the last hour.

    *protocol*: a name, or its number as text; *port* None: the protocol has none.
    """

    address: str
    protocol: str
    port: int | None
    packets: int


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a container was refused, the most frequent first. *further*: packets to destinations beyond those that are
    remembered one by one; *over*: packets that would have begun a connection beyond network.max_connections."""

    destinations: tuple[Refused, ...] = ()
    further: int = 0
    over: int = 0


@dataclass(frozen=True, slots=True)
class NetState:
    """What a container may reach and be reached by. *rules*: oldest first; *policy* None: what holds for all.
    *connections*: bound for each address, None: what holds for all, 0: none."""

    rules: tuple[NetRule, ...] = ()
    policy: NetPolicy | None = None
    ports: tuple[PortMap, ...] = ()
    connections: int | None = None


MAX_CONNECTIONS = 2**31


def check_connections(count: int | None, field: str) -> None:
    """Raises BadInput."""
    if count is not None and not 0 <= count <= MAX_CONNECTIONS:
        raise BadInput(f"{field}: {count} is not between 0 and {MAX_CONNECTIONS}", hint="0: as many as it likes")


def with_ipv6(denied: tuple[str, ...]) -> tuple[str, ...]:
    """Whoever denies all of IPv4 denies all of IPv6."""
    return (*denied, "::/0") if "0.0.0.0/0" in denied and "::/0" not in denied else denied


def parse_ports(text: str) -> tuple[int, int]:
    """The first and the last of "80" or "8000:8080"; raises BadInput. Their order is not checked."""
    match = _PORTS.fullmatch(text)
    if match is None:
        raise BadInput(f"net_out: {text!r} is not a port range", hint="MIN:MAX, such as 8000:8080")
    low, high = int(match[1]), int(match[2] or match[1])
    return check_port(low, "net_out: port"), check_port(high, "net_out: port")


def check_port(port: int, field: str) -> int:
    """*port* itself; raises BadInput naming *field* when there is no such port."""
    if not 1 <= port <= MAX_PORT:
        raise BadInput(f"{field}: {port} is not a port", hint=f"1 to {MAX_PORT}")
    return port


#: What was asked lately; functools' cache would be an import of every start.
_KNOWN: dict[str, Range] = {}
_MOST_KNOWN = 4096


def destination(text: str) -> Range:
    """The first and the last address of "10.0.0.1", "10.0.0.0/8" or "10.0.0.1-10.0.0.9", IPv6 alike; raises BadInput."""
    found = _KNOWN.get(text)
    if found is None:
        found = _parsed(text)
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[text] = found
    return found


def _parsed(text: str) -> Range:
    first, dash, last = text.partition("-")
    try:
        if dash:
            low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
        else:
            network = ipaddress.ip_network(text.strip(), strict=False)
            low, high = network.network_address, network.broadcast_address
    except ValueError:
        hint = "an address, a CIDR such as 10.0.0.0/8, or FIRST-LAST"
        raise BadInput(f"network: {text!r} is not an IPv4 or IPv6 network", hint=hint) from None
    if isinstance(low, ipaddress.IPv4Address) and isinstance(high, ipaddress.IPv4Address):
        if low <= high:
            return low, high
    elif isinstance(low, ipaddress.IPv6Address) and isinstance(high, ipaddress.IPv6Address):
        if low.scope_id or high.scope_id:
            raise BadInput(f"network: {text!r} has a zone", hint="a link of the host means nothing in a rule")
        if low <= high:
            return low, high
    else:
        raise BadInput(f"network: {text!r}: one address is IPv4, the other IPv6")
    raise BadInput(f"network: {text!r}: the last address is below the first")
