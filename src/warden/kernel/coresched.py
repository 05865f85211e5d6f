"""Core scheduling, prctl(2) PR_SCHED_CORE (since 5.14): who has one cookie never shares a core with who has another."""

from __future__ import annotations

import ctypes

from warden.kernel.syscalls import libc_call

_PR_SCHED_CORE, _CREATE, _SHARE_FROM = 62, 1, 3
_THREAD, _THREAD_GROUP = 0, 1

_prctl = libc_call("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)


def create(pid: int) -> None:
    """A cookie of its own for process *pid*, and for what it starts later. Raises OSError: ENODEV without simultaneous
    multithreading, EINVAL without CONFIG_SCHED_CORE."""
    _prctl(_PR_SCHED_CORE, _CREATE, pid, _THREAD_GROUP, 0)


def share_from(pid: int) -> None:
    """The calling thread, and what it starts later, takes the cookie of process *pid*. Raises OSError as `create`."""
    _prctl(_PR_SCHED_CORE, _SHARE_FROM, pid, _THREAD, 0)
