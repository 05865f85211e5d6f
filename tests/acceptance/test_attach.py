"""`warden attach` at a real terminal: typing, keys that detach, the window's size, several at once, exit codes, signals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scene import client_of, nothing_new, wait_until

from warden.client.blocking import Client
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

COMMAND = [sys.executable, "-m", "warden.cli.main"]
DETACH = b"\x10\x11"  # ctrl-p ctrl-q


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as made:
        yield made


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, daemon: PrivateDaemon, *words: str, rows: int = 24, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns, tell=False)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            env=os.environ | {"WARDEN_SOCKET": daemon.socket, "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        self.seen = self.everything = b""

    def resize(self, rows: int, columns: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def expect(self, text: bytes) -> None:
        """Waits for *text* and takes everything up to it."""
        deadline = time.monotonic() + 60
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} not in {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    data = os.read(self.master, 65536)
                except OSError:
                    break
                self.seen += data
                self.everything += data
        assert text in self.seen, f"{text!r} not in {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def end(self) -> int:
        """Its exit code; its terminal must be as it was."""
        code = self.process.wait(60)
        assert termios.tcgetattr(self.slave) == self.before
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextmanager
def at_terminal(daemon: PrivateDaemon, *words: str, rows: int = 24, columns: int = 80) -> Iterator[Terminal]:
    terminal = Terminal(daemon, *words, rows=rows, columns=columns)
    try:
        yield terminal
    finally:
        terminal.close()


def command(daemon: PrivateDaemon, *words: str, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
    given = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*COMMAND, *words], env=environment, capture_output=True, timeout=120, check=False, **given
    )


@contextmanager
def detached(daemon: PrivateDaemon, *words: str) -> Iterator[str]:
    """A container started with `run -d`, and its handle."""
    done = command(daemon, "run", "-d", "--network", "none", *words)
    assert done.returncode == 0, done.stderr
    handle = done.stdout.decode().strip()
    try:
        yield handle
    finally:
        command(daemon, "destroy", handle)


def test_a_detached_shell_is_attached_to_left_and_ended(shared_daemon: PrivateDaemon, client: Client) -> None:
    with nothing_new(shared_daemon), detached(shared_daemon, "-it", "--", "bash", "--norc") as handle:
        with at_terminal(shared_daemon, "attach", handle, rows=33, columns=101) as terminal:
            wait_until(terminal.is_raw)
            terminal.type(b"stty size\r")
            terminal.expect(b"33 101")
            terminal.resize(40, 120)
            wait_until(lambda: sizes_are(terminal, b"40 120"))
            terminal.type(b"X=kept\r")
            terminal.type(DETACH)
            terminal.expect(b"detached; the job goes on")
            assert terminal.end() == 0
        assert client.container(handle).info().jobs[0].running
        with at_terminal(shared_daemon, "attach", "--detach-keys", "ctrl-x,x", handle) as terminal:
            wait_until(terminal.is_raw)
            terminal.type(b"echo it-is-$X\r")
            terminal.expect(b"it-is-kept")
            terminal.type(b"\x18y\x18x")
            terminal.expect(b"detached")
            assert terminal.end() == 0
        with at_terminal(shared_daemon, "attach", "--logs", handle) as terminal:
            terminal.expect(b"it-is-kept")
            terminal.type(b"\x15exit 7\r")
            terminal.expect(b"exit 7")
            assert terminal.end() == 7
        assert command(shared_daemon, "wait", handle).stdout == b"7\n"


def sizes_are(terminal: Terminal, text: bytes) -> bool:
    terminal.type(b"stty size\r")
    time.sleep(0.3)
    while select.select([terminal.master], [], [], 0)[0]:
        terminal.seen += os.read(terminal.master, 65536)
    return text in terminal.seen


def test_several_see_the_same_and_all_end_with_the_job(shared_daemon: PrivateDaemon) -> None:
    with (
        detached(shared_daemon, "-it", "--", "sh", "-c", "read x; echo got-$x; read y; echo bye-$y; exit 4") as handle,
        at_terminal(shared_daemon, "attach", handle) as one,
        at_terminal(shared_daemon, "attach", handle) as two,
    ):
        wait_until(lambda: one.is_raw() and two.is_raw())
        one.type(b"a\r")
        one.expect(b"got-a")
        two.expect(b"got-a")
        two.type(b"b\r")
        one.expect(b"bye-b")
        two.expect(b"bye-b")
        assert (one.end(), two.end()) == (4, 4)


def test_pipes_give_and_take_and_do_not_end_the_job_s_input(shared_daemon: PrivateDaemon, client: Client) -> None:
    script = "while read x; do echo got-$x; [ $x != end ] || exit 6; done; echo eof"
    with detached(shared_daemon, "-i", "--", "sh", "-c", script) as handle:
        environment = os.environ | {"WARDEN_SOCKET": shared_daemon.socket}
        first = subprocess.Popen(
            [*COMMAND, "attach", handle], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(b"one\n")
        first.stdin.close()
        assert first.stdout.readline() == b"got-one\n"
        done = command(shared_daemon, "attach", handle, data=b"two\nend\n")
        assert (done.returncode, done.stdout) == (6, b"got-two\ngot-end\n")
        assert first.wait(60) == 6
        assert first.stdout.read() == b"got-two\ngot-end\n"
        first.stdout.close()


def test_only_looking(shared_daemon: PrivateDaemon, client: Client) -> None:
    script = "echo one; echo two; until [ -e /tmp/go ]; do sleep 0.1; done; echo three; exit 3"
    with detached(shared_daemon, "-it", "--", "sh", "-c", script) as handle:
        box = client.container(handle)
        wait_until(lambda: b"two" in b"".join(chunk.data for chunk in box.logs()))
        words = ["attach", "--no-stdin", "--logs", "--tail", "1", handle]
        environment = os.environ | {"WARDEN_SOCKET": shared_daemon.socket}
        with subprocess.Popen([*COMMAND, *words], env=environment, stdout=subprocess.PIPE) as attached:
            assert attached.stdout is not None
            assert attached.stdout.readline() == b"two\r\n"
            box.run(["touch", "/tmp/go"])
            assert attached.stdout.read() == b"three\r\n"
            assert attached.wait(60) == 3
        refused = command(shared_daemon, "attach", "--no-stdin", handle)
        assert refused.returncode == 6
        assert b"no job runs" in refused.stderr


def test_what_cannot_be_attached_to_is_refused(shared_daemon: PrivateDaemon) -> None:
    with detached(shared_daemon, "-it", "--", "sleep", "1000") as handle:
        assert b"standard input is none" in command(shared_daemon, "attach", handle).stderr
        assert command(shared_daemon, "attach", "--job", "99999", handle).returncode == 4
        assert command(shared_daemon, "attach", "--detach-keys", "ctrl-1", handle).returncode == 2
        assert command(shared_daemon, "attach", "--sig-proxy=maybe", handle).returncode == 2
        assert command(shared_daemon, "attach", "no-such").returncode == 3


@pytest.mark.parametrize("proxy", [True, False])
def test_signals_go_to_the_job_or_end_the_attach(shared_daemon: PrivateDaemon, client: Client, proxy: bool) -> None:
    script = "trap 'echo term; exit 9' TERM; echo up; while :; do sleep 0.1; done"
    with detached(shared_daemon, "--", "sh", "-c", script) as handle:
        environment = os.environ | {"WARDEN_SOCKET": shared_daemon.socket}
        words = ["attach", "--logs", f"--sig-proxy={str(proxy).lower()}", handle]
        with subprocess.Popen([*COMMAND, *words], env=environment, stdout=subprocess.PIPE) as attached:
            assert attached.stdout is not None
            assert attached.stdout.readline() == b"up\n"
            attached.send_signal(signal.SIGTERM)
            if proxy:
                assert attached.stdout.readline() == b"term\n"
                assert attached.wait(60) == 9
            else:
                assert attached.wait(60) == -signal.SIGTERM
                assert client.container(handle).info().jobs[0].running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_is_closed_does_not_end_the_job(
    shared_daemon: PrivateDaemon, client: Client, number: signal.Signals
) -> None:
    with detached(shared_daemon, "-it", "--", "bash", "--norc") as handle:
        with at_terminal(shared_daemon, "attach", handle) as terminal:
            wait_until(terminal.is_raw)
            terminal.process.send_signal(number)
            assert terminal.end() == 128 + number
        assert client.container(handle).info().jobs[0].running


def test_what_was_sent_arrives_though_its_sender_leaves(shared_daemon: PrivateDaemon, client: Client) -> None:
    """The daemon finds all of it, and the end, at once."""
    with client.create(network="none") as box:
        for number in range(5):
            job = box.spawn(["sh", "-c", "read one; read two; exit $one$two"], interactive=True)
            os.kill(shared_daemon.pid, signal.SIGSTOP)
            try:
                with job.attach() as attached:
                    attached.write(b"1\n")
                    attached.write(f"{number}\n".encode())
            finally:
                os.kill(shared_daemon.pid, signal.SIGCONT)
            assert job.wait().exit_status == int(f"1{number}")


def test_a_job_that_reads_nothing_holds_up_nobody_who_leaves(client: Client) -> None:
    with client.create(network="none") as box:
        job = box.spawn(["sleep", "1000"], interactive=True)
        for _ in range(3):
            with job.attach() as attached:
                for _ in range(8):
                    attached.write(bytes(1 << 16))
        assert box.run("echo on").stdout == b"on\n"
        job.kill()
        assert job.wait().signal == signal.SIGKILL


def test_a_job_of_an_earlier_daemon_is_attached_to(daemon: PrivateDaemon) -> None:
    with detached(daemon, "-it", "--", "bash", "--norc") as handle:
        daemon.kill()
        daemon.start()
        with at_terminal(daemon, "attach", handle) as terminal:
            wait_until(terminal.is_raw)
            terminal.type(b"echo still-$((40+2)); exit 5\r")
            terminal.expect(b"still-42")
            assert terminal.end() == 5


def test_what_is_attached_stays_so_over_kills_of_the_daemon(daemon: PrivateDaemon) -> None:
    script = "stty -echo; n=0; while read x; do [ $x = end ] && exit 9; n=$((n+1)); echo line-$n-$x; done"
    with (
        detached(daemon, "-it", "--", "bash", "-c", script) as handle,
        at_terminal(daemon, "attach", handle) as terminal,
        at_terminal(daemon, "attach", "--no-stdin", "--logs", handle) as other,
    ):
        wait_until(terminal.is_raw)
        for turn in range(3):
            terminal.type(b"before-%d\r" % turn)
            for each in (terminal, other):
                each.expect(b"line-%d-before-%d\r" % (2 * turn + 1, turn))
            daemon.kill()
            daemon.start()
            time.sleep(0.5)
            terminal.type(b"after-%d\r" % turn)
            for each in (terminal, other):
                each.expect(b"line-%d-after-%d\r" % (2 * turn + 2, turn))
        terminal.type(b"end\r")
        assert (terminal.end(), other.end()) == (9, 9)
        told = re.findall(rb"line-(\d)", other.everything)
        assert told == [b"%d" % number for number in range(1, 7)], "each once"


def test_exec_detached_with_a_terminal(shared_daemon: PrivateDaemon) -> None:
    with detached(shared_daemon, "--", "sleep", "1000") as handle:
        job = (
            command(shared_daemon, "exec", "-d", "-it", handle, "--", "sh", "-c", "read x; exit $x")
            .stdout.decode()
            .strip()
        )
        with at_terminal(shared_daemon, "attach", "--job", job, handle) as terminal:
            wait_until(terminal.is_raw)
            terminal.type(b"8\r")
            assert terminal.end() == 8
