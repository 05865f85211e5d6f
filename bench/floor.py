"""The floor as a subject: builds floor.c, runs it, reads its lines. Must not interpret what it measures."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.host import CONTROLLERS, NAME, Unavailable, cgroup_roots, compile_static, remove_all_cgroups
from bench.stats import Samples

FIRST_HOST_ID = 0x5100_0000  # above the ids that wardend gives to containers by default
LIVES_A_TAG = 64  # floor.c numbers its lives from 64 times the tag, so that no two runs share a name


def v2_arguments(root: Path) -> list[str]:
    """Our parent in a pure v2 tree, with the controllers that the lives need."""
    parent = root / NAME / "floor"
    parent.mkdir(parents=True, exist_ok=True)
    for group in (root, root / NAME, parent):
        (group / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    return ["-2", "-m", str(parent)]


def cgroup_arguments() -> list[str]:
    """Parents in the hierarchies where this machine has the controllers, made."""
    roots = cgroup_roots()
    if "memory" not in roots:
        if "unified" not in roots:
            raise Unavailable("no memory controller in any mounted cgroup hierarchy")
        return v2_arguments(roots["unified"])
    arguments = []
    # cpu and cpuacct are often one hierarchy under two names
    for controller in CONTROLLERS:
        parent = str(roots[controller] / NAME / "floor") if controller in roots else ""
        if parent and os.path.realpath(parent) not in arguments:
            Path(parent).mkdir(parents=True, exist_ok=True)
            arguments += ["-m" if controller == "memory" else "-g", os.path.realpath(parent)]
    return arguments


@dataclass
class Floor:
    """One variant of the floor. *network*: with a veth pair; *user*: with a user namespace and id-mapped lower."""

    directory: Path
    lower: Path
    network: bool = True
    user: bool = True
    samples: Samples = field(default_factory=Samples)

    @property
    def name(self) -> str:
        words = ["network" if self.network else "no network", "user namespace" if self.user else "no user namespace"]
        return ", ".join(words)

    def command(self, lives: int, tag: int) -> list[str]:
        extra = (["-w"] if self.network else []) + (["-u", str(FIRST_HOST_ID)] if self.user else [])
        places = ["-d", str(self.directory / "floor"), "-l", str(self.lower)]
        program = str(self.directory / "floor-program")
        return [program, "-n", str(lives), "-t", str(tag), *places, *cgroup_arguments(), *extra]

    def round(self, lives: int) -> None:
        """*lives* lives; the first of a run warms up and is not counted."""
        command = self.command(min(lives + 1, LIVES_A_TAG), next(TAGS))
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise Unavailable(done.stderr.strip() or f"floor ended with {done.returncode}")
        for line in done.stdout.splitlines()[1:]:
            create, life = (int(word) / 1e6 for word in line.split())
            self.samples.add("create_ms", create)
            self.samples.add("life_ms", life)


def _tags() -> Iterator[int]:
    """Numbers that differ between runs of this process, and mostly between processes."""
    number = os.getpid()
    while True:
        number = (number + 1) % 1024
        yield number


TAGS = _tags()


@contextlib.contextmanager
def floors(directory: Path, lower: Path, *, network: bool, user: bool) -> Iterator[list[Floor]]:
    """The asked variant first, then the other three; removes their cgroups at the end."""
    (directory / "floor").mkdir()
    compile_static("floor.c", directory / "floor-program")
    pairs = sorted(((a, b) for a in (True, False) for b in (True, False)), key=lambda pair: pair != (network, user))
    try:
        yield [Floor(directory, lower, network=a, user=b) for a, b in pairs]
    finally:
        remove_all_cgroups()
