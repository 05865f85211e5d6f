"""Words of mount(8) → what mount(2), mount_setattr(2) and a file system itself are told. Pure."""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

MS_BIND, MS_REC = 4096, 16384
_FLAGS = {
    "ro": 1,
    "nosuid": 2,
    "nodev": 4,
    "noexec": 8,
    "sync": 16,
    "remount": 32,
    "mand": 64,
    "dirsync": 128,
    "noatime": 1024,
    "nodiratime": 2048,
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
    "lazytime": 1 << 25,
}
#: Their opposites, where a later word takes an earlier one back.
_CLEARS = {
    "rw": 1,
    "suid": 2,
    "dev": 4,
    "exec": 8,
    "async": 16,
    "nomand": 64,
    "atime": 1024,
    "diratime": 2048,
    "norelatime": 1 << 21,
    "nostrictatime": 1 << 24,
}
_PROPAGATION = {"unbindable": 1 << 17, "private": 1 << 18, "slave": 1 << 19, "shared": 1 << 20}
_ATTRIBUTES = {1: 1, 2: 2, 4: 4, 8: 8, 1024: 0x10, 1 << 24: 0x20, 2048: 0x80}  # MS_… → MOUNT_ATTR_…
#: For mount(8) and for the machine's own start; the kernel is told nothing.
_NOTHING = ("defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev")


@dataclass(frozen=True, slots=True)
class MountOptions:
    """*flags*: MS_… of mount(2); *propagation*: one of MS_UNBINDABLE … MS_SHARED, or 0; *data*: the file system's own."""

    flags: int = 0
    propagation: int = 0
    data: str = ""

    @property
    def attributes(self) -> int:
        """MOUNT_ATTR_… for a clone of a tree, which mount_setattr(2) sets in one call."""
        return sum(attribute for flag, attribute in _ATTRIBUTES.items() if self.flags & flag)


def mount_options(words: Iterable[str]) -> MountOptions:
    """Raises BadInput for what cannot be done in a new mount."""
    flags, propagation, data = 0, 0, []
    for word in words:
        spread = word.removeprefix("r") if word not in _PROPAGATION else word
        if word == "remount":
            raise BadInput("mount options: remount: only what is new is mounted", hint="write its options where it is")
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word in _CLEARS:
            flags &= ~_CLEARS[word]
        elif spread in _PROPAGATION:
            propagation = _PROPAGATION[spread]
        elif word not in _NOTHING:
            data.append(word)
    return MountOptions(flags, propagation, ",".join(data))
