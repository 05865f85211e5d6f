"""One finished image on disk: what is recorded beside its root directory, and reading it back.

Owns image.json and its fields. Does not decide which generation is current.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable

from warden.kernel.paths import open_in_root
from warden.model.spec import Mount
from warden.records import dataclass

RECORD = "image.json"
ROOTFS = "rootfs"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a builder says of the root directory it filled. *stamp* is what must not change for it to stay valid."""

    shell: str
    binds: tuple[Mount, ...] = ()
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """A built image. *path* holds the record and the root directory."""

    path: str
    recipe: Recipe
    created: float
    size_bytes: int

    @property
    def lower(self) -> str:
        return os.path.join(self.path, ROOTFS)

    def write(self) -> None:
        """Record it in its directory and have it on the disk."""
        binds = [[bind.source, bind.target] for bind in self.recipe.binds]
        record = {
            "shell": self.recipe.shell,
            "binds": binds,
            "stamp": self.recipe.stamp,
            "created": self.created,
            "size_bytes": self.size_bytes,
        }
        with open(os.path.join(self.path, RECORD), "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())


def read_generation(path: str) -> Generation:
    """The generation in *path*. Raises OSError, and ValueError for a record that makes no sense."""
    with open(os.path.join(path, RECORD), "rb") as file:
        record = json.load(file)
    try:
        binds = tuple(Mount(source, target) for source, target in record["binds"])
        recipe = Recipe(str(record["shell"]), binds, str(record["stamp"]))
        return Generation(path, recipe, float(record["created"]), int(record["size_bytes"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{RECORD}: {error!r}") from None


def shell_in(root: str) -> str:
    """The shell of the root directory *root*: /bin/bash if it is there and can be run, else /bin/sh."""
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return "/bin/bash" if _is_program(root_fd, "bin/bash") else "/bin/sh"
    finally:
        os.close(root_fd)


def _is_program(root_fd: int, path: str) -> bool:
    try:
        fd = open_in_root(root_fd, path, os.O_PATH)
    except OSError:
        return False
    try:
        mode = os.fstat(fd).st_mode
    finally:
        os.close(fd)
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def tree_size(path: str) -> int:
    """Bytes that the tree *path* occupies; a file with several links counts once, mounts are not entered."""
    seen: set[int] = set()
    total = 0
    for directory, _names, files, fd in os.fwalk(path):
        del directory
        total += os.fstat(fd).st_blocks * 512
        for name in files:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total
