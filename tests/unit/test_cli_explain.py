"""`warden explain --pid`: this very process, and processes that are odd. Containers are the acceptance test's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden.cli.main import main
from warden.explain.report import SECTIONS

Capture = pytest.CaptureFixture[str]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def shown(capsys: Capture, *words: str) -> str:
    assert main(["explain", *words]) == 0
    return capsys.readouterr().out


def test_this_process_is_explained(capsys: Capture) -> None:
    text = shown(capsys, "--pid", str(os.getpid()))
    for heading in ("PROCESS", "NAMESPACES", "CGROUPS", "MOUNTS", "CAPABILITIES", "SECCOMP", "ID MAPS", "NETWORK", "FIREWALL"):
        assert re.search(rf"^{heading}", text, re.MULTILINE)
    assert str(os.getpid()) in text
    assert str(os.stat("/proc/self/ns/net").st_ino) in text
    assert "\033" not in text  # colours are for terminals
    assert not CHINESE.search(text)


def test_sentences_and_headings_in_chinese(capsys: Capture) -> None:
    text = shown(capsys, "--pid", str(os.getpid()), "--lang", "zh", "--all")
    for line in text.splitlines():
        if line and not line.startswith(" "):
            assert CHINESE.search(line)
    assert "read-only" not in text


def test_sections_come_in_their_order_and_no_others(capsys: Capture) -> None:
    found = json.loads(shown(capsys, "--pid", str(os.getpid()), "--json", "--section", "ids", "--section", "process"))
    assert list(found) == ["handle", "container", "pid", "lang", "process", "ids"]


def test_json_has_a_stable_schema(capsys: Capture) -> None:
    found = json.loads(shown(capsys, "--pid", str(os.getpid()), "--json"))
    assert list(found) == ["handle", "container", "pid", "lang", *SECTIONS]
    assert (found["handle"], found["pid"], found["lang"]) == (None, os.getpid(), "en")
    (process,) = found["process"]
    assert {"pid", "role", "job", "name", "command", "state", "parent", "threads", "uids", "gids"} <= set(process)
    assert {"pids_inside", "kernel_thread", "root", "problems"} <= set(process)
    for space in found["namespaces"]:
        assert set(space) == {"kind", "inode", "host", "own", "isolates", "shared_with", "shared_names"}
    for group in found["cgroups"]:
        names = {"controllers", "version", "path", "directory", "role", "job", "reason", "processes", "files"}
        assert set(group) == names
        for file in group["files"]:
            names = {"name", "controller", "raw", "value", "lines", "unit", "unit_name", "default", "meaning", "writable"}
            assert set(file) == names | {"change", "reason"}
    assert set(found["network"]) == {"links", "routes", "other_addresses", "problems"}
    assert {"effective", "permitted", "inheritable", "bounding", "ambient", "meanings"} <= set(found["capabilities"][0])
    assert {"mode", "meaning", "filters", "no_new_privs"} <= set(found["seccomp"][0])
    assert set(found["rlimits"][0]["limits"][0]) == {"name", "soft", "hard", "unit", "meaning"}


def test_only_one_controller(capsys: Capture) -> None:
    found = json.loads(shown(capsys, "--pid", str(os.getpid()), "--json", "--section", "cgroups", "--controller", "memory"))
    names = {file["controller"] for group in found["cgroups"] for file in group["files"]}
    assert names <= {"memory", "core"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "one of the two"),
        (["box", "--pid", "1"], "one of the two"),
        (["--pid", "0"], "is no process id"),
        (["--pid", "-5"], "is no process id"),
        (["--pid", "99999999"], "there is no process 99999999"),
        (["--pid", "1", "--section", "nothing"], "--section: 'nothing' is no section"),
        (["--pid", "1", "--controller", "nothing"], "--controller: 'nothing' is no controller"),
        (["--pid", "1", "--lang", "fr"], "--lang"),
        (["--pid", "99999999999999999999999"], "there is no process"),
    ],
)
def test_bad_input_is_one_sentence(capsys: Capture, words: list[str], complaint: str) -> None:
    assert main(["explain", *words]) == 2
    streams = capsys.readouterr()
    assert (streams.out, streams.err.count("\n")) == ("", 1)
    assert complaint in streams.err


@pytest.fixture
def zombie() -> Iterator[int]:
    pid = os.fork()
    if not pid:
        os._exit(0)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    yield pid
    os.waitpid(pid, 0)


def test_a_zombie_is_shown_as_far_as_it_goes(capsys: Capture, zombie: int) -> None:
    text = shown(capsys, "--pid", str(zombie))
    assert "(zombie)" in text
    assert "not shown: " in text


def test_a_thread_of_the_kernel(capsys: Capture) -> None:
    comm = Path("/proc/2/comm")
    if not comm.exists() or comm.read_text() != "kthreadd\n" or os.geteuid() != 0:
        pytest.skip("no kernel thread can be seen here")
    assert "a thread of the kernel" in shown(capsys, "--pid", "2")


def test_process_1_is_shown_as_far_as_the_kernel_lets(capsys: Capture) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    assert "PROCESS" in shown(capsys, "--pid", "1")


def test_a_hostile_name_reaches_no_terminal(capsys: Capture) -> None:
    program = "import sys; open('/proc/self/comm', 'wb').write(b'\\x1b[2J\\xffx'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program, "\033[31m"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        text = shown(capsys, "--pid", str(child.pid), "--section", "process")
        assert "\033" not in text
        assert "\\x1b[31m" in text
        json.loads(shown(capsys, "--pid", str(child.pid), "--section", "process", "--json"))
        assert child.stdin is not None
        child.stdin.close()


def test_another_users_process_needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    # The command is imported as root, since the checkout may be closed to others.
    program = (
        "import os, sys; from warden.cli.main import main; import warden.cli.explaining, warden.explain.report; "
        f"os.setgid(65534); os.setuid(65534); sys.exit(main(['explain', '--pid', '{os.getpid()}']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 77
    assert "run it as root" in done.stderr
