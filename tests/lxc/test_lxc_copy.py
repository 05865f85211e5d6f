"""lxc-copy, lxc-clone and lxc-snapshot as whole processes: what becomes of the configuration, who depends on whom, crashes."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from storage_fixtures import Store

pytestmark = pytest.mark.root
#: Runs a tool's main in which the Nth call of some function is the end of the process.
DYING = """\
import os, signal, sys
count, where = int(sys.argv[1]), sys.argv[2].split()
def dying(function):
    def call(*args, **kwargs):
        global count
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call
for name in where:
    setattr(os, name, dying(getattr(os, name)))
from importlib import import_module
sys.exit(import_module("warden.lxc.tools." + sys.argv[3]).main(sys.argv[4:]))
"""


@pytest.fixture
def source(store: Store) -> Path:
    """A container with everything that has to be rewritten."""
    home = store.create("a")
    (home / "hooks").mkdir()
    hook = home / "hooks/start"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    (home / "fstab").write_text(
        f"# {home}/rootfs/stays\nproc {home}/rootfs/proc proc defaults 0 0\n{home}/data  {home}/rootfs/data none bind 0 0\n"
    )
    store.add(
        "a",
        f"""\
# {home}/rootfs in a comment
lxc.network.type = empty
lxc.network.hwaddr = 00:16:3e:01:02:03
lxc.hook.pre-start = {home}/hooks/start {home}/hooks/../fstab
lxc.hook.post-stop = /bin/true
lxc.mount = {home}/fstab
lxc.mount.entry = /srv   {home}/rootfs/srv none bind,optional 0 0
lxc.mount.entry = {home}/data data none bind 0 0
lxc.console.logfile = {home}/console.log
lxc.utsname = old
""",
    )
    return home


def test_what_names_the_old_directory_names_the_new_one(store: Store, source: Path) -> None:
    before = store.text("a")
    store.ok("copy", "-n", "a", "-N", "b")
    new = store.path / "b"
    text = store.text("b")
    assert store.text("a") == before
    assert f"lxc.rootfs.path = dir:{new}/rootfs\n" in text
    assert f"lxc.hook.pre-start = {new}/hooks/start {new}/hooks/../fstab\nlxc.hook.post-stop = /bin/true\n" in text
    assert f"lxc.mount = {new}/fstab\n" in text
    assert f"lxc.mount.entry = /srv   {new}/rootfs/srv none bind,optional 0 0\n" in text
    assert f"lxc.mount.entry = {source}/data data none bind 0 0\n" in text
    assert f"lxc.console.logfile = {new}/console.log\n" in text
    assert f"# {source}/rootfs in a comment\n" in text
    assert text.endswith("lxc.utsname = b\n") and "lxc.uts.name" not in text
    assert re.search(r"lxc.network.hwaddr = 00:16:3e:(?!01:02:03)[0-9a-f:]{8}\n", text)
    assert (new / "fstab").read_text() == (
        f"# {source}/rootfs/stays\nproc {new}/rootfs/proc proc defaults 0 0\n{source}/data  {new}/rootfs/data none bind 0 0\n"
    )
    assert (new / "hooks/start").stat().st_mode & 0o777 == 0o755
    assert (new / "rootfs/etc/hostname").stat().st_mode & 0o7777 == 0o4755
    assert sorted(os.listdir(new)) == ["config", "fstab", "hooks", "rootfs"]
    assert (new.stat().st_mode & 0o7777, (new / "config").stat().st_mode & 0o7777) == (0o770, 0o640)


def test_name_and_address_can_be_kept(store: Store, source: Path) -> None:
    store.ok("copy", "-n", "a", "-N", "b", "-K", "-M")
    assert store.text("b").endswith("lxc.utsname = old\n")
    assert "lxc.network.hwaddr = 00:16:3e:01:02:03\n" in store.text("b")


def test_another_lxcpath(store: Store, source: Path) -> None:
    other = store.root / "other"
    store.ok("copy", "-n", "a", "-N", "a", "-p", f"{other}/")
    assert (other / "a/rootfs/etc/hostname").exists()
    assert f"dir:{other}/a/rootfs" in (other / "a/config").read_text()


def test_the_old_tool(store: Store, source: Path) -> None:
    other = str(store.root / "other")
    store.ok("clone", "-p", str(store.path), "-P", other, "-o", "a", "-n", "b")
    assert f"dir:{other}/b/rootfs" in Path(f"{other}/b/config").read_text()
    store.ok("clone", "-p", str(store.path), "-P", str(store.path), "-s", "a", "c")
    assert store.value("c", "lxc.rootfs.path") == f"overlay:{source}/rootfs:{store.path}/c/overlay/delta"
    assert "two names are needed" in store.refused("clone", "-P", other, "a")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-n", "a", "-N", "a"), "Container already exists"),
        (("-n", "a", "-N", "taken"), "Container already exists"),
        (("-n", "nosuch", "-N", "b"), "Container is not defined"),
        (("-n", "a"), "must provide a NEWNAME"),
        (("-n", "a", "-N", "x/y"), "is not a container's name"),
        (("-n", "a", "-N", "b", "-B", "nosuch"), "is not a kind of storage"),
        (("-n", "a", "-N", "b", "-s", "-B", "loop"), "cannot be loop"),
        (("-n", "a", "-N", "b", "-L", "1"), "is not the size"),
        (("-n", "a", "-N", "b", "-R", "-s"), "--rename copies nothing"),
        (("-n", "a", "-N", "taken", "-R"), "Container already exists"),
        (("-n", "a", "-N", "b", "-D"), "--keepdata needs --ephemeral"),
    ],
)
def test_what_cannot_be_right_changes_nothing(store: Store, words: tuple[str, ...], said: str) -> None:
    store.create("a")
    store.create("taken")
    assert said in store.refused("copy", *words)
    assert sorted(os.listdir(store.path)) == ["a", "taken"]


def test_a_hook_sees_the_new_root_and_may_refuse(store: Store) -> None:
    store.create("a", "--fssize", "16")
    said = store.root / "said"
    hook = store.program("hook", f'#!/bin/sh\necho "$@" $LXC_SRC_NAME $LXC_NAME > {said}; cat $LXC_ROOTFS_MOUNT/etc/hostname >> {said}; echo oh no; exit $CODE\n')
    store.add("a", f"lxc.hook.clone = {hook} own\nlxc.environment.hooks = CODE=0\n")
    store.ok("copy", "-n", "a", "-N", "b", "--", "more", "two words")
    assert said.read_text() == "own b lxc clone more two words a b\na\n"
    store.add("a", "lxc.environment.hooks =\nlxc.environment.hooks = CODE=3\n")
    assert "oh no" in store.refused("copy", "-n", "a", "-N", "c")
    assert sorted(os.listdir(store.path)) == ["a", "b"]


# ---- who depends on whom


def listed(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_a_parent_stays_as_long_as_its_clones(store: Store) -> None:
    home = store.create("a")
    own = str(store.path)
    store.ok("copy", "-n", "a", "-N", "b", "-s")
    store.ok("copy", "-n", "b", "-N", "c", "-s")
    assert listed(home / "lxc_snapshots") == [own, "b", own, "c"]
    assert listed(store.path / "c/lxc_rdepends") == [own, "a"]
    for words in (("destroy", "-n", "a"), ("destroy", "-n", "a", "-s"), ("copy", "-n", "a", "-N", "z", "-R")):
        said = store.refused(*words)
        assert "a has clones" in said and f"{own}/b, {own}/c" in said
    store.ok("destroy", "-n", "b")
    assert listed(home / "lxc_snapshots") == [own, "c"]
    store.ok("destroy", "-n", "c")
    assert not (home / "lxc_snapshots").exists()
    store.ok("destroy", "-n", "a")


def test_a_snapshot_of_a_clone_keeps_the_parent_too(store: Store) -> None:
    store.create("a")
    store.ok("copy", "-n", "a", "-N", "b", "-s")
    store.ok("snapshot", "-n", "b")
    assert listed(store.path / "b/snaps/snap0/lxc_rdepends") == [str(store.path), "a"]
    store.ok("copy", "-n", "b", "-N", "bb", "-R")
    assert listed(store.path / "a/lxc_snapshots")[-3:] == ["snap0", str(store.path), "bb"] or "bb" in listed(store.path / "a/lxc_snapshots")
    assert f"{store.path}/bb/snaps" in listed(store.path / "a/lxc_snapshots")
    store.ok("snapshot", "-n", "bb", "-r", "snap0", "-N", "again")
    store.ok("destroy", "-n", "bb", "-s")
    assert listed(store.path / "a/lxc_snapshots") == [str(store.path), "again"]
    assert "has clones" in store.refused("destroy", "-n", "a")
    store.ok("destroy", "-n", "again")
    store.ok("destroy", "-n", "a")


def test_what_is_listed_and_gone_counts_for_nothing(store: Store) -> None:
    home = store.create("a")
    (home / "lxc_snapshots").write_text(f"{store.path}\ngone\n")
    store.ok("destroy", "-n", "a")


def test_a_number_alone_is_a_refusal(store: Store) -> None:
    home = store.create("a")
    (home / "lxc_snapshots").write_text("2\n")
    assert "2 clones, but not which" in store.refused("destroy", "-n", "a")
    (home / "lxc_snapshots").write_text("0\n")
    store.ok("destroy", "-n", "a")


def test_a_rename_moves_everything(store: Store, source: Path) -> None:
    store.ok("snapshot", "-n", "a")
    store.ok("copy", "-n", "a", "-N", "z", "-R")
    new = store.path / "z"
    assert not source.exists()
    for text in (store.text("z"), store.text("z/snaps/snap0"), (new / "fstab").read_text()):
        lines = [line for line in text.splitlines() if not line.startswith("#") and "/data" not in line]
        assert str(source) + "/" not in "\n".join(lines)
    assert f"lxc.rootfs.path = dir:{new}/rootfs" in store.text("z")
    assert store.text("z").endswith("lxc.utsname = z\n")
    assert "hwaddr = 00:16:3e:01:02:03" in store.text("z")
    assert f"lxc.rootfs.path = dir:{new}/snaps/snap0/rootfs" in store.text("z/snaps/snap0")
    assert not (new / "renamed").exists()
    store.ok("snapshot", "-n", "z", "-r", "snap0")


# ---- snapshots


def test_snapshots_are_listed_with_their_comments(store: Store) -> None:
    store.create("a")
    assert store.ok("snapshot", "-n", "a", "-L") == "No snapshots\n"
    store.ok("snapshot", "-n", "a")
    note = store.root / "note"
    note.write_text("before the\nupdate\n")
    store.ok("snapshot", "-n", "a", "-c", str(note))
    stamp = r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d"
    where = re.escape(f"({store.path}/a/snaps)")
    assert re.fullmatch(f"snap0 {where} {stamp}\nsnap1 {where} {stamp}\n", store.ok("snapshot", "-n", "a", "-L"))
    assert store.ok("snapshot", "-n", "a", "-L", "-C").endswith("before the\nupdate\n")
    home = store.path / "a/snaps/snap1"
    assert sorted(os.listdir(home)) == ["comment", "config", "rootfs", "ts"]
    store.ok("snapshot", "-n", "a", "-d", "snap0")
    store.ok("snapshot", "-n", "a")
    assert [line.split()[0] for line in store.ok("snapshot", "-n", "a", "-L").splitlines()] == ["snap0", "snap1"]
    for words in (("-d", "snap7"), ("-r", "snap7"), ("-r", "../../a"), ("-C",)):
        store.refused("snapshot", "-n", "a", *words)
    store.ok("snapshot", "-n", "a", "-d", "ALL")
    assert os.listdir(store.path / "a") == ["config", "rootfs"] or sorted(os.listdir(store.path / "a")) == ["config", "rootfs"]


def test_a_container_is_as_it_was(store: Store, source: Path) -> None:
    store.ok("snapshot", "-n", "a")
    before = store.text("a")
    (source / "rootfs/etc/hostname").unlink()
    (source / "rootfs/later").mkdir()
    (source / "fstab").write_text("")
    store.add("a", "lxc.tty.max = 9\n")
    store.ok("snapshot", "-n", "a", "-r", "snap0")
    assert store.text("a") == before
    assert sorted(os.listdir(source / "rootfs")) == ["dev", "etc"] and (source / "rootfs/etc/hostname").exists()
    assert f"proc {source}/rootfs/proc proc" in (source / "fstab").read_text()
    assert (source / "hooks/start").exists()
    assert not (source / ".restore").exists()
    store.ok("snapshot", "-n", "a", "-r", "snap0", "-N", "b")
    assert store.value("b", "lxc.rootfs.path") == f"dir:{store.path}/b/rootfs"
    assert store.value("b", "lxc.utsname") == "b"
    assert "a has snapshots" in store.refused("destroy", "-n", "a")
    store.ok("destroy", "-n", "a", "-s")


def test_a_parent_is_not_restored_below_its_clones(store: Store) -> None:
    store.create("a")
    store.ok("snapshot", "-n", "a")
    store.ok("copy", "-n", "a", "-N", "b", "-s")
    assert "must not change" in store.refused("snapshot", "-n", "a", "-r", "snap0")


# ---- crashes


@pytest.mark.parametrize("count", range(0, 12))
def test_a_restoration_that_was_cut_off_is_all_or_nothing(store: Store, source: Path, count: int) -> None:
    store.ok("snapshot", "-n", "a")
    before = store.text("a")
    (source / "rootfs/etc/hostname").unlink()
    store.add("a", "lxc.tty.max = 9\n")
    changed = store.text("a")
    words = ("-P", str(store.path), "-n", "a", "-r", "snap0")
    status = store.python(DYING, str(count), "rename replace", "snapshot", *words)
    assert status in (0, -signal.SIGKILL)
    store.ok("snapshot", "-n", "a", "-L")  # whoever comes next finishes it
    restored = (source / "rootfs/etc/hostname").exists()
    assert store.text("a") == (before if restored else changed)
    assert restored or status != 0
    assert not (source / ".restore").exists()
    assert "snap0" in store.ok("snapshot", "-n", "a", "-L")


@pytest.mark.parametrize("count", range(0, 9))
def test_a_rename_that_was_cut_off_is_all_or_nothing(store: Store, count: int) -> None:
    store.create("base")
    store.ok("copy", "-n", "base", "-N", "a", "-s")
    words = ("-P", str(store.path), "-n", "a", "-N", "z", "-R")
    status = store.python(DYING, str(count), "rename replace unlink", "copy", *words)
    name = "z" if (store.path / "z").exists() else "a"
    assert (store.path / "a").exists() != (store.path / "z").exists()
    assert status == -signal.SIGKILL or name == "z"
    assert store.ok("snapshot", "-n", name, "-L") == "No snapshots\n"
    assert store.value(name, "lxc.rootfs.path").endswith(f":{store.path}/{name}/overlay/delta")
    assert listed(store.path / "base/lxc_snapshots") == [str(store.path), name]
    store.ok("destroy", "-n", name)
    store.ok("destroy", "-n", "base")


@pytest.mark.parametrize("count", range(0, 6))
def test_a_copy_that_was_cut_off_is_not_there(store: Store, source: Path, count: int) -> None:
    words = ("-P", str(store.path), "-n", "a", "-N", "b", "-s")
    status = store.python(DYING, str(count), "replace", "copy", *words)
    if status == 0:
        return
    assert (store.path / "b/partial").exists()
    store.ok("copy", "-n", "a", "-N", "b", "-s")
    assert listed(source / "lxc_snapshots") == [str(store.path), "b"]
    store.ok("destroy", "-n", "b")
    store.ok("destroy", "-n", "a")


def test_a_snapshot_that_was_cut_off_is_not_listed(store: Store) -> None:
    store.create("a")
    words = ("-P", str(store.path), "-n", "a")
    assert store.python(DYING, "1", "replace", "snapshot", *words) == -signal.SIGKILL
    assert store.ok("snapshot", "-n", "a", "-L") == "No snapshots\n"
    store.ok("snapshot", "-n", "a")
    assert store.ok("snapshot", "-n", "a", "-L").startswith("snap0 ")
