"""A container in which our own tools start another one: both live, stop and leave nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import USER_NAMESPACE, Scene, new_scene, until

import warden

pytestmark = [pytest.mark.root, pytest.mark.vm]
CONFIG = "/usr/share/lxc/config"
CHECKOUT, VENV = Path(warden.__file__).parents[2], Path(sys.prefix)
INNER = "/srv/lxc"
AUTO = "lxc.mount.auto =\nlxc.mount.auto = proc:rw sys:rw cgroup:rw:force\n"


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as made:
        yield made


class Outer:
    """A container with this checkout and Python in it, in which there is the definition of another."""

    def __init__(self, scene: Scene, config: str, inner: str = "") -> None:
        self.scene = scene
        self.rootfs = rootfs = scene.define("outer")
        (rootfs / "usr").mkdir()
        for link in ("lib", "lib64"):
            (rootfs / link).symlink_to(f"usr/{link}")
        binds = {"/usr": "usr", "/etc/alternatives": "etc/alternatives"}
        binds |= {str(path): str(path)[1:] for path in dict.fromkeys((CHECKOUT, VENV))}
        text = "".join(f"lxc.mount.entry = {a} {b} none rbind,ro,create=dir 0 0\n" for a, b in binds.items())
        with (scene.root / "outer/config").open("a") as file:
            file.write(f"lxc.pty.max = 64\n{text}{config}")
        nested = Scene(rootfs / INNER[1:], scene.site)
        nested.root.mkdir(parents=True)
        nested.define("inner", inner)
        path = nested.root / "inner/config"
        path.write_text(path.read_text().replace(str(nested.root), INNER))
        self.inner_ready = nested.root / "inner/rootfs/tmp/ready"

    def inside(self, tool: str, *words: str, code: int = 0) -> str:
        done = self.scene.run("attach", "outer", "--", f"{VENV}/bin/lxc-{tool}", "-P", INNER, *words)
        assert done.returncode == code, (tool, words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def sh(self, script: str) -> str:
        done = self.scene.run("attach", "outer", "--", "/bin/sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.mark.parametrize("ids", ["", "inner"], ids=["plain", "user namespace inside"])
def test_one_in_another(scene: Scene, ids: str) -> None:
    outer = Outer(scene, AUTO, USER_NAMESPACE if ids else "")
    if ids:
        inner = scene.root / "outer/rootfs" / INNER[1:] / "inner/rootfs"
        subprocess.run(["chown", "-R", "805306368:805306368", str(inner)], check=True)
    scene.start("outer")
    assert outer.inside("start", "inner") == ""
    until("the inner one is ready", outer.inner_ready.exists)
    assert "RUNNING" in outer.inside("info", "inner", "-s")
    assert outer.inside("ls", "--running", "-1") == "inner\n"
    assert outer.inside("attach", "inner", "--", "/bin/sh", "-c", "echo $(hostname) $$").split()[0] == "inner"
    outer.inside("cgroup", "inner", "pids.max")
    outer.inside("freeze", "inner")
    outer.inside("unfreeze", "inner")
    outer.inside("stop", "inner")
    until("it is gone", lambda: outer.inside("ls", "--active", "-1") == "")
    assert outer.sh(f"ls {scene.site.state}; find /sys/fs/cgroup -name '{scene.site.parent}*'") == ""
    outer.inside("start", "inner")
    scene.ok("stop", "outer")
    scene.gone("outer")


def test_the_outer_ones_end_ends_both(scene: Scene) -> None:
    outer = Outer(scene, AUTO)
    scene.start("outer")
    outer.inside("start", "inner")
    scene.ok("stop", "-k", "outer")
    scene.gone("outer")
    scene.start("outer")
    assert "STOPPED" in outer.inside("info", "inner", "-s")
    outer.inside("start", "inner")
    outer.inside("stop", "-k", "inner")
    scene.ok("stop", "-k", "outer")


def test_its_own_cgroups_and_no_others_are_there(scene: Scene) -> None:
    outer = Outer(scene, AUTO + "lxc.cgroup.pids.max = 77\nlxc.cgroup2.pids.max = 77\n")
    scene.start("outer")
    seen = outer.sh("cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null || true").split()
    assert seen in (["77"], ["max"])  # v2's limits are those of the group above
    assert outer.sh("find /sys/fs/cgroup -name 'instance-*'; find /sys/fs/cgroup -name 'process_api*'") == ""
    assert outer.sh("echo $$ > /sys/fs/cgroup/cgroup.procs 2>/dev/null || echo $$ > /sys/fs/cgroup/pids/tasks; echo in") == "in\n"
    scene.ok("stop", "-k", "outer")


def test_the_nesting_file(scene: Scene) -> None:
    """As LXC's users include it, where LXC is not installed."""
    outer = Outer(scene, f"lxc.mount.auto =\nlxc.include = {CONFIG}/nesting.conf\n")
    hide = '[ ! -d /usr/share/lxc ] || mount -t tmpfs none /usr/share/lxc; exec "$@"'
    argv = ["unshare", "-m", "sh", "-ec", hide, "sh", *scene.command("start", "outer")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=scene.env, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert outer.sh("ls /dev/.lxc/proc/self /dev/.lxc/sys/fs > /dev/null && echo there") == "there\n"
    outer.inside("start", "inner")
    outer.inside("stop", "-k", "inner")
    scene.ok("stop", "-k", "outer")


def test_a_file_system_of_cgroups_for_one_program_is_refused(scene: Scene) -> None:
    Outer(scene, AUTO)
    done = scene.run("execute", "outer", "--", "true")
    assert done.returncode == 1 and "lxc-start does it" in done.stderr


@pytest.mark.parametrize("controller", ["pids", "memory", "freezer"])
def test_groups_that_it_made_deep_go_with_it(scene: Scene, controller: str) -> None:
    outer = Outer(scene, AUTO)
    scene.start("outer")
    assert outer.sh(
        f"cd /sys/fs/cgroup/{controller} 2>/dev/null || cd /sys/fs/cgroup; n=0;"
        "while [ $n -lt 1200 ]; do mkdir a && cd a || break; n=$((n+1)); done; echo $n"
    ) == "1200\n"
    scene.ok("stop", "-k", "outer")
    scene.gone("outer")
