"""Errors of values, told of the key that had them: below the reader a key is known by its name, its place by LxcConfig."""

from __future__ import annotations

from warden.errors import BadInput, ConfigError
from warden.light import TYPE_CHECKING, contextmanager
from warden.lxc.settings import LxcConfig

if TYPE_CHECKING:
    from collections.abc import Iterator


class BadKey(BadInput):
    """What a key asks for cannot be. *key*: as it is written today."""

    key: str = ""

    def __init__(self, key: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{key}: {message}", hint=hint)
        self.key = key


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Every BadInput of the block becomes one of *key*."""
    try:
        yield
    except BadKey:
        raise
    except BadInput as error:
        own = f"{key.partition('.')[2].partition('.')[2]}: "  # lxc.cgroup.cpu.shares: the limit says cpu.shares itself
        raise BadKey(key, error.message.removeprefix(own), hint=error.hint) from error


@contextmanager
def located(config: LxcConfig) -> Iterator[None]:
    """Every BadKey of the block becomes a ConfigError with the file and line where its key was set last."""
    try:
        yield
    except BadKey as error:
        path, line = config.place(error.key)
        raise ConfigError(error.message, path=path, line=line, hint=error.hint) from error
