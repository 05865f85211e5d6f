"""warden: a container engine. `Client` and `AsyncClient` talk to a daemon; the rest is the engine itself."""

from __future__ import annotations

from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from warden.client.aio import AsyncClient, AsyncContainer
    from warden.client.blocking import Client, Container
    from warden.model.events import EventRecord
    from warden.model.mounts import Mount
    from warden.model.stats import Stats
    from warden.model.volumes import Volume

__all__ = ["AsyncClient", "AsyncContainer", "Client", "Container", "EventRecord", "Mount", "Stats", "Volume", "__version__"]
__version__ = "0.1.0"

_LAZY = {
    "AsyncClient": "warden.client.aio",
    "AsyncContainer": "warden.client.aio",
    "Client": "warden.client.blocking",
    "Container": "warden.client.blocking",
    "EventRecord": "warden.model.events",
    "Mount": "warden.model.mounts",
    "Stats": "warden.model.stats",
    "Volume": "warden.model.volumes",
}


def __getattr__(name: str) -> object:
    # Imported on first use: a command that only prints its help must not pay for protobuf and sockets.
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'warden' has no attribute {name!r}")
