"""Kinds of storage on the real thing: loop files, overlay mounts, a btrfs in a loop file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage_fixtures import Store, new_store

from warden.kernel import btrfs
from warden.kernel.mounts import have_filesystem

pytestmark = [pytest.mark.root]
MIB = 1 << 20


def seen(store: Store, image: Path) -> dict[str, str]:
    """The names in a file system in a file, and what is in etc/hostname."""
    script = 'mount --make-rprivate / && mount -o loop,ro "$0" /mnt && ls /mnt && cat /mnt/etc/hostname'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, image], check=True, capture_output=True, text=True)
    *names, name = done.stdout.split()
    return {"names": " ".join(names), "hostname": name}


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_loop(store: Store, fstype: str) -> None:
    if not have_filesystem(fstype) or shutil.which(f"mkfs.{fstype}", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip(f"no {fstype} here")
    home = store.create("c", "-B", "loop", "--fstype", fstype, "--fssize", "320M")
    assert store.value("c", "lxc.rootfs.path") == f"loop:{home}/rootdev"
    assert (home / "rootdev").stat().st_size == 320 * MIB
    assert (home / "rootdev").stat().st_blocks * 512 < 160 * MIB
    assert (home / "rootdev").stat().st_mode & 0o7777 == 0o600
    assert os.listdir(home / "rootfs") == []
    assert seen(store, home / "rootdev") == {"names": "dev etc", "hostname": "c"}

    store.ok("copy", "-n", "c", "-N", "d")
    assert store.value("d", "lxc.rootfs.path") == f"loop:{store.path}/d/rootdev"
    assert seen(store, store.path / "d/rootdev")["hostname"] == "c"
    assert (store.path / "d/rootdev").stat().st_blocks <= (home / "rootdev").stat().st_blocks + 64
    for name in ("c", "d"):
        store.ok("destroy", "-n", name)
    assert os.listdir(store.path) == []


def test_fssize_alone_means_loop_and_mebibytes(store: Store) -> None:
    home = store.create("c", "--fssize", "24")
    assert (home / "rootdev").stat().st_size == 24 * MIB


def test_loop_has_no_clones_but_copies_of_another_kind(store: Store) -> None:
    store.create("c", "--fssize", "24")
    assert "loop has no snapshots" in store.refused("copy", "-n", "c", "-N", "d", "-s")
    assert "no overlay over loop" in store.refused("copy", "-n", "c", "-N", "d", "-s", "-B", "overlay")
    store.ok("copy", "-n", "c", "-N", "d", "-B", "dir")
    assert (store.path / "d/rootfs/etc/hostname").read_text() == "c\n"
    store.ok("copy", "-n", "d", "-N", "e", "-B", "loop", "-L", "32M")
    assert (store.path / "e/rootdev").stat().st_size == 32 * MIB
    assert seen(store, store.path / "e/rootdev")["hostname"] == "c"
    store.ok("snapshot", "-n", "c")
    assert store.value("c/snaps/snap0", "lxc.rootfs.path") == f"loop:{store.path}/c/snaps/snap0/rootdev"
    store.ok("snapshot", "-n", "c", "-r", "snap0")
    assert store.value("c", "lxc.rootfs.path") == f"loop:{store.path}/c/rootdev"


def test_loop_that_is_full_leaves_nothing(store: Store) -> None:
    store.create("big")
    (store.path / "big/rootfs/data").write_bytes(os.urandom(16 * MIB))
    assert "No space left" in store.refused("copy", "-n", "big", "-N", "d", "-B", "loop", "-L", "8M")
    assert os.listdir(store.path) == ["big"]


def test_overlay_begins_below_and_changes_above(store: Store) -> None:
    home = store.create("c", "-B", "overlay")
    assert store.value("c", "lxc.rootfs.path") == f"overlay:{home}/rootfs:{home}/overlay/delta"
    assert (home / "rootfs/etc/hostname").exists() and os.listdir(home / "overlay/delta") == []
    (home / "overlay/delta/etc").mkdir()
    (home / "overlay/delta/etc/new").write_text("")
    store.ok("copy", "-n", "c", "-N", "whole")
    assert sorted(os.listdir(store.path / "whole/rootfs/etc")) == ["arguments", "hostname", "new"]
    store.ok("copy", "-n", "c", "-N", "clone", "-s")
    assert store.value("clone", "lxc.rootfs.path") == f"overlay:{home}/rootfs:{store.path}/clone/overlay/delta"
    assert "has clones" in store.refused("destroy", "-n", "c")
    store.ok("destroy", "-n", "clone")
    store.ok("snapshot", "-n", "c")
    snap = f"{home}/snaps/snap0"
    assert store.value("c/snaps/snap0", "lxc.rootfs.path") == f"overlay:{snap}/rootfs:{snap}/overlay/delta"
    (home / "rootfs/etc/hostname").unlink()
    store.ok("snapshot", "-n", "c", "-r", "snap0")
    assert (home / "rootfs/etc/hostname").exists() and (home / "overlay/delta/etc/new").exists()
    store.ok("destroy", "-n", "c", "-s")


@pytest.mark.parametrize("kind", ["dir", "overlay"])
def test_the_root_of_a_clone_belongs_to_whom_the_original_belongs(store: Store, kind: str) -> None:
    """Of an overlay the upper directory's owner is what is seen."""
    store.config.write_text("lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 200000 65536\n")
    store.create("c", "-B", kind)
    (store.path / "c/rootfs").chmod(0o750)
    store.ok("copy", "-n", "c", "-N", "clone", "-s")
    for path in ["clone/overlay/delta", *(["c/overlay/delta"] if kind == "overlay" else [])]:
        status = (store.path / path).stat()
        assert (status.st_uid, status.st_gid) == (100000, 200000)
        assert kind == "overlay" or status.st_mode & 0o777 == 0o750


