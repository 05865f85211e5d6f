"""`lxc-create`: a new container."""

from __future__ import annotations

import os
import sys

from warden.lxc.creating import Creation, create
from warden.lxc.home import home_of
from warden.lxc.options import Given, Option, Tool
from warden.lxc.storage.base import Wanted, parse_size
from warden.lxc.system import default_lxcpath, items
from warden.lxc.tools.speaking import guarded

TOOL = Tool(
    "lxc-create",
    "--name=NAME --template=TEMPLATE [OPTION...] [-- template-options]",
    "lxc-create creates a container",
    (
        Option("f", "config", "CONFIG", "Initial configuration file"),
        Option("t", "template", "TEMPLATE", "busybox, debian, local, none, or a program: lxc-TEMPLATE, or its path"),
        Option(
            "B", "bdev", "BDEV", "Kind of storage: dir, overlay, loop, btrfs, best; the first of several that works"
        ),
        Option("", "dir", "DIR", "Place rootfs directory under DIR"),
        Option("", "fstype", "TYPE", "File system of loop: ext4, ext3, ext2, xfs, btrfs\n(Default: ext4)"),
        Option("", "fssize", "SIZE[U]", "Size of loop, U one of bBkKmMgGtT\n(Default: 1G, default unit: M)"),
        *(
            Option("", name, "NAME", "For lvm, zfs and rbd, which are not there")
            for name in ("lvname", "vgname", "thinpool", "zfsroot", "rbdname", "rbdpool")
        ),
    ),
    config=False,
    end="What follows -- is for the template: lxc-create -n NAME -t TEMPLATE -- --help",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    if not given.last("template"):
        TOOL.fail('A template must be specified; use "none" for a container without a root file system')
    return guarded(TOOL, given, lambda: create(_creation(given)))


def _creation(given: Given) -> Creation:
    config = given.last("config") or _default_config()
    size = parse_size(given.last("fssize")) if given.has("fssize") else 0
    backing = given.last("bdev") or ("loop" if size or given.has("fstype") else "")
    return Creation(
        home_of(given.lxcpath or default_lxcpath(), given.name),
        given.last("template"),
        "" if config == "/dev/null" else config,
        backing,
        Wanted(_directory(given), given.last("fstype", "ext4"), size),
        given.rest,
        given.has("quiet"),
    )


def _directory(given: Given) -> str:
    path = given.last("dir")
    return os.path.abspath(path) if path else ""


def _default_config() -> str:
    """That of lxc.conf, where there is one."""
    path = items()["lxc.default_config"] or ""
    return path if os.path.exists(path) else ""


if __name__ == "__main__":
    sys.exit(main())
