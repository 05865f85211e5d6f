"""Capability names, numbers and sets: capabilities(7)."""

from __future__ import annotations

from warden.kernel.proc import CAPABILITIES
from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = [name.removeprefix("CAP_").lower() for name in CAPABILITIES]

NUMBERS = {name: number for number, name in enumerate(NAMES)}
ALL = 2 ** len(NAMES) - 1


def capability_set(names: Iterable[str]) -> int:
    """The bit set of *names*, such as "net_raw"."""
    return sum(1 << NUMBERS[name] for name in names)


def capability_names(bits: int) -> list[str]:
    """The names in a bit set; unknown bits by number."""
    return [NAMES[n] if n < len(NAMES) else str(n) for n in range(64) if bits >> n & 1]


#: What root of a container keeps: enough to install packages, change users and serve a low port, nothing that
#: configures the kernel. All of it counts only inside the container's user namespace.
CONTAINER_ROOT = capability_set(
    "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot audit_write "
    "setfcap".split()
)
