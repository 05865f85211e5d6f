"""The file that lxc-start's -p names: the number of the monitor, without a line's end."""

from __future__ import annotations

import os

from warden.errors import BadInput
from warden.light import suppress


def check_pidfile(path: str) -> None:
    """Before anything is started. Raises BadInput for one that cannot be written."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise BadInput(f"pidfile: {path}: there is no directory {folder}")
    if os.path.isdir(path):
        raise BadInput(f"pidfile: {path}: is a directory")
    if os.path.exists(path) and not os.path.isfile(path):  # who opens a pipe waits
        raise BadInput(f"pidfile: {path}: is not a regular file")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise BadInput(f"pidfile: {path}: cannot be written")


def write_pidfile(path: str, monitor: int) -> None:
    """Nothing without a path. Raises BadInput."""
    if not path:
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(str(monitor))
    except OSError as error:
        raise BadInput(f"pidfile: {path}: {error.strerror}") from error


def remove_pidfile(path: str, monitor: int) -> None:
    """When the container is stopped; somebody else's stays."""
    with suppress(OSError, ValueError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, encoding="utf-8") as file:
            mine = int(file.read(32)) == monitor
        if mine:
            os.unlink(path)
