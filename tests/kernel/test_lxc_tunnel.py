"""The directory of `shmounts:` on the host: what is left of it, and of others' mounts, whoever is killed when."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from warden.errors import WrongState
from warden.lxc import place, tunnel
from warden.undo import Undo

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "state"
    made.mkdir()
    yield made
    assert mounts(tmp_path) == []


def mounts(below: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{below}/")]


def opened(state: Path, name: str, path: Path) -> str:
    directory = state / name
    directory.mkdir()
    with Undo() as undo:
        tunnel.opened(str(directory), str(path), undo)
        undo.release()
    return str(directory)


def killed(work: Callable[[], object], module: object, name: str, count: int = 0) -> None:
    """*work* in a process that ends at its *count*th call of a function, before that does anything."""
    child = os.fork()
    if child == 0:
        left, real = [count], getattr(module, name)

        def end(*args: object, **given: object) -> object:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            return real(*args, **given)

        setattr(module, name, end)
        work()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_who_is_killed_takes_nobody_elses_mount_away(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "admins", path], check=True)
    subprocess.run(["mount", "--make-private", path], check=True)
    try:
        killed(lambda: opened(state, "a", path), tunnel, "_share")
        tunnel.closed(f"{state}/a")
        assert mounts(tmp_path) == [str(path)]
        directory = opened(state, "b", path)
        assert mounts(tmp_path) == [str(path)] * 2
        killed(lambda: tunnel.closed(directory), os, "unlink")
        tunnel.closed(directory)
        assert mounts(tmp_path) == [str(path)]
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("count", [0, 1])
def test_who_is_killed_leaves_no_directory(state: Path, tmp_path: Path, count: int) -> None:
    killed(lambda: opened(state, "a", tmp_path / "one/two"), os, "mkdir", 1 + count)
    tunnel.closed(f"{state}/a")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_directory_above_two_goes_with_the_last(state: Path, tmp_path: Path) -> None:
    first, second = (opened(state, name, tmp_path / f"deep/{name}") for name in ("a", "b"))
    tunnel.closed(first)
    assert os.listdir(tmp_path / "deep") == ["b"]
    tunnel.closed(second)
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("other", ["deep/a/below", "deep"])
def test_one_above_or_below_anothers_is_refused(state: Path, tmp_path: Path, other: str) -> None:
    directory = opened(state, "a", tmp_path / "deep/a")
    with pytest.raises(WrongState, match="a container that runs has"):
        opened(state, "b", tmp_path / other)
    tunnel.closed(directory)
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("name", [place.TUNNEL, place.OUTSIDE])
def test_a_record_that_says_nothing_ends_no_sweep(tmp_path: Path, name: str) -> None:
    """Another container's start must go on."""
    site = place.Site(f"{tmp_path}/state", f"w-tun-{os.getpid()}")
    for container in ("a", "b"):
        directory, lock = place.make_directory(site, container)
        os.close(lock)
        if container == "a":
            Path(f"{directory}/{name}").touch()
    place.sweep(site)
    assert "b" not in os.listdir(site.state)


def test_whatever_the_umask_it_can_be_passed(state: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        directory = opened(state, "a", tmp_path / "one/two")
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("one", "one/two")} == {0o711}
    tunnel.closed(directory)
