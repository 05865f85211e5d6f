"""Constructors of steps, and the plan as a value: adding, describing, encoding."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.plan import flags, words
from warden.plan.container import overlay_option
from warden.plan.steps import BIND_IDMAP, BIND_RECURSIVE, BIND_TRY_IDMAP, KEEP, Op, Plan, Step

STEPS = [
    words.simple(Op.SETSID, "setsid()"),
    words.join_cgroup("/c/tasks", "why"),
    words.into_cgroup("/c", "why"),
    words.unshare(flags.CLONE_NEWNS, "why"),
    words.clone(0, "why"),
    words.id_map(Op.UID_MAP, "0 1 2", "why"),
    words.netlink(b"\x10", "ip link", "why"),
    words.root("/r", "why"),
    words.propagation(flags.MS_REC | flags.MS_PRIVATE, "rprivate", "why"),
    words.mount("proc", "/proc", "proc", flags.MS_NOSUID, "hidepid=2"),
    words.bind("/a", "/b", flags.MOUNT_ATTR_RDONLY, BIND_RECURSIVE),
    words.mkdir("/d"),
    words.symlink("to", "/l"),
    words.device("/dev/null", 1, 3, 0o666, 7),
    words.empty_file("/f", 7),
    words.mask("/proc/kcore", "why"),
    words.readonly("/proc/sys", "why"),
    words.hostname("box"),
    *words.owner_ids(5, 6, "why"),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.op.name)
def test_a_step_has_words_and_as_many_operands_as_wshd_takes(step: Step) -> None:
    wire = (Path(__file__).resolve().parents[2] / "native/wire.h").read_text()
    kinds = next(line.split('"')[1] for line in wire.splitlines() if f"X({step.op.value}, {step.op.name}," in line)
    assert step.text
    assert len(kinds) == len(step.args)
    for kind, arg in zip(kinds, step.args, strict=True):
        assert isinstance(arg, int) == (kind == "n"), (step, kinds)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (words.mount("proc", "/proc", "proc", flags.MS_NOSUID | flags.MS_NODEV, "hidepid=2"),
         "mount -t proc -o nosuid,nodev,hidepid=2 proc /proc"),
        (words.mount("x", "/x", "tmpfs"), "mount -t tmpfs -o rw x /x"),
        (words.bind("/a", "/b", flags.MOUNT_ATTR_RDONLY), "mount --bind -o ro /a /b"),
        (words.bind("/a", "/b", 0, BIND_RECURSIVE), "mount --rbind -o rw /a /b"),
        (words.bind("/a", "/b", 0, BIND_IDMAP), "mount --bind -o rw,idmap /a /b"),
        (words.bind("/a", "/b", 0, BIND_TRY_IDMAP), "mount --bind -o rw,idmap /a /b"),
        (words.device("/dev/tty", 5, 0, 0o666, 0), "mknod -m 0666 /dev/tty c 5 0"),
        (words.mkdir("/proc", 0o555), "mkdir -p -m 0555 /proc"),
        (words.clone(0, ""), "clone3(0)"),
        (words.clone(flags.CLONE_NEWUSER | flags.CLONE_NEWPID, ""), "clone3(CLONE_NEWUSER|CLONE_NEWPID)"),
        (words.owner_ids(5, 6, "")[0], "setresgid(6, 6, 6)"),
        (words.owner_ids(5, 6, "")[1], "setresuid(5, 5, 5)"),
    ],
)  # fmt: skip
def test_words_are_those_of_a_shell_or_a_manual_page(step: Step, text: str) -> None:
    assert step.text == text


def test_a_directory_keeps_its_owner_unless_told() -> None:
    assert words.mkdir("/d").args == (b"/d", 0o755, KEEP, KEEP)
    assert words.mkdir("/d", 0o700, 9).args == (b"/d", 0o700, 9, 9)


@pytest.mark.parametrize("name", [name for name in vars(flags) if name.startswith("CLONE_")])
def test_clone_flags_have_names_and_the_kernel_s_numbers(name: str) -> None:
    value = getattr(flags, name)
    assert flags.clone_names(value) == name
    assert value == getattr(os, name, value)  # os has them since Python 3.12


def test_mount_flags_have_names_and_the_kernel_s_numbers() -> None:
    assert [flags.MS_RDONLY, flags.MS_NOSUID, flags.MS_NODEV, flags.MS_NOEXEC] == [
        os.ST_RDONLY, os.ST_NOSUID, os.ST_NODEV, os.ST_NOEXEC,
    ]  # fmt: skip
    assert [flags.MOUNT_ATTR_RDONLY, flags.MOUNT_ATTR_NOSUID, flags.MOUNT_ATTR_NODEV, flags.MOUNT_ATTR_NOEXEC] == [1, 2, 4, 8]
    assert flags.mount_names(15) == "ro,nosuid,nodev,noexec"
    assert flags.mount_names(0) == flags.mount_names(flags.MS_REC) == "rw"


def read_overlay_options(text: str) -> dict[str, list[str]]:
    """What overlayfs makes of an option string: ',' and, in lowerdir, ':' separate unless a backslash stands before."""
    options: list[str] = [""]
    escaped = False
    for letter in text:
        if letter == "," and not escaped:
            options.append("")
        else:
            options[-1] += letter
        escaped = letter == "\\" and not escaped
    found = {}
    for option in options:
        name, _, value = option.partition("=")
        parts, escaped = [""], False
        for letter in value:
            if escaped or letter not in "\\:":
                parts[-1] += letter
                escaped = False
            elif letter == "\\":
                escaped = True
            else:
                parts.append("")
        found[name] = parts
    return found


@given(st.text(st.sampled_from("a/\\:,= ")), st.text(st.sampled_from("a/\\:,= ")))
def test_an_overlay_path_is_one_path_whatever_it_contains(lower: str, upper: str) -> None:
    text = f"lowerdir={overlay_option(lower)},upperdir={overlay_option(upper)}"
    assert read_overlay_options(text) == {"lowerdir": [lower], "upperdir": [upper]}


def test_paths_that_are_no_text_come_through() -> None:
    assert words.root(os.fsdecode(b"/\xff\xfe"), "").args == (b"/\xff\xfe", 0)


def test_a_hostile_name_stays_on_its_line_of_the_description() -> None:
    plan = Plan((words.bind("/a\n  1  mount /evil\x1b[2J", os.fsdecode(b"/\xff"), 0), words.mkdir("/größe")))
    text = plan.describe()
    assert len(text.split("\n")) == 2
    assert text.replace("\n", "").isprintable()
    text.encode()  # a terminal takes it
    assert "/größe" in text


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_number_that_is_none_of_64_bits_is_refused(value: int) -> None:
    with pytest.raises(struct.error):
        Step(Op.UMASK, (value,), "umask").encode()


def test_plans_add_up() -> None:
    one, two = words.mkdir("/a"), words.mkdir("/b")
    assert (Plan((one,)) + Plan((two,))).steps == (one, two)
    assert (Plan((one,)) + iter([two])).steps == (one, two)


def test_an_empty_plan() -> None:
    assert Plan(()).encode() == b"WARDPLN1\0\0\0\0"
    assert Plan(()).describe() == ""


def test_one_step_byte_by_byte() -> None:
    assert Plan((words.symlink("ab", "/c"),)).encode() == (
        b"WARDPLN1" b"\1\0\0\0" b"\x11\0" b"\2\0" b"\2\0\0\0ab\0" b"\2\0\0\0/c\0"
    )
