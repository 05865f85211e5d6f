"""`warden net` and `warden port`: what a container may reach, what it was refused, and which ports lead to it."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING

from warden.cli import connect, output
from warden.cli.options import Command
from warden.errors import BadInput
from warden.model.nettext import port_to_text, rule_to_words, words_to_rule

if TYPE_CHECKING:
    from warden.client.blocking import Container
    from warden.client.netmessages import PolicyOptions
    from warden.model.net import NetRule, NetState, PortMap, Refusals

ACTIONS = ("show", "allow", "remove", "replace", "policy")


def net(options: Namespace) -> int:
    """`warden net`."""
    if options.maybe_handle is None or options.graph or options.dot:
        from warden.cli import topology

        return topology.show(options)
    action, words = (options.words[0], options.words[1:]) if options.words else ("show", [])
    if action not in ACTIONS:
        raise BadInput(f"net: {action!r} is no action", hint=", ".join(ACTIONS))
    if action != "policy" and (
        options.net_allow or options.net_deny or options.usual or options.connections is not None
    ):
        raise BadInput("net: --allow, --deny, --connections and --usual belong to policy")
    with closing(connect.open_client(options)) as client:
        container = client.container(options.maybe_handle)
        if action == "show":
            _show(container, as_json=options.json)
        elif action == "allow":
            _allow(container, _rule(words))
        elif action == "remove":
            container.net_remove(int(words[0]) if len(words) == 1 and words[0].isdecimal() else _rule(words))
        elif action == "replace":
            container.net_replace(words)
        else:
            _set_policy(container, options)
    return 0


def _rule(words: list[str]) -> NetRule:
    return words_to_rule(" ".join(words).split())


def _allow(container: Container, rule: NetRule) -> None:
    container.net_out(
        rule.network,
        port_range=rule.ports,
        protocol=rule.protocol.value,
        icmp_type=rule.icmp_type,
        icmp_code=rule.icmp_code,
        log=rule.log,
    )


def _set_policy(container: Container, options: Namespace) -> None:
    wanted: PolicyOptions = {}
    if options.net_allow or options.net_deny:
        wanted |= {"allow": options.net_allow, "deny": options.net_deny}
    if options.connections is not None:
        wanted["connections"] = options.connections
    if options.usual == bool(wanted):
        raise BadInput("net policy: give --allow and --deny, --connections, or --usual")
    container.net_replace(**(wanted or {"usual": True}))


def _show(container: Container, *, as_json: bool) -> None:
    state, refusals = container.net_state(), container.refusals()
    if as_json:
        output.print_json(_as_json(state, refusals))
        return
    rules = [(str(number), *_columns(rule_to_words(rule))) for number, rule in enumerate(state.rules, 1)]
    print(output.table(("RULE", "PROTOCOL", "NETWORK", "PORTS"), rules), end="")
    if state.policy is not None:
        print(f"allowed: {', '.join(state.policy.allow) or '-'}")
        print(f"denied: {', '.join(state.policy.deny) or '-'}")
    if state.connections is not None:
        print(f"connections: {state.connections or 'as many as it likes'}")
    for port in state.ports:
        print(f"port {port_to_text(port)}")
    if refusals.destinations:
        found = [
            (one.address, one.protocol, "-" if one.port is None else str(one.port), str(one.packets))
            for one in refusals.destinations
        ]
        print(output.table(("REFUSED", "PROTOCOL", "PORT", "PACKETS"), found), end="")
    if refusals.further:
        print(f"and {refusals.further} packets to further destinations")
    if refusals.over:
        print(f"and {refusals.over} packets beyond as many connections as one may have")


def _columns(words: list[str]) -> tuple[str, str, str]:
    return words[0], words[1], " ".join(words[2:]) or "-"


def _as_json(state: NetState, refusals: Refusals) -> dict[str, object]:
    from warden.records import asdict

    policy = None if state.policy is None else asdict(state.policy)
    return {
        "rules": [" ".join(rule_to_words(rule)) for rule in state.rules],
        "policy": policy,
        "connections": state.connections,
        "ports": [asdict(port) for port in state.ports],
        "refused": [asdict(one) for one in refusals.destinations],
        "refused_further": refusals.further,
        "refused_over": refusals.over,
    }


def port(options: Namespace) -> int:
    """`warden port`."""
    with closing(connect.open_client(options)) as client:
        container = client.container(options.handle)
        if options.port_add:
            _add(container, options.port_add)
        for text in options.port_remove:
            number, _, protocol = text.partition("/")
            if not number.isdecimal():
                raise BadInput(f"--remove: {text!r} is not a port", hint="PORT or PORT/udp, of the host")
            container.remove_port(int(number), protocol or "tcp")
        if options.inner_port is not None:
            _show_one(options.handle, options.inner_port, container.net_state().ports)
        elif not options.port_add and not options.port_remove:
            _list(container.net_state().ports, as_json=options.json)
    return 0


def _show_one(handle: str, text: str, ports: tuple[PortMap, ...]) -> None:
    """What leads to this port of the container, as docker tells it."""
    number, _, protocol = text.partition("/")
    protocol = protocol or "tcp"
    if not number.isdecimal() or protocol not in ("tcp", "udp"):
        raise BadInput(f"{text!r} is not a port", hint="PORT or PORT/udp, of the container")
    found = [port_to_text(one) for one in ports if (one.container_port, one.protocol) == (int(number), protocol)]
    if not found:
        raise BadInput(f"{handle}: no port of the host leads to its port {number}/{protocol}")
    print("\n".join(line.partition(" -> ")[2] for line in found))


def _add(container: Container, texts: list[str]) -> None:
    """All of them or none; prints those that were chosen."""
    from warden.client.netmessages import ports

    done: list[tuple[int, str]] = []
    try:
        for wish in ports(texts):
            found = container.net_in(
                wish.host_port or None, wish.container_port, protocol=wish.protocol, host_ip=wish.host_ip
            )
            done.append((found[0], wish.protocol))
            if not wish.host_port:
                print(found[0])
    except BaseException:
        for number, protocol in done:
            container.remove_port(number, protocol)
        raise


def _list(ports: tuple[PortMap, ...], *, as_json: bool) -> None:
    if as_json:
        from warden.records import asdict

        output.print_json([asdict(one) for one in ports])
        return
    for one in ports:
        print(port_to_text(one))


COMMANDS = {
    "net": Command(
        "[--graph|--dot|--json] | [--json] HANDLE [ACTION [WORD...]]",
        "Shows how the host and the containers are connected: links, bridges, namespaces, addresses, routes, rules and\n"
        "bandwidth, as the kernel has them; of --dot Graphviz makes a picture. With a HANDLE it shows what that one may "
        "reach,\nwhich ports lead to it, and what it was refused within the last hour; or "
        "changes it at once:\nallow RULE, remove NUMBER|RULE, replace [RULE...] (each one word), policy --allow NET "
        "--deny NET --connections N or --usual.\nRULE: [tcp|udp|icmp|all] NETWORK|any [PORT[:PORT] | TYPE[/CODE]] [log].",
        ("json", "graph", "dot", "net_allow", "net_deny", "connections", "usual", "maybe_handle", "words"),
        """
warden net --graph
warden net --dot | dot -Tsvg > net.svg
warden net box
warden net box allow 10.0.0.0/8 5432
warden net box allow udp any 53
warden net box remove 1
warden net box replace 'tcp any 80:443' 'icmp 0.0.0.0/0 8'
warden net box policy --deny 10.0.0.0/8
warden net box policy --connections 200
warden net box policy --usual
""",
        net,
    ),
    "port": Command(
        "[--json] [--add PORT] [--remove PORT] HANDLE [PORT]",
        "Shows which ports of the host lead to a container, as container port -> host port, or to one PORT of it; or adds\n"
        "and removes some.",
        ("json", "port_add", "port_remove", "handle", "inner_port"),
        """
warden port box
warden port box 53/udp
warden port --add 8080:80 --add 5353:53/udp box
warden port --add 80 box
warden port --remove 8080 --remove 5353/udp box
""",
        port,
    ),
}
