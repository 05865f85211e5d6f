"""`warden cp`: files between this machine and a container; one of the two paths begins with a handle and a colon."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing

from warden.cli import connect
from warden.cli.options import Command
from warden.errors import BadInput


def split_place(word: str) -> tuple[str, str]:
    """HANDLE:PATH as its parts, "" and the path for one of this machine: it has no colon, or begins with "/" or "."."""
    handle, colon, path = word.partition(":")
    if not colon or word.startswith(("/", ".")):
        return "", word
    if not handle:
        raise BadInput(f"{word}: a handle is missing before the colon", hint="a file of that name is ./" + word)
    return handle, path


def cp(options: Namespace) -> int:
    """`warden cp`."""
    source, src = split_place(options.from_)
    target, dst = split_place(options.to)
    if bool(source) == bool(target):
        problem = "both are in containers" if source else "neither is in a container"
        raise BadInput(f"cp {options.from_} {options.to}: {problem}", hint="one path must be HANDLE:PATH")
    options.handle = source or target  # for the sentence of one that is unknown
    if target and options.owner:
        raise BadInput("--owner: what is copied into a container belongs to vcap")
    with closing(connect.open_client(options)) as client:
        if "-" in (options.from_, options.to):
            from warden.cli import tarring

            if target:
                tarring.unpack_into(client.container(target), dst)
            else:
                tarring.pack_from(client.container(source), src)
        elif target:
            client.container(target).copy_in(src, dst)
        else:
            client.container(source).copy_out(src, dst, options.owner)
    return 0


COMMANDS = {
    "cp": Command(
        "[--owner USER[:GROUP]] HANDLE:SRC DST|- | SRC|- HANDLE:DST",
        "Copies files and directories into a container or out of it, as rsync -r -p --links does: DIR goes into DST when\n"
        "that is a directory, DIR/ means what lies in it. In the container everything is read and written as vcap;\n"
        "relative paths there begin at its home. The directory that DST is to be made in must exist.\n"
        "A - is a tar archive on standard input, unpacked into the directory DST, or on standard output.",
        ("owner", "from_", "to"),
        "warden cp app/ box:app\nwarden cp box:/tmp/result.txt .\nwarden cp --owner www-data:www-data box:site/ /srv/site\n"
        "tar -cz app | warden cp - box:/tmp\nwarden cp box:/tmp/app - | tar -t",
        cp,
    )
}
