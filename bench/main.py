"""The benchmark's order of events: what is measured after what, interleaved, and what becomes of a failure.

Owns the command line and the rounds. Measures nothing itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import lxctools, network
from bench.daemon import private_daemon
from bench.echo import echo_client, time_us
from bench.engine import Warden, connect
from bench.floor import Floor, floors
from bench.host import NAME, Unavailable, make_lower, remove_all_cgroups, scratch
from bench.peers import Peer, peers
from bench.report import render
from bench.stats import Samples

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PARTS = ("floor", "warden", "peers", "lxc", "scale", "network")


@dataclass(frozen=True)
class Effort:
    """How much is measured. *rounds* of *each* lives; *scale*: containers alive; *budget_s*: no further round after.
    *network*: rounds of streams, 5 s each."""

    rounds: int
    each: int
    commands: int
    stream_mb: int
    scale: tuple[int, ...]
    budget_s: float
    network: int


FULL = Effort(rounds=10, each=8, commands=2, stream_mb=200, scale=(1, 10, 100), budget_s=600, network=5)
QUICK = Effort(rounds=3, each=5, commands=1, stream_mb=50, scale=(1, 10), budget_s=25, network=2)


@dataclass
class Bench:
    """One run: what was asked, what is open, what was found."""

    options: argparse.Namespace
    effort: Effort
    stack: ExitStack
    directory: Path
    lower: Path
    result: dict[str, Any] = field(default_factory=dict)
    floors: list[Floor] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    warden: Warden | None = None

    def wants(self, part: str) -> bool:
        return self.options.only in (None, part)


@contextlib.contextmanager
def reported(bench: Bench, part: str) -> Iterator[None]:
    """A part that cannot be measured here is reported with its reason and stops nothing else."""
    try:
        yield
    except (Unavailable, OSError, subprocess.SubprocessError) as error:
        bench.result.setdefault(part, {})["refused"] = f"not measured: {error}"
    except Exception as error:  # whatever warden's client raises: the other parts' numbers are still worth having
        bench.result.setdefault(part, {})["refused"] = f"not measured: {type(error).__name__}: {error}"


def open_floor(bench: Bench) -> None:
    """Always there: it is what everything is compared with."""
    found = floors(bench.directory, bench.lower, network=bench.options.network, user=bench.options.user_namespace)
    bench.floors = bench.stack.enter_context(found)


def open_warden(bench: Bench) -> None:
    """Starts the private daemon and connects; a container is created to see that it works."""
    with reported(bench, "warden"):
        client = connect_daemon(bench)
        client.fill(1)
        client.run_true(client.alive[0])
        bench.warden = client


def connect_daemon(bench: Bench) -> Warden:
    daemon = bench.stack.enter_context(private_daemon(bench.directory))
    client = bench.stack.enter_context(connect(daemon.socket))
    true_path = bench.lower / "bin" / "true"
    warden = Warden(client, daemon, true_path, network=bench.options.network, user=bench.options.user_namespace)
    bench.stack.callback(warden.destroy_all)
    return warden


def open_all(bench: Bench) -> None:
    if bench.options.only != "network":
        with reported(bench, "floor"):
            open_floor(bench)
    if bench.wants("warden") or bench.wants("scale"):
        open_warden(bench)
    if bench.wants("peers"):
        bench.peers = bench.stack.enter_context(peers(bench.directory, bench.lower))


def one_round(bench: Bench) -> None:
    """Everything once, in turn, so that a machine that slows down slows all of them."""
    with reported(bench, "floor"):
        for floor in bench.floors if bench.wants("floor") else bench.floors[:1]:
            floor.round(bench.effort.each)
    if bench.warden and bench.wants("warden"):
        with reported(bench, "warden"):
            bench.warden.round(bench.effort.each)
            bench.warden.command(bench.effort.commands)
    for peer in bench.peers:
        peer_round(peer, bench.effort.each)


def peer_round(peer: Peer, count: int) -> None:
    try:
        peer.round(count)
    except (Unavailable, OSError, subprocess.SubprocessError) as error:
        peer.refused = f"refused: {error}"


def all_rounds(bench: Bench) -> None:
    """The rounds, as many as fit the time. `--only scale`, `lxc` and `network` need none: they have their own."""
    until = time.monotonic() + bench.effort.budget_s
    for number in range(0 if bench.options.only in ("scale", "lxc", "network") else bench.effort.rounds):
        progress(f"round {number + 1} of {bench.effort.rounds}")
        one_round(bench)
        if time.monotonic() > until:
            break


def measure_streams(bench: Bench) -> None:
    """After the rounds: it moves the daemon's memory."""
    with reported(bench, "warden"):
        for _ in range(3):
            if bench.warden:
                bench.warden.stream(bench.effort.stream_mb)


def measure_protocol(bench: Bench) -> None:
    """A ping against an asyncio echo server, in turns."""
    samples = Samples()
    with reported(bench, "protocol"), echo_client(bench.directory) as echo:
        for _ in range(5):
            time_us(samples, "echo_us", echo, 100)
            if bench.warden:
                time_us(samples, "ping_us", bench.warden.client.ping, 100)
    bench.result.setdefault("protocol", {}).update(samples.figures())


