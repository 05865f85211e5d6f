"""Every hostile program gets its verdict: one shared daemon, a new container for each, as a judge would do.

WARDEN_JUDGE_ROUNDS=20 runs the whole table so many times; WARDEN_JUDGE_LOAD=1 does it beside busy processes on all cores.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cases import CASES, Case

from warden.client.blocking import Client, Container, Result
from warden.errors import KernelRefused
from warden.model.job import Verdict
from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon

pytestmark = [pytest.mark.root, pytest.mark.vm]

ROUNDS = int(os.environ.get("WARDEN_JUDGE_ROUNDS", "1"))
LOAD = os.environ.get("WARDEN_JUDGE_LOAD") == "1"
SOURCE = Path(__file__).with_name("hostile.c")
DISK_KIB, FILES = 16 << 10, 300


def have_xfs_quota() -> bool:
    """The kernel's XFS tells of its quotas in /proc once it is loaded."""
    subprocess.run(["modprobe", "-q", "xfs"], check=False)
    return os.path.exists("/proc/fs/xfs/xqm")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("judge")
    directory.chmod(0o755)
    directory.parent.chmod(0o755)
    compiler = shutil.which("musl-gcc") or "cc"
    flags = ["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run([compiler, *flags, "-o", str(directory / "hostile"), str(SOURCE)], check=True)
    return directory


@pytest.fixture(scope="module")
def load() -> Iterator[None]:
    """Two busy processes for each core, if that is asked for."""
    busy = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(2 * (os.cpu_count() or 1) if LOAD else 0)]
    for process in busy:
        process.start()
    yield
    for process in busy:
        process.kill()
        process.join()
        process.close()


def _burn() -> None:
    while True:
        pass


@pytest.fixture(scope="module")
def client(shared_daemon: PrivateDaemon, load: None) -> Iterator[Client]:
    with Client(shared_daemon.socket, timeout=120) as client:
        yield client


@contextmanager
def _small_depot(directory: Path) -> Iterator[str]:
    """A depot on an ext4 of its own with little room, for kernels without quotas."""
    file, point = directory / "disk", directory / "depot"
    point.mkdir()
    with open(file, "wb") as image:
        image.truncate(DISK_KIB * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(FILES), str(file)], check=True)
    subprocess.run(["mount", "-o", "loop", str(file), str(point)], check=True)
    try:
        yield str(point)
    finally:
        subprocess.run(["umount", str(point)], check=True)


@pytest.fixture(scope="module")
def small_client(tmp_path_factory: pytest.TempPathFactory, load: None) -> Iterator[Client]:
    """Of a daemon whose containers have little room: by their quota, else because the depot is small."""
    private = PrivateDaemon()
    if have_xfs_quota():
        _configure(private, "disk", backend="pool", pool_size=400 << 20)
        with _run(private) as client:
            yield client
        return
    with _small_depot(tmp_path_factory.mktemp("small")) as depot:
        _configure(private, "disk", backend="none")
        _configure(private, "server", container_depot_path=depot)
        private.depot = depot
        with _run(private) as client:
            yield client


def _configure(private: PrivateDaemon, section: str, **values: object) -> None:
    settings = yaml.safe_load(Path(private.config).read_text())
    settings[section] = {**settings.get(section, {}), **values}
    Path(private.config).write_text(yaml.safe_dump(settings))


@contextmanager
def _run(private: PrivateDaemon) -> Iterator[Client]:
    before = leaks.look(private.cgroup_parent, private.root)
    with private, Client(private.socket, timeout=120) as client:
        yield client
    found = leaks.leaks(before, private.cgroup_parent, private.root)
    assert not found, f"left behind: {found}"


def judged(client: Client, programs: Path, case: Case) -> Result:
    """Its result; the container must be as good as new for the next one afterwards."""
    with _create(client, memory=case.memory, mounts=[(str(programs), "/judge")], network="none") as container:
        if case.disk and have_xfs_quota():
            container.limit_disk(block=DISK_KIB, inode=FILES)
        result = container.run(["/judge/hostile", case.program], **case.limits)
        if case.verdict not in (Verdict.OUT_OF_MEMORY, Verdict.DISK_FULL):  # those may leave nothing to work with
            _works(container)
    return result


def _create(client: Client, **options: Any) -> Container:
    """Files of the one before are removed in the background: a small depot may be full for a moment."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return client.create(**options)
        except KernelRefused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _works(container: Container) -> None:
    after = container.run(["/judge/hostile", "exit_0"])
    assert (after.verdict, after.exit_status) == (Verdict.EXITED, 0)


@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_verdict(request: pytest.FixtureRequest, programs: Path, case: Case, turn: int) -> None:
    if case.program == "cache_by_writing" and _is_tmpfs("/tmp"):
        pytest.skip("what is written to a tmpfs is memory")
    client = request.getfixturevalue("small_client" if case.disk else "client")
    result = judged(client, programs, case)
    told = f"{result.verdict} status {result.exit_status} signal {result.signal} {result.detail!r} {result.usage}"
    assert result.verdict is case.verdict, told
    assert case.status in (None, result.exit_status), told
    assert case.signal in (0, result.signal), told
    assert case.output in (None, len(result.stdout) + len(result.stderr)), told
    assert result.truncated is case.truncated, told
    assert case.detail in result.detail, told


def _is_tmpfs(path: str) -> bool:
    told = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True)
    return told.stdout.strip() == "tmpfs"
