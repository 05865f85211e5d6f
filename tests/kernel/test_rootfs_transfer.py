"""Copying trees on a real file system: rsync's meaning, rights, and trees that somebody changes meanwhile."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from warden.errors import BadInput, KernelRefused
from warden.rootfs import transfer
from warden.rootfs.copypaths import Owner
from warden.rootfs.copyreport import Cancelled, Order, Side

pytestmark = pytest.mark.root

SOMEBODY = 54321
Tree = dict[str, tuple[str, int, object]]


def in_thread(work: Callable[[], None]) -> None:
    """As the engine does, for the identity that a copy leaves its thread with."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def copy(
    src: Path | str,
    dst: Path | str,
    *,
    source: Side | None = None,
    target: Side | None = None,
    owner: Owner = Owner(),  # noqa: B008
    going_on: Callable[[], bool] = lambda: True,
) -> None:
    order = Order("copy", source or Side(), target or Side(), str(src), str(dst), owner, going_on)
    in_thread(lambda: transfer.copy(order))


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) <= len(before)


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Side]:
    """A root directory that belongs to SOMEBODY, as a container's does to its vcap."""
    root = tmp_path / "root"
    root.mkdir()
    os.chown(root, SOMEBODY, SOMEBODY)
    root_fd = os.open(root, os.O_PATH)
    yield Side(root_fd, SOMEBODY, SOMEBODY)
    os.close(root_fd)


def tree(top: Path | str) -> Tree:
    """Everything below *top*: kind, mode, and content or link text."""
    found: Tree = {}
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            content: object = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = Path(path).read_bytes()
            mode = 0 if stat.S_ISLNK(status.st_mode) else stat.S_IMODE(status.st_mode)
            found[os.path.relpath(path, top)] = (stat.filemode(status.st_mode)[0], mode, content)
    return found


def make_source(top: Path) -> None:
    (top / "dir/sub").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o700)
    (top / "file").write_bytes(b"f")
    (top / "file").chmod(0o751)
    (top / "dir/a").write_bytes(b"a")
    (top / "dir/sub/b").write_bytes(bytes(range(256)) * 1000)
    (top / "dir/sub").chmod(0o2571)
    os.link(top / "dir/a", top / "dir/hard")
    (top / "ldir").symlink_to("dir")
    (top / "lfile").symlink_to("file")
    (top / "dangling").symlink_to("nowhere")


def make_target(top: Path) -> None:
    (top / "isdir/dir").mkdir(parents=True)
    (top / "isdir/dir/a").write_bytes(b"old")
    (top / "isdir/dir/other").write_bytes(b"stays")
    (top / "isdir/dir/sub").symlink_to("/etc")
    (top / "isfile").write_bytes(b"another size, or rsync takes it for the same file")
    (top / "tolink").symlink_to("isdir")
    (top / "tofile").symlink_to("isfile")
    (top / "dangling").symlink_to("nope")


SOURCES = "file dir dir/ dir/. dir/.. empty empty/ ldir ldir/ lfile lfile/ file/ dangling nosuch".split()
TARGETS = "new new/ isdir isdir/ isfile isfile/ tolink tofile dangling no/x".split()


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
@pytest.mark.parametrize("src", SOURCES)
def test_every_pair_of_paths_as_rsync(tmp_path: Path, src: str) -> None:
    source = tmp_path / "s"
    make_source(source)
    for dst in TARGETS:
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        make_target(ours)
        make_target(theirs)
        command = ["rsync", "-r", "-p", "--links", f"{source}/{src}", f"{theirs}/{dst}"]
        rsync = subprocess.run(command, capture_output=True, check=False)
        try:
            copy(f"{source}/{src}", f"{ours}/{dst}")
            assert rsync.returncode == 0, (dst, rsync.stderr)
            expected = {name: (kind, mode & 0o1777, data) for name, (kind, mode, data) in tree(theirs).items()}
            assert tree(ours) == expected, dst
        except BadInput as error:
            assert rsync.returncode != 0, (dst, error)
        shutil.rmtree(ours)
        shutil.rmtree(theirs)


def test_only_the_last_directory_is_made(tmp_path: Path) -> None:
    make_source(tmp_path / "s")
    with pytest.raises(BadInput, match=r"copy: .*/no/x on the host: no such file.*must exist"):
        copy(tmp_path / "s/dir", tmp_path / "no/x")
    assert not (tmp_path / "no").exists()


def test_a_source_that_is_not_there_is_named_and_nothing_is_made(tmp_path: Path, inside: Side) -> None:
    with pytest.raises(BadInput, match="copy: nosuch in the container: no such file"):
        copy("nosuch", f"{tmp_path}/new/", source=inside)
    assert not (tmp_path / "new").exists()


