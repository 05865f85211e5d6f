"""A server on a socket of its own, in this event loop or in a thread; by default with a FakeEngine.

Owns starting and ending it. Everything between the socket and the engine is the real thing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from warden.server.config import Config
from warden.server.server import Server
from warden.testing.fake_engine import FakeEngine


def config_for(socket: str, **values: Any) -> Config:
    """A configuration that listens on *socket*; *values* as Config.override takes them."""
    return Config().override(server__unix_domain_path=socket, **values)


@asynccontextmanager
async def serving(socket: str, engine: FakeEngine | None = None, **values: Any) -> AsyncIterator[FakeEngine]:
    """Serves in this event loop."""
    engine = engine or FakeEngine()
    server = Server(config_for(socket, **values), engine)
    await server.start()
    try:
        yield engine
    finally:
        await server.close()


@contextmanager
def serving_in_thread(socket: str, **values: Any) -> Iterator[FakeEngine]:
    """Serves in a thread, for tests of blocking clients. The engine must only be looked at."""
    engine = FakeEngine()
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with serving(socket, engine, **values):
            ready.set()
            await stop.wait()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=work, name="test server")
    thread.start()
    try:
        if not ready.wait(60):
            raise RuntimeError("the test server did not start")
        yield engine
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
