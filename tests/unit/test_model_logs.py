"""Moments as people write them, and what of a log is wanted."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.errors import BadInput
from warden.model.job import Chunk
from warden.model.logs import LogPlace, LogSelection, format_moment, parse_moment
from warden.protocol.convert_logs import (
    piece_to_response,
    request_to_selection,
    response_to_piece,
    selection_to_request,
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1700000000", 1_700_000_000.0),
        ("1700000000.25", 1_700_000_000.25),
        ("10m", 5000 - 600),
        ("1h30m", 0),
        ("1.5s", 4998.5),
        ("0s", 5000),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000.123456),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000.0),
        ("1969-01-01T00:00:00Z", 0),
    ],
)
def test_moments(text: str, wanted: float) -> None:
    assert parse_moment(text, field="--since", now=5000.0) == pytest.approx(wanted)


def test_a_date_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    try:
        assert parse_moment("2023-11-14", field="--since") == 1_699_938_000
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "10x", "1e5", "99999-01-01", "١٢", "2023-13-01", "10m junk"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(BadInput, match="--until"):
        parse_moment(text, field="--until")


@given(st.integers(0, 4_000_000_000_000_000))
def test_a_moment_comes_back_as_it_was(micro: int) -> None:
    assert round(parse_moment(format_moment(micro / 1e6), field="x") * 1e6) == micro


def test_selections_are_checked() -> None:
    with pytest.raises(BadInput, match="stream"):
        LogSelection(stream="stdin")
    with pytest.raises(BadInput, match="tail"):
        LogSelection(tail=-1)


PLACES = st.builds(
    LogPlace,
    st.integers(0, 9),
    st.tuples(st.integers(0, 99), st.integers(0, 99)),
    st.tuples(st.booleans(), st.booleans()),
)


@given(
    st.builds(
        LogSelection,
        job=st.none() | st.integers(0, 99),
        follow=st.booleans(),
        lasting=st.booleans(),
        since=st.none() | st.integers(0, 2**32),
        until=st.none() | st.integers(0, 2**32),
        tail=st.none() | st.integers(0, 2**32),
        stream=st.sampled_from([None, "stdout", "stderr"]),
        places=st.none() | st.lists(PLACES, min_size=1).map(tuple),
    )
)
def test_a_selection_crosses_the_wire(selection: LogSelection) -> None:
    assert request_to_selection(selection_to_request("box", selection)) == selection


@given(
    st.builds(
        Chunk,
        st.sampled_from(["stdout", "stderr"]),
        st.binary(),
        st.integers(0, 2**31),
        st.integers(0, 99),
        st.integers(0, 9),
    )
)
def test_a_chunk_crosses_the_wire(chunk: Chunk) -> None:
    assert response_to_piece(piece_to_response(chunk)) == chunk


@given(st.lists(PLACES).map(tuple))
def test_places_cross_the_wire(places: tuple[LogPlace, ...]) -> None:
    assert response_to_piece(piece_to_response(places)) == places
