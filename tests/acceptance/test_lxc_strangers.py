"""What a user without rights can put where root's tools of LXC look, and what they make of it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from lxc_scene import PATIENCE, Scene, new_scene, until

from warden.lxc import place
from warden.lxc.place import command_socket_name

pytestmark = [pytest.mark.root]
NOBODY = 65534


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as made:
        yield made


@contextmanager
def squatting(name: bytes, kind: str) -> Iterator[int]:
    """A stranger's process that has an abstract name. *kind*: bound; heard: it listens; full: nobody gets through."""
    mine, other = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with socket.socket(socket.AF_UNIX) as taken, socket.socket(socket.AF_UNIX) as one:
                taken.bind(name)
                if kind != "bound":
                    taken.listen(0)
                if kind == "full":
                    one.connect(name)
                os.write(other, b"y")
                signal.pause()
        finally:
            os._exit(0)
    os.close(other)
    try:
        assert os.read(mine, 1) == b"y"
        yield child
    finally:
        os.close(mine)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("kind", ["bound", "heard", "full"])
def test_a_stranger_who_has_the_name_is_named(scene: Scene, kind: str) -> None:
    scene.define("box")
    with squatting(command_socket_name(str(scene.root), "box"), kind) as pid:
        for tool, words in (("start", ("box",)), ("destroy", ("box",)), ("destroy", ("-f", "box"))):
            done = scene.run(tool, *words)
            assert done.returncode == 1, tool
            assert f"process {pid} of user {NOBODY}" in done.stderr
        assert "STOPPED" in scene.ok("info", "-s", "box")
        scene.ok("copy", "box", "-N", "copy")
    scene.start("box")
    scene.ok("stop", "-k", "box")
    scene.gone("box")


@pytest.mark.parametrize("name", ["config", "included", "lxc_snapshots", "lxc_rdepends", "snaps/snap0/ts"])
def test_a_pipe_where_a_file_should_be_is_not_waited_for(scene: Scene, name: str) -> None:
    scene.define("box", f"lxc.include = {scene.root}/box/included\n" if name == "included" else "")
    if name.startswith("snaps"):
        scene.ok("snapshot", "box")
        (scene.root / "box" / name).unlink()
    (scene.root / "box/config").unlink() if name == "config" else None
    os.mkfifo(scene.root / "box" / name)
    before = sorted(os.listdir(scene.root / "box"))
    for tool, words in (("ls", ("-f",)), ("info", ("box",)), ("snapshot", ("-L", "box")), ("copy", ("box", "-N", "x"))):
        done = scene.run(tool, *words)
        if name in ("config", "included") and tool in ("ls", "copy"):
            assert "not a regular file" in done.stderr or "not defined" in done.stderr, (tool, done)
    assert sorted(os.listdir(scene.root / "box")) == before
    scene.run("destroy", "-s", "box")


def test_links_in_a_containers_directory_have_nothing_written_or_moved(scene: Scene) -> None:
    victim, theirs = scene.root / "victim", scene.root / "theirs"
    victim.write_text("whole\n")
    theirs.mkdir()
    (theirs / "ready").write_text('{"entries": [], "parents": []}')
    (theirs / "secret").write_text("whole\n")
    scene.define("box")
    (scene.root / "box/lxc_snapshots").symlink_to(victim)
    done = scene.run("copy", "-s", "-B", "overlay", "box", "-N", "copy")
    assert done.returncode == 1 and "lxc_snapshots" in done.stderr
    (scene.root / "box/.restore").symlink_to(theirs)
    for tool, words in (("snapshot", ("-L", "box")), ("start", ("box",)), ("destroy", ("box",))):
        done = scene.run(tool, *words)
        assert done.returncode == 1 and "is a link, or somebody else's" in done.stderr, (tool, done)
    (scene.root / "box/.restore").unlink()
    (scene.root / "box/renamed").write_text(f"{scene.root}\nother\n")
    os.chown(scene.root / "box/renamed", NOBODY, NOBODY)
    done = scene.run("snapshot", "-L", "box")
    assert done.returncode == 1 and "somebody else's" in done.stderr
    assert victim.read_text() == "whole\n" and (theirs / "secret").exists()


