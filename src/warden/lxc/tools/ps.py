"""`lxc-ps` of 0.9: ps(1), with the container of each process before it."""

from __future__ import annotations

import os
import subprocess
import sys

from warden.lxc import states
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Running, Site
from warden.lxc.tools.speaking import lxcpath_of, shown

TOOL = Tool(
    "lxc-ps",
    "[--name NAME] [--lxc] [-- PS OPTIONS]",
    "lxc-ps shows processes with the container that each of them is in",
    (
        Option("n", "name", "NAME", "only those of the container NAME", many=True),
        Option("", "lxc", "", "only those of containers"),
        Option("", "host", "", "only those of the host"),
    ),
    named=False,
    end="PS OPTIONS: as ps(1) takes them; -ef without.",
)
_WIDTH = 10


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    lxcpath, site = lxcpath_of(given), Site.from_environment()
    owners: dict[int, str] = {}
    for seen in states.every(site):
        if seen.running.lxcpath == lxcpath:
            owners.update(dict.fromkeys(_pids(seen.running), shown(seen.running.name)))
    done = subprocess.run(
        ["ps", *(given.rest or ("-ef",))], capture_output=True, text=True, errors="replace", check=False
    )
    sys.stderr.write(done.stderr)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return 1
    place = lines[0].split().index("PID") if "PID" in lines[0].split() else -1
    if place < 0:
        TOOL.fail("ps shows no column PID")
    width = max([_WIDTH, *map(len, owners.values())])
    print(f"{'CONTAINER':<{width}} {lines[0]}")
    for line in lines[1:]:
        fields = line.split()
        owner = owners.get(int(fields[place]), "") if len(fields) > place and fields[place].isdecimal() else ""
        if _wanted(given, owner):
            print(f"{owner:<{width}} {line}")
    return 0


def _wanted(given: Given, owner: str) -> bool:
    names = given.values.get("name", ())
    if given.has("host"):
        return not owner
    return owner in names if names else bool(owner) or not given.has("lxc")


def _pids(running: Running) -> set[int]:
    """Of its cgroup and those below."""
    top = running.groups.get("freezer") or running.groups.get("") or ""
    found: set[int] = set()
    for directory, _, _ in os.walk(top):
        try:
            with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
                found.update(map(int, file.read().split()))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
