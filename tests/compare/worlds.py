"""One set of tools with a lxcpath of its own: runs lines, and says what they printed, how they ended, and what is there after."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from compare.scenarios import CONFIGS, SAMPLES

PATIENCE = 25.0
BRIDGE = "cmpbr0"
CGROUP = "lxc.compare"
TOLD = ("config", "lxc_snapshots", "lxc_rdepends")
ROOTS = ("rootfs", "delta", "work", "olwork", "elsewhere")
APPLETS = "sh ls cat sleep echo kill id env tty reboot hostname true false mkdir rm uname dd grep pwd touch read ps"
INIT = """trap 'exit 0' PWR; trap 'reboot -f' INT; trap 'exit 3' USR1
: > /tmp/ready; while :; do sleep 0.05; done
"""
#: (what, with what), on standard output: what differs from run to run.
NORMAL = (
    (re.compile(r"\b(veth\w{6}|w-[0-9a-v]\S*)"), "VETH"),
    (re.compile(r"^(PID|CPU use|BlkIO use|Memory use|KMem use| [TR]X bytes| Total bytes)(: +)\S.*$", re.M), r"\1\2N"),
    (re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\d+\.\d\dMB"), "N.NNMB"),
    (re.compile(r"^\d+$", re.M), "N"),
    (re.compile(r"/dev/pts/\d+"), "/dev/pts/N"),
    (re.compile(r"^\d+,(\w+)(,\d+)+", re.M), r"N,\1,N"),
    (re.compile(r"\b00:16:3e(:[0-9a-f]{2}){3}\b"), "HWADDR"),
    (re.compile(r"(RUNNING|FROZEN )( +)\d+ *"), r"\1\2N "),
    (re.compile(r"(?<=PID) +$", re.M), " "),
    (re.compile(r"\w{3} +\d+ \d\d:\d\d"), "TIME"),
)


class Result(NamedTuple):
    """*code* None: it was ended by us. *effects*: by kind."""

    code: int | None
    stdout: str
    stderr: str
    effects: dict[str, str]


class World:
    """*folder*: of the tools; *root*: the lxcpath."""

    def __init__(self, label: str, folder: str, root: Path) -> None:
        self.label, self._folder, self.root = label, folder, root
        self._found: set[str] = set()  # cgroups of an earlier run, or of somebody else
        self._names = set(CONFIGS)  # of all containers there ever were
        self._background: dict[str, subprocess.Popen[str]] = {}
        self._env = {
            "PATH": os.environ["PATH"], "HOME": "/root", "LXC_KEPT": "yes", "TERM": "xterm",
            "WARDEN_LXC_STATE": f"{root}.state", "WARDEN_LXC_CGROUP": CGROUP,
        }  # fmt: skip

    # ---- what is there before

    def furnish(self, names: Collection[str]) -> None:
        """Raises OSError, CalledProcessError."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name in set(names) - {"configs"}:
            self._define(name, CONFIGS[name].format(bridge=BRIDGE))
        if "configs" in names:
            shutil.copytree(SAMPLES, self.root / "configs")
        self._found = {os.path.basename(path) for path in self.cgroups()}
        (self.root / "given.conf").write_text("lxc.uts.name = given\n")
        (self.root / "empty.conf").write_text("lxc.net.0.type = empty\n")
        (self.root / "comment").write_text("as it was\n")
        meta = self.root / "given/meta"
        meta.mkdir(parents=True)
        (meta / "config").write_text("lxc.include = LXC_TEMPLATE_CONFIG/common.conf\n")
        for archive, folder in (("root.tar.xz", "c1/rootfs"), ("meta.tar.xz", "given/meta")):
            subprocess.run(["tar", "-C", self.root / folder, "-cJf", self.root / archive, "."], check=True)

    def _define(self, name: str, config: str) -> None:
        rootfs = self.root / name / "rootfs"
        for folder in ("bin", "proc", "sys", "dev/pts", "etc", "tmp"):
            (rootfs / folder).mkdir(parents=True)
        (rootfs / "tmp").chmod(0o777)
        shutil.copy(shutil.which("busybox") or "/bin/busybox", rootfs / "bin/busybox")
        for applet in APPLETS.split():
            (rootfs / "bin" / applet).symlink_to("busybox")
        (rootfs / "init").write_text(INIT)
        (rootfs / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        (rootfs / "etc/group").write_text("root:x:0:\n")
        base = "" if name == "old" else f"lxc.uts.name = {name}\n"
        root, init = ("rootfs", "init_cmd") if name == "old" else ("rootfs.path", "init.cmd")
        base += f"lxc.{root} = {rootfs}\nlxc.{init} = /bin/sh /init\nlxc.mount.auto = proc:mixed\n"
        (self.root / name / "config").write_text(base + "lxc.environment = PATH=/bin\n" + config)

    # ---- lines

    def run(self, line: str) -> Result | None:
        """None for what is not compared."""
        self._names |= set(os.listdir(self.root))
        word, _, rest = line.partition(" ")
        if word == "$":
            subprocess.run(["sh", "-ec", rest.replace("{lxc}", str(self.root))], check=True)
        elif word == "ready":
            self._await_ready(rest)
        elif word == "while":
            name, _, command = rest.partition(" ")
            self._background[name] = self._begin(self._argv(command))
            time.sleep(0.4)
        elif word == "end":
            return self._end(rest)
        else:
            return self._compared(word, line, rest)
        return None

    def _compared(self, word: str, line: str, rest: str) -> Result:
        if word == "for":
            seconds, _, command = rest.partition(" ")
            return self._result(*self._finish(self._begin(self._argv(command)), float(seconds), signal.SIGINT))
        if line.startswith("on tty "):
            _, keys, command = rest.split(" ", 2)
            return self._result(
                *self._on_terminal(self._argv(command), keys.encode().decode("unicode_escape").encode())
            )
        return self._result(*self._finish(self._begin(self._argv(line)), PATIENCE, signal.SIGKILL))

    def _argv(self, line: str) -> list[str]:
        words = [word.replace("{lxc}", str(self.root)) for word in shlex.split(line.removeprefix("+ "))]
        where = [] if line.startswith("+ ") or "-P" in words else ["-P", str(self.root)]
        return [f"{self._folder}/{words[0]}", *where, *words[1:]]

    def _begin(self, argv: list[str]) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, errors="replace", env=self._env,
            start_new_session=True,
        )  # fmt: skip

    @staticmethod
    def _finish(process: subprocess.Popen[str], patience: float, number: int) -> tuple[int | None, str, str]:
        try:
            stdout, stderr = process.communicate(timeout=patience)
            return process.returncode, stdout, stderr
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        try:
            stdout, stderr = process.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()  # what it began may stand still, and holds the pipes
            process.wait()
            return None, "", ""
        return None, stdout, stderr

    def _end(self, name: str) -> Result:
        process = self._background.pop(name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
        ended = process.poll()
        if ended is None:
            process.terminate()
        stdout, stderr = process.communicate(timeout=PATIENCE)
        return self._result(ended, stdout, stderr)

    def _on_terminal(self, argv: list[str], keys: bytes) -> tuple[int | None, str, str]:
        pid, master = pty.fork()
        if pid == 0:
            os.execve(argv[0], argv, self._env)
        shown, typed, end = b"", False, time.monotonic() + 8
        while time.monotonic() < end:
            if select.select([master], [], [], 0.5)[0]:
                try:
                    shown += os.read(master, 65536)
                except OSError:
                    break
            elif not typed and (shown or time.monotonic() > end - 5):
                os.write(master, keys)
                typed = True
        end = time.monotonic() + 2
        while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < end:
            time.sleep(0.02)
        done, status = ended
        if not done:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(master)
        return (
            (os.waitstatus_to_exitcode(status) if done else None),
            shown.decode(errors="replace").replace("\r", ""),
            "",
        )

    def _await_ready(self, name: str) -> None:
        ready, end = self._ready_file(name), time.monotonic() + PATIENCE
        while not ready.exists() and time.monotonic() < end:
            time.sleep(0.01)
        ready.unlink(missing_ok=True)

    def _ready_file(self, name: str) -> Path:
        upper = self.root / name / "overlay/delta/tmp/ready"
        return upper if upper.parent.parent.exists() else self.root / name / "rootfs/tmp/ready"

    # ---- what is there after

    def _result(self, code: int | None, stdout: str, stderr: str) -> Result:
        return Result(
            code, self.normal(stdout), self.normal(stderr), {"states": self._states(), "files": self._files()}
        )

    def normal(self, text: str) -> str:
        text = text.replace(str(self.root), "LXCPATH")
        for pattern, with_what in NORMAL:
            text = pattern.sub(with_what, text)
        if "PID " in text:  # as wide as the numbers are
            text = re.sub(r" +$", " ", text, flags=re.M)
        lines = text.splitlines(keepends=True)
        return "".join(dict.fromkeys(lines)) if "time_ms" in text else text  # lxc-top says the same again and again

    def _tool(self, *words: str) -> str:
        argv = [f"{self._folder}/{words[0]}", "-P", str(self.root), *words[1:]]
        return subprocess.run(argv, capture_output=True, text=True, env=self._env, check=False, timeout=60).stdout

    def _states(self) -> str:
        frozen = self._tool("lxc-ls", "-1", "--frozen").split()
        return " ".join(
            f"{name}:FROZEN" if name in frozen else name for name in self._tool("lxc-ls", "-1", "--active").split()
        )

    def _files(self) -> str:
        return "\n".join(sorted(self._walk(self.root, "", 0)))

    def _walk(self, folder: Path, prefix: str, depth: int) -> Iterator[str]:
        for entry in os.scandir(folder):
            name = f"{prefix}{entry.name}"
            status = entry.stat(follow_symlinks=False)
            mode = f"{stat.filemode(status.st_mode)} {name}"
            if entry.is_file(follow_symlinks=False) and (
                entry.name in TOLD or (name.startswith("configs/") and not name.endswith(".backup"))
            ):
                mode += ": " + self._content(Path(entry.path))
            yield mode
            inside = entry.is_dir(follow_symlinks=False) and entry.name not in ROOTS
            if inside and depth < 4:
                yield from self._walk(Path(entry.path), f"{name}/", depth + 1)

    def _content(self, path: Path) -> str:
        """The lines that say something, in order of their keys: who wrote them has an order of his own."""
        lines = (line.strip().replace(" = ", "=") for line in path.read_text(errors="replace").splitlines())
        said = [line for line in lines if line and not line.startswith("#")]
        return self.normal("|".join(sorted(said)))

    def close(self) -> dict[str, str]:
        """Ends all that runs; what is left then, by kind."""
        for process in self._background.values():
            process.kill()
            process.communicate()
        self._background.clear()
        for name in self._tool("lxc-ls", "-1", "--active").split():
            self._tool("lxc-unfreeze", "-n", name)
            self._tool("lxc-stop", "-k", "-n", name)
        end = time.monotonic() + 3
        while (found := self._left()) != NOTHING and time.monotonic() < end:
            time.sleep(0.1)
        for path in self.cgroups():
            if os.path.basename(path) not in self._found:
                _remove_group(path)
        return found

    def _left(self) -> dict[str, str]:
        links = [name for name in os.listdir("/sys/class/net") if name not in ("lo", BRIDGE)]
        cgroups = sorted({os.path.basename(path) for path in self.cgroups()} - self._found)
        with open("/proc/self/mountinfo") as file:
            mounts = sum(f" {self.root}" in line for line in file)
        return {"cgroups": " ".join(cgroups), "links": f"{len(links)}", "mounts": f"{mounts}"}

    def cgroups(self) -> list[str]:
        """Directories of our containers in any hierarchy."""
        names = self._names = self._names | set(os.listdir(self.root))
        found = []
        for hierarchy in os.scandir("/sys/fs/cgroup"):
            for entry in os.scandir(hierarchy.path) if hierarchy.is_dir() else ():
                own = entry.name.partition(".")[2].partition(".")[2]
                if entry.name in (CGROUP, "lxc.pivot") or (entry.name.startswith("lxc.") and re.sub(r"-\d+$", "", own) in names):
                    found.append(entry.path)
        return found


def _remove_group(path: str) -> None:
    """With groups below it: LXC's tools leave such of their own. What is in use stays."""
    for folder, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


NOTHING = {"cgroups": "", "links": "0", "mounts": "0"}
