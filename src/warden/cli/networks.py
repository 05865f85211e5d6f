"""`warden network create|list|inspect|remove`: bridges that containers share."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING, Any

from warden.cli import connect, output
from warden.cli.options import Command
from warden.errors import BadInput, WardenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warden.client.blocking import Client
    from warden.model.interfaces import BridgeReport


def as_json(report: BridgeReport) -> dict[str, Any]:
    """A network as `network list --json` and `network inspect --json` show it."""
    bridge = report.bridge
    return {
        "name": bridge.name,
        "device": bridge.device,
        "subnet": bridge.subnet4,
        "gateway": bridge.gateway4,
        "subnet6": bridge.subnet6,
        "gateway6": bridge.gateway6,
        "internal": bridge.internal,
        "mtu": bridge.mtu,
        "explicit": bridge.explicit,
        "containers": [
            {
                "handle": member.handle,
                "interface": member.name,
                "addresses": list(member.addresses),
                "mac": member.mac,
                "aliases": list(member.aliases),
            }
            for member in report.members
        ],
    }


def network(options: Namespace) -> int:
    """`warden network`."""
    given = {name: getattr(options, name) for name in ("subnet", "ipv6", "internal", "mtu")}
    if options.network_action != "create" and any(value not in (None, False) for value in given.values()):
        raise BadInput(f"network {options.network_action} takes no options but --json")
    if options.network_action == "list" and options.network_names:
        raise BadInput("network list takes no names", hint="warden network inspect NAME")
    if options.network_action != "list" and not options.network_names:
        raise BadInput(f"network {options.network_action}: which one?", hint="give a NAME")
    if options.network_action == "create" and len(options.network_names) > 1:
        raise BadInput("network create makes one at a time")
    with closing(connect.open_client(options, start=options.network_action == "create")) as client:
        return _ACTIONS[options.network_action](client, options, given)


def _create(client: Client, options: Namespace, given: dict[str, Any]) -> int:
    report = client.create_network(options.network_names[0], **given)
    if options.json:
        output.print_json(as_json(report))
    else:
        print(report.bridge.name)
    return 0


def _list(client: Client, options: Namespace, _given: dict[str, Any]) -> int:
    found = client.networks()
    if options.json:
        output.print_json([as_json(report) for report in found])
    else:
        print(output.table(("NAME", "SUBNET", "IPV6", "DEVICE", "CONTAINERS"), map(_row, found)), end="")
    return 0


def _row(report: BridgeReport) -> tuple[str, ...]:
    bridge = report.bridge
    return bridge.name, bridge.subnet4 or "-", bridge.subnet6 or "-", bridge.device, str(len(report.members))


def _inspect(client: Client, options: Namespace, _given: dict[str, Any]) -> int:
    found = [client.network(name) for name in options.network_names]
    if options.json:
        output.print_json([as_json(report) for report in found])
        return 0
    for place, report in enumerate(found):
        print("\n" * bool(place) + "".join(f"{name + ':':<11}{value}\n" for name, value in _lines(report)), end="")
        if report.members:
            print()
            print(output.table(("CONTAINER", "INTERFACE", "ADDRESSES", "MAC", "ALIASES"), _members(report)), end="")
    return 0


def _lines(report: BridgeReport) -> Iterable[tuple[str, str]]:
    bridge = report.bridge
    yield "name", bridge.name
    yield "device", bridge.device
    for subnet, gateway in ((bridge.subnet4, bridge.gateway4), (bridge.subnet6, bridge.gateway6)):
        if subnet is not None and gateway is not None:
            yield "network", f"{subnet}, the host is {gateway.partition('/')[0]}"
    if bridge.mtu is not None:
        yield "mtu", str(bridge.mtu)
    yield "leads", "nowhere (internal)" if bridge.internal else "out, behind the host's address"
    yield "stays", "until it is removed" if bridge.explicit else "as long as a container is on it"


def _members(report: BridgeReport) -> Iterable[tuple[str, ...]]:
    for member in report.members:
        yield member.handle, member.name, ", ".join(member.addresses), member.mac or "-", ", ".join(member.aliases)


def _remove(client: Client, options: Namespace, _given: dict[str, Any]) -> int:
    """Every name is tried; the exit code is the first failure's."""
    code = 0
    for name in options.network_names:
        try:
            client.remove_network(name)
        except WardenError as error:
            output.say(str(error))
            code = code or error.exit_code
    return code


_ACTIONS = {"create": _create, "list": _list, "inspect": _inspect, "remove": _remove}

COMMANDS = {
    "network": Command(
        "[OPTION...] create|list|inspect|remove [NAME...]",
        "Makes, lists, shows and removes networks (bridges) that containers share with --network bridge:NAME. One that "
        "is named there first\nis made by itself, and goes with its last container.",
        ("subnet", "ipv6", "internal", "mtu", "json", "network_action", "network_names"),
        """
warden network create web
warden network create web --subnet 10.20.0.0/24 --ipv6 auto
warden run --network bridge:web,alias=db -- sleep 60
warden network inspect web
warden network list --json
warden network remove web
""",
        network,
    ),
}
