"""The tree of errors: its drawing, its codes, and what a client gets back from the wire."""

from __future__ import annotations

import copy
import errno
import pickle
import re

import pytest

from warden import errors
from warden.errors import ALL, BadInput, ConfigError, KernelRefused, UnknownHandle, UnknownJob, WardenError, from_code


def drawn_tree() -> dict[str, str]:
    """Class → base, read from the drawing in the module's docstring by its indentation."""
    found: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^((?:    | {4}│   )+)(?:[├└]── )?([A-Z]\w+)(?:  +\S.*)?$", line)
        if match is None:
            continue
        column = line.index(match[2])
        while stack and stack[-1][0] >= column:
            stack.pop()
        found[match[2]] = stack[-1][1] if stack else ""
        stack.append((column, match[2]))
    return found


def test_the_drawing_shows_every_class_below_its_base() -> None:
    real = {cls.__name__: "" if cls is WardenError else cls.__bases__[0].__name__ for cls in ALL}
    assert drawn_tree() == real


def test_all_lists_every_class_of_the_module_once() -> None:
    defined = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, WardenError)]
    assert sorted(ALL, key=repr) == sorted(defined, key=repr)


def test_codes_are_unique_and_said_by_the_class_itself() -> None:
    assert len({cls.code for cls in ALL}) == len(ALL)
    assert all("code" in vars(cls) and "exit_code" in vars(cls) for cls in ALL)


def test_exit_codes_are_unique_and_fit_a_process() -> None:
    assert len({cls.exit_code for cls in ALL}) == len(ALL)
    # 127 and up are the shell's own: not found, and 128 + signal.
    assert all(0 < cls.exit_code < 127 for cls in ALL)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_class_crosses_the_wire(cls: type[WardenError]) -> None:
    again = from_code(cls.code, "create box: no room")
    assert type(again) is cls
    assert (again.message, again.hint, str(again)) == ("create box: no room", "", "create box: no room")
    assert again.args == ("create box: no room",)


def test_an_unknown_code_is_a_plain_error() -> None:
    assert type(from_code("from_the_future", "x")) is WardenError


def test_what_a_class_promises_is_there_after_the_wire() -> None:
    refused = from_code("kernel", "mount /x: no")
    assert isinstance(refused, KernelRefused)
    assert (refused.operation, refused.target, refused.errno) == ("", "", 0)
    wrong = from_code("config", "a.yml:3: no")
    assert isinstance(wrong, ConfigError)
    assert (wrong.path, wrong.line, wrong.column) == ("", 0, 0)


def test_the_hint_is_told_with_the_message() -> None:
    error = BadInput("size: '1Q' is not a size", hint="a number with K")
    assert str(error) == "size: '1Q' is not a size (a number with K)"
    assert error.message == "size: '1Q' is not a size"


def test_the_kernel_s_refusal_names_operation_target_and_errno() -> None:
    error = KernelRefused("mount", "/dev/shm", errno.EPERM, hint="be root")
    assert str(error) == "mount /dev/shm: Operation not permitted [EPERM] (be root)"
    assert (error.operation, error.target, error.errno) == ("mount", "/dev/shm", errno.EPERM)


def test_a_refusal_without_object_or_errno_is_still_a_sentence() -> None:
    assert str(KernelRefused("fork", errno=errno.EAGAIN)) == "fork: Resource temporarily unavailable [EAGAIN]"
    assert str(KernelRefused("fork")) == "fork: failed"
    assert "[4095]" in str(KernelRefused("fork", errno=4095))


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "no such key"),
        ({"path": "a.yml"}, "a.yml: no such key"),
        ({"path": "a.yml", "line": 3}, "a.yml:3: no such key"),
        ({"path": "a.yml", "line": 3, "column": 7}, "a.yml:3:7: no such key"),
    ],
)
def test_a_config_error_names_its_place(place: dict[str, object], text: str) -> None:
    error = ConfigError("no such key", **place)  # type: ignore[arg-type]
    assert str(error) == text
    assert isinstance(error, BadInput)


def test_texts_that_clients_match() -> None:
    assert str(UnknownHandle()) == "unknown handle"
    assert str(UnknownJob()) == "no such job"


@pytest.mark.parametrize(
    "error",
    [KernelRefused("mount", "/x", errno.EIO, hint="h"), ConfigError("m", path="p", line=1), UnknownHandle(), BadInput("b")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_can_be_copied_and_pickled(error: WardenError) -> None:
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
