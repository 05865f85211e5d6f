"""Options of our own templates: those after `--`."""

from __future__ import annotations

import argparse

from warden.errors import BadInput
from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn


class Options(argparse.ArgumentParser):
    """Options of a template. Wrong ones raise BadInput before anything is made; --help is for people."""

    def __init__(self, name: str, summary: str) -> None:
        super().__init__(prog=f"lxc-create -t {name} --", description=summary, allow_abbrev=False)
        self._template = name

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"template {self._template}: {message}", hint=f"lxc-create -t {self._template} -- --help")

    def read(self, args: tuple[str, ...]) -> argparse.Namespace:
        return self.parse_args(list(args))
