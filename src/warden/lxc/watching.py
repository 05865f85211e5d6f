"""Changes of containers' states as they happen, by inotify(7) on the journals. Read only: nobody is asked.

What a journal says is read on from where it was, and its file is held open, so that the last word of one that is removed
is not missed. Whose watcher was killed is stopped, which is looked for once a second.
"""

from __future__ import annotations

import os
import select
import time

from warden.depot import systems
from warden.kernel.events import IN_CREATE, IN_DELETE, IN_MODIFY, drain, inotify_add_watch, inotify_init1
from warden.light import TYPE_CHECKING, NamedTuple, suppress
from warden.lxc import place
from warden.lxc.place import Running, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOVED_TO = 0x80
_LOOK_S = 1.0


class _Followed:
    def __init__(self, running: Running, journal: int) -> None:
        self.running, self.journal = running, journal
        self.rest, self.over = b"", False


class Change(NamedTuple):
    """*word*: a state, or "EXITED N"."""

    running: Running
    word: str


class Watch:
    """From now on; *from_start*: with all that was written of those that are there already."""

    def __init__(self, site: Site, *, from_start: bool = False) -> None:
        self._site = site
        self._followed: dict[str, _Followed] = {}
        place.make_state(site.state)
        self._fd = inotify_init1()
        inotify_add_watch(self._fd, site.state, IN_CREATE | IN_DELETE | _MOVED_TO)
        self._discover()
        if not from_start:
            for followed in self._followed.values():
                os.lseek(followed.journal, 0, os.SEEK_END)

    def close(self) -> None:
        os.close(self._fd)
        for followed in self._followed.values():
            os.close(followed.journal)

    def changes(self, deadline: float | None = None) -> Iterator[Change]:
        """For ever, or until *deadline* of time.monotonic()."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while True:
            yield from self._read()
            left = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
            if left < 0:
                return
            if poll.poll(max(1, int(left * 1000))):
                drain(self._fd)
            else:
                yield from self._abandoned()
            self._discover()

    def _discover(self) -> None:
        for name in systems.entries(self._site.state):
            if name in self._followed:
                continue
            directory = f"{self._site.state}/{name}"
            with suppress(OSError, ValueError, TypeError):
                inotify_add_watch(self._fd, directory, IN_MODIFY | IN_CREATE | _MOVED_TO)
                running = place.recalled(directory)
                journal = os.open(f"{directory}/journal", os.O_RDONLY | os.O_CLOEXEC)
                self._followed[name] = _Followed(running, journal)

    def _read(self) -> Iterator[Change]:
        for name, followed in list(self._followed.items()):
            *lines, followed.rest = (followed.rest + os.read(followed.journal, 65536)).split(b"\n")
            for line in lines:
                followed.over = line == b"STOPPED"
                yield Change(followed.running, line.decode(errors="replace"))
            if followed.over or not os.path.exists(f"{self._site.state}/{name}/lock"):
                if not followed.over:
                    yield Change(followed.running, "STOPPED")
                followed.over = True
                if not os.path.exists(f"{self._site.state}/{name}"):
                    os.close(self._followed.pop(name).journal)

    def _abandoned(self) -> Iterator[Change]:
        for name, followed in self._followed.items():
            if not followed.over and not systems.is_held(f"{self._site.state}/{name}"):
                followed.over = True
                yield Change(followed.running, "STOPPED")
