"""`warden explain` for people: a report as text in columns, in English or Chinese.

Pure but for asking whether output is a terminal. Every text from a process (names, commands, paths) is made safe here.
"""

from __future__ import annotations

from collections.abc import Sequence

from warden.cli import layout, output
from warden.explain.firewall import Firewall
from warden.explain.namespaces import Namespace
from warden.explain.network import Network
from warden.explain.note import Text, Unit
from warden.explain.process import Problem, ProcessFacts
from warden.explain.report import Report, Subject
from warden.explain.tables import process as words_of_process
from warden.explain.tables import words
from warden.explain.values import human
from warden.kernel.proc import IdRange, MountRecord, ResourceLimit
from warden.model.size import format_size
from warden.model.text import escaped
from warden.records import dataclass

#: More namesakes in a namespace than this are only counted.
NAMES = 4


@dataclass(frozen=True, slots=True)
class Style:
    """How it is shown. *total*: columns of the terminal. *everything*: nothing is folded."""

    lang: str = "en"
    total: int = 100
    everything: bool = False

    def say(self, text: Text, *parts: object) -> str:
        """The sentence in the language asked for, filled in."""
        return text.of(self.lang).format(*parts) if parts else text.of(self.lang)

    def dim(self, paragraph: str, indent: int) -> str:
        """A paragraph that stands back."""
        lines = layout.indented(paragraph, indent, self.total).splitlines()
        return "".join(output.colour(line, "dim") + "\n" for line in lines)

    def grid(self, rows: Sequence[Sequence[str]], indent: int = 2) -> str:
        return layout.grid(rows, self.total, indent=indent)

    def titled(self, header: Sequence[Text], rows: Sequence[Sequence[str]]) -> str:
        """A table under its column titles."""
        return self.grid([[self.say(title) for title in header], *rows]) if rows else ""


def heading(section: str, style: Style) -> str:
    name, about = words.HEADINGS[section]
    return output.colour(style.say(name), "bold") + "  " + output.colour(style.say(about), "dim") + "\n"


# --- process ---------------------------------------------------------------------------------------------------------


def label(subject: Subject, style: Style) -> str:
    """What a process is called in the report."""
    name = escaped(subject.facts.name)
    if subject.role == "job":
        return f"{style.say(words.JOB, subject.job)} ({name})"
    return f"{style.say(words.INIT if subject.role == 'init' else words.PROCESS)} ({name})"


def process(report: Report, style: Style) -> str:
    """Every subject with what it is."""
    parts = []
    for subject in report.subjects:
        parts.append(f"  {output.colour(label(subject, style), 'bold')}\n")
        if subject.role == "init":
            parts.append(style.dim(style.say(words.INIT_MEANS), 4))
        parts.append(style.grid(_facts(subject.facts, report.container, style), 4))
        parts.append(problems(subject.facts.problems, style))
    if report.subjects[0].role == "init" and len(report.subjects) == 1:
        parts.append("  " + style.say(words.NO_JOBS) + "\n")
    return "".join(parts)


def _facts(facts: ProcessFacts, container: str, style: Style) -> list[tuple[str, str]]:
    inside = ", ".join(map(str, facts.nspid[1:]))
    command = " ".join(map(escaped, facts.command)) or style.say(
        words.KERNEL_THREAD if facts.kernel_thread else words.NONE
    )
    rows = [
        (words.PID, style.say(words.INSIDE, facts.pid, inside) if inside else str(facts.pid)),
        (words.COMMAND, command if style.everything else layout.cut(command, 3 * style.total)),
        (words.STATE, _state(facts.state, style)),
        (words.PARENT, str(facts.parent)),
        (words.USER, _ids(facts.uids, facts.uid_map, style)),
        (words.GROUP, _ids(facts.gids, facts.gid_map, style)),
        (words.THREADS, str(facts.threads)),
        (words.ROOT, "" if facts.root == "/" else escaped(facts.root or "")),
        (words.CONTAINER, container),
    ]
    return [(style.say(name), value) for name, value in rows if value]


def _state(letter: str, style: Style) -> str:
    known = words_of_process.STATES.get(letter)
    return f"{letter}: {style.say(known)}" if known else letter


def _ids(ids: tuple[int, ...], ranges: tuple[IdRange, ...], style: Style) -> str:
    if len(set(ids)) == 1 or len(ids) < 2:
        return _id(ids[0], ranges, style) if ids else ""
    return style.say(words.IDS_OF, _id(ids[1], ranges, style), ids[0], ids[1])


