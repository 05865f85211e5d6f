"""A daemon that is killed loses nothing: not a container, not a line, not an exit status; and leaves nothing half made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from scene import (
    client_of,
    collect,
    command_lines_of,
    commands_of,
    holdings,
    nothing_new,
    processes_of,
    read_until,
    roomy_daemon,
    wait_until,
)

from warden.client.blocking import Client, Container
from warden.errors import EngineFault, UnknownJob, WardenError, WrongState
from warden.model.info import State
from warden.model.job import Verdict
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

COUNT = "for i in $(seq {last}); do echo out $i; echo err $i >&2; sleep 0.01; done; exit {code}"
AWAIT = "while ! [ -e /flags/go ]; do sleep 0.01; done; "
ROUNDS, THREADS = 6, 20


def crash(daemon: PrivateDaemon) -> None:
    daemon.kill()
    daemon.start()


def lines(name: str, last: int) -> bytes:
    return b"".join(b"%s %d\n" % (name.encode(), number) for number in range(1, last + 1))


def test_every_line_once_and_in_order_across_three_crashes(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        jobs = [container.spawn(COUNT.format(last=150, code=code)) for code in (7, 0, 255)]
        for seen in (b"out 10\n", b"out 50\n", b"out 90\n"):
            read_until(jobs[0], seen)
            crash(daemon)
        for job, code in zip(jobs, (7, 0, 255), strict=True):
            stdout, stderr, result = collect(job)
            assert (stdout, stderr) == (lines("out", 150), lines("err", 150))
            assert (result.exit_status, result.verdict, result.truncated) == (code, Verdict.EXITED, False)


def test_link_after_a_crash_has_all_output_once(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        job = container.spawn(COUNT.format(last=60, code=3))
        read_until(job, b"out 5\n")
        crash(daemon)
        result = job.wait()
        assert (result.stdout, result.stderr, result.exit_status) == (lines("out", 60), lines("err", 60), 3)
        with pytest.raises(UnknownJob):
            job.wait()


def test_jobs_that_end_while_no_daemon_is_there(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        exits = container.spawn(f"echo before; {AWAIT} echo after; exit 9")
        dies = container.spawn(f"{AWAIT} kill -SEGV $$")
        silent = container.spawn(f"{AWAIT} exit 4", discard_output=True)
        read_until(exits, b"before\n")
        daemon.kill()
        (flags / "go").touch()
        wait_until(lambda: len(processes_of(daemon)) == 1, "the jobs do not end")
        daemon.start()
        result = exits.wait()
        assert (result.stdout, result.exit_status, result.verdict) == (b"before\nafter\n", 9, Verdict.EXITED)
        assert (dies.wait().verdict, silent.wait().exit_status) == (Verdict.SIGNALED, 4)
        wait_until(lambda: not holdings(daemon)["jobs"])


def test_a_full_pipe_holds_the_job_until_a_daemon_reads_it(daemon: PrivateDaemon, client: Client, flags: Path) -> None:
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        job = container.spawn(f"{AWAIT} touch /tmp/began; seq -f %08.0f 34000; exit 5")
        daemon.kill()
        (flags / "go").touch()
        wait_until(lambda: "seq" in commands_of(daemon).values(), "it does not start to print")
        daemon.start()
        stdout, _, result = collect(job)
        assert len(stdout) > 300_000
        assert stdout == b"".join(b"%08d\n" % number for number in range(1, 34001))
        assert (result.exit_status, result.truncated) == (5, False)


def test_the_wall_deadline_counts_from_the_jobs_start(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        before = time.monotonic()
        job = container.spawn("sleep 1000", timeout=8)
        daemon.kill()
        time.sleep(5)
        restarted = time.monotonic()
        daemon.start()
        result = job.wait()
        assert result.verdict is Verdict.WALL_TIMEOUT
        # A deadline that began anew could not have come before this; a daemon that starts is 8 s faster.
        assert result.usage.wall_s < restarted - before + 8


def test_an_interactive_job_is_talked_to_across_a_crash(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        job = container.spawn(["cat"], interactive=True)
        with job.attach() as attachment:
            attachment.write(b"one\n")
            assert next(attachment).data == b"one\n"
        crash(daemon)
        with job.attach() as attachment:
            assert next(attachment).data == b"one\n"
            attachment.write(b"two\n")
            assert next(attachment).data == b"two\n"
            attachment.close_stdin()
            assert list(attachment) == []
            assert attachment.result is not None
            assert attachment.result.exit_status == 0
        assert job.wait().stdout == b"one\ntwo\n"


def test_a_terminal_is_talked_to_across_a_crash(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        job = container.spawn(["cat"], tty=True)
        crash(daemon)
        with job.attach() as attachment:
            attachment.write(b"x\n")
            attachment.close_stdin()
            assert b"".join(chunk.data for chunk in attachment) == b"x\r\nx\r\n"
        assert job.wait().exit_status == 0


def test_a_result_that_nobody_collected_outlives_two_restarts(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        job = container.spawn("echo kept; echo too >&2; exit 6")
        wait_until(lambda: not container.info().jobs[0].running)
        crash(daemon)
        assert daemon.stop() == 0
        daemon.start()
        stdout, stderr, result = collect(job)
        assert (stdout, stderr, result.exit_status) == (b"kept\n", b"too\n", 6)
        with pytest.raises(UnknownJob):
            job.wait()


def test_term_ends_the_daemon_and_leaves_containers(daemon: PrivateDaemon, client: Client) -> None:
    with client.create(handle="stays", memory="64M") as container:
        job = container.spawn(["sleep", "1000"])
        before = container.info()
        assert daemon.stop() == 0
        assert processes_of(daemon)
        daemon.start()
        assert client.list() == ["stays"]
        after = container.info()
        assert (after.pid, after.container_ip, after.created) == (before.pid, before.container_ip, before.created)
        assert container.limit_memory() == 64 << 20
        assert container.run("echo works").stdout == b"works\n"
        job.kill()
        assert job.wait().signal == signal.SIGKILL


def test_no_number_of_a_job_is_used_twice(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        uncollected = container.spawn("exit 1")
        wait_until(lambda: not container.info().jobs[0].running)
        crash(daemon)
        later = [container.spawn("exit 2").id for _ in range(3)]
        assert min(later) > uncollected.id


def test_a_job_recorded_by_half_is_in_nobodys_way(daemon: PrivateDaemon, client: Client) -> None:
    """The daemon died between making the job's directory and writing what was asked."""
    with client.create() as container:
        directory = Path(container.info().path, "jobs")
        daemon.kill()
        for number in (1, 2):
            (directory / str(number)).mkdir()
        (directory / "2" / "job.json").write_text('{"comm')
        daemon.start()
        assert [container.run("echo fine").stdout for _ in range(3)] == [b"fine\n"] * 3


