"""lxc-unshare and lxc-usernsexec as whole processes."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from storage_fixtures import BIN, until

pytestmark = pytest.mark.root


def run(tool: str, *words: str, wrapped: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*wrapped, str(BIN / f"lxc-{tool}"), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def ok(tool: str, *words: str, wrapped: tuple[str, ...] = ()) -> str:
    done = run(tool, *words, wrapped=wrapped)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(tool: str, *words: str) -> str:
    done = run(tool, *words)
    assert (done.returncode, done.stdout) == (1, ""), done
    return done.stderr


# ---- usernsexec


def test_ids_are_mapped_and_the_program_is_root() -> None:
    said = ok("usernsexec", "-m", "b:0:100000:10", "-m", "b:10:0:1", "--", "sh", "-c", "id -u; id -g; id -G; cat /proc/self/uid_map; stat -c %u /")
    assert said.split() == ["0", "0", "0", "0", "100000", "10", "10", "0", "1", "10"]


def test_users_and_groups_apart_and_oneself_after_them() -> None:
    said = ok("usernsexec", "-s", "-m", "u:0:100000:5", "-m", "g:0:200000:7", "--", "sh", "-c", "cat /proc/self/uid_map /proc/self/gid_map")
    assert said.split() == ["0", "100000", "5", "5", "0", "1", "0", "200000", "7", "7", "0", "1"]


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("exit 0", 0)])
def test_the_exit_code_is_the_programs(script: str, code: int) -> None:
    assert run("usernsexec", "-m", "b:0:0:1", "--", "sh", "-c", script).returncode == code


def test_what_cannot_be_executed(tmp_path: Path) -> None:
    assert run("usernsexec", "-m", "b:0:0:1", "--", "/nosuch").returncode == 127
    assert run("usernsexec", "-m", "b:0:0:1", "--", str(tmp_path)).returncode == 126


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "x:0:0:1", "--", "id"), "is not an id map"),
        (("-m", "b:0:0", "--", "id"), "is not an id map"),
        (("-m", "b:5:0:1", "--", "id"), "0 of the namespace is not mapped"),
        (("-m", "b:0:0:5", "-m", "b:3:10:1", "--", "id"), "uid_map"),
        (("--bogus",), "unrecognized option"),
    ],
)
def test_maps_that_cannot_be(words: tuple[str, ...], said: str) -> None:
    assert said in refused("usernsexec", *words)


GRANTS = """\
mount --make-rprivate /
for file in /etc/subuid /etc/subgid; do
    [ -e $file ] || touch $file && :
    printf 'other:1:1\\nroot:300000:100\\n0:400000:10\\n' > $1/grants
    mount --bind $1/grants $file
done
shift
exec "$@"
"""


def test_what_is_granted_is_the_default(tmp_path: Path) -> None:
    if not Path("/etc/subuid").exists() or not Path("/etc/subgid").exists():
        pytest.skip("no /etc/subuid to mount over")
    wrapped = ("unshare", "-m", "sh", "-ec", GRANTS, "sh", str(tmp_path))
    assert ok("usernsexec", "--", "cat", "/proc/self/uid_map", wrapped=wrapped).split() == ["0", "300000", "100", "100", "400000", "10"]
    (tmp_path / "grants").write_text("")
    nothing = ("unshare", "-m", "sh", "-ec", GRANTS.replace("printf 'other:1:1\\nroot:300000:100\\n0:400000:10\\n'", "printf ''"), "sh", str(tmp_path))
    done = run("usernsexec", "--", "id", wrapped=nothing)
    assert done.returncode == 1 and "Failed to find subuid or subgid allocation" in done.stderr


def test_somebody_without_rights_maps_himself() -> None:
    wrapped = ("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups")
    if run("usernsexec", "--version", wrapped=wrapped).returncode:
        pytest.skip("others cannot read this checkout")
    said = ok("usernsexec", "-m", "b:0:65533:1", "--", "sh", "-c", "id -u; cat /proc/self/uid_map /proc/self/setgroups", wrapped=wrapped)
    assert said.split() == ["0", "0", "65533", "1", "deny"]
    done = run("usernsexec", "-m", "b:0:100000:10", "--", "id", wrapped=wrapped)
    assert done.returncode == 1 and "newuidmap" in done.stderr


# ---- unshare


def test_a_host_name_of_its_own() -> None:
    host = socket.gethostname()
    assert ok("unshare", "-s", "UTSNAME", "-H", "own", "--", "hostname") == "own\n"
    assert socket.gethostname() == host


def test_pid_1_and_a_proc_of_its_own() -> None:
    said = ok("unshare", "-s", "PID|MOUNT|IPC", "-M", "--", "sh", "-c", "echo $$; ls -d /proc/[0-9]*; grep -c ' /dev/shm ' /proc/self/mountinfo")
    assert said.splitlines()[:2] == ["1", "/proc/1"]
    assert Path("/proc/self/mountinfo").read_text().count(" /dev/mqueue ") <= 1


@pytest.mark.parametrize(("script", "code"), [("exit 4", 4), ("kill -TERM $$", 143)])
@pytest.mark.parametrize("spaces", ["MOUNT", "NETWORK|UTSNAME"])
def test_the_exit_code_is_the_programs_here_too(spaces: str, script: str, code: int) -> None:
    assert run("unshare", "-s", spaces, "--", "sh", "-c", script).returncode == code


def test_the_exit_code_of_pid_1() -> None:
    assert run("unshare", "-s", "PID", "--", "sh", "-c", "exit 5").returncode == 5


def test_a_user_of_its_own() -> None:
    assert ok("unshare", "-s", "USER", "-u", "1234", "--", "sh", "-c", "id -u; id -g").split() == ["1234", "1234"]
    assert ok("unshare", "-s", "user", "--", "id", "-u") == "0\n"


def test_interfaces_are_moved() -> None:
    script = 'ip link add lxcu0 type veth peer name lxcu1 && "$@"; ip -o link | grep -c lxcu'
    wrapped = ("unshare", "-n", "sh", "-c", script, "sh")
    words = ("-s", "NETWORK", "-i", "lxcu0", "-i", "lxcu1", "--", "ip", "-o", "link")
    said = run("unshare", *words, wrapped=wrapped).stdout
    assert "lxcu0" in said and "lxcu1" in said and said.splitlines()[-1] == "0"


def test_in_the_background(tmp_path: Path) -> None:
    done = tmp_path / "done"
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f"read line < {gate}; echo over > {done}"
    command = [str(BIN / "lxc-unshare"), "-s", "UTSNAME", "-d", "--", "sh", "-c", script]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    assert not done.exists()
    gate.write_text("go\n")
    finished: Callable[[], bool] = done.exists
    until(finished)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", "id"), "-s is missing"),
        (("-s", "BAD", "--", "id"), "namespace 'BAD' is unknown"),
        (("-s", "MOUNT"), "no command is given"),
        (("-s", "MOUNT", "-H", "x", "--", "id"), "--hostname needs the namespace UTSNAME"),
        (("-s", "NETWORK", "-i", "nosuch0", "--", "id"), "there is no interface 'nosuch0'"),
        (("-s", "USER", "-u", "nosuchuser", "--", "id"), "is unknown"),
    ],
)
def test_what_cannot_be_right(words: tuple[str, ...], said: str) -> None:
    assert said in refused("unshare", *words)
