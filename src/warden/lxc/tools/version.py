"""`lxc-version`: what 0.9 had for `--version`."""

from __future__ import annotations

import sys

from warden.lxc.options import LXC_VERSION


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words[:1] in (["-h"], ["--help"], ["-?"]):
        print("Usage: lxc-version\n\nlxc-version prints the version of LXC that these tools follow", file=sys.stderr)
        return 0
    if words:
        print(f"lxc-version: unexpected argument '{words[0]}'", file=sys.stderr)
        return 1
    print(f"lxc version: {LXC_VERSION}")
    return 0