def test_setuid_and_setgid_stay_behind_and_hard_links_become_files(tmp_path: Path) -> None:
    make_source(tmp_path / "s")
    (tmp_path / "s/file").chmod(0o6755)
    (tmp_path / "s/empty").chmod(0o1777)
    copy(f"{tmp_path}/s/", tmp_path / "d")
    assert stat.S_IMODE(os.stat(tmp_path / "d/file").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(tmp_path / "d/dir/sub").st_mode) == 0o571
    assert stat.S_IMODE(os.stat(tmp_path / "d/empty").st_mode) == 0o1777
    assert os.stat(tmp_path / "d/dir/a").st_nlink == 1


def test_names_are_bytes(tmp_path: Path) -> None:
    names = [b"\xff\xfe", "grüße 日本".encode(), b"new\nline", b"-rf", b"a" * 255, b" ", b"\\"]
    (tmp_path / "s").mkdir()
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path / "s") + b"/" + name)).write_bytes(name)
    copy(f"{tmp_path}/s/", tmp_path / "d")
    assert sorted(os.listdir(os.fsencode(tmp_path / "d"))) == sorted(names)


def test_special_files_are_left_out_and_never_opened(
    tmp_path: Path, inside: Side, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "s").mkdir()
    os.mkfifo(tmp_path / "s/fifo")
    os.mknod(tmp_path / "s/device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (tmp_path / "s/file").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/s/socket")
    with caplog.at_level(logging.INFO, "warden.transfer"):
        copy(f"{tmp_path}/s/", "/d", target=inside)
    assert list(tree(tmp_path / "root/d")) == ["file"]
    assert {record.getMessage().rpartition(": ")[2] for record in caplog.records} == {"a FIFO", "a device", "a socket"}
    with pytest.raises(BadInput, match="a FIFO cannot be copied"):
        copy(tmp_path / "s/fifo", "/d", target=inside)


def test_what_is_copied_in_belongs_to_the_user_and_needs_his_rights(tmp_path: Path, inside: Side) -> None:
    make_source(tmp_path / "s")
    copy(tmp_path / "s", "/", target=inside)
    for name in ("s", *(f"s/{name}" for name in tree(tmp_path / "root/s"))):
        status = os.lstat(tmp_path / "root" / name)
        assert (status.st_uid, status.st_gid) == (SOMEBODY, SOMEBODY), name
    (tmp_path / "root/roots").mkdir(mode=0o755)
    with pytest.raises(KernelRefused, match=r"copy: write /roots/file: Permission denied.*as its user vcap") as caught:
        copy(tmp_path / "s/file", "/roots/", target=inside)
    assert caught.value.errno == errno.EACCES


def test_a_link_does_not_lend_roots_hand(tmp_path: Path, inside: Side) -> None:
    """Of two files, the one behind the link is root's in the same container."""
    (tmp_path / "root/etc").mkdir()
    (tmp_path / "root/etc/passwd").write_bytes(b"root's")
    (tmp_path / "root/app").symlink_to("/etc")
    (tmp_path / "s").mkdir()
    (tmp_path / "s/passwd").write_bytes(b"mine")
    with pytest.raises(KernelRefused):
        copy(f"{tmp_path}/s/", "/app", target=inside)
    assert (tmp_path / "root/etc/passwd").read_bytes() == b"root's"


def test_what_is_copied_out_needs_the_users_rights_too(tmp_path: Path, inside: Side) -> None:
    (tmp_path / "root/d").mkdir()
    for name, mode in (("secret", 0o600), ("open", 0o644)):
        (tmp_path / "root/d" / name).write_bytes(name.encode())
        (tmp_path / "root/d" / name).chmod(mode)
    for src, left_out in (("/d/secret", "/d/secret"), ("/d", "/d/secret")):
        with pytest.raises(KernelRefused, match=f"copy: read {left_out}: Permission denied"):
            copy(src, tmp_path / "out", source=inside)
    assert list(tree(tmp_path / "out")) == ["d", "d/open"], "all else is copied"


def test_a_directory_that_cannot_be_read_is_left_out(tmp_path: Path, inside: Side) -> None:
    (tmp_path / "root/d/closed/x").mkdir(parents=True)
    (tmp_path / "root/d/open").mkdir()
    (tmp_path / "root/d/closed").chmod(0o711)
    with pytest.raises(KernelRefused, match=r"copy: read /d/closed: Permission denied.*1 not copied"):
        copy("/d", tmp_path / "out", source=inside)
    assert list(tree(tmp_path / "out")) == ["d", "d/open"]


