"""AppArmor's part of a container: which profile its first process gets, where the kernel has AppArmor, and one made for it.

The kernel changes to the profile at exec: who makes the container is not confined by it. A profile is loaded by
apparmor_parser(8), which alone knows the language; a container that names one that is loaded needs no parser.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator

from warden.errors import BadInput, KernelRefused, NotSupported
from warden.lxc.settings import LxcConfig
from warden.undo import Undo

_ENABLED = "/sys/module/apparmor/parameters/enabled"
_KERNEL = "/sys/kernel/security/apparmor"
GENERATED, UNCONFINED, UNCHANGED = "generated", "unconfined", "unchanged"
#: LXC's own, taken where the configuration says nothing and it is loaded.
USUAL = "lxc-container-default-cgns"

#: What LXC's own generated profile has. Its language has it that = is exact and `in` any combination, none included; and
#: apparmor_parser before 3.0.9 and 3.1.4 (CVE-2016-1585) also allows mounting anything once a rule for binds, moves and
#: propagation has `rw`, or one for remounts any option. So `rw` is never written, which is what they mean without it.
_ALWAYS = """\
  file,
  capability,
  network,
  dbus,
  umount,
  signal (receive),
  signal peer=@{profile_name},
  unix (receive),
  unix peer=(label=@{profile_name}),
  ptrace (readby, tracedby),
  ptrace peer=@{profile_name},
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /proc/mem rwklx,
  deny /proc/acpi/** rwklx,
  deny /proc/bus/** wklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/kernel/debug/{,**} rwklx,
  deny /sys/firmware/efi/efivars/** rwklx,
"""
#: What may be written below these, all else not.
_WRITABLE = {
    "/proc/sys": ("kernel/shm*", "kernel/sem*", "kernel/msg*", "kernel/hostname", "kernel/domainname", "net"),
    "/sys": ("class/net", "devices/virtual/net", "fs/cgroup"),
}
_FILE_SYSTEMS = """\
  mount fstype=(tmpfs, hugetlbfs, mqueue, fuse, fuse.*),
  mount fstype=proc -> /proc/,
  mount fstype=sysfs -> /sys/,
  mount fstype=(cgroup, cgroup2) -> /sys/fs/cgroup/{,**},
  mount fstype=binfmt_misc -> /proc/sys/fs/binfmt_misc/,
  mount fstype=fusectl -> /sys/fs/fuse/connections/,
  mount fstype=securityfs -> /sys/kernel/security/,
  mount fstype=debugfs -> /sys/kernel/debug/,
  mount fstype=efivarfs -> /sys/firmware/efi/efivars/,
"""
#: Under these paths the denials hold: what lies there must not be had under another.
_KEPT = ("proc", "sys", "dev")
_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable")
#: In a user namespace the kernel itself says what may be mounted.
_UNPRIVILEGED = """\
  pivot_root,
  mount options=(bind),
  mount options=(rbind),
  mount options=(move),
  remount,
  mount options=(ro, remount),
  mount options=(ro, remount, bind),
"""
_NESTING = """\
  mount,
  pivot_root,
  ptrace,
  signal,
  unix,
  change_profile -> **,
"""

def is_there() -> bool:
    """Whether the kernel has it, and it is on."""
    with contextlib.suppress(OSError), open(_ENABLED, encoding="ascii") as file:
        return file.read().strip() == "Y"
    return False


def confined(config: LxcConfig, name: str, lxcpath: str, undo: Undo) -> str:
    """The profile that its first process changes to at exec, loaded; "" for none. *undo* takes one that was made for it out
    again. Raises BadInput for one that is not loaded, NotSupported, KernelRefused."""
    wanted = config.apparmor_profile or USUAL
    if not is_there() or wanted == UNCHANGED:
        return ""
    if wanted == UNCONFINED:
        return UNCONFINED
    if not config.apparmor_profile and not _usual_is_loaded():
        return ""
    if not os.path.exists(f"{_KERNEL}/features/mount/mask") and not config.apparmor_allow_incomplete:
        hint = "lxc.apparmor.allow_incomplete = 1 starts it all the same"
        raise NotSupported("lxc.apparmor.profile: this kernel's AppArmor knows nothing of mounts", hint=hint)
    if wanted == GENERATED:
        label = generated_name(name, lxcpath)
        _load(text(config, label))
        undo.add("profile", unload, label)
        return label
    if wanted not in _loaded():
        hint = f"apparmor_parser -r FILE loads it; or {GENERATED}, {UNCONFINED}, {UNCHANGED}"
        raise BadInput(f"lxc.apparmor.profile: {wanted}: no such profile is loaded", hint=hint)
    return wanted


def generated_name(name: str, lxcpath: str) -> str:
    """As LXC calls it."""
    return re.sub(r"[^A-Za-z0-9_./<>-]", "_", f"lxc-{name}_<{lxcpath.strip('/')}>")


def text(config: LxcConfig, label: str) -> str:
    """The profile in AppArmor's language. Pure."""
    lines = _ALWAYS.replace("@{profile_name}", f'"{label}"').splitlines()
    lines += [f"  deny {path} wklx," for base, names in _WRITABLE.items() for path in everything_but(base, names)]
    lines += (_NESTING if config.apparmor_allow_nesting else _FILE_SYSTEMS).splitlines()
    if not config.apparmor_allow_nesting:
        lines += _UNPRIVILEGED.splitlines() if config.idmap else []
        lines += _moved()
    lines += [f"  {line}" for line in config.apparmor_raw]
    body = "".join(f"{line}\n" for line in lines)
    return f'profile "{label}" flags=(attach_disconnected,mediate_deleted) {{\n{body}}}\n'


def _moved() -> Iterator[str]:
    """What may be bound and moved elsewhere, and how the root's mounts may spread."""
    for how in ("bind", "move"):
        for path in (*everything_but("", _KEPT), "/dev/[^.]*{,/**}"):
            yield f"  mount options=({how}) {path},"
    yield from (f"  mount options=({how}) -> /," for how in _PROPAGATION)


def everything_but(base: str, names: Iterable[str]) -> Iterator[str]:
    """Patterns of all paths below *base* but *names* and what is below these; a name that ends in * stands for all that
    begin so. The language knows no "but": what differs is said character by character."""
    whole: dict[str, list[str]] = {}
    for name in names:
        head, _, rest = name.partition("/")
        whole.setdefault(head, []).extend([rest] if rest else [])
    stems = sorted({name.rstrip("*")[:length] for name in whole for length in range(len(name.rstrip("*")) + 1)})
    for stem in stems:
        if f"{stem}*" in whole:
            continue
        more = "".join(sorted({name[len(stem)] for name in whole if name.startswith(stem) and name != stem}))
        other = f"[^{more}/]*" if more else "?*"
        yield f"{base}/{stem}" + (other if stem in whole or not stem else f"{{,{other}}}") + "{,/**}"
    for name, below in whole.items():
        if below:
            yield from everything_but(f"{base}/{name}", below)


def unload(label: str) -> None:
    """Raises KernelRefused; one that is gone is fine."""
    try:
        with open(f"{_KERNEL}/.remove", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(label)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise KernelRefused("remove profile", label, error.errno or 0) from error


def exec_path() -> str:
    """The file of a process's own that takes the profile of its next exec: its own directory is since 5.8."""
    return "/proc/self/attr/apparmor/exec" if os.path.isdir("/proc/self/attr/apparmor") else "/proc/self/attr/exec"


def label_of(pid: int) -> str:
    """The profile that a process has, "" for none."""
    path = os.path.join(os.path.dirname(exec_path()), "current").replace("/self/", f"/{pid}/")
    if not is_there():
        return ""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            label = file.read().strip("\0\n")
    except OSError as error:
        raise KernelRefused("read", path, error.errno or 0) from error
    found = re.sub(r" \((enforce|complain|kill|unconfined|mixed|user)\)$", "", label)
    return "" if found == UNCONFINED else found


def _usual_is_loaded() -> bool:
    """Nobody asked for it: where that cannot be seen, in a container for one, it is not wanted."""
    with contextlib.suppress(KernelRefused):
        return USUAL in _loaded()
    return False


def _loaded() -> frozenset[str]:
    """Raises KernelRefused where that cannot be seen."""
    path = f"{_KERNEL}/profiles"
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return frozenset(line.rpartition(" (")[0] for line in file)
    except OSError as error:
        hint = "mount -t securityfs securityfs /sys/kernel/security"
        raise KernelRefused("read", path, error.errno or 0, hint=hint) from error


def _load(profile: str) -> None:
    parser = shutil.which("apparmor_parser") or shutil.which("apparmor_parser", path="/sbin:/usr/sbin")
    if parser is None:
        hint = f"install the package apparmor; or name a profile that is loaded, or {UNCONFINED}"
        raise NotSupported(f"lxc.apparmor.profile: {GENERATED}: apparmor_parser is not installed", hint=hint)
    done = subprocess.run([parser, "-rK"], input=profile, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or str(done.returncode)
        raise BadInput(f"lxc.apparmor: apparmor_parser: {said}", hint="lxc.apparmor.raw has lines of its language")
