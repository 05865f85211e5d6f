"""What a container's network is made of, as netlink batches for its plan. Pure."""

from __future__ import annotations

from warden.light import TYPE_CHECKING, late
from warden.network import netlink
from warden.records import dataclass

if TYPE_CHECKING:
    import ipaddress
else:
    ipaddress = late("ipaddress")

CONTAINER_INDEX = 2


def host_link(container_id: str) -> str:
    """The name of the host's end, as Warden gives it."""
    return f"w-{container_id}-0"


def container_link(container_id: str) -> str:
    """The name of the other end, inside."""
    return f"w-{container_id}-1"


def host_index(container_id: str) -> int:
    """The index of the host's end."""
    # The kernel numbers links from 1 up; ours lie where it never comes, and follow the id, which is unique.
    return 0x1000_0000 | (int(container_id, 32) & 0x0FFF_FFFF)


def ifb_name(container_id: str) -> str:
    """The device that shapes what a container sends; it exists only under a bandwidth limit."""
    return f"w-{container_id}-2"


#: Messages, and how a shell would write them.
Part = tuple[list[netlink.Message], str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages for one `netlink` step, and how a shell would write them."""

    messages: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """One container's veth pair: names as Warden gives them, its /30, and the index of the host's end."""

    container_id: str
    network: ipaddress.IPv4Network
    mtu: int

    @property
    def host_name(self) -> str:
        return host_link(self.container_id)

    @property
    def container_name(self) -> str:
        return container_link(self.container_id)

    @property
    def host_ip(self) -> ipaddress.IPv4Address:
        return self.network.network_address + 1

    @property
    def container_ip(self) -> ipaddress.IPv4Address:
        return self.network.network_address + 2

    @property
    def host_index(self) -> int:
        return host_index(self.container_id)

    @property
    def ifb_name(self) -> str:
        return ifb_name(self.container_id)

    @property
    def ifb_index(self) -> int:
        return self.host_index ^ 0x3000_0000

    def host_part(self) -> Part:
        """For the host's namespace, between clone and release."""
        address = ipaddress.IPv4Interface(f"{self.host_ip}/{self.network.prefixlen}")
        messages = [
            netlink.add_veth(
                self.host_name,
                self.host_index,
                self.container_name,
                CONTAINER_INDEX,
                netns_fd=netlink.CHILD_NETNS_FD,
                mtu=self.mtu,
            ),
            netlink.add_address(self.host_index, address),
            netlink.set_up(self.host_index, forwarding=True),
        ]
        pair = f"ip link add {self.host_name} type veth peer name {self.container_name} netns CHILD"
        up = f"ip address add {address} dev {self.host_name}; ip link set {self.host_name} up"
        forwarding = f"sysctl -w net.ipv4.conf.{self.host_name}.forwarding=1"
        return messages, f"{pair}; {up}; {forwarding}"

    def container_part(self) -> Part:
        """For the child in its own namespace, after lo."""
        address = ipaddress.IPv4Interface(f"{self.container_ip}/{self.network.prefixlen}")
        messages = [
            netlink.add_address(CONTAINER_INDEX, address),
            netlink.set_up(CONTAINER_INDEX),
            netlink.add_default_route(CONTAINER_INDEX, self.host_ip),
        ]
        name = self.container_name
        up = f"ip address add {address} dev {name}; ip link set {name} up"
        return messages, f"{up}; ip route add default via {self.host_ip}"


#: What every network namespace needs first.
LOOPBACK: Part = ([netlink.set_up(netlink.LOOPBACK_INDEX)], "ip link set lo up")


def batch_of(*parts: Part) -> Batch:
    """One `netlink` step for all of them."""
    messages = [message for messages, _ in parts for message in messages]
    return Batch(netlink.batch(messages), "; ".join(words for _, words in parts if words))
