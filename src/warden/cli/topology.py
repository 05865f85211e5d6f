"""`warden net` without a container: how host, bridges, links and containers are connected, as a tree, JSON or for dot."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from warden.cli import connect, output
from warden.errors import BadInput
from warden.model.size import format_size
from warden.model.text import escaped

if TYPE_CHECKING:
    from warden.model.topology import Node, Space, Topology

#: A line of the tree, and what hangs from it.
Branch = tuple[str, list["Branch"]]


def show(options: Namespace) -> int:
    """`warden net` without a HANDLE."""
    if options.maybe_handle is not None:
        raise BadInput("net: --graph and --dot show all containers", hint="leave the HANDLE out")
    if options.dot and options.json:
        raise BadInput("net: --dot and --json exclude each other")
    with closing(connect.open_client(options)) as client:
        topology = client.topology()
    if options.json:
        from warden.records import asdict

        output.print_json(asdict(topology))
    else:
        print(dot(topology) if options.dot else tree(topology), end="")
    return 0


# ---- the tree


def tree(topology: Topology) -> str:
    """Every container below the host's end of its first link, those without any at the end."""
    host, *others = topology.spaces
    left = {space.inode: space for space in others}
    branches = [_host_link(host, node, left) for node in host.links if not node.master]
    branches += [(f"route {escaped(route)}", []) for route in host.routes]
    lines = [output.colour(_title(host), "bold"), *_drawn(branches)]
    for space in list(left.values()):
        lines += [output.colour(_title(space), "bold"), *_drawn(_inside(space))]
    lines += [f"{escaped(handle)}: could not be looked into" for handle in topology.gone]
    return "".join(line + "\n" for line in lines)


def _title(space: Space) -> str:
    names = ", ".join(map(escaped, space.handles))
    if space.host:
        return f"host net:[{space.inode}]" + (f", also of {names}" if names else "")
    return f"{names} net:[{space.inode}]"


def _host_link(host: Space, node: Node, left: dict[int, Space]) -> Branch:
    below = [_host_link(host, port, left) for port in host.links if port.master == node.index]
    space = left.pop(node.other_space, None)
    if space is not None:
        below.append((output.colour(_title(space), "bold"), _inside(space)))
    text = _words(node)
    if space is None and node.other_space:
        text += f" -> net:[{node.other_space}]"
    for space in [one for one in left.values() if _parent_of(one, host) == node.index]:
        del left[space.inode]
        below.append((output.colour(_title(space), "bold"), _inside(space)))
    return text, below


def _parent_of(space: Space, host: Space) -> int:
    """The link of the host that this one's first link with a parent lies on, 0 for none."""
    found = (node.other for node in space.links if node.other_space == host.inode and node.kind != "veth")
    tied = any(node.kind == "veth" and node.other for node in space.links)
    return 0 if tied else next(found, 0)


def _inside(space: Space) -> list[Branch]:
    lines = [*map(_words, space.links)]
    for word, texts in (("route", space.routes), ("rule", space.rules), ("port", space.ports)):
        lines += [f"{word} {escaped(text)}" for text in texts]
    return [(line, []) for line in lines]


def _words(node: Node) -> str:
    words = [escaped(node.name)]
    if node.kind:
        words.append(f"({escaped(node.kind)})")
    if node.network:
        words.append(f"network {escaped(node.network)}")
    words += [escaped(address) for address in node.addresses]
    words += [f"mtu {node.mtu}", "up" if node.up else "down"]
    for way, bucket in (("in", node.bandwidth_in), ("out", node.bandwidth_out)):
        if bucket:
            rate, burst = map(int, bucket.split())
            words.append(f"{way} {format_size(rate)}/s, burst {format_size(burst)}")
    return " ".join(words)


def _drawn(branches: Sequence[Branch], before: str = "") -> Iterator[str]:
    for number, (text, below) in enumerate(branches, 1):
        last = number == len(branches)
        yield before + ("└─ " if last else "├─ ") + text
        yield from _drawn(below, before + ("   " if last else "│  "))


# ---- Graphviz


def dot(topology: Topology) -> str:
    """The same for dot(1): a box for each namespace, an edge for each pair, port and parent."""
    lines = ["graph warden {", "  node [shape=box];"]
    for place, space in enumerate(topology.spaces):
        lines += [f"  subgraph cluster_{place} {{", f"    label={_quoted(_title(space))};"]
        lines += [f"    {_id(space.inode, node.index)} [label={_quoted(*_label(node))}];" for node in space.links]
        lines.append("  }")
    lines += sorted(set(_edges(topology.spaces)))
    return "\n".join([*lines, "}"]) + "\n"


def _label(node: Node) -> Iterable[str]:
    yield node.name + (f" ({node.kind})" if node.kind else "")
    yield from node.addresses
    for way, bucket in (("in", node.bandwidth_in), ("out", node.bandwidth_out)):
        if bucket:
            yield f"{way} {format_size(int(bucket.split()[0]))}/s"


def _edges(spaces: Sequence[Space]) -> Iterator[str]:
    known = {(space.inode, node.index) for space in spaces for node in space.links}
    for space in spaces:
        for node in space.links:
            here = (space.inode, node.index)
            for there in ((space.inode, node.master), (node.other_space, node.other)):
                if there in known and there != here:
                    first, second = sorted((here, there))
                    yield f"  {_id(*first)} -- {_id(*second)};"


def _id(inode: int, index: int) -> str:
    return f"n{inode}_{index}"


def _quoted(*lines: str) -> str:
    """A quoted string of dot, of several lines; escapes of ours stay visible."""
    texts = (escaped(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(texts) + '"'
