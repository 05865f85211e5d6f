"""Undo: order, release, and what becomes of failures."""

from __future__ import annotations

import asyncio
import logging

import pytest

from warden.undo import AsyncUndo, Undo


def fails(text: str) -> None:
    raise OSError(text)


async def fails_later(text: str) -> None:
    await asyncio.sleep(0)
    raise OSError(text)


def test_undoes_last_first_with_the_arguments_given() -> None:
    done: list[object] = []
    with Undo() as undo:
        undo.add("a", done.append, "a")
        undo.add("b", done.extend, ["b", "c"])
    assert done == ["b", "c", "a"]
    assert undo.failures == []


def test_release_keeps_everything() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.add("a", done.append, "a")
        undo.release()
    assert done == []


def test_what_is_added_after_release_is_undone() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.add("a", done.append, "a")
        undo.release()
        undo.add("b", done.append, "b")
    assert done == ["b"]


def test_running_twice_undoes_once() -> None:
    done: list[str] = []
    undo = Undo()
    undo.add("a", done.append, "a")
    undo.run()
    undo.run()
    assert done == ["a"]


def test_an_undo_function_may_register_another() -> None:
    done: list[str] = []
    undo = Undo()
    undo.add("outer", lambda: undo.add("inner", done.append, "inner"))
    undo.run()
    assert done == ["inner"]


def test_failures_are_collected_logged_and_do_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    undo = Undo()
    undo.add("first", done.append, "first")
    undo.add("second", fails, "busy")
    undo.add("third", fails, "gone")
    with caplog.at_level(logging.ERROR, "warden.undo"):
        undo.run()
    assert done == ["first"]
    assert [(name, str(error)) for name, error in undo.failures] == [("third", "gone"), ("second", "busy")]
    assert [record.getMessage() for record in caplog.records] == [
        "undo of third failed: gone",
        "undo of second failed: busy",
    ]


def test_the_error_in_flight_survives_and_carries_notes() -> None:
    with pytest.raises(KeyError) as caught, Undo() as undo:
        undo.add("mount", fails, "busy")
        raise KeyError("the first error")
    assert caught.value.args == ("the first error",)
    assert caught.value.__notes__ == ["undo of mount failed too: busy"]


def test_no_failure_no_note() -> None:
    with pytest.raises(KeyError) as caught, Undo() as undo:
        undo.add("mount", int)
        raise KeyError("alone")
    assert not hasattr(caught.value, "__notes__")


async def test_async_undo_awaits_one_after_the_other_last_first() -> None:
    done: list[str] = []

    async def slow(name: str) -> None:
        done.append(f"{name} begins")
        await asyncio.sleep(0)
        done.append(f"{name} ends")

    async with AsyncUndo() as undo:
        undo.add("a", slow, "a")
        undo.add("b", done.append, "b")
        undo.add("c", slow, "c")
    assert done == ["c begins", "c ends", "b", "a begins", "a ends"]


async def test_async_release_keeps_everything() -> None:
    done: list[str] = []
    async with AsyncUndo() as undo:
        undo.add("a", done.append, "a")
        undo.release()
    assert done == []


async def test_async_failures_are_collected_and_noted() -> None:
    done: list[str] = []
    with pytest.raises(ValueError, match="original") as caught:
        async with AsyncUndo() as undo:
            undo.add("kept going", done.append, "x")
            undo.add("at once", fails, "one")
            undo.add("later", fails_later, "two")
            raise ValueError("original")
    assert done == ["x"]
    assert caught.value.__notes__ == ["undo of later failed too: two", "undo of at once failed too: one"]


class Gate:
    """An undo step that waits to be let through, and tells when it is reached."""

    def __init__(self, done: list[str]) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        self._done = done

    async def step(self) -> None:
        self.reached.set()
        await self.open.wait()
        self._done.append("gate")


async def test_cancellation_waits_for_the_whole_undo_in_order_and_then_goes_on() -> None:
    done: list[str] = []
    gate = Gate(done)
    undo = AsyncUndo()
    undo.add("behind", done.append, "behind")
    undo.add("gate", gate.step)
    task = asyncio.ensure_future(undo.run_async())
    await gate.reached.wait()
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()  # an impatient caller
    for _ in range(5):
        await asyncio.sleep(0)
    assert done == []  # the step that was begun is not overtaken by the one behind it
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["gate", "behind"]
    assert undo.failures == []


async def test_a_step_that_is_cancelled_itself_is_a_failure_like_others() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    done: list[str] = []
    undo = AsyncUndo()
    undo.add("behind", done.append, "behind")
    undo.add("step", cancelled)
    await undo.run_async()
    assert done == ["behind"]
    assert [name for name, _ in undo.failures] == ["step"]


async def test_an_error_in_flight_is_not_replaced_by_a_cancellation_during_undo() -> None:
    done: list[str] = []
    gate = Gate(done)

    async def operation() -> None:
        async with AsyncUndo() as undo:
            undo.add("gate", gate.step)
            raise KeyError("first")

    task = asyncio.ensure_future(operation())
    await gate.reached.wait()
    task.cancel()
    await asyncio.sleep(0)
    gate.open.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert done == ["gate"]
    assert isinstance(caught.value.__context__, KeyError)
