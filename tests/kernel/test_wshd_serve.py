"""wshd as PID 1: jobs, their output and their end, what survives a client, and what a bad client cannot do."""

from __future__ import annotations

import array
import contextlib
import errno
import os
import resource
import select
import signal
import socket
import time
from pathlib import Path

import pytest
from wshd_driver import (
    ATTACH,
    BODY_IN_FD,
    BROKEN,
    CLOSE_STDIN,
    ENDED,
    GIVEN_STDIN,
    LIST,
    OVER,
    PING,
    RELEASE,
    REQUEST,
    RUNNING,
    SIGNAL,
    SPAWN,
    STARTED,
    STDERR,
    STDIN,
    STDOUT,
    TERMINAL,
    Client,
    Record,
    memfd,
    plan,
    program,
    read_all,
    step,
    until,
)
from wshd_fixtures import Box, binary, box, built, no_leftovers, open_box  # noqa: F401

from warden.plan.steps import Op

pytestmark = pytest.mark.usefixtures("no_leftovers")
MAGIC = 0x31515257
SHELL_READS = ("sh", "-c", 'while read -r word; do echo "got $word"; done; echo end')


def run(client: Client, job: int, script: str) -> tuple[bytes, bytes, Record]:
    """Output, error output and the end of a shell script."""
    reply = client.spawn(job, program("sh", "-c", script), STDOUT | STDERR)
    assert reply.error == 0, os.strerror(reply.error)
    record = client.wait(job)
    assert client.request(RELEASE, job=job).error == 0
    return read_all(reply.fds[0]), read_all(reply.fds[1]), record


def inside(box: Box) -> list[int]:  # noqa: F811
    """Host pids of the processes in the container's pid namespace."""
    space = os.readlink(f"/proc/{box.launched.pid}/ns/pid")
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.readlink(entry / "ns/pid") == space:
                found.append(int(entry.name))
    return found


def test_container_is_what_the_plan_says(box: Box) -> None:  # noqa: F811
    script = "hostname; id -u; cat /sys/class/net/lo/flags; cat /proc/keys | wc -c"
    out, _, record = run(box.client(), 1, script)
    assert record.status == 0
    assert out.split() == [b"w-box", b"0", b"0x9", b"0"]


def test_container_cannot_undo_what_the_launcher_mounted(box: Box) -> None:  # noqa: F811
    tries = "umount /dev; mount -o remount,rw,bind /usr; touch /usr/x; echo x > /proc/sys/kernel/hostname"
    script = f"{tries}; touch /mine && stat -c %u /mine"
    out, errors, _ = run(box.client(), 1, script)
    assert out == b"0\n"
    assert len(errors.splitlines()) >= 4
    assert (box.place / "upper/mine").stat().st_uid == 805306368


def test_pid_1_shows_nothing_to_the_container(box: Box) -> None:  # noqa: F811
    out, errors, _ = run(box.client(), 1, "ls /proc/1/fd; ls /proc/1/root/; cat /proc/1/environ")
    assert out == b""
    assert errors.count(b"ermission denied") == 3


def test_pid_1_holds_nothing_of_the_host(box: Box) -> None:  # noqa: F811
    client = box.client()
    client.list()  # unlike a PING, which makes a pidfd for its answer
    held = {os.readlink(f) for f in Path(f"/proc/{box.launched.pid}/fd").iterdir()}
    assert {name.split(":")[0] for name in held} == {"/dev/null", "/dev/pts", "anon_inode", "socket"}


def test_resident_memory_stays_small() -> None:
    made = open_box(built("wshd"))
    try:
        client = made.client()
        for job in range(1, 21):
            run(client, job, "true")
        status = Path(f"/proc/{made.launched.pid}/status").read_text()
        assert int(status.split("VmRSS:")[1].split()[0]) < 400
    finally:
        made.close()


