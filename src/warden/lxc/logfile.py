"""The file of `-o` and `lxc.log.file`: a line is appended or refused, and neither ever waits for a reader."""

from __future__ import annotations

import os
import stat
import time

from warden.errors import BadInput

#: What is there may be a pipe: the caller's own stream.
_DEVICES = ("/dev/", "/proc/self/fd/")


def append(path: str, tool: str, name: str, level: str, message: str) -> None:
    """One line, as LXC has them. Raises BadInput when that cannot be written."""
    now = time.time_ns()
    stamp = time.strftime("%Y%m%d%H%M%S", time.localtime(now // 10**9)) + f".{now // 10**6 % 1000:03}"
    line = f"{tool} {name} {stamp} {level:<8} warden - {message}\n"
    fd = _opened(path)
    try:
        os.write(fd, line.encode(errors="surrogateescape"))
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    finally:
        os.close(fd)


def check(path: str) -> None:
    """Raises BadInput for what cannot be written, before anything is changed."""
    os.close(_opened(path))


def _opened(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o640)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode) or path.startswith(_DEVICES)):
        os.close(fd)
        raise _refused(path, "is neither a regular file nor a terminal")
    return fd


def _refused(path: str, cause: str) -> BadInput:
    return BadInput(f"log file {path}: {cause}", hint="lxc.log.file or -o names it")
