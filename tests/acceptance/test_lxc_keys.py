"""Keys of LXC's configuration in the kernel: devices denied to what needs a /dev, shared mounts, scheduling, interfaces."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import Scene, new_scene

from warden.kernel import coresched

pytestmark = [pytest.mark.root, pytest.mark.vm]


@pytest.fixture
def lxc() -> Iterator[Scene]:
    with new_scene() as scene:
        yield scene


@pytest.mark.parametrize("how", ["all", "one"])
@pytest.mark.parametrize("tool", ["start", "execute"])
def test_a_device_that_dev_has_can_be_denied(lxc: Scene, tool: str, how: str) -> None:
    """Limits on devices come last, before its program: its /dev is whole, and what it may not open it may not open."""
    key = "lxc.cgroup2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "lxc.cgroup"
    if how == "one" and key == "lxc.cgroup2":
        pytest.skip("requires v1: Limits of v2 have no exceptions to all")
    every = f"{key}.devices.deny = a\n{key}.devices.allow = c 1:5 rwm\n{key}.devices.allow = c 136:* rwm\n"
    lxc.define("box", every if how == "all" else f"{key}.devices.deny = c 1:3 rwm\n")
    script = "ls /dev/null /dev/full; head -c 1 /dev/zero | wc -c; cat /dev/null && echo read"
    if tool == "execute":
        done = lxc.run("execute", "box", "--", "/bin/busybox", "sh", "-c", script)
    else:
        lxc.start("box")
        done = lxc.run("attach", "box", "--", "/bin/busybox", "sh", "-c", script)
        lxc.ok("stop", "-k", "box")
    assert done.stdout.split() == ["/dev/full", "/dev/null", "1"] or done.stdout.split() == ["/dev/null", "/dev/full", "1"]
    assert "can't open '/dev/null': Operation not permitted" in done.stderr


@pytest.mark.parametrize("tool", ["start", "execute"])
def test_a_core_scheduling_domain_of_its_own(lxc: Scene, tool: str) -> None:
    """Its processes have one cookie that nobody else has; a kernel without says so, one without SMT has nothing to do."""
    lxc.define("box", "lxc.sched.core = 1\n")
    words = ["box", "--", "true"] if tool == "execute" else ["box"]
    done = lxc.run(tool, *words)
    if not have_core_scheduling():
        assert done.returncode == 1
        assert "lxc.sched.core: the kernel has no core scheduling (CONFIG_SCHED_CORE" in done.stderr
        assert lxc.left == []
        return
    assert done.returncode == 0, done.stderr
    if tool == "start":
        assert lxc.run("attach", "box", "--", "/bin/true").returncode == 0
        lxc.ok("stop", "-k", "box")


def have_core_scheduling() -> bool:
    try:
        coresched.share_from(os.getpid())
    except OSError as error:
        return error.errno != errno.EINVAL
    return True


@pytest.mark.parametrize("tool", ["start", "execute"])
def test_contexts_of_selinux_are_ignored_where_there_is_none(lxc: Scene, tool: str) -> None:
    if os.path.exists("/sys/fs/selinux"):
        pytest.skip("requires a kernel without SELinux")
    lxc.define("box", "lxc.selinux.context = a:b:c\nlxc.selinux.context.keyring = a:b:d\n")
    done = lxc.run(tool, "-l", "WARN", "-o", str(lxc.root / "log"), "box", *(["--", "true"] if tool == "execute" else []))
    assert done.returncode == 0, done.stderr
    told = (lxc.root / "log").read_text()
    for key in ("lxc.selinux.context", "lxc.selinux.context.keyring"):
        assert f"{key}: this kernel has no such security module: ignored" in told
    if tool == "start":
        lxc.ok("stop", "-k", "box")


@pytest.mark.parametrize(
    ("given", "up"),
    [("", "0"), ("lxc.net.0.type = empty\n", "0"), ("lxc.net.0.type = empty\nlxc.net.0.flags = up\n", "1")],
)
def test_lo_comes_up_with_the_first_interface_that_does(lxc: Scene, given: str, up: str) -> None:
    lxc.define("box", given)
    done = lxc.run("execute", "box", "--", "/bin/busybox", "sh", "-c", "busybox ip -o link show up | wc -l")
    assert (done.stdout.strip(), done.stderr) == (up, "")


def test_clocks_are_ahead_as_asked(lxc: Scene) -> None:
    lxc.define("box", "lxc.time.offset.boot = 40d\nlxc.time.offset.monotonic = 5s\n".replace("40d", "3456000s"))
    here = float(Path("/proc/uptime").read_text().split()[0])
    inside = lxc.run("execute", "box", "--", "/bin/busybox", "cat", "/proc/uptime", "/proc/self/timens_offsets")
    assert inside.returncode == 0, inside.stderr
    words = inside.stdout.split()
    assert 3456000 <= float(words[0]) - here < 3456000 + 3600
    assert words[2:] == ["monotonic", "5", "0", "boottime", "3456000", "0"]
