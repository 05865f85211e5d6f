"""Which containers are nothing without which others: `lxc_rdepends` in a clone, `lxc_snapshots` in its parent, as LXC has
them: two lines for each, a lxcpath and a name.

A crash may leave an entry of a clone that is no more; such entries count for nothing and go with the next change.
"""

from __future__ import annotations

import os

from warden.errors import BadInput, WrongState
from warden.light import TYPE_CHECKING, suppress
from warden.lxc import configfile
from warden.lxc.home import Home, bookkeeping

if TYPE_CHECKING:
    from collections.abc import Iterable

_PARENTS, _CLONES = "lxc_rdepends", "lxc_snapshots"


def parents(home: Home) -> tuple[Home, ...]:
    """Those that it is nothing without."""
    return tuple(Home(*pair) for pair in _read(_file(home, _PARENTS)))


def clones(home: Home) -> tuple[Home, ...]:
    """Those that are nothing without it. Raises BadInput for what is no file, WrongState for one of LXC's before 1.1, which
    has a number alone."""
    listed = (Home(*pair) for pair in _read(_file(home, _CLONES)))
    return tuple(clone for clone in listed if _is_clone(clone, home))


def _is_clone(clone: Home, home: Home) -> bool:
    """Also one that cannot be read, or does not say whose it is: better one too many."""
    if not os.path.isdir(clone.path):
        return False
    known = parents(clone)
    return not known or any(_same(parent, home) for parent in known)


def _same(one: Home, other: Home) -> bool:
    return os.path.normpath(one.path) == os.path.normpath(other.path)


def record(home: Home, on: Iterable[Home]) -> None:
    """*home* is nothing without those. Raises ConfigError."""
    wanted = tuple(dict.fromkeys(on))
    if not wanted:
        return
    _write(_file(home, _PARENTS), [(parent.lxcpath, parent.name) for parent in wanted])
    for parent in wanted:
        _change(parent, home, home)


def forget(home: Home) -> None:
    """Before it goes: its parents need no longer stay for it."""
    for parent in parents(home):
        _change(parent, home, None)


def moved(old: Home, new: Home) -> None:
    """It was renamed: its parents and its clones know it by its new name."""
    for parent in parents(new):
        _change(parent, old, new)
    for lxcpath, name in _read(_file(new, _CLONES)):
        clone = Home(lxcpath, name)
        lines = [(new if _same(parent, old) else parent) for parent in parents(clone)]
        if lines:
            _write(_file(clone, _PARENTS), [(parent.lxcpath, parent.name) for parent in lines])


def _change(parent: Home, old: Home, new: Home | None) -> None:
    """In the parent's list *new* takes the place of *old*."""
    if not os.path.isdir(parent.path):
        return
    with bookkeeping(parent.lxcpath):
        path = _file(parent, _CLONES)
        changed = (old, new) if new else (old,)
        rest = [
            (lxcpath, name)
            for lxcpath, name in _read(path)
            if os.path.isdir(os.path.join(lxcpath, name))
            and not any(_same(Home(lxcpath, name), home) for home in changed)
        ]
        after = rest + ([(new.lxcpath, new.name)] if new else [])
        if after:
            _write(path, after)
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)


def _file(home: Home, name: str) -> str:
    return os.path.join(home.path, name)


def _read(path: str) -> list[tuple[str, str]]:
    try:
        text = os.fsdecode(configfile.contents(path, flags=os.O_NOFOLLOW))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", hint="it is a file of LXC's, and no link") from error
    lines = [line for line in text.split("\n") if line]
    if len(lines) == 1 and lines[0].isdecimal():
        if lines[0] == "0":
            return []
        hint = f"LXC before 1.1 kept no more: find them, then remove {path}"
        raise WrongState(f"{path} says that there are {lines[0]} clones, but not which", hint=hint)
    return list(zip(lines[::2], lines[1::2], strict=False))


def _write(path: str, pairs: Iterable[tuple[str, str]]) -> None:
    if os.path.islink(path):  # whoever owns the directory would have any file of the host's replaced
        raise BadInput(f"{path} cannot be written: it is a link", hint="remove it")
    text = "".join(f"{lxcpath}\n{name}\n" for lxcpath, name in pairs)
    configfile.write(configfile.parse(text, path))
