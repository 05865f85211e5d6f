"""`warden explain` for people: the sections on cgroups, capabilities and seccomp, which explain word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from warden.cli import layout, output
from warden.cli.explain_view import Style, label
from warden.explain.groups import ControlFile, Group
from warden.explain.lookup import CORE
from warden.explain.note import Text, Unit
from warden.explain.report import Report, Subject
from warden.explain.tables import capabilities as capability_words
from warden.explain.tables import process as words_of_process
from warden.explain.tables import words
from warden.explain.values import Shown, is_default, show
from warden.kernel.proc import CAPABILITIES, CapabilitySets, capability_names
from warden.model.text import escaped

#: Sets with more capabilities missing than this are listed by what they have.
FEW = 6
#: What a job's group is summed up by in the compact view.
HEADLINES = frozenset(
    {"memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt", "memory.current", "memory.peak"}
    | {"cpuacct.usage", "cpu.stat", "freezer.state", "pids.current", "cgroup.freeze"}
)


#: What only repeats another file in more detail.
DETAILS = re.compile(r".*numa_stat|cpuacct\.(usage_percpu.*|usage_all|stat)|memory\.(memsw|kmem)\..*usage_in_bytes")


def cgroups(report: Report, style: Style, controllers: Sequence[str]) -> str:
    """Every group with its files. *controllers* that were named have none of their groups folded away whole."""
    filtered = bool(controllers)
    if filtered and not report.groups:
        return "  " + style.say(words.NO_CONTROLLER, ", ".join(controllers)) + "\n"
    container = any(group.role == "container" for group in report.groups)
    aside = [] if style.everything else [g for g in report.groups if _stands_aside(g, container, filtered=filtered)]
    jobs = [] if style.everything else [group for group in report.groups if group.role == "job"]
    parts = []
    for group in report.groups:
        if group not in aside and group not in jobs:
            parts.append(_group(group, style, container=container))
            parts.append(_jobs([job for job in jobs if job.title == group.title], style))
    return "".join(parts) + _aside(aside, style, container=container)


def _stands_aside(group: Group, container: bool, *, filtered: bool) -> bool:
    """A group that the reader did not ask about: a root, or where PID 1 of a container stands."""
    if group.role != "process" or group.reason is not None:
        return False
    return group.path.endswith("/wshd") if filtered and container else container or (group.is_root and not filtered)


def _group(group: Group, style: Style, *, container: bool) -> str:
    place = escaped(group.directory or group.path)
    text = f"  {output.colour(_title(group), 'bold')}  {place}\n"
    if about := _about(group, style, container=container):
        text += style.dim(about, 4)
    if group.reason is not None:
        return text + output.colour("    " + style.say(group.reason), "yellow") + "\n"
    if group.members:
        text += "    " + style.say(words.MEMBERS, _members(group, style)) + "\n"
    return text + _files(group, style)


def _title(group: Group) -> str:
    return "cgroup v2" if group.is_v2 else f"{group.title} (v1)"


def _members(group: Group, style: Style) -> str:
    shown = group.members if style.everything else group.members[:8]
    return ", ".join(map(str, shown)) + (" …" if len(shown) < len(group.members) else "")


def _about(group: Group, style: Style, *, container: bool) -> str:
    if group.role == "container":
        return style.say(words.ROLE_CONTAINER)
    if group.role == "job":
        return style.say(words.ROLE_JOB, group.job)
    if container and group.path.endswith("/wshd"):
        return style.say(words.ROLE_INIT)
    return style.say(words.ROLE_ROOT) if group.is_root else ""


def _jobs(groups: Sequence[Group], style: Style) -> str:
    """A line for each job: what its group counts."""
    rows = []
    for group in groups:
        files = [file for file in group.files if file.name in HEADLINES and not is_default(file.note, file.raw or "")]
        use = ", ".join(f"{file.name} {_in_short(_content(file, style))}" for file in files)
        rows.append((style.say(words.JOB, group.job), use or style.say(words.MEMBERS, _members(group, style))))
    return style.dim(style.say(words.JOBS_USE), 4) + style.grid(rows, 6) if rows else ""


def _in_short(shown: Shown) -> str:
    """One value; of a keyed file the first, which is the total."""
    return f"{shown.lines[0].name} {shown.lines[0].value}" if shown.lines else shown.value


def _aside(groups: Sequence[Group], style: Style, *, container: bool) -> str:
    """Groups that say little here, those at one path together."""
    places: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        places.setdefault((_about(group, style, container=container), group.path), []).append(group.title)
    text = ""
    for (about, path), titles in places.items():
        text += f"  {output.colour(', '.join(titles), 'bold')}  {escaped(path)}\n"
        text += style.dim(about, 4) if about else ""
    return text + (style.dim(style.say(words.ASIDE), 4) if text else "")


def _files(group: Group, style: Style) -> str:
    if group.controllers == ("perf_event",) and not style.everything:
        return style.dim(style.say(words.NO_FILES), 4)
    shown = [file for file in group.files if style.everything or _is_worth(file)]
    names = {file.name for file in shown}
    size = max((layout.width(file.name) for file in shown), default=0)
    return "".join(_file(file, size, style) for file in shown) + _folded(
        [file for file in group.files if file.name not in names], style
    )


def _folded(files: Sequence[ControlFile], style: Style) -> str:
    """The others by name, but for those that every group has; settings with their value."""
    if not files:
        return ""
    names = [f"{file.name} {_setting(file, style)}".rstrip() for file in files if file.controller != CORE]
    text = style.say(words.FOLDED, len(files), ", ".join(names)) if names else style.say(words.FOLDED_CORE, len(files))
    return style.dim(text, 4)


def _setting(file: ControlFile, style: Style) -> str:
    """The value of what is a setting and one number."""
    if file.note is None or file.raw is None or not file.note.default or file.note.unit is Unit.FLAT:
        return ""
    return escaped(_content(file, style).value)


def _is_worth(file: ControlFile) -> bool:
    """Whether the compact view shows a file: one that says something of its own."""
    if file.raw is None:
        return file.reason is not None and file.note is not None and file.note.unit is not Unit.NONE
    if file.note is not None and file.note.unit is Unit.PIDS:
        return False  # the line about its members tells it
    return not DETAILS.fullmatch(file.name) and not is_default(file.note, file.raw)


def _file(file: ControlFile, size: int, style: Style) -> str:
    """Name and value, what it means, how to change it."""
    shown = _content(file, style)
    name = output.colour(layout.pad(file.name, size), "cyan")
    value = output.colour(escaped(shown.value), "bold") if shown.value else ""
    out = f"    {name}  {value}".rstrip() + "\n"
    if file.note is None:
        return out + style.dim(style.say(words.UNKNOWN_FILE), 8) + _lines(shown, style)
    meaning = style.say(file.note.meaning)
    if file.note.change is None:
        joint = "" if style.lang == "zh" else " "
        return out + style.dim(meaning + joint + style.say(words.READ_ONLY), 8) + _lines(shown, style)
    return out + style.dim(meaning, 8) + _lines(shown, style) + style.dim("→ " + style.say(file.note.change), 8)


def _content(file: ControlFile, style: Style) -> Shown:
    if file.raw is None:
        return Shown(style.say(file.reason or words.WRITE_ONLY))
    return show(file.note, file.raw, style.lang, everything=style.everything)


def _lines(shown: Shown, style: Style) -> str:
    """The lines of a keyed file, each with its sentence where there is one."""
    rows: list[tuple[str, ...]] = [
        (escaped(line.name), escaped(line.value), style.say(line.meaning) if line.meaning else "")
        for line in shown.lines
    ]
    if not any(row[2] for row in rows):
        rows = [row[:2] if any(one[0] for one in rows) else row[1:2] for row in rows]
    return style.grid(rows, 8) + (style.dim(style.say(words.LINES_HIDDEN, shown.hidden), 8) if shown.hidden else "")


# --- capabilities, seccomp ---------------------------------------------------------------------------------------------


def capabilities(report: Report, style: Style) -> str:
    """Sets of each process, then one sentence for each capability that any of them has, where these are few."""
    text = _where_they_count(report, style)
    for subject in report.subjects:
        text += f"  {output.colour(label(subject, style), 'bold')}\n"
        alike: dict[int, list[str]] = {}
        for name, mask in _sets(subject.facts.capabilities):
            alike.setdefault(mask, []).append(name)
        text += style.grid([(", ".join(names), _summed_up(mask, style)) for mask, names in alike.items()], 4)
    text += "\n" + style.grid([(name, style.say(meaning)) for name, meaning in capability_words.SETS.items()])
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
