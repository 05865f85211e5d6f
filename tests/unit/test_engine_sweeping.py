"""The cgroup of an ended job is removed as soon as nobody is in it, and left alone after some looks."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any, cast

import pytest

from warden.engine import sweeping
from warden.engine.site import Site
from warden.engine.sweeping import Sweep
from warden.errors import KernelRefused


class Here:
    """A site whose workers work at once; *quiet* is set when no look is to come."""

    def in_background(self, task: asyncio.Task[None]) -> None:
        self.task = task

    async def blocking(self, work: Callable[[], None]) -> None:
        work()


class Group:
    """Empty after so many looks, and removed after so many tries."""

    def __init__(self, populated: int, busy: int = 0) -> None:
        self.left, self.busy = populated, busy
        self.looks = 0
        self.removed = asyncio.Event()

    def populated(self) -> bool:
        self.looks += 1
        return self.looks <= self.left

    def remove(self) -> None:
        self.busy -= 1
        if self.busy >= 0:
            raise KernelRefused("rmdir", "/group", errno.EBUSY)
        self.removed.set()


def sweep_of(group: Group) -> Sweep:
    site: Any = Here()
    return Sweep(cast(Site, site), group, 1)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "PAUSES_S", (0.001,) * 4)


@pytest.mark.parametrize(("populated", "busy"), [(0, 0), (1, 0), (4, 0), (0, 3), (2, 2)])
async def test_it_goes_when_it_is_empty(populated: int, busy: int) -> None:
    group = Group(populated, busy)
    sweep = sweep_of(group)
    sweep.now()
    sweep.later()
    await group.removed.wait()
    assert group.looks == 1 + populated + busy


async def test_who_stays_in_it_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    for group in (Group(1000), Group(0, 1000)):
        sweep = sweep_of(group)
        sweep.now()
        sweep.later()
        while group.looks < 5:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert (group.looks, group.removed.is_set()) == (5, False)
    assert [record.message.split(":")[1] for record in caplog.records] == [" its cgroup stays until the container goes"]


async def test_who_lets_go_has_no_look_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "PAUSES_S", (0.001, 0.001))
    loop = asyncio.get_running_loop()
    group = Group(populated=100)
    sweep = sweep_of(group)
    sweep.now()
    sweep.later()
    sweep.close()
    sweep.later()
    passed = loop.create_future()
    loop.call_later(0.01, passed.set_result, None)  # behind the look, had there been one
    await passed
    assert group.looks == 1
