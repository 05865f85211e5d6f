"""What the two paths of a copy mean: the rules of `rsync -r`, as pure functions. Looks at nothing but its arguments,
except for the host's users.
"""

from __future__ import annotations

import grp
import os
import pwd

from warden.errors import BadInput
from warden.light import Enum
from warden.records import dataclass

_UNCHANGED = -1


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied: the entry *name* of *directory*, or with an empty *name* what lies in *directory*."""

    directory: str
    name: str


class There(Enum):
    """What the destination is, symbolic links followed."""

    MISSING = "missing"
    DIRECTORY = "directory"
    OTHER = "other"


class Placing(Enum):
    """Where the source goes: into the destination, into it when it has been made, or in its place."""

    INTO = "into"
    MAKE = "make"
    AS = "as"


def check_path(field: str, path: str) -> None:
    """Raises BadInput for what no path can be."""
    if not path or "\0" in path:
        raise BadInput(f"{field}: a path is missing" if not path else f"{field}: a path has no NUL")


def check_host_path(field: str, path: str) -> None:
    """The same, and for a relative one: the daemon's working directory means nothing to its clients."""
    check_path(field, path)
    if not path.startswith("/"):
        raise BadInput(f"{field}: {path!r} is relative", hint="paths of the host must be absolute")


def parse_source(path: str) -> Source:
    """`dir` is the directory itself; `dir/`, `dir/.` and `dir/..` are what lies in it."""
    directory, name = split(path)
    return Source(path, "") if path.endswith("/") or name in ("", ".", "..") else Source(directory, name)


def split(path: str) -> tuple[str, str]:
    """Directory and last name of a path, slashes at the end left out."""
    directory, name = os.path.split(path.rstrip("/"))
    return directory or ("/" if path.startswith("/") else "."), name


def placing(path: str, there: There, *, is_directory: bool, is_empty: bool) -> Placing:
    """What rsync does with destination *path*. Raises BadInput where it refuses.

    *is_directory*, *is_empty*: of the source. An empty directory takes the place of a missing destination, a filled
    one goes into it: so it is.
    """
    if there is There.DIRECTORY:
        return Placing.INTO
    if there is There.OTHER:
        if is_directory or path.endswith("/"):
            raise BadInput(f"{path}: not a directory", hint="the destination exists and is something else")
        return Placing.AS
    return Placing.MAKE if path.endswith("/") or (is_directory and not is_empty) else Placing.AS


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the copies are; -1 leaves it as it comes."""

    uid: int = _UNCHANGED
    gid: int = _UNCHANGED

    def __bool__(self) -> bool:
        return (self.uid, self.gid) != (_UNCHANGED, _UNCHANGED)


def host_owner(text: str) -> Owner:
    """`user`, `user:group`, `user:` (and its login group) or `:group` of the host, names or numbers, as chown(1) reads
    them; "" changes nothing. Raises BadInput for somebody unknown."""
    user, colon, group = text.partition(":")
    uid = _uid(user) if user else _UNCHANGED
    if group:
        return Owner(uid, _gid(group))
    return Owner(uid, _login_group(user, uid) if colon and user else _UNCHANGED)


def _uid(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return _number("user", name)


def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return _number("group", name)


def _login_group(name: str, uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        raise BadInput(f"owner: user {name!r} has no login group") from None


def _number(kind: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) < 2**32 - 1:
        return int(text)
    raise BadInput(f"owner: {text!r} is not a {kind} of the host")
