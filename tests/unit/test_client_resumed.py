"""What a client asks after a break: the place reached, no more and no less. Pure, and over a server that is cut off."""

from __future__ import annotations

from typing import Any

import pytest

from warden.client.resumed import Patience, events_of, logs_of, wait_for
from warden.errors import BadInput, UnknownHandle, Unreachable
from warden.model.events import EventRecord
from warden.model.job import Chunk, JobResult, Verdict
from warden.model.logs import LogPlace
from warden.protocol import convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_events import record_to_response
from warden.protocol.convert_logs import piece_to_response, request_to_selection

LOST = Unreachable("lost")


def asked(wanted: Any) -> Any:
    wanted.asked = True
    return wanted.request()[1]


def test_logs_go_on_where_they_were() -> None:
    wanted = logs_of("box", None, {"tail": 3, "stream": "stdout", "lasting": True, "until": 9.0}, follow=True)
    assert asked(wanted).tail == 3
    assert wanted.survives(LOST), "nothing was passed on yet: it is asked again from the beginning"
    assert wanted.take(piece_to_response((LogPlace(1, (10, 20), (True, True)), LogPlace(2, (5, 5))))) is None
    chunk = Chunk("stdout", b"abc", 1.0, 14, 1)
    assert wanted.take(piece_to_response(chunk)) == chunk
    assert wanted.take(piece_to_response(Chunk("stderr", b"z", 1.0, 0, 3))) is not None
    assert wanted.survives(LOST)
    again = request_to_selection(asked(wanted))
    assert (again.tail, again.since, again.until, again.stream, again.lasting) == (None, None, 9.0, "stdout", True)
    assert again.places == (LogPlace(1, (17, 20), (False, True)), LogPlace(2, (5, 5)), LogPlace(3, (0, 1)))
    assert wanted.survives(UnknownHandle())
    assert wanted.over, "it was destroyed while nobody could say so"


def test_logs_that_are_not_followed_or_of_one_job_do_not_survive_everything() -> None:
    wanted = logs_of("box", None, {}, follow=False)
    assert not wanted.survives(LOST), "there was no daemon"
    asked(wanted)
    wanted.take(piece_to_response(Chunk("stdout", b"abc", 1.0, 0, 1)))
    assert not wanted.survives(LOST)
    wanted = logs_of("box", 1, {}, follow=True)
    asked(wanted)
    wanted.take(piece_to_response(()))
    assert wanted.survives(LOST)
    assert not wanted.survives(UnknownHandle())
    wanted.take(pb.LogsResponse(end=True))
    assert wanted.over


def test_a_follower_of_nothing_yet_takes_up_all_that_came_meanwhile() -> None:
    wanted = logs_of("box", None, {"tail": 0, "lasting": True}, follow=True)
    wanted.take(piece_to_response(()))
    again = request_to_selection(asked(wanted))
    assert (again.tail, again.places) == (None, None)


def test_events_go_on_behind_the_last() -> None:
    wanted = events_of({"since": "1970-01-01T00:00:05Z", "types": ["job"]})
    assert (asked(wanted).since_us, list(asked(wanted).types)) == (5_000_000, [b"job"])
    assert wanted.take(pb.EventsResponse(seq=7)) is None
    assert asked(wanted).after == 7
    record = EventRecord(9, 1.0, "job", "die")
    assert wanted.take(record_to_response(record)) == record
    assert (asked(wanted).after, asked(wanted).HasField("since_us")) == (9, False)
    assert wanted.survives(LOST)
    wanted.take(pb.EventsResponse(end=True))
    assert wanted.over


def test_waiting_stays_with_its_job() -> None:
    wanted = wait_for("box", None, "next-exit", "1h")
    first = asked(wanted)
    assert (first.HasField("job_id"), first.condition) == (False, b"next-exit")
    assert 3_590_000 < first.timeout_ms <= 3_600_000
    wanted.take(pb.WaitResponse(job_id=4))
    assert (asked(wanted).job_id, asked(wanted).condition) == (4, b"not-running")
    last = pb.WaitResponse(end=True)
    convert.fill_result(last, JobResult(3, Verdict.EXITED))
    result = wanted.take(last)
    assert result is not None
    assert result.exit_status == 3
    assert wanted.over
    timed = wait_for("box", 4, "removed", None)
    timed.take(pb.WaitResponse(job_id=4))
    assert asked(timed).condition == b"removed"
    assert timed.take(pb.WaitResponse(end=True, timed_out=True)) is None
    with pytest.raises(BadInput, match="condition"):
        wait_for("box", None, "soon", None)


def test_patience_ends() -> None:
    patient = Patience(60)
    assert patient.pause(LOST) > 0
    with pytest.raises(Unreachable):
        Patience(0).pause(LOST)
