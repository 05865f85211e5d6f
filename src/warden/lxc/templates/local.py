"""Template `local`: an archive that somebody has. Also with the metadata of LXC's own images beside it."""

from __future__ import annotations

import argparse
import os
import tarfile

from warden.errors import BadInput
from warden.lxc.templates.filling import CONFINED, Filling
from warden.lxc.templates.options import Options
from warden.rootfs.unpack import unpack

#: What configurations in archives of metadata mean by these words.
_SHARE = "/usr/share/lxc"
_MOST = 1 << 20


def options(args: tuple[str, ...]) -> argparse.Namespace:
    """Raises BadInput."""
    parser = Options("local", "A root file system from a tar archive.")
    parser.add_argument("-f", "--fstree", metavar="FILE", required=True, help="the archive: tar, also compressed")
    parser.add_argument("-m", "--metadata", metavar="FILE", default="", help="archive with a file named config in it")
    found = parser.read(args)
    for path in (found.fstree, found.metadata):
        if path and not os.path.isfile(path):
            raise BadInput(f"template local: {path} is not a file")
    return found


def fill(filling: Filling) -> str:
    given = options(filling.args)
    config = _metadata(given.metadata, filling) if given.metadata else CONFINED.format(name=filling.home.name)
    count = unpack(given.fstree, filling.root)
    filling.progress(f"template local: {count} entries of {given.fstree}")
    return config


def _metadata(path: str, filling: Filling) -> str:
    """The file `config` of the archive, its placeholders replaced."""
    try:
        with tarfile.open(path) as archive:
            member = next(item for item in archive if item.name in ("config", "./config"))
            content = archive.extractfile(member) if member.isreg() and member.size <= _MOST else None
            text = content.read().decode("utf-8", "surrogateescape") if content else ""
    except (StopIteration, tarfile.TarError, EOFError, OSError) as error:
        raise BadInput(f"{path}: has no file config in it: {error}".rstrip(": ")) from error
    for word, meaning in (
        ("LXC_TEMPLATE_CONFIG", f"{_SHARE}/config"),
        ("LXC_HOOK_DIR", f"{_SHARE}/hooks"),
        ("LXC_NAME", filling.home.name),
        ("LXC_PATH", filling.home.path),
        ("LXC_ROOTFS", filling.root),
    ):
        text = text.replace(word, meaning)
    return f"{text.rstrip()}\nlxc.uts.name = {filling.home.name}\n"
