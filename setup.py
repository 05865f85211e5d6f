"""Builds native/ into the package, as src/warden/_native/wshd, and writes the programs of bin/, which pyproject.toml lists.
Everything else of the build is there."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70.1 it was in the package wheel
    from wheel.bdist_wheel import bdist_wheel

HERE = Path(__file__).parent
BINARY = Path("warden/_native/wshd")
PROGRAMS: dict[str, str] = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["warden"]["scripts"]


def build_wshd(target: Path) -> None:
    """Compile native/ to *target*, an absolute path."""
    if not any(shutil.which(name) for name in ("musl-gcc", "cc")) or not shutil.which("make"):
        raise SystemExit("build wshd: no C compiler or no make (on Debian and Ubuntu: apt install musl-tools make)")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["make", "-s", "-C", str(HERE / "native"), f"BIN={target}", str(target)], check=True)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"build wshd: make ended with status {error.returncode}, see its messages above") from None


class BuildWithWshd(build_py):
    """build_py that compiles wshd first: into the source tree when editable, else beside the copied modules too."""

    def run(self) -> None:
        build_wshd(HERE.resolve() / "src" / BINARY)
        super().run()
        if not self.editable_mode:
            built = Path(self.build_lib) / BINARY
            built.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HERE / "src" / BINARY, built)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), str(Path(self.build_lib) / BINARY)]


class WriteScripts(Distribution().get_command_class("build_scripts")):  # type: ignore[misc]  # distutils' own
    """The programs of bin/. An installer puts its interpreter into the first line, and nothing but that."""

    def run(self) -> None:
        directory = Path(self.build_dir)
        directory.mkdir(parents=True, exist_ok=True)
        for name, main in PROGRAMS.items():
            script = directory / name
            script.write_text(f'#!python\nfrom warden.entry import run\n\nrun("{main.removesuffix(":main")}")\n')
            script.chmod(0o755)

    def get_source_files(self) -> list[str]:
        return []


class PlatformDistribution(Distribution):
    """A distribution that is made for one machine, as if it had extension modules."""

    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    """The wheel holds a program for one machine, but works with any Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    distclass=PlatformDistribution,
    cmdclass={"build_py": BuildWithWshd, "build_scripts": WriteScripts, "bdist_wheel": PlatformWheel},
    scripts=list(PROGRAMS),
)
