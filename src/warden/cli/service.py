"""`warden ping` and `version`: the daemon itself."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing

from warden import __version__
from warden.cli import connect, output
from warden.cli.options import Command


def ping(options: Namespace) -> int:
    """`warden ping`: silent when the daemon answers, as true(1)."""
    with closing(connect.open_client(options)) as client:
        client.ping()
    return 0


def version(options: Namespace) -> int:
    """`warden version`: this command's, and the daemon's where one listens."""
    found: dict[str, object] = {"command": __version__, "daemon": None}
    path = connect.socket_path(options)
    if connect.listening(path):
        from warden.protocol import warden_pb2 as wire

        with closing(connect.open_client(options)) as client:
            reply = client.call(wire.VersionRequest())
        found |= {"daemon": reply.version.decode(), "protocol": reply.protocol, "pid": reply.pid, "socket": path}
    if options.json:
        output.print_json(found)
    else:
        print(f"warden {__version__}")
        daemon = f"{found['daemon']}, protocol {found['protocol']}, pid {found['pid']}" if found["daemon"] else "none"
        print(f"daemon: {daemon} on {path}")
    return 0


COMMANDS = {
    "ping": Command(
        "", "Asks the daemon for a sign of life; exit code 69 without one.", (), "warden ping && echo up", ping
    ),
    "version": Command(
        "[--json]",
        "Shows the versions of this command and of the daemon.",
        ("json",),
        "warden version\nwarden version --json",
        version,
    ),
}
