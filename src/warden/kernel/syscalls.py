"""The way to system calls that Python 3.11 has no function for.

Owns the handle on the C library and how an error is read from it; every system call gets a prototype of its own here
or in the module that wraps it. Knows no system call by itself.
"""

from __future__ import annotations

import ctypes
import os

from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(raw: Callable[..., int]) -> Callable[..., int]:
    def call(*arguments: object) -> int:
        result = raw(*arguments)
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result

    return call


def system_call(number: int, *types: Any) -> Callable[..., int]:
    """The system call *number* with C argument *types* as a function; a failure raises OSError, see syscall(2)."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long, *types, use_errno=True)
    raw = prototype(("syscall", _libc))
    return _checked(lambda *arguments: raw(number, *arguments))


def libc_call(name: str, *types: Any) -> Callable[..., int]:
    """The C library's function *name* that returns int and sets errno; a failure raises OSError."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, *types, use_errno=True)
    return _checked(prototype((name, _libc)))
