"""Volumes on a real file system: made and removed as a whole, filled from hostile trees, never outside."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden.depot.volumes import VolumeStore
from warden.engine.volumes import place_of
from warden.errors import BadInput, EngineFault, ImageError, KernelRefused, UnknownVolume, VolumeTaken
from warden.model.settings import EngineSettings
from warden.rootfs.copyreport import Cancelled
from warden.rootfs.volumecopy import MAX_DEPTH, Bound, Origin, copy_into, make_place

pytestmark = pytest.mark.root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VolumeStore]:
    made = VolumeStore(str(tmp_path / "volumes"))
    yield made
    made.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    root = tmp_path / "image"
    (root / "data/sub").mkdir(parents=True)
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def test_what_is_not_ours_is_neither_listed_nor_removed(store: VolumeStore) -> None:
    place = Path(store.place)
    (place / ".git").mkdir(parents=True)
    (place / ".profile").write_text("x")
    (place / "www/data").mkdir(parents=True)
    (place / "www/fill").mkdir()
    (place / ".new-half/data").mkdir(parents=True)
    (place / ".old-gone-0123/data").mkdir(parents=True)
    store.make("data", 0)
    (place / "data/fill/sub").mkdir(parents=True)
    store.close()
    assert [volume.name for volume in store.list()] == ["data"]
    assert store.find("www") is None
    assert sorted(os.listdir(place)) == [".git", ".lock", ".profile", "data", "www"]
    assert sorted(os.listdir(place / "www")) == ["data", "fill"]
    assert sorted(os.listdir(place / "data")) == ["data", "volume.json"], "a crash came while it was filled"
    with pytest.raises(VolumeTaken):
        store.make("www", 0)


def test_made_found_removed(store: VolumeStore) -> None:
    assert (store.list(), store.find("data"), os.path.exists(store.place)) == ([], None, False)
    volume = store.make("data", 1234)
    assert store.find("data") == volume
    assert os.stat(volume.path).st_uid == 1234
    with pytest.raises(VolumeTaken):
        store.make("data", 0, anonymous=True)
    assert [found.anonymous for found in store.list()] == [False]
    (Path(volume.path) / "f").write_text("x")
    hidden = store.hide("data")
    assert (Path(hidden) / "data/f").read_text() == "x"
    with pytest.raises(UnknownVolume):
        store.hide("data")
    assert store.list() == []
    store.close()
    store.open()
    assert os.listdir(store.place) == [".lock"]


def test_one_engine_at_a_time(store: VolumeStore) -> None:
    store.make("data", 0)
    other = VolumeStore(store.place)
    with pytest.raises(EngineFault, match="another engine holds them"):
        other.list()
    store.close()
    assert [volume.name for volume in other.list()] == ["data"]
    other.close()


def test_what_a_crash_left(store: VolumeStore) -> None:
    store.make("data", 0)
    store.close()
    for name in (".new-x", ".old-y-1"):
        os.makedirs(f"{store.place}/{name}/data/deep")
    os.makedirs(f"{store.place}/nothing")
    Path(store.place, "data/volume.json").write_text("{")
    found = store.list()
    assert [(volume.name, volume.anonymous) for volume in found] == [("data", False)], "files outlive a broken record"
    assert sorted(os.listdir(store.place)) == [".lock", "data", "nothing"]


def test_a_place_in_the_depot_is_refused() -> None:
    assert place_of(EngineSettings(depot="/a/containers")) == "/a/volumes"
    assert place_of(EngineSettings(depot="/a/depot/")) == "/a/depot-volumes"
    assert place_of(EngineSettings(depot="/a/depot", volumes="/a/depot2")) == "/a/depot2"
    for place in ("/a/depot", "/a/depot/x", "/a/b/../depot/x"):
        with pytest.raises(BadInput, match="lies in the depot"):
            place_of(EngineSettings(depot="/a/depot", volumes=place))


def test_owners_modes_and_kinds(image: Path, target: Path) -> None:
    (image / "data/f").write_bytes(b"x" * 100_000)
    os.chown(image / "data/f", 7, 8)
    os.chmod(image / "data/f", 0o6711)
    os.chmod(image / "data/sub", 0o2770)
    os.chown(image / "data/sub", 0, 9)
    os.mkfifo(image / "data/fifo")
    os.mknod(image / "data/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (image / "data/link").symlink_to("/etc/passwd")
    assert copy_into(str(target), [Origin(str(image))], "/data")
    assert sorted(os.listdir(target)) == ["f", "link", "sub"]
    found = (target / "f").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_size) == (7, 8, 0o711, 100_000)
    found = (target / "sub").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 9, 0o2770)
    assert os.readlink(target / "link") == "/etc/passwd"


def test_the_later_origin_lies_over_the_earlier(image: Path, target: Path, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "data").mkdir(parents=True)
    os.chown(upper / "data", 70_005, 70_006)
    (upper / "data/f").write_text("upper")
    os.chown(upper / "data/f", 70_001, 70_002)
    (image / "data/f").write_text("image")
    (image / "data/g").write_text("image")
    assert copy_into(str(target), [Origin(str(image)), Origin(str(upper), 70_000)], "/data")
    assert ((target / "f").read_text(), (target / "g").read_text()) == ("upper", "image")
    assert ((target / "f").stat().st_uid, (target / "f").stat().st_gid) == (1, 2)
    assert (target.stat().st_uid, target.stat().st_gid) == (5, 6)


@pytest.mark.parametrize("path", ["/none", "/file", "/data/dangling"])
def test_nothing_there(image: Path, target: Path, path: str) -> None:
    (image / "file").write_text("x")
    (image / "data/dangling").symlink_to("nowhere")
    before = target.stat().st_mode
    assert not copy_into(str(target), [Origin(str(image))], path)
    assert (os.listdir(target), target.stat().st_mode) == ([], before)


def test_links_lead_nowhere_outside(image: Path, target: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("k")
    (image / "up").symlink_to("../../../../../../.." + str(secret))
    (image / "abs").symlink_to(secret)
    (image / "data/sub/link").symlink_to(secret)
    for path in ("/up", "/abs", "/data/sub/link"):
        assert not copy_into(str(target), [Origin(str(image))], path)
    assert copy_into(str(target), [Origin(str(image))], "/data")
    assert os.readlink(target / "sub/link") == str(secret)


def test_too_deep(image: Path, target: Path) -> None:
    deep = image / "data"
    for _ in range(MAX_DEPTH + 2):
        deep = deep / "d"
    deep.mkdir(parents=True)
    with pytest.raises(ImageError, match="deeper than"):
        copy_into(str(target), [Origin(str(image))], "/data")


def test_a_deep_place_needs_no_more_descriptors_than_a_flat_one(target: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 10, hard))
    try:
        make_place(str(target), "/a" * 100, is_directory=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert os.path.isdir(str(target) + "/a" * 100)


def test_places_for_mounts(target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (target / "out").symlink_to(outside)
    (target / "file").write_text("x")
    make_place(str(target), "/a/b/c", is_directory=True)
    make_place(str(target), "/a/f", is_directory=False)
    make_place(str(target), "/a/f", is_directory=False)
    for path in ("/out/x", "/out", "/file/x", "/file"):
        make_place(str(target), path, is_directory=True)
    make_place(str(target), "/out", is_directory=False)
    assert ((target / "a/b/c").is_dir(), (target / "a/f").read_bytes(), (target / "file").read_text()) == (True, b"", "x")
    assert os.listdir(outside) == []


#: An access list: version 2; user rwx, user 1234 rw-, group r-x, mask rwx, others r-- (linux/posix_acl_xattr.h).
_ACL = struct.pack(
    "<I" + "HHI" * 5, 2, 1, 7, 0xFFFFFFFF, 2, 6, 1234, 4, 5, 0xFFFFFFFF, 16, 7, 0xFFFFFFFF, 32, 4, 0xFFFFFFFF
)


def test_everything_of_a_file_comes_along(image: Path, target: Path) -> None:
    file = image / "data/file"
    file.write_bytes(b"x")
    os.link(file, image / "data/sub/again")
    os.symlink("file", image / "data/link")
    os.setxattr(file, "user.note", b"kept")
    os.setxattr(file, "trusted.secret", b"not kept")
    os.setxattr(file, "system.posix_acl_access", _ACL)
    os.setxattr(image / "data/sub", "system.posix_acl_default", _ACL)
    with open(image / "data/holes", "wb") as holes:
        holes.seek(64 << 20)
        holes.write(b"end")
    tool = image / "data/tool"
    tool.write_bytes(b"#!")
    os.setxattr(tool, "security.capability", struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))
    os.chmod(tool, 0o6755)
    for path in (file, image / "data/holes", image / "data/sub", image / "data"):
        os.utime(path, ns=(1_000_000_000_123_456_789, 1_100_000_000_987_654_321))
    os.utime(image / "data/link", ns=(5, 1_000_000_000), follow_symlinks=False)
    assert copy_into(str(target), (Origin(str(image)),), "/data")
    made = target / "file"
    assert made.stat().st_ino == (target / "sub/again").stat().st_ino
    assert made.stat().st_nlink == 2
    assert set(os.listxattr(made)) == {"user.note", "system.posix_acl_access"}
    assert os.getxattr(made, "user.note") == b"kept"
    assert os.getxattr(made, "system.posix_acl_access") == _ACL
    assert os.getxattr(target / "sub", "system.posix_acl_default") == _ACL
    for path in (made, target / "holes", target / "sub", target):
        assert path.stat().st_mtime_ns == 1_100_000_000_987_654_321, path
    assert (target / "link").lstat().st_mtime_ns == 1_000_000_000
    assert (target / "holes").stat().st_size == (64 << 20) + 3
    assert (target / "holes").stat().st_blocks * 512 < 1 << 20
    assert (os.listxattr(target / "tool"), stat.S_IMODE((target / "tool").stat().st_mode)) == ([], 0o755)


def test_no_more_than_may_be_copied(image: Path, target: Path) -> None:
    (image / "data/file").write_bytes(b"x" * 200_000)
    assert copy_into(str(target), (Origin(str(image)),), "/data", Bound(300_000))
    with pytest.raises(ImageError, match="too large"):
        copy_into(str(target), (Origin(str(image)),), "/data", Bound(150_000))
    for number in range(200):
        (image / f"data/sub/{number}").touch()
    with pytest.raises(ImageError, match="too large"):
        copy_into(str(target), (Origin(str(image)),), "/data", Bound(300_000))


def test_cut_off_in_the_middle(image: Path, target: Path) -> None:
    for number in range(10):
        (image / f"data/{number}").touch()
    left = iter([True] * 5)
    with pytest.raises(Cancelled):
        copy_into(str(target), (Origin(str(image)),), "/data", Bound(goes_on=lambda: next(left, False)))
    assert len(os.listdir(target)) < 10


def test_names_of_one_file_count_once(image: Path, target: Path) -> None:
    (image / "data/first").write_bytes(bytes(200_000))
    for number in range(20):
        os.link(image / "data/first", image / f"data/{number}")
    assert copy_into(str(target), (Origin(str(image)),), "/data", Bound(300_000))
    assert (target / "first").stat().st_nlink == 21


@pytest.fixture
def memory_image(tmp_path: Path) -> Iterator[Path]:
    """On a tmpfs, which keeps what ext4 has no room for."""
    root = tmp_path / "memory"
    (root / "data").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "warden-image", root / "data"], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", root / "data"], check=True)


def test_an_attribute_that_is_too_large_stays_behind(memory_image: Path, target: Path) -> None:
    file = memory_image / "data/file"
    file.write_text("x")
    try:
        os.setxattr(file, "user.large", bytes(40_000))
    except OSError as error:
        pytest.skip(f"tmpfs without user.* (before 6.6): {error}")
    os.setxattr(file, "user.small", b"y")
    with contextlib.suppress(OSError):  # XFS and btrfs have room
        os.setxattr(target, "user.large", bytes(40_000))
        pytest.skip("the file system of the tests keeps it too")
    assert copy_into(str(target), (Origin(f"{memory_image}/data"),), "/")
    assert (target / "file").read_text() == "x"
    assert os.listxattr(target / "file") == ["user.small"]


def test_what_does_not_fit_is_named(memory_image: Path, target: Path) -> None:
    odd = memory_image / "data/sub"
    odd.mkdir()
    with open(odd / "two\nlines", "wb") as file:
        try:
            file.truncate(2**63 - 1)  # ext4 ends at 16 TiB
        except OSError as error:
            pytest.skip(f"tmpfs: {error}")
    with pytest.raises(KernelRefused, match=r"^copy into volume \S*/data/sub/two\\nlines: File too large \[EFBIG\]$"):
        copy_into(str(target), (Origin(f"{memory_image}/data"),), "/")
