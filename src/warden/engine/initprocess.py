"""PID 1 of one container, as its engine has it: the process by its pidfd, and the connection to it.

Owns both, and getting the connection back. What PID 1 tells is for others.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from warden.engine.pidfd import pid_of, readable
from warden.errors import EngineFault
from warden.process import channel
from warden.process.channel import Channel, Record

EXIT_S = 10.0
MAX_LOSSES = 20  # connections lost one after the other before it is given up


class InitProcess:
    """*run*: the directory of its socket; *name*: of its container, for errors. *on_record* gets what it tells of jobs,
    *on_back* is called when a lost connection is there again, *on_over* when it has ended. Raises OSError when nobody
    listens."""

    def __init__(
        self,
        run: str,
        pidfd: int,
        name: Callable[[], str],
        on_record: Callable[[int, Record], None],
        on_back: Callable[[], None],
        on_over: Callable[[], None],
    ) -> None:
        self._run = run
        self._pidfd = pidfd
        self._pid = pid_of(pidfd)
        self._name = name
        self._on_record = on_record
        self._on_back = on_back
        self._on_over = on_over
        self._losses = 0
        self.gone = False
        self.ending = False  # by us: a lost connection is no surprise
        self._channel: Channel | None = Channel.connect(run, on_record, self._on_lost)

    @property
    def pid(self) -> int:
        """As the host numbers it; 0 when it is gone."""
        return 0 if self.gone else self._pid

    @property
    def pidfd(self) -> int:
        """-1 when it is gone and reaped."""
        return self._pidfd

    def connection(self) -> Channel:
        """Raises EngineFault when it is gone."""
        if self._channel is None:
            raise EngineFault(f"container {self._name()}: its PID 1 is gone", hint="destroy the container")
        return self._channel

    async def records(self) -> list[Record]:
        """What it knows of every job that it has not been told to forget."""
        found: list[Record] = []
        slot = 0
        while True:
            reply = await self.connection().request(channel.LIST, a=slot)
            found += reply.records
            slot = reply.b
            if slot == 0:
                return found

    def _on_lost(self) -> None:
        """It ended, or dropped a connection that was not read in time; then it listens."""
        if self.gone:
            return
        self._losses += 1
        try:
            if self.ending or self._losses > MAX_LOSSES:
                raise ConnectionAbortedError
            self._channel = Channel.connect(self._run, self._on_record, self._on_lost)
        except OSError:
            self._on_over()
        else:
            self._on_back()

    def caught_up(self) -> None:
        """All that it had to tell after a lost connection was heard."""
        self._losses = 0

    def kill(self) -> None:
        """With PID 1 the kernel kills everything in its pid namespace (pid_namespaces(7))."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def wait(self) -> None:
        """Until it has ended, and every process of its namespace with it. Raises EngineFault when it does not."""
        await readable(self._pidfd, EXIT_S, f"container {self._name()}: PID 1 does not end")
        os.close(self._pidfd)
        self._pidfd = -1

    def disconnect(self) -> None:
        """It is gone."""
        self.gone = True
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def close(self) -> None:
        """Lets go of it; it goes on."""
        if self._channel is not None:
            self._channel.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
