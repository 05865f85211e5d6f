"""Configuration files as people have them, and what each comes to, as JSON beside them.

WARDEN_WRITE_GOLDEN=1 writes tests/lxc/golden/*.json anew; look at the difference before it is committed.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from warden.depot.snapshot import Snapshot
from warden.light import Enum
from warden.lxc.fstab import read_fstab
from warden.lxc.reading import load
from warden.lxc.translate import Circumstances, Translation, translate
from warden.lxc.translate_net import drawn_address
from warden.model.info import State
from warden.plan.container import Batch, Bind, Placement
from warden.plan.system import plan_of

HERE = Path(__file__).parent
CONFIGS = sorted(path.stem for path in (HERE / "configs").glob("*.conf") if path.stem != "common")
WRITE = os.environ.get("WARDEN_WRITE_GOLDEN") == "1"
ENVIRON = {"TERM": "vt100", "HOME": "/root"}


def translated(name: str, *, execute: bool = False, unified: bool = False) -> Translation:
    fstab = Path(f"{name}.fstab")
    mounts = read_fstab(str(fstab)) if fstab.exists() else ()
    around = Circumstances(fstab=mounts, environ=ENVIRON, unified=unified, execute=execute)
    return translate(load(f"{name}.conf"), name, around)


def shown(value: Any) -> Any:
    """Plain data of *value*, without the fields that are as usual."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [shown(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    found = {}
    for field in dataclasses.fields(value):
        factory = field.default_factory
        if getattr(value, field.name) != (field.default if factory is dataclasses.MISSING else factory()):
            found[field.name] = shown(getattr(value, field.name))
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_comes_to_what_it_did(name: str, configs: Path) -> None:
    text = json.dumps(shown(translated(name, execute=name == "application")), indent=1, ensure_ascii=False) + "\n"
    file = HERE / "golden" / f"{name}.json"
    if WRITE:
        file.write_text(text)
    assert file.read_text() == text


def test_every_golden_file_has_a_configuration() -> None:
    found = {path.stem for path in (HERE / "golden").iterdir()}
    assert found == {*CONFIGS, *(f"{name}.plan" for name in PLANS)}


PLANS = ("p4080ds", "unprivileged", "application", "idmapped-root", "namespaces", "nesting")


@pytest.mark.parametrize("name", PLANS)
def test_its_plan_reads_as_it_did(name: str, configs: Path) -> None:
    spec = translated(name).spec
    assert spec.rootfs is not None
    place = Placement(
        directory="/depot/1",
        lower=spec.rootfs,
        hostname=spec.hostname or "1",
        id_base=None,
        binds=(Bind("/dev/pts/7", "/dev/console", False, False),),
        joins=("/sys/fs/cgroup/memory/warden/instance-1/tasks",),
        container_network=Batch(b"", "ip link set lo up"),
    )
    text = plan_of(spec, place).describe() + "\n"
    file = HERE / "golden" / f"{name}.plan.txt"
    if WRITE:
        file.write_text(text)
    assert file.read_text() == text


@pytest.mark.parametrize("name", CONFIGS)
def test_what_it_comes_to_survives_a_snapshot(name: str, configs: Path) -> None:
    spec = translated(name).spec
    before = Snapshot("1", name, State.BORN, spec, 0.0, 0, None, "h", "/bin/sh")
    assert Snapshot.from_json(before.to_json()).spec == spec


def test_the_host_decides_which_version_of_a_limit_counts(configs: Path, tmp_path: Path) -> None:
    file = tmp_path / "both.conf"
    file.write_text("lxc.cgroup.memory.limit_in_bytes = 1M\nlxc.cgroup2.memory.max = 2M\n")
    for unified, expected in ((False, 1 << 20), (True, 2 << 20)):
        spec = translate(load(str(file)), "x", Circumstances(unified=unified)).spec
        assert spec.limits.memory_bytes == expected


@pytest.mark.parametrize(
    ("lines", "left", "warned"),
    [
        ("deny = a,allow = c 1:3 rwm,deny = c 1:3 w", "c 1:3 rm", ""),
        ("deny = a,allow = c 1:3 r,allow = c 1:3 w,deny = c 1:3 rw", "none", ""),
        ("deny = a,allow = c 1:3 rwm,deny = a  *:*  rwm", "none", ""),
        ("deny = a,allow = c 1:3 rwm,deny = a", "none", ""),
        ("deny = a,allow = a *:* rw", "all", ""),
        ("deny = a,allow = c *:* m,allow = c 5:1 rwm,deny = c 5:1 rwm", "c *:* m", "stays allowed, by c *:* m"),
        ("deny = a,allow = c 5:* rwm,deny = c 5:1 w", "c 5:* rwm", "stays allowed, by c 5:* rwm"),
        ("deny = a,allow = c 1:3 rwm,deny = b 1:3 w", "c 1:3 rwm", "was not allowed: ignored"),
    ],
)
def test_a_denial_takes_what_the_kernel_would_take(lines: str, left: str, warned: str, tmp_path: Path) -> None:
    file = tmp_path / "devices.conf"
    file.write_text("".join(f"lxc.cgroup.devices.{line}\n" for line in lines.split(",")))
    made = translate(load(str(file)), "x")
    devices = made.spec.limits.devices
    assert ("all" if devices is None else ", ".join(map(str, devices)) or "none") == left
    assert not made.missing
    assert warned in " ".join(made.warnings) and bool(warned) == bool(made.warnings)


def test_options_that_a_directory_cannot_have_are_told(tmp_path: Path) -> None:
    file = tmp_path / "options.conf"
    for path, told in (("/srv/x", True), ("loop:/srv/x.img", False)):
        file.write_text(f"lxc.rootfs.path = {path}\nlxc.rootfs.options = ro,noload\n")
        warnings = translate(load(str(file)), "x").warnings
        assert ("lxc.rootfs.options: noload: is for a file system" in " ".join(warnings)) == told


def test_a_name_of_any_bytes_draws_an_address() -> None:
    assert drawn_address("00:16:3e:xx:xx:xx", "\udcff/0").startswith("00:16:3e:")
