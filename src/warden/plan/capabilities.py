"""Capability names, numbers and sets: capabilities(7)."""

from __future__ import annotations

from collections.abc import Iterable

NAMES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin "
    "sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override "
    "mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
).split()

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
