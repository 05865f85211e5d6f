"""lxc-start to lxc-stop as whole processes: states, ends, reboots, what a killed process leaves, and that nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
from lxc_scene import PATIENCE, USER_NAMESPACE, Scene, new_scene, until

from warden.depot import systems
from warden.lxc import states

pytestmark = [pytest.mark.root, pytest.mark.vm]


@pytest.fixture
def lxc() -> Iterator[Scene]:
    with new_scene() as scene:
        yield scene


@pytest.mark.parametrize("ids", ["", USER_NAMESPACE], ids=["privileged", "unprivileged"])
def test_a_life(lxc: Scene, ids: str) -> None:
    rootfs = lxc.define("box", ids)
    if ids:
        for path in (rootfs, rootfs / "tmp"):
            os.chown(path, 805306368, 805306368)
    seen = lxc.start("box")
    assert seen.state == "RUNNING"
    assert (rootfs / "tmp/ready").stat().st_uid == (805306368 if ids else 0)
    again = lxc.run("start", "box")
    assert (again.returncode, again.stderr) == (0, "lxc-start: box: Container is already running\n")
    assert lxc.ok("stop", "box") == ""
    assert lxc.state("box") == "STOPPED"
    assert lxc.left == []
    stopped = lxc.run("stop", "box")
    assert (stopped.returncode, stopped.stderr) == (2, "lxc-stop: box: box is not running\n")


def test_states_as_they_are_told(lxc: Scene) -> None:
    lxc.define("box")
    monitor = lxc.begin("monitor", "-n", "b.*")
    until("it watches", lambda: os.path.isdir(lxc.site.state))
    lxc.ok("wait", "box", "-s", "STOPPED")
    until("the monitor is there", lambda: "inotify" in " ".join(_descriptors(monitor.pid)))
    lxc.start("box")
    lxc.ok("freeze", "box")
    assert lxc.run("attach", "box", "true").stderr == "lxc-attach: box: box is frozen (lxc-unfreeze lets it go on)\n"
    lxc.ok("unfreeze", "box")
    os.kill(lxc.seen("box").running.pid, signal.SIGUSR1)
    lxc.gone("box")
    failed = lxc.run("start", "box", "--", "/no/such")
    assert failed.returncode == 1
    until("the monitor has said all", lambda: True)
    assert monitor.stdout is not None
    lines = [monitor.stdout.readline().rstrip() for _ in range(13)]
    words = ["STARTING", "RUNNING", "FREEZING", "FROZEN", "THAWED", "RUNNING", None, "STOPPING", "STOPPED"]
    failing = ["STARTING", "ABORTING", "STOPPING", "STOPPED"]
    said = [f"'box' changed state to [{word}]" if word else "'box' exited with status [3]" for word in words + failing]
    assert lines == said


def _descriptors(pid: int) -> list[str]:
    return [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]


def test_a_start_that_fails_says_why_and_leaves_nothing(lxc: Scene) -> None:
    lxc.define("box")
    for words, sentence in (
        (["--", "/no/such"], "exec /no/such: No such file or directory"),
        (["-s", "lxc.rootfs.path=/no/such"], "/no/such: there is no such directory"),
        (["-s", "lxc.mount.entry=/no/such tmp none bind 0 0"], "No such file or directory"),
        (["-s", "lxc.hook.start-host=echo no room >&2; exit 3; :"], "no room"),
        (["-s", "lxc.hook.mount=exit 4; :"], "lxc.hook.mount"),
        (["-s", "lxc.net.0.type=veth", "-s", "lxc.net.0.link=br-none", "-s", "lxc.net.0.flags=up"], "br-none"),
        (["-s", "lxc.sched.core=1", "-s", "lxc.namespace.keep=pid"], "needs a pid namespace of its own"),
        (["-f", "/no/such"], "/no/such"),
    ):
        done = lxc.run("start", "box", *words)
        assert done.returncode == 1, sentence
        assert sentence in done.stderr
        assert lxc.left == [], sentence
    assert "No container config specified" in lxc.run("start", "none").stderr


def test_reboot_and_halt_from_inside(lxc: Scene) -> None:
    lxc.define("box")
    first = lxc.start("box", "-p", f"{lxc.root}/pid").running
    assert (lxc.root / "pid").read_text() == str(first.monitor)
    ready = lxc.root / "box/rootfs/tmp/ready"
    ready.unlink()
    lxc.ok("stop", "-r", "box")
    until("it runs again", lambda: lxc.state("box") == "RUNNING" and ready.exists())
    second = lxc.seen("box").running
    assert second.container_id != first.container_id
    until("its pid file is new", lambda: (lxc.root / "pid").read_text() == str(second.monitor))
    lxc.ok("attach", "box", "--", "sh", "-c", "kill -USR1 1")
    lxc.gone("box")
    lxc.define("box", init="poweroff -f\n")
    lxc.ok("start", "box")
    lxc.gone("box")


def test_stopping(lxc: Scene) -> None:
    lxc.define("deaf", init=": > /tmp/ready; while :; do sleep 0.02; done\n")
    lxc.start("deaf")
    unheard = lxc.run("stop", "deaf", "-t", "1", "--nokill")
    assert (unheard.returncode, unheard.stderr) == (1, "lxc-stop: deaf: deaf did not stop in time\n")
    lxc.ok("stop", "deaf", "-t", "1")
    assert lxc.state("deaf") == "STOPPED"
    lxc.start("deaf")
    lxc.ok("freeze", "deaf")
    lxc.ok("stop", "-k", "deaf")
    lxc.define("box")
    lxc.start("box")
    lxc.ok("shutdown", "box", "-w")
    assert lxc.state("box") == "STOPPED"
    assert lxc.run("kill", "box", "9").returncode == 255
    lxc.start("box")
    before = lxc.seen("box").running.container_id
    lxc.ok("restart", "box")
    assert lxc.seen("box").running.container_id != before
    assert lxc.run("kill", "box", "NONE").returncode == 255
    lxc.ok("kill", "box", "SIGKILL")
    lxc.gone("box")
    for words in (["-k", "-r"], ["-k", "-t", "3"], ["-k", "--nokill"], ["--nolock"], ["-t", "abc"]):
        assert lxc.run("stop", "box", *words).returncode == 1


def test_in_the_foreground(lxc: Scene) -> None:
    lxc.define("box", init="echo first word; cat /proc/uptime > /dev/null; echo last word; exit 3\n")
    done = lxc.run("start", "-F", "box")
    assert (done.returncode, done.stdout, done.stderr) == (0, "first word\nlast word\n", "")
    rootfs = lxc.define("box", init="echo life; [ -e /tmp/was ] && exit 0; : > /tmp/was; reboot -f\n")
    done = lxc.run("start", "-F", "box")
    assert (done.returncode, done.stdout, done.stderr) == (0, "life\nlife\n", "")
    (rootfs / "tmp/was").unlink()
    lxc.define("box")
    process = lxc.begin("start", "-F", "box")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"  # of a text stream
    process.send_signal(signal.SIGUSR1)
    assert process.wait(PATIENCE) == 0
    assert lxc.left == []


@pytest.mark.parametrize("who", ["init", "monitor"])
def test_what_is_killed_is_stopped(lxc: Scene, who: str) -> None:
    lxc.define("box")
    running = lxc.start("box").running
    waiting = lxc.begin("wait", "box", "-s", "STOPPED")
    os.kill(running.pid if who == "init" else running.monitor, signal.SIGKILL)
    assert waiting.wait(PATIENCE) == 0
    until("init ended with its monitor", lambda: not os.path.exists(f"/proc/{running.pid}"))
    assert lxc.state("box") == "STOPPED"
    lxc.start("box")
    assert len(lxc.left) == 1
    lxc.ok("stop", "-k", "box")


def test_who_starts_it_is_killed(lxc: Scene) -> None:
    mark = lxc.root / "mark"
    lxc.define("box", f"lxc.hook.start-host = echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 1000; :\n")
    process = lxc.begin("start", "box")
    until("the hook runs", mark.exists)
    hook = os.pidfd_open(int(mark.read_text()))
    process.kill()
    process.wait()
    signal.pidfd_send_signal(hook, signal.SIGKILL)  # nobody's any more, as LXC's
    os.close(hook)
    lxc.define("box")
    until("nobody holds it", lambda: lxc.run("start", "box").returncode == 0 and lxc.state("box") == "RUNNING")
    lxc.ok("stop", "-k", "box")
    assert lxc.left == []


def test_hooks_over_a_life(lxc: Scene) -> None:
    log = lxc.root / "log"
    names = ("pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop")
    lines = [f"lxc.hook.{name} = echo $LXC_HOOK_TYPE $LXC_NAME $LXC_TARGET >> {log}; echo" for name in names]
    lines.append(f"lxc.hook.stop = readlink $LXC_NET_NS > /dev/null; ls $LXC_MNT_NS $LXC_NET_NS | wc -l >> {log}; echo")
    lxc.define("box", "\n".join(lines) + "\n")
    lxc.start("box")
    until("start-host was run", lambda: log.read_text().count("\n") == 5)
    lxc.ok("stop", "box")
    said = [f"{name} box" for name in names[:5]] + ["stop box stop", "2", "post-stop box stop"]
    assert [line.strip() for line in log.read_text().splitlines()] == said


def test_an_ephemeral_one_takes_nothing_along_that_is_not_its_own(lxc: Scene) -> None:
    rootfs = lxc.define("box", "lxc.ephemeral = 1\n")
    elsewhere = lxc.root.parent / f"{lxc.root.name}-elsewhere"
    rootfs.rename(elsewhere)
    try:
        config = lxc.root / "box/config"
        config.write_text(config.read_text().replace(str(rootfs), str(elsewhere)))
        lxc.ok("start", "box")
        lxc.ok("stop", "-k", "box")
        assert not (lxc.root / "box").exists()
        assert (elsewhere / "init").exists()
    finally:
        shutil.rmtree(elsewhere)


def test_namespaces_of_another_container_by_its_name(lxc: Scene) -> None:
    lxc.define("first")
    lxc.define("second", "lxc.namespace.share.ipc = first\nlxc.namespace.share.net = first\n")
    refused = lxc.run("start", "second")
    assert (refused.returncode, "first" in refused.stderr, "not running" in refused.stderr) == (1, True, True)
    lxc.start("first")
    lxc.start("second")
    first, second = (lxc.ok("info", name, "-pH").strip() for name in ("first", "second"))
    for kind, same in (("ipc", True), ("net", True), ("uts", False), ("pid", False)):
        assert (os.readlink(f"/proc/{first}/ns/{kind}") == os.readlink(f"/proc/{second}/ns/{kind}")) is same, kind
    lxc.ok("stop", "-k", "second")
    lxc.ok("stop", "-k", "first")
    assert lxc.left == []


def test_any_file_of_its_cgroups_can_be_written(lxc: Scene) -> None:
    """Verbatim, in order, also those that are no limits; one that the kernel refuses aborts the start, by name."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    if unified:
        given, wrong = "lxc.cgroup2.cgroup.max.depth = 5\n", "lxc.cgroup2.cgroup.max.depth = x\n"
        seen, value = "cgroup.max.depth", "5"
    else:
        given = "lxc.cgroup.cpuset.memory_migrate = 1\nlxc.cgroup.devices.deny = c 10:200 rwm\n"
        seen, value = "cpuset.memory_migrate", "1"
        wrong = "lxc.cgroup.cpuset.memory_migrate = x\n"
    lxc.define("box", given)
    lxc.start("box")
    assert lxc.ok("cgroup", "box", seen).strip() == value
    if not unified:
        made = lxc.run("attach", "box", "--", "busybox", "sh", "-c", "mknod /a c 10 201; mknod /b c 10 200; ls /a /b")
        assert made.stdout.split() == ["/a"]
    lxc.ok("stop", "-k", "box")
    lxc.define("box", wrong)
    failed = lxc.run("start", "box")
    assert failed.returncode == 1
    assert seen in failed.stderr and "Invalid argument" in failed.stderr
    assert lxc.left == []


BRIDGE = "ip link set lo up; ip link add br-test type bridge; ip address add 198.18.7.1/24 dev br-test; ip link set br-test up"


def test_interfaces_are_named_routed_and_left_down_as_asked(lxc: Scene) -> None:
    """Its host's end has the name that was asked for, at each start; a route leads to the bridge's own address, or by the
    interface alone; without flags it stays down."""
    plain = "lxc.net.{0}.type = veth\nlxc.net.{0}.link = br-test\n"
    first = "lxc.net.0.flags = up\nlxc.net.0.veth.pair = vw-named\nlxc.net.0.ipv4.address = 198.18.7.2/24 198.18.7.200\n"
    routes = "lxc.net.0.ipv4.gateway = auto\nlxc.net.0.ipv6.gateway = dev\n"
    lxc.define("box", plain.format(0) + first + routes + plain.format(1))
    tools = {name: f"{lxc.command(name)[0]} -P {lxc.root}" for name in ("start", "info", "stop")}
    inside = f"nsenter -n -t $({tools['info']} -p -H box)"
    shell = "\n".join(
        (
            f"for i in 1 2; do {tools['start']} box",
            "ip -o link show vw-named | grep -c master",
            f"{inside} ip route show default",
            f"{inside} ip -o address show eth0 | grep -o 'brd [0-9.]*'",
            f"{inside} ip -6 route show default | grep -o 'dev eth0'",
            f"{inside} ip -o link show eth1 | grep -c UP || :",
            f"{tools['stop']} -k box; done",
        )
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", "-ec", f"{BRIDGE}\n{shell}"], capture_output=True, text=True, env=lxc.env, check=False
    )
    assert done.returncode == 0, done.stderr
    lxc.define("deaf", plain.format(3) + "lxc.net.3.flags = up\nlxc.net.3.ipv6.gateway = auto\n")
    without = BRIDGE.replace("ip address add 198.18.7.1/24 dev br-test; ", "")
    deaf = subprocess.run(
        ["unshare", "-n", "sh", "-c", f"{without}\n{tools['start']} deaf"],
        capture_output=True,
        text=True,
        env=lxc.env,
        check=False,
    )
    assert (deaf.returncode, "lxc.net.3.ipv6.gateway: auto: br-test has no IPv6 address" in deaf.stderr) == (1, True)
    assert [line.strip() for line in done.stdout.splitlines()] == ["1", "default via 198.18.7.1 dev eth0", "brd 198.18.7.200", "dev eth0", "0"] * 2


