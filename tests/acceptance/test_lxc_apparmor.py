"""AppArmor around a container: a profile that is loaded, one made for it, none; what is said where the kernel has none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxc_scene import Scene, new_scene, until

from warden.lxc import apparmor

pytestmark = [pytest.mark.root, pytest.mark.vm]
PROFILES = "/sys/kernel/security/apparmor/profiles"
needs_kernel = pytest.mark.skipif(not apparmor.is_there(), reason="this kernel has no AppArmor")
needs_parser = pytest.mark.skipif(not shutil.which("apparmor_parser"), reason="the package apparmor is not installed")
OWN = "wtest-container"


@pytest.fixture
def scene() -> Iterator[Scene]:
    if apparmor.is_there() and not os.path.exists(PROFILES):
        subprocess.run(["mount", "-t", "securityfs", "securityfs", "/sys/kernel/security"], check=True)
    with new_scene() as made:
        yield made


def test_a_kernel_without_it_says_so(scene: Scene) -> None:
    if apparmor.is_there():
        pytest.skip("this kernel has AppArmor")
    scene.define("box", "lxc.apparmor.profile = generated\nlxc.apparmor.allow_nesting = 1\nlxc.apparmor.raw = mount,\n")
    log = scene.root / "log"
    scene.ok("start", "box", "-o", str(log), "-l", "WARN")
    assert "lxc.apparmor.profile: this kernel has no such security module: ignored" in log.read_text()
    scene.ok("stop", "-k", "box")


@needs_kernel
@pytest.mark.parametrize("profile", ["", "unconfined", "unchanged"])
def test_none(scene: Scene, profile: str) -> None:
    scene.define("box", f"lxc.apparmor.profile = {profile}\n")
    scene.start("box")
    assert scene.ok("attach", "box", "--", "cat", "/proc/1/attr/current").strip() == "unconfined"
    scene.ok("stop", "-k", "box")


@needs_kernel
def test_one_that_is_not_loaded(scene: Scene) -> None:
    scene.define("box", "lxc.apparmor.profile = no-such-profile\n")
    done = scene.run("start", "box")
    assert done.returncode == 1 and "no-such-profile: no such profile is loaded" in done.stderr


@needs_kernel
def test_one_that_cannot_be_made(scene: Scene) -> None:
    if shutil.which("apparmor_parser"):
        pytest.skip("there is a parser")
    scene.define("box", "lxc.apparmor.profile = generated\n")
    done = scene.run("start", "box")
    assert done.returncode == 1 and "apparmor_parser is not installed" in done.stderr


@needs_kernel
@needs_parser
def test_one_that_is_loaded(scene: Scene) -> None:
    text = f"profile {OWN} flags=(attach_disconnected) {{ file, capability, network, signal, unix, deny /etc/secret rw, }}\n"
    subprocess.run(["apparmor_parser", "-rK"], input=text, text=True, check=True)
    try:
        rootfs = scene.define("box", f"lxc.apparmor.profile = {OWN}\n")
        (rootfs / "etc/secret").write_text("x")
        scene.start("box")
        init = scene.ok("attach", "box", "--", "cat", "/proc/1/attr/current")
        assert init.strip() == f"{OWN} (enforce)"
        assert scene.ok("attach", "box", "--", "cat", "/proc/self/attr/current").strip() == f"{OWN} (enforce)"
        done = scene.run("attach", "box", "--", "cat", "/etc/secret")
        assert done.returncode == 1 and "Permission denied" in done.stderr
        assert scene.run("attach", "-e", "box", "--", "cat", "/etc/secret").stdout == "x"
        scene.ok("stop", "-k", "box")
        done = scene.run("execute", "box", "--", "cat", "/etc/secret")
        assert done.returncode == 1 and "Permission denied" in done.stderr
    finally:
        apparmor.unload(OWN)


@needs_kernel
@needs_parser
@pytest.mark.parametrize("nesting", [False, True])
def test_one_made_for_it(scene: Scene, nesting: bool) -> None:
    more = "lxc.apparmor.allow_nesting = 1\n" if nesting else ""
    rootfs = scene.define("box", f"lxc.apparmor.profile = generated\nlxc.apparmor.raw = deny /etc/secret rw,\n{more}")
    (rootfs / "etc/secret").write_text("x")
    scene.start("box")
    label = apparmor.generated_name("box", str(scene.root))
    script = (
        "cat /proc/self/attr/current; cat /etc/secret; mount -t tmpfs x /tmp && echo tmpfs;"
        "mount -t devtmpfs x /tmp && echo devtmpfs; echo y > /proc/sysrq-trigger && echo sysrq;"
        "mkdir /tmp/a /tmp/b; mount -t proc x /tmp/a && echo proc; mount -t sysfs x /tmp/a && echo sysfs;"
        "mount -o bind /proc /tmp/a && echo bound; mount -o bind / /tmp/a && echo root; mount -o bind /etc /tmp/b && echo etc;"
        "mount -o ro -t devtmpfs x /tmp/a && echo readonly; mount -t proc x /proc && echo own;"
        "echo x > /proc/sys/kernel/core_pattern && echo core; echo 1 > /proc/sys/vm/drop_caches && echo vm;"
        "echo other > /proc/sys/kernel/hostname && echo hostname"
    )
    done = scene.run("attach", "box", "--", "/bin/sh", "-c", script)
    said = done.stdout.splitlines()
    assert said[0] == f"{label} (enforce)", done.stderr
    assert "x" not in said and "sysrq" not in said and "tmpfs" in said
    assert ("devtmpfs" in said) == nesting
    for word in ("proc", "sysfs", "bound", "root", "readonly"):
        assert (word in said) == nesting, word
    assert {"etc", "own", "hostname"} <= set(said), (said, done.stderr)
    assert not {"core", "vm"} & set(said)
    scene.ok("stop", "-k", "box")
    until("its profile is gone", lambda: label not in Path(PROFILES).read_text())


@needs_kernel
@needs_parser
def test_a_line_that_is_none_of_its_language(scene: Scene) -> None:
    scene.define("box", "lxc.apparmor.profile = generated\nlxc.apparmor.raw = nonsense nonsense\n")
    done = scene.run("start", "box")
    assert done.returncode == 1 and "lxc.apparmor: apparmor_parser:" in done.stderr
