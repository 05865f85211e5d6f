"""`warden cp`: which side is which."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cli_fakes import FakeClient, World

from warden.cli import connect
from warden.cli.copying import split_place
from warden.cli.main import main
from warden.errors import BadInput


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(containers=["box"])
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0, "every client is closed"


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("box:/a:b", ("box", "/a:b")),
        ("box:", ("box", "")),
        ("a/b", ("", "a/b")),
        ("/a:b", ("", "/a:b")),
        ("./a:b", ("", "./a:b")),
        ("..", ("", "..")),
    ],
)
def test_a_place_is_in_a_container_or_not(word: str, place: tuple[str, str]) -> None:
    assert split_place(word) == place


def test_a_colon_in_front() -> None:
    with pytest.raises(BadInput, match="a handle is missing"):
        split_place(":a")


def test_in_and_out(world: World) -> None:
    assert main(["cp", "app/", "box:app"]) == 0
    assert main(["cp", "box:/tmp/x", "."]) == 0
    assert main(["cp", "--owner", "nobody:", "box:/tmp/x", "/y"]) == 0
    assert world.calls == [
        ("copy_in", "box", "app/", "app"),
        ("copy_out", "box", "/tmp/x", ".", None),
        ("copy_out", "box", "/tmp/x", "/y", "nobody:"),
    ]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["a", "b"], "neither is in a container"),
        (["box:a", "box:b"], "both are in containers"),
        (["--owner", "x", "a", "box:b"], "belongs to vcap"),
        (["box:a"], "required: DST"),
    ],
)
def test_what_makes_no_sense(world: World, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cp", *words]) == 2
    assert problem in capsys.readouterr().err
    assert world.calls == []
