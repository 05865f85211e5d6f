"""Keys of LXC's configuration in the kernel: devices denied to what needs a /dev, shared mounts, scheduling, interfaces."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from lxc_scene import Scene, new_scene

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
