"""The rules of the table of family `bridge`, as nft's text: what a container on a bridge cannot send. Pure.

It is there only while a bridge is, and holds what a router never sees.
"""

from __future__ import annotations

BRIDGE_CHAINS = ("screen", "sender", "from_port", "from_arp", "from_ip", "from_ip6")
#: Where Firewall puts the one rule that has no words in every nft.
ADVERTS = "adverts"

#: Its sets and chains.
BRIDGE = [
    "set ports { type ifname; }",
    "set macs { type ifname . ether_addr; }",
    "set senders { type ifname . ether_addr . ipv4_addr; }",
    "set senders6 { type ifname . ether_addr . ipv6_addr; }",
    "set roamers { type ifname; }",
    # Before br_netfilter, whose hook is at 0, shows the packet to the other table: linux/netfilter_bridge.h.
    "chain screen { type filter hook prerouting priority -300; policy accept;",
    # What nearly every packet is costs one look. The type stands there for itself: of an address alone, nft asks for what
    # is below a VLAN tag.
    "ether type ip iifname . ether saddr . ip saddr @senders goto sender",
    "iifname @ports goto from_port",
    "}",
    "chain sender {",
    "udp sport 67 drop",
    "accept",
    "}",
    # VLAN tags, STP and whatever else are none of a container's business.
    "chain from_port {",
    "iifname . ether saddr != @macs drop",
    "ether type arp goto from_arp",
    "ether type ip goto from_ip",
    "ether type ip6 goto from_ip6",
    "drop",
    "}",
    "chain from_arp {",
    "arp htype != 1 drop",
    "arp ptype != ip drop",
    "arp hlen != 6 drop",
    "arp plen != 4 drop",
    # Whose addresses somebody else gives (DHCP on a bridge of the host) is held to its MAC alone.
    "iifname @roamers iifname . arp saddr ether @macs accept",
    "iifname . arp saddr ether . arp saddr ip != @senders drop",
    "}",
    "chain from_ip {",
    "udp sport 67 drop",
    "iifname @roamers accept",
    "iifname . ether saddr . ip saddr != @senders drop",
    "}",
    "chain from_ip6 {",
    "icmpv6 type { nd-router-advert, nd-redirect } drop",
    "udp sport 547 drop",
    "iifname @roamers accept",
    # Before an address is taken, it is asked for from none: RFC 4862 §5.4. Who asks for another's keeps that from it.
    "ip6 saddr :: icmpv6 type mld2-listener-report accept",
    f"ip6 saddr :: icmpv6 type nd-neighbor-solicit goto {ADVERTS}",
    "iifname . ether saddr . ip6 saddr != @senders6 drop",
    f"icmpv6 type nd-neighbor-advert goto {ADVERTS}",
    "}",
    f"chain {ADVERTS} {{",
    "drop",
    "}",
]
