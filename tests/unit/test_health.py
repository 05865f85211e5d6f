"""The health check's port, on loopback: any bytes are answered and the connection ends."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from warden.errors import KernelRefused
from warden.server import health
from warden.server.config import parse
from warden.server.server import Server
from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import config_for, serving


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((health.ADDRESS, 0))
        return int(probe.getsockname()[1])


async def ask(port: int, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(health.ADDRESS, port)
    writer.write(question)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("question", [b"GET / HTTP/1.1\r\n\r\n", b"x"])
async def test_any_bytes_are_answered(tmp_path: Path, question: bytes) -> None:
    port = free_port()
    async with serving(str(tmp_path / "s"), health_check_server__port=port):
        assert await ask(port, question) == b"HTTP/1.1 200 OK\r\n"
        assert await ask(port, question) == b"HTTP/1.1 200 OK\r\n"
    with pytest.raises(ConnectionRefusedError):
        await ask(port, b"x")


async def test_silence_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SILENT_S", 0.01)
    port = free_port()
    async with serving(str(tmp_path / "s"), health_check_server__port=port):
        reader, writer = await asyncio.open_connection(health.ADDRESS, port)
        assert await reader.read() == b""
        writer.close()


async def test_a_taken_port_is_a_clear_error_and_leaves_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket() as other:
        other.bind((health.ADDRESS, 0))
        other.listen()
        port = other.getsockname()[1]
        server = Server(config_for(str(path), health_check_server__port=port), FakeEngine())
        with pytest.raises(KernelRefused) as refused:
            await server.start()
    assert str(refused.value).startswith(f"health check: bind 127.0.0.1:{port}: Address already in use")
    assert "health_check_server.port" in refused.value.hint
    assert not path.exists()


def test_off_unless_configured() -> None:
    assert parse("")["health_check_server.port"] is None
    assert parse("health_check_server:\n  port: 2345\n")["health_check_server.port"] == 2345
