"""Images and the container's own files as root: owners, modes, and programs that really run."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from warden.errors import ImageError
from warden.rootfs.etc import container_files, read_in_container, write_upper
from warden.rootfs.images import Image, ImageStore

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run_in(image: Image, command: str) -> str:
    """What *command* prints in *image*, in a mount namespace that ends with it."""
    mounts = "; ".join(f"mount --bind {bind.source} {image.lower}{bind.target}" for bind in image.binds)
    script = f"{mounts or ':'} && exec chroot {image.lower} {image.shell} -c '{command}'"
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", script], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path / "images"))


def test_the_machines_own_programs_run_in_the_host_image(store: ImageStore) -> None:
    image = store.find("host")
    assert run_in(image, "ls -d /usr/bin; cat /etc/shadow 2>&1 || echo none").split("\n")[0] == "/usr/bin"
    assert run_in(image, "id -un; stat -c %a /root /tmp").split() == ["root", "700", "1777"]


def test_busybox_runs_in_its_image(store: ImageStore) -> None:
    try:
        image = store.build("busybox", lambda line: None)
    except (ImageError, FileNotFoundError) as error:
        pytest.skip(f"no busybox here: {error}")
    assert image.shell == "/bin/sh"
    assert run_in(image, "echo hello | sed s/hello/$(id -un)/; ls -d /tmp").split() == ["root", "/tmp"]


def test_a_build_killed_half_way_leaves_nothing_visible(store: ImageStore) -> None:
    program = (
        "import os, signal, sys\n"
        "from warden.rootfs import images\n"
        "images._RECIPES['sample'] = lambda root, progress: os.kill(os.getpid(), signal.SIGKILL)\n"
        "images.ImageStore(sys.argv[1]).build('sample', print)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", program, store.path], env=environment, check=False)
    assert died.returncode == -signal.SIGKILL
    assert store.list() == []
    store.prune()  # would wait for ever if the dead had kept the lock
    assert os.listdir(os.path.join(store.path, "sample")) == []


def test_the_upper_directory_belongs_to_the_containers_users(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    (lower / "etc").mkdir(parents=True)
    (lower / "etc").chmod(0o751)
    (lower / "home").mkdir()
    (lower / "home").chmod(0o711)
    upper.mkdir()
    files = container_files(str(lower), hostname="box", container_ip="", resolv_conf=b"", vcap_uid=20000)
    old = os.umask(0o077)
    try:
        write_upper(str(upper), files, "/home/vcap", 1_000_000, 20000)
    finally:
        os.umask(old)
    found = {str(path.relative_to(upper)): path.lstat() for path in upper.rglob("*")}
    assert {name: (status.st_uid, status.st_gid) for name, status in found.items()} == {
        **{f"etc/{name}": (1_000_000, 1_000_000) for name in ("passwd", "group", "hosts", "hostname", "resolv.conf")},
        "etc": (1_000_000, 1_000_000),
        "home": (1_000_000, 1_000_000),
        "home/vcap": (1_020_000, 1_020_000),
    }
    modes = {name: stat.S_IMODE(found[name].st_mode) for name in ("etc", "home", "home/vcap", "etc/passwd")}
    assert modes == {"etc": 0o751, "home": 0o711, "home/vcap": 0o755, "etc/passwd": 0o644}
    assert b"vcap:x:20000:20000::/home/vcap:/bin/bash" in (upper / "etc/passwd").read_bytes()


def test_nothing_that_the_container_mounted_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(tmp_path / "etc")], check=True)
    root_fd = os.open(tmp_path, os.O_PATH)
    try:
        (tmp_path / "etc/passwd").write_text("mounted")
        with pytest.raises(OSError, match=r"[Cc]ross-device") as caught:
            read_in_container(root_fd, "etc/passwd")
        assert caught.value.errno == errno.EXDEV
        assert read_in_container(root_fd, "etc/passwd", follow_mounts=True) == b"mounted"
    finally:
        os.close(root_fd)
        subprocess.run(["umount", str(tmp_path / "etc")], check=True)