def test_output_and_exit_status(box: Box) -> None:  # noqa: F811
    out, errors, record = run(box.client(), 1, "echo out; echo err >&2; exit 5")
    assert (out, errors) == (b"out\n", b"err\n")
    assert (record.state, os.waitstatus_to_exitcode(record.status)) == (OVER, 5)
    assert 0 < record.started_ns <= record.ended_ns
    assert record.maxrss_kib > 0


def test_killed_by_a_signal(box: Box) -> None:  # noqa: F811
    assert os.waitstatus_to_exitcode(run(box.client(), 1, "kill -SEGV $$")[2].status) == -signal.SIGSEGV


def test_started_comes_before_ended(box: Box) -> None:  # noqa: F811
    client = box.client()
    run(client, 1, "true")
    assert [event.kind for event in client.events] == [STARTED, ENDED]


def test_events_go_to_every_connection(box: Box) -> None:  # noqa: F811
    first, second = box.client(), box.client()
    second.request(PING)
    run(first, 1, "exit 3")
    assert os.waitstatus_to_exitcode(second.wait(1).status) == 3


@pytest.mark.parametrize(
    ("body", "index", "error"),
    [
        (program("no-such-program"), 2, errno.ENOENT),
        (plan(step(Op.CHDIR, "/nothing"), step(Op.EXEC, "/bin/true")), 0, errno.ENOENT),
        (plan(step(Op.UMASK, 0), step(Op.SERVE)), 1, errno.EINVAL),
        (plan(step(Op.CLONE, 0), step(Op.RELEASE), step(Op.EXEC, "/bin/true")), 0, errno.EINVAL),
        (b"rubbish", 0, errno.EINVAL),
        (plan(step(Op.JOIN_CGROUP_FD, 0), step(Op.EXEC, "/bin/true")), 0, errno.EBADF),
    ],
    ids=["program", "chdir", "serve", "clone", "rubbish", "descriptor"],
)
def test_job_that_cannot_start_names_the_step(box: Box, body: bytes, index: int, error: int) -> None:  # noqa: F811
    client = box.client()
    assert client.spawn(1, body).error == 0
    record = client.wait(1)
    assert (record.state, record.step, record.error) == (BROKEN, index, error)
    assert [event.kind for event in client.events] == [ENDED]
    assert client.request(RELEASE, job=1).error == 0


def test_stdin_pipe_and_its_end(box: Box) -> None:  # noqa: F811
    client = box.client()
    reply = client.spawn(1, program(*SHELL_READS), STDIN | STDOUT)
    os.write(reply.fds[0], b"one\ntwo\n")
    os.close(reply.fds[0])
    assert client.request(CLOSE_STDIN, job=1).error == 0
    assert os.waitstatus_to_exitcode(client.wait(1).status) == 0
    attached = client.request(ATTACH, job=1)
    assert attached.flags == STDOUT
    client.request(RELEASE, job=1)
    assert read_all(reply.fds[1]) == b"got one\ngot two\nend\n"
    os.close(attached.fds[0])


def test_stdin_is_ended_even_while_another_job_hangs_before_exec(box: Box) -> None:  # noqa: F811
    client = box.client()
    reader = client.spawn(1, program("cat"), STDIN | STDOUT)
    # the second job's process blocks in opening a FIFO, with all that it inherited from PID 1 closed
    client.spawn(2, program("mkfifo", "/tmp/fifo"))
    client.wait(2)
    client.spawn(3, program("true", before=(step(Op.WRITE, "/tmp/fifo", "x"),)))
    os.close(reader.fds[0])
    client.request(CLOSE_STDIN, job=1)
    assert client.wait(1).state == OVER
    assert client.request(PING).error == 0, "PID 1 answers although a job hangs before exec"
    client.request(SIGNAL, job=3, a=signal.SIGKILL)
    record = client.wait(3)
    assert (record.state, record.status) == (OVER, signal.SIGKILL)
    assert not [event for event in client.events if event.job == 3 and event.kind == STARTED]
    os.close(reader.fds[1])


def processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_child_stopped_before_its_first_step_costs_pid_1_nothing(box: Box) -> None:  # noqa: F811
    client = box.client()
    # What is born while this runs is stopped at its very first instruction, holding all that PID 1 has open.
    client.spawn(1, program("sh", "-c", "while :; do kill -STOP -1; done"))
    client.wait(1, STARTED)
    for job in range(2, 42):
        client.spawn(job, program("true"))
    client.request(SIGNAL, job=1, a=signal.SIGKILL)
    client.wait(1)
    client.close()
    box.client().request(PING)
    before = processor_ticks(box.launched.pid)
    time.sleep(0.5)
    assert processor_ticks(box.launched.pid) - before <= 5  # of 50: it waits, it does not spin


def test_given_stdin_and_further_descriptors(box: Box) -> None:  # noqa: F811
    client = box.client()
    words, extra = memfd(b"from a file"), memfd(b" and more")
    for fd in (words, extra):
        os.lseek(fd, 0, os.SEEK_SET)
    body = program("sh", "-c", "cat; cat <&9", before=(step(Op.USE_FD, 0, 9),))
    reply = client.spawn(1, body, GIVEN_STDIN | STDOUT, fds=(words, extra))
    client.wait(1)
    client.request(RELEASE, job=1)
    assert read_all(reply.fds[0]) == b"from a file and more"
    os.close(words)
    os.close(extra)


def test_plan_over_32_kib_comes_in_a_file(box: Box) -> None:  # noqa: F811
    client = box.client()
    env = ("PATH=/usr/bin", *(f"V{i}={'x' * 1000}" for i in range(100)))
    reply = client.spawn(1, program("sh", "-c", "env | wc -c", env=env), STDOUT)
    client.wait(1)
    client.request(RELEASE, job=1)
    assert int(read_all(reply.fds[0])) > 100_000


def test_plan_file_that_is_too_short_breaks_only_the_job(box: Box) -> None:  # noqa: F811
    client = box.client()
    carrier = memfd(b"short")
    client.send(REQUEST.pack(MAGIC, SPAWN, BODY_IN_FD, 1, 0, 0, 1 << 20), (carrier,))
    os.close(carrier)
    assert client.answer(SPAWN).error == 0
    assert (client.wait(1).state, client.wait(1).error) == (BROKEN, errno.EINVAL)


def test_terminal(box: Box) -> None:  # noqa: F811
    client = box.client()
    before = (step(Op.SETSID), step(Op.SETGID, 5), step(Op.SETUID, 33))
    script = "tty; stty size; stat -c %u $(tty); echo told > /dev/tty; read -r line; echo heard $line"
    reply = client.spawn(1, program("sh", "-c", script, before=before), TERMINAL, a=33, b=99)
    assert (reply.error, reply.flags, len(reply.fds)) == (0, TERMINAL, 1)
    os.write(reply.fds[0], b"word\n")
    assert os.waitstatus_to_exitcode(client.wait(1).status) == 0
    client.request(RELEASE, job=1)
    lines = read_all(reply.fds[0]).replace(b"\r\n", b"\n").split(b"\n")
    assert [line for line in lines if line != b"word"] == [b"/dev/pts/0", b"33 99", b"33", b"told", b"heard word", b""]


def test_nothing_is_lost_when_the_client_goes(box: Box) -> None:  # noqa: F811
    client = box.client()
    gate_read, gate_write = os.pipe()
    script = 'read -r go; i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo "line $i"; done; exit 6'
    reply = client.spawn(7, program("sh", "-c", script), GIVEN_STDIN | STDOUT, fds=(gate_read,))
    client.close()
    for fd in reply.fds:
        os.close(fd)
    os.write(gate_write, b"go\n")
    again = box.client()
    records = again.list()
    assert [record.job for record in records] == [7]
    attached = again.request(ATTACH, job=7)
    assert (attached.error, attached.flags, attached.records[0].job) == (0, STDOUT, 7)
    read = b""
    while part := os.read(attached.fds[0], 65536):  # the job's end is the only writer
        read += part
    assert read == b"".join(b"line %d\n" % i for i in range(1, 5001))
    until(again, lambda: again.list()[0].state == OVER)
    assert os.waitstatus_to_exitcode(again.list()[0].status) == 6
    assert again.request(RELEASE, job=7).error == 0
    assert again.list() == []
    assert again.request(ATTACH, job=7).error == errno.ESRCH
    for fd in (gate_read, gate_write, attached.fds[0]):
        os.close(fd)


