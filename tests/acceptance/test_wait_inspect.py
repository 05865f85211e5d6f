"""`warden wait`, `inspect`, `jobs`, `kill` and `ps`: what they tell of real containers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from scene import client_of, is_waiting, nothing_new, wait_until, wait_until_connected

from warden.client.blocking import Client
from warden.errors import UnknownHandle, UnknownJob
from warden.model.job import Verdict
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

COMMAND = [sys.executable, "-m", "warden.cli.main"]


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as made:
        yield made


def command(daemon: PrivateDaemon, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
    return subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, timeout=120, check=False)


def started(daemon: PrivateDaemon, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
    return subprocess.Popen(
        [*COMMAND, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


# ---- wait


def test_exit_codes_in_the_order_asked(client: Client, shared_daemon: PrivateDaemon) -> None:
    with (
        nothing_new(shared_daemon),
        client.create("wait-a", network="none") as first,
        client.create("wait-b", network="none") as second,
    ):
        first.spawn(["sh", "-c", "sleep 0.7; exit 3"])
        second.spawn(["sh", "-c", "kill -9 $$"])
        done = command(shared_daemon, "wait", "wait-a", "wait-b")
        assert (done.returncode, done.stdout) == (0, "3\n137\n")
        assert command(shared_daemon, "wait", "wait-b").stdout == "137\n", "nothing was collected"
        mixed = command(shared_daemon, "wait", "wait-a", "no-such")
        assert (mixed.returncode, mixed.stdout) == (3, "3\n")
        assert first.wait().verdict is Verdict.EXITED


def test_the_main_job_is_the_first(client: Client) -> None:
    with client.create(network="none") as box:
        with pytest.raises(UnknownJob, match="it has no job"):
            box.wait()
        main = box.spawn(["sh", "-c", "sleep 0.5; exit 1"])
        other = box.spawn(["sh", "-c", "exit 2"])
        assert box.wait(other.id).exit_status == 2
        assert box.wait().exit_status == 1
        assert main.wait().exit_status == 1


def test_timeouts_and_conditions(client: Client, shared_daemon: PrivateDaemon) -> None:
    with client.create("cond", network="none") as box:
        job = box.spawn(["sleep", "1000"])
        done = command(shared_daemon, "wait", "--timeout", "200ms", "cond")
        assert (done.returncode, done.stdout) == (124, "")
        assert "still runs" in done.stderr
        with pytest.raises(TimeoutError):
            box.wait(timeout=0.1)
        job.kill()
        assert box.wait().verdict is Verdict.STOPPED
        waiting = started(shared_daemon, "wait", "--condition", "next-exit", "cond")
        removal = started(shared_daemon, "wait", "--condition", "removed", "cond")
        for each in (waiting, removal):
            wait_until_connected(each.pid)
        assert waiting.poll() is None
        box.run(["sh", "-c", "exit 5"])
        assert waiting.communicate(timeout=60) == ("5\n", "")
        assert removal.poll() is None
        box.destroy()
        assert removal.communicate(timeout=60) == ("137\n", "")
        with pytest.raises(UnknownHandle):
            box.wait()


def test_a_stop_and_a_destroy_end_the_waiting(client: Client) -> None:
    with client.create(network="none") as box:
        box.spawn(["sleep", "1000"])
        found: list[Verdict] = []
        threads = [threading.Thread(target=lambda: found.append(box.wait().verdict)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            wait_until(lambda thread=thread: is_waiting(f"/proc/self/task/{thread.native_id}"))  # type: ignore[misc]
        box.destroy()
        for thread in threads:
            thread.join(60)
        assert found == [Verdict.STOPPED] * 3


def test_waiting_goes_on_over_kills_of_the_daemon(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client:
        box = client.create("box", network="none")
        box.spawn(["sh", "-c", "until [ -e /tmp/go ]; do sleep 0.1; done; exit 7"])
        pid = box.info().pid
        waiting = [started(daemon, "wait", *words, "box") for words in ([], ["--condition", "next-exit"])]
        for each in waiting:
            wait_until_connected(each.pid)
        daemon.kill()
        daemon.start()
        time.sleep(0.3)
        daemon.kill()
        assert all(each.poll() is None for each in waiting)
        with open(f"/proc/{pid}/root/tmp/go", "w"):
            pass
        time.sleep(0.7)  # the job ends while no daemon runs
        daemon.start()
        assert [each.communicate(timeout=60) for each in waiting] == [("7\n", "")] * 2
    with client_of(daemon) as client:
        client.container("box").destroy()


# ---- inspect, jobs, ps


def test_everything_known_of_a_container(client: Client, shared_daemon: PrivateDaemon) -> None:
    with client.create("seen", memory="64M", pids=100, mounts=[("/tmp", "/mnt/host")], hostname="inner") as box:
        done = box.spawn(["sh", "-c", "echo hello; exit 3"])
        box.wait(done.id)
        running = box.spawn(["sleep", "1000"], interactive=True)
        outer, inner = box.net_in(container_port=8080)
        known = json.loads(command(shared_daemon, "inspect", "seen").stdout)
        assert len(known) == 1
        document = known[0]
        info = box.info()
        assert set(document) >= {
            "handle", "id", "created", "state", "image", "rootfs", "hostname", "path", "network", "mounts", "limits",
            "memory", "cpu", "disk", "user", "cgroups", "namespaces", "grace_time", "jobs", "spec",
        }  # fmt: skip
        assert (document["handle"], document["id"], document["hostname"]) == ("seen", info.id, "inner")
        assert document["state"] == {
            "status": "active", "running": True, "paused": False, "pid": info.pid, "events": [],
        }  # fmt: skip
        assert document["network"]["ip"] == info.container_ip
        assert document["network"]["link"] == f"w-{info.id}-0"
        assert document["network"]["ports"] == [
            {"host_ip": None, "host_port": outer, "container_port": inner, "protocol": "tcp"}
        ]
        [mount] = document["mounts"]
        assert (mount["source"], mount["target"], mount["read_only"]) == ("/tmp", "/mnt/host", True)
        assert document["limits"]["in_force"]["memory.max"] == str(64 << 20)
        assert document["limits"]["asked"]["pids.max"] == "100"
        assert document["namespaces"]["net"] == os.readlink(f"/proc/{info.pid}/ns/net")
        assert all(os.path.isdir(path) for path in document["cgroups"].values())
        first, second = document["jobs"]
        assert (first["id"], first["running"], first["output"]["stdout"]) == (done.id, False, 6)
        assert (first["result"]["verdict"], first["result"]["exit_status"]) == ("exited", 3)
        assert (second["id"], second["running"], second["result"], second["interactive"]) == (
            running.id,
            True,
            None,
            True,
        )
        assert all(os.path.isdir(path) for path in second["cgroups"].values())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", document["created"])
        for path, wanted in (
            (".network.ip", info.container_ip),
            (".limits.in_force.memory.max", str(64 << 20)),
            (".jobs[0].result.verdict", "exited"),
            ("jobs.1.id", str(running.id)),
            (".jobs[*].id", f"{done.id}\n{running.id}"),
            (".rootfs", ""),
            (".state.running", "true"),
        ):
            assert command(shared_daemon, "inspect", "-f", path, "seen").stdout == wanted + "\n", path
        wrong = command(shared_daemon, "inspect", "-f", ".network.colour", "seen")
        assert wrong.returncode == 2
        assert "there is mode, ip" in wrong.stderr
        several = command(shared_daemon, "inspect", "no-such", "seen")
        assert several.returncode == 3
        assert [item["handle"] for item in json.loads(several.stdout)] == ["seen"]
        shown = command(shared_daemon, "jobs", "seen").stdout.splitlines()
        assert [line.split()[:2] for line in shown] == [
            ["JOB", "STATE"],
            [str(done.id), "exited"],
            [str(running.id), "running"],
        ]
        box.stop()
        assert json.loads(command(shared_daemon, "inspect", "seen").stdout)[0]["state"]["status"] == "stopped"


def test_ps_picks_and_filters(client: Client, shared_daemon: PrivateDaemon) -> None:
    with (
        client.create("web-1", network="none") as one,
        client.create("web-2", network="none") as two,
        client.create("db", network="none"),
    ):
        two.pause()
        one.stop()

        def ps(*words: str) -> str:
            done = command(shared_daemon, "ps", *words)
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert ps("-aq", "--filter", "name=web").split() == ["web-1", "web-2"]
        assert ps("-q", "--filter", "name=web").split() == ["web-2"]
        assert ps("-q", "--filter", "state=stopped").split() == ["web-1"]
        assert ps("-q", "-f", "status=paused", "-f", "state=active").split() == ["web-2", "db"]
        assert ps("--filter", "name=db", "--format", ".handle,.memory.current,.state").split("\t")[::2] == [
            "db",
            "active\n",
        ]
        assert [json.loads(line)["handle"] for line in ps("-a", "--format", "json").splitlines()] == [
            "web-1",
            "web-2",
            "db",
        ]
        assert command(shared_daemon, "ps", "--filter", "colour=red").returncode == 2
        two.resume()


def test_kill_takes_several(client: Client, shared_daemon: PrivateDaemon) -> None:
    with client.create("k1", network="none") as one, client.create("k2", network="none") as two:
        for box in (one, two):
            box.spawn(["sh", "-c", "trap 'exit 4' HUP; echo up; while :; do sleep 0.1; done"])
            wait_until(lambda box=box: b"up" in b"".join(chunk.data for chunk in box.logs()))  # type: ignore[misc]
        assert command(shared_daemon, "kill", "-s", "HUP", "k1", "k2", "no-such").returncode == 3
        assert (one.wait().exit_status, two.wait().exit_status) == (4, 4)
        for box in (one, two):
            box.spawn(["sleep", "1000"])
        assert command(shared_daemon, "kill", "k1", "k2").returncode == 0
        assert all(not job.running for box in (one, two) for job in box.info().jobs)
        assert command(shared_daemon, "kill", "--job", "1", "k1", "k2").returncode == 2
