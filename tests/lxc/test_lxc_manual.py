"""Manual pages and completion know what the tools' parsers and the table of keys know; every tool has examples."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from warden.lxc import examples, keys, manual
from warden.lxc.networks import SUB_KEYS

ROOT = Path(__file__).parents[2]
TOOLS = manual.tools()


def installed() -> dict[str, str]:
    scripts: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["warden"]["scripts"]
    return {name: place for name, place in scripts.items() if name.startswith("lxc-")}


def test_every_tool_is_installed_under_its_own_name_and_has_examples() -> None:
    assert sorted(TOOLS) == sorted(installed()) == sorted(examples.EXAMPLES)
    for name, place in installed().items():
        assert place == f"warden.lxc.tools.{name.removeprefix('lxc-').replace('-', '_')}:main"
        assert TOOLS[name].tool == name
        for line in examples.EXAMPLES[name].split("\n"):
            assert name in line.split()[:2]
    assert set(examples.CODES) <= set(TOOLS)


@pytest.mark.parametrize("name", [name for name in TOOLS if name not in manual._PLAIN])
def test_examples_can_be_parsed_and_the_help_has_them(name: str) -> None:
    import shlex

    for line in examples.EXAMPLES[name].split("\n"):
        words = shlex.split(line.partition(" > ")[0])
        assert words.pop(0) == name
        TOOLS[name].parse(words)
    text = TOOLS[name].help()
    assert text.endswith(examples.examples_of(name))
    assert all(f"-{option.short}, --{option.long}" in text for option in TOOLS[name].all if option.short)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff formats the pages")
@pytest.mark.parametrize("name", [*TOOLS, manual.CONFIG_PAGE])
def test_a_page_is_well_formed(name: str) -> None:
    text = manual.config_page() if name == manual.CONFIG_PAGE else manual.man_page(TOOLS[name])
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=text, capture_output=True, text=True, check=True)
    assert not done.stderr
    assert ".SH EXAMPLES\n" in text


def test_the_page_of_keys_has_every_key() -> None:
    text = manual.config_page()
    for key in keys.KEYS:
        assert f".B {key.name}".replace("-", "\\-") in text
    for sub in SUB_KEYS:
        assert f".B lxc.net.N.{sub.name}\n" in text


def complete(line: str, folder: Path) -> list[str]:
    words = line.split(" ")
    script = manual.bash_completion() + 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _warden_lxc; printf "%s\\n" "${COMPREPLY[@]}"'
    environ = {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True, env=environ, cwd=folder
    )
    assert not done.stderr
    return done.stdout.split()


def test_completion(tmp_path: Path) -> None:
    (tmp_path / "lxc-ls").write_text("#!/bin/sh\necho web; echo db\n")
    (tmp_path / "lxc-ls").chmod(0o755)
    assert complete("lxc-stop -n w", tmp_path) == ["web"]
    assert complete("lxc-stop d", tmp_path) == ["db"]
    assert complete("/usr/bin/lxc-stop --no", tmp_path) == ["--nowait", "--nolock", "--nokill"]
    assert complete("lxc-wait -s FR", tmp_path) == ["FREEZING", "FROZEN"]
    assert complete("lxc-info -c lxc.uts", tmp_path) == ["lxc.uts.name"]
    assert complete("lxc-create -t bu", tmp_path) == ["busybox"]
    assert complete("lxc-wait --state = FR", tmp_path) == ["FREEZING", "FROZEN"]  # as bash splits it
    assert complete("lxc-attach web -- lxc-", tmp_path) == ["lxc-ls"]
    assert complete("lxc-config -", tmp_path) == ["-l", "--help"]
    for name, tool in TOOLS.items():
        flags = complete(f"{name} -", tmp_path)
        assert all(f"--{option.long}" in flags for option in tool.options if option.long)


def test_a_name_is_never_run_and_the_lxcpath_is_the_one_on_the_line(tmp_path: Path) -> None:
    """compgen -W expands its words; somebody else may have named the container."""
    (tmp_path / "lxc-ls").write_text("#!/bin/sh\necho '$(touch${IFS}hacked)'; echo \"at$2$3\"\n")
    (tmp_path / "lxc-ls").chmod(0o755)
    for line in ("lxc-stop -n ", "lxc-stop ", "lxc-device -n "):
        assert "\\$\\(touch\\$\\{IFS\\}hacked\\)" in complete(line, tmp_path), line
    assert not (tmp_path / "hacked").exists()
    for where in ("-P /x", "--lxcpath = /x", "--lxcpath=/x", "-P/x"):
        assert complete(f"lxc-stop {where} -n a", tmp_path) == ["at-P/x"], where
