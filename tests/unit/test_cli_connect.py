"""Finding the daemon, and starting one on demand."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import termios
from argparse import Namespace
from pathlib import Path

import pytest

from warden.cli import connect
from warden.cli.main import main
from warden.cli.terminal import RawTerminal, window_size
from warden.errors import NotPermitted, Unreachable

# Stands in for wardend: listens as it does, says that it is ready as it does.
LISTENER = """
import os, socket, sys, time
path, fd = sys.argv[1], int(sys.argv[2])
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
print("pid", os.getpid(), "session", os.getsid(0), flush=True)
os.write(fd, b"x")
time.sleep(60)
"""


def test_socket_is_the_option_then_the_environment_then_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDEN_SOCKET", "/env")
    assert connect.socket_path(Namespace(socket="/option")) == "/option"
    assert connect.socket_path(Namespace(socket=None)) == "/env"
    monkeypatch.delenv("WARDEN_SOCKET")
    assert connect.socket_path(Namespace(socket=None)) == "/run/warden/warden.sock"


@pytest.mark.parametrize("words", [["ps"], ["info", "x"], ["exec", "x", "true"], ["ping"], ["--", "list"]])
def test_no_daemon_is_one_sentence_and_code_69(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "none.sock")
    assert main(["--socket", path, *words]) == 69
    assert capsys.readouterr().err == f"warden: no daemon listens on {path} (start one with: wardend --socket {path})\n"


@pytest.mark.parametrize("words", [["run", "true"], ["create"]])
def test_without_root_none_can_be_started(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["--socket", str(tmp_path / "none.sock"), *words]) == 77
    assert "starting one needs root (use sudo" in capsys.readouterr().err


def test_a_stale_socket_is_not_a_daemon(tmp_path: Path) -> None:
    path = str(tmp_path / "stale.sock")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(path)
    assert connect.listening(path) is False


def test_missing_rights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def connect(self, *_: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(connect.sockets, "socket", Refusing)
    with pytest.raises(NotPermitted, match="permission denied"):
        connect.listening(str(tmp_path / "x"))


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_a_daemon_is_started_apart_from_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "new" / "warden.sock")
    monkeypatch.setattr(connect, "daemon_command", lambda p, fd: [sys.executable, "-c", LISTENER, p, str(fd)])
    connect.start_daemon(path)
    words = Path(path + ".log").read_text().split()
    pid, session = int(words[1]), int(words[3])
    try:
        assert connect.listening(path)
        assert session == pid, "it leads a session of its own"
        assert capsys.readouterr().err == f"warden: started a daemon on {path}\n"
        connect.start_daemon(path)
        assert capsys.readouterr().err == "", "the second one finds the first"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.usefixtures("as_root")
def test_a_daemon_that_dies_is_reported_by_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = [sys.executable, "-c", "import sys; sys.exit('wardend: the depot is locked')"]
    monkeypatch.setattr(connect, "daemon_command", lambda *_: dying)
    path = str(tmp_path / "warden.sock")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(Unreachable, match=r"wardend did not start: wardend: the depot is locked \(see .*\.log\)"):
        connect.start_daemon(path)
    assert set(os.listdir("/proc/self/fd")) == before


def test_the_command_that_starts_a_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDEN_CONFIG", "/etc/w.yml")
    monkeypatch.setenv("WARDEN_DEPOT", "/depot")
    words = connect.daemon_command("/s", 5)
    assert words[1:] == [
        "-m",
        "warden.cli.wardend",
        "/etc/w.yml",
        "--socket",
        "/s",
        "--ready-fd",
        "5",
        "--depot",
        "/depot",
    ]
    assert connect.log_path("/run/warden/warden.sock") == "/var/log/warden.log"
    assert connect.log_path("/tmp/x.sock") == "/tmp/x.sock.log"


def test_raw_terminal_is_restored_even_after_an_error() -> None:
    master, slave = pty.openpty()
    try:
        termios.tcsetwinsize(slave, (33, 101))
        assert window_size(slave) == (33, 101)
        before, handler, sizes = termios.tcgetattr(slave), signal.getsignal(signal.SIGWINCH), []
        with pytest.raises(RuntimeError), RawTerminal(slave, lambda *size: sizes.append(size)):
            assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
            os.kill(os.getpid(), signal.SIGWINCH)
            raise RuntimeError
        assert termios.tcgetattr(slave) == before
        assert signal.getsignal(signal.SIGWINCH) is handler
        assert sizes == [(33, 101)]
    finally:
        os.close(master)
        os.close(slave)


def test_a_closed_pipe_is_quiet() -> None:
    # the reader closes at once: 141 is what a shell gives for SIGPIPE
    code = "import sys; from warden.cli.main import main; sys.exit(main(['--help']))"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run([sys.executable, "-c", code], stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, b"")
