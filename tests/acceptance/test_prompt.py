"""The original's prompt at a terminal, and its requests from a pipe, with the real daemon (spec/warden.md §11, §15)."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from warden.errors import UnknownHandle
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root
WARDEN = str(Path(sys.executable).with_name("warden"))


class Terminal:
    """`warden` at a terminal of its own."""

    def __init__(self, home: Path, *words: str) -> None:
        self._master, slave = pty.openpty()
        environment = {**os.environ, "HOME": str(home), "TERM": "dumb"}
        self._process = subprocess.Popen(
            [WARDEN, *words], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self._seen = b""

    def enter(self, text: bytes, until: bytes = b"warden> ") -> bytes:
        """Types a line; what comes until the next prompt, without the terminal's own marks."""
        os.write(self._master, text)
        return self.until(until)

    def until(self, wanted: bytes) -> bytes:
        """Everything up to it; what follows is the next one's."""
        while wanted not in self._plain():
            self._seen += os.read(self._master, 4096)
        before, found, self._seen = self._plain().partition(wanted)
        return before + found

    def _plain(self) -> bytes:
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self._seen)

    def end(self, key: bytes) -> int:
        os.write(self._master, key)
        try:
            while os.read(self._master, 4096):
                pass
        except OSError:  # EIO: the last process let go of the terminal
            pass
        os.close(self._master)
        return self._process.wait(60)


def test_a_session_at_the_prompt_over_a_restart_of_the_daemon(daemon: PrivateDaemon, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--socket", daemon.socket, "--repl")
    terminal.until(b"warden> ")
    assert b"handle : my box" in terminal.enter(b'create --handle "my box"\r')
    assert b"out" in terminal.enter(b"run --handle 'my box' --script 'echo out; exit 7'\r")
    assert b"unknown handle" in terminal.enter(b"info --handle nobody\r")
    assert b"is non-existent" in terminal.enter(b"nonesuch\r")
    assert b"Unmatched quote" in terminal.enter(b"run --handle 'x\r")
    daemon.stop()
    daemon.start()
    again = terminal.enter(b"list\r", until=b"handles[0] : my box")
    assert b"Reconnecting..." in again
    terminal.until(b"warden> ")
    assert b"state : active" in terminal.enter(b"info --handle my\\ box\r")
    terminal.enter(b"destroy --handle 'my box'\r")
    assert terminal.end(b"\x04") == 0
    history = json.loads((tmp_path / ".warden-history").read_text())
    assert history[0] == 'create --handle "my box"'
    assert history[2:5] == ["info --handle nobody", "nonesuch", "run --handle 'x"]
    assert history[-1] == "destroy --handle 'my box'"


def batch(daemon: PrivateDaemon, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [WARDEN, "--socket", daemon.socket, *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def test_requests_from_a_pipe(daemon: PrivateDaemon) -> None:
    done = batch(daemon, "create --handle a\nrun --handle a --script 'echo hi; echo no >&2; exit 4'\nlist\n# end\n")
    assert (done.returncode, done.stderr) == (4, "no\n")
    assert done.stdout == "handle : a\nhi\nhandles[0] : a\n"
    done = batch(daemon, "info --handle b\nlist\n", "--exit_on_error")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (UnknownHandle.exit_code, "", 1)
    assert batch(daemon, "destroy --handle a\nlist\n").returncode == 0


def test_one_request_prints_what_is_set_also_0_and_empty(daemon: PrivateDaemon) -> None:
    def one(*words: str) -> subprocess.CompletedProcess[str]:
        return batch(daemon, "", "--", *words)

    assert one("create", "--handle", "a", "--bind_mounts[0].src_path", "/etc", "--bind_mounts[0].dst_path", "/lent",
               "--bind_mounts[0].mode", "RO").stdout == "handle : a\n"  # fmt: skip
    assert (
        one("spawn", "--handle", "a", "--script", "test -e /lent/passwd", "--rlimits.nofile", "99").stdout
        == "job_id : 1\n"
    )
    linked = one("link", "--handle", "a", "--job_id", "1").stdout
    assert linked.startswith("exit_status : 0\nstdout : \nstderr : \n")
    assert "info.state : active\n" in linked
    assert one("run", "--handle", "a", "--script", "kill -9 $$").returncode == 255
    assert one("net_out", "--handle", "a", "--protocol", "FOO").stderr.startswith(
        "warden: The constant: 'FOO' is not defined"
    )
    assert one("destroy").stderr.startswith("warden: Field handle is required but nil")
    assert one("destroy", "--handle", "a").returncode == 0
