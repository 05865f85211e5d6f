"""light.py's stand-ins behave as the standard library's."""

from __future__ import annotations

import contextlib
import copy
import enum
import json
import os
import pickle
import socket
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from warden import light, plainjson
from warden.kernel import sockets


class Point(light.NamedTuple):
    """A point."""

    x: int
    y: int = 2
    name: str = ""

    @property
    def sum(self) -> int:
        return self.x + self.y


class RealPoint(typing.NamedTuple):
    x: int
    y: int = 2
    name: str = ""


class Colour(light.Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"
    CRIMSON = "red"

    @property
    def loud(self) -> str:
        return self.value.upper()


class Number(light.IntEnum):
    ONE = 1
    TWO = 2


class RealNumber(enum.IntEnum):
    ONE = 1
    TWO = 2


def outcome(function: Callable[[], object]) -> tuple[type, object]:
    """What it returns, or the kind of its error."""
    try:
        found = function()
    except Exception as error:
        return type(error), None
    return type(found) if not isinstance(found, (Point, RealPoint)) else tuple, found


@pytest.mark.parametrize(
    "work",
    [
        lambda cls: cls(1),
        lambda cls: cls(1, 3, "a"),
        lambda cls: cls(x=1, name="n"),
        lambda cls: cls(1, x=1),
        lambda cls: cls(),
        lambda cls: cls(1, 2, 3, 4),
        lambda cls: cls(1, z=4),
        lambda cls: cls(1)._replace(y=9),
        lambda cls: cls(1)._replace(z=9),
        lambda cls: cls(1)._asdict(),
        lambda cls: cls(1) == (1, 2, ""),
        lambda cls: cls(1) < cls(2),
        lambda cls: hash(cls(1)) == hash((1, 2, "")),
        lambda cls: cls._fields,
        lambda cls: cls.__match_args__,
        lambda cls: setattr(cls(1), "x", 2),
        lambda cls: setattr(cls(1), "other", 2),
        lambda cls: (lambda x, y, name: (y, x, name))(*cls(1)),
    ],
)
def test_named_tuple(work: Callable[[Any], object]) -> None:
    assert outcome(lambda: work(Point)) == outcome(lambda: work(RealPoint))


def test_named_tuple_has_its_methods_and_can_be_kept() -> None:
    point = Point(1, 5, "here")
    assert (point.sum, point.x, Point.__doc__) == (6, 1, "A point.")
    assert repr(point) == "Point(x=1, y=5, name='here')"
    assert pickle.loads(pickle.dumps(point)) == copy.deepcopy(point) == point
    match point:
        case Point(x, y):
            assert (x, y) == (1, 5)


def test_enum() -> None:
    assert [each.name for each in Colour] == ["RED", "BLUE"] and len(Colour) == 2
    assert Colour("red") is Colour.RED is Colour["RED"] is Colour.CRIMSON is Colour(Colour.RED)
    assert (Colour.RED.value, Colour.BLUE.name, Colour.RED.loud) == ("red", "BLUE", "RED")
    assert (repr(Colour.RED), str(Colour.RED)) == ("<Colour.RED: 'red'>", "Colour.RED")
    assert Colour.RED != Colour.BLUE and Colour.RED != "red" and {Colour.RED: 1}[Colour.RED] == 1
    assert copy.deepcopy(Colour.RED) is Colour.RED is pickle.loads(pickle.dumps(Colour.RED))
    assert Colour.RED in Colour and list(Colour.__members__) == ["RED", "BLUE", "CRIMSON"]
    with pytest.raises(ValueError, match="'green' is not a valid Colour"):
        Colour("green")
    with pytest.raises(ValueError, match="not a valid"):
        Colour([])  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        Colour.RED = "x"  # type: ignore[misc]


def test_int_enum() -> None:
    for one, two in (Number.ONE, Number.TWO), (RealNumber.ONE, RealNumber.TWO):
        assert (one + two, f"{one}", str(two), one == 1, two.name, sorted([two, one])[0]) == (3, "1", "2", True, "TWO", one)
        assert {1: "x"}[one] == "x" and isinstance(one, int)


class Failed(Exception):
    pass


def managed(kind: Any, does: str) -> Any:
    """A context manager by *kind*'s decorator that does something with what is raised in its block."""

    @kind.contextmanager
    def made() -> Iterator[str]:
        """Its text."""
        if does == "no yield":
            return
        try:
            yield "value"
        except Failed:
            if does == "swallow":
                return
            if does == "replace":
                raise KeyError("other") from None
            raise
        if does == "twice":
            yield "again"

    return made


@pytest.mark.parametrize("does", ["pass", "swallow", "replace", "twice", "no yield"])
@pytest.mark.parametrize("raised", [None, Failed("x"), StopIteration(), KeyboardInterrupt()])
def test_context_manager(does: str, raised: BaseException | None) -> None:
    def work(kind: Any) -> object:
        try:
            with managed(kind, does)() as value:
                if raised is not None:
                    raise raised
            return value
        except BaseException as error:
            return type(error), str(error)

    assert work(light) == work(contextlib)


def test_context_manager_keeps_its_name() -> None:
    made = managed(light, "pass")
    assert (made.__name__, made.__doc__) == ("made", "Its text.")


def test_suppress() -> None:
    with light.suppress(KeyError, OSError):
        raise FileNotFoundError
    with pytest.raises(ValueError), light.suppress(KeyError):
        raise ValueError
    with light.suppress(KeyError) as nothing:
        assert nothing is None


def test_what_is_late_comes_when_it_is_used() -> None:
    code = """
import sys
from warden.light import late, logger, pattern
re, found, log = late("re"), pattern("a+", 2), logger("x")
assert not {"re", "logging"} & set(sys.modules)
assert found.fullmatch("AAA") and "re" in sys.modules and "logging" not in sys.modules
assert re.fullmatch("b", "b")
log.info("nothing")
assert "logging" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_it_brings_nothing() -> None:
    code = "import sys; before = set(sys.modules); import warden.light; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"__future__", "_collections", "warden", "warden.light"}


@pytest.mark.parametrize("value", [None, True, -1, 1.5, 10**40, "a\udc80é\n\"", [], {}, [1, (2, "x")], {"a": {"b": []}, "c": ""}])
def test_plain_json_is_json(value: object) -> None:
    assert plainjson.dumps(value) == json.dumps(value)
    assert plainjson.loads(f" {json.dumps(value)}\n") == json.loads(json.dumps(value))


@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", "1 2", '{"a":}', "nul", '{"a" 1}', "'a'"])
def test_plain_json_refuses_what_json_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        json.loads(text)
    with pytest.raises(ValueError):
        plainjson.loads(text)
    with pytest.raises(TypeError):
        plainjson.dumps({text: object()})


def test_sockets_are_sockets(tmp_path: Path) -> None:
    one, other = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    with one, other:
        one.send(b"word")
        assert other.recv(10) == b"word" and not os.get_inheritable(one.fileno())
    assert one.fileno() == other.fileno() == -1
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))
            accepted, _ = listener.accept()
            with accepted:
                client.sendall(b"x")
                assert accepted.recv(1) == b"x"
