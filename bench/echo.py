"""What a round trip over a Unix socket costs with asyncio at the far end: the base that `ping` is compared with.

Owns the server, which runs in a process of its own, and the timing of calls. Knows nothing of warden's protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.stats import Samples

PAYLOAD = b"x" * 20  # about what a ping is on the wire


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(data)


async def serve(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Echo, path)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


def time_us(samples: Samples, name: str, call: Callable[[], object], count: int) -> None:
    """Adds the microseconds of each of *count* calls."""
    for _ in range(count):
        begun = time.perf_counter_ns()
        call()
        samples.add(name, (time.perf_counter_ns() - begun) / 1e3)


@contextlib.contextmanager
def echo_client(directory: Path) -> Iterator[Callable[[], object]]:
    """A function that makes one round trip to an echo server in a process of its own."""
    path = str(directory / "echo.sock")
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", "import sys; from bench.echo import *; asyncio.run(serve(sys.argv[1]))", path]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, start_new_session=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)

            def round_trip() -> bytes:
                client.sendall(PAYLOAD)
                return client.recv(64)

            yield round_trip
    finally:
        server.kill()
        server.communicate()
