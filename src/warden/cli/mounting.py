"""`-v`, `--mount`, `--tmpfs`: what people write to a Mount, as docker reads it. Nothing is asked of the machine."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from typing import TYPE_CHECKING

from warden.errors import BadInput

if TYPE_CHECKING:
    from warden.model.mounts import Mount

_KEY = re.compile(r"(type|source|src|target|dst|destination|readonly|ro)(=|,|$)")
_NAMES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_KEYS = ("type", "source", "target", "readonly", "volume-nocopy", "tmpfs-size", "tmpfs-mode")


def all_mounts(options: Namespace) -> tuple[Mount, ...]:
    """Everything that the options of a new container mount; raises BadInput."""
    return (
        *map(parse_volume, options.volume),
        *map(parse_mount, options.mount),
        *map(parse_tmpfs, options.tmpfs),
    )


def parse_volume(text: str, option: str = "-v") -> Mount:
    """HOST:DST, NAME:DST or DST, then [:ro|rw|nocopy]; what has a slash or begins with a dot is a path. Raises BadInput."""
    from warden.model.mounts import Mount

    parts = text.split(":")
    words = parts.pop().split(",") if len(parts) > 1 and set(parts[-1].split(",")) <= {"ro", "rw", "nocopy"} else []
    source, target = ("", parts[0]) if len(parts) == 1 and option == "-v" else (parts[0], ":".join(parts[1:]))
    if len(parts) > 2 or not target.startswith("/") or {"ro", "rw"} <= set(words) or (len(parts) == 2 and not source):
        raise BadInput(f"{option}: {text!r} is not SRC:DST[:ro|rw]", hint="SRC is a path, or the name of a volume")
    read_only = "ro" in words
    if "/" not in source and not source.startswith("."):
        return Mount.volume(source, target, read_only=read_only, no_copy="nocopy" in words)
    if "nocopy" in words:
        raise BadInput(f"{option}: {text!r}: nocopy is for volumes")
    return Mount(os.path.abspath(source), target, read_only=read_only)


def parse_mount(text: str) -> Mount:
    """type=bind|volume|tmpfs,source=…,target=…,readonly …, or what -v takes. Raises BadInput."""
    from warden.model.mounts import Mount

    if not _KEY.match(text):
        return parse_volume(text, "--mount")
    given = _pairs(text)
    kind, target = given.get("type", "volume"), given.get("target", "")
    read_only, source = _flag(given, "readonly"), given.get("source", "")
    foreign = {"bind": ("volume-", "tmpfs-"), "volume": ("tmpfs-",), "tmpfs": ("volume-", "source")}.get(kind)
    if foreign is None:
        raise BadInput(f"--mount: type={kind} is unknown", hint="bind, volume or tmpfs")
    if wrong := [key for key in given if key.startswith(foreign)]:
        raise BadInput(f"--mount: {wrong[0]} is not for type={kind}")
    if not target:
        raise BadInput(f"--mount: {text!r} has no target")
    if kind == "tmpfs":
        words = [f"{name}={given[key]}" for name, key in (("size", "tmpfs-size"), ("mode", "tmpfs-mode")) if key in given]
        return Mount.tmpfs(target, *words, read_only=read_only)
    if kind == "volume":
        return Mount.volume(source, target, read_only=read_only, no_copy=_flag(given, "volume-nocopy"))
    if not source:
        raise BadInput(f"--mount: {text!r} has no source")
    return Mount(os.path.abspath(source), target, read_only=read_only)


def _pairs(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in text.split(","):
        key, sign, value = word.partition("=")
        name = _NAMES.get(key, key)
        if name not in _KEYS:
            raise BadInput(f"--mount: {key!r} is unknown", hint="one of " + ", ".join(_KEYS))
        if name in given:
            raise BadInput(f"--mount: {name} is given twice")
        if not sign and name not in ("readonly", "volume-nocopy"):
            raise BadInput(f"--mount: {key} has no value")
        given[name] = value if sign else "true"
    return given


def _flag(given: dict[str, str], name: str) -> bool:
    value = given.get(name, "false")
    if value not in ("true", "false", "1", "0"):
        raise BadInput(f"--mount: {name}={value} is not true or false")
    return value in ("true", "1")


def parse_tmpfs(text: str) -> Mount:
    """PATH[:OPTION,...]. Raises BadInput."""
    from warden.model.mounts import Mount

    target, _, rest = text.partition(":")
    words = [word for word in rest.split(",") if word]
    if {"ro", "rw"} <= set(words):
        raise BadInput(f"--tmpfs: {text!r} is both ro and rw")
    options = [word for word in words if word not in ("ro", "rw", "defaults")]
    return Mount.tmpfs(target, *options, read_only="ro" in words)
