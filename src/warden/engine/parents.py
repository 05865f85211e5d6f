"""What the host must have for an interface: its parent link, and a kernel that can make one of its kind.

Owns the refusals by name, before anything is made. Blocking; changes nothing.
"""

from __future__ import annotations

import errno

from warden.errors import BadInput, KernelRefused, NotSupported, WrongState
from warden.light import TYPE_CHECKING
from warden.model.interfaces import Interface, LinkKind
from warden.network import netlink
from warden.network.hostlink import HostLink, addresses_of, find_link
from warden.network.route import Route

if TYPE_CHECKING:
    from collections.abc import Collection

OURS = "w-"  # how the names of our links begin, of any daemon
_MODULES = {LinkKind.VLAN: "8021q"}
_NAME = {LinkKind.BRIDGE: "bridge", LinkKind.PHYSICAL: "link to lend"}


def check_kind(route: Route, kind: LinkKind) -> None:
    """Raises NotSupported when the kernel has no such links.

    It is asked for one without a parent, which it refuses in any case: with EOPNOTSUPP when it does not know the kind,
    and only after it has tried to load its module (__rtnl_newlink).
    """
    if kind in (LinkKind.BRIDGE, LinkKind.PHYSICAL):
        return
    try:
        route.ask(netlink.add_link(kind.value, "w-probe"), f"ip link add type {kind.value}")
    except KernelRefused as error:
        if error.errno == errno.EOPNOTSUPP:
            module = _MODULES.get(kind, kind.value)
            hint = f"load its module: modprobe {module}"
            raise NotSupported(f"interface kind: the kernel has no {kind.value}", hint=hint) from error


def find_parent(route: Route, item: Interface, lent: Collection[str]) -> HostLink:
    """The host's link that *item* is made of. *lent*: names of those that containers have. Raises BadInput, WrongState."""
    name = item.parent
    if item.kind is LinkKind.PHYSICAL and name in lent:
        raise WrongState(f"interface parent: {name} is lent to another container")
    found = find_link(route, name)
    if found is None:
        raise BadInput(f"interface parent: the host has no link {name}", hint="ip link shows those that there are")
    if item.kind is LinkKind.BRIDGE:
        if found.kind != "bridge":
            raise BadInput(f"interface parent: {name} is a link of the host and no bridge")
        if name.startswith(OURS):  # its ports are filtered, those of a bridge of the host are not
            raise BadInput(f"interface parent: {name} is the device of a network", hint="name the network: bridge:NAME")
    elif not found.ethernet or name.startswith(OURS):
        raise BadInput(f"interface parent: {name} cannot be a {item.kind.value}'s")
    elif item.kind is LinkKind.PHYSICAL:
        _check_idle(route, found)
    _check_mtu(item, found)
    return found


def _check_idle(route: Route, link: HostLink) -> None:
    """What the host itself uses is not lent."""
    if link.master:
        raise WrongState(f"interface parent: {link.name} is busy: it is a port of another link")
    from warden.network.forwarding import default_interfaces  # few lend links

    if link.name in default_interfaces():
        raise WrongState(f"interface parent: {link.name} is busy: the host's default route leads over it")
    if addresses := addresses_of(route, link.index):
        hint = f"ip address flush dev {link.name}, if nobody needs it"
        raise WrongState(f"interface parent: {link.name} is busy: it has the address {addresses[0]}", hint=hint)


def _check_mtu(item: Interface, link: HostLink) -> None:
    if item.mtu is None:
        return
    most = link.mtu if item.kind is not LinkKind.PHYSICAL else link.mtu_max or item.mtu
    if item.mtu > most or item.mtu < link.mtu_min:
        raise BadInput(f"interface mtu: {item.mtu} is not possible on {link.name}", hint=f"{link.mtu_min} to {most}")
