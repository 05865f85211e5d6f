"""lxc-checkpoint with a stand-in for criu, which records its arguments and plays what they ask for: the real one needs a
kernel that it knows. What is proven is what criu is told, and all that is around it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import Scene, new_scene, until

pytestmark = pytest.mark.root
FIT = "lxc.console.path = none\nlxc.tty.max = 0\n"
#: dump writes "images" and ends its container like criu, by SIGKILL; restore starts a process that is its parent's child.
CRIU = """#!{python}
import ctypes, json, os, signal, sys
words = sys.argv[1:]
value = lambda name: words[words.index(name) + 1]
with open(os.path.join(value("--images-dir"), words[0] + ".words"), "w") as file:
    json.dump(words, file)
if os.environ.get("CRIU_FAILS"):
    with open(os.path.join(value("--images-dir"), value("--log-file")), "w") as file:
        file.write("ok\\nError (criu/x.c:1): no such thing\\n")
    sys.exit(1)
if words[0] == "dump" and "--leave-running" not in words:
    os.kill(int(value("--tree")), signal.SIGKILL)
if words[0] == "restore":
    CLONE_PARENT, CLONE_NEWPID = 0x8000, 0x20000000
    pid = ctypes.CDLL(None).syscall(56, CLONE_PARENT | CLONE_NEWPID | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os.chroot(value("--root"))
        os.chdir("/")
        os.execv("/bin/sh", ["/bin/sh", "-c", "trap 'exit 7' PWR; : > /tmp/restored; while :; do sleep 0.02; done"])
    with open(value("--pidfile"), "w") as file:
        file.write(str(pid))
"""


@pytest.fixture
def lxc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    program = tmp_path / "criu"
    program.write_text(CRIU.replace("{python}", sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with new_scene() as scene:
        yield scene


def words(images: Path, action: str) -> list[str]:
    found: list[str] = json.loads((images / f"{action}.words").read_text())
    return found


def test_a_checkpoint_and_its_restore(lxc: Scene, tmp_path: Path) -> None:
    rootfs = lxc.define("box", FIT + f"lxc.hook.version = 1\nlxc.hook.post-stop = /bin/touch {tmp_path}/post-stop\n")
    images = tmp_path / "images"
    pid = lxc.start("box").running.pid
    lxc.ok("checkpoint", "box", "-D", str(images))
    told = words(images, "dump")
    assert told[:5] == ["dump", "--tree", str(pid), "--images-dir", str(images)]
    assert "--leave-running" in told
    assert lxc.state("box") == "RUNNING"
    lxc.ok("checkpoint", "box", "-D", str(images), "-p", "-v")
    assert {"--track-mem", "-v4"} <= set(words(images, "pre-dump"))
    lxc.ok("checkpoint", "box", "-D", str(images), "-s", "--predump-dir", "../first", "-A", "act")
    told = words(images, "dump")
    assert "--leave-running" not in told
    assert told[told.index("--prev-images-dir") + 1] == "../first"
    assert told[told.index("--action-script") + 1] == os.path.abspath("act")
    lxc.gone("box")
    (tmp_path / "post-stop").unlink()

    lxc.ok("checkpoint", "box", "-r", "-D", str(images))
    told = words(images, "restore")
    assert {"--restore-sibling", "--restore-detached"} <= set(told)
    until("it runs", (rootfs / "tmp/restored").exists)
    seen = lxc.seen("box")
    assert seen.state == "RUNNING"
    assert lxc.ok("attach", "box", "--", "sh", "-c", "echo hi") == "hi\n"
    groups = Path(f"/proc/{seen.running.pid}/cgroup").read_text()
    assert f"instance-{seen.running.container_id}" in groups
    assert lxc.run("checkpoint", "box", "-r", "-D", str(images)).returncode == 1
    lxc.ok("stop", "box")
    lxc.gone("box")
    assert (tmp_path / "post-stop").exists()


def test_a_restore_in_the_foreground_lasts_until_it_stops(lxc: Scene, tmp_path: Path) -> None:
    lxc.define("box", FIT)
    (tmp_path / "images").mkdir()
    process = lxc.begin("checkpoint", "box", "-r", "-F", "-D", str(tmp_path / "images"))
    until("it runs", lambda: lxc.state("box") == "RUNNING")
    until("it is restored", (lxc.root / "box/rootfs/tmp/restored").exists)
    lxc.ok("stop", "box")
    assert process.wait() == 0
    lxc.gone("box")


def test_what_fails_leaves_nothing_and_says_why(lxc: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lxc.define("box", FIT)
    (tmp_path / "images").mkdir()
    monkeypatch.setenv("CRIU_FAILS", "1")
    for more in ([], ["-F"]):
        done = lxc.run("checkpoint", "box", "-r", "-D", str(tmp_path / "images"), *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert "criu restore ended with status 1: Error (criu/x.c:1): no such thing" in done.stderr
        assert lxc.state("box") == "STOPPED"
        assert not lxc.left
    monkeypatch.setenv("PATH", "/nowhere")
    missing = lxc.run("checkpoint", "box", "-r", "-D", str(tmp_path / "images"))
    assert "there is no criu here" in missing.stderr


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "-D is required"),
        (["-D", "d", "-r", "-s"], "--stop is not for a restore"),
        (["-D", "d", "-F"], "--foreground is not for a checkpoint"),
        (["-D", "d", "-s", "-p"], "--stop and --pre-dump exclude each other"),
        (["-D", "d"], "box is not running"),
        (["-D", "/no/such", "-r"], "/no/such: there is no such directory"),
    ],
)
def test_what_is_wrong_is_said(lxc: Scene, more: list[str], sentence: str) -> None:
    lxc.define("box", FIT)
    done = lxc.run("checkpoint", "box", *more)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_a_console_of_the_hosts_is_refused(lxc: Scene, tmp_path: Path) -> None:
    lxc.define("box")
    lxc.start("box")
    done = lxc.run("checkpoint", "box", "-D", str(tmp_path / "images"))
    assert done.returncode == 1
    assert "lxc.console.path = none and lxc.tty.max = 0" in done.stderr
    lxc.ok("stop", "box")
