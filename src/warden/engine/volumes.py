"""Volumes in use: which container has which, what a new one is filled with, and when one goes.

Owns who uses what, in memory: at a start it is told by the containers that live. A volume that was made for a container
goes with the last one that has it; one that nobody has when the engine starts goes too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from warden.depot.volumes import VolumeStore
from warden.engine.events import NOBODY, Emitter, VolumeCreated, VolumeDestroyed
from warden.errors import BadInput, ImageError, UnknownVolume, VolumeInUse, WardenError, WrongState
from warden.kernel.paths import remove_tree
from warden.model.mounts import Mount, MountKind, check_volume_name
from warden.model.settings import EngineSettings
from warden.model.size import format_size
from warden.model.spec import ContainerSpec
from warden.model.volumes import Volume
from warden.records import dataclass, field, replace
from warden.rootfs.copyreport import Cancelled
from warden.rootfs.volumecopy import Bound, Origin, copy_into, make_place

log = logging.getLogger("warden.volumes")


def place_of(settings: EngineSettings) -> str:
    """Where volumes are: as configured, else beside the depot. Raises BadInput for a place in the depot, where every
    directory is taken for a container's."""
    if settings.volumes is not None:
        place, depot = os.path.realpath(settings.volumes), os.path.realpath(settings.depot)
        if os.path.commonpath((place, depot)) == depot:
            raise BadInput(f"server.volumes_path: {settings.volumes} lies in the depot", hint="choose another place")
        return settings.volumes
    parent, name = os.path.split(settings.depot.rstrip("/"))
    return f"{parent}/volumes" if name == "containers" else f"{parent}/{name}-volumes"


def vcap_number(settings: EngineSettings) -> int | None:
    """vcap inside every container with volumes and ids of its own: the same in all, or the files of one would be a
    stranger's to the next. No number of the pool; None when there is none behind it."""
    number = settings.pool_start_uid + settings.pool_uid_count
    return number if number < 65534 else None


def names_in(mounts: Iterable[Mount]) -> list[str]:
    """The volumes among *mounts*."""
    return [mount.source for mount in mounts if mount.kind is MountKind.VOLUME and mount.source]


class Run(Protocol):
    """Carries a blocking call into a worker thread."""

    def __call__(self, function: Callable[..., Any], *args: object) -> Awaitable[Any]: ...


@dataclass(slots=True)
class _Making:
    """A container that is being made: volumes *made* for it, those that nobody else gets until it runs, and of these the
    ones that no running container has. *over*: it is not wanted any more."""

    over: threading.Event
    made: list[str] = field(default_factory=list)
    filling: frozenset[str] = frozenset()
    fresh: frozenset[str] = frozenset()


