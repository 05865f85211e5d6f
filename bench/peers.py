"""Other engines, as far as they are installed: one `true` in a fresh container, as a whole process.

Owns their command lines and configuration. Each works in a directory and cgroup of ours and is never fatal: an engine
that refuses is reported with its own words.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.host import NAME, Unavailable
from bench.stats import Samples

LIMIT = 64 * 1024 * 1024
PROBE_TIMEOUT_S = 20


@dataclass
class Peer:
    """*command*(n) is the n-th run's argv. *without*: what of a container's life it leaves out.

    *undo*(n) removes a run that did not end well; *final* runs once at the end.
    """

    name: str
    command: Callable[[int], list[str]]
    without: str = ""
    undo: Callable[[int], list[str]] | None = None
    final: tuple[str, ...] = ()
    refused: str = ""
    runs: int = 0
    unfinished: set[int] = field(default_factory=set)
    samples: Samples = field(default_factory=Samples)

    def run_once(self) -> None:
        """One whole process, timed; raises Unavailable with the last line it wrote."""
        self.runs += 1
        self.unfinished.add(self.runs)
        command = self.command(self.runs)
        with self.samples.timed_ms("life_ms"):
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PROBE_TIMEOUT_S
            )
            if done.returncode:
                lines = done.stderr.decode(errors="replace").strip().splitlines()
                raise Unavailable(lines[-1][:160] if lines else f"ended with {done.returncode}")
        self.unfinished.discard(self.runs)

    def probe(self) -> None:
        """A first run, not counted; what it says when it fails is the reason."""
        try:
            self.run_once()
        except (Unavailable, OSError, subprocess.TimeoutExpired) as error:
            self.refused = f"refused: {error}"
        self.samples = Samples()

    def round(self, count: int) -> None:
        for _ in range(0 if self.refused else count):
            self.run_once()

    def clean(self) -> None:
        """Removes what interrupted or refused runs left, and what was made for all runs."""
        commands = [self.undo(number) for number in self.unfinished] if self.undo else []
        for command in [*commands, *([list(self.final)] if self.final else [])]:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(command, capture_output=True, check=False, timeout=PROBE_TIMEOUT_S)


def bubblewrap(lower: Path) -> Peer:
    mounts = ["--ro-bind", str(lower), "/", "--proc", "/proc", "--dev", "/dev"]
    command = ["bwrap", "--unshare-all", "--die-with-parent", *mounts, "/bin/true"]
    return Peer("bubblewrap", lambda _: command, without="cgroups, network, writable layer")


def oci_config(lower: Path, group: str) -> dict[str, object]:
    """The bundle's config.json: as much of the floor's work as the specification can say."""
    quiet = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/", "noNewPrivileges": True},
        "root": {"path": str(lower), "readonly": True},
        "hostname": "bench",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        ],
        "linux": {
            "cgroupsPath": group,
            "resources": {"memory": {"limit": LIMIT}},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        },
    }


def oci(name: str, directory: Path, lower: Path) -> Peer:
    """runc or crun with a bundle, state directory and cgroup of ours."""
    bundle = directory / f"{name}-bundle"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(oci_config(lower, f"/{NAME}/{name}")))
    base = [name, "--root", str(directory / f"{name}-state")]
    return Peer(
        name,
        lambda number: [*base, "run", "--bundle", str(bundle), f"w-bench-{number}"],
        without="veth pair, writable layer, user namespace",
        undo=lambda number: [*base, "delete", "--force", f"w-bench-{number}"],
    )


def lxc_config(lower: Path, mount_point: Path) -> str:
    return "\n".join(
        (
            f"lxc.rootfs.path = dir:{lower}",
            f"lxc.rootfs.mount = {mount_point}",
            "lxc.net.0.type = empty",
            "lxc.mount.auto = proc:mixed",
            "lxc.autodev = 1",
            f"lxc.cgroup.dir = {NAME}/lxc",
            f"lxc.cgroup.memory.limit_in_bytes = {LIMIT}",
            "lxc.init.cmd = /bin/true",
            "",
        )
    )


def lxc(program: str, directory: Path, lower: Path) -> Peer:
    """lxc-start in the foreground, or lxc-execute: both end with the job."""
    config = directory / f"{program}.conf"
    mount_point = directory / f"{program}-root"
    mount_point.mkdir()
    (directory / "lxc").mkdir(exist_ok=True)
    config.write_text(lxc_config(lower, mount_point))
    words = ["-P", str(directory / "lxc"), "-f", str(config)]
    rest = ["--foreground"] if program == "lxc-start" else ["--", "/bin/true"]
    return Peer(
        program,
        lambda number: [program, *words, "-n", f"w-bench-{number}", *rest],
        without="veth pair, writable layer, user namespace",
        undo=lambda number: ["lxc-stop", "-k", "-P", str(directory / "lxc"), "-n", f"w-bench-{number}"],
    )


def podman(directory: Path, lower: Path) -> Peer:
    places = ["--root", str(directory / "podman"), "--runroot", str(directory / "podman-run")]
    base = ["podman", *places, "--cgroup-manager=cgroupfs"]
    options = ["--rm", "--network=none", f"--memory={LIMIT}", f"--cgroup-parent=/{NAME}"]
    return Peer(
        "podman",
        lambda number: [*base, "run", *options, f"--name=w-bench-{number}", "--rootfs", str(lower), "/bin/true"],
        without="veth pair, writable layer, user namespace",
        undo=lambda number: [*base, "rm", "--force", f"w-bench-{number}"],
    )


def docker_refusal() -> str:
    """Why docker cannot run anything here; empty when its engine answers. Takes 5 s at most."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    lines = done.stderr.strip().splitlines()
    return f"refused: {lines[-1][:160] if lines else 'no engine'}" if done.returncode else ""


