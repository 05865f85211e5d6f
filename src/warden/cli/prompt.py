"""`warden` without a command: the original's prompt at a terminal, and the same commands from a file or a pipe.

Owns the loop, the history file and what an error does to each. A command is what follows `warden --`.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from warden.cli import connect, original
from warden.errors import BadInput, WardenError

if TYPE_CHECKING:
    from warden.client.blocking import Client

PROMPT = "warden> "
HISTORY = "~/.warden-history"
HISTORY_LINES = 2000


class Session:
    """Runs lines one after another over one connection: a container stays referenced by it until the end."""

    def __init__(self, socket: str | None, *, trace: bool = False) -> None:
        self._options = Namespace(socket=socket)
        self._trace = trace
        self._client: Client | None = None

    def execute(self, line: str) -> int:
        """The status of one line: a job's for run and stream, an error's exit code after telling it, else 0."""
        try:
            words = split(line)
            if not words:
                return 0
            if self._trace:
                print(f"+ {line.strip()}", flush=True)
            prepared = original.prepare(words)
            sys.stdout.flush()
            return 0 if prepared is None else original.send(self._connected(), *prepared)
        except WardenError as error:
            print(" ".join(str(error).splitlines()), file=sys.stderr, flush=True)
            return error.exit_code

    def _connected(self) -> Client:
        """The client; a connection that broke since the last line is made anew, so nothing is ever sent twice."""
        if self._client is not None and self._client.is_cut_off():
            print("Reconnecting...", flush=True)
            self.close()
        if self._client is None:
            self._client = connect.open_client(self._options)
        return self._client

    def handles(self) -> list[str]:
        """Live handles for completion; none when the daemon cannot be asked."""
        with suppress(WardenError):
            return self._connected().list()
        return []

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def split(line: str) -> list[str]:
    """Words by the shell's quoting; a line that begins with # has none. Raises BadInput for a quote that is open."""
    if line.lstrip().startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError:
        raise BadInput(f'Unmatched quote: "{line.strip()}"') from None


def main(socket: str | None, *, trace: bool, exit_on_error: bool) -> int | None:
    """Prompt or batch, as standard input is a terminal or not; the exit code, None when there was no line at all."""
    session = Session(socket, trace=trace)
    try:
        if sys.stdin.isatty():
            return interactive(session, exit_on_error=exit_on_error)
        return batch(session, exit_on_error=exit_on_error)
    finally:
        session.close()


def batch(session: Session, *, exit_on_error: bool) -> int | None:
    """Every line of standard input; 0 when all went well, else the first status that was not."""
    first = None
    for line in sys.stdin:
        status = session.execute(line)
        first = first or status
        if status and exit_on_error:
            break
    return first


def interactive(session: Session, *, exit_on_error: bool) -> int:
    """A person's commands until Ctrl-D; with *exit_on_error* until one fails, and then its status."""
    history = History(os.path.expanduser(HISTORY))
    try:
        for line in _typed(session, history):
            history.add(line)
            status = session.execute(line)
            if status == 0:
                history.save()
            elif exit_on_error:
                return status
    except KeyboardInterrupt:
        print("\n\nExiting...", flush=True)
    return 0


def _typed(session: Session, history: History) -> Iterator[str]:
    from warden.cli.completion import candidates
    from warden.cli.editor import open_editor

    editor = open_editor(history.lines, lambda before: candidates(before, session.handles))
    while True:
        try:
            line = editor.read(PROMPT)
        except EOFError:
            print()
            return
        if line.strip():
            yield line


class History:
    """Lines typed at the prompt, kept as a JSON array: the original's file. One that cannot be read is begun anew."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.lines: list[str] = []
        with suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            found = json.load(file)
            self.lines = [line for line in found if isinstance(line, str)] if isinstance(found, list) else []

    def add(self, line: str) -> None:
        self.lines = [*self.lines, line][-HISTORY_LINES:]

    def save(self) -> None:
        """Replaces the file; a home that cannot be written costs the history only."""
        temporary = f"{self._path}.{os.getpid()}"
        with suppress(OSError):
            # 0600: a line may hold a password
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(self.lines, file, ensure_ascii=False)
            os.replace(temporary, self._path)
