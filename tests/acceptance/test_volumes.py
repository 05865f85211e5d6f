"""Volumes: files that outlive containers, with owners that every container sees alike, and that nobody loses or keeps by
accident."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from scene import client_of, configured_daemon, nothing_new, wait_until

from warden.client.blocking import Client, Container
from warden.errors import (
    BadInput,
    EngineFault,
    ImageError,
    KernelRefused,
    UnknownVolume,
    VolumeInUse,
    VolumeTaken,
    WardenError,
)
from warden.model.mounts import Mount
from warden.rootfs.volumecopy import MAX_DEPTH
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


def made(client: Client, *mounts: Mount | tuple[str, str] | tuple[str, str, str], **options: object) -> Container:
    return client.create(mounts=mounts, network="none", **options)  # type: ignore[arg-type]


def text(container: Container, script: str, **options: object) -> str:
    result = container.run(script, **options)  # type: ignore[arg-type]
    assert result.exit_status == 0, result.stderr
    return result.stdout.decode()


def names(client: Client) -> list[str]:
    return [volume.name for volume in client.volumes()]


def place(daemon: PrivateDaemon) -> Path:
    return Path(daemon.depot + "-volumes")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A root file system that has something at /srv/data, with owners of its own; the programs are the host's."""
    root = tmp_path / "image"
    for name in ("etc", "srv/data/sub", "usr", "tmp", "home", "root", "proc", "dev"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if os.path.lexists(f"/{name}"):
            (root / name).symlink_to(f"usr/{name}")
    (root / "srv/data/file").write_bytes(b"from the image")
    (root / "srv/data/sub/tool").write_bytes(b"#!/bin/sh\n")
    os.chmod(root / "srv/data/sub/tool", 0o4755)
    (root / "srv/data/link").symlink_to("file")
    (root / "srv/data/out").symlink_to("/etc/shadow")
    os.mkfifo(root / "srv/data/fifo")
    os.chown(root / "srv/data/file", 1234, 4321)
    os.chown(root / "srv/data/link", 77, 77, follow_symlinks=False)
    os.chown(root / "srv/data", 33, 44)
    os.chmod(root / "srv/data", 0o2750)
    return root


def test_files_and_owners_pass_from_one_container_to_the_next(client: Client, daemon: PrivateDaemon) -> None:
    with made(client, ("data", "/data")) as first:
        text(first, "echo mine > /data/f; chmod 600 /data/f")
        text(first, "echo roots > /data/r; chmod 640 /data/r", privileged=True)
    with made(client, ("data", "/else/where")) as second:
        assert text(second, "cat /else/where/f; stat -c %U /else/where/f /else/where/r; echo more >> /else/where/f") == (
            "mine\nvcap\nroot\n"
        )
        assert second.run("cat /else/where/r").exit_status == 1, "what is root's is root's for the next vcap too"
    on_disk = place(daemon) / "data/data"
    assert (on_disk / "r").stat().st_uid == 0
    assert (on_disk / "f").stat().st_uid == 18192
    assert stat.S_IMODE(place(daemon).stat().st_mode) == 0o700, "no user of the host gets at set-user-ID files in it"


def test_two_at_once_share_one_and_one_may_only_read(client: Client) -> None:
    with made(client, ("data", "/data")) as writer, made(client, ("data", "/data", "ro")) as reader:
        text(writer, "echo 1 > /data/f")
        assert text(reader, "cat /data/f") == "1\n"
        refused = reader.run("touch /data/g", privileged=True)
        assert b"Read-only file system" in refused.stderr
        assert client.volume("data").used_by == tuple(sorted((writer.handle, reader.handle)))


def test_in_use_is_told_by_name_and_not_removable(client: Client) -> None:
    with made(client, ("data", "/data"), handle="box"):
        with pytest.raises(VolumeInUse, match="volume data: in use by box"):
            client.remove_volume("data")
        client.container("box").rename("crate")
        with pytest.raises(VolumeInUse, match="in use by crate"):
            client.remove_volume("data")
        client.container("crate").stop()
        with pytest.raises(VolumeInUse):
            client.remove_volume("data")
        client.container("crate").destroy()
    client.remove_volume("data")
    with pytest.raises(UnknownVolume):
        client.volume("data")


def test_created_listed_and_pruned(client: Client, daemon: PrivateDaemon) -> None:
    assert client.volumes() == []
    assert not place(daemon).exists(), "asking makes nothing"
    volume = client.create_volume("data")
    assert (volume.name, volume.anonymous, os.path.isdir(volume.path)) == ("data", False, True)
    with pytest.raises(VolumeTaken, match="volume data: it exists"):
        client.create_volume("data")
    nameless = client.create_volume()
    daemon.kill()
    daemon.start()
    with made(client, (nameless.name, "/data")):
        assert client.prune_volumes() == []
    assert sorted(names(client)) == sorted(["data", nameless.name]), "it is nobody's own, so it does not go with anybody"
    assert client.prune_volumes() == [nameless.name]
    assert client.prune_volumes(every=True) == ["data"]
    assert client.volumes() == []
    for bad in ("..", "a/b", ".hidden", "", "x", "-v", "a" * 200, "new\nline"):
        with pytest.raises(BadInput):
            client.remove_volume(bad)
    with pytest.raises(UnknownVolume, match="volume none-such"):
        client.remove_volume("none-such")


def test_filled_from_the_image_at_first_use(client: Client, daemon: PrivateDaemon, image: Path) -> None:
    usr = ("/usr", "/usr", "ro")
    with made(client, ("data", "/srv/data"), usr, rootfs=str(image)) as container:
        seen = text(container, "cd /srv/data; cat file; stat -c '%n %u %g %a' . file link sub/tool; ls", privileged=True)
        assert seen == (
            "from the image. 33 44 2750\nfile 1234 4321 644\nlink 77 77 777\nsub/tool 0 0 755\nfile\nlink\nout\nsub\n"
        )
        text(container, "cd /srv/data; rm -r file sub; echo new > new", privileged=True)
    with made(client, ("data", "/srv/data"), usr, rootfs=str(image)) as container:
        assert text(container, "ls /srv/data", privileged=True) == "link\nnew\nout\n", "once"
        assert os.readlink(place(daemon) / "data/data/out") == "/etc/shadow", "a link is a link"
    assert not (place(daemon) / "data/fill").exists()
    with made(client, Mount.volume("bare", "/srv/data", no_copy=True), usr, rootfs=str(image)) as container:
        assert text(container, "ls -A /srv/data; stat -c %U /srv/data") == "vcap\n"


def test_home_and_etc_can_be_volumes(client: Client) -> None:
    with made(client, ("home", "/home/vcap"), ("etc", "/etc")) as container:
        assert text(container, "cd; pwd; touch mark; stat -c %U . mark; id -un") == "/home/vcap\nvcap\nvcap\nvcap\n"
    with made(client, ("home", "/home/vcap"), ("etc", "/etc")) as container:
        assert text(container, "ls ~; id -un") == "mark\nvcap\n"


def test_anonymous_ones_go_with_their_last_container(client: Client) -> None:
    first = made(client, ("", "/data"))
    (name,) = names(client)
    assert client.volume(name).anonymous
    text(first, "echo 1 > /data/f")
    second = client.create(volumes_from=[f"{first.handle}:ro"], network="none")
    assert text(second, "cat /data/f") == "1\n"
    assert b"Read-only" in second.run("touch /data/g").stderr
    first.destroy()
    assert client.volume(name).used_by == (second.handle,)
    assert text(second, "cat /data/f") == "1\n"
    second.destroy()
    wait_until(lambda: names(client) == [])


def test_volumes_of_others_and_ones_own(client: Client, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("host\n")
    with (
        made(client, ("data", "/data"), (str(tmp_path), "/host"), ("more", "/more")) as first,
        client.create(mounts=[("own", "/more")], volumes_from=[first.handle], network="none") as second,
    ):
        text(first, "echo 1 > /data/f; echo 2 > /more/f")
        assert text(second, "cat /data/f /host/f; ls /more") == "1\nhost\n"
        mounts = {mount.target: (mount.source, mount.read_only) for mount in second.info().spec.mounts}
        assert mounts == {"/more": ("own", False), "/data": ("data", False), "/host": (str(tmp_path), True)}


def test_what_lies_inside_another_mount_is_seen(client: Client, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("inner\n")
    inner = ((str(tmp_path), "/data/in/side"), (str(tmp_path / "f"), "/data/file"), Mount.tmpfs("/data/tmp"))
    with made(client, *inner, ("data", "/data")) as container:
        script = "cat /data/in/side/f /data/file; touch /data/g /data/tmp/x; stat -f -c %T /data/tmp"
        assert text(container, script) == "inner\ninner\ntmpfs\n"
        text(container, "cd /data; mkdir link-to; ln -s / to-root", privileged=True)
    with made(client, (str(tmp_path), "/data/to-root/tmp/x"), ("data", "/data")) as container:
        assert text(container, "cat /tmp/x/f") == "inner\n", "the container's own root, not the host's"
    assert not os.path.exists("/tmp/x")


def test_a_crash_at_any_moment_leaves_whole_volumes(client: Client, daemon: PrivateDaemon) -> None:
    container = made(client, ("data", "/data"), ("", "/own"))
    text(container, "echo 1 > /data/f; echo 2 > /own/f")
    anonymous = next(name for name in names(client) if name != "data")
    gone = made(client, ("", "/own"))
    lost = next(name for name in names(client) if name not in ("data", anonymous))
    init = gone.info().pid
    daemon.kill()
    os.kill(init, 9)  # with its container nobody has that volume any more
    for half in (".new-half", ".old-half-1234"):
        (place(daemon) / half / "data/deep").mkdir(parents=True)
    (place(daemon) / "data/fill").mkdir()
    daemon.start()
    wait_until(lambda: sorted(names(client)) == sorted(["data", anonymous]))
    wait_until(lambda: lost not in os.listdir(place(daemon)))
    wait_until(lambda: not [name for name in os.listdir(place(daemon)) if name.startswith(".") and name != ".lock"])
    assert text(container, "cat /data/f /own/f") == "1\n2\n"
    with pytest.raises(VolumeInUse, match=container.handle):
        client.remove_volume("data")
    container.destroy()
    wait_until(lambda: names(client) == ["data"])


def test_a_create_that_fails_leaves_no_volume(client: Client, daemon: PrivateDaemon) -> None:
    client.create_volume("kept")
    with pytest.raises(BadInput, match="Source path for bind mount does not exist"):
        made(client, ("fresh", "/data"), ("kept", "/kept"), ("/no/such/place", "/x"))
    with pytest.raises(KernelRefused, match="create"):
        made(client, ("fresh", "/usr/none/such"))
    assert names(client) == ["kept"]
    assert client.volume("kept").used_by == ()


def test_what_did_not_fit_is_not_kept(client: Client, daemon: PrivateDaemon, image: Path) -> None:
    client.create_volume("kept")
    deep = image / "srv/data"
    for _ in range(MAX_DEPTH + 2):
        deep /= "d"
        deep.mkdir()
    with pytest.raises(ImageError, match="deeper than"):
        made(client, ("kept", "/srv/data"), ("/usr", "/usr", "ro"), rootfs=str(image))
    assert sorted(os.listdir(place(daemon) / "kept")) == ["data", "volume.json"]


class Filling:
    """A create, in a process of its own, whose new volume gets so much from its image that it is met at it."""

    def __init__(self, daemon: PrivateDaemon, image: Path) -> None:
        self._fill = place(daemon) / "big/fill"
        for number in range(20_000):
            (image / f"srv/data/{number}").touch()
        script = f"""
from warden import Client
with Client({daemon.socket!r}, timeout=100) as client:
    client.create(rootfs={str(image)!r}, network="none", mounts=[("big", "/srv/data"), ("/usr", "/usr", "ro")])
"""
        self.process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
        wait_until(lambda: self._fill.exists() and len(os.listdir(self._fill)) > 10)

    def is_over(self) -> bool:
        return not self._fill.exists()

    def failure(self) -> str:
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode != 0
        return said


def test_nobody_waits_for_a_fill_that_nobody_wants(client: Client, daemon: PrivateDaemon, image: Path) -> None:
    filling = Filling(daemon, image)
    filling.process.kill()
    filling.failure()
    wait_until(lambda: names(client) == [])
    assert client.list() == []
    wait_until(lambda: os.listdir(place(daemon)) == [".lock"])


def test_the_end_of_the_daemon_cuts_a_fill_off(client: Client, daemon: PrivateDaemon, image: Path) -> None:
    client.create_volume("big")
    filling = Filling(daemon, image)
    assert daemon.stop() == 0
    assert filling.is_over()
    filling.failure()
    assert sorted(os.listdir(place(daemon) / "big")) == ["data", "volume.json"]
    assert os.listdir(place(daemon) / "big/data") == []
    daemon.start()
    with made(client, ("big", "/srv/data"), ("/usr", "/usr", "ro"), rootfs=str(image)) as container:
        assert text(container, "ls /srv/data | wc -l", privileged=True) == "20004\n"


def test_a_crash_in_a_fill_leaves_an_empty_volume(client: Client, daemon: PrivateDaemon, image: Path) -> None:
    filling = Filling(daemon, image)
    daemon.kill()
    filling.failure()
    assert not filling.is_over()
    daemon.start()
    assert client.list() == []
    assert sorted(os.listdir(place(daemon) / "big")) == ["data", "volume.json"]
    assert os.listdir(place(daemon) / "big/data") == []
    with made(client, ("big", "/srv/data"), ("/usr", "/usr", "ro"), rootfs=str(image)) as container:
        assert text(container, "cat /srv/data/file", privileged=True) == "from the image"


def test_a_fill_has_a_bound(image: Path) -> None:
    (image / "srv/data/large").write_bytes(b"x" * 200_000)
    with configured_daemon(server={"volume_fill_limit": 100_000}) as daemon, client_of(daemon) as client:
        usr = ("/usr", "/usr", "ro")
        with pytest.raises(ImageError, match=r"volume big: what the image has at /srv/data is more than 97\.7 KiB"):
            made(client, ("big", "/srv/data"), usr, rootfs=str(image))
        assert names(client) == []
        with made(client, Mount.volume("big", "/srv/data", no_copy=True), usr, rootfs=str(image)) as container:
            assert text(container, "ls /srv/data") == ""


def test_hundreds_of_mounts_inside_of_a_volume(client: Client) -> None:
    inner = [Mount.tmpfs(f"/data/m{number}") for number in range(600)]
    with made(client, ("data", "/data"), *inner) as container:
        assert text(container, "ls /data | wc -l") == "600\n"


def test_hostile_images_lead_nowhere(client: Client, image: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (image / "srv/up").symlink_to("../../../../../../../.." + str(outside))
    (image / "srv/abs").symlink_to(outside)
    (image / "srv/dangling").symlink_to("/nowhere/at/all")
    usr = ("/usr", "/usr", "ro")
    for target in ("/srv/up", "/srv/abs", "/srv/dangling"):
        with pytest.raises(KernelRefused):
            made(client, ("data", target), usr, rootfs=str(image))
    inside = image / str(outside).lstrip("/")
    inside.mkdir(parents=True)
    (inside / "bait").write_text("inside\n")
    with made(client, ("data", "/srv/abs"), usr, rootfs=str(image)) as container:
        assert text(container, f"cat {outside}/bait", privileged=True) == "inside\n"
    assert list(outside.iterdir()) == []


def test_many_containers_start_with_one_new_volume(client: Client, daemon: PrivateDaemon, image: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def one(number: int) -> str:
        with made(client, ("data", "/srv/data"), ("/usr", "/usr", "ro"), rootfs=str(image)) as container:
            return text(container, f"cat /srv/data/file; echo {number} >> /srv/data/all", privileged=True)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(16))) == {"from the image"}
    written = (place(daemon) / "data/data/all").read_text().split()
    assert sorted(map(int, written)) == list(range(16)), "all had the same directory"


def test_two_engines_do_not_share_a_place(tmp_path: Path) -> None:
    shared = {"volumes_path": str(tmp_path / "volumes")}
    with (
        configured_daemon(server=shared) as one,
        configured_daemon(server=shared) as two,
        client_of(one) as first,
        client_of(two) as second,
    ):
        first.create_volume("data")
        with pytest.raises(EngineFault, match="another engine holds them"):
            second.volumes()
        with second.create(network="none") as container:
            assert container.run("true").exit_status == 0
        first.remove_volume("data")


def test_without_a_user_namespace(client: Client) -> None:
    for _ in range(2):
        with made(client, ("data", "/data"), user_namespace=False) as container:
            text(container, "touch /data/f", privileged=True)


def test_killed_at_any_instant_nothing_is_half_made(daemon: PrivateDaemon, client: Client) -> None:
    """Containers with new volumes are made and destroyed all the time while the daemon is killed."""
    kept = made(client, ("kept", "/kept"))
    text(kept, "echo 1 > /kept/f")
    over = threading.Event()

    def work(number: int) -> None:
        while not over.is_set():
            with suppress(WardenError), client_of(daemon) as other:
                made(other, (f"v{number}", "/a"), ("", "/b"), ("kept", "/kept")).destroy()
                other.remove_volume(f"v{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for round_number in range(8):
            time.sleep(0.1 + round_number * 0.037)
            daemon.kill()
            daemon.start()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    daemon.kill()
    daemon.start()
    for handle in client.list():
        if handle != kept.handle:
            client.container(handle).destroy()
    wait_until(lambda: not [volume for volume in client.volumes() if volume.anonymous])
    assert {volume.name for volume in client.volumes()} <= {"kept", "v0", "v1", "v2"}
    wait_until(lambda: not [name for name in os.listdir(place(daemon)) if name.startswith((".new", ".old"))])
    for volume in client.volumes():
        assert sorted(os.listdir(os.path.dirname(volume.path))) == ["data", "volume.json"]
    assert text(kept, "cat /kept/f") == "1\n"


def test_nothing_is_left_of_many(daemon: PrivateDaemon, client: Client) -> None:
    def look() -> set[str]:
        return {name for name in os.listdir(place(daemon)) if not name.startswith(".")}

    made(client, ("data", "/a"), ("", "/b")).destroy()
    wait_until(lambda: look() == {"data"})
    with nothing_new(daemon):
        for _ in range(20):
            made(client, ("data", "/a"), ("", "/b"), Mount.tmpfs("/c")).destroy()
        wait_until(lambda: look() == {"data"})
