"""The filter of jobs, run on a machine of our own: what is denied, unknown, killed, and what programs live by."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from bpf_interpreter import Call, check, run

from warden.plan.seccomp import ARCHITECTURES, CLONE, CLONE3, DENIED, FIRST_UNKNOWN, job_filter

ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | 1, 0x00050000 | 38
#: AUDIT_ARCH_*: ELF machine | 64 bits | little-endian (linux/audit.h, linux/elf-em.h).
ARCH = {"x86_64": 62 | 0x80000000 | 0x40000000, "aarch64": 183 | 0x80000000 | 0x40000000}
I386, ARM, X32 = 3 | 0x40000000, 40 | 0x40000000, 0x40000000
CLONE_NEWUSER = 0x10000000
COLUMN = {"x86_64": 0, "aarch64": 1}
#: By hand from the kernel's tables.
NEEDED = {
    "x86_64": {"read": 0, "write": 1, "mmap": 9, "ptrace": 101, "execve": 59, "setresuid": 117, "chroot": 161, "futex": 202,
               "exit_group": 231, "openat": 257, "clone": 56, "fork": 57, "vfork": 58, "statx": 332, "faccessat2": 439},
    "aarch64": {"read": 63, "write": 64, "mmap": 222, "ptrace": 117, "execve": 221, "setresuid": 147, "chroot": 51,
                "futex": 98, "exit_group": 94, "openat": 56, "clone": 220, "statx": 291, "faccessat2": 439},
}  # fmt: skip
MACHINES = sorted(ARCH)


def ask(machine: str, number: int, *args: int, arch: int | None = None) -> int:
    return run(job_filter(machine), Call(number, ARCH[machine] if arch is None else arch, args))


@pytest.mark.parametrize("machine", MACHINES)
def test_the_kernel_would_load_it(machine: str) -> None:
    check(job_filter(machine))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", DENIED)
def test_every_name_of_the_list_is_refused(machine: str, name: str) -> None:
    number = DENIED[name][COLUMN[machine]]
    if number is None:
        assert (machine, name) in {("aarch64", "iopl"), ("aarch64", "ioperm")}
    else:
        assert ask(machine, number) == EPERM


@pytest.mark.parametrize(("machine", "name"), [(m, n) for m in MACHINES for n in NEEDED[m]])
def test_what_programs_live_by_is_allowed(machine: str, name: str) -> None:
    assert ask(machine, NEEDED[machine][name]) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_has_one_of_four_answers_and_no_other(machine: str) -> None:
    refused = {pair[COLUMN[machine]] for pair in DENIED.values()}
    for number in range(FIRST_UNKNOWN + 64):
        answer = ask(machine, number)
        if number >= FIRST_UNKNOWN or number == CLONE3[COLUMN[machine]]:
            assert answer == ENOSYS, number
        else:
            assert answer == (EPERM if number in refused else ALLOW), number


@pytest.mark.parametrize("machine", MACHINES)
def test_clone3_looks_as_on_an_older_kernel(machine: str) -> None:
    assert ask(machine, 435) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("more", [0, 17, 0x00020000, 0xEFFFFFFF])
def test_clone_makes_no_user_namespace(machine: str, more: int) -> None:
    number = CLONE[COLUMN[machine]]
    assert ask(machine, number, more) == ALLOW
    assert ask(machine, number, more | CLONE_NEWUSER) == EPERM
    assert ask(machine, number, more | CLONE_NEWUSER | 0xFFFFFFFF00000000) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_another_call_with_that_bit_in_its_argument_is_none_of_our_business(machine: str) -> None:
    assert ask(machine, NEEDED[machine]["read"], CLONE_NEWUSER) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("number", [0, 57, 1000, 0xFFFFFFFF])
def test_a_foreign_architecture_is_killed(machine: str, number: int) -> None:
    other = next(arch for name, arch in ARCH.items() if name != machine)
    for arch in (I386, ARM, other, 0):
        assert ask(machine, number, arch=arch) == KILL_PROCESS


@pytest.mark.parametrize("number", [0, 56, 165, 512, 547])
def test_x32_is_killed(number: int) -> None:
    assert ask("x86_64", X32 | number) == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
def test_young_numbers_are_unknown_and_negative_ones_open_nothing(machine: str) -> None:
    for number in (467, 468, 1000, X32 - 1):
        assert ask(machine, number) == ENOSYS
    for number in (0x80000000, 0xFFFFFFFF):
        assert ask(machine, number) in (ENOSYS, KILL_PROCESS)


def test_this_machine_s_is_the_default() -> None:
    assert job_filter() == job_filter(os.uname().machine)


def test_no_filter_for_an_unknown_machine() -> None:
    assert job_filter("pdp11") == b""
    assert set(ARCHITECTURES) == set(ARCH)


# ---- the numbers, against the headers of this machine

#: Multi-arch directories first: there a header is the named architecture's for certain.
X86_HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")
GENERIC_HEADERS = ("/usr/include/asm-generic/unistd.h", "/usr/include/aarch64-linux-gnu/asm/unistd_64.h")
#: Younger than some headers; equal on every architecture, as all numbers from 424 on are.
YOUNG = {"quotactl_fd": 443, "mount_setattr": 442}


def header(paths: tuple[str, ...]) -> dict[str, int]:
    text = next((Path(path).read_text() for path in paths if os.path.exists(path)), None)
    if text is None:
        pytest.skip("no header of the kernel's numbers here: install linux-libc-dev")
    # asm-generic writes __NR3264_… where 32-bit architectures differ.
    return {name: int(number) for name, number in re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", text, re.M)}


@pytest.mark.parametrize(("column", "paths"), [(0, X86_HEADERS), (1, GENERIC_HEADERS)], ids=["x86_64", "aarch64"])
def test_numbers_are_the_kernel_s(column: int, paths: tuple[str, ...]) -> None:
    kernel = header(paths)
    ours = {name: pair[column] for name, pair in {**DENIED, "clone": CLONE, "clone3": CLONE3}.items()}
    for name, number in ours.items():
        if number is None:
            assert name not in kernel
        else:
            assert kernel.get(name, YOUNG.get(name)) == number, name


@pytest.mark.parametrize(
    ("machine", "paths"), [("x86_64", X86_HEADERS), ("aarch64", GENERIC_HEADERS)], ids=["x86_64", "aarch64"]
)
def test_the_numbers_of_this_test_are_the_kernel_s(machine: str, paths: tuple[str, ...]) -> None:
    kernel = header(paths)
    assert {name: kernel[name] for name in NEEDED[machine]} == NEEDED[machine]
