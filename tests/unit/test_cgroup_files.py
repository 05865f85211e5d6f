"""Refusals of the file functions, seen on ordinary files; group names; inotify and eventfd."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

import pytest

from warden.cgroup import files
from warden.cgroup.driver import Manager
from warden.cgroup.layout import Layout
from warden.errors import BadInput, KernelRefused
from warden.kernel import events


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "memory.max")
    assert files.read_optional(path) is None
    for operation in (lambda: files.read(path), lambda: files.write(path, "1"), lambda: files.open_write(path)):
        with pytest.raises(KernelRefused) as caught:
            operation()
        assert (caught.value.target, caught.value.errno) == (path, errno.ENOENT)


def test_a_group_that_exists(tmp_path: Path) -> None:
    path = str(tmp_path / "g")
    assert files.make_group(path)
    assert not files.make_group(path, exist_ok=True)
    with pytest.raises(KernelRefused) as caught:
        files.make_group(path)
    assert caught.value.errno == errno.EEXIST
    assert caught.value.hint


def test_removing_what_is_gone(tmp_path: Path) -> None:
    files.remove_group(str(tmp_path / "never"))
    assert files.subgroups(str(tmp_path / "never")) == []


@pytest.mark.parametrize("parent", ["", "/", "/warden", "../x", "a/../../b", "a\0b"])
def test_parents_outside_the_hierarchy(parent: str) -> None:
    with pytest.raises(BadInput, match="cgroup parent"):
        Manager(parent, Layout())


@pytest.mark.parametrize("name", ["", "a/b", "a\0"])
def test_container_ids_that_are_no_file_names(name: str) -> None:
    with pytest.raises(BadInput, match="container id"):
        Manager("warden", Layout()).container(name)


def test_a_machine_without_cgroups() -> None:
    group = Manager("warden", Layout()).container("x")
    group.create()
    assert (group.pids(), group.memory_limit(), group.cpu().usage_ns, group.existing_jobs()) == ([], None, 0, [])
    with pytest.raises(KernelRefused, match="memory"):
        group.watch_oom()
    group.remove()


def test_inotify_tells_of_a_change(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    fd = events.inotify_init1()
    try:
        events.inotify_add_watch(fd, str(path), events.IN_MODIFY)
        assert events.drain(fd) == b""
        path.write_text("x")
        assert select.select([fd], [], [], 60)[0] == [fd]
        assert events.drain(fd) != b""
        with pytest.raises(KernelRefused, match="inotify_add_watch"):
            events.inotify_add_watch(fd, str(tmp_path / "never"), events.IN_MODIFY)
    finally:
        os.close(fd)


def test_eventfd_counts_once() -> None:
    fd = events.create_eventfd()
    try:
        os.eventfd_write(fd, 3)
        assert int.from_bytes(events.drain(fd), "little") == 3
        assert events.drain(fd) == b""
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
