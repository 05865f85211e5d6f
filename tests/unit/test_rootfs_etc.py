"""The container's own /etc: texts, users, and reading what somebody hostile put there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden.errors import ImageError, JobFailed
from warden.rootfs import etc
from warden.rootfs.etc import FileToWrite, User, container_files, find_user, read_in_container, resolv_conf

PASSWD = b"root:x:0:0:root:/root:/bin/bash\nvcap:x:1000:1000:old:/elsewhere:/bin/false\nwww:x:33:33::/var/www:\n"
GROUP = b"root:x:0:\nvcap:x:1000:\nadm:x:4:www,syslog\nvideo:x:44:www\nwww:x:33:\n"


def files_of(lower: Path, **changes: object) -> dict[str, FileToWrite]:
    options = {"hostname": "box", "container_ip": "10.254.0.2", "resolv_conf": b"nameserver 192.0.2.1\n", **changes}
    found = container_files(str(lower), vcap_uid=20000, **options)  # type: ignore[arg-type]
    return {file.path: file for file in found}


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    (tmp_path / "lower/etc").mkdir(parents=True)
    (tmp_path / "lower/home").mkdir()
    (tmp_path / "lower/etc/passwd").write_bytes(PASSWD)
    (tmp_path / "lower/etc/group").write_bytes(GROUP)
    return tmp_path / "lower"


@pytest.fixture
def root_fd(lower: Path) -> Iterator[int]:
    fd = os.open(lower, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_vcap_takes_the_place_of_the_images_own(lower: Path) -> None:
    files = files_of(lower)
    passwd = files["etc/passwd"].content or b""
    assert passwd.splitlines() == [
        b"root:x:0:0:root:/root:/bin/bash",
        b"www:x:33:33::/var/www:",
        b"vcap:x:20000:20000::/home/vcap:/bin/bash",
    ]
    group = files["etc/group"].content or b""
    assert group.count(b"vcap") == 1
    assert group.endswith(b"\nvcap:x:20000:\n")


def test_an_image_without_users_gets_root_and_vcap(tmp_path: Path) -> None:
    files = files_of(tmp_path, shell="/bin/sh")
    assert files["etc/passwd"].content == (b"root:x:0:0:root:/root:/bin/sh\nvcap:x:20000:20000::/home/vcap:/bin/sh\n")
    assert files["etc"].mode == files["home"].mode == 0o755


def test_a_text_without_a_final_newline_keeps_its_last_line() -> None:
    assert etc.group_with_vcap(b"root:x:0:\nadm:x:4:", 7) == b"root:x:0:\nadm:x:4:\nvcap:x:7:\n"


@pytest.mark.parametrize(("ip", "line"), [("10.254.0.2", b"10.254.0.2 box"), ("", b"127.0.1.1 box")])
def test_hosts_and_hostname(lower: Path, ip: str, line: bytes) -> None:
    files = files_of(lower, container_ip=ip)
    hosts = (files["etc/hosts"].content or b"").splitlines()
    assert hosts[0] == b"127.0.0.1 localhost"
    assert hosts[1].startswith(b"::1 localhost")
    assert hosts[2] == line
    assert files["etc/hostname"].content == b"box\n"
    assert files["etc/resolv.conf"].content == b"nameserver 192.0.2.1\n"


@pytest.mark.parametrize("name", ["etc", "home"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_an_image_whose_directory_is_something_else_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    if kind == "link":
        (tmp_path / name).symlink_to("elsewhere")
    else:
        (tmp_path / name).touch()
    with pytest.raises(ImageError, match=f"/{name} is not a directory"):
        files_of(tmp_path)


def test_an_image_whose_passwd_is_no_file_is_refused(lower: Path) -> None:
    (lower / "etc/passwd").unlink()
    os.mkfifo(lower / "etc/passwd")
    with pytest.raises(ImageError, match="etc/passwd"):
        files_of(lower)


@pytest.mark.parametrize(
    ("servers", "host_text", "host_ip", "expected"),
    [
        (["192.0.2.1", "192.0.2.2"], b"nameserver 127.0.0.1\n", "h", b"nameserver 192.0.2.1\nnameserver 192.0.2.2\n"),
        ([], b"nameserver 127.0.0.1\n", "10.254.0.1", b"nameserver 10.254.0.1\n"),
        ([], b"nameserver 127.0.0.1", "10.254.0.1", b"nameserver 10.254.0.1\n"),
        ([], b"nameserver 127.0.0.1\n", "", b"nameserver 127.0.0.1\n"),
        ([], b"search a\nnameserver 127.0.0.1\n", "10.254.0.1", b"search a\nnameserver 127.0.0.1\n"),
        ([], b"", "10.254.0.1", b""),
    ],
)
def test_resolv_conf(servers: list[str], host_text: bytes, host_ip: str, expected: bytes) -> None:
    assert resolv_conf(servers, host_text, host_ip) == expected


def test_users_are_found_by_name_and_number() -> None:
    expected = User("www", 33, 33, "/var/www", "/bin/sh", (4, 44))
    assert find_user(PASSWD, GROUP, "www") == expected
    assert find_user(PASSWD, GROUP, "33") == expected
    assert find_user(PASSWD, GROUP, "root") == User("root", 0, 0, "/root", "/bin/bash", ())


def test_a_user_named_like_a_number_comes_before_the_number() -> None:
    passwd = b"33:x:7:7::/seven:/bin/sh\n" + PASSWD
    assert find_user(passwd, b"", "33").uid == 7


@pytest.mark.parametrize("name", ["nobody", "", "99", "-1", "4294967295", "+", "root:x", "root\n"])
def test_an_unknown_user_says_so(name: str) -> None:
    with pytest.raises(JobFailed) as caught:
        find_user(PASSWD + b"+:x:5:5::/:\n", GROUP, name)
    assert str(caught.value) == f"user {name!r}: not in the container's passwd"


@pytest.mark.parametrize(
    "line",
    [
        b"eve:x:0",
        b"eve:x::0::/:/bin/sh",
        b"eve:x:-1:0::/:/bin/sh",
        b"eve:x:4294967295:0::/:/bin/sh",
        b"eve:x:99999999999999999999:0::/:/bin/sh",
        b"eve:x:1:zero::/:/bin/sh",
        b"eve:x:1:1::/:/bin/sh:more",
        b"eve:x:1:1:\0:/:/bin/sh",
        "eve:x:\u0661:1::/:/bin/sh".encode(),
        b"\xff" * 100_000,
    ],
)
def test_lines_that_make_no_sense_are_passed_over(line: bytes) -> None:
    with pytest.raises(JobFailed):
        find_user(line + b"\n" + PASSWD, GROUP, "eve")
    assert find_user(line + b"\n" + PASSWD, line + b"\n" + GROUP, "www").groups == (4, 44)


def test_a_home_that_is_no_absolute_path_becomes_the_root() -> None:
    assert find_user(b"eve:x:1:1::relative:\n", b"", "eve") == User("eve", 1, 1, "/", "/bin/sh")


def test_a_file_is_read(root_fd: int) -> None:
    assert read_in_container(root_fd, "etc/passwd") == PASSWD
    assert read_in_container(root_fd, "/etc/passwd", limit=len(PASSWD)) == PASSWD


def test_a_link_out_of_the_container_stays_inside(lower: Path, root_fd: int) -> None:
    (lower.parent / "secret").write_text("secret")
    (lower / "etc/shadow").symlink_to(lower.parent / "secret")
    (lower / "etc/up").symlink_to("../../secret")
    for name in ("etc/shadow", "etc/up"):
        with pytest.raises(FileNotFoundError):
            read_in_container(root_fd, name)


@pytest.mark.parametrize(
    ("kind", "number"),
    [("fifo", errno.EINVAL), ("directory", errno.EINVAL), ("large", errno.EFBIG), ("absent", errno.ENOENT)],
)
def test_what_is_no_small_file_is_refused_at_once(lower: Path, root_fd: int, kind: str, number: int) -> None:
    path = lower / "etc/object"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "large":
        path.touch()
        os.truncate(path, 1 << 40)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as caught:
        read_in_container(root_fd, "etc/object")
    assert caught.value.errno == number
    assert len(os.listdir("/proc/self/fd")) == before
