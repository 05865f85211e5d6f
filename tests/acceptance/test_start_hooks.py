"""Operator's hooks at the four points of a container's start: what they see, what they may, and that they cannot hurt."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scene import client_of, configured_daemon, nothing_new, processes_of, wait_until

from warden.client.blocking import Client
from warden.errors import HookFailed, Unreachable
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root
POINTS = ("parent_before_clone", "parent_after_clone", "child_before_pivot", "child_after_pivot")
Hook = dict[str, Any]


def sh(script: str, **more: Any) -> list[Hook]:
    return [{"path": "/bin/sh", "args": ["-c", script], **more}]


@contextmanager
def serving(**hooks: Any) -> Iterator[tuple[PrivateDaemon, Client]]:
    with configured_daemon(hooks=hooks, network={"release_delay": 0}) as private, client_of(private) as client:
        os.chmod(private.root, 0o711)  # a depot is open to pass: root of a container is nobody on the host
        yield private, client


def said(private: PrivateDaemon, point: str) -> list[str]:
    text = Path(private.log).read_text()
    return [
        line.split(f"hook {point} /bin/sh: ", 1)[1] for line in text.splitlines() if f"hook {point} /bin/sh" in line
    ]


def test_each_point_is_told_of_the_container_in_the_order_of_the_start() -> None:
    script = "echo $WARDEN_EVENT ${WARDEN_PID-unknown} $WARDEN_STATE; cat; echo; readlink /proc/self/ns/pid; id -u"
    with serving(**{point: sh(script) for point in POINTS}) as (private, client), client.create("box") as box:
        info = box.info()
        host = os.readlink("/proc/self/ns/pid")
        for point in POINTS:
            head, data, namespace, uid = said(private, point)
            told = json.loads(data)
            pid = info.pid if point == "parent_after_clone" else 0
            assert head == f"{point} {pid or 'unknown'} born"
            assert (told["event"], told["container"]["handle"], told["container"]["pid"]) == (point, "box", pid)
            assert told["container"]["container_ip"] == info.container_ip
            assert uid == "0"
            assert (namespace == host) == point.startswith("parent")
        log = Path(private.log).read_text()
        places = [log.index(f"hook {point}") for point in POINTS]
        assert places == sorted(places)


@pytest.mark.parametrize("point", POINTS)
def test_a_hook_that_must_succeed_and_does_not_leaves_nothing(point: str) -> None:
    refusing = sh("echo no room >&2; [ $WARDEN_HANDLE != bad ] || exit 7", on_failure="fail")
    with serving(**{point: refusing}) as (private, client), nothing_new(private):
        for _ in range(2):
            with pytest.raises(HookFailed) as failed:
                client.create("bad")
            assert str(failed.value) == f"hook {point} /bin/sh: exit status 7 (no room)"
        assert client.list() == []
        with client.create("good") as container:
            assert container.run("echo works").stdout == b"works\n"


@pytest.mark.parametrize("point", POINTS)
def test_the_failures_of_others_are_logged_and_the_create_goes_on(point: str) -> None:
    hooks = [*sh("echo dying; kill -TERM $$"), *sh("exec sleep 1000", timeout=0.2), {"path": "/no/such/file"}]
    with serving(**{point: hooks}) as (private, client), client.create() as box:
        assert box.run("echo works").stdout == b"works\n"
        assert said(private, point) == ["dying", "killed by signal 15; ignored", "killed after 0.2 seconds; ignored"]
        assert f"hook {point} /no/such/file: exec: No such file or directory; ignored" in Path(private.log).read_text()


@pytest.mark.parametrize("point", POINTS)
def test_a_hook_that_hangs_is_ended_with_all_it_started(point: str) -> None:
    hanging = sh("trap '' TERM; sleep 1000 & sleep 1000 & wait", timeout=0.2, on_failure="fail")
    named = pytest.raises(HookFailed, match=f"hook {point} /bin/sh: killed after 0.2 seconds")
    with serving(**{point: hanging}) as (private, client), nothing_new(private), named:
        client.create()


def test_a_slow_hook_holds_up_its_own_request_only(tmp_path: Path) -> None:
    go = tmp_path / "go"
    slow = sh(f"case $WARDEN_HANDLE in slow*) until [ -e {go} ]; do sleep 0.01; done;; esac", timeout=120)
    with serving(parent_before_clone=slow) as (private, client):
        creating = [threading.Thread(target=_create, args=(private, f"slow-{n}")) for n in range(20)]
        for thread in creating:
            thread.start()
        wait_until(lambda: len(os.listdir(private.depot)) >= 20)
        with client.create("fast") as container:
            assert container.run("echo works").stdout == b"works\n"
        assert client.list() == []
        go.touch()
        for thread in creating:
            thread.join()
        assert len(client.list()) == 20


def _create(private: PrivateDaemon, handle: str) -> None:
    with client_of(private) as client:
        client.create(handle)


def test_the_parent_may_prepare_what_the_container_cannot_undo(tmp_path: Path) -> None:
    """Made with the host's rights before the child copies the mounts: locked (mount_namespaces(7))."""
    (tmp_path / "lent").mkdir()
    (tmp_path / "lent/file").write_text("from the host")
    tmp_path.chmod(0o755)
    script = f"mkdir $WARDEN_PATH/mnt/root/lent && mount --bind {tmp_path}/lent $WARDEN_PATH/mnt/root/lent && " \
        "mount -o remount,bind,ro $WARDEN_PATH/mnt/root/lent && ip link show w-$WARDEN_ID-0 >&2"  # fmt: skip
    hooks = sh(script, on_failure="fail")
    with serving(parent_after_clone=hooks) as (private, client), client.create() as box:
        assert any("mtu" in line for line in said(private, "parent_after_clone"))
        result = box.run("cat /lent/file; touch /lent/x; umount /lent; cat /lent/file", privileged=True)
        assert result.stdout == b"from the hostfrom the host"
        assert result.stderr.count(b"\n") >= 2
    assert not os.path.ismount(tmp_path / "lent")  # it was in the launcher's own mount namespace