def test_supplementary_groups_open_nothing(tmp_path: Path, inside: Side) -> None:
    (tmp_path / "root/f").write_bytes(b"x")
    os.chown(tmp_path / "root/f", 0, 0)
    (tmp_path / "root/f").chmod(0o060)
    before = os.getgroups()
    os.setgroups([0])
    try:
        with pytest.raises(KernelRefused):
            copy("/f", tmp_path / "out", source=inside)
        assert os.getgroups() == [0], "the thread's alone are dropped"
    finally:
        os.setgroups(before)


def test_owner_is_given_to_all_that_is_copied_and_to_no_link_s_target(tmp_path: Path) -> None:
    make_source(tmp_path / "s")
    (tmp_path / "mine").write_bytes(b"")
    (tmp_path / "s/out").symlink_to(tmp_path / "mine")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/before").write_bytes(b"")
    copy(tmp_path / "s", tmp_path / "d", owner=Owner(1234, 4321))
    for name in tree(tmp_path / "d"):
        status = os.lstat(tmp_path / "d" / name)
        assert (status.st_uid, status.st_gid) == ((0, 0) if name == "before" else (1234, 4321)), name
    assert os.stat(tmp_path / "mine").st_uid == os.stat(tmp_path / "d").st_uid == 0


def test_directories_without_the_right_to_write_are_filled(tmp_path: Path, inside: Side) -> None:
    make_source(tmp_path / "s")
    for name in ("dir/sub", "dir", "empty"):
        (tmp_path / "s" / name).chmod(0o555)
    for _ in range(2):  # the second time they exist, closed
        copy(tmp_path / "s", "/", target=inside)
        assert tree(tmp_path / "root/s") == tree(tmp_path / "s")


def test_a_full_directory_does_not_make_way_for_a_file_an_empty_one_does(tmp_path: Path) -> None:
    for name in ("s", "d/full/x", "d/empty", "d/file"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("full", "empty", "other"):
        (tmp_path / "s" / name).write_bytes(b"new")
    (tmp_path / "s/file").symlink_to("x")
    with pytest.raises(KernelRefused, match=r"write .*/d/full: Directory not empty.*1 not copied, all else was"):
        copy(f"{tmp_path}/s/", tmp_path / "d")
    assert {name: item[0] for name, item in tree(tmp_path / "d").items()} == {
        "full": "d", "full/x": "d", "empty": "-", "other": "-", "file": "l",
    }  # fmt: skip


def test_a_link_that_the_copy_made_is_not_followed_by_the_next(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "one").mkdir()
    (tmp_path / "one/x").symlink_to(outside)
    (tmp_path / "two/x").mkdir(parents=True)
    (tmp_path / "two/x/passwd").write_bytes(b"")
    (tmp_path / "two/x/passwd").chmod(0o777)
    for source in ("one", "two"):
        copy(f"{tmp_path}/{source}/", tmp_path / "d")
    assert os.listdir(outside) == []
    assert (tmp_path / "d/x/passwd").exists() and not (tmp_path / "d/x").is_symlink()


def test_links_that_lead_out_of_the_root_or_in_circles(tmp_path: Path, inside: Side) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "absolute").symlink_to(secret)
    (root / "climbing").symlink_to("../" * 40 + str(secret))
    (root / "loop").symlink_to("loop")
    (root / "self").symlink_to(".")
    for name in ("absolute/", "climbing/", "loop/", "self/absolute/"):
        with pytest.raises(BadInput):
            copy(name, tmp_path / "out", source=inside)
    copy("/self/self/", tmp_path / "out", source=inside)
    assert {kind for kind, _, _ in tree(tmp_path / "out").values()} == {"l"}
    with pytest.raises(BadInput):
        copy(secret, "/absolute/x", target=inside)
    assert secret.read_bytes() == b"secret"


