"""The image store: names, generations, and what goes into the image of the machine itself."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from warden.errors import BadInput, ImageError
from warden.model.spec import Mount
from warden.rootfs import builders, host, images
from warden.rootfs.generation import Progress, Recipe
from warden.rootfs.images import ImageStore


def quiet(line: str) -> None:
    del line


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path / "images"))


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A recipe named sample that counts its uses and can be told to fail."""
    uses: list[str] = []

    def build(root: str, progress: Progress) -> Recipe:
        uses.append(root)
        Path(root, "number").write_text(str(len(uses)))
        progress("one line")
        if "fail" in uses:
            raise ImageError("image sample: told to fail")
        return Recipe("/bin/sh", (Mount("/usr", "/usr"),), "stamp")

    monkeypatch.setitem(images._RECIPES, "sample", build)
    return uses


def test_a_built_image_is_found_listed_and_removed(store: ImageStore, recipe: list[str]) -> None:
    lines: list[str] = []
    built = store.build("sample", lines.append)
    assert lines == ["one line"]
    assert store.find("sample") == built
    assert (built.shell, built.binds) == ("/bin/sh", (Mount("/usr", "/usr"),))
    assert Path(built.lower, "number").read_text() == "1"
    (info,) = store.list()
    assert (info.name, info.path) == ("sample", built.lower)
    assert info.size_bytes > 0
    store.remove("sample")
    assert store.list() == []
    assert not os.path.exists(built.lower)


def test_a_new_generation_replaces_the_old_one(store: ImageStore, recipe: list[str]) -> None:
    first = store.build("sample", quiet)
    second = store.build("sample", quiet)
    assert store.find("sample") == second
    assert Path(first.lower, "number").read_text() == "1"
    assert store.prune() == 1
    assert not os.path.exists(first.lower)
    assert store.prune() == 0
    assert store.find("sample") == second


def test_a_failed_build_leaves_nothing_and_keeps_the_old_one(store: ImageStore, recipe: list[str]) -> None:
    built = store.build("sample", quiet)
    before = sorted(os.listdir(os.path.join(store.path, "sample")))
    recipe.append("fail")
    with pytest.raises(ImageError, match="told to fail"):
        store.build("sample", quiet)
    assert sorted(os.listdir(os.path.join(store.path, "sample"))) == before
    assert store.find("sample") == built


def test_a_build_that_was_killed_is_invisible_and_swept(store: ImageStore, recipe: list[str]) -> None:
    left = Path(store.path, "sample", ".new-killed", "rootfs")
    left.mkdir(parents=True)
    assert store.list() == []
    with pytest.raises(ImageError, match="not found"):
        store.find("sample")
    store.build("sample", quiet)
    assert not left.exists()
    link = Path(store.path, "sample", ".new-link")
    link.symlink_to("nowhere")
    store.build("sample", quiet)
    assert not link.is_symlink()


