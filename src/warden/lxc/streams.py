"""The standard streams of LXC's tools: all three are there, and what cannot be written is one sentence.

Imports nothing heavy: every tool starts with this.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


def settle(tool: str) -> None:
    """To be called before any file is opened: what is opened first would become a closed stream's number, and with it the
    standard stream of what runs in a container. *tool*: whose sentences they are."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: open(2)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(
            line_buffering=True
        )  # else it is at the end, where nobody can say it, that writing fails

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _said(tool, error) if isinstance(error, OSError) else sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook


def _said(tool: str, error: OSError) -> None:
    """The exit code is 1 after this. Whoever closed the pipe wants to hear no more."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # what is still in the buffer
    os.close(nothing)
    if not isinstance(error, BrokenPipeError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        print(f"{tool}: {where}{error.strerror or error}", file=sys.stderr)
