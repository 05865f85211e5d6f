"""lxc-execute as a whole process: what the command finds, how it ends, and that nothing is left of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import PATIENCE, USER_NAMESPACE, Scene, new_scene, until

from warden.lxc import place
from warden.lxc.place import command_socket_name

pytestmark = [pytest.mark.root, pytest.mark.vm]


class Lxc(Scene):
    """With the host's /usr in root file systems of their own."""

    def define(self, name: str, config: str = "", init: str = "") -> Path:
        rootfs = self.root / name / "rootfs"
        for folder in ("proc", "sys", "dev", "usr", "etc", "run", "tmp"):
            (rootfs / folder).mkdir(parents=True, exist_ok=True)
        for link in ("bin", "sbin", "lib", "lib64"):
            with contextlib.suppress(FileExistsError):
                (rootfs / link).symlink_to(f"usr/{link}")
        base = f"lxc.uts.name = {name}\nlxc.rootfs.path = {rootfs}\nlxc.mount.entry = /usr usr none rbind,ro 0 0\n"
        (self.root / name / "config").write_text(base + config)
        return rootfs

    def execute(self, *words: str, netns: str = "", given: str = "") -> subprocess.CompletedProcess[str]:
        return self.run("execute", *words, netns=netns, given=given)

    def sh(self, name: str, script: str, *options: str, netns: str = "") -> subprocess.CompletedProcess[str]:
        return self.execute(*options, "-n", name, "--", "/bin/sh", "-c", script, netns=netns)


@pytest.fixture
def lxc() -> Iterator[Lxc]:
    with new_scene(Lxc) as scene:
        yield scene


