"""`warden doctor`: what this machine can do, what is missing, and how to get it."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING

from warden.cli import output
from warden.cli.options import Command
from warden.errors import WardenError
from warden.model.settings import DEFAULT_DEPOT

if TYPE_CHECKING:
    from warden.kernel.finding import Finding

#: Finding.ok as a sign, its colour, and the word that a reader without colours or UTF-8 looks for in --json.
_SIGNS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}

#: Findings without which containers run all the same: one kind of limit, or of statistics, is not to be had.
_OPTIONAL = (
    "CAP_SYS_RESOURCE", "disk limit", "link ifb", "nftables ct", "nftables log", "qdisc", "swap accounting",
    "time namespace",
)  # fmt: skip


def is_needed(name: str) -> bool:
    """Whether no container can be made, or none safely, without what this finding is about."""
    return not name.startswith(_OPTIONAL)


def doctor(options: Namespace) -> int:
    """`warden doctor`; exit code 1 when something needed is missing."""
    from warden.kernel.features import probe

    found = [*probe(options.depot or os.environ.get("WARDEN_DEPOT") or DEFAULT_DEPOT), *_firewall(options)]
    if options.json:
        output.print_json([_as_json(finding) for finding in found])
    else:
        width = max((len(finding.name) for finding in found), default=0)
        for finding in found:
            _show(finding, width)
    return 1 if any(finding.ok is False and is_needed(finding.name) for finding in found) else 0


def _firewall(options: Namespace) -> list[Finding]:
    """Of the daemon that listens; without one there is nothing to be wrong, but to --repair that is an error."""
    from warden.cli import connect
    from warden.kernel.finding import Finding

    path = connect.socket_path(options)
    if not options.repair:
        try:
            if not connect.listening(path):
                return []
        except WardenError as error:
            return [Finding("firewall of the daemon", None, str(error))]
    with closing(connect.open_client(options)) as client:
        try:
            faults = client.firewall_faults(repair=options.repair)
        except WardenError as error:
            return [Finding("firewall of the daemon", False, str(error), "see nftables above")]
    if not faults:
        return [Finding("firewall of the daemon", True)]
    detail = "; ".join(faults)
    if options.repair:
        return [Finding("firewall of the daemon", True, f"repaired: {detail}")]
    return [Finding("firewall of the daemon", False, detail, "warden doctor --repair")]


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "ok": finding.ok,
        "needed": is_needed(finding.name),
        "detail": finding.detail,
        "remedy": finding.remedy,
    }


def _show(finding: Finding, width: int) -> None:
    sign, colour = _SIGNS[finding.ok]
    optional = finding.ok is False and not is_needed(finding.name)
    sign = output.colour(sign, "yellow" if optional else colour)
    detail = "(optional) " + finding.detail if optional else finding.detail
    print(f"{sign} {finding.name:<{width}}  {detail}".rstrip())
    if finding.remedy and not finding.ok:
        print(f"  {'':<{width}}  → {finding.remedy}")


COMMANDS = {
    "doctor": Command(
        "[--json] [--repair]",
        "Checks what this machine can do: ✓ works, ✗ is missing, ? could not be found out; and, when a daemon listens, "
        "whether its\nfirewall is as it must be. Ends with 1 when something needed is missing.",
        ("depot", "json", "repair"),
        "sudo warden doctor\nwarden doctor --json\nsudo warden doctor --repair",
        doctor,
    ),
}
