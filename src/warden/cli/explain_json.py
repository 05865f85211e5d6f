"""`warden explain --json`: the report as plain data. The names of members are a promise; new ones may be added."""

from __future__ import annotations

from typing import Any

from warden.explain.firewall import Firewall
from warden.explain.groups import ControlFile, Group
from warden.explain.namespaces import Namespace
from warden.explain.network import Network
from warden.explain.note import UNIT_NAMES, Text
from warden.explain.process import Problem
from warden.explain.report import Report, Subject
from warden.explain.tables import capabilities as capability_words
from warden.explain.tables import process as words_of_process
from warden.explain.values import is_default, show
from warden.kernel.proc import IdRange, MountRecord, ResourceLimit, capability_names

Json = dict[str, Any]


def safe(text: str) -> str:
    """Bytes that are no UTF-8, which /proc may show, as escapes that any JSON reader takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_json(
    report: Report, firewall: Firewall | None, handle: str | None, lang: str, sections: tuple[str, ...]
) -> Json:
    """The parts that were asked for, each under the name of its section."""
    parts: Json = {
        "process": [_subject(subject, lang) for subject in report.subjects],
        "namespaces": [_namespace(space, lang) for space in report.namespaces],
        "cgroups": [_group(group, lang) for group in report.groups],
        "mounts": [_mount(record) for record in report.main.mounts],
        "capabilities": [_capabilities(subject, lang) for subject in report.subjects],
        "seccomp": [_seccomp(subject, lang) for subject in report.subjects],
        "ids": {"users": _ranges(report.main.uid_map), "groups": _ranges(report.main.gid_map)},
        "rlimits": [_rlimits(subject, lang) for subject in report.subjects],
        "network": _network(report.network, lang),
        "firewall": _firewall(firewall, lang),
    }
    head: Json = {"handle": handle, "container": report.container or None, "pid": report.main.pid, "lang": lang}
    return head | {name: parts[name] for name in sections}


def _of(text: Text | None, lang: str) -> str | None:
    return None if text is None else text.of(lang)


def _whose(subject: Subject) -> Json:
    return {"pid": subject.facts.pid, "role": subject.role, "job": subject.job or None}


def _subject(subject: Subject, lang: str) -> Json:
    facts = subject.facts
    return _whose(subject) | {
        "name": safe(facts.name),
        "command": [safe(word) for word in facts.command],
        "state": facts.state,
        "parent": facts.parent,
        "threads": facts.threads,
        "uids": list(facts.uids),
        "gids": list(facts.gids),
        "pids_inside": list(facts.nspid),
        "kernel_thread": facts.kernel_thread,
        "root": None if facts.root is None else safe(facts.root),
        "problems": [_problem(problem, lang) for problem in facts.problems],
    }


def _problem(problem: Problem, lang: str) -> Json:
    return {"what": problem.what, "reason": problem.reason.of(lang)}


def _namespace(space: Namespace, lang: str) -> Json:
    return {
        "kind": space.kind,
        "inode": space.inode,
        "host": space.host,
        "own": space.own,
        "isolates": space.meaning.of(lang),
        "shared_with": list(space.pids),
        "shared_names": [
            {"pid": other.pid, "name": safe(other.name), "container": other.container or None} for other in space.named
        ],
    }


def _group(group: Group, lang: str) -> Json:
    return {
        "controllers": list(group.controllers),
        "version": 2 if group.is_v2 else 1,
        "path": safe(group.path),
        "directory": safe(group.directory) or None,
        "role": group.role,
        "job": group.job or None,
        "reason": _of(group.reason, lang),
        "processes": list(group.members),
        "files": [_file(file, lang) for file in group.files],
    }


def _file(file: ControlFile, lang: str) -> Json:
    note = file.note
    shown = None if file.raw is None else show(note, file.raw, lang, everything=True)
    return {
        "name": file.name,
        "controller": file.controller,
        "raw": file.raw,
        "value": None if shown is None or shown.lines else shown.value,
        "lines": [
            {"key": line.name, "value": line.value, "meaning": _of(line.meaning, lang)}
            for line in (shown.lines if shown else ())
        ],
        "unit": None if note is None else note.unit.value,
        "unit_name": None if note is None else UNIT_NAMES[note.unit].of(lang),
        "default": None if file.raw is None else is_default(note, file.raw),
        "meaning": None if note is None else note.meaning.of(lang),
        "writable": None if note is None else note.change is not None,
        "change": None if note is None else _of(note.change, lang),
        "reason": _of(file.reason, lang),
    }


def _mount(record: MountRecord) -> Json:
    return {
        "target": safe(record.target),
        "type": record.fstype,
        "source": safe(record.source),
        "root": safe(record.root),
        "options": list(record.options),
        "super_options": [safe(word) for word in record.super_options],
        "propagation": list(record.propagation),
    }


def _capabilities(subject: Subject, lang: str) -> Json:
    sets = {name: getattr(subject.facts.capabilities, name) for name in capability_words.SETS}
    every = capability_names(sum({1 << bit for mask in sets.values() for bit in range(64) if mask >> bit & 1}))
    known = capability_words.CAPABILITIES
    meanings = {name: known[name].of(lang) for name in every if name in known}
    return (
        _whose(subject) | {name: list(capability_names(mask)) for name, mask in sets.items()} | {"meanings": meanings}
    )


def _seccomp(subject: Subject, lang: str) -> Json:
    facts = subject.facts
    return _whose(subject) | {
        "mode": facts.seccomp,
        "meaning": _of(words_of_process.SECCOMP_MODES.get(facts.seccomp), lang),
        "filters": facts.seccomp_filters,
        "no_new_privs": bool(facts.no_new_privs),
    }


def _ranges(found: tuple[IdRange, ...]) -> list[Json]:
    return [{"inside": one.inside, "outside": one.outside, "count": one.count} for one in found]


def _rlimits(subject: Subject, lang: str) -> Json:
    return _whose(subject) | {"limits": [_rlimit(limit, lang) for limit in subject.facts.limits]}


def _rlimit(limit: ResourceLimit, lang: str) -> Json:
    known = words_of_process.RLIMITS.get(limit.name)
    return {
        "name": limit.name,
        "soft": limit.soft,
        "hard": limit.hard,
        "unit": known[0].value if known else None,
        "meaning": known[1].of(lang) if known else None,
    }


def _network(network: Any, lang: str) -> Json | None:
    if not isinstance(network, Network):
        return None
    links = [
        {
            "name": safe(link.counters.name),
            "addresses": list(link.addresses),
            "rx_bytes": link.counters.rx_bytes,
            "rx_packets": link.counters.rx_packets,
            "tx_bytes": link.counters.tx_bytes,
            "tx_packets": link.counters.tx_packets,
        }
        for link in network.links
    ]
    routes = [
        {"link": safe(r.link), "to": str(r.network), "gateway": None if r.gateway is None else str(r.gateway)}
        for r in network.routes
    ]
    problems = [_problem(problem, lang) for problem in network.problems]
    return {"links": links, "routes": routes, "other_addresses": list(network.loose), "problems": problems}


def _firewall(firewall: Firewall | None, lang: str) -> Json | None:
    if firewall is None:
        return None
    rules = [
        {"table": r.table, "kind": r.kind, "name": r.name, "text": r.text, "why": r.why.of(lang)}
        for r in firewall.rules
    ]
    return {"rules": rules, "reason": _of(firewall.reason, lang)}