def test_release_and_numbers(box: Box) -> None:  # noqa: F811
    client = box.client()
    client.spawn(1, program("sleep", "60"))
    assert client.request(RELEASE, job=1).error == errno.EBUSY
    assert client.spawn(1, program("true")).error == errno.EEXIST
    assert client.spawn(0, program("true")).error == errno.EINVAL
    assert client.spawn(2, program("true"), TERMINAL | STDOUT).error == errno.EINVAL
    assert client.request(CLOSE_STDIN, job=1).error == errno.EBADF
    for kind in (RELEASE, ATTACH, CLOSE_STDIN, SIGNAL):
        assert client.request(kind, job=99).error == errno.ESRCH
    assert client.request(SIGNAL, job=1, a=signal.SIGKILL).error == 0
    assert os.waitstatus_to_exitcode(client.wait(1).status) == -signal.SIGKILL
    assert client.request(SIGNAL, job=1, a=signal.SIGKILL).error == errno.ESRCH
    assert client.request(RELEASE, job=1).error == 0
    assert client.request(PING).b == 0


def test_signal_to_the_process_or_its_group(box: Box) -> None:  # noqa: F811
    client = box.client()
    child = "sh -c 'trap \"echo child; exit 0\" TERM; echo ready; while :; do sleep 1; done'"
    script = f"trap 'echo parent; exit 0' TERM; {child} & while :; do wait; done"
    reply = client.spawn(1, program("sh", "-c", script, before=(step(Op.SETSID),)), STDOUT)
    assert os.read(reply.fds[0], 6) == b"ready\n"
    assert client.request(SIGNAL, job=1, a=signal.SIGTERM, b=1).error == 0
    assert os.waitstatus_to_exitcode(client.wait(1).status) == 0
    client.request(RELEASE, job=1)
    assert sorted(read_all(reply.fds[0]).split()) == [b"child", b"parent"]
    until(client, lambda: client.request(SIGNAL, job=0, a=signal.SIGKILL).error == errno.ESRCH)
    client.spawn(2, program("sleep", "60"))
    client.wait(2, STARTED)
    assert client.request(SIGNAL, job=2, a=99).error == errno.EINVAL
    assert client.request(SIGNAL, job=2, a=signal.SIGINT, b=1).error == 0, "a job without a group is one process"
    assert os.waitstatus_to_exitcode(client.wait(2).status) == -signal.SIGINT


def test_signal_to_everything_but_pid_1(box: Box) -> None:  # noqa: F811
    client = box.client()
    for job in (1, 2, 3):
        client.spawn(job, program("sh", "-c", "setsid sleep 60 & exec sleep 60"))
        client.wait(job, STARTED)
    assert client.request(SIGNAL, job=0, a=signal.SIGKILL).error == 0
    assert {os.waitstatus_to_exitcode(client.wait(job).status) for job in (1, 2, 3)} == {-signal.SIGKILL}
    until(client, lambda: inside(box) == [box.launched.pid])


def test_orphans_are_reaped(box: Box) -> None:  # noqa: F811
    client = box.client()
    script = "for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'sleep 0.01 &' ); done; ls /proc | grep -c '^[0-9]'"
    out, _, _ = run(client, 1, script)
    assert int(out) > 1
    watch = box.client()
    until(watch, lambda: len(inside(box)) == 1)
    assert [record.job for record in watch.list()] == []