def test_a_crash_in_the_middle_of_a_stop_does_not_save_the_jobs(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        container.spawn("trap '' TERM; echo up; while :; do sleep 0.1; done")
        wait_until(lambda: b"up" in b"".join(chunk.data for chunk in container.logs()))
        stopping = threading.Thread(target=_until_cut, args=(container.stop,))
        stopping.start()
        wait_until(lambda: container.info().state is State.STOPPED)
        daemon.kill()
        stopping.join()
        daemon.start()
        wait_until(lambda: not any(job.running for job in container.info().jobs), "the job outlived the stop")


def test_an_out_of_memory_that_nobody_saw_still_stops_the_container(
    daemon: PrivateDaemon, client: Client, flags: Path
) -> None:
    hog = f"{AWAIT} python3 -c 'a=[]\nwhile True: a.append(bytearray(4<<20))'; sleep 1000"
    with client.create(memory="48M", oom_policy="stop", mounts=[(str(flags), "/flags")]) as container:
        container.spawn(hog)
        daemon.kill()
        (flags / "go").touch()
        wait_until(lambda: "sleep 1000" in command_lines_of(daemon))
        daemon.start()
        wait_until(lambda: container.info().state is State.STOPPED)
        assert "out of memory" in container.info().events


def test_a_container_whose_first_process_died_meanwhile_is_removed(daemon: PrivateDaemon, client: Client) -> None:
    with nothing_new(daemon):
        container = client.create()
        pid = container.info().pid
        daemon.kill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not processes_of(daemon))
        daemon.start()
        assert client.list() == []


def test_an_unreadable_record_does_not_keep_the_daemon_from_starting(daemon: PrivateDaemon, client: Client) -> None:
    with nothing_new(daemon):
        broken, whole = client.create(), client.create()
        snapshot = Path(broken.info().path, "snapshot.json")
        daemon.kill()
        snapshot.write_text(json.dumps({"events": "?"}))
        daemon.start()
        assert client.list() == [whole.handle]
        whole.destroy()


def test_a_second_daemon_on_the_same_depot_is_refused(daemon: PrivateDaemon) -> None:
    other = f"{daemon.root}/other.sock"
    command = [sys.executable, "-m", "warden.cli.wardend", daemon.config, "--socket", other]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EngineFault.exit_code
    assert done.stderr.startswith(f"wardend: depot {daemon.depot}: another engine holds it")
    assert done.stderr.count("\n") == 1
    assert not os.path.exists(other)


def test_a_second_daemon_on_the_same_socket_does_not_take_it(daemon: PrivateDaemon, client: Client) -> None:
    command = [sys.executable, "-m", "warden.cli.wardend", daemon.config]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EngineFault.exit_code
    client.ping()


def _until_cut(work: Callable[[], object]) -> None:
    with suppress(WardenError, OSError):
        work()


def _churn(socket: str, go_on: threading.Event) -> None:
    """Creates, uses and destroys until the daemon is gone."""
    with Client(socket, timeout=60) as client, suppress(WardenError, OSError):
        for _ in range(50):
            if not go_on.is_set():
                return
            container = client.create()
            container.run("echo x")
            container.destroy()


