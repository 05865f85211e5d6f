"""Copies in work: how many at once, and how they end."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from warden.engine.transfers import AT_ONCE, GoingOn, Transfers
from warden.errors import BadInput, WrongState
from warden.rootfs.copyreport import Cancelled


def some_descriptor() -> int:
    return os.open("/", os.O_PATH)


def is_open(fd: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}")


class Copy:
    """Goes on until it is told to end."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self.fd = some_descriptor()

    def __call__(self, going_on: GoingOn) -> None:
        self.begun.set()
        while going_on():
            self.ended.wait(0.001)
        self.ended.set()
        raise Cancelled


async def until(event: threading.Event) -> None:
    async with asyncio.timeout(60):
        while not event.is_set():
            await asyncio.sleep(0.001)


async def test_what_it_raises_arrives_and_the_root_is_closed() -> None:
    def fail(_going_on: GoingOn) -> None:
        raise BadInput("no")

    fd = some_descriptor()
    with pytest.raises(BadInput, match="no"):
        await Transfers().run("c", fd, fail)
    assert not is_open(fd)


async def test_a_few_at_once() -> None:
    transfers = Transfers()
    copies = [Copy() for _ in range(AT_ONCE + 2)]
    tasks = [asyncio.ensure_future(transfers.run("c", copy.fd, copy)) for copy in copies]
    for copy in copies[:AT_ONCE]:
        await until(copy.begun)
    await asyncio.sleep(0.05)
    assert not any(copy.begun.is_set() for copy in copies[AT_ONCE:])
    await transfers.end()
    for task in tasks:
        with pytest.raises(WrongState, match="cut off"):
            await task
    assert not any(is_open(copy.fd) for copy in copies)


async def test_only_one_container_s_copies_end() -> None:
    transfers = Transfers()
    mine, other = Copy(), Copy()
    tasks = [asyncio.ensure_future(transfers.run(name, copy.fd, copy)) for name, copy in (("m", mine), ("o", other))]
    await until(mine.begun)
    await until(other.begun)
    await transfers.end("m")
    with pytest.raises(WrongState):
        await tasks[0]
    assert not tasks[1].done()
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    await until(other.ended)
    await transfers.end()
    assert not is_open(other.fd)


async def test_one_that_hangs_keeps_its_descriptor_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warden.engine.transfers.END_S", 0.05)
    transfers = Transfers()
    hanging, released = threading.Event(), threading.Event()
    fd = some_descriptor()

    def hang(_going_on: GoingOn) -> None:
        hanging.set()
        released.wait(30)

    task = asyncio.ensure_future(transfers.run("c", fd, hang))
    await until(hanging)
    await transfers.end("c")
    assert is_open(fd), "the thread may still use it"
    await transfers.run("d", some_descriptor(), lambda going_on: None)
    released.set()
    await task
    assert not is_open(fd)
