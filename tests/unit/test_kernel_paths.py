"""Opening below a root, and removing hostile trees: what needs no root."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from warden.errors import KernelRefused
from warden.kernel import paths
from warden.kernel.paths import open_in_root, openat2, remove_tree


@contextmanager
def directory(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def read(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()


def make_deep(top: Path, levels: int, *, mode: int = 0o777) -> None:
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for level in range(levels):
        name = "x" * 255 if level % 64 == 0 else "d"
        os.mkdir(name, mode, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def test_openat2_is_close_on_exec_and_creates_with_mode(tmp_path: Path) -> None:
    fd = openat2(str(tmp_path / "new"), os.O_CREAT | os.O_WRONLY, 0o640)
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("path", "resolve", "error"),
    [
        ("absent", 0, FileNotFoundError),
        ("a\0b", 0, OSError),
        ("../up", paths.RESOLVE_BENEATH, OSError),
        ("link", paths.RESOLVE_NO_SYMLINKS, OSError),
    ],
)
def test_openat2_raises_the_kernels_error(tmp_path: Path, path: str, resolve: int, error: type[OSError]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    with directory(tmp_path) as fd, pytest.raises(error) as caught:
        openat2(path, os.O_RDONLY, resolve=resolve, dir_fd=fd)
    assert caught.value.filename == path


@pytest.mark.parametrize("way", ["/etc/name", "etc/name", "../../etc/name", "absolute", "up", "through/name"])
def test_every_way_ends_inside_the_root(tmp_path: Path, way: str) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/name").write_text("inside")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/name").write_text("outside")
    (root / "absolute").symlink_to("/etc/name")
    (root / "up").symlink_to("../../etc/name")
    (root / "through").symlink_to("/../etc")
    with directory(root) as fd:
        assert read(open_in_root(fd, way, os.O_RDONLY)) == b"inside"


def test_magic_links_are_refused() -> None:
    with directory(Path("/proc")) as fd, pytest.raises(OSError, match="symbolic links"):
        open_in_root(fd, "self/root/etc", os.O_RDONLY)


def test_an_absent_tree_is_fine(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "absent"))
    remove_tree(str(tmp_path / "absent/below"))


def test_what_links_point_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    (tree / "file-link").symlink_to(outside / "precious")
    (tree / "parent").symlink_to("..")
    os.link(outside / "precious", tree / "hard")
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == ["outside"]
    assert (outside / "precious").read_text() == "kept"


def test_a_link_or_file_in_place_of_the_tree_is_removed_itself(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious").touch()
    (tmp_path / "link").symlink_to("outside")
    (tmp_path / "file").touch()
    remove_tree(str(tmp_path / "link"))
    remove_tree(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == ["outside"]
    assert (tmp_path / "outside/precious").exists()


def test_every_kind_of_name_and_file_goes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    raw = os.fsencode(tree)
    for name in (b"\xff\xfe", b"new\nline", b"-rf", b" ", b"n" * 255, b"*"):
        os.mkdir(os.path.join(raw, name))
        open(os.path.join(raw, name, name), "wb").close()
    os.mkfifo(tree / "a" / "fifo")
    with socket.socket(socket.AF_UNIX) as listener, directory(tree / "a") as fd:
        listener.bind(f"/proc/self/fd/{fd}/socket")
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == []


def test_a_deep_tree_goes_with_few_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_deep(tmp_path / "tree", 3000)
    held: list[int] = []
    real = paths.openat2

    def counting(path: str, flags: int, mode: int = 0, resolve: int = 0, dir_fd: int = paths.AT_FDCWD) -> int:
        held.append(len(os.listdir("/proc/self/fd")))
        return real(path, flags, mode, resolve, dir_fd)

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(paths, "openat2", counting)
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []
    assert len(held) > 3000
    assert max(held) <= before + 34
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_larger_than_a_batch_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_BATCH", 7)
    tree = tmp_path / "tree"
    for number in range(50):
        (tree / f"directory-{number}").mkdir(parents=True)
        (tree / f"file-{number}").touch()
        (tree / "directory-0" / f"file-{number}").touch()
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == []


def test_what_may_not_go_to_the_top_goes_as_high_as_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_deep(tmp_path / "tree", 200)
    top = (tmp_path / "tree").stat().st_ino
    real = os.rename
    moved: list[str] = []

    def like_a_subvolume(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if os.fstat(dst_dir_fd).st_ino == top:
            raise OSError(errno.EXDEV, "told to fail")
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        moved.append(target)

    monkeypatch.setattr(os, "rename", like_a_subvolume)
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []
    assert moved


def test_a_tree_that_cannot_be_moved_says_so_and_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_deep(tmp_path / "tree", 40)

    def refuse(*names: str, **directories: int) -> None:
        raise OSError(errno.EROFS, "told to fail")

    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        with pytest.raises(KernelRefused) as caught:
            remove_tree(str(tmp_path / "tree"))
    assert (caught.value.operation, caught.value.errno) == ("rename", errno.EROFS)
    assert caught.value.target.startswith(str(tmp_path / "tree" / "x"))
    assert len(os.listdir("/proc/self/fd")) == before
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []
