"""What a configuration says and nothing comes of, in sentences: so that it is never left out silently. Pure."""

from __future__ import annotations

from warden.light import TYPE_CHECKING
from warden.lxc.settings import LxcConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN_TREE = "containers lie in the engine's own cgroup tree"
#: Fields that are read and mean nothing here, and why.
_NOTHING = {
    "cgroup_dir": _OWN_TREE,
    "cgroup_dir_container": _OWN_TREE,
    "cgroup_dir_container_inner": _OWN_TREE,
    "cgroup_dir_monitor": _OWN_TREE,
    "cgroup_dir_monitor_pivot": _OWN_TREE,
    "cgroup_relative": _OWN_TREE,
    "log_syslog": "the tools write no syslog; lxc.log.file names a log",
    "seccomp_notify_proxy": "filters with notify are refused, so there is nobody to ask it",
    "seccomp_notify_cookie": "filters with notify are refused, so there is nobody to tell it",
}


def idle(config: LxcConfig) -> Iterator[str]:
    """One sentence for each such key."""
    for field, why in _NOTHING.items():
        if getattr(config, field):
            yield f"lxc.{field.replace('_', '.')}: {why}: ignored"
    if (config.console_size or config.console_rotate) and not config.console_logfile:
        yield "lxc.console.size, lxc.console.rotate: there is no lxc.console.logfile: ignored"
    if config.console_rotate and config.console_logfile and not config.console_size:
        yield "lxc.console.rotate: without lxc.console.size a log is never full: ignored"
    if config.console_path == "none" and (config.console_buffer_size or config.console_logfile):
        yield "lxc.console.buffer.size, lxc.console.logfile: there is no console: ignored"