def test_interfaces_come_and_go_with_their_scripts(lxc: Scene) -> None:
    log = lxc.root / "log"
    hook = lxc.root / "script"
    hook.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    hook.chmod(0o755)
    config = f"""
lxc.net.0.type = veth
lxc.net.0.link = br-test
lxc.net.0.flags = up
lxc.net.0.ipv4.address = 198.18.7.2/24
lxc.net.0.script.up = {hook}
lxc.net.0.script.down = {hook}
"""
    lxc.define("box", config)
    tools = {name: lxc.command(name)[0] for name in ("start", "info", "ls", "stop")}
    shell = "\n".join(
        (
            f"{tools['start']} -P {lxc.root} box",
            f"{tools['info']} -P {lxc.root} -i box",
            f"{tools['ls']} -P {lxc.root} -f -F NAME,IPV4",
            "busybox ping -c 1 -W 5 198.18.7.2 > /dev/null",
            f"{tools['stop']} -P {lxc.root} -k box",
            "ip -o link show type veth",
        )
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", "-ec", f"{BRIDGE}\n{shell}"], capture_output=True, text=True, env=lxc.env, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0] == "IP:             198.18.7.2"
    assert lines[2] == "box  198.18.7.2"
    assert lines[3:] == []  # it has taken its links with it
    first, second = log.read_text().splitlines()
    assert first.startswith("box net up veth br-test w-")
    assert second.startswith("box net down veth br-test w-")


def test_sharing_a_network(lxc: Scene) -> None:
    lxc.define("one")
    lxc.define("two")
    lxc.start("one")
    lxc.start("two", "--share-net", "one")
    spaces = [os.readlink(f"/proc/{lxc.seen(name).running.pid}/ns/net") for name in ("one", "two")]
    assert spaces[0] == spaces[1]
    lxc.ok("stop", "-k", "two")
    lxc.ok("stop", "-k", "one")


def test_the_monitor_is_small_and_holds_nothing_of_the_container(lxc: Scene) -> None:
    lxc.define("box", "lxc.tty.max = 4\n")
    running = lxc.start("box").running
    with open(f"/proc/{running.monitor}/smaps_rollup", encoding="ascii") as file:
        pss = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    assert pss < 1536
    with open(f"/proc/{running.monitor}/cmdline", "rb") as file:
        assert file.read().startswith(f"[lxc monitor] {lxc.root} box".encode())
    for name in ("mnt", "net", "pid", "user"):
        assert os.readlink(f"/proc/{running.monitor}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}")
    assert not [path for path in _descriptors(running.monitor) if str(lxc.root / "box") in path]
    lxc.ok("stop", "-k", "box")


def test_a_32_bit_personality(lxc: Scene) -> None:
    lxc.define("box", "lxc.arch = i686\n")
    lxc.start("box")
    assert lxc.ok("attach", "box", "--", "uname", "-m") == "i686\n"
    lxc.ok("stop", "-k", "box")


@pytest.mark.slow
def test_fifty_lives_leave_nothing(lxc: Scene) -> None:
    lxc.define("box", "lxc.tty.max = 2\nlxc.cgroup.memory.limit_in_bytes = 64M\nlxc.cgroup2.memory.max = 64M\n")
    for number in range(50):
        lxc.ok("start", "box")
        if number % 2:
            os.kill(lxc.seen("box").running.pid, signal.SIGKILL)
            until("it is gone", lambda: not lxc.left)
        else:
            lxc.ok("stop", "-k", "box")
    assert not list(states.every(lxc.site))


def test_a_group_that_does_not_go_is_the_next_starts(lxc: Scene) -> None:
    """Nothing else would know of it."""
    lxc.define("box")
    lxc.define("next")
    running = lxc.start("box").running
    path = sorted(running.groups.values())[0]
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        lxc.run("stop", "-k", "box")
        directory = f"{lxc.site.state}/{running.container_id}"
        until("its end is over", lambda: not systems.is_held(directory))
        assert os.path.isdir(path)
    finally:
        subprocess.run(["umount", path], check=True)
    assert lxc.left == [running.container_id]
    assert lxc.run("execute", "next", "--", "true").returncode == 0
    assert (os.path.exists(path), lxc.left) == (False, [])
