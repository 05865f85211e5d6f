"""LXC's containers beside the daemon's own: `warden ps`, `explain`, `info`, `inspect`, `stats`, `top` and metrics know them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from lxc_scene import PATIENCE, Scene, new_scene, until
from scene import configured_daemon

from warden.client.blocking import Client
from warden.errors import BadInput, UnknownHandle
from warden.testing.daemon import PrivateDaemon

pytestmark = [pytest.mark.root, pytest.mark.vm]
BRIDGE = "ip link set lo up; ip link add br-test type bridge; ip address add 198.18.7.1/24 dev br-test; ip link set br-test up"
NETWORK = """lxc.net.0.type = veth
lxc.net.0.link = br-test
lxc.net.0.flags = up
lxc.net.0.name = eth0
lxc.net.0.ipv4.address = 198.18.7.2/24
"""


@pytest.fixture(scope="module")
def lxc() -> Iterator[Scene]:
    with new_scene() as scene:
        yield scene


@pytest.fixture(scope="module")
def private(lxc: Scene) -> Iterator[PrivateDaemon]:
    """One that looks where the tools of the scene have theirs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WARDEN_LXC_STATE", "WARDEN_LXC_CGROUP"):
            patch.setenv(name, lxc.env[name])
        with configured_daemon(metrics={"listen": f"{lxc.root}/metrics.sock"}) as found:
            yield found


@pytest.fixture
def client(private: PrivateDaemon) -> Iterator[Client]:
    with Client(private.socket) as found:
        yield found


class Warden:
    def __init__(self, lxc: Scene, private: PrivateDaemon) -> None:
        self._env = {**lxc.env, "WARDEN_SOCKET": private.socket}

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "warden.cli.main", *words]
        env = {**self._env, **more}
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE)

    def __call__(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words))


@pytest.fixture
def warden(lxc: Scene, private: PrivateDaemon) -> Warden:
    return Warden(lxc, private)


def box(lxc: Scene, config: str = "") -> Any:
    lxc.define("box", config)
    return lxc.start("box").running


def test_it_is_listed_told_and_explained(lxc: Scene, warden: Warden) -> None:
    running = box(lxc, "lxc.cgroup2.memory.max = 64M\nlxc.cgroup.memory.limit_in_bytes = 64M\n")
    (found,) = warden.json("ps", "--all", "--json")
    assert (found["handle"], found["id"], found["state"]) == ("lxc:box", running.container_id, "active")
    assert (found["pid"], found["rootfs"]) == (running.pid, f"{lxc.root}/box/rootfs")
    assert found["memory"]["limit"] == 64 << 20
    assert warden.json("ps", "--json") == []
    assert warden("ps", "-aq") == "lxc:box\n"
    assert warden.json("info", "lxc:box", "--json")["path"] == f"{lxc.root}/box"
    (told,) = warden.json("inspect", f"lxc:{lxc.root}/box")
    assert (told["state"]["pid"], told["state"]["lxc"]) == (running.pid, "RUNNING")
    assert told["namespaces"]["pid"] == os.readlink(f"/proc/{running.pid}/ns/pid")
    assert told["limits"]["in_force"]["memory.max"]
    for name in ("box", "lxc:box", f"lxc:{running.container_id}"):
        assert str(running.pid) in json.dumps(warden.json("explain", name, "--json", "--section", "process"))
    lxc.ok("freeze", "box")
    assert warden.json("info", "box", "--json")["paused"] is True
    lxc.ok("stop", "-k", "box")
    assert warden.json("ps", "--all", "--json") == []
    for command in ("explain", "info", "inspect", "stats"):
        for name in ("box", "lxc:box"):
            assert warden.run(command, name).returncode == 3


def test_without_a_daemon(lxc: Scene, warden: Warden) -> None:
    none = {"WARDEN_SOCKET": f"{lxc.root}/none.sock"}
    assert warden.run("ps", "--all", **none).returncode != 0
    box(lxc)
    assert warden.run("ps", "-aq", **none).stdout == "lxc:box\n"
    assert warden.run("explain", "box", "--section", "ids", **none).returncode == 0
    assert "root" in warden.run("info", "lxc:box", **none).stdout
    lxc.ok("stop", "-k", "box")


def scraped(lxc: Scene) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{lxc.root}/metrics.sock")
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while more := sock.recv(65536):
            data += more
    return data.decode()


