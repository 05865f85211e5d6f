"""The system call filter of jobs, as a classic BPF program: seccomp(2), linux/filter.h.

Pure. The filter names what a job must not call: the kernel's management, what reaches across namespaces, and the young
interfaces in which most escapes were found. Calls younger than this table answer ENOSYS, as on an older kernel, so
that a new kernel opens nothing by itself. A foreign architecture's calls kill the process.
"""

from __future__ import annotations

import errno
import functools
import os
import struct

from warden.records import dataclass

# linux/filter.h, linux/bpf_common.h
LD_W_ABS, JEQ, JGE, JSET, RET = 0x20, 0x15, 0x35, 0x45, 0x06
RET_ALLOW, RET_ERRNO, RET_KILL = 0x7FFF0000, 0x00050000, 0x80000000
# offsets in struct seccomp_data
NR, ARCH, ARG0_LOW = 0, 4, 16

CLONE_NEWUSER = 0x1000_0000
X32_BIT = 0x4000_0000

#: name: (x86_64, aarch64); None where the architecture has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fsopen": (430, 430), "fspick": (433, 433), "init_module": (175, 105), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_uring_setup": (425, 425), "ioperm": (173, None), "iopl": (172, None),
    "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219), "lookup_dcookie": (212, 18),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "pivot_root": (155, 41), "process_vm_writev": (311, 271),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142), "request_key": (249, 218),
    "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268), "settimeofday": (164, 170),
    "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "vhangup": (153, 58),
}  # fmt: skip

#: glibc falls back to clone(2), whose flags can be looked at, when clone3(2) answers ENOSYS.
CLONE = (56, 220)
CLONE3 = (435, 435)
#: The first number that this table does not know (linux 6.13: 467 in use up to 466).
FIRST_UNKNOWN = 467


@dataclass(frozen=True, slots=True)
class Architecture:
    """An AUDIT_ARCH value and the column of the table above."""

    audit: int
    column: int
    has_x32: bool


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 0, True), "aarch64": Architecture(0xC00000B7, 1, False)}


def _insn(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, k)


def _when(code: int, value: int, result: int) -> list[bytes]:
    """If the loaded word compares true, return *result*, else go on."""
    return [_insn(code, value, 0, 1), _insn(RET, result)]


def job_filter(machine: str | None = None) -> bytes:
    """The array of struct sock_filter for jobs on *machine* (os.uname().machine by default); b"" where there is none."""
    architecture = ARCHITECTURES.get(machine or os.uname().machine)
    return b"" if architecture is None else _job_filter(architecture)


@functools.cache
def _job_filter(architecture: Architecture) -> bytes:
    refuse, unknown = RET_ERRNO | errno.EPERM, RET_ERRNO | errno.ENOSYS
    denied = sorted(n for pair in DENIED.values() if (n := pair[architecture.column]) is not None)
    program = [_insn(LD_W_ABS, ARCH), _insn(JEQ, architecture.audit, 1, 0), _insn(RET, RET_KILL)]
    program.append(_insn(LD_W_ABS, NR))
    if architecture.has_x32:
        program += _when(JGE, X32_BIT, RET_KILL)
    program += _when(JGE, FIRST_UNKNOWN, unknown)
    program += _when(JEQ, CLONE3[architecture.column], unknown)
    for number in denied:
        program += _when(JEQ, number, refuse)
    program += [_insn(JEQ, CLONE[architecture.column], 0, 3), _insn(LD_W_ABS, ARG0_LOW)]
    program += _when(JSET, CLONE_NEWUSER, refuse)
    program.append(_insn(RET, RET_ALLOW))
    return b"".join(program)
