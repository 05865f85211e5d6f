"""Logs of real jobs: by time, by lines, followed over jobs, over a killed daemon, to the end of the container."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scene import client_of, nothing_new, wait_until, wait_until_connected

from warden.client.aio import AsyncClient
from warden.client.blocking import Client, Container
from warden.errors import BadInput, Unreachable
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

COMMAND = [sys.executable, "-m", "warden.cli.main"]
#: Lines on both streams by turns, numbered, as fast as a shell can.
TALK = "i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo {tag}$i; echo {tag}$i >&2; {pause}; done"


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as made:
        yield made


def command(daemon: PrivateDaemon, *words: str) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
    return subprocess.run([*COMMAND, *words], env=environment, capture_output=True, timeout=120, check=False)


class Follower:
    """`warden logs -f` in a process of its own."""

    def __init__(self, daemon: PrivateDaemon, *words: str) -> None:
        environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
        self.process = subprocess.Popen(
            [*COMMAND, "logs", "-f", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.seen = [b"", b""]
        self._threads = [threading.Thread(target=self._read, args=(number,)) for number in (0, 1)]
        for thread in self._threads:
            thread.start()

    def _read(self, number: int) -> None:
        file = (self.process.stdout, self.process.stderr)[number]
        assert file is not None
        while data := os.read(file.fileno(), 65536):
            self.seen[number] += data
        file.close()

    def has(self, text: bytes) -> None:
        wait_until(lambda: any(text in seen for seen in self.seen), lambda: f"{text!r} not in {self.seen}")

    def end(self) -> int:
        code = self.process.wait(60)
        for thread in self._threads:
            thread.join()
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()


@contextmanager
def following(daemon: PrivateDaemon, *words: str) -> Iterator[Follower]:
    follower = Follower(daemon, *words)
    try:
        yield follower
    finally:
        follower.kill()


def lines(tag: str, count: int) -> bytes:
    return b"".join(b"%s%d\n" % (tag.encode(), number) for number in range(1, count + 1))


def talk(box: Container, tag: str, count: int, pause: str = ":") -> int:
    return box.spawn(["sh", "-c", TALK.format(tag=tag, count=count, pause=pause)]).id


def joined(box: Container, **options: object) -> bytes:
    return b"".join(chunk.data for chunk in box.logs(**options))  # type: ignore[arg-type]


def test_lines_by_time_by_number_and_by_stream(client: Client, shared_daemon: PrivateDaemon) -> None:
    with client.create(network="none") as box:
        script = "echo one; read x; echo two >&2; read x; printf thr; read x; echo ee"
        first = box.spawn(["sh", "-c", script], interactive=True)
        with first.attach() as attachment:
            for _ in range(3):
                next(attachment)
                time.sleep(0.2)  # what comes sooner may be told as one piece
                attachment.write(b"go on\n")
            list(attachment)
        box.wait(first.id)
        chunks = list(box.logs())
        assert [(chunk.stream, chunk.data, chunk.job) for chunk in chunks] == [
            ("stdout", b"one\n", first.id), ("stderr", b"two\n", first.id),
            ("stdout", b"thr", first.id), ("stdout", b"ee\n", first.id),
        ]  # fmt: skip
        times = [chunk.time for chunk in chunks]
        assert times == sorted(times)
        assert joined(box, since=times[1]) == b"two\nthree\n"
        assert joined(box, until=times[2]) == b"one\ntwo\nthree\n", "a line counts by its beginning"
        assert joined(box, since=times[3]) == b""
        assert joined(box, tail=2) == b"two\nthree\n"
        assert joined(box, tail=1, stream="stderr") == b"two\n"
        assert joined(box, since="1h") == joined(box)
        with pytest.raises(BadInput, match="since: 'yesterday' is not a time"):
            list(box.logs(since="yesterday"))
        second = box.spawn(["sh", "-c", "echo next; echo last"])
        box.wait(second.id)
        assert joined(box, tail=3) == b"three\nnext\nlast\n"
        done = command(shared_daemon, "logs", "-t", "--tail", "3", box.handle)
        assert (done.returncode, done.stderr) == (0, b"")
        stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "
        assert re.fullmatch(stamp + b"three\n" + stamp + b"next\n" + stamp + b"last\n", done.stdout)
        began = re.findall(stamp, done.stdout)[0].strip().decode()
        assert command(
            shared_daemon, "logs", "--since", began, "-n", "all", "--stream", "stdout", box.handle
        ).stdout == (b"three\nnext\nlast\n")
        assert command(shared_daemon, "logs", "--tail", "x", box.handle).returncode == 2


def test_a_follower_sees_later_jobs_and_ends_with_the_container(client: Client, shared_daemon: PrivateDaemon) -> None:
    with nothing_new(shared_daemon), client.create(network="none") as box:
        box.wait(talk(box, "old", 3))
        with following(shared_daemon, "--tail", "1", box.handle) as follower:
            follower.has(b"old3\n")
            for tag in ("a", "b", "c"):
                box.wait(talk(box, tag, 200))
            wait_until(lambda: all(seen.endswith(b"c200\n") for seen in follower.seen))
            assert follower.process.poll() is None
            box.destroy()
            assert follower.end() == 0
            wanted = lines("a", 200) + lines("b", 200) + lines("c", 200)
            assert follower.seen[0].removeprefix(b"old3\n") == wanted
            assert follower.seen[1].removeprefix(b"old3\n") == wanted


def test_a_main_job_that_is_started_again_continues_the_stream(shared_daemon: PrivateDaemon, client: Client) -> None:
    job = ["sh", "-c", "sleep 0.3; echo again; exit 1"]
    done = command(shared_daemon, "run", "-d", "--network", "none", "--restart", "on-failure:3", "--", *job)
    handle = done.stdout.decode().strip()
    with following(shared_daemon, handle) as follower:
        assert follower.end() == 0, "it is over with its main job"
        assert follower.seen[0] == b"again\n" * 4
    assert command(shared_daemon, "wait", handle).stdout == b"1\n"
    restarts = command(shared_daemon, "inspect", "-f", ".main.restarts", handle).stdout
    assert restarts == b"3\n"
    client.container(handle).destroy()


def test_a_follower_ends_with_a_stop(client: Client, shared_daemon: PrivateDaemon) -> None:
    with client.create(network="none") as box:
        box.spawn(["sh", "-c", "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.1; done"])
        with following(shared_daemon, box.handle) as follower:
            follower.has(b"up\n")
            box.stop()
            assert follower.end() == 0
            assert follower.seen[0] == b"up\nbye\n"


def test_a_job_whose_result_is_collected_is_still_followed_to_its_end(client: Client) -> None:
    """`run` forgets its job at once, and its files go."""
    with client.create(network="none") as box:
        found: list[bytes] = []
        thread = threading.Thread(
            target=lambda: found.extend(chunk.data for chunk in box.logs(follow=True, lasting=True))
        )
        thread.start()
        box.spawn(["echo", "ready"])
        wait_until(lambda: found == [b"ready\n"])
        for number in range(30):
            box.run(["sh", "-c", f"echo {number}; echo {number}"])
        box.destroy()
        thread.join(60)
        assert b"".join(found[1:]) == b"".join(b"%d\n%d\n" % (number, number) for number in range(30))


def test_not_a_byte_is_lost_or_doubled_over_kills_of_the_daemon(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client:
        box = client.create("box", network="none")
        talk(box, "a", 3000, "[ $((i % 20)) -ne 0 ] || sleep 0.02")
        with following(daemon, "box") as follower, following(daemon, "--stream", "stderr", "box") as other:
            wait_until_connected(follower.process.pid)
            wait_until_connected(other.process.pid)
            for turn in range(4):
                follower.has(b"\na%d\n" % (700 * turn + 300))
                daemon.kill()
                daemon.start()
            with client_of(daemon) as after:
                again = after.container("box")
                assert again.wait(timeout=60).ok
                again.wait(talk(again, "b", 100))
                wait_until(lambda: all(seen.endswith(b"b100\n") for seen in (*follower.seen, other.seen[1])))
                again.destroy()
            assert follower.end() == other.end() == 0
            wanted = lines("a", 3000) + lines("b", 100)
            assert follower.seen[0] == wanted
            assert follower.seen[1] == other.seen[1] == wanted
            assert other.seen[0] == b""


def test_a_container_that_goes_while_no_daemon_runs_ends_its_followers(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client:
        box = client.create("box", network="none")
        box.spawn(["sh", "-c", "echo up; exec sleep 1000"])
        pid = box.info().pid
        with following(daemon, "box") as follower:
            follower.has(b"up\n")
            daemon.kill()
            os.kill(pid, signal.SIGKILL)
            daemon.start()
            assert follower.end() == 0
            assert follower.seen == [b"up\n", b""]


def test_a_daemon_that_does_not_come_back_is_told(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client:
        box = client.create(network="none")
        box.spawn(["sh", "-c", "echo up; exec sleep 1000"])
        chunks = box.logs(follow=True, reconnect=0.3)
        assert next(chunks).data == b"up\n"
        daemon.kill()
        with pytest.raises(Unreachable):
            next(chunks)
        daemon.start()


def test_until_ends_a_follower(client: Client) -> None:
    with client.create(network="none") as box:
        box.spawn(["sh", "-c", "echo up; sleep 1000"])
        wait_until(lambda: joined(box) == b"up\n")
        assert joined(box, follow=True, until=time.time() + 0.5) == b"up\n"


async def test_asyncio_has_the_same(shared_daemon: PrivateDaemon) -> None:
    async with AsyncClient(shared_daemon.socket) as client, await client.create(network="none") as box:
        job = await box.spawn(["sh", "-c", "echo a; echo b; echo c; exit 3"])
        assert (await box.wait(reconnect=1)).exit_status == 3
        assert b"".join([chunk.data async for chunk in box.logs(tail=2, follow=True)]) == b"b\nc\n"
        assert (await box.inspect())["jobs"][0]["id"] == job.id


def test_a_slow_follower_costs_the_daemon_no_memory(client: Client, shared_daemon: PrivateDaemon) -> None:
    with client.create(network="none") as box:
        chunks = box.logs(follow=True, lasting=True)
        box.spawn(["sh", "-c", "head -c 8000000 /dev/zero; echo end; sleep 1000"])
        assert next(chunks).data
        before = memory_of(shared_daemon)
        time.sleep(0.5)
        assert memory_of(shared_daemon) - before < 4 << 20
        total = 0
        while True:
            chunk = next(chunks)
            total += len(chunk.data)
            if chunk.data.endswith(b"end\n"):
                break
        chunks.close()  # type: ignore[attr-defined]


def memory_of(daemon: PrivateDaemon) -> int:
    with open(f"/proc/{daemon.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096