def test_a_clone_keeps_the_parent_whose_root_is_elsewhere(store: Store) -> None:
    outside = store.root / "outside"
    store.create("a", "--dir", str(outside))
    store.ok("copy", "-n", "a", "-N", "b", "-s")
    store.ok("copy", "-n", "b", "-N", "c", "-s")
    for name in ("b", "c"):
        assert "has clones" in store.refused("destroy", "-n", "a", "--remove-rootfs")
        store.ok("destroy", "-n", name)
    store.ok("destroy", "-n", "a", "--remove-rootfs")
    assert not outside.exists()


def test_a_directory_named_work_beside_an_overlay_is_not_its_own(store: Store) -> None:
    for name in ("base", "mine/delta", "mine/work/thesis", "its/delta", "its/work/work"):
        (store.root / name).mkdir(parents=True)
    for name in ("mine", "its"):
        store.ok("create", "-n", "c", "-t", "none", "-f", str(store.config))
        store.add("c", f"lxc.rootfs.path = overlay:{store.root}/base:{store.root}/{name}/delta\n")
        store.ok("destroy", "-n", "c", "--remove-rootfs")
    assert os.listdir(store.root / "mine") == ["work"] and os.listdir(store.root / "its") == []


def test_a_root_that_has_the_copy_in_it_is_not_copied(store: Store) -> None:
    store.ok("create", "-n", "c", "-t", "none", "-f", str(store.config))
    store.add("c", f"lxc.rootfs.path = {store.root}\n")
    assert "cannot be copied into itself" in store.refused("copy", "-n", "c", "-N", "d")
    assert os.listdir(store.path) == ["c"]


def test_deleted_and_replaced_files_stay_so_in_a_clone_of_a_clone(store: Store) -> None:
    store.create("base")
    store.ok("copy", "-n", "base", "-N", "one", "-s")
    lower, delta = store.path / "base/rootfs", store.path / "one/overlay/delta"
    script = (
        "mount --make-rprivate /; mount -t overlay -o lowerdir=$0,upperdir=$1,workdir=$2 none /mnt; "
        "rm /mnt/etc/arguments; rm -r /mnt/dev; mkdir /mnt/dev; touch /mnt/dev/fresh"
    )
    subprocess.run(["unshare", "-m", "sh", "-ec", script, lower, delta, store.path / "one/overlay/work"], check=True)
    store.ok("copy", "-n", "one", "-N", "two", "-s")
    store.ok("copy", "-n", "two", "-N", "flat")
    root = store.path / "flat/rootfs"
    assert os.listdir(root / "etc") == ["hostname"] and os.listdir(root / "dev") == ["fresh"]
    assert store.value("flat", "lxc.rootfs.path") == f"dir:{root}"
    assert not (store.path / "flat/lxc_rdepends").exists()


def test_a_path_with_what_options_are_separated_by(store: Store) -> None:
    outside = store.root / "a,b\\c"
    store.create("c", "--dir", str(outside))
    store.ok("copy", "-n", "c", "-N", "d", "-s")
    store.ok("copy", "-n", "d", "-N", "e")
    assert (store.path / "e/rootfs/etc/hostname").read_text() == "c\n"


