"""Many of LXC's tools on one container at the same time: right sentences, one winner where there can be one, nothing half."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import Scene, new_scene, until

from warden.lxc.home import Home
from warden.lxc.stopping import not_running

pytestmark = [pytest.mark.root]
MANY = 100
#: Forks as many processes, lets them go at once, and each is a tool: its exit code and what it said, by its number.
TOGETHER = """
import importlib, os, sys
folder, many, tool, *words = sys.argv[1:]
main = importlib.import_module(f"warden.lxc.tools.{tool}").main
gate = os.pipe()
children = []
for number in range(int(many)):
    if (pid := os.fork()) == 0:
        os.close(gate[1])
        said = os.open(f"{folder}/{number}", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1), os.dup2(said, 2)
        os.read(gate[0], 1)
        try:
            code = main([word.replace("%", str(number)) for word in words])
        except SystemExit as end:
            code = end.code
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    children.append(pid)
os.close(gate[1])
print(*(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))
"""


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as made:
        yield made


def together(scene: Scene, tmp_path: Path, tool: str, *words: str, many: int = MANY) -> list[tuple[int, str]]:
    folder = tmp_path / tool
    folder.mkdir()
    argv = [sys.executable, "-c", TOGETHER, str(folder), str(many), tool, "-P", str(scene.root), *words]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env=scene.env)
    codes = [int(word) for word in done.stdout.split()]
    return [(code, (folder / str(number)).read_text()) for number, code in enumerate(codes)]


def whole(scene: Scene, name: str) -> bool:
    home = Home(str(scene.root), name)
    return home.is_defined and home.is_settled and (scene.root / name / "rootfs/init").is_file()


def test_a_hundred_copies_at_once(scene: Scene, tmp_path: Path) -> None:
    scene.define("base")
    found = together(scene, tmp_path, "copy", "base", "-N", "c%", "-s")
    assert found == [(0, "")] * MANY
    assert all(Home(str(scene.root), f"c{n}").is_settled for n in range(MANY))
    assert len((scene.root / "base/lxc_snapshots").read_text().splitlines()) == 2 * MANY
    scene.ok("start", "c7")
    assert scene.run("destroy", "base").stderr.startswith("lxc-destroy: base: base has clones")


def test_a_hundred_copies_of_one_name(scene: Scene, tmp_path: Path) -> None:
    scene.define("base")
    found = together(scene, tmp_path, "copy", "base", "-N", "one")
    assert sorted(code for code, _ in found) == [0] + [1] * (MANY - 1)
    for code, said in found:
        taken = "Container already exists" in said or "being made" in said or "exists already" in said
        assert taken or code == 0, said
    assert whole(scene, "one")


def test_snapshots_and_copies_at_once(scene: Scene, tmp_path: Path) -> None:
    scene.define("base")
    copying = scene.begin("copy", "base", "-N", "copy")
    found = together(scene, tmp_path, "snapshot", "base", many=10)
    assert found == [(0, "")] * 10
    assert copying.wait() == 0
    assert whole(scene, "copy")
    listed = [line.split()[0] for line in scene.ok("snapshot", "base", "-L").splitlines()]
    assert listed == [f"snap{n}" for n in range(10)]


def test_a_hundred_starts_at_once(scene: Scene, tmp_path: Path) -> None:
    scene.define("c1")
    found = together(scene, tmp_path, "start", "c1")
    assert [code for code, _ in found] == [0] * MANY
    assert sum(1 for _, said in found if not said) == 1
    assert all("Container is already running" in said for _, said in found if said)
    assert len(scene.left) == 1
    until("it runs", lambda: scene.state("c1") == "RUNNING")


def test_who_copies_is_named_and_lets_others_copy(scene: Scene) -> None:
    scene.define("base")
    home = Home(str(scene.root), "base")
    script = (
        "import sys; from warden.lxc.home import Home; from warden.lxc.stopping import not_running\n"
        "home = Home(*sys.argv[1:])\n"
        "with home.locked(shared=True), not_running(home, shared=True): print(flush=True); sys.stdin.read()\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, home.lxcpath, home.name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=scene.env, text=True,
    )  # fmt: skip
    scene.begun.append(reader)
    assert reader.stdout is not None and reader.stdin is not None
    reader.stdout.readline()
    for tool in ("start", "destroy"):
        done = scene.run(tool, "base")
        assert done.returncode == 1 and f"(process {reader.pid})" in done.stderr, done.stderr
    scene.ok("copy", "base", "-N", "copy")
    scene.ok("snapshot", "base")
    reader.stdin.close()
    reader.wait()
    scene.start("base")
    for words in (["copy", "base", "-N", "late"], ["snapshot", "base"], ["destroy", "base"]):
        done = scene.run(*words)
        assert done.returncode == 1 and "base is running" in done.stderr
    assert not (scene.root / "late").exists()


def test_starting_and_destroying_at_once(scene: Scene) -> None:
    """One of them wins; the other says why it could not."""
    for number in range(12):
        name = f"d{number}"
        scene.define(name)
        tools = [scene.begin("start", name), scene.begin("destroy", name)]
        for tool in tools:
            tool.wait()
        said = [tool.stderr.read() for tool in tools if tool.stderr is not None]
        if (scene.root / name).exists():
            assert tools[0].returncode == 0 and tools[1].returncode == 1, said
            assert "is running" in said[1] or "in use by lxc-start" in said[1], said
            assert whole(scene, name) and scene.state(name) == "RUNNING"
            scene.ok("stop", "-k", name)
        else:
            assert tools[1].returncode == 0, said
            assert tools[0].returncode == 1 and said[0], said
    until("nothing is left", lambda: not scene.left)


def test_copies_while_it_is_started_and_stopped(scene: Scene, tmp_path: Path) -> None:
    """Whole, or refused with the reason; what is copied never runs meanwhile."""
    scene.define("base", init="sleep 1000\n")
    copies = [scene.begin("copy", "base", "-N", f"c{number}") for number in range(10)]
    for _ in range(5):
        scene.run("start", "base")
        scene.run("stop", "-k", "base")
    for number, copy in enumerate(copies):
        assert copy.stderr is not None
        said = copy.stderr.read()
        if copy.wait() == 0:
            assert whole(scene, f"c{number}")
        else:
            assert "base is running" in said or "in use by" in said, said
            assert not (scene.root / f"c{number}").exists()


def test_a_lock_of_a_killed_tool_is_nobodys(scene: Scene) -> None:
    scene.define("base")
    home = Home(str(scene.root), "base")
    pid = os.fork()
    if pid == 0:
        home.lock()
        not_running(home).__enter__()
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    scene.start("base")