def test_what_it_uses(lxc: Scene, warden: Warden, client: Client) -> None:
    assert client.stats() == []
    box(lxc)
    lxc.ok("attach", "box", "--", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    (full,) = client.stats()
    assert (full.handle, full.jobs, full.network) == ("lxc:box", 0, ())
    assert (full.cpu.usage_s or 0) > 0
    assert (full.memory.current or 0) > 0
    assert (full.pids.current or 0) >= 1
    assert (full.processes or 0) >= 1
    assert client.stats("box")[0].id == client.stats("lxc:box", brief=True)[0].id == full.id
    fields = warden("stats", "--all-fields", "lxc:box")
    assert "handle                                   lxc:box\n" in fields
    assert "memory.stat." in fields
    assert warden.json("stats", "--json")[0]["handle"] == "lxc:box"
    assert "lxc:box" in warden("top", "-b", "-n", "1")
    assert f'warden_container_memory_bytes{{handle="lxc:box",id="{full.id}"}}' in scraped(lxc)
    lxc.ok("stop", "-k", "box")
    assert client.stats() == []
    assert "lxc:box" not in scraped(lxc)
    with pytest.raises(UnknownHandle):
        client.stats("lxc:box")


def test_a_stream_ends_with_it(lxc: Scene, client: Client) -> None:
    box(lxc)
    rounds = client.follow_stats("lxc:box", interval=0.05)
    assert [found.handle for found in next(rounds)] == ["lxc:box"]
    lxc.ok("stop", "-k", "box")
    box(lxc)  # another one of that name is another
    assert {len(found) for found in rounds} <= {0, 1}
    lxc.ok("stop", "-k", "box")


def test_its_links(lxc: Scene, warden: Warden) -> None:
    rootfs = lxc.define("box", NETWORK)
    script = (
        f'{BRIDGE}\n"$@"; bash -c "echo > /dev/udp/198.18.7.2/9"; "$WARDEN_PYTHON" -m warden.cli.main inspect lxc:box;'
        ' lxc="${1%start}"; shift; "${lxc}stop" "$@" -k; exit 0'
    )
    argv = ["unshare", "-n", "sh", "-ec", script, "sh", *lxc.command("start", "box")]
    env = {**lxc.env, "WARDEN_PYTHON": sys.executable, "WARDEN_SOCKET": f"{lxc.root}/none.sock"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=PATIENCE)
    (told,) = json.loads(done.stdout)
    assert told["network"]["addresses"] == ["198.18.7.2"]
    (link,) = told["network"]["links"]
    assert link["name"] == "eth0"
    assert link["rx_packets"] > 0
    assert rootfs.is_dir()
    lxc.gone("box")


def test_names_that_clash(lxc: Scene, client: Client, warden: Warden) -> None:
    box(lxc)
    other = Scene(lxc.root / "other", lxc.site)
    (lxc.root / "other").mkdir()
    own = client.create(handle="box", network="none")
    try:
        ids = {found.handle: found.id for found in client.stats()}
        assert set(ids) == {"box", "lxc:box"}
        assert client.stats("box")[0].id == ids["box"]
        assert client.stats("lxc:box")[0].id == ids["lxc:box"]
        assert {warden.json("info", name, "--json")["id"] for name in ids} == set(ids.values())
        for refused in ("lxc:box", "lxc:"):
            with pytest.raises(BadInput, match="LXC"):
                client.create(handle=refused)
            with pytest.raises(BadInput, match="LXC"):
                own.rename(refused)
        box(other)
        with pytest.raises(BadInput, match="several"):
            client.stats("lxc:box")
        assert "other/box" in warden.run("explain", "lxc:box").stderr
        (one,) = client.stats(f"lxc:{other.root}/box")
        assert one.id != ids["lxc:box"]
    finally:
        own.destroy()
        other.ok("stop", "-k", "box")
        lxc.ok("stop", "-k", "box")
        other.close()


def write(directory: Path, **files: str) -> None:
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)


def record(**given: object) -> str:
    return json.dumps({"name": "evil", "lxcpath": "/x", "pid": os.getpid(), **given})


HOSTILE: Sequence[str] = (
    "", "[]", "{}", "null", "{" * 100_000, record(pid=1), record(pid="1"), record(pid=-1), record(pid=1 << 70), record(name=["a"]),
    record(name=None), record(), record(groups={"memory": "/etc"}), "x" * (2 << 20), '{"pid": NaN}', "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
)  # fmt: skip


def test_what_strangers_wrote_there_is_passed_over(lxc: Scene, client: Client, warden: Warden) -> None:
    """Names, types, sizes, first processes that are not below the tools' cgroup, files that are none."""
    running = box(lxc)
    state = Path(lxc.site.state)
    made = []
    for number, text in enumerate(HOSTILE):
        directory = state / f"0000000{number:03o}"
        write(directory, **{"container.json": text, "journal": "RUNNING\n", "lock": ""})
        made.append(directory)
    for name, kind in (("000000aaa", "container.json"), ("000000aab", "lock"), ("000000aac", "journal")):
        write(state / name, **{other: record() for other in ("container.json", "journal", "lock") if other != kind})
        os.mkfifo(state / name / kind)
        made.append(state / name)
    write(state / "..x", lock="")
    write(state / "a b", **{"container.json": record(pid=running.pid), "lock": ""})
    held = [os.open(directory / "lock", os.O_RDWR | os.O_NONBLOCK) for directory in made]
    try:
        import fcntl

        for lock in held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        assert warden("ps", "-aq") == "lxc:box\n"
        assert [found.handle for found in client.stats()] == ["lxc:box"]
        assert lxc.ok("ls", "-1", "--active") == "box\n"
    finally:
        for lock in held:
            os.close(lock)
        for directory in (*made, state / "..x", state / "a b"):
            subprocess.run(["rm", "-r", directory], check=True)
        lxc.ok("stop", "-k", "box")


def test_a_name_that_a_terminal_would_obey(lxc: Scene, warden: Warden) -> None:
    name = "b\u202eox\N{NO-BREAK SPACE}"
    lxc.define(name)
    config = lxc.root / name / "config"
    config.write_text(config.read_text().replace(f"lxc.uts.name = {name}\n", "lxc.uts.name = box\n"))
    lxc.start(name)
    assert "lxc:b\\u202eox\\xa0" in warden("ps", "-a")
    assert "lxc:b\\u202eox\\xa0" in warden("stats")
    assert warden.json("info", f"lxc:{name}", "--json")["handle"] == f"lxc:{name}"
    assert "\u202e" not in scraped(lxc) or 'handle="lxc:b' in scraped(lxc)
    lxc.ok("stop", "-k", name)
    until("it is gone", lambda: not lxc.left)
