"""What strangers, and containers, can do to root's tools of LXC: hold them up, lead them elsewhere."""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import Scene, new_scene

from warden.cli.connect import _lock_file
from warden.errors import NotPermitted, WrongState
from warden.kernel.mounts import mount
from warden.lxc import life, nesting
from warden.undo import Undo

pytestmark = [pytest.mark.root]
LIBC = ctypes.CDLL(None, use_errno=True)
NEWNS, REC_PRIVATE, BIND = 0x20000, 0x44000, 4096


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as made:
        yield made


def test_whoever_may_read_a_directory_holds_nobody_up(scene: Scene) -> None:
    scene.define("box")
    scene.define("other")
    (scene.root / "box").chmod(0o755)
    held = [os.open(path, os.O_RDONLY) for path in (scene.root, scene.root / "box")]
    try:
        for fd in held:
            fcntl.flock(fd, fcntl.LOCK_EX)
        scene.start("box")
        scene.ok("stop", "-k", "box")
        scene.gone("box")
        scene.ok("copy", "-s", "-B", "overlay", "box", "-N", "copy")
        scene.ok("destroy", "copy")
    finally:
        for fd in held:
            os.close(fd)
    for path in (Path(scene.site.state) / ".locks").iterdir():
        assert not path.stat().st_mode & 0o077


def test_the_lock_of_a_daemons_start_is_nobody_elses(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(NotPermitted):
        _lock_file(str(tmp_path / "link"))
    assert victim.read_text() == "whole"
    (tmp_path / "theirs").touch()
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(NotPermitted, match="somebody else's"):
        _lock_file(str(tmp_path / "theirs"))
    (tmp_path / "open").touch(0o644)
    with _lock_file(str(tmp_path / "open")) as lock:
        assert stat.S_IMODE(os.fstat(lock.fileno()).st_mode) == 0o600


@pytest.mark.parametrize("key", ["lxc.log.file", "lxc.console.logfile", "lxc.console.path"])
def test_a_log_that_is_a_pipe(scene: Scene, key: str) -> None:
    pipe = scene.root / "pipe"
    os.mkfifo(pipe)
    scene.define("box", f"{key} = {pipe}\n")
    done = scene.run("start", "box")
    assert done.returncode == 1 and str(pipe) in done.stderr, done.stderr
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = scene.run("start", "box")
        assert done.returncode == 1 and "neither a regular file nor a terminal" in done.stderr
    finally:
        os.close(reader)


def test_a_log_that_cannot_be_written(scene: Scene) -> None:
    scene.define("box", f"lxc.log.file = {scene.root}/none/log\n")
    done = scene.run("start", "box")
    assert done.returncode == 1 and f"{scene.root}/none/log: No such file or directory" in done.stderr
    done = scene.run("freeze", "box", "-o", f"{scene.root}/none/log")
    assert done.returncode == 1 and "No such file or directory" in done.stderr and "not running" in done.stderr


def test_a_log_that_becomes_a_pipe_does_not_stop_the_end(scene: Scene) -> None:
    log = scene.root / "log"
    scene.define("box", f"lxc.log.file = {log}\nlxc.hook.post-stop = false\n")
    scene.start("box")
    log.unlink()
    os.mkfifo(log)
    scene.ok("stop", "-k", "box")
    scene.gone("box")


def test_a_container_with_the_hosts_root_has_its_own_group_everywhere(scene: Scene) -> None:
    scene.define("box")
    pid = scene.start("box").running.pid
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    elsewhere = [line for line in lines if scene.site.parent not in line and not line.startswith("0::")]
    assert not elsewhere
    scene.ok("stop", "-k", "box")


def forked(work: object) -> int:
    """The exit code of *work* in a child with a mount namespace of its own."""
    pid = os.fork()
    if not pid:
        try:
            LIBC.unshare(NEWNS)
            mount("none", "/", "", REC_PRIVATE)
            os._exit(int(work()))  # type: ignore[operator]
        except BaseException as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(("ours", "its"), [(0, 1), (1, 0)])
def test_a_mount_namespace_that_cannot_be_kept(tmp_path: Path, ours: int, its: int) -> None:
    """Namespaces have numbers by processor, and only one with a higher number can be bound."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor")

    def work() -> int:
        os.sched_setaffinity(0, {ours})
        LIBC.unshare(NEWNS)
        ready, said = os.pipe()
        wait, go = os.pipe()
        child = os.fork()
        if not child:
            os.sched_setaffinity(0, {its})
            LIBC.unshare(NEWNS)
            os.write(said, b"x")
            os.read(wait, 1)
            os._exit(0)
        os.read(ready, 1)
        undo = Undo()
        life._keep_namespaces(str(tmp_path), child, undo)
        kept = {name: os.stat(tmp_path / "ns" / name).st_ino for name in os.listdir(tmp_path / "ns")}
        life.release_namespaces(str(tmp_path))
        undo.release()
        os.write(go, b"x")
        return 0 if {"net", "pid", "uts"} <= kept.keys() and 0 not in kept.values() else 1

    assert forked(work) == 0


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no FUSE")
def test_a_file_system_that_never_answers(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    """Its server takes the first request and says nothing."""
    place = scene.root / "var"
    place.mkdir()
    ready, said = os.pipe()
    wait, go = os.pipe()
    child = os.fork()
    if not child:
        LIBC.unshare(NEWNS)
        mount("none", "/", "", REC_PRIVATE)
        server = os.open("/dev/fuse", os.O_RDWR)
        mount("stuck", "/var", "fuse", 0, f"fd={server},rootmode=40000,user_id=0,group_id=0")
        os.write(said, b"x")
        os.read(wait, 1)
        os._exit(0)
    try:
        assert os.read(ready, 1) == b"x"
        monkeypatch.setattr(nesting, "_PATIENCE_S", 1)
        with pytest.raises(WrongState, match="cannot be looked into"):
            nesting.inside(child)
    finally:
        os.write(go, b"x")
        os.waitpid(child, 0)
        for fd in (ready, said, wait, go):
            os.close(fd)


def test_a_mount_from_another_container_follows_its_links_nowhere_else(scene: Scene) -> None:
    """It may change them at any time: what it names is looked up below its own root."""
    secret = scene.root / "secret"
    secret.mkdir()
    (secret / "key").write_text("the host's")
    theirs = scene.define("other")
    (theirs / "data").mkdir()
    (theirs / "data/file").write_text("shared")
    (scene.root / "way").symlink_to(theirs)
    entry = f"lxc.mount.entry = {scene.root}/way/data mnt none bind,create=dir 0 0\n"
    scene.define("box", entry + f"lxc.mount.entry = {theirs}/data/file file none bind,create=file 0 0\n")
    scene.start("box")
    assert scene.ok("attach", "box", "--", "cat", "/mnt/file", "/file") == "sharedshared"
    scene.ok("stop", "-k", "box")
    scene.gone("box")
    (theirs / "data/file").unlink()
    (theirs / "data").rmdir()
    for link in (str(secret), "../../secret"):
        (theirs / "data").symlink_to(link)
        scene.define("box", entry)
        done = scene.run("start", "box")
        assert done.returncode == 1 and "No such file" in done.stderr, (link, done.stderr)
        (theirs / "data").unlink()