def test_a_terminal_obeys_no_name_and_no_word_of_a_configuration(scene: Scene) -> None:
    bell = "\x1b]0;mine\x07\x9b31m"
    scene.define("box", f"lxc.group = {bell}\nlxc.environment = A={bell}\tä\n")
    scene.define("broken", f"lxc.{bell} = 1\n")
    named = scene.root / f"a{bell}\nb"
    named.mkdir()
    (named / "config").write_text("")
    for tool, words in (("ls", ()), ("ls", ("-1",)), ("ls", ("-f",)), ("info", ("broken",)), ("start", ("broken",))):
        done = scene.run(tool, *words)
        said = done.stdout + done.stderr
        assert "\\x1b]0;mine\\x07\\x9b31m" in said, (tool, words)
        assert not {"\x1b", "\x07", "\x9b"} & set(said), (tool, words)
    assert "a\\x1b]0;mine\\x07\\x9b31m\\nb" in scene.ok("ls", "-1", "^a").splitlines()
    assert scene.ok("info", "box", "-c", "lxc.environment") == "lxc.environment = PATH=/bin\nA=\\x1b]0;mine\\x07\\x9b31m\tä\n\n"


@pytest.mark.parametrize("words", [("stop", "-k"), ("stop", "--nowait"), ("destroy", "-f")])
def test_a_number_that_was_taken_again_is_not_signalled(scene: Scene, words: tuple[str, ...]) -> None:
    """At its end, while a hook holds that up."""
    hook, go = scene.root / "hook", scene.root / "go"
    hook.write_text(f"#!/bin/sh\n: > {scene.root}/held\nwhile [ ! -e {go} ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    scene.define("box", f"lxc.hook.post-stop = {hook}\n")
    seen = scene.start("box")
    os.kill(seen.running.pid, signal.SIGKILL)
    until("the hook runs", (scene.root / "held").exists)
    with subprocess.Popen(["sleep", "600"]) as other:
        place.remember(scene.site, seen.running._replace(pid=other.pid))
        done = scene.begin(words[0], *words[1:], "box")
        try:
            with suppress(subprocess.TimeoutExpired):
                done.wait(1)  # it may well wait for the hook
            assert other.poll() is None
        finally:
            other.kill()
            go.touch()
    done.wait(PATIENCE)
    scene.gone("box")


def test_a_pidfile_that_is_a_pipe(scene: Scene) -> None:
    scene.define("box")
    pipe = scene.root / "pid"
    os.mkfifo(pipe)
    assert "not a regular file" in scene.run("start", "-p", str(pipe), "box").stderr
    pipe.unlink()
    scene.start("box", "-p", str(pipe))
    pipe.unlink()
    os.mkfifo(pipe)
    scene.ok("stop", "-k", "box")
    scene.gone("box")


@pytest.mark.parametrize("mask", [0, 0o077])
def test_what_is_written_of_a_container_is_its_owners_whatever_the_umask(scene: Scene, mask: int) -> None:
    scene.define("box")
    before = os.umask(mask)
    try:
        scene.run("wait", "box", "-s", "RUNNING", "-t", "0")
        assert stat.S_IMODE(os.stat(scene.site.state).st_mode) == 0o711
        seen = scene.start("box")
    finally:
        os.umask(before)
    for folder, _, names in os.walk(f"{scene.site.state}/{seen.running.container_id}", followlinks=False):
        for path in (folder, *(f"{folder}/{name}" for name in names)):
            mode = os.lstat(path).st_mode
            assert "/mnt" in path or stat.S_ISSOCK(mode) or not mode & 0o022, path
    scene.ok("stop", "-k", "box")
    scene.gone("box")


def test_an_image_that_is_a_pipe(scene: Scene) -> None:
    scene.define("box")
    os.mkfifo(scene.root / "box/image")
    (scene.root / "box/config").write_text(f"lxc.rootfs.path = loop:{scene.root}/box/image\n")
    for tool, words in (("start", ("box",)), ("copy", ("box", "-N", "copy"))):
        done = scene.run(tool, *words)
        assert done.returncode == 1 and "neither a regular file" in done.stderr, (tool, done)
    assert scene.ok("ls", "-1") == "box\n"
