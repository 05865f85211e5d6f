"""The benchmark's table: every figure, ratios to the right floor, reasons for what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pytest

from bench.report import format_table, number, render, unit_of
from bench.stats import figure

FLOOR = {"of": "network, user namespace", "create_ms": figure([2.0]), "life_ms": figure([4.0]), "variants": {}}


def cells_of(text: str, start: str) -> list[str]:
    """The words of the first line that begins with *start*, after it."""
    line = next(line for line in text.splitlines() if line.startswith(start))
    return line.removeprefix(start).split()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("life_ms", ("life", "ms")),
        ("stream_mb_s", ("stream", "MB/s")),
        ("wardend_rss_kib", ("wardend rss", "KiB")),
        ("ping_us", ("ping", "µs")),
        ("veth_sleep_gbit_s", ("veth sleep", "Gbit/s")),
        ("port_into_bridge_of_veth", ("port into bridge", "× veth")),
    ],
)
def test_a_name_ends_in_its_unit(name: str, expected: tuple[str, str]) -> None:
    assert unit_of(name) == expected


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0.123, 12.34, 1234.5)] == ["0.12", "12.3", "1234"]


def test_columns_line_up() -> None:
    lines = format_table([("", "p50", "unit"), ("life", "1.00", "ms"), ("a longer name", "100", "ms")]).splitlines()
    assert [line.index("ms") for line in lines[1:]] == [lines[1].index("ms")] * 2
    assert lines[2].startswith("a longer name")


def test_a_life_is_compared_with_a_life_and_creating_with_creating() -> None:
    text = render({"floor": FLOOR, "warden": {"create_ms": figure([10.0]), "run_ms": figure([1.0])}})
    assert cells_of(text.split("warden", 1)[1], "  create")[-1] == "5.00"
    assert cells_of(text, "  run")[-1] == "0.25"


def test_memory_and_rates_have_no_ratio() -> None:
    text = render({"floor": FLOOR, "warden": {"wshd_rss_kib": figure([300.0]), "stream_mb_s": figure([900.0])}})
    assert cells_of(text, "  wshd rss") == ["300", "300", "300", "KiB"]
    assert cells_of(text, "  stream") == ["900", "900", "900", "MB/s"]


def test_each_scale_is_compared_with_the_floor_of_its_own_time() -> None:
    scale = {"100": {"floor": {"life_ms": figure([8.0])}, "life_ms": figure([16.0])}}
    text = render({"floor": FLOOR, "scale": scale})
    assert cells_of(text.split("100 containers alive")[1], "  life")[-1] == "2.00"


def test_a_peer_that_refuses_is_named_with_its_reason() -> None:
    text = render({"floor": FLOOR, "peers": {"crun": {"without": "network", "refused": "refused: hybrid cgroups"}}})
    assert "crun (not measured)" in text
    assert "- crun: refused: hybrid cgroups" in text


def test_what_a_peer_leaves_out_is_said() -> None:
    text = render({"floor": FLOOR, "peers": {"bubblewrap": {"without": "cgroups", "life_ms": figure([6.0])}}})
    assert cells_of(text.split("bubblewrap", 1)[1], "  life")[-1] == "1.50"
    assert "- bubblewrap: without cgroups" in text


def test_without_a_floor_there_are_figures_but_no_ratios() -> None:
    text = render({"warden": {"life_ms": figure([10.0])}})
    assert cells_of(text, "  life") == ["10.0", "10.0", "10.0", "ms"]


def test_lxc_s_tools_are_compared_tool_by_tool() -> None:
    ours = {"start_ms": {"p50": 20.0, "p90": 22.0, "min": 18.0}}
    theirs = {"start_ms": {"p50": 5.0, "p90": 6.0, "min": 4.0}}
    lines = render({"lxc": {"ours": ours, "lxc": {**theirs, "refused": "refused: for a reason"}}}).splitlines()
    assert [line.split() for line in lines if "start" in line] == [
        ["start", "20.0", "22.0", "18.0", "ms", "4.00"],
        ["start", "5.00", "6.00", "4.00", "ms"],
    ]
    assert "- lxc tools: LXC's own: refused: for a reason" in lines


def test_the_network_is_compared_with_a_veth_and_not_with_the_floor() -> None:
    text = render(
        {"floor": FLOOR, "network": {"bridge_of_veth": figure([0.9321]), "create_bridge_adds_ms": figure([1.0])}}
    )
    assert cells_of(text, "  bridge ") == ["0.932", "0.932", "0.932", "×", "veth"]
    assert cells_of(text, "  create bridge adds") == ["1.00", "1.00", "1.00", "ms"]
