"""Volumes on disk: a directory each, below one place that one engine holds.

    PLACE/NAME/volume.json   what is known of it
    PLACE/NAME/data          its files, with the owners that containers see
    PLACE/NAME/fill          what they are to be, while it is copied
    PLACE/.new-…, .old-…     half made and half removed: gone at the next start

Making and removing are a rename each. What is in `data` was written by containers: nothing here looks into it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time

from warden.errors import EngineFault, KernelRefused, UnknownVolume, VolumeTaken
from warden.kernel.paths import remove_tree
from warden.model.volumes import Volume

LOCK = ".lock"
NEW, OLD = ".new-", ".old-"  # what the names of what is half made and half removed begin with
VERSION = 1
RECORD, FILL = "volume.json", "fill"


class VolumeStore:
    """All volumes below *place*, which is made at the first use. Every method blocks and raises KernelRefused."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._lock_fd = -1
        self._opening = threading.Lock()

    def exists(self) -> bool:
        """Whether there may be volumes; nothing is made by asking."""
        return os.path.isdir(self.place)

    def open(self) -> None:
        """Takes the lock and clears what a crash left; twice is fine. EngineFault: another engine holds it."""
        with self._opening:
            if self._lock_fd >= 0:
                return
            try:
                os.makedirs(self.place, mode=0o700, exist_ok=True)
                fd = os.open(f"{self.place}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise KernelRefused("open", self.place, error.errno or 0) from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(fd)
                hint = "give this one a place of its own: server.volumes_path"
                raise EngineFault(f"volumes {self.place}: another engine holds them", hint=hint) from error
            self._lock_fd = fd
            self._clear()

    def _clear(self) -> None:
        """What is ours and half done, and nothing else: the place may be one where other things lie too."""
        for name in os.listdir(self.place):
            path = f"{self.place}/{name}"
            if name.startswith((NEW, OLD)):
                remove_tree(path)
            elif os.path.isfile(f"{path}/{RECORD}"):
                remove_tree(f"{path}/{FILL}")

    def close(self) -> None:
        """Lets go of the lock; twice is fine."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def data(self, name: str) -> str:
        """Where its files are."""
        return f"{self.place}/{name}/data"

    def list(self) -> list[Volume]:
        if not self.exists():
            return []
        self.open()
        names = sorted(name for name in os.listdir(self.place) if not name.startswith("."))
        found = (self._read(name) for name in names)
        return [volume for volume in found if volume is not None]

    def find(self, name: str) -> Volume | None:
        """None when there is none of that name."""
        if not self.exists():
            return None
        self.open()
        return self._read(name)

    def _read(self, name: str) -> Volume | None:
        """A record that cannot be read, or is a newer version's, says nothing of the files, which are kept; what has none
        is none of ours."""
        path = f"{self.place}/{name}"
        try:
            with open(f"{path}/{RECORD}", encoding="utf-8") as file:
                data = json.load(file)
            if data["version"] != VERSION:
                raise ValueError
            anonymous = bool(data["anonymous"])
            return Volume(name, self.data(name), float(data["created"]), anonymous, stays=data.get("stays", not anonymous))
        except (ValueError, KeyError, TypeError):
            return Volume(name, self.data(name), 0.0)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return Volume(name, self.data(name), 0.0)

    def make(self, name: str, owner: int, *, anonymous: bool = False, stays: bool = True) -> Volume:
        """A new, empty one that belongs to the user of number *owner* in containers. Raises VolumeTaken."""
        self.open()
        half = f"{self.place}/{NEW}{name}"
        created = time.time()
        try:
            os.mkdir(half, 0o700)
            os.mkdir(f"{half}/data", 0o755)
            os.chown(f"{half}/data", owner, owner)
            with open(f"{half}/{RECORD}", "w", encoding="utf-8") as file:
                json.dump({"version": VERSION, "created": created, "anonymous": anonymous, "stays": stays}, file)
            os.rename(half, f"{self.place}/{name}")
        except OSError as error:
            with contextlib.suppress(KernelRefused):
                remove_tree(half)
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise VolumeTaken(f"volume {name}: it exists") from None
            raise KernelRefused("mkdir", f"{self.place}/{name}", error.errno or 0) from error
        return Volume(name, self.data(name), created, anonymous, stays=stays)

    def is_empty(self, name: str) -> bool:
        try:
            with os.scandir(self.data(name)) as entries:
                return next(entries, None) is None
        except OSError as error:
            raise KernelRefused("open", self.data(name), error.errno or 0) from error

    def prepare_fill(self, name: str) -> str:
        """An empty directory beside its files, for what they are to be; `fill` puts it in their place."""
        place = f"{self.place}/{name}/{FILL}"
        remove_tree(place)
        try:
            os.mkdir(place, 0o700)
        except OSError as error:
            raise KernelRefused("mkdir", place, error.errno or 0) from error
        return place

    def fill(self, name: str) -> None:
        """All at once, so that a crash leaves it empty or filled. Only while nothing has it mounted."""
        try:
            os.rename(f"{self.place}/{name}/{FILL}", self.data(name))
        except OSError as error:
            raise KernelRefused("rename", f"{self.place}/{name}/{FILL}", error.errno or 0) from error

    def drop_fill(self, name: str) -> None:
        """There is nothing to fill it with."""
        remove_tree(f"{self.place}/{name}/{FILL}")

    def hide(self, name: str) -> str:
        """Takes it out of sight: it is gone; the path that `remove_tree` finishes, now or at the next start. Raises
        UnknownVolume."""
        self.open()
        hidden = f"{self.place}/{OLD}{name}-{os.urandom(4).hex()}"
        try:
            os.rename(f"{self.place}/{name}", hidden)
        except FileNotFoundError:
            raise UnknownVolume(f"volume {name}: there is none") from None
        except OSError as error:
            raise KernelRefused("rename", f"{self.place}/{name}", error.errno or 0) from error
        return hidden
