"""`warden cp` with a tar archive on standard input or output.

The archive is unpacked into, or packed from, a directory that only this user can enter; between there and the container
go the same copies as ever, by descriptor and as the container's vcap. So memory is bounded, and neither the archive nor
the container can name a file of the host.
"""

from __future__ import annotations

import lzma
import os
import sys
import tarfile
import zlib
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from warden.cli.untar import unpack
from warden.errors import BadInput

if TYPE_CHECKING:
    from warden.client.blocking import Container


def unpack_into(container: Container, dst: str) -> None:
    """The archive on standard input, compressed or not, into the directory *dst*. Raises BadInput for what is no archive
    or would leave the directory."""
    with TemporaryDirectory(prefix="warden-cp-") as place:
        try:
            with tarfile.open(fileobj=sys.stdin.buffer, mode="r|*") as archive:
                unpack(archive, place)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise BadInput(f"cp -: standard input: {error}", hint="a tar archive is wanted") from None
        except (BadInput, OSError) as error:
            reason = error.message if isinstance(error, BadInput) else error
            raise BadInput(f"cp -: standard input: {reason}") from None
        for name in sorted(os.listdir(place)):
            container.copy_in(os.path.join(place, name), dst.rstrip("/") + "/")


def pack_from(container: Container, src: str) -> None:
    """*src* as an archive on standard output, its entries root's. Raises BadInput at a terminal."""
    if sys.stdout.isatty():
        raise BadInput("cp: an archive is nothing for a terminal", hint="redirect standard output")
    with TemporaryDirectory(prefix="warden-cp-") as place:
        owner = None if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
        container.copy_out(src, place + "/", owner)
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
            for name in sorted(os.listdir(place)):
                archive.add(os.path.join(place, name), name, filter=_as_root)
        sys.stdout.flush()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
