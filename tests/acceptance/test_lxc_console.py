"""What an LXC container's console says is kept within bounds, in a log and in memory; and its keys are its own."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest
from lxc_scene import USER_NAMESPACE, Scene, new_scene, until

pytestmark = pytest.mark.root

#: Says 400 lines of 100 bytes (98 and the terminal's two), and goes on.
LOUD = """trap 'exit 0' PWR; i=0
while [ $i -lt 400 ]; do printf '%098d\\n' $i; i=$((i+1)); done
: > /tmp/ready; while :; do sleep 0.02; done
"""
LAST = b"%098d\r\n" % 399


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as made:
        yield made


def console(scene: Scene, name: str) -> bytes:
    done = subprocess.run(scene.command("console", name, "-b"), check=False, capture_output=True, env=scene.env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_buffer_has_the_last_of_it_and_no_more(scene: Scene) -> None:
    scene.define("c1", "lxc.console.buffer.size = 8000\n", LOUD)
    scene.start("c1")
    until("all of it is there", lambda: console(scene, "c1").endswith(LAST))
    kept = console(scene, "c1")
    assert len(kept) == 8192  # the next power of two, as LXC has it
    assert kept.endswith(b"".join(b"%098d\r\n" % number for number in range(390, 400)))
    scene.ok("stop", "c1")


def test_without_a_buffer_there_is_a_sentence(scene: Scene) -> None:
    scene.define("c1")
    scene.start("c1")
    done = scene.run("console", "c1", "-b")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing keeps what its console says" in done.stderr
    scene.ok("stop", "c1")


def test_a_full_log_is_put_aside_where_it_rotates(scene: Scene) -> None:
    log = scene.root / "log"
    more = f"lxc.console.logfile = {log}\nlxc.console.size = 16KB\nlxc.console.rotate = 1\n"
    scene.define("c1", more, LOUD)
    scene.start("c1")
    until("all of it is there", lambda: log.exists() and log.read_bytes().endswith(LAST))
    old = scene.root / "log.1"
    assert 0 < log.stat().st_size <= 16384
    assert 16384 - 4096 < old.stat().st_size <= 16384
    both = old.read_bytes() + log.read_bytes()
    first = int(both.split(b"\r\n")[1])
    assert both.endswith(b"".join(b"%098d\r\n" % number for number in range(first, 400)))
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    scene.ok("stop", "c1")


def test_a_full_log_begins_anew_where_it_does_not(scene: Scene) -> None:
    log = scene.root / "log"
    log.write_bytes(b"before\n" * 2000)
    scene.define("c1", f"lxc.console.logfile = {log}\nlxc.console.size = 10000\n", LOUD)
    scene.start("c1")
    until("all of it is there", lambda: log.read_bytes().endswith(LAST))
    assert log.stat().st_size <= 16384
    assert b"before" not in log.read_bytes()
    assert not (scene.root / "log.1").exists()
    scene.ok("stop", "c1")


def test_a_size_is_for_regular_files(scene: Scene) -> None:
    scene.define("c1", "lxc.console.logfile = /dev/null\nlxc.console.size = auto\n")
    done = scene.run("start", "c1")
    assert done.returncode == 1
    assert "lxc.console.size: /dev/null is not a regular file" in done.stderr


NAME_OF_KEYRING = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
name = ctypes.create_string_buffer(200)
assert libc.syscall(250, 6, -3, name, 200) > 0  # keyctl(KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING)
print(name.value.decode().split(";")[-1])
"""
JOIN = """
import ctypes, os, sys
assert ctypes.CDLL(None).syscall(250, 1, b"of-the-starter") > 0  # keyctl(KEYCTL_JOIN_SESSION_KEYRING)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("tool", ["start -F", "execute"])
@pytest.mark.parametrize("ids", ["", USER_NAMESPACE], ids=["root", "mapped"])
def test_the_first_process_has_a_session_keyring_of_its_own(scene: Scene, ids: str, tool: str) -> None:
    """On the host's root file system, where there is something that can ask."""
    said = {}
    for name, switch in (("own", ""), ("theirs", "lxc.keyring.session = 0\n")):
        (scene.root / name).mkdir()
        (scene.root / name / "config").write_text(ids + switch)
        command = scene.command(*tool.split(), name, "--", "/usr/bin/python3", "-S", "-c", NAME_OF_KEYRING)
        words = [sys.executable, "-c", JOIN, *command]
        done = subprocess.run(words, check=False, capture_output=True, env=scene.env, text=True)
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout.strip()
    assert said == {"own": "_ses", "theirs": "of-the-starter"}
