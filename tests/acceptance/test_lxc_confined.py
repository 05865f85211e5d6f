"""What templates and LXC's own configuration files keep from a container: calls, capabilities, devices; also where LXC
itself is not installed and ours stand in for its files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import Scene, new_scene, until

from warden.lxc.reading import load

pytestmark = [pytest.mark.root, pytest.mark.vm]
CONFIG = "/usr/share/lxc/config"
WITHOUT_LXC = ("sh", "-ec", '[ ! -d /usr/share/lxc ] || mount -t tmpfs none /usr/share/lxc; exec "$@"', "sh")
#: By name, each with arguments that the kernel finds wrong: what it answers says who answered.
CALLS = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
numbers = {
    "x86_64": (246, 320, 175, 313, 176, 304),
    "aarch64": (104, 294, 105, 273, 106, 265),
}[platform.machine()]
for name, number in zip("kexec_load kexec_file_load init_module finit_module delete_module open_by_handle_at".split(), numbers):
    libc.syscall(number, -1, 0, 0, 0, 0)
    print(name, ctypes.get_errno())
"""


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as made:
        yield made


def without_lxc(scene: Scene, tool: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = ["unshare", "-m", *WITHOUT_LXC, *scene.command(tool, *words)]
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=scene.env, stdin=subprocess.DEVNULL)


def box(scene: Scene, config: str) -> None:
    """With the host's programs in it."""
    rootfs = scene.define("box")
    (rootfs / "usr").mkdir(exist_ok=True)
    for link in ("lib", "lib64"):
        if not (rootfs / link).is_symlink():
            (rootfs / link).symlink_to(f"usr/{link}")
    text = f"lxc.rootfs.path = {rootfs}\nlxc.mount.entry = /usr usr none rbind,ro 0 0\n{config}"
    (scene.root / "box/config").write_text(text)


@pytest.mark.parametrize("name", ["common.conf", "ubuntu.common.conf"])
def test_the_common_file_stands_in_for_lxcs(scene: Scene, name: str) -> None:
    box(scene, f"lxc.include = {CONFIG}/{name}\nlxc.include = {CONFIG}/common.conf.d/\nlxc.cap.drop =\n")
    done = without_lxc(scene, "execute", "box", "--", "/usr/bin/python3", "-c", CALLS)
    assert done.returncode == 0, done.stderr
    answers = dict(line.split() for line in done.stdout.splitlines())
    assert len(answers) == 6 and set(answers.values()) == {"1"}  # EPERM
    box(scene, f"lxc.include = {CONFIG}/{name}\nlxc.cap.drop =\nlxc.seccomp.profile =\n")
    plain = without_lxc(scene, "execute", "box", "--", "/usr/bin/python3", "-c", CALLS)
    assert "open_by_handle_at 1\n" not in plain.stdout and "open_by_handle_at" in plain.stdout, plain.stderr


def test_what_is_not_lxcs_is_still_missing(scene: Scene) -> None:
    box(scene, f"lxc.include = {CONFIG}/no-such.conf\n")
    assert "No such file or directory" in without_lxc(scene, "execute", "box", "--", "true").stderr


def test_the_file_for_user_namespaces_takes_back_what_it_must(scene: Scene) -> None:
    box(scene, "".join(f"lxc.include = {CONFIG}/{name}.conf\n" for name in ("debian.common", "debian.userns", "nesting")))
    script = (
        "import sys; from warden.lxc.reading import load; config = load(sys.argv[1])\n"
        "print(config.cap_drop, config.tty_dir, config.tty_max, config.cgroup, *config.mount_auto)"
    )
    argv = ["unshare", "-m", *WITHOUT_LXC, sys.executable, "-c", script, str(scene.root / "box/config")]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert said == "()  4 () cgroup:mixed proc:mixed sys:mixed sys:rw proc:rw sys:rw cgroup:rw:force\n"


def test_a_container_of_a_template_cannot_do_what_is_the_hosts(scene: Scene) -> None:
    (scene.root / "begin.conf").write_text("lxc.net.0.type = empty\n")
    done = without_lxc(scene, "create", "made", "-t", "busybox", "-q", "-f", str(scene.root / "begin.conf"))
    assert done.returncode == 0, done.stderr
    done = without_lxc(scene, "start", "made")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    until("it runs", lambda: scene.state("made") == "RUNNING")
    script = (
        "umount -f /dev/shm; mount -t tmpfs x /mnt && umount /mnt && echo plain; insmod /etc/hostname; date -s 2001-01-01;"
        "mknod /dev/block b 259 0 && cat /dev/block; mknod /dev/zero2 c 1 5 && head -c 1 /dev/zero2 | wc -c;"
        "grep CapBnd /proc/self/status; grep Seccomp: /proc/self/status"
    )
    done = scene.run("attach", "made", "--", "/bin/sh", "-c", script)
    assert "can't unmount /dev/shm: Permission denied" in done.stderr, done.stderr  # EACCES is the filter's
    assert "plain\n" in done.stdout
    assert "insmod: can't insert '/etc/hostname': Operation not permitted" in done.stderr
    assert "date: can't set date: Operation not permitted" in done.stderr
    assert "cat: can't open '/dev/block': Operation not permitted" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[-3] == "1" and lines[-1].split() == ["Seccomp:", "2"]
    kept = int(lines[-2].split()[1], 16)
    for dropped in (16, 17, 25, 32, 33):  # sys_module, sys_rawio, sys_time, mac_override, mac_admin
        assert not kept >> dropped & 1
    scene.ok("stop", "-k", "made")


def test_every_template_has_them(tmp_path: Path) -> None:
    from warden.lxc.templates import busybox, debian, local

    for number, text in enumerate((busybox.CONFIG, debian.CONFIG, local.CONFINED)):
        file = tmp_path / str(number)
        file.write_text(text.format(name="c"))
        config = load(str(file))
        assert config.seccomp_profile and "sys_rawio" in config.cap_drop
        assert ("devices.deny", "a") in config.cgroup and os.path.basename(config.seccomp_profile) == "common.seccomp"


@pytest.mark.parametrize("what", ["fifo", "device", "link", "directory", "other mount"])
def test_who_is_attached_is_not_led_by_what_the_container_made_of_passwd(scene: Scene, what: str) -> None:
    rootfs = scene.define("box")
    passwd, secret = rootfs / "etc/passwd", scene.root / "passwd"
    secret.write_text("root:x:0:0:::/bin/false\n")
    scene.start("box")
    made = {
        "fifo": lambda: os.mkfifo(passwd),
        "device": lambda: os.mknod(passwd, 0o020666, os.makedev(1, 9)),  # urandom
        "link": lambda: passwd.symlink_to(secret),
        "directory": passwd.mkdir,
        "other mount": lambda: scene.ok(
            "attach", "box", "--", "/bin/sh", "-c",
            "mount -t tmpfs x /etc; echo root:x:0:0:::/bin/false > /etc/passwd",
        ),
    }  # fmt: skip
    made[what]()
    assert scene.run("attach", "box", given="echo in\n").stdout == "in\n"
    scene.ok("stop", "-k", "box")
