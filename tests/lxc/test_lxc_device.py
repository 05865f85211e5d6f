"""lxc-device on a container that runs: nodes, what its cgroup allows, network interfaces."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from storage_fixtures import Store, until

from warden.errors import WrongState
from warden.lxc import devicing, place, stopping
from warden.lxc.home import Home
from warden.lxc.place import Running, Site

pytestmark = [pytest.mark.root, pytest.mark.vm]
#: Deny everything but null, as most configurations of LXC's begin.
DENIED = "".join(f"lxc.{v}.devices.deny = a\nlxc.{v}.devices.allow = c 1:3 rwm\n" for v in ("cgroup", "cgroup2"))
#: Opens /dev/own as often as it is asked to.
PROGRAM = "while :; do read word < /gate || continue; (head -c 3 /dev/own | wc -c) > /answer 2>&1; mv /answer /answered; done"


def begin(store: Store, config: str) -> subprocess.Popen[bytes]:
    store.config.write_text("lxc.net.0.type = empty\n")
    store.ok("create", "-n", "c", "-t", "busybox", "-f", str(store.config), "-q")
    cleared = "".join(f"lxc.{v}.devices.{what} =\n" for v in ("cgroup", "cgroup2") for what in ("deny", "allow"))
    store.add("c", cleared + config)
    subprocess.run(["mkfifo", store.path / "c/rootfs/gate"], check=True)
    process = subprocess.Popen(store.command("execute", "-n", "c", "--", "/bin/sh", "-c", f"echo up > /up; {PROGRAM}"), env=store.env)
    until(lambda: (store.path / "c/rootfs/up").exists() or process.poll() is not None)
    return process


def answer(store: Store) -> str:
    """What the container makes of /dev/own."""
    answered = store.path / "c/rootfs/answered"
    answered.unlink(missing_ok=True)
    (store.path / "c/rootfs/gate").write_text("now\n")
    until(answered.exists)
    return answered.read_text()


def first_process(store: Store) -> int:
    (found,) = (store.root / "state").glob("*/container.json")
    pid = json.loads(found.read_text())["pid"]
    assert isinstance(pid, int)
    return pid


@pytest.mark.parametrize("config", ["", DENIED])
def test_a_node_is_there_and_allowed(store: Store, config: str) -> None:
    process = begin(store, config)
    try:
        assert "No such file" in answer(store)
        store.ok("device", "-n", "c", "add", "/dev/zero", "/dev/own")
        assert answer(store) == "3\n"
        store.ok("device", "-n", "c", "add", "/dev/full", "/dev/deep/er/full")
        assert "File exists" in store.refused("device", "-n", "c", "add", "/dev/zero", "/dev/own")
        store.ok("device", "-n", "c", "del", "/dev/zero", "/dev/own")
        assert "No such file" in answer(store)
        subprocess.run(["mknod", f"/proc/{first_process(store)}/root/dev/own", "c", "1", "5"], check=True)
        assert answer(store).split()[-1] == ("0" if config else "3")  # nothing but what was added was ever allowed
    finally:
        store.ok("destroy", "-n", "c", "-f")
        process.wait()


def test_a_link_inside_leads_nowhere_out(store: Store) -> None:
    process = begin(store, "")
    try:
        outside = store.root / "outside"
        outside.mkdir()
        (store.path / "c/rootfs/trap").symlink_to(outside)
        store.refused("device", "-n", "c", "add", "/dev/zero", "/trap/own")
        assert list(outside.iterdir()) == []
        for words in (("add", "/etc/passwd"), ("add", "/dev/zero", "../x"), ("put", "/dev/zero"), ("add",), ("del", "/etc/hostname"), ("add", "nosuch0")):
            store.refused("device", "-n", "c", *words)
    finally:
        store.ok("destroy", "-n", "c", "-f")
        process.wait()


def test_an_interface_goes_in_and_comes_back(store: Store) -> None:
    process = begin(store, "")
    try:
        tool = " ".join(store.command("device", "-n", "c"))
        script = (
            f"ip link add lxcd0 type veth peer name lxcd1; {tool} add lxcd0 inner && ip -o link | grep -c lxcd0:; "
            f"{tool} add lxcd0; {tool} del lxcd0 inner; ip -o link | grep -c lxcd0; ip link del lxcd0"
        )
        done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, check=False, env=store.env)
        assert done.stdout.split() == ["0", "2"], done
        assert "neither an absolute path nor an interface" in done.stderr
    finally:
        store.ok("destroy", "-n", "c", "-f")
        process.wait()


def test_one_that_does_not_run(store: Store, tmp_path: Path) -> None:
    store.create("c")
    assert "is not running" in store.refused("device", "-n", "c", "add", "/dev/zero")


def test_a_node_that_is_replaced_at_once_changes_nothing_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's root may put a link in its place between any two calls."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/config").touch()
    make = os.mknod

    def replaced(name: str, *rest: int, dir_fd: int) -> None:
        make(name, *rest, dir_fd=dir_fd)
        os.unlink(name, dir_fd=dir_fd)
        os.symlink(secret, name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mknod", replaced)
    (tmp_path / "state/1").mkdir(parents=True)
    site, home = Site(str(tmp_path / "state"), "none"), Home(str(tmp_path), "c")
    guest = devicing.Guest(site, home, Running("1", "c", str(tmp_path), os.getpid()))
    devicing.add_node(guest, "/dev/null", f"{tmp_path}/dev/own")
    assert (secret.stat().st_mode & 0o777, os.readlink(tmp_path / "dev/own")) == (0o600, str(secret))


def test_a_process_that_has_the_number_of_one_that_is_gone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever started the container was killed, and so was its first process."""
    store.create("c")
    other = subprocess.Popen(["sleep", "600"])
    try:
        (store.root / "state/1").mkdir(parents=True)
        (store.root / "state/1/lock").touch()
        known = {"name": "c", "lxcpath": str(store.path), "pid": other.pid}
        (store.root / "state/1/container.json").write_text(json.dumps(known))
        assert "is not running" in store.refused("device", "-n", "c", "add", "/dev/zero", f"{store.root}/zero")
        with place.claim(str(store.path), "c"):  # somebody starts it just now
            monkeypatch.setattr(stopping, "_PATIENCE_S", 0.1)
            with pytest.raises(WrongState, match="does not stop"):
                stopping.stop_now(Home(str(store.path), "c"), Site(str(store.root / "state"), "none"))
        store.ok("destroy", "-n", "c", "-f")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