def _id(number: int, ranges: tuple[IdRange, ...], style: Style) -> str:
    """As the host numbers it, and as its own user namespace does where that is another number."""
    inside = [one.inside + number - one.outside for one in ranges if 0 <= number - one.outside < one.count]
    return style.say(words.INSIDE, number, inside[0]) if inside and inside[0] != number else str(number)


def problems(found: Sequence[Problem], style: Style) -> str:
    """What could not be shown, those of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for problem in found:
        by_reason.setdefault(style.say(problem.reason), []).append(problem.what)
    lines = (style.say(words.NOT_SHOWN, ", ".join(names), reason) for reason, names in by_reason.items())
    return "".join(output.colour(layout.indented(line, 4, style.total).rstrip("\n"), "yellow") + "\n" for line in lines)


# --- namespaces ------------------------------------------------------------------------------------------------------


def namespaces(report: Report, style: Style) -> str:
    """One row for each, its meaning below it."""
    if not report.namespaces:
        return "  " + style.say(words.NO_NAMESPACES) + "\n"
    before = (None, *report.namespaces)
    rows = [
        (space.kind, str(space.inode), _whose(report, space, style), _shared(space, previous, style))
        for space, previous in zip(report.namespaces, before, strict=False)
    ]
    widths = [max(layout.width(row[column]) for row in rows) for column in range(3)]
    out = []
    for space, row in zip(report.namespaces, rows, strict=True):
        # A grid of its own for each, in the columns of all: its meaning comes between.
        out.append(style.grid([(*map(layout.pad, row, widths), row[3])]))
        out.append(style.dim(style.say(space.meaning), 6))
        out += [f"      {line}\n" for line in _jobs_apart(report, space, style)]
    return "".join(out)


def _whose(report: Report, space: Namespace, style: Style) -> str:
    if space.host:
        return style.say(words.HOSTS)
    if space.host is None:
        return style.say(words.UNKNOWN)
    if report.container and space.named and all(other.container == report.container for other in space.named):
        return style.say(words.CONTAINERS)
    return style.say(words.NOT_HOSTS if space.own or space.pids else words.OWN)


def _shared(space: Namespace, previous: Namespace | None, style: Style) -> str:
    if not space.pids:
        return "" if space.own else style.say(words.ALONE)
    if previous is not None and space.pids == previous.pids:
        return style.say(words.SHARED_SAME, len(space.pids))
    if not space.named:
        return style.say(words.SHARED_MANY, len(space.pids))
    shown = space.named if style.everything else space.named[:NAMES]
    by_container: dict[str, list[str]] = {}
    for other in shown:
        by_container.setdefault(other.container, []).append(f"{other.pid} {escaped(other.name)}")
    parts = [
        style.say(words.OF_CONTAINER, ", ".join(names), container) if container else ", ".join(names)
        for container, names in by_container.items()
    ]
    left = len(space.pids) - len(shown)
    return style.say(words.SHARED, ", ".join(parts)) + (" " + style.say(words.MORE, left) if left else "")


def _jobs_apart(report: Report, space: Namespace, style: Style) -> list[str]:
    return [
        style.say(words.JOB_APART, subject.job, inode)
        for subject in report.subjects
        if subject.role == "job" and (inode := subject.facts.namespaces.get(space.kind)) not in (None, space.inode)
    ]


# --- mounts ----------------------------------------------------------------------------------------------------------


def mounts(report: Report, style: Style) -> str:
    """The mounts of the process, and what their types are."""
    found = _representative(report).facts.mounts
    size = 10 * style.total if style.everything else max(style.total // 3, layout.NARROWEST)
    rows = [
        (
            layout.cut(escaped(record.target), size),
            escaped(record.fstype),
            _access(record),
            layout.cut(_source(record), size),
        )
        for record in found
    ]
    flags = dict.fromkeys(word for row in rows for word in row[2].split(","))
    types = dict.fromkeys(record.fstype.partition(".")[0] for record in found)
    return (
        style.titled(words.COLUMNS_MOUNTS, rows)
        + _legend(words.TYPES, {name: words_of_process.FILESYSTEMS.get(name) for name in types}, style)
        + _legend(words.FLAGS, {name: words_of_process.MOUNT_FLAGS.get(name) for name in flags}, style)
    )


def _legend(title: Text, entries: dict[str, Text | None], style: Style) -> str:
    rows = [(name, style.say(text)) for name, text in entries.items() if text is not None]
    return "  " + style.say(title) + "\n" + style.grid(rows, 4) if rows else ""


def _access(record: MountRecord) -> str:
    """ro or rw of this mount, and what is forbidden on it."""
    return ",".join(word for word in record.options if word in words_of_process.MOUNT_FLAGS)


def _source(record: MountRecord) -> str:
    inside = "" if record.root == "/" else f"[{record.root}]"
    return escaped(f"{record.source}{inside}")


def _representative(report: Report) -> Subject:
    """Whose mounts and limits a container is described by: a job's, when one runs."""
    return next((subject for subject in report.subjects if subject.role == "job"), report.subjects[0])


