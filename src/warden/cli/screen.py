"""A terminal that is ours for a while: the alternate screen, keys without Enter, its size; given back on every way out.

Owns the few ANSI sequences that are needed (ECMA-48, and xterm's private modes), and the signals that would otherwise
end the process with the terminal as it is. Knows nothing of what is shown.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import unicodedata
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

from warden.cli.signals import Interrupted
from warden.cli.terminal import window_size

#: A piece of a line and how it looks: "" or names of STYLES with blanks between them.
Segment = tuple[str, str]
STYLES = {"bold": "1", "dim": "2", "reverse": "7", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
ENTER, LEAVE = "\033[?1049h\033[?25l", "\033[0m\033[?25h\033[?1049l"
#: What arrows and the like send: no letter of it must be taken for a key.
_SEQUENCES = re.compile(r"\033(\[[0-9;?]*[ -/]*[@-~]|O.|.)?")
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_ALL = (*_ENDING, signal.SIGINT, signal.SIGTSTP, signal.SIGWINCH)


def width(text: str) -> int:
    """Columns that a terminal gives *text*: two for wide characters, none for those that combine."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    return 0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """As much of *text* as fits into so many columns."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns:
        text = text[:-1]
    return text


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """*text* cut or filled with blanks to exactly so many columns; *right*: blanks first."""
    text = fit(text, columns)
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def render(line: Sequence[Segment], columns: int, *, colour: bool) -> str:
    """One line of at most so many columns."""
    parts, left = [], columns
    for whole, style in line:
        text = fit(whole, left)
        left -= width(text)
        codes = ";".join(STYLES[name] for name in style.split())
        parts.append(f"\033[{codes}m{text}\033[0m" if codes and colour and text else text)
    return "".join(parts)


class Screen:
    """The terminal for the `with` block. TERM, HUP and QUIT raise Interrupted in it, INT KeyboardInterrupt."""

    def __init__(self, keys: int = 0, out: int = 1, *, colour: bool = True) -> None:
        self._keys, self._out, self._colour = keys, out, colour
        self._saved: list[Any] = []
        self._before: dict[int, Any] = {}
        self._wake = (-1, -1)
        self._suspend = False
        self._shown = False

    def __enter__(self) -> Screen:
        import termios

        self._saved = termios.tcgetattr(self._keys)
        reader, writer = self._wake = os.pipe()
        for fd in (reader, writer):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            for number in _ALL:
                self._before[number] = signal.signal(number, self._signalled)
            self._show()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)  # nothing must come between here and the terminal's old state
        with contextlib.suppress(OSError):  # a terminal that hung up needs nothing
            self._hide()
        signal.set_wakeup_fd(-1)
        for fd in self._wake:
            os.close(fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _show(self) -> None:
        import termios
        import tty

        self._shown = True
        tty.setcbreak(self._keys, termios.TCSADRAIN)
        self._write(ENTER)

    def _hide(self) -> None:
        import termios

        if self._shown:
            self._shown = False
            try:
                self._write(LEAVE)
            finally:
                with contextlib.suppress(termios.error):
                    termios.tcsetattr(self._keys, termios.TCSADRAIN, self._saved)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number in _ENDING:
            raise Interrupted(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        self._suspend = self._suspend or number == signal.SIGTSTP

    def _write(self, text: str) -> None:
        data = memoryview(text.encode("utf-8", "replace"))
        while data:
            try:
                data = data[os.write(self._out, data) :]
            except BlockingIOError:
                select.select([], [self._out], [])

    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return window_size(self._out)

    def draw(self, lines: Iterable[Sequence[Segment]]) -> None:
        """Puts *lines* in place of what is there, without a moment of emptiness; what does not fit is cut."""
        rows, columns = self.size()
        shown = [render(line, columns, colour=self._colour) + "\033[K" for line in list(lines)[:rows]]
        self._write("\033[H" + "\r\n".join(shown) + "\033[J")

    def keys(self, seconds: float) -> str | None:
        """Keys pressed; "" after *seconds* or when it must be drawn anew; None when there will be no more."""
        ready, _, _ = select.select([self._keys, self._wake[0]], [], [], max(seconds, 0))
        if self._wake[0] in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake[0], 4096)
        if self._suspend:
            self._stop()
        if self._keys not in ready:
            return ""
        data = os.read(self._keys, 256)
        if not data:
            return None
        return _SEQUENCES.sub("", data.decode("utf-8", "replace"))

    def _stop(self) -> None:
        """^Z: the shell gets its terminal back; `fg` comes back here."""
        self._suspend = False
        self._hide()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._signalled)
        self._show()