class Volumes:
    """One engine's. *handles* gives the handles of containers by id; one that is still made has none."""

    def __init__(
        self, settings: EngineSettings, run: Run, keep: Callable[[asyncio.Task[None]], None], events: Emitter
    ) -> None:
        self._store = VolumeStore(place_of(settings))
        self._owner = vcap_number(settings) or settings.pool_start_uid
        self._run = run
        self._keep = keep
        self._closing = False
        self._fill_limit = settings.volume_fill_limit
        self._events = events
        self._users: dict[str, set[str]] = {}
        self._filling: dict[str, asyncio.Event] = {}
        self._making: dict[str, _Making] = {}  # by container
        self._changing = asyncio.Lock()
        self.handles: Callable[[], Mapping[str, str]] = dict

    async def start(self, held: Iterable[tuple[str, ContainerSpec]]) -> None:
        """*held*: the containers that live, by id. What a crash left of volumes is removed."""
        for container_id, spec in held:
            self._hold(container_id, names_in(spec.mounts))
        try:
            for volume in await self._run(self._store.list):
                if not volume.stays and not self._users.get(volume.name):
                    await self._take_away(volume.name)
        except WardenError as error:  # containers without volumes need none
            log.error("%s", error)

    async def close(self) -> None:
        await self._run(self._store.close)

    def _hold(self, container_id: str, names: Iterable[str]) -> None:
        for name in names:
            self._users.setdefault(name, set()).add(container_id)

    # ---- what people ask

    async def create(self, name: str | None = None) -> Volume:
        """A volume; without *name* one is made up. Raises BadInput, VolumeTaken, KernelRefused."""
        chosen = check_volume_name(name) if name else os.urandom(16).hex()
        async with self._changing:
            return await self._make(chosen, anonymous=not name)

    async def _make(self, name: str, **how: bool) -> Volume:
        volume: Volume = await self._run(partial(self._store.make, name, self._owner, **how))
        self._events.emit(VolumeCreated(NOBODY, name))
        return volume

    async def all(self) -> list[Volume]:
        """All, by name."""
        found: list[Volume] = await self._run(self._store.list)
        handles = self.handles()
        return [self._with_users(volume, handles) for volume in found]

    async def get(self, name: str) -> Volume:
        """Raises UnknownVolume."""
        return self._with_users(await self._find(name), self.handles())

    async def remove(self, name: str) -> None:
        """Removes it with its files. Raises UnknownVolume, VolumeInUse."""
        async with self._changing:
            await self._find(name)
            if users := self._users_of(name, self.handles()):
                hint = "destroy what uses it first"
                raise VolumeInUse(f"volume {name}: in use by " + ", ".join(users), hint=hint)
            await self._take_away(name)

    async def prune(self, *, every: bool = False) -> list[str]:
        """Removes those without a name that no container has, *every*: named ones too. Their names."""
        removed = []
        async with self._changing:
            for volume in await self._run(self._store.list):
                if (volume.anonymous or every) and not self._users.get(volume.name):
                    await self._take_away(volume.name)
                    removed.append(volume.name)
        return removed

    async def _find(self, name: str) -> Volume:
        found: Volume | None = await self._run(self._store.find, check_volume_name(name))
        if found is None:
            raise UnknownVolume(f"volume {name}: there is none", hint="warden volume list shows all")
        return found

    def _with_users(self, volume: Volume, handles: Mapping[str, str]) -> Volume:
        return replace(volume, used_by=tuple(self._users_of(volume.name, handles)))

    def _users_of(self, name: str, handles: Mapping[str, str]) -> list[str]:
        return sorted(handles.get(user, user) for user in self._users.get(name, ()))

    # ---- what containers take and give

    async def take(self, container_id: str, spec: ContainerSpec, over: threading.Event) -> ContainerSpec:
        """Makes what is missing and holds all of it until `release`; *spec* with the names of anonymous ones. Waits while
        another container's creation fills one of them. `settle` or `release` ends the making of this one. *over*, or
        `cut_off`, cuts its filling short."""
        mounts = tuple(_named(mount) for mount in spec.mounts)
        names = names_in(mounts)
        if not names:
            return spec
        making = self._making[container_id] = _Making(over)
        if self._closing:
            over.set()
        self._hold(container_id, names)
        while busy := [self._filling[name] for name in names if name in self._filling]:
            await busy[0].wait()
        for name in names:
            self._filling[name] = asyncio.Event()
        making.filling = frozenset(names)
        making.fresh = frozenset(name for name in names if not self._users[name] - self._making.keys())
        own = {new.source for new, old in zip(mounts, spec.mounts, strict=True) if new is not old}
        async with self._changing:
            for name in names:
                if await self._run(self._store.find, name) is None:
                    await self._make(name, anonymous=name in own, stays=name not in own)
                    making.made.append(name)
        return replace(spec, mounts=mounts)

    def cut_off(self) -> None:
        """No container that is being made is wanted any more, nor one that will be."""
        self._closing = True
        for making in self._making.values():
            making.over.set()

    def settle(self, container_id: str) -> None:
        """The container runs: others may have them too."""
        if (making := self._making.pop(container_id, None)) is not None:
            for name in making.filling:
                self._filling.pop(name).set()

    def let_go(self, container_id: str) -> list[str]:
        """The container is gone: at once it has none of them any more. Those that nobody has now, for `drop`."""
        left = []
        for name, users in list(self._users.items()):
            users.discard(container_id)
            if not users:
                del self._users[name]
                left.append(name)
        return left

    async def drop(self, names: Iterable[str], *, made: Collection[str] = ()) -> None:
        """Removes of these what does not stay, and what was *made* for nothing, unless somebody has it again."""
        async with self._changing:
            for name in names:
                try:
                    volume = None if self._users.get(name) else await self._run(self._store.find, name)
                    if volume is not None and (not volume.stays or name in made):
                        await self._take_away(name)
                except WardenError as error:
                    log.error("volume %s: %s", name, error)

    async def release(self, container_id: str) -> None:
        """The container was never made: then what was made for it goes as well."""
        making = self._making.get(container_id)
        await self.drop(self.let_go(container_id), made=() if making is None else making.made)
        self.settle(container_id)

    async def _take_away(self, name: str) -> None:
        """It is gone at once; its files take as long as they take, and nobody waits for them."""
        hidden = await self._run(self._store.hide, name)
        self._events.emit(VolumeDestroyed(NOBODY, name))
        self._keep(asyncio.ensure_future(self._clear(hidden)))

    async def _clear(self, hidden: str) -> None:
        try:
            await self._run(remove_tree, hidden)
        except WardenError as error:
            log.error("%s: removed at the next start: %s", hidden, error)

    def path(self, name: str) -> str:
        """Where its files are."""
        return self._store.data(name)

    def may_fill(self, container_id: str) -> bool:
        """Whether the container that is being made has volumes that `fill` may have to copy into."""
        making = self._making.get(container_id)
        return making is not None and bool(making.fresh)

    def fill(self, container_id: str, mounts: Sequence[Mount], origins: Sequence[Origin], owner: int) -> None:
        """Blocking, while the container is made: new volumes get what the image has at their place, as docker's do; where
        it has nothing they belong to *owner*, who is vcap. Raises WrongState when that was cut off, ImageError when it is
        more than `volume_fill_limit` in all."""
        making, limit = self._making[container_id], self._fill_limit
        bound = Bound(limit or None, lambda: not making.over.is_set())
        for mount in _volumes(mounts):
            if mount.source in making.fresh and self._store.is_empty(mount.source):
                self._fill(mount, origins, owner, bound)
        by_place = {mount.place: mount for mount in mounts}
        for mount in mounts:
            around = _around(mount.place, by_place)
            if around is not None and around.kind is MountKind.VOLUME:
                inner = mount.place.removeprefix(around.place)
                is_directory = mount.kind is not MountKind.BIND or os.path.isdir(mount.source)
                make_place(self.path(around.source), inner, is_directory=is_directory)

    def _fill(self, mount: Mount, origins: Sequence[Origin], owner: int, bound: Bound) -> None:
        name = mount.source
        try:
            if not mount.no_copy and copy_into(self._store.prepare_fill(name), origins, mount.place, bound):
                self._store.fill(name)
            else:
                os.chown(self.path(name), owner, owner)
        except Cancelled:
            raise WrongState(f"volume {name}: filling it was cut off: nobody waits for the container any more") from None
        except ImageError:
            if bound.room is not None and bound.room < 0:
                hint = "mount it with nocopy, or raise server.volume_fill_limit"
                at = f"what the image has at {mount.place}"
                raise ImageError(f"volume {name}: {at} is more than {format_size(self._fill_limit)}", hint=hint) from None
            raise
        finally:
            self._store.drop_fill(name)  # what did not fit, too


def with_borrowed(spec: ContainerSpec, mounts_of: Callable[[str], Sequence[Mount]]) -> ContainerSpec:
    """*spec* with the bind mounts and volumes of the containers it names; one of its own at the same place wins."""
    mounts = {mount.place: mount for mount in spec.mounts}
    for wanted in reversed(spec.volumes_from):
        for mount in mounts_of(wanted.handle):
            if mount.kind is not MountKind.TMPFS:
                read_only = mount.read_only or bool(wanted.read_only)
                mounts.setdefault(mount.place, replace(mount, read_only=read_only, no_copy=True))
    return replace(spec, mounts=tuple(mounts.values())) if spec.volumes_from else spec


def _volumes(mounts: Iterable[Mount]) -> list[Mount]:
    return [mount for mount in mounts if mount.kind is MountKind.VOLUME]


def _around(place: str, by_place: Mapping[str, Mount]) -> Mount | None:
    """The innermost mount that *place* lies in."""
    while place := place.rpartition("/")[0]:
        if place in by_place:
            return by_place[place]
    return None


def _named(mount: Mount) -> Mount:
    if mount.kind is MountKind.VOLUME and not mount.source:
        return replace(mount, source=os.urandom(32).hex())
    return mount
