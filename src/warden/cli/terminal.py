"""This command's own terminal: raw while a job with a terminal is attached, restored on every way out."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any


def window_size(descriptor: int) -> tuple[int, int]:
    """Rows and columns; 24 and 80 where there is no terminal."""
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return 24, 80
    return size.lines, size.columns


class RawTerminal:
    """Raw mode on a descriptor for the `with` block, and *resize(rows, columns)* called whenever the window changes."""

    def __init__(self, descriptor: int, resize: Callable[[int, int], None]) -> None:
        self._descriptor = descriptor
        self._resize = resize
        self._saved: list[Any] = []
        self._before: Any = None

    def __enter__(self) -> RawTerminal:
        import termios
        import tty

        self._saved = termios.tcgetattr(self._descriptor)
        self._before = signal.signal(signal.SIGWINCH, self._window_changed)
        tty.setraw(self._descriptor, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        import termios

        # TCSADRAIN waits until what the job wrote last is on the screen.
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)
        signal.signal(signal.SIGWINCH, self._before)

    def _window_changed(self, *_: object) -> None:
        self._resize(*window_size(self._descriptor))
