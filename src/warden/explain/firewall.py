"""The firewall rules of this network namespace that concern one container: by its link, its address, its own chain.

Reads what `nft list ruleset` prints and changes nothing. The picking is pure.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from warden.explain.note import Text
from warden.records import dataclass

TIMEOUT_S = 5.0
#: What a table of nftables may contain, by the word that begins its block: nft(8).
_BLOCKS = ("chain", "set", "map", "flowtable", "counter", "quota", "limit", "ct")
_PREFIX = re.compile(r"(?<![\w.])([0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2})(?![\w.])")
_SET = re.compile(r"@([\w-]+)")
_OWN_SET = re.compile(r"@(warden-o-\w+)")  # of one container's own chain: what it may reach
_JUMP = re.compile(r"\b(?:goto|jump) ([\w-]+)")

NO_NFT = Text("the program nft is not installed", "没有安装 nft 程序")
TOO_SLOW = Text("nft gave no answer in 5 seconds", "nft 在 5 秒内没有答复")

BY_LINK = Text("names its link", "提到它的网卡")
BY_ADDRESS = Text("names its address", "提到它的地址")
BY_NETWORK = Text("its address is in that network", "它的地址在该网段内")
BY_SET = Text("looks into a set that holds it", "查询包含它的集合")
BY_CHAIN = Text("a chain entered for it", "为它进入的链")


@dataclass(frozen=True, slots=True)
class Block:
    """A chain, set or map of one table, and its lines: rules, or elements one by one."""

    table: str
    kind: str
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule or element that concerns the container, where it stands, and why it does."""

    table: str
    kind: str
    name: str
    text: str
    why: Text


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom it is about: the host's end of its link, and its addresses."""

    link: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Firewall:
    """*reason*: why nothing could be read."""

    rules: tuple[Rule, ...] = ()
    reason: Text | None = None


def read_firewall(subject: Subject) -> Firewall:
    """What nft tells. No nft, or no table, is no error."""
    command = ["nft", "list", "ruleset"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        return Firewall(reason=NO_NFT)
    except subprocess.TimeoutExpired:
        return Firewall(reason=TOO_SLOW)
    if done.returncode:
        words = done.stderr.strip().splitlines()[:1] or ["nft failed"]
        return Firewall(reason=Text(words[0], words[0]))
    return Firewall(tuple(concerning(list(blocks(done.stdout)), subject)))


def blocks(ruleset: str) -> Iterator[Block]:
    """The chains, sets and maps in the text of `nft list ruleset`."""
    table, kind, name, lines = "", "", "", list[str]()
    for raw in ruleset.splitlines():
        line = raw.strip()
        words = line.split()
        if line.startswith("table ") and line.endswith("{"):
            table = " ".join(words[1:-1])
        elif line.endswith("{") and words[0] in _BLOCKS and raw.startswith("\t") and not raw.startswith("\t\t"):
            kind, name, lines = words[0], words[1], []
        elif line == "}" and raw == "\t}":
            yield Block(table, kind, name, tuple(_elements(lines) if kind in ("set", "map") else lines))
        elif line and line != "}":
            lines.append(line)


def _elements(lines: list[str]) -> Iterator[str]:
    """The elements of a set, which nft breaks into lines as it likes."""
    text = " ".join(lines)
    _, found, rest = text.partition("elements = {")
    if found:
        yield from filter(None, (part.strip() for part in rest.rpartition("}")[0].split(",")))


def concerning(found: list[Block], subject: Subject) -> Iterator[Rule]:
    """The rules and elements about *subject*, in the kernel's order within each table."""
    for table in dict.fromkeys(block.table for block in found):
        blocks_of = [block for block in found if block.table == table and not _is_log(block)]
        yield from _in_table(blocks_of, subject)


def _is_log(block: Block) -> bool:
    """What our tables remember of refused connections is no rule; `warden net` shows it."""
    return block.kind == "set" and block.name.startswith(("refused", "pace", "over", "knocks"))


def _in_table(found: list[Block], subject: Subject) -> Iterator[Rule]:
    """Elements that name it; rules that do, that look into its sets, or stand in a chain which such a rule enters."""
    named = [(block, line) for block in found for line in block.lines if _names(line, subject)]
    held = {block.name for block, _ in named if block.kind in ("set", "map")}
    if not named:
        return
    entered = _entered(found, subject, held)
    own = {name for b in found if b.name in entered for line in b.lines for name in _OWN_SET.findall(line)}
    for block in found:
        for line in block.lines:
            why = BY_CHAIN if block.name in own else _why(block, line, subject, held, entered)
            if why is not None:
                yield Rule(block.table, block.kind, block.name, line, why)


def _entered(found: list[Block], subject: Subject, held: set[str]) -> set[str]:
    """The chains that a packet of its may come into by goto and jump."""
    entered = set[str]()
    while True:
        lines = (line for b in found for line in b.lines if _why(b, line, subject, held, entered) is not None)
        more = {name for line in lines for name in _JUMP.findall(line)} - entered
        if not more:
            return entered
        entered |= more


def _names(line: str, subject: Subject) -> Text | None:
    if subject.link and f'"{subject.link}"' in line:
        return BY_LINK
    for address in subject.addresses:
        if re.search(rf"(?<![\w.]){re.escape(address)}(?![\w./])", line):
            return BY_ADDRESS
    return None


def _why(block: Block, line: str, subject: Subject, held: set[str], entered: set[str]) -> Text | None:
    if (named := _names(line, subject)) is not None or block.kind != "chain":
        return named
    if block.name in entered:
        return BY_CHAIN
    if held & set(_SET.findall(line)):
        return BY_SET
    networks = filter(None, map(_network, _PREFIX.findall(line)))
    inside = any(IPv4Address(address) in network for network in networks for address in _ipv4(subject))
    return BY_NETWORK if inside else None


def _ipv4(subject: Subject) -> list[str]:
    return [address for address in subject.addresses if "." in address and ":" not in address]


def _network(text: str) -> IPv4Network | None:
    try:
        network = IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        return None
    return network if network.prefixlen else None
