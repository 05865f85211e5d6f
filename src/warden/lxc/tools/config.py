"""`lxc-config`: what lxc.conf says."""

from __future__ import annotations

import sys

from warden.errors import ConfigError
from warden.lxc import system
from warden.lxc.streams import settle

_USAGE = """\
Usage: lxc-config -l: list all available configuration items
       lxc-config item: print configuration item
"""


def main(argv: list[str] | None = None) -> int:
    settle("lxc-config")
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help", "-?", "--usage"):
        from warden.lxc.examples import examples_of

        sys.stdout.write(_USAGE + examples_of("lxc-config"))
        return 0
    if words[0] == "-l":
        print("\n".join(system.DEFAULTS))
        return 0
    try:
        found = system.items()
    except ConfigError as error:
        print(f"lxc-config: {error}", file=sys.stderr)
        return 1
    if words[0] not in found:
        print(f"Unknown configuration item: {words[0]}")
        return 1
    print(f"{words[0]} is not set." if found[words[0]] is None else found[words[0]])
    return 0