def test_a_tree_deeper_than_descriptors_and_paths_go(tmp_path: Path) -> None:
    levels = 3000
    fd = os.open(tmp_path, os.O_PATH)
    for name in ("s", *["deep"] * levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_PATH | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=fd))
    os.close(fd)
    try:
        copy(f"{tmp_path}/s/", tmp_path / "d")
        command = ["find", f"{tmp_path}/d", "-name", "bottom", "-printf", "%d %m"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert found == f"{levels + 1} 640"
    finally:
        subprocess.run(["rm", "-rf", f"{tmp_path}/s", f"{tmp_path}/d"], check=True)


def test_a_sparse_file_stays_sparse_and_a_large_one_whole(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with open(tmp_path / "s/sparse", "wb") as file:
        file.truncate(1 << 40)
        os.pwrite(file.fileno(), b"middle", 1 << 39)
    data = os.urandom(1 << 20) * 20
    (tmp_path / "s/large").write_bytes(data)
    copy(tmp_path / "s", tmp_path / "d")
    status = os.stat(tmp_path / "d/s/sparse")
    assert status.st_size == 1 << 40 and status.st_blocks < 1024
    with open(tmp_path / "d/s/sparse", "rb") as file:
        assert os.pread(file.fileno(), 8, (1 << 39) - 1) == b"\0middle\0"
    assert (tmp_path / "d/s/large").read_bytes() == data


def test_copying_a_directory_into_itself_ends(tmp_path: Path) -> None:
    make_source(tmp_path / "s")
    for dst in ("s/dir/new", "s/dir", "s"):
        with pytest.raises(BadInput, match="copied into itself"):
            copy(f"{tmp_path}/s/", tmp_path / dst)


FILL = """
import sys
from warden.rootfs import transfer
from warden.rootfs.copypaths import Owner
from warden.rootfs.copyreport import Order, Side
try:
    transfer.copy(Order("copy", Side(), Side(), sys.argv[1], sys.argv[2], Owner(), lambda: True))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_names_the_file_and_leaves_no_half(tmp_path: Path) -> None:
    for name in ("s", "d"):
        (tmp_path / name).mkdir()
    (tmp_path / "s/big").write_bytes(os.urandom(1 << 20))
    script = 'mount -t tmpfs -o size=256k w-full "$1" && "$2" -c "$3" "$4" "$5"; ls -A "$1"'
    words = ["sh", str(tmp_path / "d"), sys.executable, FILL, f"{tmp_path}/s/", f"{tmp_path}/d"]
    command = ["unshare", "-m", "sh", "-c", script, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"KernelRefused copy: write {tmp_path}/d/big: No space left on device [ENOSPC]")
    assert len(done.stdout.splitlines()) == 1, "no temporary file"


def test_it_can_be_told_to_end(tmp_path: Path) -> None:
    make_source(tmp_path / "s")
    (tmp_path / "s/dir/large").write_bytes(bytes(1 << 20))
    for patience in range(12):
        left = iter(range(patience))
        shutil.rmtree(tmp_path / "d", ignore_errors=True)
        with pytest.raises(Cancelled):
            copy(tmp_path / "s", tmp_path / "d", going_on=lambda left=left: next(left, None) is not None)  # type: ignore[misc]
        assert not list(tmp_path.glob("d/**/.warden-*"))


SWAP = """
import os, sys
os.chdir(sys.argv[1])
while True:
    os.rename("d", "hidden"); os.symlink(sys.argv[2], "d")
    os.unlink("d"); os.rename("hidden", "d")
"""


@pytest.fixture
def swapping(tmp_path: Path) -> Iterator[Callable[[Path, Path], None]]:
    """Starts somebody who all the time puts a link to the second path in the place of the first's directory d."""
    running: list[subprocess.Popen[bytes]] = []

    def start(where: Path, link: Path) -> None:
        running.append(subprocess.Popen([sys.executable, "-c", SWAP, str(where), str(link)]))

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_a_source_that_turns_into_a_link_leads_nowhere(
    tmp_path: Path, inside: Side, swapping: Callable[[Path, Path], None]
) -> None:
    outside = tmp_path / "outside"
    for directory in (outside, tmp_path / "root/d"):
        directory.mkdir()
        for number in range(20):
            (directory / str(number)).write_text(directory.name)
    swapping(tmp_path / "root", outside)
    seen = set()
    for _ in range(100):
        try:
            copy("/", tmp_path / "out", source=inside)
        except KernelRefused as error:
            assert error.errno == errno.ENOENT and "vanished" in error.hint
        seen |= {content for _, _, content in tree(tmp_path / "out").values() if isinstance(content, bytes)}
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert seen == {b"d"}


def test_a_target_that_turns_into_a_link_leads_nowhere(
    tmp_path: Path, inside: Side, swapping: Callable[[Path, Path], None]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (tmp_path / "s/d").mkdir(parents=True)
    for number in range(20):
        (tmp_path / "s/d" / str(number)).write_bytes(b"new")
    copy(f"{tmp_path}/s/", "/", target=inside)
    swapping(tmp_path / "root", outside)
    for _ in range(100):
        with contextlib.suppress(KernelRefused):  # the swapping itself may get in the way of a rename
            copy(f"{tmp_path}/s/", "/", target=inside)
    assert os.listdir(outside) == []
