"""`warden cgroup`: the cgroup hierarchies of this machine, and named ones of one's own. Without the daemon."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import closing

from warden.cli import connect, output
from warden.cli.options import Command
from warden.errors import BadInput, NotPermitted
from warden.model.text import escaped

MANY = 12  # pids that are shown of one group


def cgroup(options: Namespace) -> int:
    """`warden cgroup`."""
    from warden.cgroup import named

    verb, words = options.verb, options.words
    if verb == "list":
        return _list(options, words)
    if verb == "tree":
        return _tree(_one(verb, words))
    if os.geteuid() != 0:
        raise NotPermitted(f"cgroup {verb}: needs root", hint="run it with sudo")
    if verb == "mount":
        print(named.mount(options.hierarchy or _one(verb, words), options.at or ""))
    elif verb == "umount":
        name = options.hierarchy or _one(verb, words)
        if not named.umount(name):
            output.say(f"{name} is unmounted; other mount namespaces still hold it, and it ends with them")
    elif verb == "make":
        print(named.make(_one(verb, words)))
    elif verb == "remove":
        named.remove(_one(verb, words))
    else:
        _move(options, words)
    return 0


def _one(verb: str, words: list[str]) -> str:
    if len(words) != 1:
        raise BadInput(f"cgroup {verb}: give one name", hint="warden cgroup --help has examples")
    return words[0]


def _list(options: Namespace, words: list[str]) -> int:
    from warden.cgroup import named

    if words:
        raise BadInput("cgroup list takes no names")
    found = named.mounted()
    if options.json:
        output.print_json(
            [{"point": i.point, "version": i.version, "name": i.name or None, "controllers": i.controllers} for i in found]
        )
        return 0
    rows = ((f"v{i.version}", i.name or "-", ",".join(i.controllers) or "-", i.point) for i in found)
    print(output.table(("VERSION", "NAME", "CONTROLLERS", "MOUNTED AT"), rows), end="")
    return 0


def _tree(name: str) -> int:
    from warden.cgroup import named

    for depth, group, pids in named.tree(name):
        shown = " ".join(map(str, pids[:MANY])) + (f" … ({len(pids)} in all)" if len(pids) > MANY else "")
        print(f"{'  ' * depth}{escaped(group)}  {shown}".rstrip())
    return 0


def _move(options: Namespace, words: list[str]) -> None:
    """Processes by number, or all of a container by its handle."""
    from warden.cgroup import named

    if len(words) < 2:
        raise BadInput("cgroup move: give NAME:/PATH, and pids or handles", hint="warden cgroup --help has examples")
    pids = [pid for word in words[1:] for pid in ([int(word)] if word.isdecimal() else _pids_of(options, word))]
    named.move(words[0], pids)


def _pids_of(options: Namespace, handle: str) -> list[int]:
    """PID 1 of the container; what it starts from then on follows it."""
    with closing(connect.open_client(options)) as client:
        pid = client.container(handle).info().pid
    return [pid] if pid else []


COMMANDS = {
    "cgroup": Command(
        "[OPTION...] list|tree|mount|umount|make|remove|move [WORD...]",
        "Lists the cgroup hierarchies of this machine, shows the groups and processes of one, and makes hierarchies of v1 "
        "that only\ngroup processes, under a name. Only those are ever changed.",
        ("hierarchy", "at", "json", "verb", "words"),
        """
warden cgroup list
warden cgroup tree memory
warden cgroup mount --name demo
warden cgroup make demo:/students/anna
warden cgroup move demo:/students/anna 4711 box
warden cgroup tree demo
warden cgroup remove demo:/students
warden cgroup umount demo
""",
        cgroup,
    ),
}
