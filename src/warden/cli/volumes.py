"""`warden volume`: files that outlive containers."""

from __future__ import annotations

import time
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING, Any

from warden.cli import connect, output
from warden.cli.options import Command
from warden.errors import BadInput, WardenError
from warden.model.text import escaped

if TYPE_CHECKING:
    from collections.abc import Callable

    from warden.client.blocking import Client
    from warden.model.volumes import Volume


def as_json(volume: Volume) -> dict[str, Any]:
    """A volume as `--json` shows it."""
    return {
        "name": volume.name,
        "path": volume.path,
        "created": volume.created,
        "anonymous": volume.anonymous,
        "used_by": list(volume.used_by),
    }


def _create(client: Client, options: Namespace) -> int:
    if len(options.words) > 1:
        raise BadInput("volume create: one name at a time")
    volume = client.create_volume(*options.words)
    if options.json:
        output.print_json(as_json(volume))
    else:
        print(volume.name)
    return 0


def _list(client: Client, options: Namespace) -> int:
    if options.words:
        raise BadInput("volume list: takes no names", hint="warden volume inspect NAME")
    found = client.volumes()
    if options.json:
        output.print_json([as_json(volume) for volume in found])
    elif options.quiet:
        print("".join(volume.name + "\n" for volume in found), end="")
    else:
        rows = ((v.name, "yes" if v.anonymous else "-", escaped(", ".join(v.used_by)) or "-") for v in found)
        print(output.table(("NAME", "ANONYMOUS", "USED BY"), rows), end="")
    return 0


def _inspect(client: Client, options: Namespace) -> int:
    found = [client.volume(name) for name in _names(options)]
    if options.json:
        output.print_json([as_json(volume) for volume in found])
        return 0
    for number, volume in enumerate(found):
        print("\n" * bool(number) + f"name:      {volume.name}")
        print(f"path:      {volume.path}")
        print(f"created:   {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(volume.created))}")
        print(f"anonymous: {'yes' if volume.anonymous else 'no'}")
        print(f"used by:   {escaped(', '.join(volume.used_by)) or '-'}")
    return 0


def _remove(client: Client, options: Namespace) -> int:
    """Every name is tried; the exit code is the first failure's."""
    code = 0
    for name in _names(options):
        try:
            client.remove_volume(name)
        except WardenError as error:
            output.say(str(error))
            code = code or error.exit_code
    return code


def _prune(client: Client, options: Namespace) -> int:
    if options.words:
        raise BadInput("volume prune: takes no names", hint="warden volume remove NAME")
    removed = client.prune_volumes(every=options.every_volume)
    if options.json:
        output.print_json(removed)
    else:
        print("".join(name + "\n" for name in removed), end="")
    return 0


def _names(options: Namespace) -> list[str]:
    if not options.words:
        raise BadInput(f"volume {options.volume_verb}: a name is missing")
    return list(options.words)


_VERBS: dict[str, Callable[[Client, Namespace], int]] = {
    "create": _create,
    "list": _list,
    "inspect": _inspect,
    "remove": _remove,
    "prune": _prune,
}


def volume(options: Namespace) -> int:
    """`warden volume`."""
    with closing(connect.open_client(options, start=options.volume_verb == "create")) as client:
        return _VERBS[options.volume_verb](client, options)


COMMANDS = {
    "volume": Command(
        "create|list|inspect|remove|prune [-a] [-q] [--json] [NAME...]",
        "Volumes are directories that the daemon keeps by name, for containers to share and to find again. One that a\n"
        "container has cannot be removed. prune removes those that were made without a name and that nobody has, with\n"
        "--all every one that nobody has.",
        ("json", "every_volume", "quiet", "volume_verb", "words"),
        "warden volume create data\nwarden run -v data:/data -- touch /data/file\nwarden volume list\n"
        "warden volume inspect data\nwarden volume remove data\nwarden volume prune --all",
        volume,
    ),
}
