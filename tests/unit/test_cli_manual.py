"""Completion and manual pages know what the parsers know."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from warden.cli import manual
from warden.cli.main import main
from warden.cli.options import ARGUMENTS


def test_every_command_and_flag_is_completed() -> None:
    script = manual.bash_completion()
    for name, command in manual.commands().items():
        line = next(line for line in script.splitlines() if line.startswith(f"    {name}) flags="))
        for row in command.arguments:
            for flag in ARGUMENTS[row][0]:
                assert flag in line.split('"')[1].split()


def complete(*words: str, path: str = "/usr/bin:/bin") -> list[str]:
    """What bash offers for the last of *words*."""
    program = f"{manual.bash_completion()}\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($#-1)); _warden; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", program, "-", *words], capture_output=True, text=True, check=True, env={"PATH": path})
    return done.stdout.split()


def test_bash_completes() -> None:
    assert complete("warden", "des") == ["destroy"]
    assert complete("warden", "run", "--tim") == ["--timeout"]
    assert "--network" in complete("warden", "create", "--n")


def test_a_handle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """compgen -W expands its words, and a client names its containers as it likes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "warden").write_text("#!/bin/sh\necho '$(touch${IFS}hacked)'; echo web\n")
    (tmp_path / "warden").chmod(0o755)
    offered = complete("warden", "destroy", "", path=f"{tmp_path}:/usr/bin:/bin")
    assert offered == ["\\$\\(touch\\$\\{IFS\\}hacked\\)", "web"]
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("name", list(manual.commands()))
def test_manual_pages_are_whole(name: str) -> None:
    page = manual.man_page(name)
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"):
        assert f".SH {heading}\n" in page
    if groff := shutil.which("groff"):
        done = subprocess.run([groff, "-man", "-Tutf8", "-wmac"], input=page, capture_output=True, text=True, check=True)
        assert done.stderr == ""


def test_an_unknown_page_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man", "nothing"]) == 2
    assert "no page for 'nothing'" in capsys.readouterr().err
