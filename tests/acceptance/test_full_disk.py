"""A disk that is full to the last byte: every request says so in a sentence, nothing is lost and nothing is left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from scene import client_of, configured_daemon, wait_until

from warden.client.blocking import Client, Container
from warden.errors import KernelRefused
from warden.model.info import State
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


class Disk:
    """A file system of 16 MiB, that can be filled and emptied again."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M,mode=755", "warden-full", place], check=True)

    def fill(self) -> None:
        with suppress(OSError):
            fd = os.open(self.place / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                while True:
                    os.write(fd, bytes(4096))
            finally:
                os.close(fd)
        assert os.statvfs(self.place).f_bavail == 0

    def make_room(self) -> None:
        os.unlink(self.place / "ballast")

    def names(self) -> set[str]:
        """All that is there but what containers and their jobs write themselves, and what is on its way out."""
        found = set()
        for at, directories, files in os.walk(self.place):
            directories[:] = [name for name in directories if name not in ("upper", "work", ".trash", "jobs")]
            found |= {os.path.join(at, name) for name in (*directories, *files)}
        return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "small")
    try:
        yield made
    finally:
        subprocess.run(["umount", made.place], check=True)


@pytest.fixture
def daemon(disk: Disk) -> Iterator[PrivateDaemon]:
    places = {"container_depot_path": f"{disk.place}/depot", "volumes_path": f"{disk.place}/volumes"}
    with configured_daemon(server=places) as private:
        private.depot = places["container_depot_path"]
        yield private
        with suppress(FileNotFoundError):
            disk.make_room()


def command(daemon: PrivateDaemon, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
    line = [sys.executable, "-m", "warden.cli.main", *words]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)


def main_runs(container: Container) -> bool:
    info = container.info()
    return any(job.running for job in info.jobs if job.id == info.main_job)


def output(container: Container) -> bytes:
    return b"".join(chunk.data for chunk in container.logs())


