"""LXC's tools as an ordinary user: in a user namespace with the ids that are granted to him, by newuidmap and newgidmap."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxc_scene import Scene, until

from warden.kernel.paths import remove_tree
from warden.lxc.place import Site

pytestmark = [pytest.mark.root]
USER, FIRST = 12345, 805306368
IDS = f"lxc.idmap = u 0 {FIRST} 65536\nlxc.idmap = g 0 {FIRST} 65536\n"
#: A user of these tests alone, in a mount namespace that nobody else has.
PRELUDE = """
for name in passwd group subuid subgid; do
    cat /etc/$name > "$1/$name" 2>/dev/null || :
    case $name in passwd) echo "wuser:x:12345:12345::/:/bin/sh" ;; group) echo "wuser:x:12345:" ;;
    *) [ "$2" = none ] || echo "wuser:805306368:65536" ;; esac >> "$1/$name" || :
    [ -e /etc/$name ] || : > /etc/$name
    mount --bind "$1/$name" /etc/$name
done
[ "$2" = missing ] && PATH=/nowhere
shift 2
exec /usr/bin/setpriv --reuid=12345 --regid=12345 --clear-groups "$@"
"""
needs_newuidmap = pytest.mark.skipif(not shutil.which("newuidmap"), reason="the package uidmap is not installed")


@dataclass
class User:
    root: Path

    def __post_init__(self) -> None:
        self.scene = Scene(self.root / "lxc", Site(f"{self.root}/state", f"w-lxo-{os.getpid()}"))
        self.scene.root.mkdir(mode=0o755)
        for name in ("etc", "state"):
            (self.root / name).mkdir(mode=0o711)
        for path in (self.scene.root, self.root / "state"):
            os.chown(path, USER, USER)

    def define(self, name: str, config: str = IDS) -> Path:
        rootfs = self.scene.define(name, config)
        subprocess.run(["chown", "-R", f"{USER}:{USER}", self.scene.root / name], check=True)
        subprocess.run(["chown", "-hR", f"{FIRST}:{FIRST}", rootfs], check=True)
        return rootfs

    def run(self, tool: str, *words: str, grant: str = "granted") -> subprocess.CompletedProcess[str]:
        argv = ["unshare", "-m", "sh", "-ec", PRELUDE, "sh", str(self.root / "etc"), grant]
        argv += [sys.executable, "-m", f"warden.lxc.tools.{tool}", "-P", str(self.scene.root), *words]
        return subprocess.run(
            argv, check=False, capture_output=True, text=True, env=self.scene.env, stdin=subprocess.DEVNULL, timeout=60
        )

    def ok(self, tool: str, *words: str) -> str:
        done = self.run(tool, *words)
        assert (done.returncode, done.stderr) == (0, ""), (tool, words, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def user() -> Iterator[User]:
    root = Path(tempfile.mkdtemp(prefix="w-lxo-"))
    root.chmod(0o755)
    made = User(root)
    yield made
    made.scene.close()
    assert not [name for name in os.listdir(root / "state") if not name.startswith(".")]
    remove_tree(str(root))


@needs_newuidmap
def test_a_whole_life(user: User) -> None:
    rootfs = user.define("c1")
    user.ok("start", "c1")
    until("its init is ready", (rootfs / "tmp/ready").exists)
    assert "RUNNING" in user.ok("info", "c1", "-s")
    script = "id -u; cat /proc/self/uid_map; echo x > /dev/null && head -c 1 /dev/zero | wc -c; hostname; touch /tmp/made"
    said = user.ok("attach", "c1", "--", "/bin/sh", "-c", script).split()
    assert said[0] == "0" and said[1:4] == ["0", str(FIRST), "65536"] and said[4:] == ["1", "c1"]
    assert (rootfs / "tmp/made").stat().st_uid == FIRST
    pid = user.scene.seen("c1").running.pid
    assert os.stat(f"/proc/{pid}").st_uid == FIRST
    user.ok("stop", "c1")
    user.scene.gone("c1")


@needs_newuidmap
def test_made_copied_and_destroyed(user: User) -> None:
    config = user.root / "begin"
    config.write_text(IDS + "lxc.net.0.type = empty\n")
    user.ok("create", "c1", "-t", "busybox", "-q", "-f", str(config))
    user.ok("copy", "c1", "-N", "c2")
    assert (user.scene.root / "c2/rootfs/etc/hostname").stat().st_uid == FIRST
    user.ok("snapshot", "c2")
    user.ok("destroy", "c2", "-s")
    user.ok("destroy", "c1")
    assert os.listdir(user.scene.root) == []


@needs_newuidmap
def test_one_program(user: User) -> None:
    user.define("c1")
    assert user.ok("execute", "c1", "--", "/bin/sh", "-c", "echo $(id -u) $(hostname)") == "0 c1\n"
    assert user.run("execute", "c1", "--", "/bin/sh", "-c", "exit 7").returncode == 7


@needs_newuidmap
@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("", "lxc.idmap: an ordinary user's container needs a user namespace"),
        (IDS.replace("65536", "65537"), "u 0 805306368 65537: these ids are not yours (/etc/subuid has to grant them)"),
        (IDS + "lxc.cgroup.pids.max = 9\nlxc.cgroup2.pids.max = 9\n", "no cgroup is delegated to you"),
    ],
)
def test_what_he_cannot_have(user: User, config: str, sentence: str) -> None:
    user.define("c1", config)
    done = user.run("start", "c1")
    assert done.returncode == 1 and sentence in done.stderr, done.stderr


@needs_newuidmap
def test_without_a_grant(user: User) -> None:
    user.define("c1")
    done = user.run("start", "c1", grant="none")
    assert done.returncode == 1 and "Failed to find subuid or subgid allocation" in done.stderr


def test_without_newuidmap(user: User) -> None:
    user.define("c1")
    done = user.run("start", "c1", grant="missing")
    assert done.returncode == 1 and "newuidmap is not installed (install the package uidmap)" in done.stderr
