"""Many reboots in a row: whoever watches misses none of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest
from lxc_scene import PATIENCE, Scene, new_scene, until

pytestmark = [pytest.mark.root]
REBOOTS = 10
INIT = f"""read n < /tmp/lives; echo $((n + 1)) > /tmp/lives
[ $n -lt {REBOOTS} ] && reboot -f
: > /tmp/ready; while :; do sleep 0.02; done
"""


@pytest.fixture
def lxc() -> Iterator[Scene]:
    with new_scene() as scene:
        yield scene


def test_no_reboot_is_missed(lxc: Scene) -> None:
    rootfs = lxc.define("box", init=INIT)
    (rootfs / "tmp/lives").write_text("0\n")
    monitor, running = lxc.begin("monitor", "box"), lxc.begin("wait", "box", "-s", "RUNNING")
    until("both watch", lambda: all("inotify" in _descriptors(process.pid) for process in (monitor, running)))
    lxc.ok("start", "box")
    assert running.wait(PATIENCE) == 0
    until("the last life", (rootfs / "tmp/ready").exists)
    assert (rootfs / "tmp/lives").read_text() == f"{REBOOTS + 1}\n"
    lxc.ok("stop", "-k", "box")
    lxc.ok("wait", "box", "-s", "STOPPED")
    assert monitor.stdout is not None
    told = [monitor.stdout.readline().split("[")[1].rstrip("]\n") for _ in range(5 * (REBOOTS + 1))]
    assert told == ["STARTING", "RUNNING", "0", "STOPPING", "STOPPED"] * (REBOOTS + 1)


def _descriptors(pid: int) -> str:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return " ".join(found)