def docker(directory: Path, lower: Path) -> Peer:
    """docker needs a running engine and an image: ours is imported, and removed at the end."""
    options = ["--rm", "--network=none", f"--memory={LIMIT}"]
    peer = Peer(
        "docker",
        lambda number: ["docker", "run", *options, f"--name=w-bench-{number}", NAME, "/bin/true"],
        without="veth pair, user namespace",
        undo=lambda number: ["docker", "rm", "--force", f"w-bench-{number}"],
        refused=docker_refusal(),
    )
    if not peer.refused:
        archive = shutil.make_archive(str(directory / "docker"), "tar", lower)
        peer.final = ("docker", "rmi", "--force", NAME)
        subprocess.run(["docker", "import", archive, NAME], capture_output=True, check=False, timeout=PROBE_TIMEOUT_S)
    return peer


def bare(lower: Path) -> Peer:
    """What starting and reaping any program costs the benchmark itself."""
    command = [str(lower / "bin" / "true")]
    return Peer("no container", lambda _: command, without="any container: a plain fork and exec of true")


def installed(directory: Path, lower: Path) -> Iterator[Peer]:
    """Every engine found on PATH, and the bare program to compare with."""
    makers: dict[str, Callable[[], Peer]] = {
        "bwrap": lambda: bubblewrap(lower),
        "runc": lambda: oci("runc", directory, lower),
        "crun": lambda: oci("crun", directory, lower),
        "lxc-execute": lambda: lxc("lxc-execute", directory, lower),
        "lxc-start": lambda: lxc("lxc-start", directory, lower),
        "podman": lambda: podman(directory, lower),
        "docker": lambda: docker(directory, lower),
    }
    yield bare(lower)
    for program, make in makers.items():
        if shutil.which(program):
            try:
                yield make()
            except (OSError, subprocess.TimeoutExpired) as error:
                yield Peer(program, lambda _: [], refused=f"refused: {error}")


@contextlib.contextmanager
def peers(directory: Path, lower: Path) -> Iterator[list[Peer]]:
    """All peers, each tried once; cleans up after them."""
    made = list(installed(directory, lower))
    try:
        for peer in made:
            if not peer.refused:
                peer.probe()
        yield made
    finally:
        for peer in made:
            peer.clean()