# --- ids, resource limits ----------------------------------------------------------------------------------------------


def ids(report: Report, style: Style) -> str:
    """Which ids inside are which outside."""
    facts = report.main
    if not facts.uid_map and not facts.gid_map:
        return "  " + style.say(words.NO_MAP) + "\n"
    whole = IdRange(0, 0, (1 << 32) - 1)
    if facts.uid_map == facts.gid_map == (whole,):
        return "  " + style.say(words.SAME_IDS) + "\n"
    lines = [_range(words.MAP_USERS, one, style) for one in facts.uid_map]
    lines += [_range(words.MAP_GROUPS, one, style) for one in facts.gid_map]
    return "".join(layout.indented(line, 2, style.total) for line in lines)


def _range(text: Text, one: IdRange, style: Style) -> str:
    return style.say(text, one.inside, one.inside + one.count - 1, one.outside, one.outside + one.count - 1)


def rlimits(report: Report, style: Style) -> str:
    """The limits that are set; with *everything* the others too."""
    subject = _representative(report)
    found = subject.facts.limits
    kept = [limit for limit in found if style.everything or limit.soft is not None or limit.hard is not None]
    rows = [_limit(limit, style) for limit in kept]
    text = style.dim(style.say(words.RLIMITS_OF, label(subject, style)), 2) + style.titled(words.COLUMNS_RLIMITS, rows)
    left = len(found) - len(kept)
    return text + (style.dim(style.say(words.RLIMITS_FOLDED, left), 2) if left else "")


def _limit(limit: ResourceLimit, style: Style) -> tuple[str, ...]:
    unit, meaning = words_of_process.RLIMITS.get(limit.name, (Unit.COUNT, Text("", "")))
    values = (human(unit, "max" if value is None else str(value), style.lang) for value in (limit.soft, limit.hard))
    return limit.name.removeprefix("Max "), *values, style.say(meaning)


# --- network, firewall -------------------------------------------------------------------------------------------------


def network(found: Network, other_end: str, style: Style) -> str:
    """Links with addresses and traffic, then routes."""
    rows = [
        (
            escaped(link.counters.name),
            ", ".join(link.addresses) or "-",
            style.say(words.PACKETS, format_size(link.counters.rx_bytes), link.counters.rx_packets),
            style.say(words.PACKETS, format_size(link.counters.tx_bytes), link.counters.tx_packets),
        )
        for link in found.links
    ]
    text = _links(rows, style)
    if other_end:
        text += "  " + style.say(words.OTHER_END, other_end) + "\n"
    if found.loose:
        text += "  " + ", ".join(found.loose) + "\n"
    return text + _routes(found, style) + problems(found.problems, style)


def _links(rows: list[tuple[str, str, str, str]], style: Style) -> str:
    """Addresses may be many and long: each on a line of its own."""
    lines: list[tuple[str, ...]] = []
    for name, addresses, received, sent in rows:
        first, *others = addresses.split(", ")
        lines.append((name, first, received, sent))
        lines += [("", address, "", "") for address in others]
    return style.titled(words.COLUMNS_LINKS, lines)


def _routes(found: Network, style: Style) -> str:
    rows = [
        (
            str(route.network) if route.network.prefixlen else style.say(words.EVERYWHERE),
            str(route.gateway) if route.gateway else style.say(words.DIRECT),
            escaped(route.link),
        )
        for route in found.routes
    ]
    return style.titled(words.COLUMNS_ROUTES, rows)


def firewall(found: Firewall, style: Style) -> str:
    """The rules by table, chain and reason."""
    if found.reason is not None:
        return "  " + style.say(found.reason) + "\n"
    if not found.rules:
        return "  " + style.say(words.NO_RULES) + "\n"
    out, place = [], ""
    for rule in found.rules:
        where = output.colour(escaped(f"{rule.table} {rule.kind} {rule.name}"), "bold")
        here = f"  {where}  {output.colour(style.say(rule.why), 'dim')}\n"
        out += [here] if here != place else []
        out.append(style.grid([(escaped(rule.text),)], 4))
        place = here
    return "".join(out)
