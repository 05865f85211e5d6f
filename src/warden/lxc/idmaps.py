"""Id maps of a user namespace that somebody else has made: written directly by root, by newuidmap(1) for others."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess

from warden.errors import BadInput, KernelRefused, NotSupported
from warden.light import TYPE_CHECKING, late
from warden.lxc import values
from warden.model.system import IdRange

if TYPE_CHECKING:
    import re
else:
    re = late("re")

_PROGRAMS = {"u": "newuidmap", "g": "newgidmap"}
_MAPS = {"u": "uid_map", "g": "gid_map"}
_GRANTS = {"u": "/etc/subuid", "g": "/etc/subgid"}


def parse(text: str) -> tuple[IdRange, ...]:
    """ "u:0:100000:65536"; raises BadInput."""
    return values.id_ranges(text.replace(":", " "))


def granted() -> tuple[IdRange, ...]:
    """What /etc/subuid and /etc/subgid give the caller, from 0 inside. Raises NotSupported when either has nothing."""
    found = [item for kind in "ug" for item in _granted(kind)]
    if {item.kind for item in found} != {"u", "g"}:
        name = _user()[0]
        hint = f"have one granted: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
        raise NotSupported("Failed to find subuid or subgid allocation", hint=hint)
    return tuple(found)


def _user() -> tuple[str, int]:
    """Who calls, by name and number."""
    user = os.getuid()
    try:
        return pwd.getpwuid(user).pw_name, user
    except KeyError:
        return str(user), user


def _granted(kind: str) -> list[IdRange]:
    name, user = _user()
    found: list[IdRange] = []
    try:
        with open(_GRANTS[kind], encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError:
        return []
    for line in lines:
        match = re.fullmatch(r"([^:]*):(\d{1,10}):(\d{1,10})", line.strip())
        if match and match[1] in (name, str(user)):
            inside = sum(item.count for item in found)
            found.append(IdRange(kind, inside, int(match[2]), int(match[3])))
    return found


def with_self(ranges: tuple[IdRange, ...]) -> tuple[IdRange, ...]:
    """And the caller's own ids, after the others."""
    own = {"u": os.getuid(), "g": os.getgid()}
    last = {kind: max((r.inside + r.count for r in ranges if r.kind == kind), default=0) for kind in "ug"}
    return (*ranges, *(IdRange(kind, last[kind], own[kind], 1) for kind in "ug"))


def write(pid: int, ranges: tuple[IdRange, ...]) -> None:
    """Of the user namespace of process *pid*. Raises BadInput for a map that cannot be, NotSupported, KernelRefused."""
    for kind in "ug":
        own = [item for item in ranges if item.kind == kind]
        if not own:
            continue
        if os.geteuid() == 0 or _is_own(own):
            _write_directly(pid, kind, own)
        else:
            _write_by_program(pid, kind, own)


def _is_own(ranges: list[IdRange]) -> bool:
    """One id, the caller's own: everybody may map that, user_namespaces(7)."""
    own = os.geteuid() if ranges[0].kind == "u" else os.getegid()
    return len(ranges) == 1 and (ranges[0].outside, ranges[0].count) == (own, 1)


def _write_directly(pid: int, kind: str, ranges: list[IdRange]) -> None:
    path = f"/proc/{pid}/{_MAPS[kind]}"
    try:
        if kind == "g" and os.geteuid() != 0:
            with open(f"/proc/{pid}/setgroups", "w", encoding="ascii") as file:
                file.write("deny")  # without it the kernel refuses the map of who has no rights, since 3.19
        with open(path, "w", encoding="ascii") as file:
            file.write("".join(f"{item.inside} {item.outside} {item.count}\n" for item in ranges))
    except OSError as error:
        hint = "ranges must not overlap, and the outer ids must exist here: /proc/self/uid_map"
        raise KernelRefused("write", path, error.errno or 0, hint=hint) from error


def _write_by_program(pid: int, kind: str, ranges: list[IdRange]) -> None:
    program = shutil.which(_PROGRAMS[kind])
    if program is None:
        raise NotSupported(f"{_PROGRAMS[kind]} is not installed", hint="install the package uidmap")
    numbers = [str(number) for item in ranges for number in (item.inside, item.outside, item.count)]
    done = subprocess.run([program, str(pid), *numbers], capture_output=True, text=True, check=False)
    if done.returncode:
        hint = f"{_GRANTS[kind]} has to grant these ids to the caller"
        raise BadInput(f"{_PROGRAMS[kind]}: {done.stderr.strip() or done.returncode}", hint=hint)
