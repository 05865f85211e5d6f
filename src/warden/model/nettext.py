"""Rules and ports of the network as people write them: "tcp 10.0.0.0/8 80:90 log" and "127.0.0.1:8080:80/udp". Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address

from warden.errors import BadInput
from warden.model.net import PORT_PROTOCOLS, NetRule, PortMap, Protocol, check_port

ANY = "any"
MAX_RANGE = 4096  # each port is held against the host's other programs, which costs a descriptor
_RULE_HINT = "[tcp|udp|icmp|all] NETWORK|any [PORT[:PORT] | TYPE[/CODE]] [log]"
_PORT_HINT = "[IP:]HOST[-END]:CONTAINER[-END][/tcp|/udp], or CONTAINER for a port that is chosen"
_PUBLISH = re.compile(
    r"(?:(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?=.*:|:))?(?:(?P<host>[0-9]+(?:-[0-9]+)?)?:)?"
    r"(?P<inside>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>[A-Za-z]+))?"
)


def words_to_rule(words: Sequence[str]) -> NetRule:
    """ "udp 10.0.0.0/8 53 log", each word by itself; without a protocol it is TCP, with "any" every network outside those
    of containers. Raises BadInput."""
    left = [word for word in words if word]
    protocol = Protocol(left.pop(0)) if left and left[0] in {one.value for one in Protocol} else Protocol.TCP
    if not left:
        raise BadInput("rule: a network is missing", hint=_RULE_HINT)
    if left[0].isalpha() and left[0] != ANY:
        raise BadInput(f"rule: {left[0]!r} is neither a protocol nor a network", hint=_RULE_HINT)
    network = left.pop(0)
    log = bool(left) and left[-1] == "log"
    if log:
        left.pop()
    if len(left) > 1:
        raise BadInput(f"rule: {' '.join(left[1:])!r} means nothing here", hint=_RULE_HINT)
    where = None if network == ANY else network
    if protocol is Protocol.ICMP and left:
        kind, code = _icmp(left[0])
        return NetRule(where, None, protocol, kind, code, log)
    if where is None and not left:
        where = "0.0.0.0/0"
    return NetRule(where, left[0] if left else None, protocol, log=log)


def _icmp(text: str) -> tuple[int, int | None]:
    kind, slash, code = text.partition("/")
    if not kind.isdecimal() or (slash and not code.isdecimal()):
        raise BadInput(f"rule: {text!r} is not an ICMP type", hint="TYPE or TYPE/CODE, such as 8 or 3/4")
    return int(kind), int(code) if slash else None


def rule_to_words(rule: NetRule) -> list[str]:
    """What `words_to_rule` takes."""
    words = [rule.protocol.value, rule.network or ANY]
    kind, code = rule.icmp
    if rule.ports is not None:
        words.append(rule.ports)
    elif kind is not None:
        words.append(str(kind) if code is None else f"{kind}/{code}")
    return [*words, "log"] if rule.log else words


def text_to_ports(text: str) -> tuple[PortMap, ...]:
    """One --publish; a host port of 0 is still to be chosen. Raises BadInput."""
    match = _PUBLISH.fullmatch(text)
    if match is None:
        raise BadInput(f"publish: {text!r} is not a port", hint=_PORT_HINT)
    protocol = (match["protocol"] or "tcp").lower()
    if protocol not in PORT_PROTOCOLS:
        raise BadInput(f"publish: {protocol!r} has no ports here", hint=" or ".join(PORT_PROTOCOLS))
    inside = _range(match["inside"], text)
    host = range(0) if match["host"] is None else _range(match["host"], text)
    if host and len(host) != len(inside):
        raise BadInput(f"publish: {text!r}: {len(host)} ports cannot lead to {len(inside)}", hint="ranges of one length")
    ip = match["six"] or match["four"]
    if ip is not None:
        ip = _address(ip, text)
    return tuple(PortMap(ip, host[n] if host else 0, port, protocol) for n, port in enumerate(inside))


def _range(text: str, whole: str) -> range:
    first, dash, last = text.partition("-")
    low = check_port(int(first), "publish")
    high = check_port(int(last), "publish") if dash else low
    if low > high:
        raise BadInput(f"publish: {whole!r}: the last port is below the first")
    if high - low >= MAX_RANGE:
        raise BadInput(f"publish: {whole!r}: more than {MAX_RANGE} ports")
    return range(low, high + 1)


def _address(text: str, whole: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise BadInput(f"publish: {whole!r}: {text!r} is not an address", hint=_PORT_HINT) from None


def port_to_text(port: PortMap) -> str:
    """As docker shows it: "80/tcp -> 0.0.0.0:8080"."""
    ip = port.host_ip or "0.0.0.0"
    return f"{port.container_port}/{port.protocol} -> {f'[{ip}]' if ':' in ip else ip}:{port.host_port}"
