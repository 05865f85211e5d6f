"""warden.records against the standard library's dataclasses: the same class through both, the same behaviour."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
from typing import Any, ClassVar

import msgspec
import pytest

from warden import records
from warden.model.spec import ContainerSpec

# the runtime half: type checkers see the standard library's names
ours: Any = records
MAKERS = [pytest.param(dataclasses, id="standard"), pytest.param(ours, id="ours")]


def plain(module: Any, **options: bool) -> Any:
    @module.dataclass(**options)  # type: ignore[untyped-decorator, unused-ignore]
    class Point:
        KIND: ClassVar[str] = "point"
        x: int
        y: int = 2
        tags: list[str] = module.field(default_factory=list)
        note: str = module.field(default="", compare=False, repr=False)
        total: int = module.field(init=False, default=0)

        def __post_init__(self) -> None:
            object.__setattr__(self, "total", self.x + self.y)

    Point.__qualname__ = "Point"
    return Point


@records.dataclass(frozen=True, slots=True)
class Base:
    a: int
    b: str = "b"


@records.dataclass(frozen=True, slots=True)
class Derived(Base):
    c: tuple[int, ...] = ()


@pytest.mark.parametrize("module", MAKERS)
@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"slots": True}, {"frozen": True, "slots": True}], ids=str)
@pytest.mark.parametrize("before", [0, 100], ids=["shared-init", "own-init"])
class TestBoth:
    @pytest.fixture
    def point(self, module: Any, options: dict[str, bool], before: int) -> Any:
        made = plain(module, **options)
        for _ in range(before):
            made(1)
        return made

    def test_arguments(self, point: Any) -> None:
        assert (point(1).x, point(1).y, point(1, 5).y, point(x=3).x, point(1, tags=["a"]).tags) == (1, 2, 5, 3, ["a"])
        assert point(1).tags is not point(1).tags
        assert point(4, 5).total == 9

    @pytest.mark.parametrize("wrong", [{}, {"x": 1, "z": 2}, {"x": 1, "total": 2}, {"x": 1, "KIND": 2}], ids=str)
    def test_wrong_arguments(self, point: Any, wrong: dict[str, int]) -> None:
        with pytest.raises(TypeError, match=r"missing|unexpected"):
            point(**wrong)

    def test_positional_too_many_or_twice(self, point: Any) -> None:
        with pytest.raises(TypeError, match="positional"):
            point(1, 2, [], "", 5)
        with pytest.raises(TypeError, match="multiple"):
            point(1, x=2)

    def test_equality_and_text(self, point: Any) -> None:
        assert point(1, note="a") == point(1, note="b") != point(2)
        assert point(1) != (1, 2, [], "", 3)
        assert repr(point(1, note="n")) == "Point(x=1, y=2, tags=[], total=3)"
        assert point.__match_args__ == ("x", "y", "tags", "note")

    def test_frozen(self, point: Any, options: dict[str, bool]) -> None:
        one = point(1)
        if options.get("frozen"):
            with pytest.raises(AttributeError, match="cannot assign to field 'x'"):
                one.x = 5
            with pytest.raises(AttributeError, match="cannot delete field 'x'"):
                del one.x
        else:
            one.x = 5
            assert one.x == 5

    def test_hash(self, point: Any, options: dict[str, bool]) -> None:
        if options.get("frozen"):
            assert hash(point(1, tags=())) == hash(point(1, tags=(), note="other"))
        else:
            with pytest.raises(TypeError, match="unhashable"):
                hash(point(1))

    def test_slots(self, point: Any, options: dict[str, bool]) -> None:
        assert hasattr(point(1), "__dict__") is not bool(options.get("slots"))

    def test_helpers(self, point: Any, module: Any) -> None:
        one = point(1, tags=["a"])
        assert module.replace(one, y=7) == point(1, 7, ["a"])
        assert module.asdict(one) == {"x": 1, "y": 2, "tags": ["a"], "note": "", "total": 3}
        assert [each.name for each in module.fields(point)] == ["x", "y", "tags", "note", "total"]
        assert module.is_dataclass(one) and not module.is_dataclass(3)

    def test_standard_library_knows_it(self, point: Any) -> None:
        one = point(1, tags=["a"])
        assert dataclasses.is_dataclass(one)
        assert dataclasses.replace(one, x=4).total == 6
        assert dataclasses.asdict(one)["tags"] == ["a"]
        assert dataclasses.fields(point)[2].default_factory is list
        assert [*inspect.signature(point).parameters] == ["x", "y", "tags", "note"]


def test_a_derived_class_has_its_bases_fields_and_may_be_copied() -> None:
    for _ in range(100):
        one = Derived(1, c=(2,))
    assert repr(one) == "Derived(a=1, b='b', c=(2,))"
    assert one != Base(1)
    assert copy.deepcopy(one) == copy.copy(one) == one == pickle.loads(pickle.dumps(one))
    match one:
        case Derived(a, b, c):
            assert (a, b, c) == (1, "b", (2,))


def test_a_base_that_was_compiled_leaves_the_derived_class_its_own_fields() -> None:
    for _ in range(100):
        Base(1)
    assert Derived(1, "x", (3,)).c == (3,)


def test_a_class_may_have_an_init_repr_and_eq_of_its_own() -> None:
    @records.dataclass(slots=True)
    class Own:  # noqa: PLW1641
        a: int

        def __init__(self) -> None:
            self.a = 7

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return True

    for _ in range(100):
        assert (Own().a, repr(Own()), Own() == 3) == (7, "mine", True)


def test_asdict_goes_into_what_it_holds() -> None:
    assert records.asdict(Derived(1, c=(1,))) == {"a": 1, "b": "b", "c": (1,)}
    spec = ContainerSpec(handle="h")
    assert records.asdict(spec) == dataclasses.asdict(spec)


@pytest.mark.parametrize("module", MAKERS)
@pytest.mark.parametrize("before", [0, 100], ids=["shared-init", "own-init"])
@pytest.mark.parametrize("options", [{}, {"slots": True}, {"frozen": True, "slots": True}], ids=str)
def test_a_default_without_an_argument_for_it(module: Any, options: dict[str, bool], before: int) -> None:
    @module.dataclass(**options)  # type: ignore[untyped-decorator, unused-ignore]
    class One:
        a: int = module.field(compare=False)
        b: int = module.field(init=False, default=3)

    made: Any = One
    for _ in range(before):
        made(1)
    assert (made(1).b, made(1) == made(2), repr(made(1)).endswith("One(a=1, b=3)")) == (3, True, True)


@pytest.mark.parametrize("module", MAKERS)
def test_how_many_fields_are_compared(module: Any) -> None:
    def made(*, compare: bool) -> Any:
        @module.dataclass(frozen=True, slots=True)  # type: ignore[untyped-decorator, unused-ignore]
        class One:
            a: Any = module.field(compare=compare)

        return One

    nothing, single = made(compare=False), made(compare=True)
    assert nothing(1) == nothing(2)
    assert len({nothing(1), nothing(2)}) == 1
    assert single((1,)) == single((1,)) != single((2,))
    assert len({single((1,)), single((1,)), single((2,))}) == 2
    assert nothing(1) != single(1)


@pytest.mark.parametrize("module", MAKERS)
def test_what_is_no_class(module: Any) -> None:
    @module.dataclass  # type: ignore[untyped-decorator, unused-ignore]
    class First:
        a: int = 1

    with pytest.raises(TypeError, match="default"):

        @module.dataclass  # type: ignore[untyped-decorator, unused-ignore]
        class Second(First):
            b: int

    with pytest.raises(ValueError, match="mutable default"):

        @module.dataclass  # type: ignore[untyped-decorator, unused-ignore]
        class Third:
            a: list[int] = []  # noqa: RUF012


def test_threads_that_make_the_first_ones_at_the_same_instant() -> None:
    for _ in range(20):
        made = plain(ours, frozen=True, slots=True)
        start = threading.Barrier(8)
        found: list[Any] = []

        def work(point: Any = made, start: threading.Barrier = start, found: list[Any] = found) -> None:
            start.wait()
            found += [point(number, tags=()) for number in range(50)]

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(one.total - 2 for one in found) == sorted([*range(50)] * 8)


def test_msgspec_reads_into_them() -> None:
    assert msgspec.convert({"a": 1, "c": [2]}, Derived) == Derived(1, "b", (2,))


def test_importing_the_model_compiles_nothing() -> None:
    program = "import sys; import warden.model.spec; sys.exit('dataclasses' in sys.modules or 'inspect' in sys.modules)"
    assert subprocess.run([sys.executable, "-I", "-c", program], check=False).returncode == 0
