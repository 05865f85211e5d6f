"""The image `host`: the machine's own /usr, bound read-only under a clean skeleton.

Owns which of the machine's files a container may see. Copies nothing that is not readable by everybody, no keys, and
nothing that names the machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator

from warden.model.spec import Mount
from warden.rootfs.generation import Progress, Recipe, shell_in
from warden.rootfs.skeleton import make_directories, make_directory, make_skeleton, write_file

_FORMAT = "1"  # raise it when what is built here changes
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_WATCHED = (
    "/usr/bin",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/localtime",
)
_FILES = (
    "ld.so.cache",
    "ld.so.conf",
    "ssl/openssl.cnf",
    "mime.types",
    "protocols",
    "services",
    "localtime",
    "os-release",
    "debian_version",
    "inputrc",
)
_TREES = ("ld.so.conf.d", "terminfo")
_CERTIFICATES = "ssl/certs"


def stamp(machine: str = "/") -> str:
    """What changes when the machine's own files do: modification times of the few that matter."""
    parts = [_FORMAT]
    for path in _WATCHED:
        try:
            parts.append(str(os.lstat(machine + path[1:]).st_mtime_ns))
        except OSError:
            parts.append("-")
    return " ".join(parts)


def build(root: str, progress: Progress, machine: str = "/") -> Recipe:
    """Fill the empty directory *root*; *machine* is the root directory that is taken as the host's."""
    before = stamp(machine)
    shell = shell_in(machine)
    make_skeleton(root, shell)
    binds = tuple(_top_level(root, machine))
    etc = os.path.join(machine, "etc")
    for name in _FILES:
        _copy(os.path.join(etc, name), os.path.join(root, "etc", name), machine)
    for name in (*_TREES, *_java_settings(etc)):
        _copy_tree(os.path.join(etc, name), os.path.join(root, "etc", name), machine)
    _copy_links(os.path.join(etc, "alternatives"), os.path.join(root, "etc/alternatives"), machine)
    _copy_certificates(os.path.join(etc, _CERTIFICATES), os.path.join(root, "etc", _CERTIFICATES), machine)
    progress(f"image host: {len(binds)} host directories bound under a skeleton")
    return Recipe(shell, binds, before)


def _top_level(root: str, machine: str) -> Iterator[Mount]:
    """/usr as a bind; /bin and its like as the links they are, or bound too where the machine has directories."""
    yield Mount(os.path.join(machine, "usr"), "/usr")
    for name in _TOP:
        path = os.path.join(machine, name)
        if os.path.islink(path):
            os.symlink(os.readlink(path).removeprefix("/"), os.path.join(root, name))
        elif os.path.isdir(path):
            make_directory(os.path.join(root, name))
            yield Mount(path, f"/{name}")


def _in_usr(path: str, machine: str) -> bool:
    """Whether the link *path* leads below /usr, where the container sees the same."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(machine), "usr/"))


def _copy(source: str, target: str, machine: str) -> None:
    """A link into /usr as a link, a file that everybody may read as a file, anything else not at all."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.islink(source) and _in_usr(source, machine):
            make_directories(os.path.dirname(target))
            os.symlink(os.readlink(source), target)
            return
        status = os.stat(source)
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
            make_directories(os.path.dirname(target))
            with open(source, "rb") as file:
                write_file(target, file.read(), 0o755 if status.st_mode & 0o111 else 0o644)


def _copy_tree(source: str, target: str, machine: str) -> None:
    if not os.path.isdir(source) or os.path.islink(source):
        return
    for directory, _names, files in os.walk(source):
        below = os.path.normpath(os.path.join(target, os.path.relpath(directory, source)))
        make_directories(below)
        for name in files:
            _copy(os.path.join(directory, name), os.path.join(below, name), machine)


def _copy_links(source: str, target: str, machine: str) -> None:
    """The links of directory *source* that lead into /usr."""
    if not os.path.isdir(source):
        return
    make_directories(target)
    for entry in os.scandir(source):
        if entry.is_symlink() and _in_usr(entry.path, machine):
            os.symlink(os.readlink(entry.path), os.path.join(target, entry.name))


def _copy_certificates(source: str, target: str, machine: str) -> None:
    """Public authorities only: the links into /usr and the bundle; a certificate of the machine's own would name it."""
    _copy_links(source, target, machine)
    bundle = os.path.join(source, "ca-certificates.crt")
    _copy(bundle, os.path.join(target, "ca-certificates.crt"), machine)


def _java_settings(etc: str) -> list[str]:
    """Debian's Java does not start without its settings in /etc."""
    if shutil.which("java") is None:
        return []
    return [entry.name for entry in os.scandir(etc) if entry.name.startswith("java-") and entry.is_dir()]
