"""`warden attach`: this terminal, or these pipes, and a job that runs."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from contextlib import ExitStack, closing
from threading import Thread
from typing import TYPE_CHECKING

from warden.cli import connect, jobs, output
from warden.cli.observing import line_count
from warden.cli.options import Command
from warden.cli.signals import Interrupted, Leaving, Signals
from warden.cli.terminal import RawTerminal, window_size
from warden.errors import BadInput, EngineFault, UnknownJob, WardenError, WrongState
from warden.model.info import Info, JobInfo

if TYPE_CHECKING:
    from warden.client.blocking import Attachment, Client

_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


def parse_keys(text: str) -> bytes:
    """The bytes of a sequence such as ctrl-p,ctrl-q or a,ctrl-c; "" is none. Raises BadInput."""
    found = bytearray()
    for word in filter(None, text.split(",")):
        letter = word[5:].lower() if word.startswith("ctrl-") else ""
        if len(letter) == 1 and letter in _CONTROL:
            found.append(_CONTROL.index(letter))
        elif len(word) == 1 and word.isascii():
            found += word.encode()
        else:
            hint = "characters, or ctrl- and one of a-z @ [ \\ ] ^ _, with commas between them"
            raise BadInput(f"--detach-keys: {word!r} is not a key", hint=hint)
    return bytes(found)


class KeyWatch:
    """Looks for *keys* in what is typed. What may be their beginning is held back until it is known."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be passed on, and whether the keys have come; then nothing else is."""
        if not self._keys:
            return data, False
        data, self._held = self._held + data, b""
        at = data.find(self._keys)
        if at >= 0:
            return data[:at], True
        for count in range(min(len(self._keys) - 1, len(data)), 0, -1):
            if data.endswith(self._keys[:count]):
                self._held = data[-count:]
                return data[:-count], False
        return data, False


class _Input:
    """Copies standard input to the job, in a thread, until it ends or the keys come."""

    def __init__(self, duplex: Attachment, keys: bytes) -> None:
        self._duplex = duplex
        self._watch = KeyWatch(keys)
        self.detached = False

    def start(self) -> None:
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            while data := os.read(0, 65536):
                passed, self.detached = self._watch.feed(data)
                if passed:
                    self._duplex.write(passed)
                if self.detached:
                    self._duplex.close()  # wakes whoever waits for the job's output
                    return
        except (WardenError, OSError):
            pass  # the job ended first


def chosen_job(info: Info, number: int | None) -> JobInfo:
    """The job asked for, or the first that runs. Raises UnknownJob, WrongState."""
    if number is None:
        running = [job for job in info.jobs if job.running]
        if not running:
            raise WrongState(f"container {info.handle}: no job runs in it", hint="warden logs shows its output")
        return min(running, key=lambda job: job.id)
    job = next((job for job in info.jobs if job.id == number), None)
    if job is None:
        raise UnknownJob(hint=f"warden jobs {info.handle} lists them")
    if not job.running:
        raise WrongState(f"job {number}: it has ended", hint="warden logs shows its output")
    return job


def attach(options: Namespace) -> int:
    """`warden attach`."""
    keys = parse_keys(options.detach_keys)
    tail = line_count(options.tail) if options.tail is not None or options.replay else 0
    try:
        with closing(connect.open_client(options)) as client:
            return _attach(client, options, keys, tail)
    except Interrupted as interrupted:
        return 128 + interrupted.number


def _attach(client: Client, options: Namespace, keys: bytes, tail: int | None) -> int:
    container = client.container(options.handle)
    job = chosen_job(container.info(), options.job)
    feeds = job.interactive and not options.no_stdin
    if job.tty and feeds and not sys.stdin.isatty():
        raise BadInput("attach: the job has a terminal, and standard input is none", hint="--no-stdin only looks")
    duplex = container.job(job.id).attach(tail)
    source = _Input(duplex, keys if job.tty else b"")
    with ExitStack() as stack:
        stack.callback(duplex.close)
        if job.tty:
            stack.enter_context(Leaving())
        elif options.sig_proxy:
            signals = stack.enter_context(Signals())
            signals.forward(jobs.forwarder(lambda: connect.open_client(options), container.handle, job.id))
        if job.tty and sys.stdin.isatty():
            _show_on_terminal(stack, duplex, raw=feeds)
        if feeds:
            source.start()
        try:
            for chunk in duplex:
                jobs.write_through(chunk)
        except WardenError:
            if not source.detached:
                raise
    return _ended(duplex, source)


def _show_on_terminal(stack: ExitStack, duplex: Attachment, *, raw: bool) -> None:
    rows, columns = window_size(0)
    duplex.resize(rows + 1, columns)  # a program that keeps its screen itself draws it anew when the size has changed
    duplex.resize(rows, columns)
    if raw:
        stack.enter_context(RawTerminal(0, duplex.resize))


def _ended(duplex: Attachment, source: _Input) -> int:
    result = duplex.result
    if result is None:
        if not source.detached:
            raise EngineFault("job: its output ended without a result")
        output.say("detached; the job goes on")
        return 0
    if text := jobs.sentence(result):
        output.say(text)
    return jobs.exit_code(result)


COMMANDS: dict[str, Command] = {
    "attach": Command(
        "[OPTION...] HANDLE",
        "Attaches to a job that runs, its first unless --job says another: shows what it writes from now on, gives it\n"
        "what is typed if it was started with -i, and ends with its exit code. Several may be attached at once. The\n"
        "detach keys leave a job with a terminal alone; signals go to one without unless --sig-proxy=false.",
        ("job", "no_stdin", "detach_keys", "sig_proxy", "replay", "tail", "handle"),
        """
warden run -d -it --name box bash && warden attach box
warden attach --logs --no-stdin box
warden attach --detach-keys ctrl-x,x box
""",
        attach,
    ),
}