def test_a_hundred_jobs_at_once(box: Box) -> None:  # noqa: F811
    client = box.client()
    bodies = {job: program("sh", "-c", f"echo {job}; exit {job}") for job in range(1, 101)}
    readers = {job: client.spawn(job, body, STDOUT).fds[0] for job, body in bodies.items()}
    assert {os.waitstatus_to_exitcode(client.wait(job).status) for job in readers} == set(range(1, 101))
    listed = client.list()
    assert sorted(record.job for record in listed) == sorted(readers), "in two batches"
    for job in readers:
        assert client.request(RELEASE, job=job).error == 0
    assert all(read_all(fd) == b"%d\n" % job for job, fd in readers.items())
    assert client.request(PING).b == 0


def test_connection_from_inside_is_refused(box: Box) -> None:  # noqa: F811
    client = box.client()
    listing = os.open(box.place, os.O_PATH)
    code = (
        "import socket; s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET); s.connect('/proc/self/fd/9/socket')\n"
        "s.settimeout(20)\ntry:\n s.send(b'x'*24); print('answer', s.recv(99))\n"
        "except OSError as e: print('broken', e.errno)"
    )
    os.chmod(box.place, 0o755)
    os.chmod(box.place / "socket", 0o777)
    body = program("/usr/bin/python3", "-c", code, before=(step(Op.USE_FD, 0, 9),))
    reply = client.spawn(1, body, STDOUT | STDERR, fds=(listing,))
    client.wait(1)
    client.request(RELEASE, job=1)
    out, errors = read_all(reply.fds[0]), read_all(reply.fds[1])
    os.close(listing)
    assert out in (b"answer b''\n", b"broken %d\n" % errno.EPIPE, b"broken %d\n" % errno.ECONNRESET), errors


BAD = {
    "short": b"x",
    "magic": REQUEST.pack(1, PING, 0, 0, 0, 0, 0),
    "kind-0": REQUEST.pack(MAGIC, 0, 0, 0, 0, 0, 0),
    "kind-8": REQUEST.pack(MAGIC, 8, 0, 0, 0, 0, 0),
    "length": REQUEST.pack(MAGIC, SPAWN, 0, 1, 0, 0, 5),
    "body-too-long": REQUEST.pack(MAGIC, SPAWN, 0, 1, 0, 0, 32769) + bytes(32769),
    "packet-too-long": REQUEST.pack(MAGIC, SPAWN, 0, 1, 0, 0, 60000) + bytes(60000),
    "body-of-list": REQUEST.pack(MAGIC, LIST, 0, 0, 0, 0, 1) + b"x",
    "flag": REQUEST.pack(MAGIC, SPAWN, 0x20, 1, 0, 0, 0),
    "body-without-descriptor": REQUEST.pack(MAGIC, SPAWN, BODY_IN_FD, 1, 0, 0, 10),
    "stdin-without-descriptor": REQUEST.pack(MAGIC, SPAWN, GIVEN_STDIN, 1, 0, 0, 0),
}


def test_malformed_request_closes_that_connection_alone(box: Box) -> None:  # noqa: F811
    good = box.client()
    for packet in BAD.values():
        bad = box.client()
        bad.send(packet)
        assert bad.receive() is None
        assert good.request(PING).error == 0


def test_unwanted_descriptors_are_malformed_and_closed(box: Box) -> None:  # noqa: F811
    good = box.client()
    good.list()
    table = Path(f"/proc/{box.launched.pid}/fd")
    before = len(list(table.iterdir()))
    null = os.open("/dev/null", os.O_RDONLY)
    for count in (1, 17, 18, 200):
        bad = box.client()
        kind = PING if count == 1 else SPAWN
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * count))]
        bad.socket.sendmsg([REQUEST.pack(MAGIC, kind, 0, 1, 0, 0, 0)], rights)
        assert bad.receive() is None
    os.close(null)
    assert good.list() == []
    assert len(list(table.iterdir())) == before


def test_seventeenth_connection_is_turned_away(box: Box) -> None:  # noqa: F811
    clients = [box.client() for _ in range(16)]
    assert all(client.request(PING).error == 0 for client in clients)
    extra = box.client()
    assert extra.receive() is None
    clients[0].close()
    clients[1].request(PING)
    later = box.client()
    assert later.request(PING).a == 1


