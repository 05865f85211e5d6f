"""Fixtures for all tests: what root needs, the leak check, and a private daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon


def pytest_runtest_setup(item: pytest.Item) -> None:
    # In CI nothing that must run may be skipped: there a missing right is a failure.
    if item.get_closest_marker("root") and os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("this test needs root, and CI must run it")
        pytest.skip("needs root")


LeakCheck = Callable[..., None]


@pytest.fixture
def leak_check() -> Iterator[LeakCheck]:
    """Call it with a cgroup parent and paths when these are known; after the test nothing of ours may be new."""
    watched: list[tuple[leaks.Held, str, tuple[str, ...]]] = []

    def watch(cgroup_parent: str, *paths: str) -> None:
        watched.append((leaks.look(cgroup_parent, *paths), cgroup_parent, paths))

    yield watch
    for before, cgroup_parent, paths in watched:
        found = leaks.leaks(before, cgroup_parent, *paths)
        assert not found, f"left behind: {found}"


@contextmanager
def checked_daemon() -> Iterator[PrivateDaemon]:
    private = PrivateDaemon()
    before = leaks.look(private.cgroup_parent, private.root)
    with private:
        yield private
    found = leaks.leaks(before, private.cgroup_parent, private.root)
    assert not found, f"left behind: {found}"
    assert not os.path.exists(private.root), f"{private.root} was left behind"


@pytest.fixture
def daemon() -> Iterator[PrivateDaemon]:
    """A running private `wardend` for one test; afterwards nothing may be left of it."""
    with checked_daemon() as private:
        yield private


@pytest.fixture(scope="module")
def shared_daemon() -> Iterator[PrivateDaemon]:
    """The same for all tests of a module that do not disturb one another."""
    with checked_daemon() as private:
        yield private
