"""The option parser of LXC's tools: getopt_long(3) as GNU has it, and what all tools share."""

from __future__ import annotations

import pytest

from warden.lxc.options import LXC_VERSION, Given, Option, Tool

STATES = Option("s", "state", "STATE", "ORed states to wait for\nSTOPPED, RUNNING")
WAIT = Tool(
    "lxc-wait", "--name=NAME --state=STATE", "lxc-wait waits", (STATES, Option("t", "timeout", "TMO", "Seconds"))
)
LS = Tool(
    "lxc-ls", "[-P lxcpath]", "lxc-ls lists", (Option("1", "line", "", "One"), Option("g", "groups", "G")), named=False
)
COPY = Tool("lxc-copy", "", "", (Option("m", "keepmac"), Option("M", "mount", "MNT"), Option("h", "hush")))


@pytest.mark.parametrize(
    ("words", "name", "values", "rest"),
    [
        (["-n", "c1"], "c1", {"name": [""]}, ()),
        (["c1"], "c1", {}, ()),
        (["c1", "-t", "3"], "c1", {"timeout": ["3"]}, ()),
        (["-t3", "c1", "more"], "c1", {"timeout": ["3"]}, ("more",)),
        (["--name=c1", "--timeout", "3", "x", "-q"], "c1", {"timeout": ["3"], "quiet": [""]}, ("x",)),
        (["--tim=3", "--na", "c1"], "c1", {"timeout": ["3"]}, ()),
        (["-qt", "3", "c1"], "c1", {"timeout": ["3"], "quiet": [""]}, ()),
        (["-n", "c1", "--", "-t", "3"], "c1", {}, ("-t", "3")),
        (["-n", "c1", "cmd", "-q", "--", "-l"], "c1", {"quiet": [""]}, ("cmd", "-l")),
        (["c1", "-"], "c1", {}, ("-",)),
        (["-n", "a", "-n", "b", "-s", "X", "-s", "Y"], "b", {"state": ["X", "Y"]}, ()),
        (["c1", "--timeout="], "c1", {"timeout": [""]}, ()),
    ],
)
def test_words_of_a_command_line(
    words: list[str], name: str, values: dict[str, list[str]], rest: tuple[str, ...]
) -> None:
    given = WAIT.parse(words)
    assert given.name == name
    assert {key: value for key, value in given.values.items() if key != "name"} == {
        key: value for key, value in values.items() if key != "name"
    }
    assert given.rest == rest


def test_posixly_correct_ends_options_at_the_first_operand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSIXLY_CORRECT", "1")
    assert WAIT.parse(["-q", "c1", "-t", "3"]) == Given("c1", {"quiet": [""]}, ("-t", "3"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--zork"], "lxc-wait: unrecognized option '--zork'"),
        (["-z"], "lxc-wait: invalid option -- 'z'"),
        (["-n"], "lxc-wait: option requires an argument -- 'n'"),
        (["--name"], "lxc-wait: option '--name' requires an argument"),
        (["--quiet=1"], "lxc-wait: option '--quiet' doesn't allow an argument"),
        (["--lo"], "lxc-wait: option '--lo' is ambiguous; possibilities: '--logfile' '--logpriority'"),
    ],
)
def test_what_is_wrong_is_said_above_the_help(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        WAIT.parse(words)
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert not out
    assert err.startswith(f"{sentence}\nUsage: lxc-wait --name=NAME --state=STATE\n\nlxc-wait waits\n\nOptions :\n")


@pytest.mark.parametrize("word", ["--help", "-?", "-h", "--usage"])
def test_help_goes_to_standard_error(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        WAIT.parse([word])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (0, "")
    assert err.startswith("Usage: lxc-wait ")


def test_help_has_every_option_once(capsys: pytest.CaptureFixture[str]) -> None:
    text = WAIT.help()
    for long in ("name", "state", "timeout", "rcfile", "logfile", "logpriority", "quiet", "lxcpath", "help", "version"):
        assert text.count(f"--{long}") >= 1
    assert "  -s, --state=STATE  ORed states to wait for\n                     STOPPED, RUNNING\n" in text


def test_a_letter_of_its_own_is_not_help() -> None:
    assert COPY.parse(["-h", "c1"]).has("hush")


def test_version_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        WAIT.parse(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{LXC_VERSION}\n")


def test_names_and_paths(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        WAIT.parse(["-t", "3"])
    assert (ended.value.code, capsys.readouterr().err) == (1, "lxc-wait: No container name specified\n")
    assert LS.parse(["a.*", "-P", "/srv/lxc//"]) == Given("", {"lxcpath": ["/srv/lxc//"]}, ("a.*",))
    assert LS.parse(["-P", "/srv/lxc//"]).lxcpath == "/srv/lxc"
    assert LS.parse(["-P", "/"]).lxcpath == "/"
    with pytest.raises(SystemExit):
        LS.parse(["-P", "/a", "-P", "/b"])
    assert "This command only accepts 1 -P,--lxcpath arguments" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-n", "", "rest"], ["-P", "", "c1"], ["c1", "--rcfile", "/nonexistent"]])
def test_an_empty_name_or_path_and_a_missing_file_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Tool("lxc-try", "NAME", "tries").parse(words)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("lxc-try: ")
