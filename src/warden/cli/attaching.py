"""`warden attach`: this terminal, or these pipes, and a job that runs."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from threading import Thread
from typing import TYPE_CHECKING

from warden.cli import connect, jobs, output
from warden.cli.observing import RECONNECT_S, line_count
from warden.cli.options import Command
from warden.cli.signals import Interrupted, Leaving, Signals
from warden.cli.terminal import RawTerminal, window_size
from warden.errors import BadInput, EngineFault, UnknownJob, Unreachable, WardenError, WrongState
from warden.model.info import Info, JobInfo
from warden.model.job import Chunk
from warden.model.logs import STREAMS, LogPlace

if TYPE_CHECKING:
    from warden.cli.jobs import Ended
    from warden.client.blocking import Attachment, Client, JobHandle

MOST_LINES = 1 << 48  # all that there are; with a number, so that one is told where they begin
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


class Link:
    """One job's output and input, over connections that are lost: what is shown goes on at the exact byte; what is typed
    meanwhile waits."""

    def __init__(self, job: JobHandle, tail: int | None, on_again: Callable[[], None] = lambda: None) -> None:
        self._job = job
        self._duplex: Attachment | None = job.attach(MOST_LINES if tail is None else tail)
        self._place: LogPlace | None = None
        self.on_again = on_again
        self.result: Ended | None = None
        self.over = False

    def __iter__(self) -> Iterator[Chunk]:
        from warden.client.resumed import Patience

        patience = Patience(RECONNECT_S)
        while not self.over:
            try:
                duplex = self._duplex = self._duplex or self._again()
                for chunk in duplex:
                    patience.reset()
                    self._advance(duplex, chunk)
                    yield chunk
                self.result, self.over = duplex.result, True
            except Unreachable as error:
                if not self.over:  # else `leave` has closed it
                    self._place = self._place or (self._duplex.place if self._duplex is not None else None)
                    self._duplex = None
                    if self._place is None:
                        raise
                    time.sleep(patience.pause(error))

    def _again(self) -> Attachment:
        made = self._job.attach(place=self._place)
        self._duplex = made
        self.on_again()
        return made

    def _advance(self, duplex: Attachment, chunk: Chunk) -> None:
        place = self._place or duplex.place or LogPlace(self._job.id)
        offsets = list(place.offsets)
        offsets[STREAMS.index(chunk.stream)] = chunk.offset + len(chunk.data)
        self._place = LogPlace(place.job, (offsets[0], offsets[1]))

    def write(self, data: bytes) -> None:
        while not self.over:
            if (duplex := self._duplex) is not None:
                with suppress(Unreachable):
                    duplex.write(data)
                    break
            time.sleep(0.05)

    def resize(self, rows: int, columns: int) -> None:
        if (duplex := self._duplex) is not None:
            with suppress(Unreachable):
                duplex.resize(rows, columns)

    def leave(self) -> None:
        """Ends it and leaves the job alone; from any thread."""
        self.over = True
        if (duplex := self._duplex) is not None:
            duplex.close()  # wakes whoever waits for the job's output


class _Input:
    """Copies standard input to the job, in a thread, until it ends or the keys come."""

    def __init__(self, link: Link, keys: bytes) -> None:
        self._link = link
        self._watch = KeyWatch(keys)
        self.detached = False

    def start(self) -> None:
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            while data := os.read(0, 65536):
                passed, self.detached = self._watch.feed(data)
                if passed:
                    self._link.write(passed)
                if self.detached:
                    self._link.leave()
                    return
        except (WardenError, OSError):
            pass  # the job ended first


def chosen_job(info: Info, number: int | None) -> JobInfo:
    """The job asked for, or the main one, or else the first that runs. Raises UnknownJob, WrongState."""
    if number is None:
        running = [job for job in info.jobs if job.running]
        if not running:
            raise WrongState(f"container {info.handle}: no job runs in it", hint="warden logs shows its output")
        return min(running, key=lambda job: (job.id != info.main_job, job.id))
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
    link = Link(container.job(job.id), tail)
    source = _Input(link, keys if job.tty else b"")
    with ExitStack() as stack:
        stack.callback(link.leave)
        if job.tty:
            stack.enter_context(Leaving())
        elif options.sig_proxy:
            signals = stack.enter_context(Signals())
            signals.forward(jobs.forwarder(lambda: connect.open_client(options), container.handle, job.id))
        if job.tty and sys.stdin.isatty():
            link.on_again = lambda: _redraw(link)
            _redraw(link)
            if feeds:
                stack.enter_context(RawTerminal(0, link.resize))
        if feeds:
            source.start()
        for chunk in link:
            jobs.write_through(chunk)
    return _ended(link, source)


def _redraw(link: Link) -> None:
    """A program that keeps its screen itself draws it anew when the size has changed."""
    rows, columns = window_size(0)
    link.resize(rows + 1, columns)
    link.resize(rows, columns)


def _ended(link: Link, source: _Input) -> int:
    if link.result is None:
        if not source.detached:
            raise EngineFault("job: its output ended without a result")
        output.say("detached; the job goes on")
        return 0
    if text := jobs.sentence(link.result):
        output.say(text)
    return jobs.exit_code(link.result)


COMMANDS: dict[str, Command] = {
    "attach": Command(
        "[OPTION...] HANDLE",
        "Attaches to a job that runs, its first unless --job says another: shows what it writes from now on, gives it\n"
        "what is typed if it was started with -i, and ends with its exit code, over restarts of the daemon too. The\n"
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
