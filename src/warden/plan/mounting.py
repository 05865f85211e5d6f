"""Steps for what a user mounts into a container beside bind mounts, and for a root that cannot be written. Pure."""

from __future__ import annotations

from warden.light import TYPE_CHECKING
from warden.model.mounts import TMPFS_FLAGS
from warden.model.size import parse_size
from warden.plan import flags, words
from warden.plan.steps import Step
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What an option takes from a file system in memory or gives it; docker's default is to give nothing.
_GIVES = {"exec": flags.MS_NOEXEC, "suid": flags.MS_NOSUID, "dev": flags.MS_NODEV}
NOTHING = flags.MS_NOSUID | flags.MS_NODEV | flags.MS_NOEXEC


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A file system in memory at *target*; *options* as model/mounts.py has them."""

    target: str
    options: tuple[str, ...] = ()
    read_only: bool = False


def tmpfs_steps(item: Tmpfs, owner: int) -> Iterator[Step]:
    """*owner*: the host's id of root inside, to which its ids are added."""
    wanted, values = NOTHING | (flags.MS_RDONLY if item.read_only else 0), {"mode": "1777", "uid": "0", "gid": "0"}
    for word in item.options:
        name, sign, value = word.partition("=")
        if sign:
            values[name] = value
        elif name in _GIVES:
            wanted &= ~_GIVES[name]
        elif name in TMPFS_FLAGS:
            wanted |= _GIVES[name.removeprefix("no")]
    for name in ("uid", "gid"):
        values[name] = str(owner + int(values[name]))
    for name in ("size", "nr_inodes"):
        if name in values and not values[name].endswith("%"):
            values[name] = str(parse_size(values[name], field=name))
    data = ",".join(f"{name}={value}" for name, value in values.items())
    yield words.mkdir(item.target, 0o755, owner)
    yield words.mount("tmpfs", item.target, "tmpfs", wanted, data, "in memory, charged to the job that fills it")


def read_only_devices() -> Step:
    """Before anything of the user's is mounted: what an image's links may lead there keeps its own flags."""
    return words.remount("/dev", flags.MS_RDONLY | flags.MS_NOSUID | flags.MS_NOEXEC, "its devices can be used")


def read_only_root() -> Step:
    """The mount itself, not what lies below it; locked for the container as all others (mount_namespaces(7))."""
    return words.remount("/", flags.MS_RDONLY | flags.MS_NODEV, "only what is mounted below can be written")
