"""Copying a whole root file system: what it keeps, and where it does not go."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from warden.errors import KernelRefused
from warden.rootfs.duplicate import copy_tree, give_tree

pytestmark = pytest.mark.root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    root.mkdir()
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    root = tmp_path / "target"
    root.mkdir()
    return root


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything of every entry that a copy must keep."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, directories, files in os.walk(root):
        for name in (".", *directories, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            content = (
                os.readlink(path) if kind == stat.S_IFLNK else Path(path).read_bytes() if kind == stat.S_IFREG else b""
            )
            times = status.st_mtime_ns, status.st_mode, status.st_uid, status.st_gid, status.st_rdev
            attributes = (
                tuple((key, os.getxattr(path, key)) for key in os.listxattr(path))
                if kind in (stat.S_IFREG, stat.S_IFDIR)
                else ()
            )
            found[os.path.relpath(path, root)] = (*times, content, attributes)
    return found


def test_everything_is_kept(source: Path, target: Path) -> None:
    (source / "etc").mkdir(mode=0o2750)
    (source / "etc/passwd").write_text("root:x:0:0\n")
    (source / "bin").mkdir()
    program = source / "bin/su"
    program.write_bytes(b"x" * 200_000)
    os.chown(program, 100_000, 100_001)
    os.setxattr(program, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    program.chmod(0o6755)
    os.setxattr(source / "etc", "user.note", b"kept")
    os.symlink("/etc/passwd", source / "link")
    os.lchown(source / "link", 7, 8)
    os.mkfifo(source / "pipe", 0o640)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(source / "socket"))
    os.utime(source / "link", ns=(5, 10**18), follow_symlinks=False)
    os.utime(source / "etc", ns=(5, 10**18 + 1))
    source.chmod(0o1711)
    copy_tree(str(source), str(target))
    assert listing(target) == listing(source)


def test_names_of_one_file_stay_names_of_one_file(source: Path, target: Path) -> None:
    (source / "a").write_text("x")
    (source / "d").mkdir()
    os.link(source / "a", source / "d/b")
    copy_tree(str(source), str(target))
    assert (target / "a").stat().st_ino == (target / "d/b").stat().st_ino
    assert (target / "a").stat().st_nlink == 2


def test_holes_stay_holes(source: Path, target: Path) -> None:
    with (source / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"data")
    copy_tree(str(source), str(target))
    status = (target / "sparse").stat()
    assert status.st_size == 1 << 30 and status.st_blocks * 512 < 1 << 20


def test_a_link_is_not_followed(source: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("host")
    os.symlink(tmp_path / "secret", source / "out")
    copy_tree(str(source), str(target))
    assert (target / "out").is_symlink()
    assert os.listdir(tmp_path / "secret") == ["file"]


def test_a_mount_is_not_entered(source: Path, target: Path) -> None:
    (source / "mnt").mkdir()
    (source / "file").write_text("")
    script = (
        "mount --make-rprivate / && mount -t tmpfs none $0/mnt && touch $0/mnt/hidden && mount --bind /etc/passwd $0/file"
        " && $2 -c 'import sys; from warden.rootfs.duplicate import copy_tree; copy_tree(*sys.argv[1:])' $0 $1"
    )
    import sys

    subprocess.run(["unshare", "-m", "sh", "-c", script, source, target, sys.executable], check=True)
    assert os.listdir(target / "mnt") == []
    assert (target / "file").read_text() == ""


def test_a_tree_deeper_than_a_path_can_be(source: Path, target: Path) -> None:
    at = os.open(source, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("dddddd", dir_fd=at)
        at, old = os.open("dddddd", os.O_RDONLY, dir_fd=at), at
        os.close(old)
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    copy_tree(str(source), str(target))
    at = os.open(target, os.O_RDONLY)
    for _ in range(1500):
        at, old = os.open("dddddd", os.O_RDONLY, dir_fd=at), at
        os.close(old)
    assert os.listdir(at) == ["end"]
    os.close(at)
    from warden.kernel.paths import remove_tree

    remove_tree(str(source))  # pytest's own cleaning recurses
    remove_tree(str(target))


def test_what_fails_is_named(source: Path, target: Path) -> None:
    (source / "d").mkdir()
    (source / "d/file").write_text("x")
    (target / "d").mkdir()
    with pytest.raises(KernelRefused, match=r"source/d: File exists"):
        copy_tree(str(source), str(target))


def test_a_tree_is_given_to_others(source: Path) -> None:
    (source / "d").mkdir()
    program = source / "d/su"
    program.write_text("x")
    os.setxattr(program, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    program.chmod(0o4755)
    os.link(program, source / "again")
    os.symlink("/etc", source / "link")
    host = os.stat("/etc")
    give_tree(str(source), lambda uid: uid + 100_000, lambda gid: gid + 200_000)
    for path in (source, source / "d", program, source / "link"):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (100_000, 200_000), path
    assert stat.S_IMODE(program.stat().st_mode) == 0o4755
    assert os.getxattr(program, "security.capability")
    assert os.stat("/etc").st_uid == host.st_uid
