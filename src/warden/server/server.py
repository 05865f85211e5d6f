"""The daemon's life: start, listen, serve, drain or stop.

Owns the set of connections and the order of starting and ending. Containers and jobs outlive it in every case.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import Counter
from typing import Any

from warden.errors import NotPermitted
from warden.server import listen
from warden.server.config import Config
from warden.server.connection import Connection
from warden.server.context import Context
from warden.server.counters import Counters
from warden.server.handlers import dispatch
from warden.server.health import open_health
from warden.server.metrics import MetricsServer
from warden.server.metrics_table import container_blocks
from warden.server.observers import Observers
from warden.server.ports import Engine

log = logging.getLogger("warden.server")

STUCK_S = 5.0  # a drain gives up a peer that takes no byte of its reply for so long


class Server:
    """Serves *engine* as *config* says. `run` is all that a daemon needs; the other methods are for embedding."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._context = Context(engine, config.create_defaults())
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._health: asyncio.Server | None = None
        self._metrics: MetricsServer | None = None
        self._stopping = asyncio.Event()
        self._draining = False
        self._counters: Counters | None = None  # only where metrics are asked for

    @property
    def observers(self) -> Observers:
        """Where a program that embeds the server watches its requests."""
        return self._context.observers

    async def run(self, *, ready_fd: int | None = None) -> None:
        """Starts, serves until a signal asks to end, and ends: USR2 drains, TERM and INT stop at once."""
        loop = asyncio.get_running_loop()
        for number, action in ((signal.SIGTERM, self.stop), (signal.SIGINT, self.stop), (signal.SIGUSR2, self.drain)):
            loop.add_signal_handler(number, action)
        await self.start(ready_fd=ready_fd)
        try:
            await self._stopping.wait()
        finally:
            await self.close()

    async def start(self, *, ready_fd: int | None = None) -> None:
        """Takes up what runs, then listens: a client never meets a half-recovered engine."""
        await self._engine.start()
        try:
            await self._listen()
        except BaseException:
            self._stop_listening()
            self._close_others()
            await self._engine.close()
            raise
        self._context.grace.start()
        listen.notify_ready(ready_fd)
        log.info("listening on %s", self._config.socket)

    async def _listen(self) -> None:
        if self._config["health_check_server.port"] is not None:
            self._health = await open_health(self._config["health_check_server.port"])
        if self._config["metrics.listen"] is not None:
            await self._open_metrics()
        sock = listen.open_listener(self._config.socket, self._config["server.unix_domain_permissions"])
        self._listener = await asyncio.get_running_loop().create_unix_server(
            self._connection, sock=sock, backlog=listen.BACKLOG
        )
        if self._config["server.pidfile"]:
            listen.write_pidfile(self._config["server.pidfile"])

    async def _open_metrics(self) -> None:
        counters = self._counters = Counters()
        self.observers.after(counters.request)
        self._engine.events.subscribe(counters.on_event)
        self._metrics = MetricsServer(self.scrape)
        permissions: int = self._config["server.unix_domain_permissions"]
        await self._metrics.start(self._config["metrics.listen"], permissions)

    async def scrape(self) -> bytes:
        """All metrics at this moment, in Prometheus' text format."""
        found = await self._engine.stats()
        blocks: list[str] = []
        if self._counters is not None:
            states = Counter(stats.state for stats in found)
            blocks += self._counters.blocks(len(self._connections), states, self._engine.firewall_mended)
        for block in container_blocks(found):
            blocks.append(block)
            await asyncio.sleep(0)  # a family of a thousand containers takes 1 ms
        return "".join(blocks).encode()

    def stop(self) -> None:
        """Ends at once; requests in work are cut off."""
        self._stopping.set()

    def drain(self) -> None:
        """Accepts no more, lets each connection finish what does not only wait for a job, then ends."""
        if self._draining:
            return
        log.info("draining %d connections", len(self._connections))
        self._draining = True
        self._stop_listening()
        self._context.grace.pause()  # connections end by our doing: no container may die of that
        for connection in list(self._connections):
            connection.drain()
        self._context.run_in_background("drain", self._drained())

    async def _drained(self) -> None:
        self._context.run_in_background("giving up stuck connections", self._abort_stuck())
        while self._connections:
            await asyncio.gather(*(connection.finished() for connection in list(self._connections)))
            await asyncio.sleep(0.01)  # a closing connection still writes its last reply
        self._stopping.set()

    async def _abort_stuck(self) -> None:
        before: dict[Connection, int] = {}
        while self._connections:
            for connection in list(self._connections):
                if connection.unsent() and before.get(connection) == connection.unsent():
                    connection.abort()
            before = {connection: connection.unsent() for connection in self._connections}
            await asyncio.sleep(STUCK_S)

    async def close(self) -> None:
        """Closes everything and leaves containers and jobs running; the socket's file stays, as the original's did."""
        self._stop_listening()
        self._close_others()
        self._context.grace.close()
        for connection in list(self._connections):
            connection.close()
        for task in self._context.background:
            task.cancel()
        await self._engine.close()
        if self._config["server.pidfile"]:
            listen.remove_pidfile(self._config["server.pidfile"])
        log.info("ended")

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _close_others(self) -> None:
        """Of health check and metrics."""
        if self._health is not None:
            self._health.close()
            self._health = None
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None

    def _connection(self) -> Connection:
        return Connection(self._dispatch, self._opened, self._closed, self._config["server.frame_limit"])

    async def _dispatch(self, connection: Connection, kind: int, payload: bytes) -> None:
        await dispatch(self._context, connection, kind, payload)

    def _opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        refusal = self._refusal(connection)
        if refusal is not None:
            connection.refuse(refusal)
        elif self._draining:  # accepted just before the drain, heard of only now
            connection.drain()
        else:
            self._context.grace.connected(connection)

    def _refusal(self, connection: Connection) -> NotPermitted | None:
        allowed: Any = self._config["server.allowed_uids"]
        if allowed is None:
            return None  # the socket's permissions have decided
        uid = connection.peer_uid()
        if uid == 0 or uid in allowed:
            return None
        return NotPermitted(f"connect {self._config.socket}: user {uid} is not among server.allowed_uids")

    def _closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._context.grace.disconnected(connection)
