"""Images made from the distribution's packages: `busybox` and `debian`.

Owns the calls of apt-get, dpkg-deb, mmdebstrap and debootstrap. Uses the package sources that the machine has, and
writes only below the directories it is given, but for installing mmdebstrap where it is missing.
"""

from __future__ import annotations

import collections
import contextlib
import glob
import os
import shlex
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence

from warden.errors import ImageError
from warden.kernel.paths import remove_tree
from warden.records import dataclass, replace
from warden.rootfs.generation import Progress, Recipe, shell_in
from warden.rootfs.skeleton import make_directories, make_skeleton

_LAST_LINES = 12
_PT_INTERP = 3
_HOST_OWN = ("etc/resolv.conf", "etc/hostname", "etc/hosts", "etc/machine-id", "var/lib/dbus/machine-id")


def build_busybox(root: str, progress: Progress, given: str = "", work: str = "") -> Recipe:
    """Fill the empty directory *root* with Debian's static busybox under the names of its applets. *given*: a static
    busybox to take instead; *work*: a directory for what is in between, the one that has *root* in it."""
    if given and not is_static(given):
        raise ImageError(f"image busybox: {given} is not a static program")
    with tempfile.TemporaryDirectory(dir=work or os.path.dirname(root)) as between:
        program = given or _static_busybox(between, progress)
        make_skeleton(root, "/bin/sh")
        for directory in ("bin", "sbin", "usr/bin", "usr/sbin"):
            make_directories(os.path.join(root, directory))
        target = os.path.join(root, "bin/busybox")
        shutil.copyfile(program, target)
        os.chmod(target, 0o755)
    applets = subprocess.run([target, "--list-full"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        link = os.path.join(root, applet)
        if os.path.isdir(os.path.dirname(link)) and not os.path.lexists(link):
            os.symlink("/bin/busybox", link)
    progress(f"image busybox: {len(applets)} applets")
    return Recipe("/bin/sh")


def _static_busybox(work: str, progress: Progress) -> str:
    for installed in ("/usr/bin/busybox", "/bin/busybox"):
        if is_static(installed):
            return installed
    _run(["apt-get", "download", "busybox-static"], progress, cwd=work)
    packages = glob.glob(os.path.join(work, "*.deb"))
    if len(packages) != 1:
        raise ImageError("image busybox: apt-get brought no package busybox-static", hint="run apt-get update first")
    _run(["dpkg-deb", "-x", packages[0], os.path.join(work, "x")], progress)
    for place in ("bin/busybox", "usr/bin/busybox"):
        program = os.path.join(work, "x", place)
        if is_static(program):
            return program
    raise ImageError("image busybox: the package busybox-static contains no static busybox")


def is_static(path: str) -> bool:
    """Whether *path* is a 64-bit little-endian ELF program that asks for no interpreter (elf(5), PT_INTERP)."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
                return False
            (offset,) = struct.unpack_from("<Q", head, 32)
            size, count = struct.unpack_from("<HH", head, 54)
            file.seek(offset)
            headers = file.read(size * count)
    except OSError:
        return False
    kinds = [struct.unpack_from("<I", headers, at)[0] for at in range(0, len(headers) - 3, size)]
    return bool(kinds) and _PT_INTERP not in kinds


@dataclass(frozen=True, slots=True)
class Source:
    """A package source of the distribution; *key* is a keyring's path or empty."""

    uri: str
    suite: str
    components: tuple[str, ...]
    key: str = ""

    def line(self) -> str:
        """As one line of sources.list(5)."""
        signed = f"[signed-by={self.key}] " if self.key else ""
        return f"deb {signed}{self.uri} {self.suite} {' '.join(self.components)}"


@dataclass(frozen=True, slots=True)
class Debian:
    """What a Debian is to be. *suite*, *arch*, *mirror* "": the machine's own."""

    packages: tuple[str, ...] = ("bash", "ca-certificates")
    suite: str = ""
    arch: str = ""
    mirror: str = ""


def build_debian(root: str, progress: Progress, wanted: Debian = Debian()) -> Recipe:  # noqa: B008  frozen
    """Fill the empty directory *root* with the smallest Debian (or Ubuntu) that has bash and apt. Root's work."""
    sources = [_as_wanted(source, wanted) for source in debian_sources(_index_targets())]
    if not sources:
        raise ImageError("image debian: apt knows no sources of Debian or Ubuntu", hint="run apt-get update first")
    if wanted.suite or wanted.mirror:
        sources = sources[:1]  # its updates may be elsewhere, or not at all
    _run(_bootstrap_command(root, sources, progress, wanted), progress)
    for name in _HOST_OWN:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(root, name))
    for name in os.listdir(os.path.join(root, "dev")):
        remove_tree(os.path.join(root, "dev", name))
    os.chmod(root, 0o755)
    return Recipe(shell_in(root))


def _as_wanted(source: Source, wanted: Debian) -> Source:
    return replace(source, suite=wanted.suite or source.suite, uri=wanted.mirror or source.uri)


def _bootstrap_command(root: str, sources: Sequence[Source], progress: Progress, wanted: Debian) -> list[str]:
    """The release's own source comes first in *sources*; debootstrap knows one source only."""
    if shutil.which("mmdebstrap") is None and shutil.which("debootstrap") is None:
        _run(["apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap"], progress)
    options = ["--variant=minbase", "--include=" + ",".join(wanted.packages)]
    if wanted.arch:
        options.append(f"--arch={wanted.arch}")
    main = sources[0]
    if shutil.which("mmdebstrap") is None:
        return ["debootstrap", *options, main.suite, root, main.uri]
    lines = [source.line() for source in sources]
    return ["mmdebstrap", "--mode=root", "--format=directory", *options, main.suite, root, *lines]


def _index_targets() -> str:
    if shutil.which("apt-get") is None:
        raise ImageError("image debian: this machine has no apt-get", hint="use a directory as rootfs")
    form = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(SIGNED_BY)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def debian_sources(targets: str) -> list[Source]:
    """The sources of Debian or Ubuntu itself from apt's list of index targets, the release proper first.

    A line of *targets* is URI|RELEASE|COMPONENT|ORIGIN|SIGNED-BY; a field that apt does not know stays as it was asked
    for. The release proper has the shortest name: others are NAME-updates, NAME-security.
    """
    components: dict[tuple[str, str, str], list[str]] = {}
    for line in targets.splitlines():
        uri, suite, component, origin, key = line.split("|")
        if origin in ("Debian", "Ubuntu"):
            components.setdefault((uri, suite, key if key.startswith("/") else ""), []).append(component)
    sources = [Source(uri, suite, tuple(parts), key) for (uri, suite, key), parts in components.items()]
    return sorted(sources, key=lambda source: len(source.suite))


def _run(command: Sequence[str], progress: Progress, cwd: str | None = None) -> None:
    """Run *command*, its output line by line to *progress*. ImageError carries its last lines."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    last: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with process:
        try:
            for line in process.stdout or ():
                last.append(line.rstrip())
                progress(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise ImageError(f"{shlex.join(command)}: ended with {process.returncode}: " + "\n".join(last))
