"""Many lives of LXC's containers leave nothing: processes, cgroups, links, mounts, files; also when tools and monitors are killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lxc_scene import PATIENCE, Scene, new_scene, until

from warden.depot import systems
from warden.lxc import place

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]
CYCLES, AT_ONCE, KILLS = 200, 4, 50
BRIDGE = "ip link set lo up; ip link add br-test type bridge; ip link set br-test up"
VETH = "lxc.net.0.type = veth\nlxc.net.0.link = br-test\nlxc.net.0.flags = up\n"
INIT = "trap 'exit 0' PWR; : > /tmp/ready; while :; do sleep 1; done\n"


class Network:
    """A network namespace with a bridge, for as long as the block lasts."""

    def __init__(self, lxc: Scene) -> None:
        self._lxc = lxc
        script = f"{BRIDGE}; echo ready; read wait"
        argv = ["unshare", "-n", "sh", "-ec", script]
        self._holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"

    def begin(self, tool: str, *words: str) -> subprocess.Popen[str]:
        argv = ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", *self._lxc.command(tool, *words)]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=self._lxc.env)

    def ok(self, tool: str, *words: str) -> None:
        process = self.begin(tool, *words)
        said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, (tool, words, said)
        assert said == ("", ""), (tool, words, said)

    def links(self) -> set[str]:
        argv = ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "ip", "-o", "link"]
        lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
        return {line.split(": ")[1].partition("@")[0] for line in lines}

    def close(self) -> None:
        self._holder.communicate("\n", timeout=PATIENCE)


@pytest.fixture
def lxc() -> Iterator[Scene]:
    with new_scene() as scene:
        yield scene


@pytest.fixture
def network(lxc: Scene) -> Iterator[Network]:
    made = Network(lxc)
    try:
        yield made
    finally:
        made.close()


def processes(lxc: Scene) -> list[str]:
    """Whose command line names the lxcpath, as every tool's and every monitor's does."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if bytes(lxc.root) in line and int(pid) != os.getpid():
                found.append(f"{pid} {line!r}")
    return found


def nothing_is_left(lxc: Scene, network: Network, before: list[str]) -> None:
    until("no directory is left", lambda: not lxc.left)
    until("no link is left", lambda: network.links() == {"lo", "br-test"})
    until("no process is left", lambda: not processes(lxc))
    assert sorted(os.listdir(lxc.root)) == before
    assert set(os.listdir(lxc.site.state)) <= {place.LENT, place.LOCKS, place.STARTS, place.TURN}


def test_many_lives(lxc: Scene, network: Network) -> None:
    for number in range(AT_ONCE):
        lxc.define(f"box{number}", VETH, init=INIT)
    files = [sorted(os.listdir(lxc.root / f"box{number}")) for number in range(AT_ONCE)]

    def live(number: int) -> None:
        for _ in range(CYCLES // AT_ONCE):
            network.ok("start", f"box{number}")
            network.ok("stop", f"box{number}", "-k")

    network.ok("start", "box0")  # makes what stays, such as the directory of all
    network.ok("stop", "box0", "-k")
    before = sorted(os.listdir(lxc.root))
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for done in [workers.submit(live, number) for number in range(AT_ONCE)]:
            done.result()
    nothing_is_left(lxc, network, before)
    assert [sorted(os.listdir(lxc.root / f"box{number}")) for number in range(AT_ONCE)] == files


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def killed(lxc: Scene, network: Network, name: str, chance: random.Random) -> None:
    """One life, with something killed at an instant that nobody chose: the tool that starts it, its monitor, or the tool
    that stops it."""
    victim = chance.choice(("start", "monitor", "stop"))
    process = network.begin("start", name)
    if victim == "start":
        time.sleep(chance.uniform(0, 0.15))
        kill(process.pid)
    process.communicate(timeout=PATIENCE)
    if victim == "monitor":
        time.sleep(chance.uniform(0, 0.02))
        seen = next((item for item in systems_of(lxc) if item[0] == name), None)
        if seen is not None and seen[1] > 1:
            kill(seen[1])
    if victim == "stop":
        process = network.begin("stop", name, "-k")
        time.sleep(chance.uniform(0, 0.1))
        kill(process.pid)
        process.communicate(timeout=PATIENCE)


def systems_of(lxc: Scene) -> list[tuple[str, int]]:
    """Name and monitor of each."""
    found = []
    for identity in systems.entries(lxc.site.state):
        with contextlib.suppress(OSError, ValueError):
            data = systems.recalled(f"{lxc.site.state}/{identity}")
            found.append((data["name"], data["monitor"]))
    return found


def test_who_is_killed_at_any_instant_is_swept_up_by_the_next_start(lxc: Scene, network: Network) -> None:
    lxc.define("box", VETH, init=INIT)
    lxc.define("next", VETH, init=INIT)
    network.ok("start", "box")
    network.ok("stop", "box", "-k")
    before = sorted(os.listdir(lxc.root))
    chance = random.Random(6)
    for _ in range(KILLS):
        killed(lxc, network, "box", chance)
        process = network.begin("stop", "box", "-k")  # 2 when nothing runs
        assert process.wait(PATIENCE) in (0, 2), process.communicate()
        process.communicate()
        until("it can be started", lambda: started(network))
        network.ok("stop", "box", "-k")
    network.ok("start", "next")
    network.ok("stop", "next", "-k")
    nothing_is_left(lxc, network, before)


def started(network: Network) -> bool:
    """Not while the killed one's monitor is still at the end of its work."""
    process = network.begin("start", "box")
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 or "running already" in said, said
    return process.returncode == 0
