"""Wrong words to LXC's tools change nothing and are answered with what is wrong; and lxc-top listens to its keys."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from collections.abc import Iterator

import pytest
from lxc_scene import Scene, new_scene, until

pytestmark = pytest.mark.root


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as made:
        yield made


def refused(scene: Scene, tool: str, *words: str) -> str:
    done = scene.run(tool, *words)
    assert (done.returncode, done.stdout) == (1, ""), (tool, words, done)
    return done.stderr


def test_a_pid_file_that_cannot_be_written_is_told_before_the_start(scene: Scene) -> None:
    scene.define("c1")
    missing = scene.root / "none/pid"
    assert f"pidfile: {missing}: there is no directory" in refused(scene, "start", "c1", "-p", str(missing))
    assert "is a directory" in refused(scene, "start", "c1", "-F", "-p", str(scene.root))
    assert scene.state("c1") == "STOPPED"
    assert not scene.left


def test_a_missing_file_that_a_key_names_is_told_with_file_line_and_key(scene: Scene) -> None:
    scene.define("c1", "lxc.mount = /nonexistent/fstab\n")
    scene.define("c2", "lxc.seccomp.profile = /nonexistent/filter\n")
    for name, key, tool in (("c1", "lxc.mount.fstab", "start"), ("c2", "lxc.seccomp.profile", "execute")):
        config = scene.root / name / "config"
        line = config.read_text().count("\n")
        assert f"{config}:{line}: {key}: /nonexistent/" in refused(scene, tool, name, "--", "/bin/true")


def test_wrong_words_to_one_that_runs(scene: Scene) -> None:
    scene.define("c1")
    scene.start("c1")
    assert "none is named" in refused(scene, "attach", "c1", "-s", "", "--", "true")
    assert "none is named" in refused(scene, "attach", "c1", "-s", "|", "--", "true")
    assert "No container name specified" in refused(scene, "attach", "-n", "", "--", "c1")
    assert "Failed to assign ''" in refused(scene, "cgroup", "c1", "cgroup.procs", "")
    assert "cannot be read" in refused(scene, "unfreeze", "c1", "--rcfile", "/nonexistent")
    assert "exclude each other" in refused(scene, "snapshot", "c1", "-L", "-d", "ALL")
    logged = scene.run("attach", "c1", "-L", str(scene.root / "log"), "--", "echo", "hi")
    assert (logged.returncode, logged.stdout) == (0, "hi\n")
    assert "no stream is a terminal" in logged.stderr
    scene.ok("wait", "c1", "-s", "RUNNING|")
    scene.ok("stop", "c1")


def test_lists_take_several_expressions(scene: Scene) -> None:
    for name in ("c1", "c2", "d3"):
        scene.define(name)
    assert scene.ok("ls", "-1", "c1", "d").split() == ["c1", "d3"]
    assert scene.ok("ls", "-f", "-F", ",name,").splitlines()[0] == "NAME "


def test_top_listens_to_its_keys(scene: Scene) -> None:
    scene.define("c1")
    scene.define("c2")
    scene.start("c1")
    scene.start("c2")
    master, other = pty.openpty()
    top = subprocess.Popen(
        scene.command("top", "-d", "60"), stdin=other, stdout=other, stderr=other, env=scene.env, close_fds=True
    )
    os.close(other)
    assert _shown(master) == ["c1", "c2"]
    os.write(master, b"r")  # no line's end
    assert _shown(master) == ["c2", "c1"]
    os.write(master, b"n")
    assert _shown(master) == ["c1", "c2"]
    os.write(master, b"q")
    until("it ends", lambda: top.poll() == 0)
    os.close(master)
    scene.ok("stop", "c1")
    scene.ok("stop", "c2")


def _shown(master: int) -> list[str]:
    """The containers of one picture, in order."""
    shown = b""
    while b"TOTAL 2 of 2\r\n" not in shown:
        assert select.select([master], [], [], 30)[0], shown
        shown += os.read(master, 4096)
    return [line.split()[0].decode() for line in shown.splitlines() if line.startswith((b"c1", b"c2"))]
