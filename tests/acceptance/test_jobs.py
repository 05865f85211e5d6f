"""What a job finds, what it is given and held to, and what is told of its end."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest
from scene import client_of, collect, commands_of, nothing_new, processes_of, read_until, wait_until

from warden.client.blocking import Client, Container
from warden.client.messages import SpawnOptions
from warden.errors import BadInput
from warden.model.job import DEFAULT_RLIMITS, RLIMIT_INFINITY, Verdict
from warden.plan.capabilities import CONTAINER_ROOT
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as client:
        yield client


@pytest.fixture(scope="module")
def shared_box(client: Client) -> Iterator[Container]:
    with client.create() as container:
        yield container


@pytest.fixture
def box(shared_daemon: PrivateDaemon, client: Client, shared_box: Container) -> Iterator[Container]:
    """A container; every job, descriptor and process that a test begins in it must be gone at the test's end."""
    with nothing_new(shared_daemon):
        yield shared_box


def test_environment_is_exact(box: Container) -> None:
    found = set(box.run(["env"], env={"A": "b c", "EMPTY": "", "Q": "ä"}).text.rstrip("\n").split("\n"))
    lang = next(line for line in found if line.startswith("LANG="))
    assert found == {"HOME=/home/vcap", "USER=vcap", "PATH=/bin:/usr/bin", lang, "A=b c", "EMPTY=", "Q=ä"}


def test_environment_of_root_and_what_the_caller_overrides(box: Container) -> None:
    lines = box.run(["env"], privileged=True, env={"HOME": "/x", "PATH": "/usr/bin"}).text.split("\n")
    assert {"USER=root", "HOME=/x", "PATH=/usr/bin"} <= set(lines)
    assert len([line for line in lines if line.startswith("PATH=")]) == 1


def test_ids_and_groups(box: Container) -> None:
    uid = box.run("id -u").text.strip()
    assert int(uid) >= 10000
    assert box.run("id -u; id -g; id -G; id -un; pwd").text.split() == [uid, uid, uid, "vcap", "/home/vcap"]
    assert box.run("id -u; id -g; id -G; pwd", privileged=True).text.split() == ["0", "0", "0", "/root"]
    assert box.run("id -un", user="root").text == "root\n"
    assert box.run("id -un", user=uid).text == "vcap\n"


def test_umask_session_and_directory(box: Container) -> None:
    assert box.run("umask; pwd; echo $(ps -o sid= $$) $$", cwd="/tmp").text.split()[:2] == ["0022", "/tmp"]
    assert box.run(["python3", "-c", "import os; print(os.getsid(0) == os.getpid())"]).text == "True\n"


def test_nothing_but_the_three_standard_descriptors_is_open(box: Container) -> None:
    assert box.run(["ls", "/proc/self/fd"]).text.split() == ["0", "1", "2", "3"]  # 3 is ls's own
    assert box.run(["readlink", "/proc/self/fd/0"]).text == "/dev/null\n"


def test_signals_are_at_their_defaults(box: Container) -> None:
    status = box.run(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]).text.split()
    threads = 0b11 << 31  # 32 and 33 are the C library's own
    assert [int(mask, 16) & ~threads for mask in status[1::2]] == [0, 0]


LIMITS = "import resource as r; print({n: r.getrlimit(getattr(r, 'RLIMIT_' + n.upper())) for n in %r.split()})"
NAMED = "as core cpu data fsize memlock msgqueue nice nofile nproc rss rtprio sigpending stack"


def limits_in(box: Container, **given: int) -> dict[str, tuple[int, int]]:
    import ast

    found: dict[str, tuple[int, int]] = ast.literal_eval(
        box.run(["python3", "-c", LIMITS % NAMED], rlimits=given, check=True).text
    )
    return found


