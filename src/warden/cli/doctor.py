"""`warden doctor`: what this machine can do, what is missing, and how to get it."""

from __future__ import annotations

import os
from argparse import Namespace

from warden.cli import output
from warden.cli.options import Command
from warden.model.settings import DEFAULT_DEPOT

#: Finding.ok as a sign, its colour, and the word that a reader without colours or UTF-8 looks for in --json.
_SIGNS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


def doctor(options: Namespace) -> int:
    """`warden doctor`; exit code 1 when something needed is missing."""
    from warden.kernel.features import probe

    found = probe(options.depot or os.environ.get("WARDEN_DEPOT") or DEFAULT_DEPOT)
    if options.json:
        output.print_json([{"name": f.name, "ok": f.ok, "detail": f.detail, "remedy": f.remedy} for f in found])
    else:
        width = max((len(finding.name) for finding in found), default=0)
        for finding in found:
            sign, colour = _SIGNS[finding.ok]
            print(f"{output.colour(sign, colour)} {finding.name:<{width}}  {finding.detail}".rstrip())
            if finding.remedy and not finding.ok:
                print(f"  {'':<{width}}  → {finding.remedy}")
    return 1 if any(finding.ok is False for finding in found) else 0


COMMANDS = {
    "doctor": Command(
        "[--json]",
        "Checks what this machine can do: ✓ works, ✗ is missing and needed, ? could not be found out.",
        ("depot", "json"),
        "sudo warden doctor\nwarden doctor --json",
        doctor,
    ),
}
