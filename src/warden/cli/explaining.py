"""`warden explain`: a container, or any process, from the kernel's side."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from warden.cli import output
from warden.cli.options import Command
from warden.errors import BadInput, WrongState

if TYPE_CHECKING:
    from warden.cli.explain_view import Style
    from warden.client.blocking import Container
    from warden.explain.firewall import Firewall
    from warden.explain.report import Report, Wanted

LANGUAGES = ("en", "zh")


def explain(options: Namespace) -> int:
    """`warden explain`."""
    from warden.explain import report as reports

    wanted = reports.Wanted(_sections(options.section), tuple(dict.fromkeys(options.controller)))
    if (options.maybe_handle is None) == (options.pid is None):
        raise BadInput("explain: name a container's HANDLE or a process by --pid N, one of the two")
    if options.pid is not None:
        if options.pid < 1:
            raise BadInput(f"--pid: {options.pid} is no process id", hint="a number from 1 up")
        report = reports.of_process(options.pid, wanted)
    else:
        report = _container(options, wanted)
    _print(report, options, wanted)
    return 0


def _sections(names: list[str]) -> tuple[str, ...]:
    """In the report's order, whatever the order they were named in; all when none was."""
    from warden.explain.report import SECTIONS

    for name in names:
        if name not in SECTIONS:
            raise BadInput(f"--section: {name!r} is no section", hint="one of " + ", ".join(SECTIONS))
    return tuple(name for name in SECTIONS if name in names or not names)


def _container(options: Namespace, wanted: Wanted) -> Report:
    """Raises UnknownHandle, WrongState when its PID 1 is gone."""
    from warden.cli import foreign
    from warden.explain import report as reports

    def own(container: Container) -> Report:
        info = container.info()
        if not info.pid:
            raise WrongState(f"explain {info.handle}: its first process is gone, there is nothing to look at")
        jobs = [job.id for job in info.jobs if job.running]
        return reports.of_container(info.pid, info.id, jobs, wanted)

    return foreign.either(options, options.maybe_handle, own, lambda record: reports.of_process(record.pid, wanted))


def _print(report: Report, options: Namespace, wanted: Wanted) -> None:
    firewall = _firewall(report) if "firewall" in wanted.sections else None
    if options.json:
        from warden.cli.explain_json import as_json

        output.print_json(as_json(report, firewall, options.maybe_handle, options.lang, wanted.sections))
        return
    from warden.cli import layout
    from warden.cli.explain_view import Style, heading

    style = Style(options.lang, layout.columns(), options.everything)
    for number, section in enumerate(wanted.sections):
        print(
            ("\n" if number else "") + heading(section, style) + _section(section, report, firewall, style, wanted),
            end="",
        )


def _section(section: str, report: Report, firewall: Firewall | None, style: Style, wanted: Wanted) -> str:
    from warden.cli import explain_groups, explain_view

    if section == "cgroups":
        return explain_groups.cgroups(report, style, wanted.controllers)
    if section == "network":
        assert report.network is not None
        return explain_view.network(report.network, _link(report), style)
    if section == "firewall":
        return _firewall_text(report, firewall, style)
    views = {
        "process": explain_view.process,
        "namespaces": explain_view.namespaces,
        "mounts": explain_view.mounts,
        "capabilities": explain_groups.capabilities,
        "seccomp": explain_groups.seccomp,
        "ids": explain_view.ids,
        "rlimits": explain_view.rlimits,
    }
    return views[section](report, style)


def _link(report: Report) -> str:
    """The host's end of the container's link; "" when there is none."""
    from warden.network.links import host_link

    if not report.container or report.network is None:
        return ""
    inside = f"w-{report.container}-1"
    return host_link(report.container) if any(link.counters.name == inside for link in report.network.links) else ""


def _firewall(report: Report) -> Firewall | None:
    """What the host's rules say of a container's link; None for a process without one."""
    from warden.explain.firewall import Subject, read_firewall

    link = _link(report)
    if not link or report.network is None:
        return None
    return read_firewall(Subject(link, report.network.addresses))


def _firewall_text(report: Report, firewall: Firewall | None, style: Style) -> str:
    from warden.cli import explain_view
    from warden.explain.tables import words

    if firewall is not None:
        return explain_view.firewall(firewall, style)
    inode = report.main.namespaces.get("net")
    if inode is None:
        return "  " + style.say(words.UNKNOWN) + "\n"
    return style.dim(style.say(words.HOSTS_RULES if inode == _our_network() else words.NO_LINK), 2)


def _our_network() -> int:
    import os

    return os.stat("/proc/self/ns/net").st_ino


COMMANDS = {
    "explain": Command(
        "HANDLE | --pid N [OPTION...]",
        "Shows a container, or any process, from the kernel's side: namespaces, cgroups with every control file,\n"
        "mounts, capabilities, seccomp, ids, limits, network and firewall, each with a sentence what it means.",
        ("pid", "section", "controller", "lang", "everything", "json", "maybe_handle"),
        "warden explain my-box\nwarden explain my-box --section cgroups --controller memory\n"
        "warden explain --pid $$ --section namespaces --lang zh\nwarden explain --pid 1 --all | less -R",
        explain,
    ),
}
