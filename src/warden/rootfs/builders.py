"""Images made from the distribution's packages: `busybox` and `debian`.

Owns the calls of apt-get, dpkg-deb, mmdebstrap and debootstrap. Uses the package sources that the machine has, and
writes only below the directories it is given, but for installing mmdebstrap where it is missing.
"""

from __future__ import annotations

import collections
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
from warden.rootfs.generation import Progress, Recipe, shell_in
from warden.rootfs.skeleton import make_directories, make_skeleton

_LAST_LINES = 12
_PT_INTERP = 3
_HOST_OWN = ("etc/resolv.conf", "etc/hostname", "etc/hosts", "etc/machine-id", "var/lib/dbus/machine-id")


def build_busybox(root: str, progress: Progress) -> Recipe:
    """Fill the empty directory *root* with Debian's static busybox under the names of its applets."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(root)) as work:
        program = _static_busybox(work, progress)
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


def build_debian(root: str, progress: Progress) -> Recipe:
    """Fill the empty directory *root* with the smallest Debian (or Ubuntu) that has bash and apt. Root's work."""
    sources = debian_sources(_index_targets())
    if not sources:
        raise ImageError("image debian: apt knows no sources of Debian or Ubuntu", hint="run apt-get update first")
    suite = sources[0].rsplit("]", 1)[-1].split()[-2]
    _run(_bootstrap_command(suite, root, sources, progress), progress)
    for name in _HOST_OWN:
        path = os.path.join(root, name)
        if os.path.lexists(path):
            os.unlink(path)
    for entry in os.scandir(os.path.join(root, "dev")):
        os.unlink(entry.path) if not entry.is_dir(follow_symlinks=False) else remove_tree(entry.path)
    os.chmod(root, 0o755)
    return Recipe(shell_in(root))


def _bootstrap_command(suite: str, root: str, sources: Sequence[str], progress: Progress) -> list[str]:
    if shutil.which("mmdebstrap") is None and shutil.which("debootstrap") is None:
        _run(["apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap"], progress)
    if shutil.which("mmdebstrap"):
        options = ["--mode=root", "--variant=minbase", "--include=bash,ca-certificates", "--format=directory"]
        return ["mmdebstrap", *options, suite, root, *sources]
    mirror = sources[0].rsplit("]", 1)[-1].removeprefix("deb").split()[0]
    return ["debootstrap", "--variant=minbase", "--include=bash,ca-certificates", suite, root, mirror]


def _index_targets() -> str:
    if shutil.which("apt-get") is None:
        raise ImageError(
            "image debian: this machine has no apt-get", hint="use a directory as root file system instead"
        )
    form = "$(REPO_URI)|$(CODENAME)|$(SUITE)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(SIGNED_BY)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def debian_sources(targets: str) -> list[str]:
    """One-line sources of Debian or Ubuntu itself from apt's list of index targets, the release proper first.

    A line of *targets* is URI|CODENAME|SUITE|RELEASE|COMPONENT|ORIGIN|SIGNED-BY; a field apt does not know stays as
    it was asked for. RELEASE is what the source named.
    """
    components: dict[tuple[str, str, str], list[str]] = {}
    for line in targets.splitlines():
        uri, _codename, _suite, release, component, origin, key = line.split("|")
        if origin in ("Debian", "Ubuntu"):
            signed = f"[signed-by={key}] " if key.startswith("/") else ""
            components.setdefault((release, uri, signed), []).append(component)
    ordered = sorted(components.items(), key=lambda item: len(item[0][0]))
    return [f"deb {signed}{uri} {release} {' '.join(parts)}" for (release, uri, signed), parts in ordered]


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
