"""The file that lxc-start's -p names: the number of the monitor, without a line's end."""

from __future__ import annotations

from warden.errors import BadInput


def write_pidfile(path: str, monitor: int) -> None:
    """Nothing without a path. Raises BadInput."""
    if not path:
        return
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(str(monitor))
    except OSError as error:
        raise BadInput(f"pidfile: {path}: {error.strerror}") from error
