"""The janitor does in one go what gathered, at once what must not wait, and everything when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from warden.engine.janitor import Janitor


class Job:
    """An ended job that notes what is done to it, and in which go."""

    def __init__(self, goes: list[int], *, wanted: bool = True) -> None:
        self.goes, self.wanted = goes, wanted
        self.notes: list[str] = []
        self.done = asyncio.Event()

    async def flush(self) -> None:
        self.notes.append("flush")

    def settle(self, wanted: bool) -> None:
        self.notes.append(f"settle {wanted} in {self.goes[0]}")

    async def settled(self, wanted: bool) -> None:
        self.notes.append(f"settled {wanted}")
        self.done.set()


def janitor(goes: list[int]) -> tuple[Janitor, list[asyncio.Task[None]]]:
    tasks: list[asyncio.Task[None]] = []

    async def run(function: Callable[..., None], *args: object) -> None:
        goes[0] += 1
        function(*args)

    return Janitor(run, tasks.append), tasks


async def test_what_gathers_is_done_in_one_go_and_in_order() -> None:
    goes = [0]
    made, _ = janitor(goes)
    first, second = Job(goes), Job(goes, wanted=False)
    made.add_job(first)
    made.add_job(second)
    await asyncio.gather(first.done.wait(), second.done.wait())
    assert first.notes == ["flush", "settle True in 1", "settled True"]
    assert second.notes == ["flush", "settle False in 1", "settled False"]
    assert goes == [1]


async def test_a_job_that_must_not_wait_takes_the_others_with_it() -> None:
    goes = [0]
    made, tasks = janitor(goes)
    patient, urgent = Job(goes), Job(goes)
    made.add_job(patient)
    made.add_job(urgent, at_once=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(tasks) == 1, "begun in the next turn of the loop"
    await asyncio.gather(patient.done.wait(), urgent.done.wait())


async def test_clean_leaves_nothing(tmp_path: Path) -> None:
    goes = [0]
    made, tasks = janitor(goes)
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    job = Job(goes)
    made.add_job(job)
    made.add_tree(str(tree))
    await made.clean()
    assert job.done.is_set()
    assert not tree.exists()
    await asyncio.gather(*tasks)
