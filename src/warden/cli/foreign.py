"""Whom a HANDLE means: a container of the daemon's, or one of LXC's, which no daemon owns and which needs none."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from warden.cli import connect
from warden.depot.systems import PREFIX
from warden.errors import UnknownHandle, Unreachable

if TYPE_CHECKING:
    from warden.client.blocking import Container
    from warden.depot.systems import Record
    from warden.model.info import Info

T = TypeVar("T")


def either(options: Namespace, handle: str, own: Callable[[Container], T], foreign: Callable[[Record], T]) -> T:
    """`lxc:NAME` is LXC's, another the daemon's, and LXC's where the daemon has none of that name, or is not there. Raises
    UnknownHandle, Unreachable."""
    if handle.startswith(PREFIX):
        return foreign(_found(handle))
    try:
        with closing(connect.open_client(options)) as client:
            return own(client.container(handle))
    except (UnknownHandle, Unreachable) as error:
        try:
            return foreign(_found(handle))
        except UnknownHandle:
            raise error from None


def _found(handle: str) -> Record:
    from warden.engine import systems  # of use to nobody else here

    return systems.find(handle)


def as_info(record: Record) -> Info:
    """As `warden info` shows the daemon's own."""
    from warden.engine import systems

    return systems.info_of(record)


def as_document(record: Record) -> dict[str, Any]:
    """As `warden inspect` does."""
    from warden.engine import systems

    return systems.inspect(record)
