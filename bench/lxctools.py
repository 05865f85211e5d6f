"""LXC's tools, ours and the originals, as whole processes on one container with a veth pair, in turns.

Owns the container's configuration and the namespaces in which both work: a network namespace with a bridge and a sysfs of
its own, so that no link of the host is touched. `measure` starts this module again in there.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.host import NAME, Unavailable, compile_static
from bench.stats import Samples

BRIDGE, CONTAINER = "wbench0", "w-bench"
TIMEOUT_S = 60
#: Figure → the tool, options before the container's, what follows it.
LIFE: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("start_ms", "lxc-start", ("-d",), ()),
    ("info_ms", "lxc-info", (), ()),
    ("cgroup_ms", "lxc-cgroup", (), ("pids.max",)),
    ("freeze_ms", "lxc-freeze", (), ()),
    ("unfreeze_ms", "lxc-unfreeze", (), ()),
    ("attach_ms", "lxc-attach", (), ("--", "/bin/true")),
    ("stop_ms", "lxc-stop", ("-k",), ()),
    ("execute_ms", "lxc-execute", (), ("--", "/bin/true")),
)
CONFIG = """\
lxc.uts.name = {name}
lxc.rootfs.path = dir:{root}
lxc.net.0.type = veth
lxc.net.0.link = {bridge}
lxc.net.0.flags = up
lxc.net.0.ipv4.address = 10.77.0.5/24
lxc.mount.auto = proc:mixed sys:ro
lxc.autodev = 1
lxc.apparmor.profile = unconfined
lxc.init.cmd = /bin/pause
"""


def measure(directory: Path, lower: Path, rounds: int) -> dict[str, Any]:
    """Figures of "ours" and "lxc", without the latter where LXC is not installed. Raises Unavailable."""
    place, root = directory / "lxc", directory / "lxc" / CONTAINER / "rootfs"
    shutil.copytree(lower, root)
    compile_static("pause.c", root / "bin" / "pause")
    (place / CONTAINER / "config").write_text(CONFIG.format(name=CONTAINER, root=root, bridge=BRIDGE))
    import warden

    # as an installer does it; else a variable of the caller's environment may have us measure the compiler
    compileall.compile_dir(Path(warden.__file__).parent, quiet=2)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ |= {"WARDEN_LXC_STATE": str(directory / "lxc-state"), "WARDEN_LXC_CGROUP": f"{NAME}-lxc"}
    command = ["unshare", "-n", "-m", sys.executable, "-m", "bench.lxctools", str(place), str(rounds)]
    done = subprocess.run(command, env=environ | {"PYTHONPATH": os.getcwd()}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable((done.stderr.strip().splitlines() or ["no word"])[-1])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def tools() -> dict[str, Path]:
    """Directories of the tools that are there: ours beside this interpreter, LXC's anywhere else."""
    ours = Path(sys.executable).parent
    found = {"ours": ours} if (ours / "lxc-start").exists() else {}
    elsewhere = os.pathsep.join(part for part in os.get_exec_path() if Path(part) != ours)
    original = shutil.which("lxc-start", path=elsewhere)
    return found | ({"lxc": Path(original).parent} if original else {})


def own_world(keep: Path) -> None:
    """sysfs shows the links of the namespace that it was mounted in; the cgroups below it are the host's."""
    from warden.kernel.mounts import mount

    bind, recursive, private = 4096, 16384, 1 << 18
    keep.mkdir()
    mount("", "/", "", recursive | private)
    mount("/sys/fs/cgroup", str(keep), "", bind | recursive)
    mount("sysfs", "/sys", "sysfs")
    mount(str(keep), "/sys/fs/cgroup", "", bind | recursive)
    for words in (f"link add {BRIDGE} type bridge", f"link set {BRIDGE} up", "link set lo up"):
        subprocess.run(["ip", *words.split()], check=True)


def life(samples: Samples, directory: Path, container: Sequence[str]) -> None:
    """One of each; raises RuntimeError with what a tool said when it failed."""
    for figure, tool, options, rest in LIFE:
        command = [str(directory / tool), *options, *container, *rest]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        with samples.timed_ms(figure):
            done = subprocess.run(command, **quiet, timeout=TIMEOUT_S, check=False)  # type: ignore[call-overload]
            if done.returncode:  # which is no time of anything
                said = done.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
                raise RuntimeError(f"{tool}: {said[-1]}")


def inside(place: str, rounds: int) -> Mapping[str, Any]:
    """What `measure` runs in namespaces of its own."""
    own_world(Path(place, "cgroup"))
    container, found = ("-P", place, "-n", CONTAINER), tools()
    samples = {who: Samples() for who in found}
    refused: dict[str, str] = {}
    for _ in range(rounds):
        for who in found.keys() - refused.keys():
            try:
                life(samples[who], found[who], container)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                refused[who] = f"refused: {error}"
                kill = [str(found[who] / "lxc-stop"), "-k", *container]
                subprocess.run(kill, capture_output=True, timeout=TIMEOUT_S, check=False)
    words = {who: {"refused": text} for who, text in refused.items()}
    return {who: {**words.get(who, {}), **samples[who].figures()} for who in found}


if __name__ == "__main__":
    print(json.dumps(inside(sys.argv[1], int(sys.argv[2]))))
