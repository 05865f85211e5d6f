"""A tar archive as a root file system: what arrives, and that nothing hostile in it leaves the root."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from warden.errors import BadInput, KernelRefused
from warden.kernel.paths import remove_tree
from warden.rootfs.unpack import unpack

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"evil", **more: object) -> tuple[tarfile.TarInfo, bytes]:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
    found.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in more.items():
        setattr(found, key, value)
    return found, content


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    with tarfile.open(path, "w") as file:
        for info, content in members:
            file.addfile(info, io.BytesIO(content) if info.size else None)
    return str(path)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "tar.bz2", "tar.zst"])
def test_what_was_packed_is_there(root: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == "tar.zst" and shutil.which("zstd") is None:
        pytest.skip("no zstd here")
    source = tmp_path / "source"
    (source / "usr/bin").mkdir(parents=True)
    os.symlink("usr/bin", source / "bin")
    program = source / "usr/bin/su"
    program.write_bytes(b"x" * 70_000)
    os.chown(program, 70000, 70001)
    program.chmod(0o6755)
    os.link(program, source / "usr/bin/sudo")
    os.setxattr(program, "user.note", b"kept")
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(source / "pipe")
    os.utime(source / "usr", (1, 10**9))
    packed = tmp_path / f"root.{suffix}"
    subprocess.run(["tar", "-C", source, "--xattrs", "-caf", packed, "."], check=True)
    unpack(str(packed), str(root))
    status = (root / "usr/bin/su").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode), status.st_nlink) == (70000, 70001, 0o6755, 2)
    assert (root / "usr/bin/sudo").stat().st_ino == status.st_ino
    assert os.getxattr(root / "usr/bin/su", "user.note") == b"kept"
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode) and os.readlink(root / "bin") == "usr/bin"
    assert (root / "usr").stat().st_mtime == 10**9


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/../evil"])
def test_names_that_climb_are_refused(root: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"'\.\.'"):
        unpack(archive(tmp_path / "t.tar", member(name)), str(root))
    assert not (tmp_path / "evil").exists()


def test_an_absolute_name_is_below_the_root(root: Path, tmp_path: Path) -> None:
    unpack(archive(tmp_path / "t.tar", member("/etc/evil")), str(root))
    assert (root / "etc/evil").read_bytes() == b"evil" and not Path("/etc/evil").exists()


@pytest.mark.parametrize("target", ["{outside}", "../outside", "../../../../../../..{outside}"])
def test_a_link_leads_nowhere_out(root: Path, tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = member("out", tarfile.SYMTYPE, target.format(outside=outside))
    try:
        unpack(archive(tmp_path / "t.tar", link, member("out/evil")), str(root))
    except KernelRefused as error:
        assert "out/evil" in str(error)
    assert os.listdir(outside) == []
    assert (root / "out").is_symlink()


def test_a_file_is_never_written_through_a_link(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    unpack(archive(tmp_path / "t.tar", member("f", tarfile.SYMTYPE, str(victim)), member("f")), str(root))
    assert victim.read_text() == "kept" and (root / "f").read_bytes() == b"evil" and not (root / "f").is_symlink()


@pytest.mark.parametrize("target", ["/etc/passwd", "../victim", "link/victim"])
def test_a_hard_link_reaches_nothing_outside(root: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "victim").write_text("kept")
    link = member("link", tarfile.SYMTYPE, str(tmp_path))
    with pytest.raises((KernelRefused, BadInput)):
        unpack(archive(tmp_path / "t.tar", link, member("name", tarfile.LNKTYPE, target)), str(root))
    assert (tmp_path / "victim").stat().st_nlink == 1 and Path("/etc/passwd").stat().st_nlink == 1


def test_a_directory_takes_the_place_of_a_link(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    unpack(
        archive(tmp_path / "t.tar", member("d", tarfile.SYMTYPE, str(outside)), member("d", tarfile.DIRTYPE, mode=0o777), member("d/evil")),
        str(root),
    )
    assert os.listdir(outside) == [] and stat.S_IMODE(outside.stat().st_mode) == 0o700
    assert os.listdir(root / "d") == ["evil"]


def test_files_below_a_link_in_the_root_arrive(root: Path, tmp_path: Path) -> None:
    members = (member("usr/bin", tarfile.DIRTYPE), member("bin", tarfile.SYMTYPE, "/usr/bin"), member("bin/sh"))
    unpack(archive(tmp_path / "t.tar", *members), str(root))
    assert (root / "usr/bin/sh").read_bytes() == b"evil"


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08 cut off"])
def test_what_is_no_archive_is_refused(root: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.tar").write_bytes(content)
    with pytest.raises(BadInput, match="archive"):
        unpack(str(tmp_path / "t.tar"), str(root))


def test_one_that_is_cut_off_is_refused(root: Path, tmp_path: Path) -> None:
    whole = Path(archive(tmp_path / "t.tar", member("a", content=os.urandom(200_000))))
    whole.write_bytes(whole.read_bytes()[:100_000])
    with pytest.raises(BadInput, match="archive"):
        unpack(str(whole), str(root))


def test_holes_stay_holes(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "log", "wb") as file:
        os.pwrite(file.fileno(), b"begin", 0)
        os.pwrite(file.fileno(), b"middle", 1 << 32)
        os.ftruncate(file.fileno(), 1 << 40)
    for style in ("gnu", "posix"):
        subprocess.run(["tar", "-C", source, "--sparse", f"--format={style}", "-cf", tmp_path / "t.tar", "log"], check=True)
        unpack(str(tmp_path / "t.tar"), str(root))
        status = (root / "log").stat()
        assert status.st_size == 1 << 40 and status.st_blocks < 100
        with open(root / "log", "rb") as file:
            assert (os.pread(file.fileno(), 6, 0), os.pread(file.fileno(), 6, 1 << 32)) == (b"begin\0", b"middle")
        (root / "log").unlink()


@pytest.mark.parametrize(
    "headers",
    [
        {"mtime": "nan"},
        {"mtime": "inf"},
        {"mtime": "1e300"},
        {"uid": "-5"},
        {"gid": "99999999999999999999"},
        {"path": "a\0b"},
        {"SCHILY.xattr.user.a\0b": "x"},
        {"GNU.sparse.map": "a,b", "GNU.sparse.size": "10"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100"},
    ],
    ids=str,
)
def test_headers_that_cannot_be_are_refused(root: Path, tmp_path: Path, headers: dict[str, str]) -> None:
    info, _ = member("f", content=b"zz\n" * 200, pax_headers=headers)
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info, io.BytesIO(b"zz\n" * 200))
    with pytest.raises(BadInput):
        unpack(str(tmp_path / "t.tar"), str(root))


def test_a_member_as_deep_as_a_path_can_be(root: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(tarfile.TarInfo("a/" * 1500 + "f"))
    try:
        assert unpack(str(tmp_path / "t.tar"), str(root)) == 1
        assert os.path.exists(f"{root}/{'a/' * 1500}f")
    finally:
        remove_tree(str(root))


def test_what_steers_an_overlay_is_not_taken_over(root: Path, tmp_path: Path) -> None:
    headers = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.trusted.other": "x"}
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(member("d", tarfile.DIRTYPE, pax_headers=headers)[0])
    unpack(str(tmp_path / "t.tar"), str(root))
    assert os.listxattr(root / "d") == ["trusted.other"]
