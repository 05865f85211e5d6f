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

from warden.errors import BadInput, KernelRefused, NotSupported
from warden.lxc.settings import LxcConfig
from warden.undo import Undo

_ENABLED = "/sys/module/apparmor/parameters/enabled"
_KERNEL = "/sys/kernel/security/apparmor"
GENERATED, UNCONFINED, UNCHANGED = "generated", "unconfined", "unchanged"
#: LXC's own, taken where the configuration says nothing and it is loaded.
USUAL = "lxc-container-default-cgns"

_ALWAYS = """\
  file,
  capability,
  network,
  unix,
  umount,
  signal,
  ptrace (readby, tracedby),
  ptrace peer=@{profile_name},
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,
  deny @{PROC}/mem rwklx,
  deny @{PROC}/sys/kernel/core_pattern wklx,
  deny @{PROC}/sys/kernel/modprobe wklx,
  deny @{PROC}/sys/fs/binfmt_misc/** wklx,
  deny /sys/kernel/security/** wklx,
  deny /sys/kernel/debug/** rwklx,
  deny /sys/firmware/efi/efivars/** rwklx,
"""
_MOUNTS = """\
  mount fstype=(tmpfs, ramfs, hugetlbfs, proc, sysfs, devpts, mqueue, cgroup, cgroup2, overlay, fuse, fuse.*),
  mount options in (rw, ro, bind, rbind, remount, nosuid, nodev, noexec, noatime, nodiratime, relatime),
  mount options in (rw, private, rprivate, shared, rshared, slave, rslave, unbindable, runbindable),
"""
_NESTING = """\
  mount,
  pivot_root,
  ptrace,
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
    more = _NESTING if config.apparmor_allow_nesting else _MOUNTS
    raw = "".join(f"  {line}\n" for line in config.apparmor_raw)
    body = _ALWAYS.replace("@{PROC}", "/proc").replace("@{profile_name}", f'"{label}"')
    return f'profile "{label}" flags=(attach_disconnected,mediate_deleted) {{\n{body}{more}{raw}}}\n'


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
