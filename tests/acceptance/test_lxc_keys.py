"""Keys of LXC's configuration in the kernel: devices denied to what needs a /dev, shared mounts, scheduling, interfaces."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
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


VETH = "lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.veth.pair = vw-key\n"


def between(lxc: Scene, before: str, *told: str, after: str = "") -> list[str]:
    """In a network namespace of its own: *before*, then box is started, what *told* say, box is stopped, *after*."""
    tools = {name: f"{lxc.command(name)[0]} -P {lxc.root}" for name in ("start", "info", "stop")}
    shell = [before, f"{tools['start']} box", f"pid=$({tools['info']} -p -H box)", *told, f"{tools['stop']} -k box", after]
    done = subprocess.run(
        ["unshare", "-n", "bash", "-ec", "\n".join(filter(None, shell))],
        capture_output=True, text=True, env=lxc.env, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    return [line.strip() for line in done.stdout.splitlines()]


def possible(command: str) -> bool:
    return not subprocess.run(["unshare", "-n", "sh", "-c", command], capture_output=True, check=False).returncode


def test_an_ipvlan_is_isolated_and_answered_for(lxc: Scene) -> None:
    if not possible("ip link add up type veth peer name down && ip link add link up type ipvlan mode l3s"):
        pytest.skip("requires ipvlan")
    given = "lxc.net.0.type = ipvlan\nlxc.net.0.link = up-key\nlxc.net.0.flags = up\nlxc.net.0.ipvlan.mode = l3s\n"
    given += "lxc.net.0.ipvlan.isolation = private\nlxc.net.0.l2proxy = 1\nlxc.net.0.ipv4.address = 198.18.9.2/32\n"
    lxc.define("box", given + "lxc.net.0.ipv4.gateway = dev\n")
    before = "ip link set lo up; ip link add up-key type veth peer name down-key; ip link set up-key up"
    before += "; echo 1 > /proc/sys/net/ipv4/conf/up-key/forwarding"
    told = (
        "nsenter -n -t $pid ip -d link show eth0 | grep -o 'l3s.*private'",
        "ip neighbour show proxy; ip route show dev lo; nsenter -n -t $pid ip route show",
    )
    found = between(lxc, before, *told, after="ip neighbour show proxy; ip route show dev lo")
    assert [" ".join(line.split()) for line in found] == [
        "l3s private", "198.18.9.2 dev up-key proxy", "198.18.9.2 scope link", "default dev eth0 scope link"
    ]  # fmt: skip


def test_a_port_has_the_vlans_that_are_asked_for(lxc: Scene) -> None:
    given = "lxc.net.0.link = br-key\nlxc.net.0.veth.vlan.tagged.id = 8\nlxc.net.0.veth.vlan.tagged.id = 9\n"
    bridge = "ip link add br-key type bridge vlan_filtering 1; ip link set br-key up"
    if not possible("ip link add br-key type bridge vlan_filtering 1"):
        pytest.skip("requires bridge_vlan_filtering")
    for untagged, seen in (("7", "7 PVID Egress Untagged"), ("none", ""), ("1", "1 PVID Egress Untagged")):
        lxc.define("box", f"{VETH}{given}lxc.net.0.veth.vlan.id = {untagged}\n")
        found = between(lxc, bridge, "bridge vlan show dev vw-key | tail -n +2 | sed 's/^vw-key//'")
        assert sorted(filter(None, found)) == sorted(filter(None, ["8", "9", seen]))
    without = bridge.replace("vlan_filtering 1", "")
    failed = lxc.run("start", "box", netns=without)
    assert "lxc.net.0.veth.vlan: the bridge br-key looks at no VLANs (ip link set br-key type bridge" in failed.stderr
    assert (failed.returncode, lxc.left) == (1, [])


def test_a_pair_has_the_queues_that_are_asked_for(lxc: Scene) -> None:
    lxc.define("box", f"{VETH}lxc.net.0.veth.n_rxqueues = 3\nlxc.net.0.veth.n_txqueues = 2\n")
    show = "ip -d -o link show {} | grep -o 'num.xqueues [0-9]*' | tr '\\n' ' '; echo"
    found = between(lxc, "ip link set lo up", show.format("vw-key"), f"nsenter -n -t $pid {show.format('eth0')}")
    assert found == ["numtxqueues 3 numrxqueues 2", "numtxqueues 2 numrxqueues 3"]


def test_a_router_leads_to_it_and_answers_for_its_gateway(lxc: Scene) -> None:
    """No bridge: the host has routes to its addresses and to the networks behind it; what it asks for its gateway is
    answered by the host's end. Packets pass both ways."""
    given = "lxc.net.0.veth.mode = router\nlxc.net.0.ipv4.address = 198.18.9.2/32\nlxc.net.0.ipv6.address = fd00:9::2/128\n"
    given += "lxc.net.0.ipv4.gateway = 169.254.1.1\nlxc.net.0.ipv6.gateway = fe80::1\n"
    given += "lxc.net.0.veth.ipv4.route = 198.18.10.0/24\nlxc.net.0.veth.ipv6.route = fd00:a::/64\n"
    lxc.define("box", VETH + given)
    before = "ip link set lo up; ip address add 198.18.8.1/32 dev lo; ip address add fd00:8::1/128 dev lo"
    before += "; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
    # who answers for an address must know a way to it, and another one (arp_process of net/ipv4/arp.c)
    before += "; ip link add up-key type veth peer name down-key; ip link set up-key up; ip link set down-key up; ip route add default dev up-key"
    told = (
        "ip -4 route show dev vw-key; ip -6 route show dev vw-key | grep fd00 | sed 's/ metric.*//'",
        "ip neighbour show proxy; cat /proc/sys/net/ipv4/conf/vw-key/forwarding",
        "nsenter -n -t $pid ip route show",
        "busybox ping -q -c 1 -W 5 -I 198.18.8.1 198.18.9.2 | grep -o '1 packets received'",
        "nsenter -n -t $pid busybox ping -q -c 1 -W 5 198.18.8.1 | grep -o '1 packets received'",
        "nsenter -n -t $pid busybox ping -6 -q -c 1 -W 9 fd00:8::1 | grep -o '1 packets received'",
    )
    found = between(lxc, before, *told, after="ip route show; ip neighbour show proxy; ip -o link | wc -l")
    assert found[:2] == ["198.18.9.2 scope link", "198.18.10.0/24 scope link"] or sorted(found[:2]) == [
        "198.18.10.0/24 scope link", "198.18.9.2 scope link"
    ]  # fmt: skip
    assert sorted(found[2:4]) == ["fd00:9::2", "fd00:a::/64"] or [line.split()[0] for line in sorted(found[2:4])] == [
        "fd00:9::2", "fd00:a::/64"
    ]  # fmt: skip
    assert {line.split()[0] for line in found[4:6]} == {"169.254.1.1", "fe80::1"}
    assert found[6] == "1"
    assert sorted(found[7:9]) == ["169.254.1.1 dev eth0 scope link", "default via 169.254.1.1 dev eth0"]
    assert found[9:] == ["1 packets received"] * 3 + ["default dev up-key scope link", "3"]
    off = lxc.run("start", "box", netns="ip link set lo up")
    assert "lxc.net.0.ipv6.gateway: net/ipv6/conf/all/forwarding is off" in off.stderr


