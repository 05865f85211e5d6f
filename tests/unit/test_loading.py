"""Modules that our finder loads are those that the interpreter's would load, whatever lies beside them."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys, warden
sys.path.insert(0, {place!r})
from warden.loading import Finder
sys.meta_path.insert(0, Finder("boxes"))
import boxes
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """One with a module, a package and a module in that, compiled."""
    root = tmp_path / "boxes"
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "plain.py").write_text("VALUE = 1\ndef shout():\n    return 'plain'\n")
    (root / "inner" / "__init__.py").write_text("VALUE = 2\n")
    (root / "inner" / "deep.py").write_text("VALUE = 3\n")
    for source in root.rglob("*.py"):
        py_compile.compile(str(source), doraise=True)
    return root


def told(package: Path, statements: str, *flags: str) -> str:
    program = CODE.format(place=str(package.parent)) + statements
    done = subprocess.run(
        [sys.executable, "-B", *flags, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    return (done.stdout + done.stderr).strip()


def test_modules_and_packages(package: Path) -> None:
    statements = "import boxes.plain, boxes.inner.deep as deep, inspect\nimport boxes.inner as inner\n"
    statements += "print(boxes.plain.VALUE, inner.VALUE, deep.VALUE, type(deep.__loader__).__module__)\n"
    statements += "print(deep.__file__, deep.__cached__, inner.__path__, deep.__package__)\n"
    statements += "print(inspect.getsource(boxes.plain.shout))"
    cached = package / "inner" / "__pycache__" / f"deep.{sys.implementation.cache_tag}.pyc"
    assert told(package, statements).splitlines()[:2] == [
        "1 2 3 warden.loading",
        f"{package}/inner/deep.py {cached} ['{package}/inner'] boxes.inner",
    ]
    assert "return 'plain'" in told(package, statements)


def spoilt(data: bytes, how: str) -> bytes:
    return {"cut": data[:30], "head": data[:7], "empty": b"", "other version": b"\0\0\r\n" + data[4:], "noise": data[:16] + b"?"}[how]


@pytest.mark.parametrize("how", ["cut", "head", "empty", "other version", "noise"])
def test_compiled_code_that_is_none(package: Path, how: str) -> None:
    [cached] = (package / "__pycache__").glob("plain.*")
    cached.write_bytes(spoilt(cached.read_bytes(), how))
    found = told(package, "import boxes.plain\nprint(boxes.plain.VALUE)")
    with_interpreters = told(package, "sys.meta_path.pop(0)\nimport boxes.plain\nprint(boxes.plain.VALUE)")
    assert found.splitlines()[-1] == with_interpreters.splitlines()[-1]


@pytest.mark.parametrize("size", ["same", "other"])
def test_a_source_that_was_changed(package: Path, size: str) -> None:
    source = package / "plain.py"
    source.write_text(source.read_text().replace("VALUE = 1", "VALUE = 7" if size == "same" else "VALUE = 700"))
    os.utime(source, (1_000_000, 1_000_000) if size == "same" else None)
    assert told(package, "import boxes.plain\nprint(boxes.plain.VALUE)") == ("7" if size == "same" else "700")


def test_one_that_was_never_compiled_and_one_that_is_not_there(package: Path) -> None:
    (package / "late.py").write_text("VALUE = 9\n")
    assert told(package, "import boxes.late\nprint(boxes.late.VALUE)") == "9"
    assert "No module named 'boxes.nothing'" in told(package, "import boxes.nothing")


def test_below_O_the_interpreter_finds() -> None:
    code = "from warden import loading; import sys; loading.prefer(); print(isinstance(sys.meta_path[0], loading.Finder))"
    for flags, expected in (((), "True"), (("-O",), "False"), (("-X", "pycache_prefix=/nowhere"), "False")):
        done = subprocess.run([sys.executable, "-B", *flags, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
