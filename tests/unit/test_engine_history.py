"""The history of events: numbers, what is kept, what a reader that is late is told, and the file over crashes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.engine import history
from warden.engine.events import ContainerCreated, ContainerFacts, Emitter, JobEnded, JobStarted, LimitsChanged
from warden.engine.history import History
from warden.errors import TooSlow
from warden.model.events import EventRecord, EventSelection
from warden.model.job import JobResult, Verdict
from warden.protocol.convert_events import events_to_request, record_to_response, request_to_events, response_to_record

FACTS = ContainerFacts("bóx\udcff", "id1", "active", "/p", 1, "", "", "host", 1.0)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(history, "KEPT", 10)
    monkeypatch.setattr(history, "BATCH", 4)
    yield


def begun(path: Path | None = None) -> tuple[Emitter, History]:
    emitter, made = Emitter(), History(None if path is None else str(path))
    made.start(emitter)
    return emitter, made


def start_jobs(emitter: Emitter, first: int, count: int) -> None:
    for number in range(first, first + count):
        emitter.emit(JobStarted(FACTS, number, "true"))


def jobs_of(made: History, after: int = 0) -> list[int]:
    found: list[int] = []
    while records := made.after(after, 3):
        found += [int(record.attributes["job"]) for record in records]
        after = records[-1].seq
    return found


def test_records_say_what_happened() -> None:
    emitter, made = begun()
    emitter.emit(ContainerCreated(FACTS))
    emitter.emit(JobStarted(FACTS, 7, "sleep 1"))
    emitter.emit(JobEnded(FACTS, 7, "sleep 1", JobResult(255, Verdict.SIGNALED, 11)))
    emitter.emit(LimitsChanged(FACTS, {"pids.max": "5"}))
    found = made.after(0)
    assert [(record.seq, record.type, record.event, dict(record.attributes)) for record in found] == [
        (1, "container", "create", {}),
        (2, "job", "start", {"job": "7", "command": "sleep 1"}),
        (
            3,
            "job",
            "die",
            {"job": "7", "command": "sleep 1", "exit_status": "255", "verdict": "signaled", "signal": "11"},
        ),
        (4, "container", "update", {"pids.max": "5"}),
    ]
    assert {(record.container, record.id) for record in found} == {(FACTS.handle, "id1")}


def test_what_is_no_longer_kept_is_told() -> None:
    emitter, made = begun()
    start_jobs(emitter, 1, 20)
    assert jobs_of(made) == list(range(1, 21))
    start_jobs(emitter, 21, 1)
    assert jobs_of(made, 10) == list(range(11, 22))
    with pytest.raises(TooSlow, match="after number 3 are no longer kept up to 10"):
        made.after(3)


async def test_a_moment_of_the_past() -> None:
    emitter, made = begun()
    start_jobs(emitter, 1, 5)
    assert made.before(0) == 0
    assert made.before(made.after(2)[0].time) <= 2
    assert made.before(made.after(4)[0].time + 100) == 5


async def test_watchers_are_told_until_they_leave() -> None:
    emitter, made = begun()
    told: list[int] = []
    leave = made.watch(lambda: told.append(made.last))
    start_jobs(emitter, 1, 2)
    leave()
    start_jobs(emitter, 3, 1)
    assert told == [1, 2]


async def test_a_restart_goes_on_with_the_next_number(tmp_path: Path) -> None:
    for turn in range(12):
        emitter, made = begun(tmp_path / "events")
        assert made.last == turn * 3
        start_jobs(emitter, turn * 3 + 1, 3)
        expected = list(range(1, turn * 3 + 4))
        assert jobs_of(made, made.after(made._lost)[0].seq - 1) == expected[-len(made._records) :]
        made.close()
        made.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert all(len(file.read_text().splitlines()) < 30 for file in tmp_path.iterdir())


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9, 30])
async def test_a_crash_never_uses_a_number_again(tmp_path: Path, count: int) -> None:
    emitter, first = begun(tmp_path / "events")
    start_jobs(emitter, 1, 2)
    first.close()
    emitter, crashed = begun(tmp_path / "events")
    start_jobs(emitter, 3, count)
    last = crashed.last
    if crashed._timer is not None:
        crashed._timer.cancel()
    emitter, after = begun(tmp_path / "events")
    start_jobs(emitter, 100, 1)
    assert after.last > last
    kept = jobs_of(after, after._lost)
    assert kept[-1] == 100
    assert kept == sorted(set(kept))
    after.close()


@pytest.mark.parametrize("begins", [True, False], ids=["full-from-the-start", "filled-later"])
@pytest.mark.parametrize("ended_well", [True, False])
async def test_a_crash_on_a_full_disk_never_uses_a_number_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: bool, ended_well: bool
) -> None:
    emitter, first = begun(tmp_path / "events")
    start_jobs(emitter, 1, 2)
    if ended_well:
        first.close()
    else:
        first._flush()
    with monkeypatch.context() as full:
        if begins:
            full.setattr(History, "_write", lambda *_: False)
        emitter, crashed = begun(tmp_path / "events")
        full.setattr(History, "_write", lambda *_: False)
        start_jobs(emitter, 3, 30 * history.BATCH)
        last = crashed.last
        assert crashed._timer is not None
        crashed._timer.cancel()
    emitter, after = begun(tmp_path / "events")
    assert after.last > last
    assert jobs_of(after, after._lost) == [1, 2]
    after.close()
    assert begun(tmp_path / "events")[1].last == after.last


async def test_it_is_on_disk_a_moment_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "FLUSH_S", 0.01)
    emitter, made = begun(tmp_path / "events")
    start_jobs(emitter, 1, 1)
    for _ in range(500):
        if made._timer is None:
            break
        await asyncio.sleep(0.01)
    assert jobs_of(begun(tmp_path / "events")[1]) == [1]
    made.close()


async def test_lines_that_a_crash_cut_cost_only_themselves(tmp_path: Path) -> None:
    emitter, made = begun(tmp_path / "events")
    start_jobs(emitter, 1, 3)
    made.close()
    with open(tmp_path / "events", "a") as file:
        file.write('\n[[4, 1.0, "job"')
    emitter, made = begun(tmp_path / "events")
    start_jobs(emitter, 4, 1)
    made.close()
    with open(tmp_path / "events", "a") as file:
        file.write("\n" + json.dumps({"nothing": 1}) + "\n[1, 2]\n\0\0")
    assert jobs_of(begun(tmp_path / "events")[1]) == [1, 2, 3, 4]


async def test_a_disk_that_takes_nothing_costs_only_the_past(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    emitter, made = begun(tmp_path / "gone" / "events")
    start_jobs(emitter, 1, 9)
    assert jobs_of(made) == list(range(1, 10))
    made.close()
    assert len([record for record in caplog.records if "events" in record.getMessage()]) == 1


TEXTS = st.text(max_size=5)


@given(
    st.builds(
        EventRecord,
        st.integers(0, 2**50),
        st.integers(0, 2**31),
        TEXTS,
        TEXTS,
        TEXTS,
        TEXTS,
        st.dictionaries(TEXTS, TEXTS),
    )
)
def test_a_record_crosses_the_wire(record: EventRecord) -> None:
    assert response_to_record(record_to_response(record)) == record


SETS = st.frozensets(TEXTS, max_size=3)


@given(
    st.builds(
        EventSelection,
        st.none() | st.integers(0, 2**31),
        st.none() | st.integers(0, 2**31),
        st.none() | st.integers(0, 2**31),
        SETS,
        SETS,
        SETS,
    )
)
def test_a_selection_crosses_the_wire(selection: EventSelection) -> None:
    assert request_to_events(events_to_request(selection)) == selection


def selected(wanted: dict[str, set[str]]) -> EventSelection:
    return EventSelection(**{name: frozenset(values) for name, values in wanted.items()})  # type: ignore[arg-type]


def test_filters() -> None:
    record = EventRecord(1, 1.0, "job", "die", "box", "id1")
    every: dict[str, set[str]] = {}
    for wanted in (every, {"types": {"job", "x"}}, {"containers": {"id1"}}, {"containers": {"box"}, "events": {"die"}}):
        assert selected(wanted).wants(record)
    for wanted in ({"types": {"container"}}, {"containers": {"other"}}, {"types": {"job"}, "events": {"start"}}):
        assert not selected(wanted).wants(record)