def _assert_whole(daemon: PrivateDaemon, client: Client) -> None:
    """Every container there is works; nothing else is there; no address is used twice."""
    found = client.containers()
    for info in found:
        assert info.state is State.ACTIVE
        assert client.container(info.handle).run("echo works").stdout == b"works\n"
    assert len({info.container_ip for info in found}) == len(found)
    ids = {info.id for info in found}
    wait_until(lambda: _held(daemon) == (ids, set(), ids, set()), lambda: f"{ids}, but {_held(daemon)}")
    wait_until(lambda: processes_of(daemon) == {info.pid for info in found}, "a process nobody knows is left")


def _held(daemon: PrivateDaemon) -> tuple[set[str], set[str], set[str], set[str]]:
    """Directories, trash, containers with cgroups and mounts."""
    held = holdings(daemon)
    instances = {name.split("instance-")[1].split("/")[0] for name in held["cgroups"] if "instance-" in name}
    return held["directories"], held["trash"], instances, held["mounts"]


@pytest.mark.slow
def test_crashes_during_twenty_creates_and_destroys_leave_whole_containers() -> None:
    with roomy_daemon() as daemon, client_of(daemon) as client:
        seen: set[str] = set()
        for number in range(ROUNDS):
            go_on = threading.Event()
            go_on.set()
            threads = [threading.Thread(target=_churn, args=(daemon.socket, go_on)) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            time.sleep(0.1 + 0.15 * number)
            crash(daemon)
            go_on.clear()
            for thread in threads:
                thread.join()
            _assert_whole(daemon, client)
            fresh = client.create()
            assert fresh.handle not in seen
            seen.add(fresh.handle)
            _assert_whole(daemon, client)
            daemon.destroy_all()


@pytest.mark.slow
def test_crashes_in_the_middle_of_runs_leave_no_job_behind(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:

        def run_many() -> None:
            with Client(daemon.socket, timeout=60) as mine, suppress(WardenError, OSError):
                for _ in range(200):
                    mine.container(container.handle).run(["true"])

        for number in range(ROUNDS):
            threads = [threading.Thread(target=run_many) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.05 + 0.03 * number)
            crash(daemon)
            for thread in threads:
                thread.join()
            for job in container.info().jobs:
                with suppress(UnknownJob):
                    assert container.job(job.id).wait().verdict in (Verdict.EXITED, Verdict.ENGINE_ERROR)
            wait_until(lambda: not holdings(daemon)["jobs"], lambda: f"left: {holdings(daemon)['jobs']}")
            wait_until(lambda: not any("/job-" in name for name in holdings(daemon)["cgroups"]))


def test_a_clock_that_went_back_takes_no_id_twice(daemon: PrivateDaemon, client: Client) -> None:
    """Ids are made from the clock: the container of a later time must not be met again."""
    with client.create(network="none") as container:
        path = Path(container.info().path)
        daemon.kill()
        later = path.with_name("v" * 10 + "0")
        snapshot = json.loads((path / "snapshot.json").read_text())
        snapshot["resources"]["container_id"] = later.name
        (path / "snapshot.json").write_text(json.dumps(snapshot))
        for group in Path("/sys/fs/cgroup").glob(f"*/{daemon.cgroup_parent}/*-{path.name}"):
            group.rename(group.with_name(group.name.replace(path.name, later.name)))
        path.rename(later)
        daemon.start()
        assert container.run("echo works").stdout == b"works\n"
        with client.create() as other:
            assert other.info().id == "v" * 10 + "1"


def test_stopped_stays_stopped(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        container.stop()
        crash(daemon)
        assert container.info().state is State.STOPPED
        with pytest.raises(WrongState):
            container.run("true")


def _table(container: Container) -> dict[str, Any]:
    with open(f"{container.info().path}/snapshot.json") as file:
        found: dict[str, Any] = json.load(file)["jobs"]
    return found


def test_the_record_shows_jobs_as_the_original_s_did(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as box:
        runs = box.spawn("echo out; exec sleep 1000", log_tag="web")
        ends = box.spawn("exit 3", discard_output=True)
        ended = {"iomux_spawn_pid": None, "discard_output": True, "log_tag": None, "status": [3, "", ""]}

        def both() -> bool:
            table = _table(box)
            entry = table.get(str(ends.id), {})
            return set(table) == {str(runs.id), str(ends.id)} and entry | {"iomux_spawn_pid": None} == ended

        wait_until(both)
        entry = _table(box)[str(runs.id)]
        pid = entry.pop("iomux_spawn_pid")
        assert entry == {"discard_output": False, "log_tag": "web"}
        wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        for end in (PrivateDaemon.kill, PrivateDaemon.drain, PrivateDaemon.stop):
            end(daemon)
            daemon.start()
            wait_until(lambda: both() and _table(box)[str(runs.id)]["iomux_spawn_pid"] == pid)
        ends.wait()
        wait_until(lambda: set(_table(box)) == {str(runs.id)})
        box.limit_memory(1 << 30)  # the rest of the record is written without losing the table
        assert _table(box)[str(runs.id)]["iomux_spawn_pid"] == pid


def test_a_drain_writes_the_last_word(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as box:
        path = Path(box.info().path, "snapshot.json")
        job = box.spawn("exec sleep 1000")
        daemon.drain()
        assert set(json.loads(path.read_text())["jobs"]) == {str(job.id)}
        daemon.start()
