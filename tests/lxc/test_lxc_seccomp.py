"""System call filters: both versions of the text, their errors, and the program run by an interpreter of our own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from warden.errors import ConfigError, NotSupported
from warden.lxc.seccomp import ALLOW, ERRNO, KILL, TRAP, Argument, Profile, Rule, compile_profile, load, parse

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from bpf_interpreter import Call, run

X86_64, X86, ARM = 0xC000003E, 0x40000003, 0x40000028


def decide(profile: str, number: int, *arguments: int, audit: int = X86_64) -> int:
    program, _ = compile_profile(parse(profile, "p"), "x86_64")
    return run(program, Call(number, audit, arguments))


def test_version_1_is_a_list_of_numbers() -> None:
    assert parse("1\nallowlist\n0\n1 # write\n\n60\n", "p") == Profile(
        KILL, (Rule("0", ALLOW), Rule("1", ALLOW), Rule("60", ALLOW))
    )
    assert decide("1\nwhitelist\n0\n60\n", 60) == ALLOW
    assert decide("1\nwhitelist\n0\n60\n", 61) == KILL


def test_version_2_names_calls_actions_and_arguments() -> None:
    text = """2
denylist errno 5
reject_force_umount  # comment
[all]
kexec_load errno 1
mount
[x86]
open trap
[x86_64]
ioctl errno 1 [1,0x9400,SCMP_CMP_MASKED_EQ,0xff00]
socket kill [0,16,EQ][2,0,NE]
"""
    found = parse(text, "p")
    assert found.default == ALLOW
    assert found.rules[1:4] == (Rule("kexec_load", ERRNO | 1), Rule("mount", ERRNO | 5), Rule("open", TRAP, "x86"))
    assert found.rules[4].arguments == (Argument(1, 7, 0x9400, 0xFF00),)
    assert found.rules[5].arguments == (Argument(0, 4, 16), Argument(2, 1, 0))
    assert decide(text, 246) == ERRNO | 1  # kexec_load
    assert decide(text, 165) == ERRNO | 5  # mount
    assert decide(text, 2) == ALLOW  # open
    assert decide(text, 5, audit=X86) == TRAP  # open, as 32-bit programs call it
    assert decide(text, 21, audit=X86) == ERRNO | 5  # mount, as 32-bit programs call it
    assert [decide(text, 16, 3, value) for value in (0x9412, 0x5401)] == [ERRNO | 1, ALLOW]
    assert [decide(text, 41, *values) for values in ((16, 3, 9), (16, 3, 0), (2, 3, 9))] == [KILL, ALLOW, ALLOW]
    assert [decide(text, 166, 0, flags) for flags in (1, 3, 2, 0)] == [ERRNO | 13, ERRNO | 13, ALLOW, ALLOW]


def test_an_allowlist_refuses_the_rest() -> None:
    text = "2\nallowlist errno 38\nread\nwrite\nexit_group\n"
    assert [decide(text, number) for number in (0, 1, 231, 2)] == [ALLOW, ALLOW, ALLOW, ERRNO | 38]


def test_a_foreign_architecture_passes_nothing() -> None:
    assert decide("2\ndenylist\nmount\n", 0, audit=ARM) not in (ALLOW, ERRNO)


def test_calls_that_nobody_knows_are_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("2\ndenylist\nmount\nno_such_call errno 1\n")
    program, unknown = load(str(tmp_path / "p"), "x86_64")
    assert unknown == ("no_such_call: there is no such system call: left out",)
    assert len(program) % 8 == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "p:1: begins with neither 1 nor 2"),
        ("3\nallowlist\n", "p:1: begins with neither 1 nor 2"),
        ("2\nsomelist\n", "p:2: 'somelist' is no policy (allowlist or denylist)"),
        ("1\ndenylist\n1\n", "p:2: version 1 knows allowlist alone"),
        ("1\nallowlist\n1\nread\n", "p:4: 'read' is not the number of a system call"),
        ("2\ndenylist\n[z80]\n", "p:3: '[z80]' is not an architecture"),
        ("2\ndenylist\nread deny\n", "p:3: 'deny' is not an action (kill, trap, allow or errno N)"),
        ("2\ndenylist\nread errno\n", "p:3: errno needs a number (such as errno 1)"),
        ("2\ndenylist\nread errno 1 [0,1]\n", "p:3: '[0,1]' compares no argument"),
        ("2\ndenylist\nread errno 1 [9,1,EQ]\n", "p:3: '[9,1,EQ]' compares no argument"),
        ("2\ndenylist\nread errno 1 [0,x,EQ]\n", "p:3: '[0,x,EQ]'"),
        ("2\ndenylist shoot\n", "p:2: 'shoot' is not an action"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "p")
    assert str(caught.value).startswith(sentence)


def test_nobody_is_asked() -> None:
    with pytest.raises(NotSupported, match="notify"):
        parse("2\ndenylist\nmknod notify\n", "p")
