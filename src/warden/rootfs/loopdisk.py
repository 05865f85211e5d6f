"""Limits by a file system's own size: each layer is an ext4 in a sparse file, mounted through a loop device.

Needs nothing of the host's file system and only mkfs.ext4, once: every layer is a copy of one template, 300 KiB. Blocking.

The file system is made large and limited from inside. *Bytes*: ext4 keeps a reserve free that even root may not use, and
its size can be written at any time (kernel/ext4.py). *Inodes*: it has no such reserve, so what a container may not use
is taken by empty files beside its layer, 8 µs each. More bytes than the file system has: it grows, which needs
CAP_SYS_RESOURCE. No journal and no barriers: what is in it does not outlive the machine's crash, as its container.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading

from warden.errors import BadInput, EngineFault, KernelRefused
from warden.kernel import ext4, mounts
from warden.kernel.loop import attach_loop, update_size
from warden.model.info import DiskStat
from warden.model.limits import DiskLimits
from warden.rootfs.ballast import Ballast
from warden.rootfs.disk import LAYERS, Layer, own_layer, refuse_soft
from warden.rootfs.mounted import MountedDisk
from warden.rootfs.pool import find_program, run_mkfs
from warden.rootfs.stock import Stock
from warden.undo import Undo

SMALLEST, LARGEST = 64 << 20, 16 << 30
_BLOCK = 4096
_BYTES_PER_INODE = 65536
_RESERVED_INODES = 10  # the first ten are in use in every ext4, the root directory among them
_FEWEST_INODES = 4096
_FEATURES = "^has_journal,^resize_inode,64bit"
#: noinit_itable: the kernel would write zeros into the sparse file. discard: what is deleted is the host's again.
_OPTIONS = "noinit_itable,discard,barrier=0,errors=remount-ro"


class LoopDisk(MountedDisk):
    """*size*: of a layer without limits; None: four fifths of what is free, 16 GiB at most."""

    name = "loop"

    def __init__(self, depot: str, size: int | None) -> None:
        super().__init__(depot)
        self._wanted = size
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._ballasts: dict[str, Ballast] = {}
        self._limits: dict[str, DiskLimits] = {}
        self._room: int | None = None
        self._stock = Stock(self._make_ready, _drop_ready)

    def check(self, wanted: DiskLimits) -> None:
        refuse_soft(self.name, wanted)

    # ---- making and removing

    def make(self, layer: Layer, wanted: DiskLimits) -> None:
        file, usual = _file_of(layer.path), os.stat(self.template()).st_size
        size = max(usual, _with_overhead(wanted.block_hard * 1024))
        if wanted.inode_hard or size > usual:
            _make_file(file, size, _inodes_for(size, wanted.inode_hard))
            mount_fd, ready = _mount(file), file
        else:
            mount_fd, ready = self._stock.take() or self._make_ready()
            self._stock.start()  # from the first container on: others need not wait for mounts
        try:
            os.rename(ready, file)
            os.mkdir(layer.path, 0o711)
            mounts.move_mount(mount_fd, layer.path)
        finally:
            os.close(mount_fd)
        own_layer(layer)
        if wanted != DiskLimits():
            self.limit(layer, wanted)
        elif self._room is not None:
            self._confine(layer)

    def template(self) -> str:
        """The file that layers are copies of, made if there is none of the size. Raises EngineFault."""
        path = f"{self._root}.ext4"
        with self._lock:
            try:
                known = os.stat(path).st_size
            except FileNotFoundError:
                known = 0
            if not known or self._wanted not in (None, known):
                size = default_size(self._root) if self._wanted is None else self._wanted
                _make_file(f"{path}.new", size, _inodes_for(size, 0))
                os.rename(f"{path}.new", path)
        return path

    def _ballast(self, layer: Layer) -> Ballast:
        """Kept, because counting its files can take 0.1 s."""
        if layer.path not in self._ballasts:
            self._ballasts[layer.path] = Ballast(layer.path)
        return self._ballasts[layer.path]

    def _make_ready(self) -> tuple[int, str]:
        """A mount that hangs nowhere, with an empty layer in it, and its file: a crash leaves the file alone."""
        file = f"{self._root}/.ready-{next(self._numbers)}.ext4"
        with Undo() as undo:
            copy_sparse(self.template(), file)
            undo.add("file", os.unlink, file)
            mount_fd = _mount(file)
            undo.release()
        return mount_fd, file

    def rest(self) -> None:
        self._stock.close()

    def close(self) -> None:
        self.rest()

    def forget(self, path: str) -> None:
        self._ballasts.pop(path, None)
        self._limits.pop(path, None)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_file_of(path))

    # ---- the host's room

    def promised(self) -> int:
        return sum(map(self._promised, self._layers()))

    def _promised(self, layer: Layer) -> int:
        with contextlib.suppress(KernelRefused, FileNotFoundError):  # it went meanwhile
            found = self.statvfs(layer)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            return max(used - os.stat(_file_of(layer.path)).st_blocks * 512, 0)
        return 0

    def confine(self, room: int | None) -> None:
        self._room = room
        for layer in self._layers():
            with contextlib.suppress(KernelRefused, FileNotFoundError):
                self._confine(layer)

    def _confine(self, layer: Layer) -> None:
        """Writes the reserve anew: for its limit, or for the host's room where that is less."""
        found, ballast = self.statvfs(layer), self._ballast(layer)
        reserve = _reserve(found, self._limits.get(layer.path, DiskLimits()), ballast.blocks)
        if self._room is not None:
            reserve = max(reserve, found.f_bfree - self._room // found.f_frsize)
        ext4.set_reserve(layer.path, reserve)

    def _layers(self) -> list[Layer]:
        return [Layer(self.layer_of(name)) for name in os.listdir(self._root) if not name.endswith(".ext4")]

    def layer_of(self, name: str) -> str:
        return f"{self._root}/{name.removesuffix('.ext4')}"

    # ---- limits

    def usage(self, layer: Layer) -> DiskStat:
        found, ballast = self.statvfs(layer), self._ballast(layer)
        blocks = found.f_blocks - found.f_bfree - ballast.blocks
        return DiskStat(blocks * found.f_frsize, _used_inodes(found, ballast))

    def limit(self, layer: Layer, wanted: DiskLimits) -> None:
        self.check(wanted)
        found, ballast = self.statvfs(layer), self._ballast(layer)
        too_many = _inodes_to_take(found, ballast, wanted)
        operation = "grow"
        try:
            if wanted.block_hard * 1024 > found.f_blocks * found.f_frsize:
                found = _grow(layer, wanted.block_hard * 1024)
                too_many = _inodes_to_take(found, ballast, wanted)
            operation = "write the reserve of"
            # In this order: the directory of what takes inodes needs blocks that a full layer would not give.
            ext4.set_reserve(layer.path, _reserve(found, wanted, Ballast.blocks_for(too_many)))
            operation = "take inodes of"
            ballast.resize(too_many)
            self._limits[layer.path] = wanted
            self._confine(layer)
        except OSError as error:
            raise KernelRefused(operation, layer.path, error.errno or 0) from error


def default_size(directory: str) -> int:
    """Raises EngineFault when the host has no room."""
    room = os.statvfs(directory)
    size = room.f_bavail * room.f_frsize * 4 // 5
    if size < SMALLEST:
        hint = f"make room, or set disk.loop_size (at least {SMALLEST})"
        raise EngineFault(f"disk loop: four fifths of what is free are {size >> 20} MiB, too little", hint=hint)
    return min(size, LARGEST) // _BLOCK * _BLOCK


def open_loop_disk(depot: str, size: int | None) -> LoopDisk:
    """Raises EngineFault when mkfs.ext4 or loop devices are missing, or the host has no room."""
    if not os.path.exists("/dev/loop-control"):
        raise EngineFault("disk loop: no /dev/loop-control", hint="load the kernel module: modprobe loop")
    if not mounts.have_filesystem("ext4"):
        raise EngineFault("disk loop: this kernel has no ext4", hint="choose another disk.backend")
    disk = LoopDisk(depot, size)
    disk.template()
    return disk


def copy_sparse(source: str, target: str) -> None:
    """A new file with the same content and the same holes. Raises OSError."""
    with open(source, "rb", buffering=0) as old, open(target, "xb", buffering=0) as new, Undo() as undo:
        undo.add("copy", os.unlink, target)
        size = os.fstat(old.fileno()).st_size
        os.truncate(new.fileno(), size)
        at = 0
        while True:
            try:
                at = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nothing but a hole from here on
                    raise
                break
            end = os.lseek(old.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += os.copy_file_range(old.fileno(), new.fileno(), end - at, at, at)
        undo.release()


def _mount(file: str) -> int:
    """A descriptor of a new mount of *file*, an ext4 with nothing in it, with a layer's directories made."""
    operation = "attach a loop device to"
    try:
        fd, device = attach_loop(file)
        try:
            operation = "mount"
            mount_fd = mounts.mount_detached(device, "ext4", mounts.MOUNT_ATTR_NODEV, _OPTIONS)
        finally:
            os.close(fd)
        operation = "write"
        with Undo() as undo:
            undo.add("mount", os.close, mount_fd)
            os.rmdir("lost+found", dir_fd=mount_fd)
            os.chmod(".", 0o711, dir_fd=mount_fd)
            for name in LAYERS:
                os.mkdir(name, 0o755, dir_fd=mount_fd)
            undo.release()
    except OSError as error:
        raise KernelRefused(f"disk loop: {operation}", file, error.errno or 0) from error
    return mount_fd


def _drop_ready(ready: tuple[int, str]) -> None:
    mount_fd, file = ready
    os.close(mount_fd)
    os.unlink(file)


def _file_of(path: str) -> str:
    return f"{path}.ext4"


def _inodes_for(size: int, wanted: int) -> int:
    """With a limit from the start few are taken away, and room is left to raise it to four times as many."""
    most = size // _BYTES_PER_INODE
    return min(max(4 * wanted, _FEWEST_INODES), max(most, wanted + _RESERVED_INODES)) if wanted else most


def _with_overhead(space: int) -> int:
    """Of a file system in which so many bytes can be used: tables of inodes take 1 %, bitmaps and descriptors less."""
    return (space * 102 // 100 + (64 << 20)) // _BLOCK * _BLOCK if space else 0


def _make_file(file: str, size: int, inodes: int) -> None:
    program = find_program("mkfs.ext4", "e2fsprogs")
    with Undo() as undo:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        undo.add("file", os.unlink, file)
        try:
            os.truncate(fd, size)
        finally:
            os.close(fd)
        shape = ["-b", str(_BLOCK), "-I", "256", "-N", str(inodes), "-m", "0", "-O", _FEATURES]
        run_mkfs([program, "-q", "-F", *shape, "-E", "lazy_itable_init=1,nodiscard", file])
        undo.release()


def _used_inodes(found: os.statvfs_result, ballast: Ballast) -> int:
    return found.f_files - found.f_ffree - _RESERVED_INODES - ballast.inodes


def _inodes_to_take(found: os.statvfs_result, ballast: Ballast, wanted: DiskLimits) -> int:
    """How many of its inodes the container may not use. Raises BadInput."""
    if not wanted.inode_hard:
        return 0
    used, most = _used_inodes(found, ballast), found.f_files - _RESERVED_INODES
    if wanted.inode_hard < used:
        hint = f"{used} are in use; delete files first"
        raise BadInput(f"limit_disk: inode_hard: {wanted.inode_hard} is below what is used", hint=hint)
    if wanted.inode_hard > most:
        hint = f"at most {most}; a container that is created without a limit of inodes has more"
        raise BadInput(f"limit_disk: inode_hard: {wanted.inode_hard} are more than its file system has", hint=hint)
    return most - wanted.inode_hard


def _reserve(found: os.statvfs_result, wanted: DiskLimits, ballast_blocks: int) -> int:
    """Blocks that nothing may use. Without a limit: what ext4 itself keeps, for its own metadata (fs/ext4/super.c)."""
    if not wanted.block_hard:
        return min(found.f_blocks // 50, 4096)
    return max(found.f_blocks - wanted.block_hard * 1024 // found.f_frsize - ballast_blocks, 0)


def _grow(layer: Layer, space: int) -> os.statvfs_result:
    """So that *space* bytes fit. Raises BadInput when the kernel does not let us, OSError."""
    file = _file_of(layer.path)
    before, size = os.stat(file).st_size, _with_overhead(space)
    device = f"/dev/{ext4.device_name(layer.path)}"
    try:
        if size > before:
            os.truncate(file, size)
            update_size(device)
        ext4.resize(layer.path, max(size, before) // _BLOCK)
    except OSError as error:
        # The file stays as long as it is: ext4 grows group by group and may use some of it by now. Holes cost nothing.
        why = "growing it needs CAP_SYS_RESOURCE" if error.errno == errno.EPERM else error.strerror
        hint = "set disk.loop_size for containers to come, or create it with this limit"
        what = f"limit_disk: block_hard: {space} bytes are more than its file system has, and it cannot grow: {why}"
        raise BadInput(what, hint=hint) from error
    return os.statvfs(layer.path)
