"""The command `warden` against a real daemon and real containers: what a person at a shell relies on."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

Warden = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = [sys.executable, "-m", "warden.cli.main"]
HOG = "a=[]\nwhile True: a.append(bytearray(4<<20))"


@pytest.fixture
def warden(shared_daemon: PrivateDaemon) -> Iterator[Warden]:
    """Runs the command to its end; afterwards no container may be left."""

    def run(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words],
            env=os.environ | {"WARDEN_SOCKET": shared_daemon.socket},
            stdin=subprocess.DEVNULL if stdin is None else None,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    yield run
    assert run("ps", "-aq").stdout == ""


def started(daemon: PrivateDaemon, *words: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
    return subprocess.Popen([*COMMAND, *words], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_output_streams_and_exit_code(warden: Warden) -> None:
    done = warden("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_every_byte_passes(shared_daemon: PrivateDaemon) -> None:
    every = "import os; os.write(1, bytes(range(256)) * 1000)"
    with started(shared_daemon, "run", "--", "python3", "-c", every) as running:
        out, _ = running.communicate(timeout=60)
    assert out == bytes(range(256)) * 1000


def test_output_comes_before_the_end(shared_daemon: PrivateDaemon) -> None:
    # `cat` waits for the end of stdin, which this test holds: had output been kept back, read would never return.
    with started(shared_daemon, "run", "-i", "--", "sh", "-c", "echo first; cat") as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stdout.readline() == b"first\n"
        running.stdin.write(b"second\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"second\n"
        running.stdin.close()
        assert running.wait(timeout=60) == 0


def test_out_of_memory_is_said_with_the_peak(warden: Warden) -> None:
    done = warden("run", "-m", "64M", "--", "python3", "-c", HOG)
    assert done.returncode == 137
    assert done.stderr.startswith("warden: out of memory: peak ")
    assert done.stderr.endswith(" of 64.0 MiB\n")


@pytest.mark.parametrize("text", ["4", "0", "63k"])
def test_a_memory_that_no_job_can_start_in_is_refused(warden: Warden, text: str) -> None:
    for words in (("run",), ("run", "-d", "--name", "tiny"), ("create",)):
        ended = warden(*words, "--memory", text, "--", "true")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("warden: memory: ")
        assert "64.0 KiB at least" in ended.stderr
    assert warden("ps", "-aq").stdout == ""


def test_a_limit_that_leaves_no_room_for_a_job_is_named(warden: Warden) -> None:
    assert warden("create", "--name", "tight").returncode == 0
    assert warden("limit", "--memory", "4", "tight").returncode == 0
    ended = warden("exec", "tight", "true")
    assert ended.returncode in (71, 137)  # what the kernel kept of pages may be enough for the group
    assert "memory" in ended.stderr
    assert warden("limit", "--memory", "64M", "tight").returncode == 0
    assert warden("exec", "tight", "true").returncode == 0
    warden("destroy", "tight")


def test_who_is_unknown_is_named(warden: Warden) -> None:
    for words in (("cp", "ghost:/x", "/tmp"), ("cp", "/etc/hostname", "ghost:/tmp"), ("cp", "ghost:/x", "-")):
        ended = warden(*words)
        assert (ended.returncode, ended.stderr) == (3, "warden: ghost: unknown handle\n"), words
    ended = warden("run", "--name", "new", "--volumes-from", "ghost", "--", "true")
    assert (ended.returncode, ended.stderr) == (3, "warden: volumes from ghost: unknown handle\n")


def test_json_result_of_a_memory_hog(warden: Warden) -> None:
    done = warden("run", "--json", "-m", "64M", "--", "python3", "-c", HOG)
    result = json.loads(done.stdout)
    assert result["verdict"] == "out_of_memory"
    assert 32 << 20 <= result["usage"]["peak_memory_bytes"] <= 70 << 20


def test_timeout_kills_the_whole_tree(warden: Warden) -> None:
    done = warden("run", "--timeout", "300ms", "--", "sh", "-c", "sleep 1000 & sleep 1000")
    assert done.returncode == 124
    assert done.stderr.startswith("warden: timeout: killed after ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_job_and_container(warden: Warden, shared_daemon: PrivateDaemon, number: signal.Signals) -> None:
    with started(shared_daemon, "run", "--", "sh", "-c", "echo up; exec sleep 1000") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        running.send_signal(number)
        assert running.wait(timeout=60) == 128 + number
    assert warden("ps", "-aq").stdout == ""


def test_a_reader_that_goes_away_ends_job_and_container(warden: Warden, shared_daemon: PrivateDaemon) -> None:
    with started(shared_daemon, "run", "--", "yes") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"y\n"
        running.stdout.close()
        assert running.wait(timeout=60) == 141
    assert warden("ps", "-aq").stdout == ""


def test_a_program_that_is_not_there_is_named(warden: Warden) -> None:
    done = warden("run", "--", "nonesuch-program")
    assert done.returncode == 126
    assert "nonesuch-program" in done.stderr
    assert done.stderr.count("\n") == 1


def test_environment_directory_and_user(warden: Warden) -> None:
    done = warden("run", "-e", "A=b c", "-w", "/tmp", "--privileged", "--", "sh", "-c", "echo $A; pwd; id -u")
    assert done.stdout == "b c\n/tmp\n0\n"


def test_mounts_read_only_and_writable(warden: Warden, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "given").write_text("from the host\n")
    done = warden("run", "-v", f"{tmp_path}:/data:ro", "--", "sh", "-c", "cat /data/given; touch /data/x")
    assert done.stdout == "from the host\n"
    assert done.returncode != 0
    assert warden("run", "--privileged", "-v", f"{tmp_path}:/data", "--", "touch", "/data/made").returncode == 0
    assert (tmp_path / "made").exists()


def test_script_from_standard_input(warden: Warden) -> None:
    assert warden("run", "--script", "-", stdin="for i in 1 2; do echo $i; done\n").stdout == "1\n2\n"


def test_life_of_a_container(warden: Warden) -> None:
    assert warden("create", "--name", "box", "-m", "128M").stdout == "box\n"
    try:
        assert warden("exec", "box", "--", "sh", "-c", "echo kept > /tmp/file; exit 3").returncode == 3
        assert warden("exec", "box", "--", "cat", "/tmp/file").stdout == "kept\n"
        assert "box" in warden("ps").stdout
        shown = json.loads(warden("info", "--json", "box").stdout)
        assert (shown["handle"], shown["state"], shown["memory"]["limit"]) == ("box", "active", 128 << 20)
        again = warden("create", "--name", "box")
        assert again.returncode == 5
        assert again.stderr.startswith("warden: ")
    finally:
        assert warden("destroy", "box").returncode == 0
    assert warden("info", "box").returncode == 3


def test_detached_job_is_followed_by_logs(warden: Warden) -> None:
    handle = warden("run", "-d", "--", "sh", "-c", "echo one; echo two >&2").stdout.strip()
    try:
        assert warden("wait", handle).stdout == "0\n"
        job = warden("jobs", "-q", handle).stdout.strip()
        for words in (["logs", handle], ["logs", "--follow", "--job", job, handle], ["logs", "--follow", handle]):
            done = warden(*words)
            assert (done.stdout, done.stderr) == ("one\n", "two\n")
    finally:
        warden("destroy", handle)


def test_the_original_form(warden: Warden) -> None:
    assert warden("--", "create", "--handle", "old").stdout == "handle : old\n"
    try:
        done = warden("--", "run", "--handle", "old", "--script", "echo a; echo b >&2; exit 4")
        assert (done.returncode, done.stdout, done.stderr) == (4, "a\n", "b\n")
        job = warden("--", "spawn", "--handle", "old", "--script", "exit 9").stdout
        assert job.startswith("job_id : ")
        linked = warden("--", "link", "--handle", "old", "--job_id", job.split()[-1])
        assert "exit_status : 9\n" in linked.stdout
        assert warden("--", "list").stdout == "handles[0] : old\n"
    finally:
        assert warden("--", "destroy", "--handle", "old").returncode == 0
    lost = warden("--", "info", "--handle", "old")
    assert (lost.returncode, lost.stderr) == (3, "warden: unknown handle\n")


def read_until(descriptor: int, wanted: bytes, seconds: float = 60) -> bytes:
    seen, deadline = b"", time.monotonic() + seconds
    while wanted not in seen and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.5)[0]:
            seen += os.read(descriptor, 4096)
    assert wanted in seen
    return seen


def test_a_terminal_inside(shared_daemon: PrivateDaemon) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["WARDEN_SOCKET"] = shared_daemon.socket
        os.execv(sys.executable, [*COMMAND, "run", "-it", "--", "sh"])
    try:
        # the sum keeps the echo of what is typed apart from the answer
        os.write(terminal, b"test -t 0 && echo terminal $((40 + 2))\n")
        read_until(terminal, b"terminal 42")
        os.write(terminal, b"exit 6\n")
        read_until(terminal, b"exit 6")
        while True:
            try:
                if not os.read(terminal, 4096):
                    break
            except OSError:  # EIO: the other side is closed
                break
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 6


@pytest.mark.slow
def test_a_killed_run_leaves_nothing(warden: Warden, shared_daemon: PrivateDaemon) -> None:
    before = leaks.look(shared_daemon.cgroup_parent, shared_daemon.root)
    with started(shared_daemon, "run", "--", "sh", "-c", "echo up; exec sleep 1000") as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.kill()
    found = leaks.leaks(before, shared_daemon.cgroup_parent, shared_daemon.root, patience_s=30)
    found.pop("descriptors", None)
    assert not found
    assert warden("ps", "-aq").stdout == ""


def test_a_daemon_is_started_on_demand(daemon: PrivateDaemon) -> None:
    daemon.stop()  # only its places are wanted
    socket = f"{daemon.root}/demand.sock"
    environment = os.environ | {"WARDEN_CONFIG": daemon.config, "WARDEN_SOCKET": socket}
    done = subprocess.run(
        [*COMMAND, "run", "--", "echo", "hi"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    try:
        assert (done.returncode, done.stdout) == (0, "hi\n")
        assert done.stderr == f"warden: started a daemon on {socket}\n"
    finally:
        shown = subprocess.run(
            [*COMMAND, "version", "--json"], env=environment, capture_output=True, text=True, timeout=30, check=True
        )
        os.kill(json.loads(shown.stdout)["pid"], signal.SIGTERM)
        daemon.start()  # it takes over the depot, and its end checks that nothing is left


def test_doctor_ends_with_its_judgement(warden: Warden) -> None:
    done = warden("doctor", "--json")
    findings = json.loads(done.stdout)
    assert findings
    assert done.returncode == int(any(finding["ok"] is False and finding["needed"] for finding in findings))


def test_plan_needs_no_daemon() -> None:
    environment = os.environ | {"WARDEN_SOCKET": "/nonexistent"}
    done = subprocess.run([*COMMAND, "plan", "-m", "64M"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pivot_root" in done.stdout
