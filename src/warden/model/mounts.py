"""What a container sees besides its image: directories lent by the host, volumes, file systems in memory."""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, Enum, late, pattern
from warden.model.size import parse_size
from warden.records import dataclass

if TYPE_CHECKING:
    import re
else:
    re = late("re")

#: Docker's: a name cannot be taken for a path.
VOLUME_NAME = pattern(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
#: Options of a file system in memory that are a word, and those that have a value.
TMPFS_FLAGS = ("exec", "noexec", "suid", "nosuid", "dev", "nodev")
TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes")
MAX_INODES = (1 << 64) // 1024 - 1  # ULONG_MAX / BOGO_INODE_SIZE (mm/shmem.c)
MAX_TARGET = 4096  # PATH_MAX
#: Where a container's own file systems lie, of which nothing could be seen or too much would be hidden.
_TAKEN = ("/", "/proc", "/dev", "/dev/pts", "/dev/mqueue")


class MountKind(Enum):
    """Where the files come from; the values cross the wire."""

    BIND = "bind"  # a directory or file of the host
    VOLUME = "volume"  # a directory that the engine keeps by a name
    TMPFS = "tmpfs"  # memory, charged to the jobs that fill it


@dataclass(frozen=True, slots=True)
class Mount:
    """Something mounted at *target*, an absolute path inside the container.

    *source*: of a bind mount an absolute path of the host; a volume's name, "" for one of the container's own; "" of
    memory. *no_copy*: a new volume stays empty instead of getting what the image has there. *options*: of memory, such
    as "size=64M", "mode=0700", "exec".
    """

    source: str
    target: str
    read_only: bool = True
    kind: MountKind = MountKind.BIND
    no_copy: bool = False
    options: tuple[str, ...] = ()

    @classmethod
    def volume(cls, name: str, target: str, *, read_only: bool = False, no_copy: bool = False) -> Mount:
        """The volume *name*, made if it is missing; "" one that goes with the container."""
        return cls(name, target, read_only, MountKind.VOLUME, no_copy)

    @classmethod
    def tmpfs(cls, target: str, *options: str, read_only: bool = False) -> Mount:
        """An empty file system in memory; *options* as of tmpfs(5): size=, mode=, uid=, gid=, nr_inodes=, exec …"""
        return cls("", target, read_only, MountKind.TMPFS, options=options)

    def __post_init__(self) -> None:
        if not self.target.startswith("/") or "\0" in self.target:
            raise BadInput(f"mount target: {self.target!r} is not an absolute path")
        if ".." in self.target.split("/"):
            raise BadInput(f"mount target: {self.target!r} must not contain '..'")
        if len(self.target) >= MAX_TARGET:
            raise BadInput(f"mount target: {self.target[:40]}… is longer than {MAX_TARGET - 1} characters")
        if self.kind is MountKind.BIND:
            if not self.source.startswith("/") or "\0" in self.source:
                raise BadInput(f"mount source: {self.source!r} is not an absolute path")
        else:
            self._check_place()
        if self.kind is MountKind.VOLUME and self.source:
            check_volume_name(self.source)
        if self.kind is MountKind.TMPFS and self.source:
            raise BadInput(f"mount {self.target}: a tmpfs has no source")
        if self.options and self.kind is not MountKind.TMPFS:
            raise BadInput(f"mount {self.target}: a {self.kind.value} takes no options of tmpfs")
        for word in self.options:
            _check_option(word)

    def _check_place(self) -> None:
        place = self.place
        if place in _TAKEN or place.startswith("/proc/"):
            raise BadInput(f"mount target: {self.target} is the container's own", hint="choose another path")

    @property
    def place(self) -> str:
        """*target* in its shortest form: two mounts of one place hide each other."""
        return "/" + "/".join(part for part in self.target.split("/") if part not in ("", "."))


def check_volume_name(name: str) -> str:
    """*name*; raises BadInput for one that no volume can have."""
    if not VOLUME_NAME.fullmatch(name):
        hint = "2 to 128 letters, digits, '_', '.' and '-', beginning with a letter or digit"
        raise BadInput(f"volume: {name!r} is not a name", hint=hint)
    return name


def _check_option(word: str) -> None:
    name, sign, value = word.partition("=")
    if not sign and name in TMPFS_FLAGS:
        return
    if not sign or name not in TMPFS_VALUES:
        hint = "one of " + ", ".join((*TMPFS_FLAGS, *(f"{value}=" for value in TMPFS_VALUES)))
        raise BadInput(f"tmpfs: {word!r} is not an option", hint=hint)
    if name == "mode":
        if not re.fullmatch(r"[0-7]{1,4}", value):
            raise BadInput(f"tmpfs: mode={value} is not a mode", hint="octal, such as 0755")
    elif name in ("uid", "gid"):
        if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 65535:
            raise BadInput(f"tmpfs: {name}={value} is not an id", hint="0 to 65535")
    elif name == "nr_inodes" or not re.fullmatch(r"(100|[1-9][0-9]?)%", value):
        _check_amount(name, parse_size(value, field=f"tmpfs: {name}"))


def _check_amount(name: str, amount: int) -> None:
    if amount == 0:
        raise BadInput(f"tmpfs: {name}=0 would be no limit", hint="leave it out")
    if name == "nr_inodes" and amount > MAX_INODES:
        raise BadInput(f"tmpfs: nr_inodes={amount} is more than there can be ({MAX_INODES})")


def in_order(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """What lies inside of another comes after it, else it would be hidden. Bind mounts alone stay as they are given, as
    Warden's always did. Raises BadInput for two of one place."""
    if all(mount.kind is MountKind.BIND for mount in mounts):
        return mounts
    seen: set[str] = set()
    for mount in mounts:
        if mount.place in seen:
            raise BadInput(f"mount target: {mount.target} is given twice")
        seen.add(mount.place)
    return tuple(sorted(mounts, key=lambda mount: mount.place.count("/")))