def test_concurrent_builds_wait_for_each_other(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[int] = []
    most: list[int] = []
    gate = threading.Event()

    def build(root: str, progress: Progress) -> Recipe:
        inside.append(1)
        most.append(len(inside))
        gate.wait(0.05)
        inside.pop()
        return Recipe("/bin/sh")

    monkeypatch.setitem(images._RECIPES, "sample", build)
    threads = [threading.Thread(target=store.build, args=("sample", quiet)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_an_unknown_image_names_those_that_exist(store: ImageStore, recipe: list[str]) -> None:
    store.build("sample", quiet)
    with pytest.raises(ImageError) as caught:
        store.find("debian")
    assert "warden image build debian" in caught.value.hint
    assert "there are: sample" in caught.value.hint
    with pytest.raises(ImageError, match="no recipe"):
        store.build("windows", quiet)
    with pytest.raises(ImageError, match="not found"):
        store.remove("windows")


@pytest.mark.parametrize("name", ["", "..", ".new-x", "a/b", "A", "-a", "a" * 65, "a\n", "\u00e4"])
def test_names_that_could_leave_the_store_are_refused(store: ImageStore, name: str) -> None:
    for call in (store.find, store.remove, lambda wanted: store.build(wanted, quiet)):
        with pytest.raises(BadInput):
            call(name)
    assert not os.path.exists(store.path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"binds": 3}', "\xff"])
def test_a_broken_record_is_as_good_as_none(store: ImageStore, recipe: list[str], text: str) -> None:
    built = store.build("sample", quiet)
    Path(built.lower).parent.joinpath("image.json").write_text(text, encoding="latin-1")
    assert store.list() == []
    with pytest.raises(ImageError, match="not found"):
        store.find("sample")
    again = store.build("sample", quiet)
    assert store.find("sample") == again


def test_any_directory_is_an_image(store: ImageStore, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("/usr/bin")
    assert store.from_directory(str(root)).shell == "/bin/sh"
    (root / "usr/bin/bash").touch(0o755)
    image = store.from_directory(str(root))
    assert (image.lower, image.binds, image.shell) == (str(root), (), "/bin/bash")


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_rootfs_that_is_no_directory_says_wardens_words(store: ImageStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / name)
    with pytest.raises(BadInput) as caught:
        store.from_directory(path)
    assert str(caught.value) == f"rootfs {path} not found"


@pytest.fixture
def machine(tmp_path: Path) -> str:
    """A small machine with secrets where careless copying would find them."""
    root = tmp_path / "machine"
    for name in ("usr/bin", "usr/share/zone", "etc/alternatives", "etc/ssl/certs", "etc/ssl/private", "etc/terminfo/x"):
        (root / name).mkdir(parents=True)
    (root / "usr/bin/bash").touch(0o755)
    (root / "usr/bin/editor").touch(0o755)
    (root / "usr/share/zone/UTC").write_text("zone")
    (root / "usr/share/ca.pem").write_text("public")
    (root / "bin").symlink_to("usr/bin")
    (root / "sbin").mkdir()
    for name in ("passwd", "shadow", "hostname", "hosts", "resolv.conf", "machine-id", "ssl/private/key"):
        (root / "etc" / name).write_text("SECRET")
    (root / "etc/ssl/certs/machine.pem").write_text("SECRET")
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("bundle")
    (root / "etc/ssl/certs/ca.pem").symlink_to(root / "usr/share/ca.pem")
    (root / "etc/alternatives/editor").symlink_to(root / "usr/bin/editor")
    (root / "etc/alternatives/leak").symlink_to(root / "etc/shadow")
    (root / "etc/terminfo/x/entry").write_text("terminal")
    (root / "etc/terminfo/x/closed").write_text("SECRET")
    (root / "etc/terminfo/x/closed").chmod(0o640)
    (root / "etc/localtime").symlink_to(root / "usr/share/zone/UTC")
    (root / "etc/services").write_text("ssh 22/tcp\n")
    return str(root) + "/"


@pytest.fixture
def skeleton(tmp_path: Path, machine: str) -> tuple[Path, Recipe]:
    old = os.umask(0o077)
    try:
        root = tmp_path / "skeleton"
        root.mkdir()
        return root, host.build(str(root), quiet, machine)
    finally:
        os.umask(old)


def test_the_host_image_binds_usr_and_what_is_not_merged(skeleton: tuple[Path, Recipe], machine: str) -> None:
    root, recipe = skeleton
    assert recipe.binds == (Mount(f"{machine}usr", "/usr"), Mount(f"{machine}sbin", "/sbin"))
    assert os.readlink(root / "bin") == "usr/bin"
    assert (root / "sbin").is_dir()
    assert os.listdir(root / "usr") == []
    assert recipe.shell == "/bin/bash"


def test_the_host_image_has_no_secrets(skeleton: tuple[Path, Recipe]) -> None:
    root, _recipe = skeleton
    etc_files = {path.name for path in (root / "etc").rglob("*")}
    assert not etc_files & {"shadow", "hostname", "hosts", "resolv.conf", "machine-id", "private", "key", "closed"}
    assert not etc_files & {"leak", "machine.pem"}
    texts = [path.read_text() for path in (root / "etc").rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(texts) > 8
    assert not any("SECRET" in text for text in texts)


def test_the_host_image_has_what_programs_need(skeleton: tuple[Path, Recipe]) -> None:
    root, _recipe = skeleton
    assert (root / "etc/ssl/certs/ca-certificates.crt").read_text() == "bundle"
    assert (root / "etc/terminfo/x/entry").read_text() == "terminal"
    assert all((root / f"etc/{link}").is_symlink() for link in ("alternatives/editor", "localtime", "ssl/certs/ca.pem"))
    assert [line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()] == ["root", "nobody"]


def test_modes_are_exact_whatever_the_umask(skeleton: tuple[Path, Recipe]) -> None:
    root, _recipe = skeleton

    def mode(name: str) -> int:
        return stat.S_IMODE((root / name).stat().st_mode)

    assert {name: mode(name) for name in ("tmp", "var/tmp", "root", "etc/ssl", "etc/ssl/certs", "etc/passwd")} == {
        "tmp": 0o1777,
        "var/tmp": 0o1777,
        "root": 0o700,
        "etc/ssl": 0o755,
        "etc/ssl/certs": 0o755,
        "etc/passwd": 0o644,
    }


def test_the_stamp_changes_with_the_machine(machine: str) -> None:
    before = host.stamp(machine)
    assert host.stamp(machine) == before
    os.utime(os.path.join(machine, "etc/alternatives"), (1, 1))
    assert host.stamp(machine) != before


def test_host_is_built_on_first_use_and_again_when_the_machine_changes(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.find("host")
    assert Mount("/usr", "/usr") in first.binds
    assert store.find("host") == first
    assert store.build("host", quiet) == first
    monkeypatch.setattr(host, "_FORMAT", "next")
    second = store.find("host")
    assert second.lower != first.lower
    assert os.path.isdir(first.lower)
    assert store.find("host") == second


def test_sources_are_the_distributions_own_and_the_release_comes_first() -> None:
    targets = "\n".join(
        "|".join(fields)
        for fields in [
            ("http://a/debian/", "one-updates", "main", "Debian", "/key.gpg"),
            ("http://b/", "one", "main", "Somebody", "$(SIGNED_BY)"),
            ("http://a/debian/", "one", "main", "Debian", "/key.gpg"),
            ("http://a/debian/", "one", "contrib", "Debian", "/key.gpg"),
        ]
    )
    assert [source.line() for source in builders.debian_sources(targets)] == [
        "deb [signed-by=/key.gpg] http://a/debian/ one main contrib",
        "deb [signed-by=/key.gpg] http://a/debian/ one-updates main",
    ]
    assert builders.debian_sources("") == []


def test_a_tool_that_fails_is_quoted(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(ImageError, match="ended with 3: first") as caught:
        builders._run(["sh", "-c", "echo first; echo last words >&2; exit 3"], lines.append)
    assert lines == ["first", "last words"]
    assert "first\nlast words" in str(caught.value)


def test_static_programs_are_told_from_others(tmp_path: Path) -> None:
    assert not builders.is_static(str(tmp_path / "absent"))
    (tmp_path / "text").write_text("#!/bin/sh\n" * 20)
    assert not builders.is_static(str(tmp_path / "text"))
    assert not builders.is_static(os.path.realpath("/bin/sh"))
