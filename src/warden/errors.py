"""The one tree of errors.

    WardenError
    ├── BadInput            the caller asked for something that cannot be right; nothing was changed
    │   └── ConfigError     a file is wrong: names the file, the line and the column
    ├── UnknownHandle       no container of that name
    ├── UnknownNetwork      no network of that name
    ├── UnknownJob          no job of that number in the container
    ├── HandleTaken         a container of that name exists
    ├── UnknownVolume       no volume of that name
    ├── VolumeTaken         a volume of that name exists
    ├── VolumeInUse         a container has it: names which
    ├── WrongState          the container is not in a state that allows the request
    ├── PoolExhausted       no network, port or uid is left
    ├── NotBuilt            something of a newer warden that this version does not know
    ├── ImageError          an image is missing or cannot be built
    ├── KernelRefused       a step was refused by the kernel: names the step, the object, the errno and the remedy
    ├── NotSupported        this machine or its kernel cannot do it, whatever is asked
    ├── JobFailed           a job could not be started
    ├── HookFailed          a program of the operator's refused, or did not work
    ├── TooSlow             a reader did not keep up, and what it has not read is no longer kept
    ├── EngineFault         the engine itself failed; a bug or a broken machine
    ├── Unreachable         nobody listens on the socket, or the connection broke
    └── NotPermitted        the caller is not allowed to do this (root is needed)

Every class has a *code* (it crosses the wire, so that a client raises the same class again) and an *exit_code* (what
the command line ends with). A test proves that codes are unique. Texts that Warden's clients match stay as they were.
"""

from __future__ import annotations

import errno as errno_names
import os

from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import ClassVar


class WardenError(Exception):
    """Base of every error that warden raises on purpose.

    *message* is one sentence without a full stop: what was attempted, on what, and why it failed. *hint* says what to
    do about it, where there is something to do.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class BadInput(WardenError):
    """Refused before anything was changed."""

    code = "bad_input"
    exit_code = 2


class ConfigError(BadInput):
    """A configuration file is wrong; *line* and *column* count from 1, 0 where unknown."""

    code = "config"
    exit_code = 78  # EX_CONFIG of sysexits.h
    # What an error that crossed the wire has instead.
    path: str = ""
    line: int = 0
    column: int = 0

    def __init__(self, message: str, *, path: str = "", line: int = 0, column: int = 0, hint: str = "") -> None:
        place = ":".join(str(part) for part in (path, line, column) if part)
        super().__init__(f"{place}: {message}" if place else message, hint=hint)
        self.path, self.line, self.column = path, line, column


class UnknownHandle(WardenError):
    """No container has this handle."""

    code = "unknown_handle"
    exit_code = 3

    def __init__(self, message: str = "unknown handle", *, hint: str = "") -> None:
        super().__init__(message, hint=hint)


class UnknownNetwork(WardenError):
    """No network has this name."""

    code = "unknown_network"
    exit_code = 14


class UnknownJob(WardenError):
    """The container has no such job, or its result was collected already."""

    code = "unknown_job"
    exit_code = 4

    def __init__(self, message: str = "no such job", *, hint: str = "") -> None:
        super().__init__(message, hint=hint)


class HandleTaken(WardenError):
    """A container with this handle exists."""

    code = "handle_taken"
    exit_code = 5


class UnknownVolume(WardenError):
    """No volume has this name."""

    code = "unknown_volume"
    exit_code = 16


class VolumeTaken(WardenError):
    """A volume of this name exists."""

    code = "volume_taken"
    exit_code = 17


class VolumeInUse(WardenError):
    """A container has this volume, so it cannot be removed."""

    code = "volume_in_use"
    exit_code = 18


class WrongState(WardenError):
    """The request is not allowed in the container's present state."""

    code = "wrong_state"
    exit_code = 6


class PoolExhausted(WardenError):
    """No network, port or uid is left in its pool."""

    code = "pool_exhausted"
    exit_code = 7


class NotBuilt(WardenError):
    """Something that only a newer warden knows, such as the snapshot of one of its containers."""

    code = "not_built"
    exit_code = 8


class ImageError(WardenError):
    """An image is missing, broken, or could not be built."""

    code = "image"
    exit_code = 9


class KernelRefused(WardenError):
    """The kernel refused a step.

    *operation* and *target* in man-page terms, *errno* as the kernel gave it; "" and 0 once it crossed the wire.
    """

    code = "kernel"
    exit_code = 71  # EX_OSERR of sysexits.h
    operation: str = ""
    target: str = ""
    errno: int = 0

    def __init__(self, operation: str, target: str = "", errno: int = 0, *, hint: str = "") -> None:
        subject = f"{operation} {target}".strip()
        reason = f"{os.strerror(errno)} [{errno_names.errorcode.get(errno, errno)}]" if errno else "failed"
        super().__init__(f"{subject}: {reason}", hint=hint)
        self.operation, self.target, self.errno = operation, target, errno


class NotSupported(WardenError):
    """What was asked is right, but this machine cannot do it: names what is lacking."""

    code = "not_supported"
    exit_code = 11


class JobFailed(WardenError):
    """A job could not be started: its program, directory, user or a step before exec failed."""

    code = "job_failed"
    exit_code = 126


class HookFailed(WardenError):
    """A hook of the daemon's configuration ended with a status other than 0, or not in time."""

    code = "hook_failed"
    exit_code = 10


class TooSlow(WardenError):
    """A reader did not keep up, and what it has not read is no longer kept."""

    code = "too_slow"
    exit_code = 12


class EngineFault(WardenError):
    """The engine failed; a bug, or a machine that does not do what it must."""

    code = "engine_fault"
    exit_code = 70  # EX_SOFTWARE


class Unreachable(WardenError):
    """Nobody answers on the socket, or the connection was lost."""

    code = "unreachable"
    exit_code = 69  # EX_UNAVAILABLE


class NotPermitted(WardenError):
    """The caller may not do this."""

    code = "not_permitted"
    exit_code = 77  # EX_NOPERM


def _tree(cls: type[WardenError]) -> list[type[WardenError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in _tree(sub))]


ALL: tuple[type[WardenError], ...] = tuple(_tree(WardenError))
_BY_CODE = {cls.code: cls for cls in ALL}


def from_code(code: str, message: str) -> WardenError:
    """The error that crossed the wire as *code* and *message*; an unknown code gives a plain WardenError."""
    cls = _BY_CODE.get(code, WardenError)
    error = cls.__new__(cls)
    WardenError.__init__(error, message)
    return error
