"""Verdict and usage: the truth about a job's end, whoever was there to see it, and after a crash as before it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from scene import client_of, collect, commands_of, processes_of, read_until, wait_until

from warden.client.blocking import Client, Container, Result
from warden.errors import BadInput, WardenError
from warden.model.info import State
from warden.model.job import Verdict
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

AWAIT = "while ! [ -e /flags/go ]; do sleep 0.01; done; "
BURN = "import time, sys\nwhile time.process_time() < float(sys.argv[1]): pass\n"
HOG = "python3 -c 'a=[]\nwhile True: a.append(bytearray(4<<20))'"


def cpu_of(result: Result) -> float:
    return result.usage.cpu_user_s + result.usage.cpu_system_s


def alone(daemon: PrivateDaemon) -> bool:
    return len(processes_of(daemon)) == 1


# ---- processor time


def test_processor_time_of_the_whole_tree(client: Client) -> None:
    with client.create() as container:
        burning = f"for i in 1 2 3; do (setsid python3 -c '{BURN}' 10 &); done; sleep 1000"
        result = container.run(burning, cpu_timeout="500ms")
        assert (result.verdict, result.exit_status, result.signal) == (Verdict.CPU_TIMEOUT, 255, signal.SIGKILL)
        assert cpu_of(result) >= 0.5
        assert not container.info().jobs
        within = container.run(["python3", "-c", BURN, "0.2"], cpu_timeout=5, timeout=60)
        assert (within.verdict, within.exit_status) == (Verdict.EXITED, 0)


def test_who_used_more_than_allowed_is_told_so_even_if_it_was_faster(client: Client) -> None:
    with client.create() as container:
        assert container.run(["python3", "-c", BURN, "0.05"], cpu_timeout=0.001).verdict is Verdict.CPU_TIMEOUT


@pytest.mark.parametrize("limit", [0, -1, "nothing"])
def test_no_processor_time_is_refused(client: Client, limit: float | str) -> None:
    with client.create() as container, pytest.raises(BadInput, match=r"cpu[_ ]timeout"):
        container.run("true", cpu_timeout=limit)


def test_processor_time_used_while_nobody_looked(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        still = container.spawn(f"{AWAIT} while :; do :; done", cpu_timeout=0.7)
        itself = container.spawn(f"{AWAIT} exec python3 -c '{BURN}' 0.9", cpu_timeout=0.8)
        enough = container.spawn(f"{AWAIT} exec python3 -c '{BURN}' 0.1", cpu_timeout=60)
        daemon.kill()
        (flags / "go").touch()
        wait_until(lambda: len(processes_of(daemon)) <= 2)
        time.sleep(0.7)
        daemon.start()
        assert still.wait().verdict is Verdict.CPU_TIMEOUT
        for job, verdict, used in ((itself, Verdict.CPU_TIMEOUT, 0.8), (enough, Verdict.EXITED, 0.1)):
            result = job.wait()
            assert result.verdict is verdict
            assert cpu_of(result) >= used


def test_a_limit_of_processor_time_goes_on_after_a_crash(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        job = container.spawn("while :; do :; done", cpu_timeout=1.5)
        for _ in range(2):
            daemon.kill()
            daemon.start()
        result = job.wait()
        assert result.verdict is Verdict.CPU_TIMEOUT
        assert cpu_of(result) >= 1.5


# ---- the wall clock


def test_wall_time_that_passed_while_nobody_looked(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        still = container.spawn(["sleep", "1000"], timeout=0.5)
        itself = container.spawn(f"{AWAIT} exit 0", timeout=0.5)
        daemon.kill()
        time.sleep(0.6)
        (flags / "go").touch()
        wait_until(lambda: len(processes_of(daemon)) <= 2)  # fewer if the clock was faster than the kill of the daemon
        daemon.start()
        assert [job.wait().verdict for job in (still, itself)] == [Verdict.WALL_TIMEOUT] * 2


# ---- memory


@pytest.mark.parametrize("program", ["{hog}", "{hog}; exit 0", "(setsid sh -c '({hog_quoted}); true'); exit 0"])
def test_the_job_that_wanted_the_memory_is_blamed_and_no_other(client: Client, program: str) -> None:
    quoted = 'python3 -c "a=[]\nwhile True: a.append(bytearray(4<<20))"'
    with client.create(memory="64M") as container:
        neighbour = container.spawn(["bash", "-c", "echo up; read line; exit 5"], interactive=True)
        read_until(neighbour, b"up\n")
        result = container.run(program.format(hog=HOG, hog_quoted=quoted), timeout=60)
        assert result.verdict is Verdict.OUT_OF_MEMORY
        assert result.usage.peak_memory_bytes is None or result.usage.peak_memory_bytes > 40 << 20
        with neighbour.attach() as attachment:
            attachment.write(b"on\n")
            list(attachment)
        assert (neighbour.wait().verdict, container.info().state) == (Verdict.EXITED, State.ACTIVE)


def test_out_of_memory_while_nobody_looked(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    with client.create(memory="64M", mounts=[(str(flags), "/flags")]) as container:
        first = container.spawn(f"{AWAIT} exec {HOG}")
        other = container.spawn(f"{AWAIT} sleep 0.5; exit 4")
        daemon.kill()
        (flags / "go").touch()
        wait_until(lambda: alone(daemon))
        daemon.start()
        result = first.wait()
        assert result.verdict is Verdict.OUT_OF_MEMORY
        assert result.usage.peak_memory_bytes is None or result.usage.peak_memory_bytes > 40 << 20
        assert (other.wait().verdict, other.id) == (Verdict.EXITED, other.id)


# ---- output


def test_an_output_limit_passed_while_nobody_read(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        jobs = [
            container.spawn(f"{AWAIT} head -c {size} /dev/zero; {after}", output_limit=10_000)
            for size, after in ((10_000, "exit 0"), (10_001, "exit 0"), (1 << 20, "sleep 1000"))
        ]
        daemon.kill()
        (flags / "go").touch()
        wait_until(lambda: len(processes_of(daemon)) <= 3)
        daemon.start()
        results = [collect(job) for job in jobs]
        assert [len(stdout) for stdout, _, _ in results] == [10_000] * 3
        assert [result.verdict for _, _, result in results] == [Verdict.EXITED] + [Verdict.OUTPUT_LIMIT] * 2
        assert [result.truncated for _, _, result in results] == [False, True, True]


@pytest.mark.parametrize("cause", [Verdict.OUTPUT_LIMIT, Verdict.STOPPED, Verdict.WALL_TIMEOUT])
def test_an_engine_that_died_just_before_the_kill(daemon: PrivateDaemon, client: Client, cause: Verdict) -> None:
    """It had written down why; the next one does it."""
    with client.create() as container:
        job = container.spawn("echo up; sleep 1000")
        read_until(job, b"up\n")
        place = Path(container.info().path, "jobs", str(job.id))
        daemon.kill()
        (place / "cause").write_text(cause.value)
        daemon.start()
        result = job.wait()
        assert (result.verdict, result.signal, result.stdout) == (cause, signal.SIGKILL, b"up\n")
        assert result.truncated is (cause is Verdict.OUTPUT_LIMIT)


def test_a_record_that_was_cut_short_accuses_nobody(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        job = container.spawn(["bash", "-c", "echo up; read line; exit 6"], interactive=True)
        read_until(job, b"up\n")
        place = Path(container.info().path, "jobs", str(job.id))
        daemon.kill()
        (place / "cause").write_text("output_")
        daemon.start()
        with job.attach() as attachment:
            attachment.write(b"x\n")
            list(attachment)
        assert (job.wait().verdict, job.id) == (Verdict.EXITED, job.id)


# ---- stop

DIES_LATE = (
    "import os, signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, [15])\nprint('up', flush=True)\n"
    "while not os.path.exists('/flags/go'): time.sleep(0.01)\n"
    "signal.pthread_sigmask(signal.SIG_UNBLOCK, [15])\n"
)


def test_a_job_that_was_stopped_keeps_its_status(client: Client) -> None:
    with client.create() as container:
        traps = container.spawn("trap 'exit 37' TERM; echo up; while :; do sleep 0.02; done")
        dies = container.spawn(["sleep", "1000"])
        read_until(traps, b"up\n")
        container.stop()
        results = [job.wait() for job in (traps, dies)]
        assert [(r.verdict, r.exit_status, r.signal) for r in results] == [
            (Verdict.EXITED, 37, 0),
            (Verdict.STOPPED, 255, signal.SIGTERM),
        ]


def waits_for_term(daemon: PrivateDaemon, comm: str) -> bool:
    """Whether one of that name has been sent a TERM that it blocks."""
    [pid] = [pid for pid, name in commands_of(daemon).items() if name == comm]
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["ShdPnd"], 16) >> signal.SIGTERM - 1 & 1)


def test_jobs_that_a_stop_ended_while_the_engine_died(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        traps = container.spawn(f"trap 'echo asked; {AWAIT} exit 3' TERM; echo up; while :; do sleep 0.02; done")
        dies = container.spawn(["python3", "-c", DIES_LATE])
        for job in (traps, dies):
            read_until(job, b"up\n")

        def stop() -> None:
            with client_of(daemon) as mine, suppress(WardenError, OSError):
                mine.container(container.handle).stop()

        stopping = threading.Thread(target=stop)
        stopping.start()
        read_until(traps, b"asked\n")
        wait_until(lambda: waits_for_term(daemon, "python3"))
        daemon.kill()
        stopping.join()
        (flags / "go").touch()
        wait_until(lambda: alone(daemon))
        daemon.start()
        results = [job.wait() for job in (traps, dies)]
        assert [(result.verdict, result.exit_status) for result in results] == [(Verdict.EXITED, 3), (Verdict.STOPPED, 255)]


# ---- usage

WRITE = (
    "import os, mmap\n"
    "fd = os.open('/tmp/direct', os.O_CREAT | os.O_RDWR | os.O_DIRECT, 0o600)\n"
    "block = mmap.mmap(-1, 1 << 20)\n"
    "for _ in range(8): os.write(fd, block)\n"
    "os.lseek(fd, 0, 0)\n"
    "for _ in range(8): os.readv(fd, [block])\n"
)


def counted(container: Container) -> bool:
    """Whether what a job does to a disk is seen here: a tmpfs is none."""
    return container.run("true").usage.io_read_bytes is not None and not _on_tmpfs(container.info().path)


def _on_tmpfs(path: str) -> bool:
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split() for line in file]
    return max((m for m in mounts if path.startswith(m[4])), key=lambda m: len(m[4]))[-3] in ("tmpfs", "virtiofs")


def test_what_is_read_and_written_is_counted(client: Client) -> None:
    with client.create() as container:
        if not counted(container):
            pytest.skip("no block device, or no controller, that counts")
        usage = container.run(["python3", "-c", WRITE], check=True).usage
        assert usage.io_write_bytes is not None and usage.io_write_bytes >= 8 << 20
        assert usage.io_read_bytes is not None and usage.io_read_bytes >= 8 << 20
        assert usage.io_write_ops and usage.io_read_ops
        quiet = container.run(["true"]).usage
        assert quiet.io_write_bytes is not None and quiet.io_write_bytes < 1 << 20


def test_usage_survives_a_crash_before_and_after_it_is_written(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    program = "import time\nb = bytearray(30 << 20)\nwhile time.process_time() < 0.3: pass"
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        meanwhile = container.spawn(f"{AWAIT} exec python3 -c '{program}'")
        written = container.spawn(["python3", "-c", program])
        wait_until(lambda: os.path.exists(f"{container.info().path}/jobs/{written.id}/result.json"))
        daemon.kill()
        (flags / "go").touch()
        wait_until(lambda: alone(daemon))
        daemon.start()
        for job in (meanwhile, written):
            result = job.wait()
            assert cpu_of(result) >= 0.3
            assert result.usage.wall_s >= 0.3
            assert result.usage.peak_memory_bytes is None or result.usage.peak_memory_bytes >= 30 << 20
            assert (result.usage.io_read_ops is None) is (result.usage.io_read_bytes is None)


# ---- disk


def test_a_full_shared_memory_is_told_also_after_a_crash(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    fill = "dd if=/dev/zero of=/dev/shm/x bs=64k 2>/dev/null"
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        assert container.run("exit 1").verdict is Verdict.EXITED
        remount = ["mount", "-o", "remount,nosuid,nodev,size=1m", "/dev/shm"]
        subprocess.run(["nsenter", "-t", str(container.info().pid), "-m", *remount], check=True)
        meanwhile = container.spawn(f"{AWAIT} {fill}")
        daemon.kill()
        (flags / "go").touch()
        wait_until(lambda: alone(daemon))
        daemon.start()
        for result in (meanwhile.wait(), container.run("kill -BUS $$"), container.run("exit 1")):
            assert (result.verdict, result.detail) == (Verdict.DISK_FULL, "/dev/shm is full")
        assert container.run("exit 0").ok
        container.run("rm /dev/shm/x", check=True)
        assert container.run(f"{fill}; rm /dev/shm/x; exit 7").verdict is Verdict.EXITED
        assert container.run("sleep 1000", timeout=0.2).verdict is Verdict.WALL_TIMEOUT
