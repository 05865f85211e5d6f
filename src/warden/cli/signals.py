"""Signals that reach `warden run` and `exec`: given to the job while there is one, else they unwind the command."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupted(BaseException):
    """A signal came while there was no job to give it to. *number* is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Leaving:
    """While the `with` block runs, a signal that would end this command raises Interrupted, so that what must be put back
    is. For a job with a terminal: there the keys are the job's, and a terminal that is closed must not end it."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Leaving:
        for number in FORWARDED:
            self._before[number] = signal.signal(number, self._leave)
        return self

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Signals:
    """Holds the handlers while the `with` block runs.

    The first signal that comes before there is a job is kept until `check` or `forward`, so that a container that is
    being created is known and can be removed; the second one raises Interrupted wherever the command is.
    """

    def __init__(self) -> None:
        self._pending = 0
        self._send: Callable[[int], None] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in FORWARDED:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._send is not None:
            self._send(number)
        elif self._pending:
            raise Interrupted(number)
        else:
            self._pending = number

    def check(self) -> None:
        """Raises Interrupted when a signal came meanwhile."""
        if self._pending:
            raise Interrupted(self._pending)

    def forward(self, send: Callable[[int], None] | None) -> None:
        """From now on signals go to *send* (None: back to unwinding); one that was kept goes at once."""
        self._send = send
        if send is not None and self._pending:
            send(self._pending)
            self._pending = 0
