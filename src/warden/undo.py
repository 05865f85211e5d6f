"""Reverse-order undo: what was acquired is released even when a later step fails.

Owns nothing but the order. Every failure of an undo is kept; none hides the error that caused the undoing.
"""

from __future__ import annotations

from warden.light import TYPE_CHECKING, logger

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

log = logger("warden.undo")


class Undo:
    """A stack of undo functions for one operation.

    Register one with `add` at the moment something is acquired. `release` keeps everything and forgets the stack;
    leaving the `with` block without it, or calling `run`, undoes in reverse order. Errors of undo functions are
    collected in `failures`, logged, and attached as notes to the error in flight.

    >>> with Undo() as undo:
    ...     os.mkdir(path); undo.add("directory", os.rmdir, path)
    ...     undo.release()
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[..., object], tuple[object, ...]]] = []
        self.failures: list[tuple[str, BaseException]] = []

    def add(self, name: str, function: Callable[..., object], *args: object) -> None:
        """Remember that *function(*args)* undoes *name*."""
        self._steps.append((name, function, args))

    def release(self) -> None:
        """Keep what was acquired."""
        self._steps.clear()

    def run(self) -> None:
        """Undo everything registered, last first; never raises."""
        while self._steps:
            name, function, args = self._steps.pop()
            try:
                function(*args)
            except Exception as error:
                self._failed(name, error)

    def _failed(self, name: str, error: BaseException) -> None:
        self.failures.append((name, error))
        log.error("undo of %s failed: %s", name, error)

    def __enter__(self) -> Undo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run()
        if error is not None:
            for name, failure in self.failures:
                error.add_note(f"undo of {name} failed too: {failure}")


class AsyncUndo(Undo):
    """The same for coroutines: an undo function may return an awaitable.

    A cancellation waits: the step that runs is finished, the others follow in order, and only then it goes on.
    """

    async def run_async(self) -> None:
        import asyncio  # a tool without an event loop must not pay for one
        from collections.abc import Awaitable

        cancelled: asyncio.CancelledError | None = None
        while self._steps:
            name, function, args = self._steps.pop()
            try:
                result = function(*args)
                if isinstance(result, Awaitable):
                    cancelled = await _finish(asyncio.ensure_future(result)) or cancelled
            except (Exception, asyncio.CancelledError) as error:
                self._failed(name, error)
        if cancelled is not None:
            raise cancelled

    async def __aenter__(self) -> AsyncUndo:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.run_async()
        if error is not None:
            for name, failure in self.failures:
                error.add_note(f"undo of {name} failed too: {failure}")


async def _finish(step: asyncio.Future[object]) -> asyncio.CancelledError | None:
    """Waits for *step* whatever happens; the cancellation that came meanwhile. Raises what *step* raises."""
    import asyncio

    cancelled = None
    while not step.done():
        try:
            await asyncio.wait((step,))  # which leaves the step alone when it is cancelled
        except asyncio.CancelledError as error:
            cancelled = error
    step.result()
    return cancelled