@pytest.fixture
def on_btrfs(tmp_path: Path) -> Iterator[Store]:
    if not have_filesystem("btrfs") or shutil.which("mkfs.btrfs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("no btrfs here")
    image, point = tmp_path / "image", tmp_path / "btrfs"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(256 * MIB)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        store = Store(point)
        yield store
    finally:
        subprocess.run(["umount", point], check=True)


def test_btrfs_is_the_best_where_it_is(on_btrfs: Store) -> None:
    store = on_btrfs
    home = store.create("c", "-B", "best")
    assert store.value("c", "lxc.rootfs.path") == f"btrfs:{home}/rootfs"
    assert btrfs.is_subvolume(str(home / "rootfs"))
    store.ok("copy", "-n", "c", "-N", "d", "-s")
    assert store.value("d", "lxc.rootfs.path") == f"btrfs:{store.path}/d/rootfs"
    assert btrfs.is_subvolume(str(store.path / "d/rootfs"))
    store.ok("destroy", "-n", "c")  # a clone depends on nothing
    assert (store.path / "d/rootfs/etc/hostname").read_text() == "c\n"
    store.ok("snapshot", "-n", "d")
    (store.path / "d/rootfs/etc/hostname").write_text("changed\n")
    store.ok("snapshot", "-n", "d", "-r", "snap0")
    assert (store.path / "d/rootfs/etc/hostname").read_text() == "c\n"
    assert btrfs.is_subvolume(str(store.path / "d/rootfs"))
    store.ok("copy", "-n", "d", "-N", "over", "-s", "-B", "overlay")
    assert "has clones" in store.refused("destroy", "-n", "d", "-s")
    store.ok("destroy", "-n", "over")
    store.ok("copy", "-n", "d", "-N", "e", "-R")
    store.ok("destroy", "-n", "e", "-s")
    assert os.listdir(store.path) == []


def test_subvolumes_that_a_container_made_go_with_it(on_btrfs: Store) -> None:
    home = on_btrfs.create("c", "-B", "btrfs")
    subprocess.run(["btrfs", "-q", "subvolume", "create", home / "rootfs/own"], check=True)
    (home / "rootfs/own/file").write_text("x")
    subprocess.run(["btrfs", "-q", "subvolume", "snapshot", "-r", home / "rootfs/own", home / "rootfs/read-only"], check=True)
    done = on_btrfs.run("destroy", "-n", "c")
    assert done.returncode == 0, done.stderr
    assert os.listdir(on_btrfs.path) == []


def test_best_is_a_directory_elsewhere(store: Store) -> None:
    home = store.create("c", "-B", "btrfs,best")
    assert store.value("c", "lxc.rootfs.path") == f"dir:{home}/rootfs"
    assert "is not btrfs" in store.refused("create", "-n", "d", "-t", str(store.template), "-B", "btrfs")


def test_the_store_itself_is_clean(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.create("c", "--fssize", "8")


# ---- started


@pytest.mark.parametrize("kind", ["overlay", "loop", "clone"])
def test_a_container_is_started_from_it(store: Store, kind: str) -> None:
    options = {"overlay": ("-B", "overlay"), "loop": ("--fssize", "24"), "clone": ()}[kind]
    store.ok("create", "-n", "base", "-t", "busybox", "-f", str(store.config), "-q", *options)
    name = "base"
    if kind == "clone":
        name = "c"
        store.ok("copy", "-n", "base", "-N", name, "-s")
    said = store.ok("execute", "-n", name, "--", "/bin/sh", "-c", "cat /etc/hostname; echo kept > /kept")
    assert said == "base\n"
    assert store.ok("execute", "-n", name, "--", "/bin/cat", "/kept") == "kept\n"
    if kind != "loop":
        assert (store.path / name / "overlay/delta/kept").read_text() == "kept\n"
        assert not (store.path / "base/rootfs/kept").exists()
    else:
        store.ok("copy", "-n", name, "-N", "flat", "-B", "dir")
        assert (store.path / "flat/rootfs/kept").read_text() == "kept\n"


def test_options_of_its_file_system_are_its_mounts(store: Store) -> None:
    store.ok("create", "-n", "c", "-t", "busybox", "-B", "loop", "--fssize", "32M", "-f", str(store.config), "-q")
    store.add("c", "lxc.rootfs.options = noquota_of_nobody\n")
    assert "Invalid argument" in store.refused("execute", "-n", "c", "--", "/bin/true")
    store.add("c", "lxc.rootfs.options = commit=77\n")
    assert "commit=77" in store.ok("execute", "-n", "c", "--", "/bin/sh", "-c", "grep ' / ' /proc/mounts")
    store.ok("destroy", "-n", "c")


def test_storage_that_is_not_here_is_said_so(store: Store) -> None:
    store.create("c")
    store.add("c", "lxc.rootfs.path = zfs:tank/c\n")
    assert "storage 'zfs'" in store.run("execute", "-n", "c", "--", "/bin/true").stderr


def test_what_was_not_made_to_its_end_is_not_started(store: Store) -> None:
    home = store.create("c")
    (home / "partial").touch()
    assert "was not made to its end" in store.run("execute", "-n", "c", "--", "/bin/true").stderr
