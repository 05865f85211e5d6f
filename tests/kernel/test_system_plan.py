"""LXC's configuration, translated and carried out by wshd: what the first process of the container finds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wshd_driver import FAILED, READY, launch
from wshd_fixtures import built, no_leftovers  # noqa: F401

from warden.kernel.proc import parse_capabilities
from warden.lxc.configfile import parse
from warden.lxc.reading import config_of
from warden.lxc.translate import Circumstances, translate
from warden.network.links import LOOPBACK, batch_of
from warden.plan.container import Batch, Placement
from warden.plan.system import plan_of

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.usefixtures("no_leftovers")]
USER_NAMESPACE = "lxc.idmap = u 0 805306368 65536\nlxc.idmap = g 0 805306368 65536\n"
LINKS = ("bin", "sbin", "lib", "lib64")

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def place() -> Iterator[Path]:
    """A root file system with nothing but places to mount, and one for the engine."""
    made = Path(tempfile.mkdtemp(prefix="w-lxc-"))
    made.chmod(0o755)
    for name in ("rootfs/proc", "rootfs/sys", "rootfs/dev", "rootfs/usr", "rootfs/etc", "rootfs/run", "depot/mnt/root"):
        (made / name).mkdir(parents=True)
    for name in LINKS:
        (made / "rootfs" / name).symlink_to(f"usr/{name}")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def run(place: Path) -> Run:
    """Runs a script as the container's init: its exit code, and its lines."""

    def call(config: str, script: str) -> tuple[int, list[str]]:
        text = f"lxc.rootfs.path = {place}/rootfs\nlxc.mount.entry = /usr usr none rbind,ro 0 0\n{config}"
        made = translate(config_of(parse(text, "config")), "box", Circumstances(argv=("/bin/sh", "-c", script)))
        assert made.spec.rootfs is not None
        loopback = batch_of(LOOPBACK)
        where = Placement(
            f"{place}/depot", made.spec.rootfs, made.spec.hostname or "", None,
            container_network=Batch(loopback.messages, loopback.text),
            permitted=parse_capabilities(Path("/proc/self/status").read_bytes()).permitted,
        )  # fmt: skip
        plan = plan_of(made.spec, where)
        launched = launch(built("wshd"), plan.encode())
        try:
            messages = launched.finish()
            said = launched.output().decode().splitlines()
            failed = [f"{plan.steps[m.step].text}: {os.strerror(m.error)}" for m in messages if m.kind == FAILED]
            assert not failed
            assert messages[-1].kind == READY
            return launched.process.returncode, said
        finally:
            launched.close()

    return call


@pytest.mark.parametrize("ids", ["", USER_NAMESPACE], ids=["privileged", "unprivileged"])
def test_a_system_of_its_own(run: Run, ids: str) -> None:
    config = (
        f"{ids}lxc.uts.name = lxc-box\nlxc.mount.auto = proc:mixed sys:mixed\nlxc.pty.max = 8\n"
        "lxc.environment = GREETING=hello\nlxc.init.cwd = /run\nlxc.prlimit.nofile = 77:99\nlxc.cap.drop = sys_time\n"
        "lxc.mount.entry = tmpfs run tmpfs size=64k,mode=750 0 0\n"
        "lxc.mount.entry = mqueue dev/mqueue mqueue create=dir 0 0\n"
    )
    script = """
        echo $$; uname -n; pwd; env | sort | tr '\\n' ' '; echo; ulimit -n; ulimit -Hn; id -u; ls /proc | grep -c '^[0-9]'
        echo x > /dev/null && test -c /dev/pts/ptmx && test -d /dev/mqueue && echo devices
        grep ' /run ' /proc/mounts; grep CapBnd /proc/self/status; exit 7
    """
    code, said = run(config, script)
    assert code == 7
    assert said[:3] == ["1", "lxc-box", "/run"]
    assert {"GREETING=hello", "PWD=/run", "container=lxc"} <= set(said[3].split())
    assert said[4:7] == ["77", "99", "0"]
    assert int(said[7]) < 10  # the shell, and who counts
    assert said[8] == "devices"
    assert "size=64k" in said[9]
    assert not int(said[10].split()[1], 16) >> 25 & 1


@pytest.mark.parametrize("ids", ["", USER_NAMESPACE], ids=["privileged", "unprivileged"])
def test_mixed_is_read_only_but_for_the_network(run: Run, ids: str) -> None:
    script = """
        for file in /proc/sys/kernel/hostname /proc/sysrq-trigger; do { echo x > $file; } 2>/dev/null && echo $file; done
        echo 1 > /proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward
        mkdir /sys/kernel/x 2>&1 | grep -o 'Read-only file system'
        grep -c ' /proc/tty ' /proc/mounts
        for mount in /sys /sys/devices/virtual/net; do
            grep " $mount " /proc/mounts | tail -n 1 | cut -d' ' -f4 | cut -c1-2
        done
        cd /sys/devices/virtual/net && echo *
    """
    _, said = run(ids + "lxc.mount.auto = proc:mixed sys:mixed\n", script)
    assert said == ["1", "Read-only file system", "0", "ro", "rw", "lo"]