def scale_level(bench: Bench, warden: Warden, count: int) -> None:
    """All of warden's figures, and the floor's, with *count* containers alive."""
    progress(f"scale: {count} alive")
    warden.fill(count)
    warden.samples = Samples()
    base = bench.floors[0] if bench.floors else None
    floor_samples = Samples()
    for _ in range(max(2, bench.effort.rounds // 3)):
        if base:
            base.samples = floor_samples
            base.round(bench.effort.each)
        warden.round(bench.effort.each)
    bench.result["scale"][str(count)] = {"floor": floor_samples.figures(), **warden.samples.figures()}


def measure_scale(bench: Bench) -> None:
    levels = sorted({*bench.effort.scale, *([bench.options.scale] if bench.options.scale else [])})
    bench.result["scale"] = {}
    for count in levels if bench.warden else ():
        try:
            scale_level(bench, bench.warden, count)  # type: ignore[arg-type]
        except Exception as error:  # as in reported(): smaller levels stand
            bench.result["scale"][str(count)] = {"refused": f"not measured: {type(error).__name__}: {error}"}
            break


def measure_lxc(bench: Bench) -> None:
    """Ours beside LXC's own, in turns."""
    progress("LXC's tools")
    with reported(bench, "lxc"):
        bench.result["lxc"] = lxctools.measure(bench.directory, bench.lower, 2 * bench.effort.rounds)


def collect_floor(bench: Bench) -> None:
    if bench.floors:
        main, *others = bench.floors
        variants = {floor.name: floor.samples.figures() for floor in others if floor.samples.series}
        kind = {"of": main.name, **main.samples.figures(), "variants": variants}
        bench.result["floor"] = {**bench.result.get("floor", {}), **kind}


def collect(bench: Bench) -> None:
    """Turns samples into the result, before scale starts new ones."""
    collect_floor(bench)
    if bench.warden and bench.wants("warden"):
        bench.result.setdefault("warden", {}).update(bench.warden.samples.figures())
        bench.result["notes"] = bench.warden.notes
    for peer in bench.peers:
        found: dict[str, Any] = {"without": peer.without, **peer.samples.figures()}
        if peer.refused:
            found["refused"] = peer.refused
        bench.result.setdefault("peers", {})[peer.name] = found


def measure_network(bench: Bench) -> None:
    progress("network")
    with reported(bench, "network"):
        effort, quick = bench.effort, bench.options.quick
        found = network.measure(bench.directory, rounds=effort.network, lives=2 * effort.each, quick=quick)
        bench.result.setdefault("network", {}).update(found)
        bench.result.setdefault("notes", []).append(network.NOTE)


def measure(bench: Bench) -> None:
    open_all(bench)
    all_rounds(bench)
    if bench.warden and bench.wants("warden"):
        measure_streams(bench)
    if bench.wants("warden"):
        measure_protocol(bench)
    collect(bench)
    if bench.wants("lxc"):
        measure_lxc(bench)
    if bench.wants("scale"):
        measure_scale(bench)
    if bench.wants("network"):
        measure_network(bench)


def progress(text: str) -> None:
    """One line for a person who waits; nothing when stderr is not a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[Kbench: {text}", end="", file=sys.stderr, flush=True)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark; what it made on the machine is gone when this returns or raises."""
    with ExitStack() as stack:
        stack.callback(remove_all_cgroups)
        directory = stack.enter_context(scratch())
        lower = make_lower(directory / "lower")
        bench = Bench(options, QUICK if options.quick else FULL, stack, directory, lower)
        measure(bench)
        return bench.result


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures the kernel's floor for a container's life, warden, and the other engines installed here, "
        "in turns, and shows each as a multiple of the floor. Needs root. Everything it makes is named "
        "warden-bench-PID or w-bench… and is removed.",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure as JSON")
    parser.add_argument("--quick", action="store_true", help="less of everything, under a minute")
    parser.add_argument("--only", choices=PARTS, help="only this part (and the floor, to compare with)")
    parser.add_argument("--scale", type=int, metavar="N", help="measure with N containers alive as well")
    on_or_off = argparse.BooleanOptionalAction
    parser.add_argument("--network", action=on_or_off, default=True, help="a veth pair for each container")
    parser.add_argument("--user-namespace", action=on_or_off, default=True, help="a user namespace for each container")
    return parser.parse_args(words)


def interrupt_once(*_: object) -> None:
    """The first SIGINT, SIGTERM or SIGHUP ends the run; further ones must not end the clean-up."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    options = parse()
    if os.geteuid() != 0:
        print("bench: making containers needs root: use sudo", file=sys.stderr)
        return 77
    for number in STOPPING:
        signal.signal(number, interrupt_once)
    try:
        result = run(options)
    except KeyboardInterrupt:
        print(f"bench: interrupted; everything of {NAME} was removed", file=sys.stderr)
        return 130
    except Unavailable as error:
        print(f"bench: {error}", file=sys.stderr)
        return 69
    progress("")
    print(render(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0