def test_client_that_does_not_read_is_dropped_and_stops_nobody(box: Box) -> None:  # noqa: F811
    deaf, good = box.client(), box.client()
    with contextlib.suppress(OSError):
        deaf.socket.setblocking(False)
        for _ in range(100_000):
            deaf.send(REQUEST.pack(MAGIC, LIST, 0, 0, 0, 0, 0))
    deaf_table = len(os.listdir(f"/proc/{box.launched.pid}/fd"))
    good.request(PING)
    for job in range(1, 2000):
        if len(os.listdir(f"/proc/{box.launched.pid}/fd")) < deaf_table:
            break
        run(good, job, "true")
    poller = select.poll()
    poller.register(deaf.socket, select.POLLIN)
    deaf.socket.setblocking(True)
    while deaf.receive() is not None:
        pass
    assert good.request(PING).error == 0


def test_hostile_signals_do_not_end_pid_1(box: Box) -> None:  # noqa: F811
    client = box.client()
    run(client, 1, "for s in 1 2 3 6 9 11 13 14 15 17 19 31; do kill -$s 1; done")
    assert client.request(PING).error == 0


def test_death_of_pid_1_ends_everything(box: Box) -> None:  # noqa: F811
    client = box.client()
    client.spawn(1, program("sleep", "60"))
    client.wait(1, STARTED)
    assert client.list()[0].state == RUNNING
    pids = inside(box)
    assert len(pids) == 2
    signal.pidfd_send_signal(box.launched.pidfd, signal.SIGKILL)
    select.select([box.launched.pidfd], [], [], 20)
    assert not set(inside(box)) - {box.launched.pid}, "pid 1 itself may wait for its new parent as a zombie"
    while event := client.receive():
        assert event.kind in (STARTED, ENDED)


def test_jobs_join_a_cgroup_by_descriptor(box: Box) -> None:  # noqa: F811
    client = box.client()
    # any file takes the "0": what a cgroup makes of it is the cgroup tests' matter
    tasks = memfd(b"")
    client.spawn(1, program("true", before=(step(Op.JOIN_CGROUP_FD, 0),)), fds=(tasks,))
    assert client.wait(1).state == OVER
    os.lseek(tasks, 0, os.SEEK_SET)
    assert os.read(tasks, 10) == b"0"
    os.close(tasks)


def test_jobs_get_the_file_limit_that_pid_1_was_given(box: Box) -> None:  # noqa: F811
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    out, _, _ = run(box.client(), 1, "ulimit -Sn; ulimit -Hn")
    assert out.split() == [b"%d" % soft, b"%d" % hard]


def test_no_more_than_4096_jobs_are_held() -> None:
    made = open_box(built("wshd"))
    try:
        client = made.client()
        for job in range(1, 4097):
            assert client.spawn(job, b"").error == 0
            assert client.wait(job).state == BROKEN
            client.events.clear()
        assert client.spawn(5000, b"").error == errno.EAGAIN
        assert len(client.list()) == client.request(PING).b == 4096
        assert client.request(RELEASE, job=77).error == 0
        assert client.spawn(5000, b"").error == 0
        client.wait(5000)
    finally:
        made.close()


def test_client_that_vanishes_in_the_middle_of_a_reply(box: Box) -> None:  # noqa: F811
    client = box.client()
    client.list()
    before = len(os.listdir(f"/proc/{box.launched.pid}/fd"))
    for job in range(1, 21):
        gone = box.client()
        gone.send(REQUEST.pack(MAGIC, SPAWN, STDOUT, job, 0, 0, 0))
        gone.close()
        client.request(PING)

    def all_forgotten() -> bool:
        for record in client.list():
            client.request(RELEASE, job=record.job)
        return client.list() == [] and len(os.listdir(f"/proc/{box.launched.pid}/fd")) == before

    # a request of a client that is gone already may be lost with it, but no job is left half made
    until(client, all_forgotten)
