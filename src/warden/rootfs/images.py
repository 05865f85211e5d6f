"""The image store: finding, building, listing and removing images.

Owns the layout STORE/NAME/GENERATION/{rootfs,image.json} with the link STORE/NAME/current, and who may change it when.
A generation never changes once it is visible, because running containers have it as their overlay's lower directory.
What goes into an image is in `host` and `builders`. Mounts nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

from warden.errors import BadInput, ImageError, KernelRefused
from warden.kernel.paths import remove_tree
from warden.model.spec import Mount
from warden.records import dataclass
from warden.rootfs import builders, host
from warden.rootfs.generation import ROOTFS, Generation, Progress, Recipe, read_generation, shell_in, tree_size
from warden.rootfs.inuse import images_in_use
from warden.undo import Undo

log = logging.getLogger("warden.rootfs")

DEFAULT_STORE = "/var/lib/warden/images"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_CURRENT = "current"
_HALF_BUILT = ".new-"
_RECIPES: dict[str, Callable[[str, Progress], Recipe]] = {
    "host": host.build,
    "busybox": builders.build_busybox,
    "debian": builders.build_debian,
}


@dataclass(frozen=True, slots=True)
class Image:
    """What a container starts from: a read-only directory, and host directories bound read-only inside it."""

    name: str
    lower: str
    binds: tuple[Mount, ...]
    shell: str


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image as people see it. *created* in seconds since the epoch; *size_bytes* as it occupies on the disk."""

    name: str
    size_bytes: int
    created: float
    path: str


class ImageStore:
    """The images below one directory. Several processes may use one store at once."""

    def __init__(self, path: str = DEFAULT_STORE) -> None:
        self.path = path

    def find(self, name: str) -> Image:
        """The image *name*; `host` is built when it is missing or the machine's own files have changed.

        ImageError: there is none of that name.
        """
        built = self._current(name)
        if name == "host" and (built is None or built.recipe.stamp != host.stamp()):
            return self.build(name, lambda _line: None)
        if built is None:
            raise self._missing(name)
        return _image(name, built)

    def from_directory(self, path: str) -> Image:
        """Any root directory as an image. BadInput: *path* is not a directory."""
        if not os.path.isdir(path):
            raise BadInput(f"rootfs {path} not found")
        return Image(path, os.path.realpath(path), (), shell_in(path))

    def build(self, name: str, progress: Progress) -> Image:
        """Build image *name* (host, busybox or debian) afresh; *progress* gets lines for people.

        Containers that run on an older one keep it; a `host` that is still true of the machine is kept.
        A half-built image is never visible. ImageError: it went wrong.
        """
        recipe = _RECIPES.get(_checked(name))
        if recipe is None:
            raise ImageError(f"image {name}: no recipe for it", hint="can be built: " + ", ".join(_RECIPES))
        with self._locked(name) as directory:
            built = self._current(name) if name == "host" else None
            if built is None or built.recipe.stamp != host.stamp():  # else another process was faster
                built = _build(name, directory, recipe, progress)
            return _image(name, built)

    def list(self) -> list[ImageInfo]:
        """Every image that is there, by name."""
        found = ((name, self._current(name)) for name in _names(self.path))
        return [ImageInfo(name, one.size_bytes, one.created, one.lower) for name, one in found if one is not None]

    def remove(self, name: str) -> None:
        """Remove image *name* and its older generations. ImageError: there is none, or a container uses it."""
        if self._current(name) is None:
            raise self._missing(name)
        with self._locked(name) as directory:
            if not images_in_use().isdisjoint(_generations(directory)):
                raise ImageError(f"image {name}: a container uses it", hint="destroy its containers first; see warden ps")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, _CURRENT))  # from here on nobody finds it
            remove_tree(directory)

    def prune(self) -> int:
        """Remove older generations that no container uses, and what was never finished; how many."""
        removed = 0
        for name in _names(self.path):
            with self._locked(name) as directory:
                removed += _prune(directory)
        return removed

    def _missing(self, name: str) -> ImageError:
        hint = "there are: " + (", ".join(info.name for info in self.list()) or "none yet")
        if name in _RECIPES:
            hint = f"`warden image build {name}` makes it; {hint}"
        return ImageError(f"image {name}: not found", hint=hint)

    def _current(self, name: str) -> Generation | None:
        directory = os.path.join(self.path, _checked(name))
        try:
            return read_generation(os.path.join(directory, os.readlink(os.path.join(directory, _CURRENT))))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("image %s is broken and not used: %s", name, error)
            return None

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[str]:
        """The directory of image *name*, while nobody else changes it. The kernel drops the lock when we die."""
        directory = os.path.join(self.path, name)
        try:
            os.makedirs(self.path, 0o700, exist_ok=True)  # an image may hold set-user-ID programs of any age
            lock = os.open(os.path.join(self.path, f".{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KernelRefused("open", self.path, error.errno or 0, hint="the image store is root's") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.makedirs(directory, 0o755, exist_ok=True)
            yield directory
        finally:
            os.close(lock)


def _names(store: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(store) if _NAME.fullmatch(name))
    except FileNotFoundError:
        return []


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadInput(f"image name {name!r} is not usable", hint="1 to 64 of a-z, 0-9, dot, dash and underscore")
    return name


def _image(name: str, built: Generation) -> Image:
    return Image(name, built.lower, built.recipe.binds, built.recipe.shell)


def _build(name: str, directory: str, recipe: Callable[[str, Progress], Recipe], progress: Progress) -> Generation:
    """A new generation in *directory*, made current. The caller holds the lock."""
    for entry in os.listdir(directory):
        if entry.startswith(_HALF_BUILT):
            remove_tree(os.path.join(directory, entry))
    work = tempfile.mkdtemp(prefix=_HALF_BUILT, dir=directory)
    with Undo() as undo:
        undo.add("half-built image", remove_tree, work)
        os.chmod(work, 0o755)
        root = os.path.join(work, ROOTFS)
        os.mkdir(root)
        try:
            made = recipe(root, progress)
        except (OSError, subprocess.SubprocessError) as error:
            raise ImageError(f"image {name}: {error}") from error
        Generation(work, made, time.time(), tree_size(root)).write()
        final = os.path.join(directory, f"{time.time_ns():x}")
        os.rename(work, final)
        undo.release()
    _make_current(directory, os.path.basename(final))
    return read_generation(final)


def _make_current(directory: str, generation: str) -> None:
    link = os.path.join(directory, _HALF_BUILT + "link")
    os.symlink(generation, link)
    os.rename(link, os.path.join(directory, _CURRENT))


def _generations(directory: str) -> list[str]:
    """Root directories of all generations."""
    names = (name for name in os.listdir(directory) if name != _CURRENT)
    return [os.path.join(directory, name, ROOTFS) for name in names]


def _prune(directory: str) -> int:
    """The caller holds the lock. An empty directory is left of an image whose build never ended."""
    keep = {os.path.basename(os.path.dirname(lower)) for lower in images_in_use().intersection(_generations(directory))}
    with contextlib.suppress(FileNotFoundError):
        keep.add(os.readlink(os.path.join(directory, _CURRENT)))
    old = [name for name in os.listdir(directory) if name not in keep and name != _CURRENT]
    for name in old:
        remove_tree(os.path.join(directory, name))
    return len(old)
