"""What the tests of storage share: an lxcpath of their own, the tools as whole processes, templates that cost nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from warden.kernel.paths import remove_tree

BIN = Path(sys.executable).parent
PATIENCE_S = 60
TEMPLATE = """\
#!/bin/sh -e
for word; do
    case "$word" in
        --rootfs=*) root=${word#--rootfs=} ;;
        --path=*) path=${word#--path=} ;;
        --name=*) name=${word#--name=} ;;
    esac
done
mkdir "$root/etc" "$root/dev"
echo "$name" > "$root/etc/hostname"
chmod 4755 "$root/etc/hostname"
printf '%s\\n' "$@" > "$root/etc/arguments"
echo "lxc.uts.name = $name" >> "$path/config"
"""


@dataclass
class Store:
    """An lxcpath, and a directory beside it."""

    root: Path
    path: Path = field(init=False)
    template: Path = field(init=False)
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.path = self.root / "lxc"
        self.path.mkdir()
        self.template = self.program("template", TEMPLATE)
        self.config = self.root / "begin.conf"
        self.config.write_text("# begin\nlxc.net.0.type = empty\n")

    def program(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    @property
    def env(self) -> dict[str, str]:
        own = {"WARDEN_LXC_STATE": str(self.root / "state"), "WARDEN_LXC_CGROUP": f"lxc.store-{os.getpid()}"}
        return {**os.environ, **own}

    def command(self, tool: str, *words: str) -> list[str]:
        path = [] if "-P" in words else ["-P", str(self.path)]
        return [str(BIN / f"lxc-{tool}"), *path, *words]

    def run(self, tool: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(tool, *words), check=False, capture_output=True, text=True, env=self.env, timeout=PATIENCE_S
        )

    def ok(self, tool: str, *words: str) -> str:
        """What it printed; it must not fail."""
        done = self.run(tool, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, tool: str, *words: str) -> str:
        """What it said; it must fail with 1."""
        done = self.run(tool, *words)
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        return done.stderr

    def create(self, name: str, *options: str) -> Path:
        """A container of the template; its directory."""
        self.ok("create", "-n", name, "-t", str(self.template), "-f", str(self.config), *options)
        return self.path / name

    def text(self, name: str) -> str:
        return (self.path / name / "config").read_text()

    def add(self, name: str, text: str) -> None:
        with (self.path / name / "config").open("a") as file:
            file.write(text)

    def value(self, name: str, key: str) -> str:
        """What a key is set to last."""
        lines = [line.partition("=") for line in self.text(name).splitlines()]
        return [value.strip() for found, _, value in lines if found.strip() == key][-1]

    def python(self, script: str, *words: str) -> int:
        """Runs *script* as the tools would be; its exit status, negative for a signal."""
        done = subprocess.run([sys.executable, "-c", script, *words], check=False, env=self.env, timeout=PATIENCE_S)
        return done.returncode


def until(condition: object) -> None:
    """Waits until *condition*, a function, is true."""
    assert callable(condition)
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@contextmanager
def new_store(root: Path) -> Iterator[Store]:
    """Afterwards no mount, and no loop device of its files, may be left."""
    store = Store(root)
    try:
        yield store
        assert str(root) not in Path("/proc/self/mountinfo").read_text()
        assert loops_below(root) == []
    finally:
        remove_tree(str(store.path))  # deep trees, nodes, what pytest cannot remove


def loops_below(root: Path) -> list[str]:
    found = []
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.startswith(str(root)):
            found.append(text)
    return found
