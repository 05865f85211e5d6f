"""A few things that take time to make, made ahead by a thread of its own. Owns the thread and what nobody has taken."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from warden.errors import WardenError

log = logging.getLogger("warden.disk")

T = TypeVar("T")
READY = 6
LOW = 3  # when fewer are left, all that are missing are made together: seldom, and not beside every container's first job
PAUSE_S = 0.02  # what the last one was taken for goes first


class Stock(Generic[T]):
    """*make* makes one and may raise OSError or WardenError, *drop* undoes it. Any thread may take."""

    def __init__(self, make: Callable[[], T], drop: Callable[[T], None]) -> None:
        self._make = make
        self._drop = drop
        self._ready: deque[T] = deque()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From here on it is kept full. Again is fine."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_full, name="warden-stock", daemon=True)
            self._thread.start()
        self._wanted.set()

    def take(self) -> T | None:
        """One, None when none is ready or it was never started."""
        try:
            taken = self._ready.popleft()
        except IndexError:
            taken = None
        if len(self._ready) < LOW:
            self._wanted.set()
        return taken

    def close(self) -> None:
        """Drops what was not taken."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        while self._ready:
            self._drop(self._ready.popleft())

    def _keep_full(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing.wait(PAUSE_S):
                return
            try:
                while len(self._ready) < READY and not self._closing.is_set():
                    self._ready.append(self._make())
            except (OSError, WardenError) as error:  # the next that is made on demand says it to somebody
                log.info("disks: nothing made ahead: %s", error)
