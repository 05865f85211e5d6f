"""What the benchmark borrows from the machine: a scratch directory, cgroups of its own, static programs.

Gives all of it back. Every object is named after this process (`warden-bench-PID`, `w-bench…`); must not touch
anything of another name.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = f"warden-bench-{os.getpid()}"
CONTROLLERS = ("memory", "cpu", "cpuacct", "pids", "freezer")
MNT_DETACH = 2


class Unavailable(Exception):
    """Something cannot be measured on this machine; the text is the reason, for the report."""


def compile_static(source: str, target: Path) -> Path:
    """Builds a C file of ours with musl-gcc, else with `cc -static`; raises Unavailable."""
    musl, other = shutil.which("musl-gcc"), shutil.which("cc")
    if not musl and not other:
        raise Unavailable("no C compiler (apt-get install musl-tools gcc)")
    triple = subprocess.run([other or "cc", "-dumpmachine"], capture_output=True, text=True, check=False).stdout.strip()
    multiarch = triple.replace("-pc-", "-")
    # musl ships no kernel headers; the host's come after its own.
    headers = ["-idirafter", "/usr/include", "-idirafter", f"/usr/include/{multiarch}"] if musl else []
    flags = ["-O2", "-static", "-Wall", "-Wextra", "-Werror"]
    command = [musl or other or "cc", *flags, *headers, "-o", str(target), str(HERE / source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"compile {source}: {done.stderr.strip().splitlines()[-1]}")
    return target


def mount_points() -> Iterator[tuple[str, str, str]]:
    """(directory, type, options of the file system) of every mount in this namespace."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        yield left.split()[4].replace("\\040", " "), kind, options


def cgroup_roots() -> dict[str, Path]:
    """Mounted hierarchies: v1 ones by each controller or name, v2's under "unified"."""
    found = {}
    for place, kind, options in mount_points():
        if kind == "cgroup2":
            found["unified"] = Path(place)
        elif kind == "cgroup":
            found.update({option: Path(place) for option in options.split(",") if option != "rw"})
    return found


def kill_members(group: Path) -> None:
    """Kills, by pid, what still runs in a cgroup that this benchmark made."""
    for name in ("cgroup.procs", "tasks"):
        with contextlib.suppress(OSError):
            for pid in (group / name).read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def remove_cgroup(group: Path, *, patience_s: float = 5.0) -> None:
    """Removes a cgroup and all below it; frozen ones are thawed, members killed. Absent is fine."""
    if not group.is_dir():
        return
    for below in [path for path in group.iterdir() if path.is_dir()]:
        remove_cgroup(below, patience_s=patience_s)
    with contextlib.suppress(OSError):
        (group / "freezer.state").write_text("THAWED")
    until = time.monotonic() + patience_s
    while group.is_dir():
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > until:
                raise
            kill_members(group)
            time.sleep(0.01)


def remove_all_cgroups(name: str = NAME) -> None:
    """Removes our cgroup from every hierarchy; the freezer's first: a frozen v1 task dies only once it is thawed."""
    roots = cgroup_roots()
    for root in sorted(set(roots.values()), key=lambda root: root != roots.get("freezer")):
        try:
            remove_cgroup(root / name)
        except OSError as error:
            print(f"bench: rmdir {root / name}: {error.strerror}", file=sys.stderr)


def unmount_below(directory: Path) -> bool:
    """Detaches every mount below *directory*; True when none is left."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ours() -> list[str]:
        return [place for place, _, _ in mount_points() if Path(place).is_relative_to(directory)]

    for place in sorted(ours(), reverse=True):
        libc.umount2(place.encode(), MNT_DETACH)
    return not ours()


def remove_tree(directory: Path) -> None:
    """Removes *directory*, but never through a mount: what is mounted there may be the host's own /usr."""
    if unmount_below(directory):
        shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        print(f"bench: left behind: {directory}", file=sys.stderr)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory on a real file system (overlay's upper layers live there)."""
    base = "/var/tmp" if Path("/var/tmp").is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir=base))
    directory.chmod(0o755)  # a container's mapped root must be able to pass
    try:
        yield directory
    finally:
        remove_tree(directory)


def make_lower(directory: Path) -> Path:
    """A root file system with a static `true` and the mount points that engines want."""
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var"):
        (directory / name).mkdir(parents=True)
    compile_static("true.c", directory / "bin" / "true")
    return directory
