"""Running nftables commands: libnftables in this process (0.1 ms), else the program nft (2 ms).

Owns how a command gets to the kernel and how its refusal is read. A text is one transaction: all of it or nothing.
"""

from __future__ import annotations

import ctypes
import logging
import shutil
import subprocess
from collections.abc import Callable
from typing import Any, Protocol

from warden.errors import EngineFault

log = logging.getLogger("warden.firewall")

LIBRARY = "libnftables.so.1"
PROGRAM_TIMEOUT_S = 30.0
_HINT = "nftables is needed: install the package nftables; see warden doctor"


class Runner(Protocol):
    """Runs nft commands; raises EngineFault with nft's own words, and then nothing was changed."""

    def run(self, commands: str, /) -> None: ...

    def close(self) -> None: ...


class Library:
    """libnftables(3). Not safe to use from two threads at once. Raises OSError when it is not installed."""

    def __init__(self) -> None:
        library = ctypes.CDLL(LIBRARY)
        context = ctypes.c_void_p
        self._run = _function(library, "nft_run_cmd_from_buffer", ctypes.c_int, context, ctypes.c_char_p)
        self._error = _function(library, "nft_ctx_get_error_buffer", ctypes.c_char_p, context)
        self._free = _function(library, "nft_ctx_free", None, context)
        self._context = _function(library, "nft_ctx_new", context, ctypes.c_uint32)(0)
        if not self._context:
            raise OSError("nft_ctx_new: no memory")
        for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            _function(library, name, ctypes.c_int, context)(self._context)

    def run(self, commands: str) -> None:
        if self._run(self._context, commands.encode()) != 0:
            raise refusal((self._error(self._context) or b"").decode(errors="replace"))

    def close(self) -> None:
        self._free(self._context)
        self._context = None


def _function(library: ctypes.CDLL, name: str, result: Any, *types: Any) -> Callable[..., Any]:
    # A prototype of our own: the attributes of library.NAME are shared by everybody who loads the library.
    return ctypes.CFUNCTYPE(result, *types)((name, library))


class Program:
    """nft(8), started for each transaction."""

    def __init__(self, path: str) -> None:
        self._path = path

    def run(self, commands: str) -> None:
        try:
            done = subprocess.run(
                [self._path, "-f", "-"],
                input=commands.encode(),
                capture_output=True,
                timeout=PROGRAM_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineFault(f"nft: {error}", hint=_HINT) from error
        if done.returncode:
            raise refusal(done.stderr.decode(errors="replace"))

    def close(self) -> None:
        """Holds nothing."""


class Missing:
    """Neither is installed: containers without a network can be made all the same."""

    def run(self, _commands: str, /) -> None:
        raise EngineFault("nft: neither libnftables nor the program nft is installed", hint=_HINT)

    def close(self) -> None:
        """Holds nothing."""


def refusal(text: str) -> EngineFault:
    """nft's first complaint in one line: the words after "Error:", then the command it is about."""
    lines = text.strip().splitlines() or ["refused without a word"]
    reason = lines[0].partition("Error: ")[2] or lines[0]
    about = f": {lines[1].strip()}" if len(lines) > 1 else ""
    hint = "warden doctor tells what the kernel lacks" if reason.startswith("Could not process rule") else ""
    return EngineFault(f"nft: {reason}{about}", hint=hint)


def open_runner() -> Runner:
    """The best way there is on this machine."""
    try:
        return Library()
    except OSError as error:
        log.info("%s: %s; the program nft is used", LIBRARY, error)
    path = shutil.which("nft", path="/usr/sbin:/usr/bin:/sbin:/bin")
    return Missing() if path is None else Program(path)
