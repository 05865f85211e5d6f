"""Following one job to its end: bytes both ways, signals, the terminal; and what its end means for the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from warden.cli import output
from warden.cli.signals import Signals
from warden.cli.terminal import RawTerminal, window_size
from warden.errors import EngineFault, WardenError
from warden.model.job import Chunk, Usage, Verdict
from warden.model.size import format_size

if TYPE_CHECKING:
    from warden.client.blocking import Client, Container, JobHandle

KILLED = 128 + 9
#: Exit codes of verdicts that say more than the job's own exit code. 124 is timeout(1)'s; the others are 128 + the
#: signal that the kernel has for it: SIGXCPU, SIGXFSZ, SIGKILL.
EXIT_CODES = {
    Verdict.OUT_OF_MEMORY: KILLED,
    Verdict.WALL_TIMEOUT: 124,
    Verdict.CPU_TIMEOUT: 128 + 24,
    Verdict.OUTPUT_LIMIT: 128 + 25,
    Verdict.STOPPED: KILLED,
    Verdict.ENGINE_ERROR: 70,
}


#: What shells say nothing about either: SIGINT and SIGPIPE.
QUIET = frozenset({2, 13})


class Ended(Protocol):
    """The part of a result that the exit code depends on."""

    @property
    def exit_status(self) -> int: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def signal(self) -> int: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def detail(self) -> str: ...


def exit_code(result: Ended) -> int:
    """What this command ends with: the job's code, 128+N for signal N, or the verdict's own."""
    verdict = Verdict(result.verdict)
    if verdict in (Verdict.SIGNALED, Verdict.STOPPED) and result.signal:
        return 128 + result.signal
    if verdict is Verdict.DISK_FULL:
        return result.exit_status or 1
    return EXIT_CODES.get(verdict, result.exit_status)


def sentence(result: Ended, memory: tuple[int | None, int | None] = (None, None)) -> str:
    """What a person must know besides the exit code, "" for nothing. *memory*: the container's peak and limit."""
    verdict, usage = Verdict(result.verdict), result.usage
    if verdict is Verdict.OUT_OF_MEMORY:
        peak = usage.peak_memory_bytes or memory[0]
        text = "out of memory" + (f": peak {format_size(peak)}" if peak else "")
        return text + (f" of {format_size(memory[1])}" if peak and memory[1] else "")
    texts = {
        Verdict.WALL_TIMEOUT: f"timeout: killed after {usage.wall_s:.1f} s",
        Verdict.CPU_TIMEOUT: f"processor time used up: {usage.cpu_user_s + usage.cpu_system_s:.1f} s",
        Verdict.OUTPUT_LIMIT: "output limit reached, the job was killed",
        Verdict.DISK_FULL: result.detail or "the container's disk is full",
        Verdict.SIGNALED: result.detail if result.signal not in QUIET else "",
        Verdict.ENGINE_ERROR: "the engine failed" + (f": {result.detail}" if result.detail else ""),
    }
    if verdict is Verdict.STOPPED and not result.signal:
        return "the container was stopped under the job"
    cut = result.detail or "output was cut at the limit"
    return texts.get(verdict, cut if result.truncated else "")


def memory_of(container: Container) -> tuple[int | None, int | None]:
    """Peak and limit of the container; unknown once it is gone."""
    try:
        memory = container.info().memory
    except WardenError:
        return None, None
    return memory.peak, memory.limit


class Collected:
    """Output kept for `--json` instead of being written."""

    def __init__(self) -> None:
        self.streams: dict[str, list[bytes]] = {"stdout": [], "stderr": []}

    def write(self, chunk: Chunk) -> None:
        self.streams[chunk.stream].append(chunk.data)

    def text(self, stream: str) -> str:
        return b"".join(self.streams[stream]).decode("utf-8", "replace")


def write_through(chunk: Chunk) -> None:
    """The ordinary sink: bytes go where they belong as they come."""
    output.write_bytes(chunk.stream, chunk.data)


def forwarder(connect: Callable[[], Client], handle: str, job_id: int) -> Callable[[int], None]:
    """A function that gives a signal to the whole job; the third one kills it.

    It uses a connection of its own: the first one is busy with the job's output.
    """
    count = 0

    def send(number: int) -> None:
        nonlocal count
        count += 1
        try:
            client = connect()
            try:
                job = client.container(handle).job(job_id)
                if count < 3:
                    job.signal(number)
                else:
                    job.kill()
            finally:
                client.close()
        except WardenError:
            pass  # the job has just ended, or the daemon is gone: the main connection says so

    return send


def _feed(write: Callable[[bytes], None], close: Callable[[], None]) -> None:
    """Copies this command's standard input to the job until either ends."""
    try:
        while data := os.read(0, 65536):
            write(data)
        close()
    except (WardenError, OSError):
        pass  # the job ended first


def follow(job: JobHandle, signals: Signals, sink: Callable[[Chunk], None], *, interactive: bool, tty: bool) -> Ended:
    """Runs until the job ends and returns its result."""
    if not interactive:
        stream = job.stream()
        for chunk in stream:
            sink(chunk)
        return _result(stream.result)
    duplex = job.attach()
    with ExitStack() as stack:
        if tty:
            stack.enter_context(RawTerminal(0, duplex.resize))
            duplex.resize(*window_size(0))
        from threading import Thread

        Thread(target=_feed, args=(duplex.write, duplex.close_stdin), daemon=True).start()
        for chunk in duplex:
            sink(chunk)
        signals.forward(None)
    return _result(duplex.result)


def _result(result: Ended | None) -> Ended:
    if result is None:
        raise EngineFault("job: its output ended without a result")
    return result


def as_json(handle: str, result: Ended, collected: Collected) -> dict[str, object]:
    """The one object that `--json` prints; output that is not UTF-8 has U+FFFD in its place."""
    usage = result.usage
    return {
        "handle": handle,
        "exit_status": result.exit_status,
        "verdict": Verdict(result.verdict).value,
        "signal": result.signal,
        "truncated": result.truncated,
        "stdout": collected.text("stdout"),
        "stderr": collected.text("stderr"),
        "usage": {
            "cpu_user_s": usage.cpu_user_s,
            "cpu_system_s": usage.cpu_system_s,
            "wall_s": usage.wall_s,
            "peak_memory_bytes": usage.peak_memory_bytes,
            "io_read_bytes": usage.io_read_bytes,
            "io_write_bytes": usage.io_write_bytes,
            "io_read_ops": usage.io_read_ops,
            "io_write_ops": usage.io_write_ops,
        },
        "detail": result.detail,
    }


def stdin_is_terminal() -> bool:
    """Whether a person sits at this command's standard input and output."""
    return sys.stdin.isatty() and sys.stdout.isatty()
