"""Configurations that are wrong, and the sentence for each: file, line, key, what is wrong, what to do.

WARDEN_WRITE_GOLDEN=1 writes tests/lxc/errors/*.txt anew; look at the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from warden.errors import ConfigError
from warden.lxc.configfile import DEEPEST, MOST_BYTES, parse_define
from warden.lxc.fstab import read_fstab
from warden.lxc.reading import load
from warden.lxc.translate import translate

HERE = Path(__file__).parent / "errors"
WRITE = os.environ.get("WARDEN_WRITE_GOLDEN") == "1"
WRONG = sorted(path.stem for path in HERE.glob("*.conf"))


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


@pytest.mark.parametrize("name", WRONG)
def test_the_sentence_for(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        translate(load(f"{name}.conf"), name)
    text = str(caught.value).replace(str(HERE), "HERE") + "\n"
    file = HERE / f"{name}.txt"
    if WRITE:
        file.write_text(text)
    assert file.read_text() == text


def test_every_sentence_has_a_configuration() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == set(WRONG)


@pytest.mark.parametrize("name", WRONG)
def test_every_sentence_has_its_place(name: str) -> None:
    text = (HERE / f"{name}.txt").read_text()
    file, line, rest = text.split(":", 2)
    assert file.startswith(name.removesuffix("-2"))
    assert line.isdecimal()
    assert rest.strip()


def test_a_definition_is_named_by_what_was_typed() -> None:
    with pytest.raises(ConfigError, match=r"^-s lxc\.tty=x: lxc\.tty: 'x' is not a whole number"):
        load(os.devnull, [("lxc.tty", "x")])


@pytest.mark.parametrize("text", ["lxc.tty", "=4", ""])
def test_a_definition_needs_key_and_value(text: str) -> None:
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_define(text)


def test_includes_are_bounded(tmp_path: Path) -> None:
    for number in range(DEEPEST + 2):
        (tmp_path / f"{number}").write_text(f"lxc.include = {tmp_path}/{number + 1}\n")
    with pytest.raises(
        ConfigError, match=rf"{DEEPEST - 1}:1: lxc\.include: .*: more than {DEEPEST} levels of includes"
    ):
        load(str(tmp_path / "0"))


def test_a_file_that_includes_another_twice_often_ends(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}").write_text(f"lxc.include = {tmp_path}/{number + 1}\n" * 2)
    (tmp_path / "12").write_text("")
    with pytest.raises(ConfigError, match="more than 1000 files of includes"):
        load(str(tmp_path / "0"))


def test_a_file_that_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(ConfigError, match="is larger than"):
        load(str(tmp_path / "large"))
    with pytest.raises(ConfigError, match="nothing: cannot be read: No such file or directory"):
        load(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(str(tmp_path))


def test_an_fstab_with_an_error_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "fstab").write_text("# fine\nproc proc proc\n\nonly two\n")
    with pytest.raises(ConfigError, match=r"fstab:4: 'only two' is not a line of fstab"):
        read_fstab(str(tmp_path / "fstab"))
