"""What the network of a container gives and costs: throughput beside a bare veth, rates that were set, time to make one.

Owns what is measured and what is compared with what: streams of one round run one after the other, so that a machine that
slows down slows all of them. The scene is netscene.py's, what one stream is stream.c's.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import netscene
from bench.daemon import private_daemon
from bench.engine import connect
from bench.host import Unavailable, compile_static
from bench.netscene import FAR, HOST, OUTSIDE, Scene, Space
from bench.stats import Samples

PORT = 5001
NETWORK = "benchnet"
MODES = ("warden", "bridge")
RATES_MBIT, QUICK_RATES_MBIT = (1, 10, 100, 1000), (10, 1000)
#: One stream: not counted at first, then counted; of a slow rate longer, because it comes in pieces of 64 KiB at most,
#: which is half a second of 1 Mbit/s.
STREAM_MS, SLOW_MS, SHAPED_MS = (40, 200), (1000, 3000), (300, 1200)
SETTLE_S = 0.06
NOTE = (
    "network: streams are one TCP connection each of 128 KiB writes; *sleep*: the receiver sleeps between reads, and the "
    "machine's cost of waking a processor is in it; *× rate*: what TCP delivered, of which headers are 4.4 % missing"
)


@dataclass(frozen=True)
class Way:
    """Where a stream goes: listens at *listen*, is reached at *connect*."""

    receiver: Space
    sender: Space
    listen: tuple[str, int]
    connect: tuple[str, int]


@dataclass
class Network:
    """One scene with a daemon in it and a container of each mode. *lives*: of each kind in a round."""

    program: Path
    scene: Scene
    client: Any
    lives: int
    samples: Samples = field(default_factory=Samples)
    boxes: dict[str, Any] = field(default_factory=dict)
    paths: dict[str, Way] = field(default_factory=dict)

    def open(self) -> None:
        """Makes the containers and knows the paths; the bare one is the first."""
        self.client.create_network(NETWORK)
        self.paths["veth"] = Way(self.scene.far, self.scene.near, (FAR, PORT), (FAR, PORT))
        for mode in MODES:
            box = self.boxes[mode] = self.create(mode)
            info = box.info()
            inside, outside = Space(info.pid), self.scene.outside
            self.paths[mode] = Way(outside, inside, (OUTSIDE, PORT), (OUTSIDE, PORT))
            host_port, _ = box.net_in(None, PORT)
            self.paths[f"port_into_{mode}"] = Way(inside, outside, ("0.0.0.0", PORT), (HOST, host_port))

    def create(self, mode: str) -> Any:
        network = f"bridge:{NETWORK}" if mode == "bridge" else mode
        return self.client.create(image="host", network=network)

    def close(self) -> None:
        for box in self.boxes.values():
            with contextlib.suppress(Exception):
                box.destroy()
        with contextlib.suppress(Exception):
            self.client.remove_network(NETWORK)

    def stream(self, path: Way, how: str, times_ms: tuple[int, int]) -> float:
        """Bits a second of what arrived."""
        ends = [path.receiver.path, path.sender.path, path.listen[0], str(path.listen[1]), *map(str, path.connect)]
        words = [str(self.program), *ends, *map(str, times_ms), how]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise Unavailable(done.stderr.strip() or f"stream ended with {done.returncode}")
        count, took_ns = map(int, done.stdout.split())
        return count * 8e9 / took_ns

    def throughput(self, *, backwards: bool) -> None:
        """Each path once in both ways of receiving, beside the bare veth before it and after it."""
        for how in ("poll", "sleep"):
            before = self.stream(self.paths["veth"], how, STREAM_MS)
            names = [name for name in self.paths if name != "veth"]
            for name in reversed(names) if backwards else names:
                found = self.stream(self.paths[name], how, STREAM_MS)
                after = self.stream(self.paths["veth"], how, STREAM_MS)
                more = "" if how == "poll" else "_sleep"
                self.samples.add(f"veth{more}_gbit_s", after / 1e9)
                self.samples.add(f"{name}{more}_of_veth", 2 * found / (before + after))
                before = after

    def shaping(self, rates: Iterable[int]) -> None:
        """What arrives of a rate that was set, up and down, on a link of its own."""
        box = self.boxes["warden"]
        for rate in rates:
            box.limit(bandwidth_in=f"{rate}mbit", bandwidth_out=f"{rate}mbit")
            times = SLOW_MS if rate <= 10 else SHAPED_MS
            for way, name in (("out", "warden"), ("in", "port_into_warden")):
                self.samples.add(
                    f"{way}_{rate}mbit_of_rate", self.stream(self.paths[name], "sleep", times) / rate / 1e6
                )
        box.limit(bandwidth_in="max", bandwidth_out="max")

    def creation(self) -> None:
        """Lives with each network and with none, in turn; what a network adds is their difference."""
        for _ in range(self.lives):
            found = {mode: self.life(lambda mode=mode: self.create(mode)) for mode in ("none", *MODES)}
            for mode in MODES:
                for what, with_it, without in zip(("create", "destroy"), found[mode], found["none"], strict=True):
                    self.samples.add(f"{what}_{mode}_adds_ms", with_it - without)
            implicit = self.life(lambda: self.client.create(image="host", network="bridge:first"))
            self.samples.add("create_first_on_bridge_adds_ms", implicit[0] - found["none"][0])

    def life(self, create: Callable[[], Any]) -> tuple[float, float]:
        """Milliseconds to create and to destroy; the kernel still takes the last life's links down when it is over."""
        time.sleep(SETTLE_S)
        taken = Samples()
        with taken.timed_ms("create"):
            box = create()
        with taken.timed_ms("destroy"):
            box.destroy()
        return taken.series["create"][0], taken.series["destroy"][0]


@contextlib.contextmanager
def opened(directory: Path, lives: int) -> Iterator[Network]:
    """A scene, a daemon in it, and the containers; all of it goes with the block."""
    here = directory / "network"
    here.mkdir()
    program = compile_static("stream.c", here / "stream")
    with (
        netscene.scene() as scene,
        private_daemon(here, within=scene.host.path) as daemon,
        connect(daemon.socket) as client,
    ):
        network = Network(program, scene, client, lives)
        try:
            network.open()
            yield network
        finally:
            network.close()


def measure(directory: Path, *, rounds: int, lives: int, quick: bool) -> dict[str, Any]:
    """The section of the report; under a minute with five rounds. Raises Unavailable."""
    with opened(directory, lives) as network:
        for number in range(rounds):
            network.throughput(backwards=bool(number % 2))
        network.shaping(QUICK_RATES_MBIT if quick else RATES_MBIT)
        network.creation()
        return dict(sorted(network.samples.figures().items(), key=lambda item: ORDER.index(ending(item[0]))))


ORDER = ("of_veth", "gbit_s", "of_rate", "ms")


def ending(name: str) -> str:
    return next(end for end in ORDER if name.endswith(end))