@pytest.mark.parametrize("end", ["stop", "kill -9"])
def test_a_link_answers_for_it_as_long_as_it_runs(lxc: Scene, end: str) -> None:
    given = "lxc.net.0.veth.mode = router\nlxc.net.0.link = up-key\nlxc.net.0.l2proxy = 1\n"
    given += "lxc.net.0.ipv4.address = 198.18.9.2/32\nlxc.net.0.ipv4.gateway = 169.254.1.1\n"
    lxc.define("box", VETH + given)
    lxc.define("next")
    before = "ip link set lo up; ip link add up-key type veth peer name down-key; ip link set up-key up"
    before += "; echo 1 > /proc/sys/net/ipv4/conf/up-key/forwarding"
    told = ["ip neighbour show proxy dev up-key"]
    if end != "stop":
        told += ["monitor=$(cut -d' ' -f4 /proc/$pid/stat)", "kill -9 $monitor; kill -9 $pid 2>/dev/null || :"]
        told += [f"{lxc.command('execute')[0]} -P {lxc.root} next -- true", "set +e"]
    found = between(lxc, before, *told, after="ip neighbour show proxy dev up-key; set +e") if end == "stop" else swept(
        lxc, before, told
    )
    assert [line.split()[0] for line in found] == ["198.18.9.2"]
    assert lxc.left == []
    deaf = lxc.run("start", "box", netns=before.rpartition(";")[0])
    assert "lxc.net.0.l2proxy: net/ipv4/conf/up-key/forwarding is off" in deaf.stderr


