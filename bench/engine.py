"""warden as a subject: the same work through the blocking client, and the command as a whole process.

Owns what is measured of warden. Starting the daemon is daemon.py's.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.daemon import Daemon, find_command, rss_kib
from bench.host import Unavailable
from bench.stats import Samples

TRUE = "/bench-true"
COMMAND_TIMEOUT_S = 60


@dataclass
class Warden:
    """Measures one wardend through *client*. *true_path*: the static program that jobs run, bound into containers."""

    client: Any
    daemon: Daemon
    true_path: Path
    network: bool = True
    user: bool = True
    samples: Samples = field(default_factory=Samples)
    alive: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def create(self) -> Any:
        from warden.model.spec import Mount

        return self.client.create(
            image="host",
            memory="64M",
            mounts=[Mount(str(self.true_path), TRUE)],
            network="warden" if self.network else "none",
            user_namespace=self.user,
        )

    def fill(self, count: int) -> None:
        """Creates containers until *count* are alive."""
        while len(self.alive) < count:
            self.alive.append(self.create())

    def run_true(self, container: Any) -> None:
        result = container.run([TRUE])
        if result.exit_status != 0:
            raise Unavailable(f"{TRUE} ended with {result.exit_status} ({result.verdict})")

    def one_life(self) -> None:
        """Create, run, destroy: each timed, and the whole."""
        begun = time.perf_counter_ns()
        with self.samples.timed_ms("create_ms"):
            container = self.create()
        try:
            self.run_true(container)
        finally:
            with self.samples.timed_ms("destroy_ms"):
                container.destroy()
        self.samples.add("life_ms", (time.perf_counter_ns() - begun) / 1e6)

    def round(self, lives: int) -> None:
        """*lives* of everything that is quick, interleaved."""
        self.fill(1)
        for _ in range(lives):
            self.one_life()
            with self.samples.timed_ms("run_ms"):
                self.run_true(self.alive[0])
            with self.samples.timed_ms("info_ms"):
                info = self.alive[0].info()
        self.samples.add("wardend_rss_kib", self.daemon.rss_kib())
        self.samples.add("wshd_rss_kib", rss_kib(info.pid))

    def command_words(self) -> list[str]:
        network = ["--network", "warden" if self.network else "none"]
        user = [] if self.user else ["--no-user-namespace"]
        return [find_command("warden"), "run", "--socket", self.daemon.socket, *network, *user, "true"]

    def command(self, count: int) -> None:
        """The command as a person would type it: process start, create, run, destroy, exit."""
        words = self.command_words()
        for _ in range(count):
            with self.samples.timed_ms("command_ms"):
                done = subprocess.run(
                    words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=COMMAND_TIMEOUT_S
                )
                if done.returncode:
                    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
                    raise Unavailable(f"warden run true: {lines[-1][:200]}")

    def stream(self, megabytes: int) -> None:
        """The rate at which a job's output arrives, and the same bytes through a plain pipe."""
        self.fill(1)
        words = ["head", "-c", f"{megabytes}M", "/dev/zero"]
        begun = time.perf_counter()
        handle = self.alive[0].spawn(words)
        received = sum(len(chunk.data) for chunk in handle.stream())
        self.samples.add("stream_mb_s", received / 1e6 / (time.perf_counter() - begun))
        if received != megabytes * 1024 * 1024:
            self.notes.append(f"stream: {received} bytes of {megabytes} MiB arrived")
        self.samples.add("pipe_mb_s", pipe_rate(words))

    def destroy_all(self) -> None:
        """Destroys what this subject created; goes on after failures."""
        while self.alive:
            with contextlib.suppress(Exception):
                self.alive.pop().destroy()


def pipe_rate(words: list[str]) -> float:
    """Megabytes a second that Python reads from the same program without a container."""
    begun = time.perf_counter()
    received = 0
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(65536):
            received += len(piece)
    return received / 1e6 / (time.perf_counter() - begun)


def connect(socket: str) -> Any:
    """The blocking client; raises Unavailable when this installation has none."""
    try:
        from warden import Client
    except ImportError as error:
        raise Unavailable(f"warden's client cannot be imported: {error}") from error
    return Client(socket)
