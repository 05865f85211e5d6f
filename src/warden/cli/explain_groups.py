"""`warden explain` for people: the sections on cgroups, capabilities and seccomp, which explain word by word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from warden.cli import layout, output
from warden.cli.explain_view import Style, label
from warden.explain.groups import ControlFile, Group
from warden.explain.note import Text, Unit
from warden.explain.report import Report, Subject
from warden.explain.tables import capabilities as capability_words
from warden.explain.tables import process as words_of_process
from warden.explain.tables import words
from warden.explain.values import Shown, is_default, show
from warden.kernel.proc import CAPABILITIES, CapabilitySets, capability_names

#: Sets with more capabilities missing than this are listed by what they have.
FEW = 6
#: What a job's group is summed up by in the compact view.
HEADLINES = frozenset(
    {"memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt", "memory.current", "memory.peak"}
    | {"cpuacct.usage", "freezer.state", "pids.current", "cgroup.freeze"}
)


def cgroups(report: Report, style: Style, *, filtered: bool) -> str:
    """Every group with its files. *filtered*: controllers were named, so nothing of theirs is folded away whole."""
    container = any(group.role == "container" for group in report.groups)
    parts = []
    for group in report.groups:
        aside = group.role == "process" and (container or group.is_root) and not (filtered and not container)
        parts.append(_group(group, style, brief=aside and not style.everything, container=container))
    return "".join(parts)


def _group(group: Group, style: Style, *, brief: bool, container: bool) -> str:
    path = layout.clean(group.path)
    head = f"  {output.colour(f'{group.title}  {path}', 'bold')}"
    about = _about(group, style, container=container)
    text = head + "\n" + (style.dim(about, 4) if about else "")
    if group.reason is not None:
        return (
            text + output.colour(layout.indented(style.say(group.reason), 4, style.total).rstrip("\n"), "yellow") + "\n"
        )
    if group.directory:
        text += style.dim(layout.clean(group.directory), 4)
    if brief:
        return text + style.dim(style.say(words.ROOT_FOLDED, len(group.files), _controller_option(group)), 4)
    if group.members:
        members = group.members if style.everything else group.members[:8]
        listed = ", ".join(map(str, members)) + (" …" if len(members) < len(group.members) else "")
        text += "    " + style.say(words.MEMBERS, listed) + "\n"
    return text + _files(group, style)


def _controller_option(group: Group) -> str:
    return "NAME" if group.is_v2 else ",".join(group.controllers).removeprefix("name=")


def _about(group: Group, style: Style, *, container: bool) -> str:
    if group.role == "container":
        return style.say(words.ROLE_CONTAINER)
    if group.role == "job":
        return style.say(words.ROLE_JOB, group.job)
    if container and group.path.endswith("/wshd"):
        return style.say(words.ROLE_INIT)
    return style.say(words.ROLE_ROOT) if group.is_root else ""


def _files(group: Group, style: Style) -> str:
    if not group.files or group.controllers == ("perf_event",):
        return style.dim(style.say(words.NO_FILES), 4) if group.controllers == ("perf_event",) else ""
    shown = [file for file in group.files if style.everything or _is_worth(group, file)]
    names = {file.name for file in shown}
    folded = [file.name for file in group.files if file.name not in names]
    size = max((layout.width(file.name) for file in shown), default=0)
    text = "".join(_file(file, size, style) for file in shown)
    return text + (style.dim(style.say(words.FOLDED, len(folded), ", ".join(folded)), 4) if folded else "")


def _is_worth(group: Group, file: ControlFile) -> bool:
    """Whether the compact view shows a file: one that says something, and of a job only the headlines."""
    if file.raw is None:
        return file.reason is not None and file.note is not None and file.note.unit is not Unit.NONE
    if file.note is not None and file.note.unit is Unit.PIDS:
        return False  # the line about its members tells it
    if group.role == "job" and file.name not in HEADLINES:
        return False
    return not is_default(file.note, file.raw)


def _file(file: ControlFile, size: int, style: Style) -> str:
    """Name and value, what it means, how to change it."""
    shown = _content(file, style)
    name = output.colour(layout.pad(file.name, size), "cyan")
    out = f"    {name}  {output.colour(layout.clean(shown.value), 'bold')}".rstrip() + "\n"
    if file.note is None:
        return out + style.dim(style.say(words.UNKNOWN_FILE), 8)
    change = style.say(file.note.change) if file.note.change else ""
    out += style.dim(style.say(file.note.meaning), 8)
    out += _lines(shown, style)
    return out + style.dim("→ " + (change or style.say(words.READ_ONLY)), 8)


def _content(file: ControlFile, style: Style) -> Shown:
    if file.raw is None:
        return Shown(style.say(file.reason or words.WRITE_ONLY))
    return show(file.note, file.raw, style.lang, everything=style.everything)


def _lines(shown: Shown, style: Style) -> str:
    rows = [
        (layout.clean(line.name), layout.clean(line.value), style.say(line.meaning) if line.meaning else "")
        for line in shown.lines
    ]
    if rows and not any(row[2] for row in rows):
        rows = [(row[0], row[1]) if row[0] else (row[1],) for row in rows]  # type: ignore[misc]
    text = style.grid(rows, 8)
    return text + (style.dim(style.say(words.LINES_HIDDEN, shown.hidden), 8) if shown.hidden else "")


# --- capabilities, seccomp ---------------------------------------------------------------------------------------------


def capabilities(report: Report, style: Style) -> str:
    """Sets of each process, then one sentence for each capability that any of them has, where these are few."""
    text = _where_they_count(report, style)
    for subject in report.subjects:
        text += f"  {output.colour(label(subject, style), 'bold')}\n"
        sets = _sets(subject.facts.capabilities)
        rows = [(name, _summed_up(mask, style), style.say(capability_words.SETS[name])) for name, mask in sets]
        text += style.grid([(name, members) for name, members, _ in rows], 4)
    text += "\n" + style.grid([(name, style.say(capability_words.SETS[name])) for name, _ in _sets(CapabilitySets())])
    return text + _each(report.subjects, style)


def _sets(sets: CapabilitySets) -> list[tuple[str, int]]:
    return [(name, getattr(sets, name)) for name in capability_words.SETS]


def _summed_up(mask: int, style: Style) -> str:
    names = capability_names(mask)
    missing = [name for name in CAPABILITIES if name not in names]
    if not names:
        return style.say(words.NONE)
    if not missing:
        return style.say(words.ALL_OF_THEM, len(names))
    return style.say(words.ALL_BUT, ", ".join(missing)) if len(missing) <= FEW else ", ".join(names)


def _where_they_count(report: Report, style: Style) -> str:
    space = next((space for space in report.namespaces if space.kind == "user"), None)
    if space is None or space.host is None:
        return ""
    return style.dim(style.say(words.COUNT_ON_HOST) if space.host else style.say(words.COUNT_ONLY_IN, space.inode), 2)


def _each(subjects: Iterable[Subject], style: Style) -> str:
    """A sentence for each; of complete sets only with *everything*, since they teach nothing about this process."""
    mask, spelled = 0, style.everything
    for subject in subjects:
        for _, members in _sets(subject.facts.capabilities):
            missing = len(CAPABILITIES) - len(capability_names(members))
            if spelled or missing > FEW:
                mask |= members
    rows = [(name, style.say(_meaning(name))) for name in capability_names(mask)]
    return ("\n" + style.grid(rows)) if rows else ""


def _meaning(name: str) -> Text:
    return capability_words.CAPABILITIES.get(name, words.UNKNOWN_FILE)


def seccomp(report: Report, style: Style) -> str:
    """System call filter and no_new_privs of each process."""
    rows: list[tuple[str, str, str]] = []
    for subject in report.subjects:
        facts = subject.facts
        mode = style.say(words_of_process.SECCOMP_MODES.get(facts.seccomp, words.UNKNOWN))
        if facts.seccomp_filters:
            mode = style.say(words.FILTERS, mode, facts.seccomp_filters)
        rows.append((label(subject, style), "seccomp", mode))
        rows.append(("", "no_new_privs", style.say(words_of_process.NO_NEW_PRIVS[min(facts.no_new_privs, 1)])))
    return style.grid(rows)


Rows = Sequence[Sequence[str]]
