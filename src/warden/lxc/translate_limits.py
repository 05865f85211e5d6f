"""`lxc.cgroup.FILE` and `lxc.cgroup2.FILE` → Limits, so that either works on every host. Pure.

What has no counterpart among the limits stays what it is: a file to be written. LXC writes in the file's order, but
memory and swap together after memory alone; so here. The keys of the host's own version are read last and count.
"""

from __future__ import annotations

from warden.light import TYPE_CHECKING, late
from warden.lxc.missing import Missing, Need
from warden.lxc.naming import naming
from warden.model.limits import DeviceRule, Limits
from warden.records import dataclass, field, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warden.model import resources
else:
    resources = late("warden.model.resources")

_AFTER = ("memory.memsw.limit_in_bytes", "memory.swap.max", "cpu.cfs_burst_us", "cpu.max.burst")
#: Written by a person, not a limit: what LXC itself would do with it.
_OURS = ("cpus", "swap", "disk.max", "disk.inodes", "bandwidth", "oom.policy", "devices.add")


@dataclass(slots=True)
class Translated:
    """*limits* so far, and what is none."""

    limits: Limits = field(default_factory=Limits)
    missing: list[Missing] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def translate_limits(v1: tuple[tuple[str, str], ...], v2: tuple[tuple[str, str], ...], *, unified: bool) -> Translated:
    """*unified*: the host has cgroup v2. Raises BadKey naming the key."""
    done = Translated()
    versions = [("lxc.cgroup2", v2), ("lxc.cgroup", v1)]
    for prefix, given in reversed(versions) if unified else versions:
        for name, value in sorted(given, key=lambda pair: pair[0] in _AFTER):
            _one(done, f"{prefix}.{name}", name, value)
    here = "lxc.cgroup2." if unified else "lxc.cgroup."
    away = [item.key for item in done.missing if not item.key.startswith(here)]
    done.warnings += [f"{key}: there is no such hierarchy here: left out" for key in away]
    done.missing = [item for item in done.missing if item.key.startswith(here)]
    return done


def _one(done: Translated, key: str, name: str, value: str) -> None:
    with naming(key):
        if name in ("devices.allow", "devices.deny"):
            _devices(done, key, name, value)
        elif name in _OURS or not (
            name in resources.BY_NAME or name in resources.ALIASES or name.startswith("hugetlb.")
        ):
            done.missing.append(Missing(Need.CGROUP, key, value, "written to the file of that name"))
        else:
            done.limits = resources.find(name)[1](done.limits, value)


def _devices(done: Translated, key: str, name: str, value: str) -> None:
    """v1's list is of exceptions to "all" or to "none"; Limits says what is allowed, so exceptions to "all" are files."""
    now = done.limits.devices
    if value.split()[:1] == ["a"]:  # the kernel reads no further (devcgroup_update_access, security/device_cgroup.c)
        done.limits = replace(done.limits, devices=() if name == "devices.deny" else None)
    elif name == "devices.allow":
        rules = resources.parse_rules(value)
        if now is None and any(item.key.endswith("devices.deny") for item in done.missing):
            done.missing.append(Missing(Need.CGROUP, key, value, "after an exception where all devices are allowed"))
        done.limits = replace(done.limits, devices=None if now is None else tuple(dict.fromkeys((*now, *rules))))
    elif now is None:
        done.missing.append(Missing(Need.CGROUP, key, value, "an exception where all devices are allowed"))
    else:
        denied = resources.parse_rules(value)
        done.limits = replace(done.limits, devices=tuple(_left(now, denied)))
        for rule in denied:
            wider = [str(one) for one in done.limits.devices or () if _covers(one, rule)]
            if wider:
                done.warnings.append(f"{key}: {rule} stays allowed, by {', '.join(wider)}")
            elif not any(_is_of(one, rule) for one in now):
                done.warnings.append(f"{key}: {rule} was not allowed: ignored")


def _left(allowed: tuple[DeviceRule, ...], denied: tuple[DeviceRule, ...]) -> Iterator[DeviceRule]:
    """A denial takes its ways of access from the rules of just these devices, from no wider one: dev_exception_rm."""
    for rule in allowed:
        access = "".join(way for way in rule.access if not any(_is_of(rule, one) and way in one.access for one in denied))
        if access:
            yield replace(rule, access=access)


def _is_of(rule: DeviceRule, other: DeviceRule) -> bool:
    return (rule.kind, rule.major, rule.minor) == (other.kind, other.major, other.minor)


def _covers(rule: DeviceRule, other: DeviceRule) -> bool:
    devices = rule.kind in (other.kind, "a") and rule.major in (other.major, None) and rule.minor in (other.minor, None)
    return devices and bool(set(rule.access) & set(other.access))
