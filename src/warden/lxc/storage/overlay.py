"""Kind `overlay`: LOWER[:LOWER…]:UPPER, a directory of changes over others. The work directory lies beside UPPER, as LXC
has it."""

from __future__ import annotations

import os

from warden.errors import BadInput, KernelRefused
from warden.kernel import mounts
from warden.lxc.home import Home
from warden.lxc.storage.base import Root, Wanted, make_directory, mount, occupied, rootfs_directory
from warden.rootfs.duplicate import copy_tree

_WORK = "work"
_MEMORY = "tmpfs"  # the directory of changes that lie on one, which is there only while it is mounted


class OverlayStorage:
    name = "overlay"

    def why_not(self, _directory: str) -> str:
        return "" if mounts.have_filesystem("overlay") else "this kernel has no overlay"

    def make(self, home: Home, wanted: Wanted) -> Root:
        """What a container begins with is below, its own changes are above."""
        lower = wanted.directory or rootfs_directory(home)
        make_directory(lower)
        return over(lower, home)

    def begins_in(self, root: Root) -> str:
        return split_layers(root)[0][0]

    def shows_in(self, _root: Root) -> str:
        return ""

    def mount(self, root: Root, target: str, data: str = "") -> None:
        lower, upper = split_layers(root)
        work = os.path.join(os.path.dirname(upper), _WORK)
        if os.path.basename(os.path.dirname(upper)) == _MEMORY:
            mount("none", os.path.dirname(upper), "tmpfs", 0, "mode=0755")
            make_directory(upper)
            show_root(root)
        make_directory(work)
        layers = ":".join(map(_escaped, lower))
        own = f"lowerdir={layers},upperdir={_escaped(upper)},workdir={_escaped(work)}"
        mount("overlay", target, "overlay", 0, ",".join(part for part in (own, data) if part))

    def clone(self, root: Root, home: Home, _wanted: Wanted) -> Root:
        """The same changes once more. A directory below that goes with the old container is copied, another is not."""
        lower, upper = split_layers(root)
        if lower[0].startswith(os.path.dirname(os.path.dirname(upper)) + "/"):
            own = rootfs_directory(home)
            copy_tree(lower[0], own)
            lower = (own, *lower[1:])
        return self._changed(lower, upper, home)

    def snapshot(self, root: Root, home: Home) -> Root:
        """The same changes once more, over the same directories."""
        return self._changed(*split_layers(root), home)

    def _changed(self, lower: tuple[str, ...], upper: str, home: Home) -> Root:
        made = over(":".join(lower), home)
        copy_tree(upper, split_layers(made)[1])
        return made

    def depends(self, root: Root) -> str:
        return split_layers(root)[0][0]

    def measure(self, root: Root) -> int:
        return occupied(split_layers(root)[1])

    def places(self, root: Root) -> tuple[str, ...]:
        upper = split_layers(root)[1]
        work = os.path.join(os.path.dirname(upper), _WORK)
        return (upper, work) if _is_overlays(work) else (upper,)


def _is_overlays(work: str) -> bool:
    """Whether in the directory is what overlay makes there and nothing else: its name is one that people use too."""
    try:
        return not os.path.islink(work) and set(os.listdir(work)) <= {"work", "index"}
    except OSError:
        return False


def split_layers(root: Root) -> tuple[tuple[str, ...], str]:
    """Those below, the topmost first, and the one on top. Raises BadInput."""
    *lower, upper = root.place.split(":")
    if not lower or not all(path.startswith("/") for path in (*lower, upper)):
        raise BadInput(f"lxc.rootfs.path: {root} is not an overlay", hint="overlay:LOWER:UPPER, absolute paths")
    return tuple(lower), upper


def over(lower: str, home: Home) -> Root:
    """An empty directory of changes in *home*, over *lower*."""
    for path in (f"{home.path}/overlay", f"{home.path}/overlay/delta", f"{home.path}/overlay/work"):
        make_directory(path)
    rootfs_directory(home)
    made = Root("overlay", f"{lower}:{home.path}/overlay/delta")
    show_root(made)
    return made


def over_in_memory(lower: str, home: Home) -> Root:
    """As `over`, with its changes on a tmpfs that is mounted with it."""
    make_directory(f"{home.path}/{_MEMORY}")
    rootfs_directory(home)
    return Root("overlay", f"{lower}:{home.path}/{_MEMORY}/delta")


def show_root(root: Root) -> None:
    """The directory that a container sees as its root is the upper one: it gets owner and mode of the one below."""
    lower, upper = split_layers(root)
    try:
        status = os.stat(lower[0])
        os.chown(upper, status.st_uid, status.st_gid)
        os.chmod(upper, status.st_mode & 0o7777)
    except OSError as error:
        raise KernelRefused("chown", upper, error.errno or 0) from error


def _escaped(path: str) -> str:
    """As ovl_parse_opt (fs/overlayfs/params.c) undoes it; a comma would end the option."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
