"""File systems in memory, roots that cannot be written, /dev/shm, and the words that ask for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scene import client_of, read_until

from warden.client.blocking import Client, Container
from warden.errors import BadInput, KernelRefused
from warden.model.mounts import Mount
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

Warden = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as client:
        yield client


@pytest.fixture
def warden(shared_daemon: PrivateDaemon) -> Warden:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "warden.cli.main", *words]
        environment = os.environ | {"WARDEN_SOCKET": shared_daemon.socket}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    return run


def mount_of(container: Container, target: str) -> tuple[set[str], set[str]]:
    """Flags of the mount and of its file system, as the container sees them."""
    lines = container.run("cat /proc/self/mountinfo").stdout.decode().splitlines()
    fields = next(line.split() for line in reversed(lines) if line.split()[4] == target)
    return set(fields[5].split(",")), set(fields[-1].split(","))


def test_tmpfs_gives_nothing_by_default(client: Client) -> None:
    with client.create(mounts=[Mount.tmpfs("/scratch")], network="none") as container:
        flags, _ = mount_of(container, "/scratch")
        assert {"rw", "nosuid", "nodev", "noexec"} <= flags
        done = container.run("cp /bin/true /scratch/x && stat -c %a /scratch && /scratch/x")
        assert (done.exit_status, done.stdout) == (126, b"1777\n")
        assert container.run("umount /scratch || mount -o remount,exec /scratch", privileged=True).exit_status != 0


def test_tmpfs_as_it_was_asked(client: Client) -> None:
    options = ("size=1m", "mode=0750", "uid=7", "gid=8", "nr_inodes=10", "exec")
    with client.create(mounts=[Mount.tmpfs("/srv/a/b", *options)], network="none") as container:
        flags, data = mount_of(container, "/srv/a/b")
        assert "noexec" not in flags
        assert {"size=1024k", "nr_inodes=10"} <= data
        assert container.run("stat -c '%u %g %a' /srv/a/b").stdout == b"7 8 750\n"
        full = container.run("head -c 2M /dev/zero > /srv/a/b/f", privileged=True)
        assert b"No space left" in full.stderr
    with client.create(mounts=[Mount.tmpfs("/srv", read_only=True)], network="none") as container:
        assert b"Read-only" in container.run("touch /srv/x", privileged=True).stderr


def test_tmpfs_is_charged_to_the_container(client: Client) -> None:
    with client.create(mounts=[Mount.tmpfs("/fill")], network="none", memory="32M", swap=0) as container:
        result = container.run(["dd", "if=/dev/zero", "of=/fill/f", "bs=1M", "count=64"])
        assert result.verdict.value == "out_of_memory"


def test_shm_has_its_size(client: Client) -> None:
    with client.create(shm_size="128k", network="none") as container:
        assert b"No space left" in container.run("head -c 256k /dev/zero > /dev/shm/f").stderr
        assert container.run("stat -f -c %b /dev/shm").stdout == b"32\n"


def test_a_read_only_root(client: Client, shared_daemon: PrivateDaemon, tmp_path: Path) -> None:
    mounts = [Mount.tmpfs("/tmp"), Mount.volume("", "/data")]
    with client.create(read_only=True, mounts=mounts, network="none") as container:
        for path in ("/x", "/home/vcap/x", "/etc/x", "/root/x", "/dev/x", "/usr/x"):
            assert b"Read-only" in container.run(f"touch {path}", privileged=True).stderr, path
        for path in ("/tmp/x", "/data/x", "/dev/shm/x"):
            assert container.run(f"echo 1 > {path}; cat {path}").stdout == b"1\n", path
        assert container.run("pwd; id -un; echo x > /dev/null; exit 7").stdout == b"/home/vcap\nvcap\n"
        assert container.run("mount -o remount,rw /", privileged=True).exit_status != 0
        job = container.spawn(["sh", "-c", "tty; read x; echo got $x"], interactive=True, tty=True)
        assert b"/dev/pts/0" in read_until(job, b"/dev/pts/0")
        job.kill()
        (tmp_path / "f").write_text("in")
        with pytest.raises(KernelRefused, match=r"Read-only file system.*read-only"):
            container.copy_in(tmp_path / "f", "/home/vcap/f")
        container.copy_in(tmp_path / "f", "/data/f")
        container.copy_out("/data/f", tmp_path / "g")
        assert (tmp_path / "g").read_text() == "in"
        upper = Path(container.info().path) / "upper"
        assert not list(upper.rglob("x"))


def test_without_a_user_namespace_too(client: Client) -> None:
    mounts = [Mount.tmpfs("/tmp", "size=1m")]
    with client.create(read_only=True, mounts=mounts, user_namespace=False, network="none") as container:
        assert b"Read-only" in container.run("touch /x", privileged=True).stderr
        assert container.run("touch /tmp/x", privileged=True).exit_status == 0


def test_hostile_images_cannot_move_a_mount(client: Client, tmp_path: Path) -> None:
    root, outside = tmp_path / "image", tmp_path / "outside"
    for path in (root / "usr", root / "etc", root / "root", root / "real", root / "home", outside):
        path.mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "up").symlink_to("../../../../../../.." + str(outside))
    (root / "proc").symlink_to("/real")
    (root / "abs").symlink_to("/real")
    usr = ("/usr", "/usr", "ro")
    with pytest.raises(KernelRefused):
        client.create(rootfs=str(root), mounts=[usr, Mount.tmpfs("/up")], network="none")
    with client.create(rootfs=str(root), mounts=[usr, Mount.tmpfs("/abs")], network="none") as container:
        assert container.run("stat -f -c %T /real/.", privileged=True).stdout in (b"tmpfs\n", b"proc\n")
    assert list(outside.iterdir()) == []
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(outside) not in mounts


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["--tmpfs", "relative"], "not an absolute path"),
        (["--tmpfs", "/x:size=0"], "size=0"),
        (["--tmpfs", "/x:mode=999"], "mode=999 is not a mode"),
        (["--tmpfs", "/x:uid=-1"], "uid=-1 is not an id"),
        (["--tmpfs", "/x:upperdir=/etc"], "'upperdir=/etc' is not an option"),
        (["--tmpfs", "/proc/sys"], "the container's own"),
        (["--tmpfs", "/"], "the container's own"),
        (["--tmpfs", "/a/../b"], "'..'"),
        (["--tmpfs", "/a", "-v", "data:/a/"], "given twice"),
        (["-v", "data:relative"], "is not SRC:DST"),
        (["-v", "a/b:/x"], "Source path for bind mount does not exist"),
        (["-v", "d:/x"], "volume: 'd' is not a name"),
        (["-v", "/a:/x:nocopy"], "nocopy is for volumes"),
        (["--mount", "type=cloud,target=/x"], "type=cloud is unknown"),
        (["--mount", "type=bind,target=/x"], "has no source"),
        (["--mount", "type=tmpfs,source=a,target=/x"], "source is not for type=tmpfs"),
        (["--mount", "type=bind,source=/,target=/x,tmpfs-size=1"], "tmpfs-size is not for type=bind"),
        (["--mount", "type=volume,source=data"], "no target"),
        (["--mount", "type=volume,target=/x,colour=red"], "'colour' is unknown"),
        (["--mount", "type=volume,target=/x,target=/y"], "target is given twice"),
        (["--shm-size", "0"], "shm_size"),
        (["--volumes-from", "nobody"], "unknown handle"),
        (["--volumes-from", ":ro"], "a handle is missing"),
        (["--label", "=x"], "is not a name"),
        (["--restart", "always"], "needs --detach"),
        (["--restart", "sometimes", "-d"], "'sometimes' is unknown"),
        (["--restart", "always:3", "-d"], "'always:3' is unknown"),
        (["--restart", "always", "-d", "--rm"], "cannot be started again"),
        (["--stop-signal", "NEVER"], "--stop-signal: 'NEVER' is not a signal"),
        (["--stop-timeout", "soon"], "--stop-timeout: 'soon'"),
        (["--env-file", "/no/such/file"], "No such file"),
    ],
)
def test_bad_words_are_refused_before_anything_is_made(warden: Warden, words: list[str], about: str) -> None:
    done = warden("run", "--network", "none", *words, "--", "true")
    assert done.returncode != 0
    assert about in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1
    assert warden("ps", "-aq").stdout == ""
    assert warden("volume", "list", "-q").stdout == ""


def test_mounts_by_their_long_form(warden: Warden, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("host\n")
    words = [
        *("--mount", f"type=bind,source={tmp_path},target=/host,readonly"),
        *("--mount", "type=volume,src=data,dst=/data"),
        *("--mount", "type=tmpfs,destination=/scratch,tmpfs-size=1m,tmpfs-mode=700"),
        *("--mount", f"{tmp_path}:/again:ro"),
        *("-v", "/own"),
    ]
    script = "cat /host/f /again/f; touch /data/f /own/f; stat -c %a /scratch; touch /host/x"
    done = warden("run", "--network", "none", *words, "--", "sh", "-c", script)
    assert (done.stdout, done.returncode) == ("host\nhost\n700\n", 1)
    assert json.loads(warden("volume", "inspect", "--json", "data").stdout)[0]["used_by"] == []
    assert warden("volume", "remove", "data").returncode == 0


def test_variables_from_files(warden: Warden, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"\xef\xbb\xbf# comment\n\n  A=1 = 2 \nHOME_OF_CALLER\nPATH_NOT_SET\nB='q'\r\nC=\n")
    (tmp_path / "two").write_text("A=later\n")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    done = warden("run", "--network", "none", "--env-file", one, "-e", "B=over", "--", "sh", "-c", 'echo "[$A][$B][$C]"')
    assert done.stdout == "[1 = 2 ][over][]\n"
    done = warden("run", "--network", "none", "--env-file", one, "--env-file", two, "--", "sh", "-c", 'echo "$A"')
    assert done.stdout == "later\n"
    (tmp_path / "bad").write_text("OK=1\nNOT OK=2\n")
    done = warden("run", "--env-file", str(tmp_path / "bad"), "--", "true")
    assert (done.returncode, f"{tmp_path}/bad:2: 'NOT OK'" in done.stderr) == (78, True), done.stderr


def test_the_file_with_the_handle(warden: Warden, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    done = warden("run", "--network", "none", "-d", "--cidfile", str(path), "--", "sleep", "60")
    assert path.read_text() == done.stdout.strip()
    again = warden("run", "--network", "none", "-d", "--cidfile", str(path), "--", "true")
    assert (again.returncode, "must not exist" in again.stderr) == (2, True)
    assert warden("destroy", path.read_text()).returncode == 0
    other = tmp_path / "other"
    assert warden("run", "-v", "/no/such:/x", "--cidfile", str(other), "--", "true").returncode != 0
    assert not other.exists()


def test_labels_are_kept_and_found(warden: Warden) -> None:
    for name, label in (("one", "tier=web"), ("two", "tier=db"), ("three", "other")):
        assert warden("create", "--network", "none", "--name", name, "--label", label, "-l", "all=yes").returncode == 0
    assert warden("ps", "-q", "--filter", "label=tier").stdout.split() == ["one", "two"]
    assert warden("ps", "-q", "--filter", "label=tier=db", "--filter", "label=all").stdout == "two\n"
    assert json.loads(warden("info", "--json", "three").stdout)["labels"] == {"other": "", "all": "yes"}
    assert "--filter: 'colour=x' is not a filter" in warden("ps", "--filter", "colour=x").stderr
    assert warden("destroy", "one", "two", "three").returncode == 0


def test_bad_input_names_the_field(client: Client) -> None:
    with pytest.raises(BadInput, match="stop_signal"):
        client.create(stop_signal=99)
    with pytest.raises(BadInput, match="stop_timeout"):
        client.create(stop_timeout=-1)
    with pytest.raises(BadInput, match="label"):
        client.create(labels={"a=b": "c"})
