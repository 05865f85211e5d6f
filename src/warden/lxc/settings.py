"""LxcConfig: everything that one container's configuration says, typed. Plain frozen data; reading.py makes it.

Nothing here has been looked up on the machine: paths may not exist, interfaces may be missing. "" and () are "not
given", unless a field says otherwise.
"""

from __future__ import annotations

from warden.errors import ConfigError
from warden.light import TYPE_CHECKING
from warden.lxc.fstab import FstabEntry
from warden.lxc.networks import Net
from warden.model.system import IdRange
from warden.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_LXCPATH = "/var/lib/lxc"
DEFAULT_INIT = "/sbin/init"


@dataclass(frozen=True, slots=True)
class LxcConfig:
    """One container. Fields are named as the modern keys are, `lxc.` left out and dots as underscores (keys.py).

    *rootfs_path*: as written, with its kind ("overlay:…"); *mount_auto*: words such as "proc:mixed"; *cgroup*,
    *cgroup2*: (file, value) in the file's order; *prlimit*: (name, soft, hard), None unlimited; *hook*: (which, value)
    in the file's order; *signal_…*: numbers, None LXC's own; *time_…*: nanoseconds; *cap_keep* None: not given, and
    ("none",) keeps nothing; *warnings*: what was read and says nothing; *places*: of each key, as it is written today,
    the file and line that set it last.
    """

    arch: str = ""
    uts_name: str = ""
    rootfs_path: str = ""
    rootfs_mount: str = ""
    rootfs_options: tuple[str, ...] = ()
    rootfs_managed: bool = True
    net: tuple[Net, ...] = ()
    tty_max: int = 0
    tty_dir: str = ""
    pty_max: int = 0
    console_path: str = ""
    console_logfile: str = ""
    console_buffer_size: int = 0
    console_size: int = 0
    console_rotate: bool = False
    cgroup: tuple[tuple[str, str], ...] = ()
    cgroup2: tuple[tuple[str, str], ...] = ()
    cgroup_dir: str = ""
    cgroup_dir_container: str = ""
    cgroup_dir_container_inner: str = ""
    cgroup_dir_monitor: str = ""
    cgroup_dir_monitor_pivot: str = ""
    cgroup_relative: bool = False
    mount_fstab: str = ""
    mount_entry: tuple[FstabEntry, ...] = ()
    mount_auto: tuple[str, ...] = ()
    idmap: tuple[IdRange, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cap_keep: tuple[str, ...] | None = None
    autodev: bool = True
    autodev_tmpfs_size: int = 500000
    hook: tuple[tuple[str, str], ...] = ()
    hook_version: int = 0
    init_cmd: str = ""
    init_uid: int = 0
    init_gid: int = 0
    init_groups: tuple[int, ...] = ()
    init_cwd: str = ""
    execute_cmd: str = ""
    signal_halt: int | None = None
    signal_reboot: int | None = None
    signal_stop: int | None = None
    start_auto: bool = False
    start_delay: int = 0
    start_order: int = 0
    group: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    environment_runtime: tuple[str, ...] = ()
    environment_hooks: tuple[str, ...] = ()
    ephemeral: bool = False
    no_new_privs: bool = False
    apparmor_profile: str = ""
    apparmor_allow_incomplete: bool = False
    apparmor_allow_nesting: bool = False
    apparmor_raw: tuple[str, ...] = ()
    selinux_context: str = ""
    selinux_context_keyring: str = ""
    keyring_session: bool = True
    seccomp_profile: str = ""
    seccomp_allow_nesting: bool = False
    seccomp_notify_proxy: str = ""
    seccomp_notify_cookie: str = ""
    prlimit: tuple[tuple[str, int | None, int | None], ...] = ()
    sysctl: tuple[tuple[str, str], ...] = ()
    proc: tuple[tuple[str, str], ...] = ()
    namespace_clone: tuple[str, ...] = ()
    namespace_keep: tuple[str, ...] = ()
    namespace_share: tuple[tuple[str, str], ...] = ()
    time_offset_boot: int = 0
    time_offset_monotonic: int = 0
    sched_core: bool = False
    monitor_unshare: bool = False
    monitor_signal_pdeath: int | None = None
    log_level: str = ""
    log_file: str = ""
    log_syslog: str = ""
    warnings: tuple[str, ...] = ()
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict, compare=False, repr=False)

    def place(self, key: str) -> tuple[str, int]:
        """File and line where *key* was set last, or else something below it or beside it; "" and 0 for none of them."""
        while key not in self.places:
            below = [place for name, place in self.places.items() if name.startswith(key + ".")]
            if below or key.count(".") < 2:
                return below[-1] if below else ("", 0)
            key = key.rpartition(".")[0]
        return self.places[key]

    def in_place(self, key: str, error: ConfigError) -> ConfigError:
        """*error* of a file that *key* names, with where it does."""
        path, line = self.place(key)
        return ConfigError(f"{key}: {error.message}", path=path, line=line, hint=error.hint)

    @property
    def unprivileged(self) -> bool:
        """As lxc-ls says it: whether ids are mapped."""
        return bool(self.idmap)

    def hooks(self, which: str) -> tuple[str, ...]:
        """The programs of one hook, in order."""
        return tuple(value for name, value in self.hook if name == which)