def test_rlimits_by_default_and_as_given_and_not_kept(box: Container) -> None:
    usual = {name: -1 if v == RLIMIT_INFINITY else v for name, v in DEFAULT_RLIMITS.items() if name in NAMED.split()}
    assert limits_in(box) == {name: (value, value) for name, value in usual.items()}
    given = limits_in(box, nofile=77, core=0, cpu=100, fsize=1 << 20)
    assert (given["nofile"], given["cpu"], given["fsize"]) == ((77, 77), (100, 100), (1 << 20, 1 << 20))
    assert limits_in(box)["nofile"] == (1024, 1024)


def test_rlimit_of_processor_time_ends_the_job(box: Container) -> None:
    result = box.run("while :; do :; done", rlimits={"cpu": 1}, timeout=60)
    assert (result.verdict, result.signal) == (Verdict.SIGNALED, signal.SIGKILL)
    assert result.usage.cpu_user_s + result.usage.cpu_system_s > 0.5


def rights(box: Container, *, privileged: bool) -> dict[str, str]:
    text = box.run(["cat", "/proc/self/status"], privileged=privileged).text
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_vcap_has_no_rights(box: Container) -> None:
    found = rights(box, privileged=False)
    assert {found[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Amb")} == {"0" * 16}
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_root_has_the_listed_rights_alone(box: Container) -> None:
    found = rights(box, privileged=True)
    listed = f"{CONTAINER_ROOT:016x}"
    assert (found["CapEff"], found["CapPrm"], found["CapBnd"], found["Seccomp"]) == (listed, listed, listed, "2")
    assert found["CapAmb"] == "0" * 16


def test_a_set_user_id_program_gives_vcap_nothing(box: Container) -> None:
    box.run("cp /usr/bin/id /tmp/id; chown root /tmp/id; chmod 4755 /tmp/id", privileged=True, check=True)
    assert box.run(["/tmp/id", "-u"]).text != "0\n"
    box.run("rm /tmp/id", privileged=True, check=True)


def test_stdin_of_any_bytes_and_any_length(box: Container) -> None:
    every = bytes(range(256)) * 20480  # 5 MB
    assert box.run(["sha256sum"], stdin=every).text.split()[0] == hashlib.sha256(every).hexdigest()
    assert box.run(["cat"], stdin=b"").stdout == b""
    assert box.run(["cat"], stdin="text ä").text == "text ä"


def test_a_script_of_five_megabytes(box: Container) -> None:
    script = "# filler\n" * 580_000 + "echo the end $#; cat\necho eaten\n"
    assert len(script) > 5_000_000
    result = box.run(script)
    assert result.stdout == b"the end 0\necho eaten\n"  # what reads stdin eats the rest of the script


def test_output_of_any_bytes(box: Container) -> None:
    result = box.run(["python3", "-c", "import os; b = bytes(range(256)) * 4000; os.write(1, b[:60000]); "
                      "os.write(2, b[::-1][:60000]); os.write(1, b[60000:])"])  # fmt: skip
    every = bytes(range(256)) * 4000
    assert result.stdout[:60000] == every[:60000]
    assert result.stderr == every[::-1][:60000]
    assert len(result.stdout) <= len(every)


@pytest.mark.parametrize("code", [0, 1, 126, 127, 137, 255])
def test_exit_codes(box: Container, code: int) -> None:
    result = box.run(f"exit {code}")
    assert (result.exit_status, result.verdict, result.signal) == (code, Verdict.EXITED, 0)


@pytest.mark.parametrize("number", [1, 6, 9, 11, 15, 34, 64])
def test_signals(box: Container, number: int) -> None:
    result = box.run(["python3", "-c", f"import os; os.kill(os.getpid(), {number})"])
    assert (result.exit_status, result.verdict, result.signal) == (255, Verdict.SIGNALED, number)
    assert result.detail


def test_a_signal_from_the_client_to_the_tree_or_the_first(box: Container) -> None:
    script = (
        "trap 'echo outer' USR1; (trap 'echo inner; exit' USR1; echo up; while :; do sleep 0.02; done) & wait; wait"
    )
    job = box.spawn(script)
    read_until(job, b"up\n")
    job.signal(signal.SIGUSR1)
    stdout, _, result = collect(job)
    assert set(stdout.split()) == {b"up", b"inner", b"outer"}
    assert result.exit_status == 0


LEAVER = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        os.setsid(); print('away', flush=True); time.sleep(1000)\n"
    "    os._exit(0)\n"
)


def test_a_timeout_kills_those_that_ran_away(box: Container, shared_daemon: PrivateDaemon) -> None:
    job = box.spawn(["python3", "-c", LEAVER + "time.sleep(1000)"], timeout=1.5)
    result = job.wait()
    assert (result.verdict, result.exit_status) == (Verdict.WALL_TIMEOUT, 255)
    assert result.stdout in (b"away\n", b"")  # on a busy machine it does not come so far
    wait_until(lambda: processes_of(shared_daemon) == {box.info().pid})


def test_a_killed_job_takes_its_tree_along(box: Container, shared_daemon: PrivateDaemon) -> None:
    job = box.spawn(["python3", "-c", LEAVER + "time.sleep(1000)"])
    read_until(job, b"away\n")
    job.kill()
    assert job.wait().signal == signal.SIGKILL
    wait_until(lambda: processes_of(shared_daemon) == {box.info().pid})


@pytest.mark.parametrize("extra", [0, 1, 100_000])
def test_output_limit_is_exact(box: Container, extra: int) -> None:
    result = box.run(f"head -c {5000 + extra} /dev/zero; sleep {1000 if extra else 0}", output_limit=5000)
    assert len(result.stdout) + len(result.stderr) == 5000
    assert result.truncated is bool(extra)
    assert result.verdict is (Verdict.OUTPUT_LIMIT if extra else Verdict.EXITED)


def test_output_limit_counts_both_streams(box: Container) -> None:
    result = box.run("while :; do echo 1234567; echo 1234567 >&2; done", output_limit="64K")
    assert len(result.stdout) + len(result.stderr) == 64 << 10
    assert (result.truncated, result.verdict) == (True, Verdict.OUTPUT_LIMIT)


def test_an_output_limit_of_nothing(box: Container) -> None:
    assert box.run("true", output_limit=0).ok
    assert box.run("echo x; sleep 1000", output_limit=0).verdict is Verdict.OUTPUT_LIMIT


def test_discarded_output_has_no_limit(box: Container) -> None:
    result = box.run("head -c 20M /dev/zero; echo x >&2; exit 3", discard_output=True, output_limit=10)
    assert (result.stdout, result.stderr, result.exit_status, result.truncated) == (b"", b"", 3, False)


def test_an_orphan_that_holds_the_pipe_does_not_hold_the_result(
    box: Container, client: Client, shared_daemon: PrivateDaemon
) -> None:
    with client.create() as container:
        result = container.run("echo first; (sleep 1000; echo never) & exit 8")
        assert (result.stdout, result.exit_status) == (b"first\n", 8)
        # It goes on: that takes what the subshell may only begin when the result is there.
        wait_until(lambda: "sleep" in commands_of(shared_daemon).values())


def test_a_background_process_outlives_its_job_and_may_write(box: Container, client: Client) -> None:
    with client.create() as container:
        container.run("(while :; do echo noise; echo tick > /tmp/tick; sleep 0.01; done) & exit 0", check=True)
        container.run("rm -f /tmp/tick; while ! [ -e /tmp/tick ]; do sleep 0.01; done", timeout=30, check=True)


def test_closed_standard_output_is_no_end(box: Container) -> None:
    result = box.run("exec >&- 2>&-; sleep 0.2; exit 5")
    assert (result.exit_status, result.stdout) == (5, b"")


def test_a_terminal(box: Container) -> None:
    program = (
        "import os, sys; print(all(map(os.isatty, range(3))), os.get_terminal_size(), os.environ['TERM'], flush=True); "
        "sys.stdin.readline(); print(os.get_terminal_size(), flush=True); print(sys.stdin.read() == '', flush=True)"
    )
    job = box.spawn(["python3", "-c", program], tty=True, rows=30, columns=101)
    with job.attach() as attachment:
        assert b"True os.terminal_size(columns=101, lines=30) xterm" in next(attachment).data
        attachment.resize(7, 33)
        attachment.write(b"go\n")
        attachment.close_stdin()
        rest = b"".join(chunk.data for chunk in attachment)
    assert b"os.terminal_size(columns=33, lines=7)" in rest
    assert rest.endswith(b"True\r\n")
    assert job.wait().exit_status == 0


def test_control_c_on_a_terminal(box: Container) -> None:
    # Not an interactive bash: that catches the signal until its exec, and the sleep would never see it.
    job = box.spawn(["sh", "-c", "echo up; exec sleep 1000"], tty=True)
    with job.attach() as attachment:
        seen = b""
        while b"up\r\n" not in seen:
            seen += next(attachment).data
        attachment.write(b"\x03")
        list(attachment)
    assert job.wait().signal == signal.SIGINT


def test_two_write_to_one_standard_input(box: Container, shared_daemon: PrivateDaemon) -> None:
    job = box.spawn(["bash", "-c", "head -c 600000 | wc -c"], interactive=True)

    def feed() -> None:
        with client_of(shared_daemon) as mine, mine.container(box.handle).job(job.id).attach() as attachment:
            attachment.write(b"x" * 300_000)
            list(attachment)

    threads = [threading.Thread(target=feed) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert job.wait().stdout == b"600000\n"


@pytest.mark.parametrize("more", [{"stdin": b"x"}, {"interactive": True}, {"tty": True}])
def test_a_script_leaves_no_room_for_other_input(box: Container, more: SpawnOptions) -> None:
    with pytest.raises(BadInput, match="standard input"):
        box.spawn("cat", **more)


def test_a_hundred_jobs_at_once(box: Container) -> None:
    jobs = [
        box.spawn(["bash", "-c", f"echo out {number}; exit {number}"], interactive=number % 2 == 0)
        for number in range(100)
    ]
    for number, job in enumerate(jobs):
        stdout, _, result = collect(job)
        assert (stdout, result.exit_status) == (b"out %d\n" % number, number)


def test_usage_is_plausible(box: Container) -> None:
    result = box.run(["python3", "-c", "import time\nb = bytearray(50 << 20)\nwhile time.process_time() < 0.4: pass"])
    assert 0.3 < result.usage.cpu_user_s + result.usage.cpu_system_s < 5
    assert result.usage.wall_s > 0.3
    assert result.usage.peak_memory_bytes is not None
    assert 50 << 20 <= result.usage.peak_memory_bytes < 200 << 20


def test_logs_are_not_consumed_by_reading(box: Container) -> None:
    job = box.spawn("echo one; echo two >&2; exit 2")
    for _ in range(2):
        assert b"".join(chunk.data for chunk in box.logs(job.id, follow=True)) in (b"one\ntwo\n", b"two\none\n")
    assert job.wait().exit_status == 2


@pytest.mark.parametrize("name", ["nonesuch", "NOFILE", ""])
def test_a_limit_of_no_known_name_is_refused(box: Container, name: str) -> None:
    with pytest.raises(BadInput, match="rlimits"):
        box.run("true", rlimits={name: 1})


def test_output_is_read_while_the_job_runs_by_many(box: Container, shared_daemon: PrivateDaemon) -> None:
    job = box.spawn(["bash", "-c", "echo begun; read line; echo $line"], interactive=True)
    with client_of(shared_daemon) as other:
        first, second = job.stream(), other.container(box.handle).job(job.id).stream()
        assert next(first).data == next(second).data == b"begun\n"
        with job.attach() as attachment:
            attachment.write(b"told\n")
            assert b"".join(chunk.data for chunk in attachment) == b"begun\ntold\n"
        assert b"".join(chunk.data for chunk in first) == b"told\n"
        assert b"".join(chunk.data for chunk in second) == b"told\n"


def test_the_host_name_and_the_files_of_etc(box: Container) -> None:
    name = box.info().id
    assert box.run("hostname; cat /etc/hostname").text.split() == [name, name]
    assert box.run(["cat", "/etc/shadow"]).exit_status != 0
    assert os.uname().nodename != name
