"""Tools that need no container, as whole processes: what they print, where, and with which status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from warden.errors import ConfigError
from warden.lxc import system
from warden.lxc.options import LXC_VERSION
from warden.lxc.tools import checkconfig

BIN = Path(sys.executable).parent
#: What would cost a tool of this kind more than its work.
HEAVY = ("argparse", "asyncio", "google.protobuf", "yaml", "msgspec", "subprocess", "socket", "json", "tempfile")


def run(tool: str, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / tool, *words], check=False, capture_output=True, text=True, env={**os.environ, **(env or {})}
    )


def test_version() -> None:
    assert run("lxc-version").stdout == f"lxc version: {LXC_VERSION}\n"
    assert run("lxc-version", "x").returncode == 1


@pytest.mark.parametrize("module", ["version", "config", "checkconfig", "update_config"])
def test_a_tool_imports_only_what_it_needs(module: str) -> None:
    script = f"import sys, warden.lxc.tools.{module}; print(' '.join(sys.modules))"
    found = set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )
    assert f"warden.lxc.tools.{module}" in found
    assert not found & set(HEAVY)


def test_config_lists_and_prints_items() -> None:
    listed = run("lxc-config", "-l").stdout.splitlines()
    assert listed == list(system.DEFAULTS)
    assert run("lxc-config", "lxc.cgroup.use").stdout == "lxc.cgroup.use is not set.\n"
    unknown = run("lxc-config", "lxc.nothing")
    assert (unknown.returncode, unknown.stdout) == (1, "Unknown configuration item: lxc.nothing\n")
    nothing = run("lxc-config")
    assert (nothing.returncode, nothing.stderr, nothing.stdout.split()[0]) == (0, "", "Usage:")


def test_the_systems_own_configuration(tmp_path: Path) -> None:
    assert system.items(str(tmp_path)) == system.DEFAULTS
    text = "# lxc.lxcpath = /not\nlxc.lxcpath = /srv/lxc/\nlvm_vg = vg0\nlxc.cgroup.use = @all\nnonsense\nlxc.bdev.zfs.root =\n"
    (tmp_path / "lxc.conf").write_text(text)
    found = system.items(str(tmp_path))
    assert (found["lxc.lxcpath"], found["lxc.bdev.lvm.vg"]) == ("/srv/lxc", "vg0")
    assert (found["lxc.cgroup.use"], found["lxc.bdev.zfs.root"]) == ("@all", "lxc")
    (tmp_path / "lxc.conf").unlink()
    (tmp_path / "lxc.conf").mkdir()
    with pytest.raises(ConfigError, match=r"lxc\.conf: cannot be read"):
        system.items(str(tmp_path))


def test_checkconfig_reads_any_kernels_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "CONFIG_NAMESPACES=y\nCONFIG_USER_NS=m\n# CONFIG_PID_NS is not set\nCONFIG_VETH=m\nCONFIG_MEMCG=y\n"
    )
    done = run("lxc-checkconfig", env={"CONFIG": str(config)})
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0] == f"LXC version {LXC_VERSION}"
    assert {"Namespaces: enabled", "Pid namespace: required", "Network namespace: missing", "Vlan: missing"} <= set(
        lines
    )
    assert any(line.startswith("Veth pair device: enabled, ") for line in lines)
    assert "\033" not in done.stdout


def test_checkconfig_without_a_configuration_says_what_it_sees(tmp_path: Path) -> None:
    done = run("lxc-checkconfig", env={"CONFIG": str(tmp_path / "none")})
    assert "kernel configuration not found" in done.stdout
    assert "Pid namespace: enabled" in done.stdout
    assert "Macvlan: unknown" in done.stdout


def test_checkconfig_unpacks(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "config.gz").write_bytes(gzip.compress(b"CONFIG_BRIDGE=y\n"))
    assert checkconfig.kernel_options(str(tmp_path / "config.gz")) == ({"BRIDGE": "y"}, str(tmp_path / "config.gz"))
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8bnot")
    assert checkconfig.kernel_options(str(tmp_path / "broken.gz")) == (None, "")
