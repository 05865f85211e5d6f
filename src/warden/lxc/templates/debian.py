"""Template `debian`: made by mmdebstrap or debootstrap from the package sources that this machine has."""

from __future__ import annotations

import argparse
import os

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, late, pattern, suppress
from warden.lxc.templates.filling import CONFINED, Filling
from warden.lxc.templates.options import Options
from warden.rootfs.builders import Debian, build_debian
from warden.rootfs.skeleton import write_file

if TYPE_CHECKING:
    import re
else:
    re = late("re")

CONFIG = (
    CONFINED
    + """\
lxc.signal.halt = SIGRTMIN+3
lxc.tty.max = 4
"""
)
_PACKAGES = ("init", "bash", "ca-certificates", "iproute2", "ifupdown", "isc-dhcp-client")
_INTERFACES = b"auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n"
_WORD = pattern(r"[A-Za-z0-9][A-Za-z0-9.+:_~-]*")


def options(args: tuple[str, ...]) -> argparse.Namespace:
    """Raises BadInput."""
    parser = Options("debian", "A Debian from this machine's own package sources.")
    parser.add_argument("-r", "--release", default="", metavar="SUITE", help="such as bookworm; else this machine's")
    parser.add_argument("-a", "--arch", default="", help="architecture; else this machine's")
    parser.add_argument("--mirror", default="", metavar="URI", help="where packages are taken from; else as apt has it")
    parser.add_argument("--packages", default="", metavar="A,B", help="further packages")
    found = parser.read(args)
    for word in (found.release, found.arch, *filter(None, found.packages.split(","))):
        if word and not _WORD.fullmatch(word):
            raise BadInput(f"template debian: {word!r} is not a name of a release, an architecture or a package")
    if found.mirror and not re.fullmatch(r"(https?|file|copy)://?[^\s\[\]]+", found.mirror):
        raise BadInput(f"template debian: {found.mirror!r} is not the address of a mirror", hint="http://HOST/debian")
    return found


def fill(filling: Filling) -> str:
    given = options(filling.args)
    packages = tuple(dict.fromkeys((*_PACKAGES, *filter(None, given.packages.split(",")))))
    build_debian(filling.root, filling.progress, Debian(packages, given.release, given.arch, given.mirror))
    name, etc = filling.home.name, os.path.join(filling.root, "etc")
    _replace(os.path.join(etc, "hostname"), os.fsencode(f"{name}\n"))
    _replace(os.path.join(etc, "hosts"), os.fsencode(f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\tlocalhost\n"))
    _replace(os.path.join(etc, "network/interfaces"), _INTERFACES)
    _replace(os.path.join(etc, "machine-id"), b"")  # systemd draws one at its first start: machine-id(5)
    arch = f"lxc.arch = {given.arch}\n" if given.arch else ""
    return CONFIG.format(name=name) + arch


def _replace(path: str, content: bytes) -> None:
    """The tree comes from packages alone, so its directories are directories."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    write_file(path, content)