def test_every_request_says_so_and_leaves_nothing(client: Client, daemon: PrivateDaemon, disk: Disk) -> None:
    box = client.create("box", network="none")
    volume = client.create_volume("kept")
    client.create_network("net1", subnet="198.18.11.0/24")
    client.remove_network("net1")
    wait_until(lambda: not any(name.endswith("net1.json") for name in disk.names()))  # its link goes first
    disk.fill()
    before = disk.names()
    refused: list[Callable[[], object]] = [
        lambda: client.create("new", network="none"),
        lambda: client.create("new"),
        lambda: client.create("new", network="bridge:net2"),
        lambda: client.create("new", network="none", mounts=[("fresh", "/home/vcap")]),
        lambda: client.create("new", network="none", mounts=[("kept", "/etc")]),
        lambda: client.create_volume("fresh"),
        lambda: client.create_network("net2"),
        lambda: box.run("echo hi"),
        lambda: box.rename("other"),
    ]
    for number, ask in enumerate(refused):
        with pytest.raises(KernelRefused, match=r"No space left on device"):
            ask()
        assert disk.names() == before, f"request {number}"
    assert client.list() == ["box"]
    assert [one.name for one in client.volumes()] == ["kept"]
    assert client.volume("kept") == volume
    assert client.networks() == []
    for words in (["run", "--", "true"], ["run", "-d", "--", "true"], ["create"], ["exec", "box", "true"]):
        done = command(daemon, *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (71, "", 1), done
        assert "No space left on device" in done.stderr
    disk.make_room()
    assert box.run("echo hi").stdout == b"hi\n"
    client.create("new", network="none", mounts=[("kept", "/etc")]).destroy()


def test_what_is_changed_meanwhile_is_on_disk_as_soon_as_there_is_room(
    client: Client, daemon: PrivateDaemon, disk: Disk
) -> None:
    box, other = client.create("box", network="none"), client.create("other", network="none")
    job = box.spawn(["sh", "-c", "echo out; read line; exit 3"], interactive=True)
    wait_until(lambda: output(box) == b"out\n")
    began = time.time()
    disk.fill()
    with job.attach() as attached:
        attached.write(b"\n")
    box.wait(job.id)
    other.pause()
    other.stop()
    assert other.info().state is State.STOPPED
    told = [(one.type, one.event, one.container) for one in client.events(since=began, until=time.time())]
    daemon.kill()
    daemon.start()
    assert sorted(client.list()) == ["box", "other"]
    [found] = box.info().jobs
    assert (found.exit_status, found.running, output(box)) == (3, False, b"out\n")
    daemon.stop()
    daemon.start()
    [found] = box.info().jobs
    assert (found.exit_status, output(box)) == (3, b"out\n"), "the result could not be written, and is not lost"
    other.stop()
    began = time.time()
    box.pause()
    box.resume()
    disk.make_room()
    snapshot = Path(other.info().path, "snapshot.json")
    wait_until(lambda: '"state": "stopped"' in snapshot.read_text())
    wait_until(lambda: Path(box.info().path, f"jobs/{job.id}/result.json").stat().st_size > 0)
    wait_until(lambda: '"unpause", "box"' in Path(daemon.depot, ".events").read_text())
    daemon.kill()
    daemon.start()
    assert other.info().state is State.STOPPED
    kept = [(one.event, one.container) for one in client.events(since=began, until=time.time())]
    assert [one for one in kept if one[1] == "box"] == [("pause", "box"), ("unpause", "box")]
    assert ("container", "stop", "other") in told


def test_a_main_job_is_started_as_soon_as_there_is_room(client: Client, daemon: PrivateDaemon, disk: Disk) -> None:
    box = client.create("box", network="none", main=["sleep", "600"], restart="always")
    box.start()
    once = client.create("once", network="none", main=["sleep", "600"], restart="always")
    once.start()
    once.stop()
    disk.fill()
    client.container("box").kill()
    wait_until(lambda: not main_runs(box))
    daemon.kill()
    daemon.start()
    assert sorted(client.list()) == ["box", "once"]
    disk.make_room()
    wait_until(lambda: main_runs(box) and main_runs(once))


def test_the_end_of_a_container_needs_no_room(client: Client, daemon: PrivateDaemon, disk: Disk) -> None:
    box = client.create("box", network="none", mounts=[("", "/scratch"), ("kept", "/kept")])
    disk.fill()
    box.destroy()
    client.remove_volume("kept")
    assert (client.list(), client.volumes()) == ([], [])
    wait_until(lambda: not os.listdir(f"{daemon.depot}/.trash"))
    assert daemon.stop() == 0
    daemon.start()
    assert client.list() == []


def test_a_network_goes_without_room(client: Client, daemon: PrivateDaemon, disk: Disk) -> None:
    client.create_network("lastone", subnet="198.18.12.0/24")
    disk.fill()
    client.remove_network("lastone")
    assert [report.bridge.name for report in client.networks()] == []
    daemon.kill()
    disk.make_room()
    daemon.start()
    with Client(daemon.socket) as again:
        assert [report.bridge.name for report in again.networks()] == []


def test_a_handle_that_cannot_be_written_leaves_no_container(shared: PrivateDaemon, disk: Disk) -> None:
    disk.fill()
    place = disk.place / "cid"
    with client_of(shared) as client:
        for words in (["create"], ["run", "-d"], ["run"]):
            done = command(shared, *words, "--cidfile", str(place), "--", "sleep", "600")
            assert done.returncode == 2, done
            sentence = f"warden: --cidfile {place}: {os.strerror(errno.ENOSPC)} (the container was destroyed again)\n"
            assert (done.stdout, done.stderr) == ("", sentence)
            assert not place.exists()
            assert client.list() == []
    done = command(shared, "create", "--cidfile", str(disk.place / "no/such"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.fixture
def shared(shared_daemon: PrivateDaemon) -> PrivateDaemon:
    return shared_daemon