def swept(lxc: Scene, before: str, told: list[str]) -> list[str]:
    """The same with an end by force: the next start has taken it back."""
    start, info = (f"{lxc.command(name)[0]} -P {lxc.root}" for name in ("start", "info"))
    shell = [before, f"{start} box", f"pid=$({info} -p -H box)", *told, "ip neighbour show proxy dev up-key"]
    done = subprocess.run(
        ["unshare", "-n", "bash", "-ec", "\n".join(shell)], capture_output=True, text=True, env=lxc.env, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    return done.stdout.splitlines()


@pytest.mark.parametrize("shared", ["made", "there"])
def test_what_is_mounted_in_a_shared_directory_comes_in(lxc: Scene, shared: str, tmp_path: Path) -> None:
    """One that is not shared yet is made so, and is as it was when the last container that has it has ended."""
    path = tmp_path / "deep/tunnel"
    given = f"lxc.mount.auto = shmounts:{path}\n"
    for name in ("box", "other"):
        lxc.define(name, given if name == "box" else given[:-1] + ":/inside\n")
    if shared == "there":
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
        subprocess.run(["mount", "--make-shared", path], check=True)
    try:
        lxc.start("box")
        lxc.start("other")
        (path / "sub").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "later", path / "sub"], check=True)
        (path / "sub/seen").touch()
        for name, where in (("box", "/dev/.lxc-mounts"), ("other", "/inside")):
            assert lxc.ok("attach", name, "--", "/bin/ls", f"{where}/sub").split() == ["seen"]
            assert "later" not in lxc.ok("attach", name, "--", "/bin/sh", "-c", f"grep -v {where} /proc/mounts")
            inside = f"mkdir {where}/own; mount -t tmpfs own {where}/own"
            assert lxc.run("attach", name, "--", "/bin/sh", "-c", inside).returncode == 0
        assert "own" not in Path("/proc/mounts").read_text().split()
        subprocess.run(["umount", path / "sub"], check=True)
        lxc.ok("stop", "-k", "box")
        subprocess.run(["mount", "-t", "tmpfs", "later", path / "sub"], check=True)
        assert lxc.ok("attach", "other", "--", "/bin/sh", "-c", "grep -c later /proc/mounts").strip() == "1"
        subprocess.run(["umount", path / "sub"], check=True)
        for name in ("sub", "own"):
            (path / name).rmdir()
        lxc.ok("stop", "-k", "other")
        left = [line.split()[:3] for line in Path("/proc/mounts").read_text().splitlines() if str(path) in line]
        assert left == ([["tmpfs", str(path), "tmpfs"]] if shared == "there" else [])
        assert path.exists() is (shared == "there")
    finally:
        subprocess.run(["umount", path], check=False, capture_output=True)


def test_a_shared_directory_is_gone_after_a_kill_and_a_failed_start(lxc: Scene, tmp_path: Path) -> None:
    path = tmp_path / "tunnel"
    lxc.define("box", f"lxc.mount.auto = shmounts:{path}\n")
    lxc.define("next")
    running = lxc.start("box").running
    for pid in (running.monitor, running.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert lxc.run("execute", "next", "--", "true").returncode == 0
    assert not path.exists()
    assert lxc.run("start", "box", "--", "/no/such").returncode == 1
    assert lxc.run("execute", "box", "--", "/no/such").returncode == 255
    assert lxc.run("execute", "box", "--", "/bin/ls", "/dev/.lxc-mounts").returncode == 0
    assert (path.exists(), lxc.left) == (False, [])
    path.touch()
    assert "is not a directory" in lxc.run("start", "box").stderr


@pytest.mark.parametrize("tool", ["start", "execute"])
def test_a_start_hook_may_no_more_than_the_first_process(lxc: Scene, tool: str) -> None:
    """It is a file of the container's: limits on devices, capabilities and the filter are in force before it runs."""
    key = "lxc.cgroup2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "lxc.cgroup"
    rootfs = lxc.define(
        "box",
        f"{key}.devices.deny = a\n{key}.devices.allow = c 1:5 rwm\n{key}.devices.allow = c 136:* rwm\n"
        "lxc.cap.drop = sys_module mknod\nlxc.hook.start = /hook\n"
        f"lxc.seccomp.profile = {lxc.root}/filter\n",
    )
    Path(f"{lxc.root}/filter").write_text("2\ndenylist\nmkdir errno 1\nmkdirat errno 1\n")
    hook = rootfs / "hook"
    hook.write_text(
        "#!/bin/busybox sh\nexec 2>/said\n/bin/busybox cat /dev/null && echo opened null >&2\n/bin/busybox mknod /disk b 1 0\n"
        "/bin/busybox mkdir /made\n/bin/busybox grep CapBnd /proc/self/status >&2\nexit 0\n"
    )
    hook.chmod(0o755)
    if tool == "execute":
        assert lxc.run("execute", "box", "--", "/bin/busybox", "true").returncode == 0
    else:
        lxc.start("box")
        lxc.ok("stop", "-k", "box")
    said = (rootfs / "said").read_text()
    assert "opened" not in said
    assert "mknod" in said
    assert "can't create directory" in said
    assert int(said.split("CapBnd:")[1].split()[0], 16) & (1 << 16 | 1 << 27) == 0
