"""Kind `dir`: the root file system is a directory."""

from __future__ import annotations

import os

from warden.errors import BadInput, KernelRefused
from warden.lxc.home import ROOTFS, Home
from warden.lxc.storage.base import Directory, Root, Wanted, make_directory
from warden.lxc.storage.overlay import over
from warden.rootfs.duplicate import copy_tree


class DirStorage(Directory):
    name = "dir"

    def why_not(self, _directory: str) -> str:
        return ""

    def make(self, home: Home, wanted: Wanted) -> Root:
        place = wanted.directory or os.path.join(home.path, ROOTFS)
        make_directory(place)
        if os.listdir(place):
            raise BadInput(f"{place} is not empty", hint="-t none takes a directory as it is")
        return Root("dir", place)

    def clone(self, root: Root, home: Home, wanted: Wanted) -> Root:
        made = self.make(home, wanted)
        if not os.path.isdir(root.place):
            raise KernelRefused("open", root.place, 2)
        copy_tree(root.place, made.place)
        return made

    def snapshot(self, root: Root, home: Home) -> Root:
        """An overlay over it."""
        return over(root.place, home)
