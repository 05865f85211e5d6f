"""The tools about a container that runs: what they say, where an attached program is, terminals, cgroups, autostart."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from lxc_scene import INIT, PATIENCE, USER_NAMESPACE, Scene, new_scene, until

pytestmark = [pytest.mark.root, pytest.mark.vm]


@pytest.fixture
def lxc() -> Iterator[Scene]:
    with new_scene() as scene:
        yield scene


def test_what_info_and_ls_say(lxc: Scene) -> None:
    lxc.define("box", "lxc.group = a\nlxc.group = b\nlxc.start.auto = 1\nlxc.cap.drop = sys_time\n")
    lxc.define("still")
    (lxc.root / "broken").mkdir()
    (lxc.root / "broken/config").write_text("lxc.nonsense = 1\n")
    assert lxc.ok("info", "still") == "Name:           still\nState:          STOPPED\n"
    running = lxc.start("box").running
    lines = lxc.ok("info", "box").splitlines()
    assert lines[:3] == ["Name:           box", "State:          RUNNING", f"PID:            {running.pid}"]
    assert any(line.startswith("Memory use:     ") and line.endswith("iB") for line in lines)
    assert lxc.ok("info", "-sH", "box") == "RUNNING\n"
    assert lxc.ok("info", "-pH", "box") == f"{running.pid}\n"
    assert lxc.ok("info", "box", "-c", "lxc.group", "-c", "lxc.tty.max") == "lxc.group = a\nb\n\nlxc.tty.max = 0\n"
    unknown = lxc.run("info", "box", "-c", "lxc.none")
    assert (unknown.returncode, unknown.stderr) == (0, "lxc.none invalid\n")
    none = lxc.run("info", "none")
    assert (none.returncode, none.stderr) == (1, "none doesn't exist\n")
    assert lxc.ok("info", "box", "-c", "lxc.autodev", "-c", "lxc.arch") == "lxc.autodev = 1\nlxc.arch =\n"
    broken = lxc.run("info", "broken")
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr.startswith("Failed to load config for broken: ")
    names = lxc.run("ls")
    assert names.stdout == "box  \nstill\n"
    assert names.stderr.startswith("Failed to load config for broken: ")
    assert lxc.ok("ls", "-1", "--active") == "box\n"
    assert lxc.ok("ls", "-1", "--filter", "^st") == "still\n"
    assert lxc.ok("ls", "-1", "st|bo") == "box\nstill\n"
    table = lxc.run("ls", "-f")
    assert table.stdout.splitlines()[0] == "NAME  STATE   AUTOSTART GROUPS IPV4 IPV6 UNPRIVILEGED "
    assert table.stdout.splitlines()[1] == "box   RUNNING 1         a, b   -    -    false        "
    assert "Failed to load config for broken" in table.stderr
    assert lxc.run("ls", "-f", "-F", "NAME", "-g", "a,b").stdout == "NAME \nbox  \n"
    assert lxc.run("ls", "-f", "-F", "NAME,NONE").stderr == "Invalid key: NONE\n"
    assert lxc.run("ls", "-F", "NAME,NONE").stdout == "box  \nstill\n"  # without -f it is no table
    assert lxc.ok("ls", "-1", "--active", "--stopped") == ""
    lxc.ok("freeze", "box")
    assert lxc.ok("ls", "-1", "--frozen") == "box\n"
    assert "State:          FROZEN" in lxc.ok("info", "box")
    lxc.ok("stop", "-k", "box")
    assert lxc.run("ls", "-P", "/no/such", "-P", "/x").returncode == 1


def test_an_attached_program_is_one_of_the_containers(lxc: Scene) -> None:
    lxc.define("box", "lxc.cap.drop = sys_time\nlxc.environment = FROM=config\nlxc.cgroup2.memory.max = 64M\n")
    running = lxc.start("box").running
    names = ("mnt", "pid", "uts", "ipc", "net", "cgroup")
    script = (
        "readlink /proc/self/ns/mnt; readlink /proc/self/ns/pid; cat /proc/self/cgroup; grep CapBnd /proc/self/status"
    )
    said = lxc.ok(
        "attach", "box", "--", "/bin/busybox", "sh", "-c", script.replace("readlink", "busybox readlink")
    ).splitlines()
    assert said[:2] == [os.readlink(f"/proc/{running.pid}/ns/{name}") for name in names[:2]]
    with open(f"/proc/{running.pid}/status", encoding="ascii") as file:
        assert next(line for line in file if line.startswith("CapBnd")).strip() == said[-1]
    assert all(line.endswith(":/") for line in said[2:-1])
    assert lxc.ok("attach", "box", "--", "env").count("FROM=config") == 1
    clear = lxc.ok("attach", "box", "--clear-env", "-v", "A=b", "--", "env").splitlines()
    assert {"A=b", "container=lxc", "FROM=config"} <= set(clear)
    assert not any(line.startswith("WARDEN_") for line in clear)
    assert lxc.ok("attach", "box", "-u", "7", "-g", "8", "--", "id").strip() == "uid=7 gid=8"
    assert lxc.ok("attach", "box", "-s", "NETWORK", "--", "true") == ""
    assert lxc.ok("attach", "box", "-R", "--", "true") == ""  # only for those who do not enter the mount namespace
    for words, code in (
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["/no"], 127),
        (["/tmp"], 126),
    ):
        assert lxc.run("attach", "box", "--", *words).returncode == code
    assert lxc.run("attach", "box", "--", "cat", given="x" * 300_000).stdout == "x" * 300_000
    lxc.ok("stop", "-k", "box")
    gone = lxc.run("attach", "box", "true")
    assert (gone.returncode, gone.stderr) == (1, "lxc-attach: box: box is not running\n")


def test_attached_to_a_user_namespace(lxc: Scene) -> None:
    rootfs = lxc.define("box", USER_NAMESPACE)
    for path in (rootfs, rootfs / "tmp"):
        os.chown(path, 805306368, 805306368)
    lxc.start("box")
    assert lxc.ok("attach", "box", "--", "sh", "-c", "id -u; echo > /tmp/mine") == "0\n"
    assert (rootfs / "tmp/mine").stat().st_uid == 805306368
    lxc.ok("stop", "-k", "box")


def conversation(argv: list[str], env: dict[str, str], talk: list[tuple[bytes, bytes]]) -> tuple[bytes, int]:
    """On a terminal: what to wait for, and what is typed then. All that was shown, and the exit code."""
    pid, master = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, env)
    shown, seen, end = b"", 0, time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            if talk and talk[0][0] in shown[seen:]:
                seen = shown.index(talk[0][0], seen) + len(talk[0][0])
                os.write(master, talk.pop(0)[1])
            if select.select([master], [], [], 0.05)[0]:
                try:
                    shown += os.read(master, 65536)
                except OSError:
                    break
        return shown, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(master)


def test_a_terminal_of_its_own_when_attached_from_one(lxc: Scene) -> None:
    lxc.define("box", "lxc.pty.max = 4\n")
    lxc.start("box")
    argv = lxc.command("attach", "box", "--", "/bin/sh")
    shown, code = conversation(argv, lxc.env, [(b"# ", b"tty; echo on$((1+1))\n"), (b"on2", b"exit 4\n")])
    assert code == 4
    assert b"can't access tty" not in shown
    assert b"/dev/pts/" in shown
    assert os.path.exists(f"/proc/{lxc.seen('box').running.pid}")
    lxc.ok("stop", "-k", "box")


def test_consoles_and_ttys(lxc: Scene) -> None:
    log = lxc.root / "console.log"
    init = INIT.replace("while :", "(while read word; do echo got $word; done < /dev/console) & "
                        "(while read word; do echo tty1 $word > /dev/tty1; done < /dev/tty1) & while :")  # fmt: skip
    lxc.define("box", "lxc.tty.max = 1\n", init=init)
    lxc.start("box", "-L", str(log))
    shown, code = conversation(
        lxc.command("console", "box", "-t", "0"), lxc.env, [(b"exit the console", b"hello\r"), (b"got hello", b"\x01q")]
    )
    assert (code, b"Connected to tty 0" in shown) == (0, True)
    shown, code = conversation(
        lxc.command("console", "box", "-e", "^b"),
        lxc.env,
        [(b"Connected to tty 1", b"there\r"), (b"tty1 there", b"\x02q")],
    )
    assert code == 0
    until("the log has it", lambda: "got hello" in log.read_text())
    assert log.read_text().startswith("ready\n")
    denied = lxc.run("console", "box", "-t", "9")
    assert denied.returncode == 1
    assert "Denied access to tty" in denied.stderr
    lxc.ok("stop", "-k", "box")


def test_much_output_without_a_reader_blocks_nobody(lxc: Scene) -> None:
    lxc.define("box", init="dd if=/dev/zero bs=4096 count=500 2>/dev/null; " + INIT)
    lxc.start("box")
    lxc.ok("stop", "box")


def test_files_of_the_cgroup(lxc: Scene) -> None:
    lxc.define("box")
    running = lxc.start("box").running
    v1 = "memory" in running.groups and os.path.exists(f"{running.groups['memory']}/memory.limit_in_bytes")
    key = "memory.limit_in_bytes" if v1 else "memory.max"
    lxc.ok("cgroup", "box", key, "67108864")
    assert lxc.ok("cgroup", "box", key) == "67108864\n\n"
    bad = lxc.run("cgroup", "box", key, "many")
    assert bad.returncode == 1
    assert f"Failed to assign 'many' value to '{key}' for 'box'" in bad.stderr
    for wrong in ("nosuch.key", "tasks", "../../tasks", "memory"):
        done = lxc.run("cgroup", "box", wrong)
        assert done.returncode == 1
        assert f"Failed to retrieve value of '{wrong}'" in done.stderr
    assert lxc.run("cgroup", "box").returncode == 1
    lxc.ok("cgroup", "box", "cpuset.cpus")
    lxc.ok("stop", "-k", "box")
    assert f"'{lxc.root}:box' is not running" in lxc.run("cgroup", "box", key).stderr


def test_freezing(lxc: Scene) -> None:
    lxc.define("box")
    lxc.start("box")
    for tool, state in (("freeze", "FROZEN"), ("freeze", "FROZEN"), ("unfreeze", "RUNNING"), ("unfreeze", "RUNNING")):
        lxc.ok(tool, "box")
        assert lxc.state("box") == state
    lxc.ok("stop", "-k", "box")
    assert lxc.run("freeze", "box").returncode == 1
    assert lxc.run("unfreeze", "box").returncode == 0


def test_waiting(lxc: Scene) -> None:
    lxc.define("box")
    assert lxc.run("wait", "box", "-s", "RUNNING", "-t", "0").returncode == 1
    assert lxc.run("wait", "box", "-s", "SLEEPING").returncode == 1
    assert lxc.run("wait", "box").returncode == 1
    assert lxc.run("wait", "none", "-s", "STOPPED").returncode == 0
    waiting = lxc.begin("wait", "box", "-s", "RUNNING|FROZEN")
    lxc.start("box")
    assert waiting.wait(PATIENCE) == 0
    waiting = lxc.begin("wait", "box", "-s", "STOPPED")
    lxc.ok("stop", "-k", "box")
    assert waiting.wait(PATIENCE) == 0


def test_processes_and_their_containers(lxc: Scene) -> None:
    lxc.define("box")
    running = lxc.start("box").running
    lines = lxc.ok("ps", "--name", "box", "--", "-eo", "pid,comm").splitlines()
    assert lines[0].split() == ["CONTAINER", "PID", "COMMAND"]
    assert ["box", str(running.pid)] in [line.split()[:2] for line in lines[1:]]
    assert all(line.startswith("box ") for line in lines[1:])
    top = lxc.begin("top", "-b", "-d", "0.2")
    assert top.stdout is not None
    header, row = top.stdout.readline().strip().split(","), top.stdout.readline().strip().split(",")
    assert (header[1], row[1], len(header)) == ("container", "box", len(row))
    top.send_signal(signal.SIGINT)
    assert top.wait(PATIENCE) == 0
    lxc.ok("stop", "-k", "box")


def test_autostart(lxc: Scene) -> None:
    for name, config in (
        ("a", "lxc.start.auto = 1\nlxc.start.order = 2\n"),
        ("b", "lxc.start.auto = 1\nlxc.start.order = 1\nlxc.start.delay = 1\n"),
        ("c", "lxc.start.auto = 1\nlxc.group = onboot\n"),
        ("d", ""),
    ):
        lxc.define(name, config)
    assert lxc.ok("autostart", "-L") == "b 1\na 0\n"
    assert lxc.ok("autostart", "-L", "-g", "onboot,") == "c 0\nb 1\na 0\n"
    assert lxc.ok("autostart", "-L", "-a") == "c 0\nb 1\na 0\n"
    assert lxc.ok("autostart", "-L", "-A") == "d 0\nb 1\na 0\n"
    lxc.ok("autostart")
    assert lxc.ok("ls", "-1", "--active") == "a\nb\n"
    assert lxc.ok("autostart", "-L") == ""
    assert lxc.ok("autostart", "-L", "-s") == "a\nb\n"
    lxc.ok("autostart", "-k", "-a")
    assert lxc.ok("ls", "-1", "--active") == ""


def test_help_of_every_tool(lxc: Scene) -> None:
    tools = (
        "attach autostart cgroup console freeze info kill ls monitor ps restart shutdown start stop top unfreeze wait"
    )
    for tool in tools.split():
        done = subprocess.run([*lxc.command(tool)[:1], "--help"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.startswith(f"Usage: lxc-{tool} ")


def test_closed_streams_are_no_others_files(lxc: Scene) -> None:
    """What a tool opens first would be standard input of whoever is started (the monitor's own program, a socket)."""
    lxc.define("box")
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *lxc.command("start", "box")]
    assert subprocess.run(closed, check=False, env=lxc.env, timeout=PATIENCE).returncode == 0
    assert lxc.ok("info", "box", "-sH") == "RUNNING\n"
    script = "exec 5>&1; for fd in 0 5; do busybox readlink /proc/self/fd/$fd >&2; done"
    words = ["sh", "-c", 'exec "$@" <&- >&-', "sh", *lxc.command("attach", "box", "--", "sh", "-c", script)]
    told = subprocess.run(words, check=False, env=lxc.env, timeout=PATIENCE, stderr=subprocess.PIPE, text=True)
    assert (told.returncode, told.stderr) == (0, "/dev/null\n/dev/null\n")
    lxc.ok("stop", "box", "-k")
