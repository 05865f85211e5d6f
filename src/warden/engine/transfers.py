"""Copies in work: each in a thread of its own, a few at once over the whole engine.

Not the engine's worker threads: a copy may wait for ever on a file system that hangs, it changes its thread's identity,
and nothing else may wait behind it. The threads are daemonic, so that one that hangs does not keep the engine from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable

from warden.errors import WrongState
from warden.rootfs.copyreport import Cancelled

AT_ONCE = 4
END_S = 5.0  # how long the end of a container or of the engine waits for copies that were told to end

GoingOn = Callable[[], bool]
Copy = Callable[[GoingOn], None]


class Transfers:
    """Runs copies and ends them. A copy is given a function that says whether it may go on."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._running: dict[asyncio.Task[None], tuple[str, threading.Event]] = {}

    async def run(self, container_id: str, root_fd: int, copy: Copy) -> None:
        """Waits for a free place and for the copy, and closes *root_fd* when it has ended. Cancelling it ends the copy
        too. Raises what *copy* raises, and WrongState when it was ended by `end`."""
        over = threading.Event()
        task = asyncio.ensure_future(self._run(root_fd, copy, over))
        self._running[task] = container_id, over
        task.add_done_callback(self._ended)
        try:
            await asyncio.shield(task)
        except Cancelled:
            raise WrongState("copy: cut off, the container or the daemon has come to its end") from None
        finally:
            over.set()  # a caller that went away; of a copy that has ended nobody asks

    async def _run(self, root_fd: int, copy: Copy, over: threading.Event) -> None:
        try:
            async with self._gate:
                if over.is_set():
                    raise Cancelled
                await _in_thread(lambda: copy(lambda: not over.is_set()))
        finally:
            os.close(root_fd)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have

    async def end(self, container_id: str | None = None) -> None:
        """Ends the copies of one container, or all, and waits a while until they have ended."""
        found = [task for task, (owner, _) in self._running.items() if container_id in (None, owner)]
        for task in found:
            self._running[task][1].set()
        if found:
            await asyncio.wait(found, timeout=END_S)


async def _in_thread(work: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="warden-copy", daemon=True).start()
    await done