def test_entries_lie_on_what_is_mounted_by_itself(run: Run, place: Path) -> None:
    (place / "shown").write_text("of the host")
    config = f"lxc.mount.auto = proc:mixed sys:mixed\nlxc.mount.entry = {place}/shown proc/version none bind 0 0\n"
    config += "lxc.mount.entry = /sys/fs/fuse/connections sys/fs/fuse/connections none bind,optional 0 0\n"
    _, said = run(config, "cat /proc/version; echo; grep ' /sys/fs/fuse' /proc/mounts | cut -d' ' -f4 | cut -c1-2")
    assert said == ["of the host", "rw"] or said == ["of the host"]


def test_sysctls_and_clocks_are_its_own(run: Run) -> None:
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    config = (
        "lxc.mount.auto = proc:rw\nlxc.sysctl.net.ipv4.ip_forward = 1\nlxc.sysctl.kernel.shmmax = 4096\n"
        "lxc.time.offset.boot = 1000d\n"
    ).replace("1000d", "86400000s")
    _, said = run(config, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax; cut -d. -f1 /proc/uptime")
    assert said[:2] == ["1", "4096"]
    assert int(said[2]) >= 86400000
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == before


def test_who_it_runs_as_and_what_it_may(run: Run) -> None:
    config = (
        "lxc.mount.auto = proc:rw\nlxc.init.uid = 1000\nlxc.init.gid = 100\nlxc.init.groups = 20,44\n"
        "lxc.no_new_privs = 1\nlxc.cap.keep = none\n"
    )
    _, said = run(config, "id -u; id -g; id -G; grep -E '^(NoNewPrivs|CapBnd)' /proc/self/status")
    assert said == ["1000", "100", "100 20 44", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"]


def test_namespaces_of_the_host_and_of_others(run: Run) -> None:
    config = f"lxc.mount.auto = proc:rw\nlxc.namespace.keep = ipc cgroup\nlxc.namespace.share.net = {os.getpid()}\n"
    _, said = run(config, "readlink /proc/self/ns/ipc /proc/self/ns/cgroup /proc/self/ns/net /proc/self/ns/uts")
    ours = [os.readlink(f"/proc/self/ns/{name}") for name in ("ipc", "cgroup", "net", "uts")]
    assert said[:3] == ours[:3]
    assert said[3] != ours[3]


def test_mounts_are_created_confined_and_in_order(run: Run, place: Path) -> None:
    (place / "secret").write_text("the host's")
    (place / "shared dir").mkdir()
    (place / "shared dir/file").write_text("shared")
    config = (
        f"lxc.mount.entry = {place}/shared\\040dir srv/a\\040b none bind,ro,create=dir 0 0\n"
        f"lxc.mount.entry = {place}/secret srv/one none bind,create=file\n"
        f"lxc.mount.entry = etc srv/etc none bind,relative,create=dir\n"
    )
    script = "cat '/srv/a b/file'; echo; test -w '/srv/a b/' || echo refused; cat /srv/one; echo; test -d /srv/etc && echo etc"
    _, said = run(config, script)
    assert said == ["shared", "refused", "the host's", "etc"]


@pytest.mark.parametrize("create", ["", "create=dir"])
def test_a_link_of_the_image_leads_no_mount_to_the_host(run: Run, place: Path, create: str) -> None:
    (place / "rootfs/escape").symlink_to(place)
    (place / "x").mkdir()
    with pytest.raises(AssertionError, match="/escape/x"):
        run(f"lxc.mount.entry = tmpfs escape/x tmpfs defaults,{create} 0 0\n", "true")
    assert not os.path.ismount(place / "x")


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_no_target_leads_through_a_link(run: Run, place: Path, name: str) -> None:
    """As LXC: a container's root may hold whatever its owner wrote there. This one would show the host's files."""
    trap = place / "rootfs/trap"
    (place / "rootfs" / name).rmdir()
    (place / "rootfs" / name).symlink_to(trap)
    (place / f"rootfs{trap}").mkdir(parents=True)  # what the link means inside
    for path in ("sys/net", "devices/virtual/net", "tty"):
        (trap / path).parent.mkdir(parents=True, exist_ok=True)
        (trap / path).symlink_to(place)
    with pytest.raises(AssertionError, match="Too many levels of symbolic links"):
        run("lxc.mount.auto = proc:mixed sys:mixed\n", "ls /proc/sys/net /sys/devices/virtual/net")
    (place / "rootfs/to").symlink_to("etc")
    with pytest.raises(AssertionError, match="Too many levels of symbolic links"):
        run("lxc.mount.entry = tmpfs to tmpfs defaults 0 0\n", "true")


def test_an_image_that_is_shifted_into_the_containers_ids(run: Run, place: Path) -> None:
    (place / "rootfs/etc/owned").touch()
    config = USER_NAMESPACE + "lxc.rootfs.options = idmap=container\n"
    _, said = run(config, "stat -c %u /etc/owned; touch /etc/made && echo made")
    assert said == ["0", "made"]
    assert (place / "rootfs/etc/made").stat().st_uid == 0
