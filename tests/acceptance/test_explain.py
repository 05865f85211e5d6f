"""`warden explain` on a real container: what was set is named, what is shared is told, and --pid shows the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from scene import client_of, read_until

from warden.client.blocking import Container, JobHandle
from warden.testing.daemon import PrivateDaemon

pytestmark = [pytest.mark.root, pytest.mark.vm]

COMMAND = [sys.executable, "-m", "warden.cli.main", "explain"]


class Box:
    """A container with one job that sleeps, and the command about it."""

    def __init__(self, daemon: PrivateDaemon, container: Container, job: JobHandle) -> None:
        self.container, self.job = container, job
        self._socket = daemon.socket

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"WARDEN_SOCKET": self._socket}
        return subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, timeout=120, check=False)

    def text(self, *words: str) -> str:
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def json(self, *words: str) -> dict[str, Any]:
        found = json.loads(self.text(*words, "--json"))
        assert isinstance(found, dict)
        return found

    def job_pid(self) -> int:
        """The process of its job, as the report itself names it."""
        found = self.json("box", "--section", "process")
        return next(int(one["pid"]) for one in found["process"] if one["role"] == "job")


@pytest.fixture
def box(shared_daemon: PrivateDaemon) -> Iterator[Box]:
    client = client_of(shared_daemon)
    with client.create("box", memory="64M") as container:
        job = container.spawn(["sh", "-c", "echo ready; sleep 600"])
        read_until(job, b"ready")
        yield Box(shared_daemon, container, job)
    client.close()


def test_the_limit_that_was_set_is_named(box: Box) -> None:
    text = box.text("box", "--section", "cgroups", "--controller", "memory")
    lines = [line.split() for line in text.splitlines()]
    assert ["memory.limit_in_bytes", "64.0", "MiB"] in lines or ["memory.max", "64.0", "MiB"] in lines
    assert "The most memory that the group and all below it may have" in text


def test_process_1_and_the_job_are_told_apart(box: Box) -> None:
    found = box.json("box")
    info = box.container.info()
    init, job = found["process"]
    assert (found["handle"], found["container"], found["pid"]) == ("box", info.id, info.pid)
    assert (init["role"], init["pid"], init["pids_inside"][-1]) == ("init", info.pid, 1)
    assert (job["role"], job["job"], job["name"]) == ("job", box.job.id, "sh")
    roles = {group["role"] for group in found["cgroups"]}
    assert roles == {"container", "job", "process"}
    for group in found["cgroups"]:
        if group["role"] == "job":
            assert group["path"].endswith(f"/instance-{info.id}/job-{box.job.id}")
            assert job["pid"] in group["processes"]


def test_its_namespaces_are_its_own_and_shared_with_its_job(box: Box) -> None:
    found = box.json("box", "--section", "namespaces", "--section", "process")
    spaces = {space["kind"]: space for space in found["namespaces"]}
    job = found["process"][1]["pid"]
    for kind in ("mnt", "pid", "user", "net", "ipc", "uts"):
        assert spaces[kind]["host"] is False, kind
        assert not spaces[kind]["own"], kind
        assert job in spaces[kind]["shared_with"], kind
        assert spaces[kind]["inode"] == os.stat(f"/proc/{job}/ns/{kind}").st_ino
    assert job not in spaces["cgroup"]["shared_with"]
    names = [one for one in spaces["net"]["shared_names"] if one["pid"] == job]
    assert names == [{"pid": job, "name": "sh", "container": box.container.info().id}]


def test_rights_and_ids(box: Box) -> None:
    found = box.json("box", "--section", "capabilities", "--section", "seccomp", "--section", "ids")
    job = found["capabilities"][1]
    assert job["effective"] == []
    assert "CAP_SYS_ADMIN" not in job["bounding"]
    assert found["seccomp"][1]["mode"] == 2
    assert found["seccomp"][1]["no_new_privs"] is True
    (users,) = found["ids"]["users"]
    assert (users["inside"], users["count"]) == (0, 65536)
    assert users["outside"] > 0


def test_its_network_and_the_rules_about_it(box: Box) -> None:
    _, container_port = box.container.net_in(container_port=8080)
    found = box.json("box", "--section", "network", "--section", "firewall", "--section", "mounts")
    info = box.container.info()
    (link,) = [link for link in found["network"]["links"] if link["name"] != "lo"]
    assert link["name"] == f"w-{info.id}-1"
    assert f"{info.container_ip}/30" in link["addresses"]
    rules = found["firewall"]["rules"]
    assert found["firewall"]["reason"] is None
    assert any(rule["name"] == "links" and f"w-{info.id}-0" in rule["text"] for rule in rules)
    assert any(rule["name"] == "ports" and f"{info.container_ip} . {container_port}" in rule["text"] for rule in rules)
    assert any(mount["target"] == "/" and mount["type"] == "overlay" for mount in found["mounts"])


def test_a_process_of_it_by_its_number(box: Box) -> None:
    pid = box.job_pid()
    found = box.json("--pid", str(pid))
    info = box.container.info()
    assert (found["handle"], found["container"], found["pid"]) == (None, info.id, pid)
    assert any(group["path"].endswith(f"/job-{box.job.id}") for group in found["cgroups"])
    assert any(f"w-{info.id}-0" in rule["text"] for rule in found["firewall"]["rules"])


def test_chinese(box: Box) -> None:
    text = box.text("box", "--lang", "zh")
    for heading in ("进程", "命名空间", "控制组", "挂载", "能力", "系统调用过滤", "用户号映射", "资源限制", "网络", "防火墙"):
        assert heading in text
    assert "The most" not in text


def test_nothing_is_folded_with_all(box: Box) -> None:
    compact, whole = (box.text("box", "--section", "cgroups", *more) for more in ((), ("--all",)))
    for name in ("cgroup.procs", "pids.max", "pids.events"):
        line = re.compile(rf"^    {re.escape(name)}( |$)", re.MULTILINE)
        assert line.search(whole)
        assert not line.search(compact)
    assert "(--all)" not in whole
    assert "not in our tables" not in whole


def test_what_is_not_there(box: Box) -> None:
    done = box.run("nobody")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "warden: unknown handle\n"
    pid = box.job_pid()
    box.job.kill()
    while os.path.exists(f"/proc/{pid}"):
        pass
    done = box.run("--pid", str(pid))
    assert done.returncode == 2
    assert f"there is no process {pid}" in done.stderr
    assert "no job runs now" in box.text("box", "--section", "process")
