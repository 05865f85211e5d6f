"""An lxcpath of a test's own, LXC's tools on it, and containers with busybox in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from warden.depot import systems
from warden.lxc import place, states
from warden.lxc.place import Site
from warden.testing import leaks

PATIENCE = 60.0
APPLETS = "sh ls cat sleep echo kill id env tty stty reboot poweroff ps mount hostname true false mkdir rm uname dd wc"
#: An init that says so when it is ready, halts by SIGPWR, reboots by SIGINT and ends with 3 by SIGUSR1.
INIT = """trap 'exit 0' PWR; trap 'reboot -f' INT; trap 'exit 3' USR1
echo ready; : > /tmp/ready; while :; do sleep 0.02; done
"""
USER_NAMESPACE = "lxc.idmap = u 0 805306368 65536\nlxc.idmap = g 0 805306368 65536\n"


def until(what: str, holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


@dataclass
class Scene:
    root: Path
    site: Site
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "WARDEN_LXC_STATE": self.site.state, "WARDEN_LXC_CGROUP": self.site.parent}

    def define(self, name: str, config: str = "", init: str = INIT) -> Path:
        """Its root file system."""
        rootfs = self.root / name / "rootfs"
        for folder in ("bin", "proc", "sys", "dev", "etc", "tmp"):
            (rootfs / folder).mkdir(parents=True, exist_ok=True)
        (rootfs / "tmp").chmod(0o777)
        program = rootfs / "bin/busybox"
        if not program.exists():
            shutil.copy(shutil.which("busybox") or "/bin/busybox", program)
            for applet in APPLETS.split():
                (rootfs / "bin" / applet).symlink_to("busybox")
        (rootfs / "init").write_text(init)
        base = f"lxc.uts.name = {name}\nlxc.rootfs.path = {rootfs}\nlxc.init.cmd = /bin/sh /init\n"
        mounts = "lxc.mount.auto = proc:mixed\nlxc.environment = PATH=/bin\n"
        (self.root / name / "config").write_text(base + mounts + config)
        return rootfs

    def command(self, tool: str, *words: str, netns: str = "") -> list[str]:
        argv = [str(Path(sys.executable).parent / f"lxc-{tool}"), "-P", str(self.root), *words]
        return ["unshare", "-n", "sh", "-ec", netns + '\nexec "$@"', "sh", *argv] if netns else argv

    def run(
        self, tool: str, *words: str, netns: str = "", given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        source = {"input": given} if given is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            self.command(tool, *words, netns=netns), check=False, capture_output=True, text=True, env=self.env,
            timeout=PATIENCE * 2, **source,
        )  # type: ignore[call-overload, no-any-return]  # fmt: skip

    def ok(self, tool: str, *words: str) -> str:
        """What a tool that must work says."""
        done = self.run(tool, *words)
        assert done.returncode == 0, (tool, words, done.stdout, done.stderr)
        assert not done.stderr, (tool, words, done.stderr)
        return done.stdout

    def begin(self, tool: str, *words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self.command(tool, *words), stdin=pipe, stdout=pipe, stderr=pipe, env=self.env, text=True
        )
        self.begun.append(process)
        return process

    def start(self, name: str, *words: str) -> states.Seen:
        """Runs, and its init has set its traps."""
        ready = self.root / name / "rootfs/tmp/ready"
        ready.unlink(missing_ok=True)
        self.ok("start", name, *words)
        until("its init is ready", ready.exists)
        return self.seen(name)

    def seen(self, name: str) -> states.Seen:
        found = states.find(self.site, str(self.root), name)
        assert found is not None
        return found

    def state(self, name: str) -> str:
        found = states.find(self.site, str(self.root), name)
        return found.state if found else "STOPPED"

    @property
    def left(self) -> list[str]:
        return systems.entries(self.site.state)

    def gone(self, name: str) -> None:
        until(f"{name} is gone", lambda: self.state(name) == "STOPPED" and not self.left)

    def close(self) -> None:
        for process in self.begun:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        for seen in list(states.every(self.site)):
            self.run("stop", "-k", seen.running.name)
        place.sweep(self.site)
        shutil.rmtree(self.root)


S = TypeVar("S", bound=Scene)


@contextmanager
def new_scene(kind: type[S] = Scene) -> Iterator[S]:  # type: ignore[assignment]
    """Everything it held is gone at the end, or the test fails."""
    root = Path(tempfile.mkdtemp(prefix="w-lxc-"))
    root.chmod(0o755)
    made = kind(root, Site(f"{root}/.state", f"w-lxl-{os.getpid()}"))
    before = leaks.look(made.site.parent, str(root))
    yield made
    made.close()
    found = leaks.leaks(before, made.site.parent, str(root))
    assert not found, f"left behind: {found}"