@pytest.mark.parametrize("ids", ["", USER_NAMESPACE], ids=["privileged", "unprivileged"])
def test_a_command_in_a_container_of_its_own(lxc: Lxc, ids: str) -> None:
    lxc.define("box", ids + "lxc.environment = A=b c\nlxc.init.cwd = /tmp\nlxc.mount.auto = sys:ro\n")
    done = lxc.sh("box", "echo $$ $(uname -n) $(pwd) $A $container $(id -u) $(ls /sys/class/net); exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "2 box /tmp b c lxc 0 lo\n", "")


def test_streams_are_the_callers_own(lxc: Lxc) -> None:
    lxc.define("box")
    done = lxc.execute("box", "--", "sh", "-c", "cat; echo said >&2", given="given\n")
    assert (done.stdout, done.stderr, done.returncode) == ("given\n", "said\n", 0)
    with open(lxc.root / "out", "wb") as file:
        script = "stat -Lc %i /proc/self/fd/1; ls /proc/self/fd | wc -l"
        subprocess.run(lxc.command("execute", "box", "--", "sh", "-c", script), stdout=file, env=lxc.env, check=True)
    inode, descriptors = (lxc.root / "out").read_text().split()
    assert int(inode) == (lxc.root / "out").stat().st_ino
    assert int(descriptors) == 4  # the last is the directory that ls reads


@pytest.mark.parametrize(
    ("words", "code"),
    [(["true"], 0), (["sh", "-c", "exit 255"], 255), (["sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "kill $$"], 143)],
)
def test_the_commands_code_is_the_tools(lxc: Lxc, words: list[str], code: int) -> None:
    lxc.define("box")
    assert lxc.execute("box", "--", *words).returncode == code


def test_what_cannot_be_started_is_said(lxc: Lxc) -> None:
    lxc.define("box")
    unknown = lxc.execute("-n", "box", "--", "/no/such", "thing")
    assert unknown.returncode == 255
    assert unknown.stderr.startswith("lxc-execute: box: exec /no/such: No such file or directory")
    for words, sentence in (
        (["box"], "no command is given, and the configuration has no lxc.execute.cmd"),
        (["none", "true"], "No container config specified"),
        (["../box", "true"], "is not a container's name"),
        (["box", "true", "-u", "x"], "--uid: 'x' is not a number"),
        (["box", "true", "-s", "lxc.tty"], "-s lxc.tty: is not KEY=VALUE"),
        (["box", "true", "-s", "lxc.rootfs.path=/no/such"], "lxc.rootfs.path: /no/such: there is no such directory"),
        (["box", "true", "-s", "lxc.seccomp.profile=/x"], "/x: cannot be read: No such file or directory"),
        (["box", "true", "-s", "lxc.sched.core=1", "-s", "lxc.namespace.keep=pid"], "lxc.sched.core: needs a pid namespace of its own"),
        (["box", "true", "--share-net", "other"], "container other: is not running"),
        (["box", "true", "-s", "lxc.mount.entry=/no/such tmp none bind 0 0"], "No such file or directory"),
    ):
        done = lxc.execute(*words)
        assert done.returncode == 1, sentence
        assert sentence in done.stderr
        assert not done.stdout


def test_options_of_the_tool(lxc: Lxc) -> None:
    lxc.define("box", "lxc.execute.cmd = sh -c 'id -u; id -g'\nlxc.init.uid = 5\n")
    assert lxc.execute("box").stdout == "5\n0\n"
    assert lxc.execute("box", "-u", "1000", "-g", "100").stdout == "1000\n100\n"
    (lxc.root / "other.conf").write_text("lxc.uts.name = elsewhere\n")
    assert lxc.execute("box", "-f", str(lxc.root / "other.conf"), "--", "uname", "-n").stdout == "elsewhere\n"
    assert lxc.execute("box", "-s", "lxc.uts.name=defined", "--", "uname", "-n").stdout == "defined\n"
    done = lxc.execute("-q", "-o", str(lxc.root / "log"), "box", "--", "/no/such")
    assert (done.returncode, done.stderr) == (255, "")
    assert " ERROR    warden - exec /no/such: No such file" in (lxc.root / "log").read_text()


def test_limits_are_in_force_for_the_command(lxc: Lxc) -> None:
    lxc.define(
        "box", "lxc.cgroup.memory.limit_in_bytes = 32M\nlxc.cgroup2.memory.max = 32M\nlxc.cgroup.pids.max = 20\n"
    )
    greedy = "import sys; data = bytearray(200 << 20); print(len(data))"
    done = lxc.execute("box", "--", "/usr/bin/python3", "-c", greedy)
    assert (done.returncode, done.stdout) == (137, "")


def test_the_kernels_own_limits(lxc: Lxc) -> None:
    lxc.define("box", "lxc.prlimit.nofile = 10:20\nlxc.proc.oom_score_adj = 10\n")
    told = lxc.sh("box", "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj")
    assert (told.returncode, told.stdout.split()) == (0, ["10", "20", "10"]), told.stderr
    for setting in ("lxc.prlimit.nofile=unlimited", "lxc.proc.none=1"):  # above fs.nr_open, and no such file
        refused = lxc.execute("box", "-s", setting, "--", "true")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert setting.partition("=")[0] in refused.stderr


def test_what_the_command_leaves_behind_ends_with_it(lxc: Lxc) -> None:
    lxc.define("box")
    done = lxc.sh("box", "sleep 1000 </dev/null >/dev/null 2>&1 & echo started")
    assert (done.returncode, done.stdout) == (0, "started\n")


def test_signals_reach_the_command(lxc: Lxc) -> None:
    lxc.define("box")
    process = lxc.begin(
        "execute", "box", "--", "sh", "-c", "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=PATIENCE)[0] == "told\n"
    assert process.returncode == 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_command_runs_undoes_the_start(lxc: Lxc, number: int) -> None:
    mark = lxc.root / "mark"
    lxc.define("box", f"lxc.hook.start-host = sleep 1000 & echo $! > {mark}.new; mv {mark}.new {mark}; wait; :\n")
    process = lxc.begin("execute", "box", "--", "echo", "ran")
    until("the hook runs", mark.exists)
    process.send_signal(number)
    assert process.stdout is not None
    assert (process.wait(PATIENCE), process.stdout.read()) == (128 + number, "")
    until("the hook's own child lives on", lambda: not os.path.exists(f"/proc/{mark.read_text().strip()}"))


def test_one_of_a_name_runs_at_a_time_and_others_can_join_it(lxc: Lxc) -> None:
    lxc.define("box")
    lxc.define("second")
    process = lxc.begin(
        "execute", "box", "--", "sh", "-c", "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; cat"
    )
    assert process.stdout is not None
    namespaces = [process.stdout.readline() for _ in range(2)]
    again = lxc.execute("box", "--", "true")
    assert (again.returncode, again.stderr.split(" (")[0]) == (1, "lxc-execute: box: container box: is running already")
    script = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc"
    by_name = lxc.sh("second", script, "--share-net", "box").stdout.splitlines(keepends=True)
    assert by_name[0] == namespaces[0]
    assert by_name[1] != namespaces[1]
    (running,) = place.running(lxc.site)
    assert lxc.sh("second", script, f"--share-ipc={running.pid}").stdout.splitlines(keepends=True)[1] == namespaces[1]
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert lxc.execute("box", "--", "true").returncode == 0


def test_a_tool_that_is_killed_leaves_what_the_next_start_sweeps_up(lxc: Lxc) -> None:
    lxc.define("box")
    process = lxc.begin("execute", "box", "--", "sh", "-c", "echo ready; sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (left,) = place.running(lxc.site)
    process.kill()
    process.wait()
    assert lxc.execute("box", "--", "true").returncode == 0
    assert not list(place.running(lxc.site))
    until("its PID 1 lives on", lambda: not os.path.exists(f"/proc/{left.pid}"))
    assert [name for name in os.listdir(lxc.site.state) if not name.startswith(".")] == []


def test_in_the_background(lxc: Lxc) -> None:
    lxc.define("box")
    mark = lxc.root / "box/rootfs/tmp/mark"
    done = lxc.execute("-d", "box", "--", "sh", "-c", "read x < /tmp/fifo; echo $x > /tmp/mark")
    assert done.returncode == 0 or "fifo" in done.stderr
    until("it went on without its caller", lambda: not list(place.running(lxc.site)))
    os.mkfifo(lxc.root / "box/rootfs/tmp/fifo")
    done = lxc.execute("-d", "box", "--", "sh", "-c", "read x < /tmp/fifo; echo $x > /tmp/mark")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list(place.running(lxc.site))) == 1
    (lxc.root / "box/rootfs/tmp/fifo").write_text("word\n")
    until("it is still there", lambda: not list(place.running(lxc.site)))
    assert mark.read_text() == "word\n"
    failed = lxc.execute("-d", "box", "--", "/no/such")
    assert failed.returncode == 1
    assert "exec /no/such: No such file or directory" in failed.stderr


def test_hooks_run_in_order_and_are_told(lxc: Lxc) -> None:
    log = lxc.root / "hooks"
    names = ("pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop")
    lines = [f"lxc.hook.{name} = echo $LXC_HOOK_TYPE $LXC_NAME $EXTRA >> {log}; echo" for name in names]
    lxc.define("box", "\n".join(lines) + "\nlxc.environment.hooks = EXTRA=more\nlxc.hook.start = /tmp/start\n")
    start = lxc.root / "box/rootfs/tmp/start"
    start.write_text("#!/bin/sh\necho $LXC_HOOK_TYPE $(ls /proc/1/root 2>/dev/null | wc -l) > /tmp/started\n")
    start.chmod(0o755)
    assert (
        lxc.sh("box", f"cat /tmp/started; wc -l < {log} 2>/dev/null; echo command").stdout.splitlines()[-1] == "command"
    )
    assert log.read_text() == "".join(f"{name} box more\n" for name in names)
    assert (lxc.root / "box/rootfs/tmp/started").read_text().startswith("start ")


def test_arguments_of_a_hook_are_never_part_of_its_line(lxc: Lxc) -> None:
    log = lxc.root / "hooks"
    hook = lxc.root / "hook"
    hook.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {log}\n')
    hook.chmod(0o755)
    name = "a $(touch x); b"
    lxc.define(name, f"lxc.hook.pre-start = {hook} own 'two words'\n")
    config = lxc.root / name / "config"
    config.write_text(config.read_text().replace(f"lxc.uts.name = {name}\n", ""))
    assert lxc.execute("-n", name, "--", "true").returncode == 0
    assert log.read_text() == f"own|two words|{name}|lxc|pre-start|"


@pytest.mark.parametrize("which", ["pre-start", "pre-mount", "mount", "start-host"])
def test_a_hook_that_fails_ends_the_start(lxc: Lxc, which: str) -> None:
    lxc.define("box", f"lxc.hook.{which} = echo no room >&2; exit 3; :\n")
    done = lxc.execute("box", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"lxc.hook.{which}" in done.stderr
    assert "no room" in done.stderr


@pytest.mark.parametrize("ids", ["", USER_NAMESPACE], ids=["privileged", "unprivileged"])
def test_system_call_filters(lxc: Lxc, ids: str) -> None:
    profile = lxc.root / "profile"
    lxc.define("box", f"{ids}lxc.seccomp.profile = {profile}\nlxc.init.uid = 1000\n")
    profile.write_text("2\ndenylist\nreject_force_umount\n[all]\nchmod errno 28\nfchmodat errno 28\nno_such_call\n")
    done = lxc.sh("box", "chmod 700 /tmp; grep Seccomp: /proc/self/status; id -u", "-s", "lxc.mount.auto=proc:rw")
    assert "No space left on device" in done.stderr
    assert done.stdout.splitlines() == ["Seccomp:\t2", "1000"]
    profile.write_text("2\ndenylist\n[x86_64]\nsync kill\n[all]\n")
    assert lxc.execute("box", "--", "sync").returncode == (128 + signal.SIGSYS if os.uname().machine == "x86_64" else 0)


BRIDGE = """
ip link set lo up; ip link add br-test type bridge; ip address add 198.18.7.1/24 dev br-test; ip link set br-test up
"""


def test_interfaces_on_a_bridge_of_the_host(lxc: Lxc) -> None:
    config = """
lxc.network.type = veth
lxc.network.link = br-test
lxc.network.flags = up
lxc.network.name = lan0
lxc.network.hwaddr = 00:16:3e:xx:xx:01
lxc.network.ipv4 = 198.18.7.2/24
lxc.network.ipv4.gateway = 198.18.7.1
lxc.network.type = macvlan
lxc.network.link = br-test
lxc.network.macvlan.mode = vepa
lxc.network.flags = up
"""
    lxc.define("box", config)
    script = "ip -json address; ip -json route; ip -json -details link show eth1; ping -c 1 -W 5 198.18.7.1 >/dev/null"
    done = lxc.sh("box", script, netns=BRIDGE)
    addresses, routes, macvlan = map(json.loads, done.stdout.splitlines())
    lan = next(link for link in addresses if link["ifname"] == "lan0")
    assert lan["address"].startswith("00:16:3e:")
    assert "198.18.7.2" in [item["local"] for item in lan["addr_info"]]
    assert routes[0]["gateway"] == "198.18.7.1"
    assert macvlan[0]["linkinfo"]["info_data"]["mode"] == "vepa"


def test_no_link_on_the_host_is_an_error(lxc: Lxc) -> None:
    lxc.define("box", "lxc.net.0.type = veth\nlxc.net.0.link = br-none\nlxc.net.0.flags = up\n")
    done = lxc.execute("box", "--", "true")
    assert done.returncode == 1
    assert "the host has no link br-none" in done.stderr


def test_the_command_socket_is_lxcs() -> None:
    assert command_socket_name("/var/lib/lxc", "a") == b"\0/var/lib/lxc/a/command"
    long = command_socket_name("/var/lib/lxc", "a" * 100)
    assert long.startswith(b"\0lxc/")
    assert long.endswith(b"/command")
    assert len(long) == len("xlxc//command") + 16


def test_repeated_starts_leave_nothing(lxc: Lxc) -> None:
    lxc.define("box", USER_NAMESPACE)
    for _ in range(8):
        assert lxc.execute("box", "--", "true").returncode == 0
    assert [name for name in os.listdir(lxc.site.state) if not name.startswith(".")] == []


def test_what_the_host_refuses_and_what_cannot_be_read_is_a_sentence(lxc: Lxc) -> None:
    lxc.define("box", 'lxc.execute.cmd = sh -c "unbalanced\n')
    done = lxc.execute("box")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "lxc.execute.cmd" in done.stderr
    command = ["env", "WARDEN_LXC_STATE=/proc/nothing", *lxc.command("execute", "box", "--", "true")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=lxc.env)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "/proc/nothing" in done.stderr


@pytest.mark.parametrize("source", ["out", "out/below", "ROOT/out", "OTHER/out"])
def test_no_source_in_the_root_leads_out_of_it(lxc: Lxc, source: str) -> None:
    """Its owner may have made it a link; whoever wrote the configuration meant what is inside, by whatever name."""
    rootfs, outside = lxc.root / "box/rootfs", lxc.root / "outside"
    (outside / "below").mkdir(parents=True)
    (lxc.root / "other").symlink_to("box/rootfs")
    words = "bind,relative" if source.startswith("out") else "bind"
    source = source.replace("ROOT", str(rootfs)).replace("OTHER", str(lxc.root / "other"))
    lxc.define("box", f"lxc.mount.entry = {source} m none {words},create=dir 0 0\n")
    (rootfs / "out").symlink_to(outside)
    done = lxc.sh("box", "true")
    assert done.returncode == 1 and "a symbolic link is in its way" in done.stderr
    (rootfs / "out").unlink()
    (rootfs / "out/below").mkdir(parents=True)
    (rootfs / "out/below/own").touch()
    assert lxc.sh("box", "ls -R /m").stdout.split()[-1] == "own"


def test_a_source_in_the_root_that_is_exchanged_all_the_time_leads_nowhere_else(lxc: Lxc) -> None:
    """renameat2(2) puts a link and a directory in each other's place, over and over, while containers start."""
    rootfs, secret = lxc.root / "box/rootfs", lxc.root / "secret"
    secret.mkdir()
    (secret / "hosts").touch()
    lxc.define("box", f"lxc.mount.entry = {rootfs}/a/b m none bind,create=dir 0 0\n")
    (rootfs / "a/b").mkdir(parents=True)
    (rootfs / "a/b/own").touch()
    (rootfs / "a/c").symlink_to(secret)
    script = (
        "import ctypes, sys\nlibc = ctypes.CDLL(None)\na, b = (word.encode() for word in sys.argv[1:])\n"
        "while True: libc.renameat2(-100, a, -100, b, 2)\n"  # RENAME_EXCHANGE
    )
    argv = [sys.executable, "-c", script, str(rootfs / "a/b"), str(rootfs / "a/c")]
    exchanging = subprocess.Popen(argv, text=True)
    lxc.begun.append(exchanging)
    found = []
    for _ in range(30):
        done = lxc.sh("box", "ls /m")
        found.append(done.stdout.strip() if done.returncode == 0 else "refused")
        assert done.returncode == 0 or "a symbolic link is in its way" in done.stderr, done.stderr
    assert exchanging.poll() is None
    assert set(found) <= {"own", "refused"}


def test_a_relative_source_is_what_the_container_sees_there(lxc: Lxc) -> None:
    """Its own null device lies in a /dev that was made for it a moment before."""
    lxc.define("box", "lxc.mount.auto = proc:mixed\nlxc.mount.entry = dev/null proc/uptime none bind,relative 0 0\n")
    done = lxc.sh("box", "stat -c %F,%t,%T /proc/uptime")
    assert done.stdout == "character special file,1,3\n", done.stderr
