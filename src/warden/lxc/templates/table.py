"""Finding a template: our own, or a program called as LXC calls its templates."""

from __future__ import annotations

import os
import subprocess

from warden.errors import BadInput, HookFailed
from warden.light import TYPE_CHECKING
from warden.lxc.templates.filling import Filling, Template

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY = "/usr/share/lxc/templates"
OWN = ("busybox", "debian", "local")


def find(name: str, args: tuple[str, ...], directory: str = DIRECTORY) -> tuple[str, Template]:
    """What to call it in the configuration, and how it is run. Raises BadInput, also for options that are wrong."""
    if name in OWN:
        return name, _own(name, args)
    path = name if name.startswith("/") else os.path.join(directory, f"lxc-{name}")
    if "/" in name and not name.startswith("/"):
        raise BadInput(f"template {name!r} is neither a name nor an absolute path")
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        hint = ", ".join((*OWN, "none")) + f", lxc-NAME in {directory}, or the path of a program"
        raise BadInput(f'Template "{name}" not found', hint=hint)
    return path, _external(path)


def _own(name: str, args: tuple[str, ...]) -> Template:
    from importlib import import_module  # only the one that is wanted

    module = import_module(f"warden.lxc.templates.{name}")
    check: Callable[[tuple[str, ...]], object] = module.options
    check(args)
    fill: Template = module.fill
    return fill


def _external(path: str) -> Template:
    def fill(filling: Filling) -> str:
        """It writes into the root, and into the configuration by itself."""
        home = filling.home
        own = [f"--path={home.path}", f"--name={home.name}", f"--rootfs={filling.root}"]
        quiet = subprocess.DEVNULL if filling.quiet else None
        try:
            done = subprocess.run([path, *own, *filling.args], stdout=quiet, stderr=quiet, check=False)
        except OSError as error:
            raise HookFailed(f"template {path}: {error.strerror}") from error
        if done.returncode:
            raise HookFailed(f"template {path}: ended with {done.returncode}")
        return ""

    return fill