def test_the_child_sees_the_host_s_files_with_the_rights_of_its_root() -> None:
    script = "ls -d $0; mount -t tmpfs tmpfs $WARDEN_PATH/mnt/root/mnt && echo put > $WARDEN_PATH/mnt/root/mnt/it; " \
        "cat /etc/shadow; hostname; cat /proc/self/uid_map"  # fmt: skip
    hook = [{"path": "/bin/sh", "args": ["-c", script, str(Path(__file__).parents[2] / "README.md")]}]
    with serving(child_before_pivot=hook) as (private, client), client.create(hostname="box") as box:
        lines = said(private, "child_before_pivot")
        assert any("/etc/shadow: Permission denied" in line for line in lines)
        assert lines[-2] == "box"
        assert box.run("cat /mnt/it", privileged=True).stdout == b"put\n"


def test_a_program_of_the_container_has_no_more_than_a_privileged_job() -> None:
    """The image is hostile: rights, descriptors, cgroup, root and limits are those of a job of its root."""
    look = (
        "grep -E 'Cap|Seccomp|NoNewPrivs|Groups' /proc/self/status; ulimit -a; cat /proc/self/cgroup; "
        "ls /proc/self/fd; ls /; umask; pwd; ls -l /proc/1/fd 2>&1; umount /proc/kcore 2>&1; "
        "mount -t tmpfs x /mnt 2>&1; true"
    )
    with serving(child_after_pivot=sh(look)) as (private, client), client.create() as box:
        hook = said(private, "child_after_pivot")
        job = box.run(["/bin/sh", "-c", look], privileged=True, cwd="/").stdout.decode().splitlines()
        assert hook == job
        assert any("/proc/1/fd" in line and "denied" in line for line in hook)


def test_its_path_is_the_image_s_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("#!/bin/sh\necho of the host\n")
    (tmp_path / "file").chmod(0o755)
    with serving(child_after_pivot=[{"path": str(tmp_path / "file")}]) as (private, client), client.create():
        assert f"hook child_after_pivot {tmp_path}/file: exec: No such file" in Path(private.log).read_text()
        assert "of the host" not in Path(private.log).read_text()


def test_the_container_s_limits_hold_for_it() -> None:
    eats = [{"path": "/usr/bin/python3", "args": ["-c", "bytearray(1 << 28)"], "on_failure": "fail", "timeout": 60}]
    with serving(child_after_pivot=eats) as (private, client), nothing_new(private):
        with pytest.raises(HookFailed, match="killed by signal 9"):
            client.create(memory="32M")
        client.create().destroy()


def test_what_it_starts_is_gone_before_the_container_serves() -> None:
    script = "setsid sh -c 'exec >&- 2>&-; while :; do sleep 1000; done' & sleep 0.1"
    with serving(child_after_pivot=sh(script), child_before_pivot=sh(script)) as (private, client), client.create():
        wait_until(lambda: len(processes_of(private)) == 1)  # PID 1; the launcher ends by itself


def test_a_flood_of_output_is_cut() -> None:
    flood = sh("yes | head -c 100000000; echo the end; exit 1", on_failure="fail", timeout=120)
    with serving(child_after_pivot=flood) as (_, client), pytest.raises(HookFailed, match=r"exit status 1 \(the end\)"):
        client.create()


def test_a_daemon_that_is_killed_meanwhile_leaves_no_half(tmp_path: Path) -> None:
    waiting = sh(f"echo $$ > {tmp_path}/pid; exec sleep 1000", timeout=1000)
    with serving(parent_after_clone=waiting) as (private, client):
        thread = threading.Thread(target=_create_in_vain, args=(private,))
        thread.start()
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
        pid = int((tmp_path / "pid").read_text())
        private.kill()
        thread.join()
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the hook outlives the daemon")
        private.start()
        wait_until(lambda: not processes_of(private))
        assert client.list() == []
        wait_until(lambda: [name for name in os.listdir(private.depot) if not name.startswith(".")] == [])


def _create_in_vain(private: PrivateDaemon) -> None:
    with client_of(private) as client, pytest.raises(Unreachable):
        client.create()
