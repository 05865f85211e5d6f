"""lxc-copy -e and lxc-start-ephemeral, lxc-ls --nesting, lxc-netstat, lxc-attach -a as whole processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import USER_NAMESPACE, Scene, new_scene, until

pytestmark = pytest.mark.root


@pytest.fixture
def lxc() -> Iterator[Scene]:
    with new_scene() as scene:
        yield scene


def tree(path: Path) -> list[str]:
    return sorted(str(item.relative_to(path)) for item in path.rglob("*"))


@pytest.mark.parametrize("option", ["", "-t"], ids=["on-disk", "in-memory"])
@pytest.mark.parametrize("ids", ["", USER_NAMESPACE], ids=["root", "mapped"])
def test_an_ephemeral_copy_is_gone_when_it_stops(lxc: Scene, ids: str, option: str) -> None:
    rootfs = lxc.define("base", ids)
    if ids:
        for path in (rootfs, rootfs / "tmp"):
            os.chown(path, 805306368, 805306368)
    before = tree(lxc.root / "base")
    words = ["copy", "base", "-e", *option.split()]
    said = lxc.ok(*words)
    name = said.split()[1]
    assert said == f"Created {name} as clone of base\n"
    assert name.startswith("base_")
    assert lxc.state(name) == "RUNNING"
    assert lxc.ok("attach", name, "--", "sh", "-c", "echo x > /new; hostname") == f"{name}\n"
    assert (lxc.root / name / "overlay/delta/new").exists() == (not option)
    lxc.ok("stop", name)
    until("it is gone", lambda: not (lxc.root / name).exists() and not lxc.left)
    assert tree(lxc.root / "base") == before


def test_mounts_of_an_ephemeral_copy(lxc: Scene) -> None:
    lxc.define("base")
    source = lxc.root / "with blank"
    source.mkdir()
    (source / "file").write_text("old\n")
    mounts = f"bind={source}:/one:ro,overlay={source}:/two,bind={source}/file:/three"
    lxc.ok("copy", "base", "-N", "try", "-e", "-D", "-m", mounts)
    script = "echo new > /one/file; echo new > /two/file; cat /one/file /two/file /three"
    done = lxc.run("attach", "try", "--", "sh", "-c", script)
    assert done.stdout == "old\nnew\nold\n"
    assert "Read-only file system" in done.stderr
    assert (source / "file").read_text() == "old\n"
    lxc.ok("stop", "try")
    lxc.gone("try")
    assert (lxc.root / "try/overlay/mount1/delta/file").read_text() == "new\n"  # -D: it stays
    lxc.ok("destroy", "try")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-e", "-R"], "--rename and --ephemeral exclude each other"),
        (["-N", "x", "-t"], "--tmpfs needs --ephemeral"),
        (["-N", "x", "-F"], "--foreground needs --ephemeral"),
        (["-e", "-F", "-d"], "-F and -d exclude each other"),
        (["-e", "-m", "zork=/a"], "--mount: 'zork=/a': is of no kind"),
        (["-e", "-m", "bind=etc"], "--mount: 'bind=etc': paths must be absolute"),
        (["-e", "-m", "bind=/etc:/a/../b"], "a target must not contain '..'"),
        (["-e", "-m", "overlay=/etc/passwd"], "there is no such directory"),
        (["-e", "-N", "base"], "Container already exists"),
        (["-e", "-B", "zfs"], "storage 'zfs' is not carried out here"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(lxc: Scene, words: list[str], sentence: str) -> None:
    lxc.define("base")
    done = lxc.run("copy", "base", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert sorted(os.listdir(lxc.root)) in (["base"], [".state", "base"])


def test_one_that_does_not_start_is_gone(lxc: Scene) -> None:
    lxc.define("base", "lxc.hook.pre-start = /bin/false\n")
    for keep in ([], ["-D"]):
        done = lxc.run("copy", "base", "-N", "try", "-e", *keep)
        assert done.returncode == 1
        assert "pre-start" in done.stderr
        assert not (lxc.root / "try").exists()
    assert not (lxc.root / "base/lxc_snapshots").exists()


def test_a_running_container_is_copied_only_when_that_is_meant(lxc: Scene) -> None:
    lxc.define("base")
    lxc.start("base")
    refused = lxc.run("copy", "base", "-N", "new", "-s")
    assert (refused.returncode, refused.stderr) == (1, "lxc-copy: base: base is running (stop it first)\n")
    lxc.ok("copy", "base", "-N", "new", "-s", "-a")
    lxc.ok("copy", "base", "-N", "try", "-e", "-a")
    lxc.ok("stop", "-k", "try")
    lxc.ok("stop", "base")
    lxc.ok("destroy", "new")


def test_start_ephemeral_runs_a_command_and_is_gone(lxc: Scene) -> None:
    lxc.define("base")
    done = lxc.run("start-ephemeral", "-o", "base", "-n", "try", "--", "sh", "-c", "hostname; exit 4")
    assert (done.returncode, done.stdout, done.stderr) == (4, "Created try as clone of base\ntry\n", "")
    until("it is gone", lambda: not (lxc.root / "try").exists())
    missing = lxc.run("start-ephemeral", "-n", "try")
    assert (missing.returncode, missing.stderr) == (
        1,
        "lxc-start-ephemeral: which container is to be copied? -o ORIG\n",
    )


def test_netstat_shows_the_containers_network(lxc: Scene) -> None:
    lxc.define("base")
    lxc.start("base")
    done = lxc.run("netstat", "base", "--", "-an")
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1" not in done.stdout
    assert lxc.run("netstat", "none").stderr == "lxc-netstat: none: none is not running\n"
    lxc.ok("stop", "base")


def test_attach_with_an_architecture_of_its_own(lxc: Scene) -> None:
    lxc.define("base")
    lxc.start("base")
    assert lxc.ok("attach", "base", "-a", "i686", "--", "uname", "-m").strip() in ("i686", "armv8l")
    assert lxc.ok("attach", "base", "--", "uname", "-m").strip() == os.uname().machine
    wrong = lxc.run("attach", "base", "-a", "zork", "--", "true")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "'zork' is not an architecture" in wrong.stderr
    lxc.ok("stop", "base")


#: Tells of an inner container in whose place a second pid namespace is, and lies about others.
OUTER = """
mkdir -p /var/lib/lxc/in /var/lib/lxc/stopped /var/lib/lxc/link /run/warden-lxc/one
echo 'lxc.group = a b' > /var/lib/lxc/in/config; echo 'lxc.start.auto = 1' >> /var/lib/lxc/in/config
: > /var/lib/lxc/stopped/config
trap 'exit 0' PWR; : > /tmp/ready; while :; do sleep 0.02; done
"""


def test_nested_containers_are_listed(lxc: Scene) -> None:
    rootfs = lxc.define("outer", init=OUTER)
    lxc.define("other")
    lxc.start("outer")
    (rootfs / "var/lib/lxc/link/config").symlink_to("/etc/hostname-of-the-host")
    (rootfs / "var/lib/lxc/bad\nname").mkdir()
    (rootfs / "var/lib/lxc/bad\nname/config").write_text("lxc.include = /etc/shadow\n")
    held = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('\\0/var/lib/lxc/in/command'); "
    pid = lxc.seen("outer").running.pid
    inner = subprocess.Popen(
        ["nsenter", "-t", str(pid), "-n", "-p", sys.executable, "-c",
         held + "import os; print(os.getpid(), flush=True); "
         "import ctypes; ctypes.CDLL(None).unshare(0x20000000); "
         "p = os.fork() or time.sleep(60); print(p, flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert inner.stdout is not None
        inner.stdout.readline()
        children = Path(f"/proc/{inner.pid}/task/{inner.pid}/children")
        until("the tool is there", lambda: children.read_text().split())
        tool = int(children.read_text().split()[0])
        below = Path(f"/proc/{tool}/task/{tool}/children")
        until("the inner one is there", lambda: below.read_text().split())
        first = int(below.read_text().split()[0])
        status = Path(f"/proc/{first}/status").read_text()
        numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid"))
        known = {"name": "in", "pid": int(numbers[-2])}
        (rootfs / "run/warden-lxc/one/container.json").write_text(json.dumps(known))
        (rootfs / "run/warden-lxc/one/journal").write_text("STARTING\nRUNNING\nFROZEN\n")
        assert lxc.ok("ls", "-1", "--nesting").splitlines() == ["other", "outer", "bad\\nname", "in", "stopped"]
        assert lxc.ok("ls", "-1", "--nesting=0").splitlines() == ["other", "outer"]
        assert lxc.ok("ls", "-1", "--nesting", "--frozen").splitlines() == ["in"]
        assert lxc.ok("ls", "-1", "--nesting", "-g", "b").splitlines() == ["in"]
        rows = lxc.ok("ls", "-f", "-F", "NAME,STATE,PID,AUTOSTART,GROUPS", "--nesting", "--filter", "^(in|outer)$")
        assert [line.split() for line in rows.splitlines()] == [
            ["NAME", "STATE", "PID", "AUTOSTART", "GROUPS"],
            ["outer", "RUNNING", str(pid), "0", "-"],
            ["\\", "in", "FROZEN", str(first), "1", "a,", "b"],
        ]
    finally:
        inner.kill()
        inner.wait()
        assert inner.stdout is not None
        inner.stdout.close()
    assert lxc.run("ls", "--nesting=x").stderr == "lxc-ls: --nesting: 'x' is not a number of levels\n"
    lxc.ok("stop", "-k", "outer")
