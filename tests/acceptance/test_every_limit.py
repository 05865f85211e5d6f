"""Every limit holds: a program in a container tries to exceed it, and is measured. v1 here, v2 in the virtual machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from scene import client_of, nothing_new, wait_until

from warden.client.blocking import Client, Container
from warden.errors import BadInput, NotSupported, WardenError
from warden.model.job import Verdict
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

MIB = 1 << 20
BURN = "import time\nwhile True: pass"


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as client:
        yield client


def python(container: Container, program: str, **options: object) -> str:
    result = container.run(["python3", "-c", textwrap.dedent(program)], check=True, **options)  # type: ignore[arg-type]
    return result.text.strip()


def cpu_of(container: Container) -> float:
    return container.info().cpu.usage_ns / 1e9


def need(container: Container, name: str) -> None:
    """Asks for the resource, and skips where the machine has no such controller."""
    if name not in container.limit().in_force:
        pytest.skip(f"no {name} here")


def burn_for(container: Container, seconds: float) -> float:
    """Processor time that as many busy loops as there are processors get in *seconds* of wall time, or a little more."""
    before, began = cpu_of(container), time.monotonic()
    jobs = [container.spawn(["python3", "-c", BURN], timeout=seconds) for _ in range(os.cpu_count() or 1)]
    for job in jobs:
        assert job.wait().verdict is Verdict.WALL_TIMEOUT
    return (cpu_of(container) - before) / (time.monotonic() - began)


def test_processor_quota(client: Client) -> None:
    with client.create(cpus=0.25) as container:
        assert container.limit().in_force["cpu.max"] == "25000 100000"
        assert burn_for(container, 1.2) < 0.4
        container.limit(cpus=0.1)
        assert burn_for(container, 1.2) < 0.25
        container.limit(cpus="max")
        assert container.limit().in_force["cpu.max"].startswith("max")


def test_processor_weight_on_one_processor(client: Client) -> None:
    with client.create(cpu_weight=1000) as heavy, client.create(cpu_weight=50) as light:
        need(heavy, "cpuset.cpus")
        for container in (heavy, light):
            container.limit(cpuset_cpus="0")
        jobs = [box.spawn(["python3", "-c", BURN], timeout=2.5) for box in (heavy, light) for _ in range(2)]
        for job in jobs:
            job.wait()
        assert cpu_of(heavy) > 4 * cpu_of(light)


def test_cpuset_is_what_a_job_sees_and_cannot_leave(client: Client) -> None:
    with client.create() as container:
        need(container, "cpuset.cpus")
        running = container.spawn(["python3", "-c", "import os, sys\nsys.stdin.read()\nprint(os.sched_getaffinity(0))"],
                                  interactive=True)  # fmt: skip
        container.limit(cpuset_cpus="0")
        with running.attach() as attached:
            attached.close_stdin()
            assert b"".join(chunk.data for chunk in attached) == b"{0}\n"
        program = """
            import os
            try: os.sched_setaffinity(0, {1})
            except OSError as error: print(error.errno)
            print(os.sched_getaffinity(0))
            """
        if (os.cpu_count() or 1) > 1:
            assert python(container, program).endswith("{0}")


def test_number_of_processes(client: Client) -> None:
    with client.create(pids=20) as container:
        program = """
            import os, sys, time
            children = 0
            for _ in range(100):
                try: pid = os.fork()
                except BlockingIOError: break
                if not pid: time.sleep(30); os._exit(0)
                children += 1
            print(children)
            """
        assert int(python(container, program)) < 20
        assert container.limit(pids=5).in_force["pids.max"] == "5"
        assert int(python(container, program)) < 5


def test_memory_above_its_limit_is_an_out_of_memory(client: Client) -> None:
    hog = ["python3", "-c", "x = bytearray(200 << 20)"]
    with client.create() as container:
        assert container.run(hog).ok
        container.limit(memory="48M")
        assert container.run(hog).verdict is Verdict.OUT_OF_MEMORY
        container.limit(memory="max")
        assert container.run(hog).ok


@pytest.mark.parametrize("policy", ["kill_job", "kill_container", "stop"])
def test_what_an_out_of_memory_ends(client: Client, policy: str) -> None:
    with client.create(memory="48M", oom_policy=policy) as container:
        other = container.spawn(["sleep", "600"])
        hog = container.run(["python3", "-c", "x = bytearray(200 << 20)"])
        assert hog.verdict is Verdict.OUT_OF_MEMORY
        if policy == "kill_job":
            assert container.info().state.value == "active"
            assert container.run(["true"]).ok
            return
        assert other.wait().verdict is Verdict.STOPPED
        wait_until(lambda: container.info().state.value == "stopped")
        assert "out of memory" in container.info().events


def test_devices(client: Client) -> None:
    with client.create(devices=["c 1:3 rwm", "c 5:* rwm", "c 136:* rwm"]) as container:
        program = """
            import os
            for path in ("/dev/null", "/dev/zero"):
                try: os.close(os.open(path, os.O_RDWR)); print(path, "open")
                except OSError as error: print(path, error.strerror)
            """
        assert python(container, program).splitlines() == ["/dev/null open", "/dev/zero Operation not permitted"]
        container.limit(devices="all")
        assert python(container, program).splitlines() == ["/dev/null open", "/dev/zero open"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a block device of its own."""
    image, point = tmp_path / "disk.img", tmp_path / "disk"
    point.mkdir()
    with open(image, "wb") as file:
        file.truncate(64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    (point / "data").mkdir()
    (point / "data").chmod(0o777)
    yield point / "data"
    subprocess.run(["umount", point], check=True)


DIRECT = """
    import mmap, os, time
    block = mmap.mmap(-1, 65536)
    fd = os.open("/data/file", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    began = time.monotonic()
    for number in range(32): os.pwrite(fd, block, number * 65536)
    written = time.monotonic() - began
    began = time.monotonic()
    for number in range(32): os.preadv(fd, [block], number * 65536)
    print(written, time.monotonic() - began)
    """


def test_bytes_a_second_of_a_disk(client: Client, disk: Path) -> None:
    with client.create(mounts=[(str(disk), "/data", "rw")]) as container:
        need(container, "io.max")
        container.limit(io_max=f"{disk} rbps=1M wbps=1M")
        written, read = map(float, python(container, DIRECT).split())
        assert written > 1.2, "2 MiB at 1 MiB a second"
        assert read > 1.2
        container.limit(io_max=f"{disk} rbps=max wbps=max")
        assert container.limit().in_force["io.max"] == "max"


def test_operations_a_second_of_a_disk(client: Client, disk: Path) -> None:
    with client.create(mounts=[(str(disk), "/data", "rw")]) as container:
        need(container, "io.max")
        container.limit(io_max=f"{disk} wiops=16")
        written, _ = map(float, python(container, DIRECT).split())
        assert written > 1.2, "32 writes at 16 a second"


def test_bandwidth_at_creation(shared_daemon: PrivateDaemon, client: Client) -> None:
    with client.create(bandwidth="1M 64K") as container:
        info = container.info()
        assert (info.bandwidth.in_rate, info.bandwidth.out_rate) == (MIB, MIB)
        container.limit(bandwidth="max")
        assert container.info().bandwidth.in_rate is None
    with nothing_new(shared_daemon), pytest.raises(BadInput, match="no link of its own"):
        client.create(network="none", bandwidth="1M")


def test_swap_and_swappiness_and_the_soft_limit_are_read_back(client: Client) -> None:
    with client.create(memory="64M", swap="32M", memory_high="48M") as container:
        found = container.limit().in_force
        assert (found["memory.max"], found["memory.high"]) == (str(64 * MIB), str(48 * MIB))
        if "memory.swap.max" in found:
            assert found["memory.swap.max"] == str(32 * MIB)


def test_all_or_none_over_the_wire(client: Client) -> None:
    with client.create(memory="64M", pids=30) as container:
        before = container.limit()
        for wrong in ({"limits": {"cpuset.cpus": "4000"}}, {"io_max": "/dev/nosuch rbps=1M"}, {"io_max": "/proc rbps=1M"},
                      {"limits": {"memory.swappiness": "10", "memory.low": "1M"}}):  # fmt: skip
            with pytest.raises(WardenError) as caught:
                container.limit(memory="96M", pids=10, bandwidth="1M", **wrong)  # type: ignore[arg-type]
            assert any(word in str(caught.value) for word in ("cpuset.cpus", "io.max", "memory."))
            after = container.limit()
            assert (after.in_force, after.asked) == (before.in_force, before.asked)


def test_best_effort_tells_what_was_left_out(client: Client) -> None:
    options = {"limits": {"memory.swappiness": "10", "memory.low": "1M"}, "pids": 10, "best_effort": True}
    with client.create(**options) as container:  # type: ignore[arg-type]
        assert len(container.warnings) == 1
        assert "only cgroup v" in container.warnings[0]
        assert container.limit().asked.keys() >= {"pids.max"}
        assert len(container.limit().asked) == 2
    with pytest.raises(NotSupported, match="only cgroup v"):
        client.create(**{**options, "best_effort": False})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"cpuset\.cpus"):  # a mistake is one, whatever the machine
        client.create(limits={"cpuset.cpus": "4000"}, best_effort=True)


