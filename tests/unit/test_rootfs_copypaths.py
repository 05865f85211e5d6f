"""What the paths of a copy mean. That rsync means the same is compared in tests/kernel/test_rootfs_transfer.py."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from warden.errors import BadInput
from warden.rootfs import copypaths
from warden.rootfs.copypaths import Owner, Placing, Source, There


@pytest.mark.parametrize(
    ("path", "meaning"),
    [
        ("/a/b", Source("/a", "b")),
        ("/a", Source("/", "a")),
        ("a", Source(".", "a")),
        ("a b\udcff", Source(".", "a b\udcff")),
        ("/a/b/", Source("/a/b/", "")),
        ("/a/.", Source("/a/.", "")),
        ("/a/..", Source("/a/..", "")),
        ("/", Source("/", "")),
        (".", Source(".", "")),
        ("/a//b", Source("/a", "b")),
        ("/a/...", Source("/a", "...")),
    ],
)
def test_a_slash_at_the_end_means_the_contents(path: str, meaning: Source) -> None:
    assert copypaths.parse_source(path) == meaning


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_no_path_can_be(path: str) -> None:
    with pytest.raises(BadInput, match="copy_in: source"):
        copypaths.check_path("copy_in: source", path)


def test_paths_of_the_host_are_absolute() -> None:
    copypaths.check_host_path("source", "/a")
    with pytest.raises(BadInput, match="'a/b' is relative"):
        copypaths.check_host_path("source", "a/b")


@pytest.mark.parametrize("is_directory", [True, False])
def test_an_existing_directory_is_gone_into(is_directory: bool) -> None:
    for path in ("/d", "/d/"):
        found = copypaths.placing(path, There.DIRECTORY, is_directory=is_directory, is_empty=False)
        assert found is Placing.INTO


@pytest.mark.parametrize(
    ("path", "is_directory", "is_empty", "placing"),
    [
        ("/new", False, False, Placing.AS),
        ("/new/", False, False, Placing.MAKE),
        ("/new", True, False, Placing.MAKE),
        ("/new", True, True, Placing.AS),
        ("/new/", True, True, Placing.MAKE),
    ],
)
def test_a_missing_destination(path: str, is_directory: bool, is_empty: bool, placing: Placing) -> None:
    assert copypaths.placing(path, There.MISSING, is_directory=is_directory, is_empty=is_empty) is placing


def test_a_directory_does_not_replace_a_file() -> None:
    assert copypaths.placing("/f", There.OTHER, is_directory=False, is_empty=False) is Placing.AS
    for path, is_directory in (("/f", True), ("/f/", False)):
        with pytest.raises(BadInput, match="not a directory"):
            copypaths.placing(path, There.OTHER, is_directory=is_directory, is_empty=True)


def test_owners_as_chown_reads_them() -> None:
    nobody, daemon = pwd.getpwnam("nobody"), grp.getgrnam("daemon").gr_gid
    assert copypaths.host_owner("") == Owner()
    assert not copypaths.host_owner("")
    assert copypaths.host_owner("nobody") == Owner(nobody.pw_uid, -1)
    assert copypaths.host_owner("nobody:") == Owner(nobody.pw_uid, nobody.pw_gid)
    assert copypaths.host_owner("nobody:daemon") == Owner(nobody.pw_uid, daemon)
    assert copypaths.host_owner(":daemon") == Owner(-1, daemon)
    assert copypaths.host_owner("12345:54321") == Owner(12345, 54321)
    assert copypaths.host_owner("0") and copypaths.host_owner("0") == Owner(0, -1)


@pytest.mark.parametrize("text", ["no-such-user", "root:no-such-group", "-1", "4294967295", "4294967:", "1 2", "٣"])
def test_owners_that_are_nobody(text: str) -> None:
    with pytest.raises(BadInput, match="owner: "):
        copypaths.host_owner(text)


def test_split() -> None:
    assert copypaths.split("/a/b//") == ("/a", "b")
    assert copypaths.split("b/") == (".", "b")
    assert copypaths.split("/b") == ("/", "b")
    assert os.path.join(*copypaths.split("/a/b")) == "/a/b"