def test_limits_survive_a_crash(daemon: PrivateDaemon) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(client_of(daemon))
        container = client.create("box", memory="64M", pids=30, cpus=0.5, devices=["c 1:3 rwm", "c 5:* rwm"])
        has_cpuset = "cpuset.cpus" in container.limit().in_force
        if has_cpuset:
            container.limit(cpuset_cpus="0")
        before = container.limit()
        daemon.kill()
        daemon.start()
        client = stack.enter_context(client_of(daemon))
        container = client.container("box")
        after = container.limit(raw=True)
        assert (after.in_force, after.asked) == (before.in_force, before.asked)
        assert any(path.endswith("pids.max") and text == "30" for path, text in after.raw)
        if has_cpuset:
            assert python(container, "import os; print(os.sched_getaffinity(0))") == "{0}"
        container.destroy()


def test_the_command(shared_daemon: PrivateDaemon, client: Client) -> None:
    def warden(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "warden.cli.main", "--socket", shared_daemon.socket, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert warden("create", "--name", "lim", "-m", "64M", "--cpus", "1.5").stdout == "lim\n"
    try:
        done = warden("limit", "--memory", "96M", "--pids", "10", "--limit", "cpu.shares=512", "lim")
        assert done.returncode == 0, done.stderr
        assert "96.0 MiB" in done.stdout
        assert "1.5 processors" not in done.stdout, "only what was changed"
        assert "1.5 processors" in warden("limit", "lim").stdout
        shown = json.loads(warden("limit", "--json", "lim").stdout)
        assert shown["asked"] == {
            "memory.max": str(96 * MIB), "cpu.weight": "512 shares", "cpu.max": "150000 100000", "pids.max": "10"
        }  # fmt: skip
        assert any(path.endswith("/pids.max") for path in shown["raw"])
        assert "pids.max" in warden("limit", "--raw", "lim").stdout
        wrong = warden("limit", "--pids", "many", "lim")
        assert (wrong.returncode, wrong.stderr) == (2, "warden: pids.max: 'many' is not a whole number\n")
        assert warden("limit", "--limit", "nonsense", "lim").returncode == 2
    finally:
        client.container("lim").destroy()
