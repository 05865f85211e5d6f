"""lxc-create and lxc-destroy as whole processes: all or nothing, and nothing outside of the container's own directory."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from storage_fixtures import Store, until

from warden.errors import BadInput
from warden.lxc.destroying import check_removable
from warden.lxc.home import Home
from warden.lxc.reading import load
from warden.lxc.translate import translate

pytestmark = pytest.mark.root


def test_a_template_of_others_is_called_as_lxc_calls_it(store: Store) -> None:
    store.config.write_text("# begin\nlxc.net.0.type = empty\nlxc.net.0.hwaddr = 00:16:3e:xx:xx:XX\n")
    home = store.create("c", "--", "-x", "two words", "$(id)")
    assert (home / "rootfs/etc/arguments").read_text().splitlines() == [
        f"--path={home}", "--name=c", f"--rootfs={home}/rootfs", "-x", "two words", "$(id)",
    ]  # fmt: skip
    text = store.text("c")
    assert text.splitlines()[0] == f"# Template used to create this container: {store.template}"
    assert "# begin\n" in text and f"lxc.rootfs.path = dir:{home}/rootfs\n" in text
    assert text.endswith("lxc.uts.name = c\n")
    assert re.search(r"^lxc.net.0.hwaddr = 00:16:3e(:[0-9a-f]{2}){3}$", text, re.MULTILINE)
    assert stat.S_IMODE(home.stat().st_mode) == 0o770
    assert stat.S_IMODE((home / "config").stat().st_mode) == 0o640
    assert sorted(os.listdir(home)) == ["config", "rootfs"]


def test_none_is_a_configuration_alone(store: Store) -> None:
    store.ok("create", "-n", "c", "-t", "none", "-f", str(store.config))
    assert store.text("c") == store.config.read_text()
    assert os.listdir(store.path / "c") == ["config"]
    store.ok("destroy", "-n", "c")
    assert os.listdir(store.path) == []


def test_none_takes_a_directory_as_it_is(store: Store) -> None:
    outside = store.root / "there"
    outside.mkdir()
    (outside / "file").write_text("kept")
    store.ok("create", "-n", "c", "-t", "none", "-f", str(store.config), "--dir", str(outside))
    assert store.value("c", "lxc.rootfs.path") == f"dir:{outside}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-n", "a/b", "-t", "none"), "is not a container's name"),
        (("-n", "..", "-t", "none"), "is not a container's name"),
        (("-n", "a\nb", "-t", "none"), "is not a container's name"),
        (("-n", "c"), "A template must be specified"),
        (("-n", "c", "-t", "nosuch"), 'Template "nosuch" not found'),
        (("-n", "c", "-t", "../x"), "neither a name nor an absolute path"),
        (("-n", "c", "-t", "none", "-f", "/nosuch"), "cannot be read"),
        (("-n", "c", "-t", "TEMPLATE", "-B", "nosuch"), "is not a kind of storage"),
        (("-n", "c", "-t", "TEMPLATE", "-B", "lvm"), "is not carried out here"),
        (("-n", "c", "-t", "TEMPLATE", "-B", "loop", "--fssize", "lots"), "is not the size"),
        (("-n", "c", "-t", "TEMPLATE", "-B", "loop", "--fstype", "ntfs"), "is not a type of file system"),
        (("-n", "c", "-t", "busybox", "--", "--nosuch"), "unrecognized arguments"),
        (("-n", "c", "-t", "local", "--", "-f", "/nosuch"), "is not a file"),
        (("-n", "c", "-t", "debian", "--", "-r", "a b"), "is not a name of a release"),
    ],
)
def test_what_cannot_be_right_changes_nothing(store: Store, words: tuple[str, ...], said: str) -> None:
    config = () if "-f" in words else ("-f", str(store.config))
    given = tuple(str(store.template) if word == "TEMPLATE" else word for word in words)
    place = given.index("--") if "--" in given else len(given)
    assert said in store.refused("create", *given[:place], *config, *given[place:])
    assert os.listdir(store.path) == []


def test_a_name_that_can_be_no_host_name_is_refused_first(store: Store) -> None:
    """Not after an hour of packages; a template of others says what it wants."""
    archive = store.root / "root.tar"
    subprocess.run(["tar", "-cf", archive, "-C", store.root, "begin.conf"], check=True)
    said = store.refused("create", "-n", "a b", "-t", "local", "--", "-f", str(archive))
    assert "is not a host name" in said and "entries of" not in said
    store.create("c")
    assert "is not a host name" in store.refused("copy", "-n", "c", "-N", "a b")
    assert os.listdir(store.path) == ["c"]
    store.ok("copy", "-n", "c", "-N", "a b", "-K")
    store.ok("destroy", "-n", "a b")


def test_a_name_is_taken_once(store: Store) -> None:
    store.create("c")
    assert "Container already exists" in store.refused("create", "-n", "c", "-t", "none")
    assert "rootfs" in os.listdir(store.path / "c")


def test_a_directory_that_is_no_container_is_left_alone(store: Store) -> None:
    (store.path / "c").mkdir()
    (store.path / "c/file").write_text("kept")
    assert "it is no container" in store.refused("create", "-n", "c", "-t", "none")
    assert (store.path / "c/file").read_text() == "kept"


def test_a_configuration_with_a_root_of_its_own_is_refused(store: Store) -> None:
    store.config.write_text("lxc.rootfs = /srv/there\n")
    said = store.refused("create", "-n", "c", "-t", str(store.template), "-f", str(store.config))
    assert "lxc.rootfs says where" in said and "-t none" in said


def test_a_directory_with_something_in_it_is_not_filled(store: Store) -> None:
    outside = store.root / "home"
    outside.mkdir()
    (outside / "file").write_text("kept")
    said = store.refused("create", "-n", "c", "-t", str(store.template), "--dir", str(outside))
    assert "is not empty" in said
    assert os.listdir(store.path) == [] and os.listdir(outside) == ["file"]


@pytest.mark.parametrize("end", ["exit 3", 'echo "lxc.nosuch = 1" >> "$path/config"', 'echo "lxc.tty.max = x" >> "$path/config"'])
def test_a_template_that_fails_leaves_nothing(store: Store, end: str) -> None:
    store.program("template", store.template.read_text() + end + "\n")
    store.refused("create", "-n", "c", "-t", str(store.template))
    assert os.listdir(store.path) == []


def test_who_is_killed_leaves_what_the_next_one_removes(store: Store) -> None:
    waiting = store.program("waits", store.template.read_text() + 'echo $$ > "$path/pid"\nexec sleep 600\n')
    words = store.command("create", "-n", "c", "-t", str(waiting), "-f", str(store.config))
    process = subprocess.Popen(words, env=store.env)
    pid = store.path / "c/pid"
    until(lambda: pid.exists() and pid.read_text())
    assert "is being made" in store.refused("create", "-n", "c", "-t", "none")
    assert "is being made" in store.refused("destroy", "-n", "c")
    process.kill()
    process.wait()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert (store.path / "c/partial").exists()
    store.create("c")
    assert sorted(os.listdir(store.path / "c")) == ["config", "rootfs"]


def test_an_interrupt_undoes_what_was_made(store: Store) -> None:
    waiting = store.program("waits", store.template.read_text() + 'touch "$path/there"\nexec sleep 600\n')
    words = store.command("create", "-n", "c", "-t", str(waiting), "-f", str(store.config))
    process = subprocess.Popen(words, env=store.env, stderr=subprocess.PIPE)
    until((store.path / "c/there").exists)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said) == (130, b"")
    assert os.listdir(store.path) == []


def test_a_half_made_one_is_destroyed(store: Store) -> None:
    home = store.create("c")
    (home / "partial").touch()
    store.ok("destroy", "-n", "c")
    assert os.listdir(store.path) == []


def test_ids_are_given_to_the_container(store: Store) -> None:
    store.config.write_text("lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 200000 65536\n")
    home = store.create("c")
    status = (home / "rootfs/etc/hostname").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (100000, 200000, 0o4755)
    assert (home / "rootfs").stat().st_uid == 100000


def test_busybox_has_an_init(store: Store) -> None:
    store.ok("create", "-n", "c", "-t", "busybox", "-f", str(store.config), "-q")
    root = store.path / "c/rootfs"
    assert os.readlink(root / "sbin/init") == "/bin/busybox"
    assert (root / "etc/hostname").read_text() == "c\n"
    assert (root / "etc/init.d/rcS").stat().st_mode & 0o111
    assert "umount" not in (root / "etc/inittab").read_text()  # a remount would reach the host's file systems
    assert store.value("c", "lxc.signal.halt") == "SIGUSR1"


def test_a_local_archive(store: Store) -> None:
    source = store.root / "tree"
    (source / "etc").mkdir(parents=True)
    (source / "etc/os-release").write_text("ID=own\n")
    archive = store.root / "root.tar.xz"
    subprocess.run(["tar", "-C", source, "-cJf", archive, "."], check=True)
    (store.root / "config").write_text("lxc.include = /dev/null\nlxc.tty.max = 3\nlxc.console.logfile = LXC_PATH/log\n")
    metadata = store.root / "meta.tar"
    subprocess.run(["tar", "-C", store.root, "-cf", metadata, "config"], check=True)
    store.ok("create", "-n", "c", "-t", "local", "-f", str(store.config), "--", "-f", str(archive), "-m", str(metadata))
    assert (store.path / "c/rootfs/etc/os-release").read_text() == "ID=own\n"
    assert store.value("c", "lxc.console.logfile") == f"{store.path}/c/log"
    assert store.value("c", "lxc.uts.name") == "c"

    store.ok("create", "-n", "d", "-t", "local", "-f", str(store.config), "--", "-f", str(archive))
    made = translate(load(str(store.path / "d/config")), "d")  # a system of somebody's: confined as LXC's own are
    assert made.spec.system and not {"sys_rawio", "sys_module"} & set(made.spec.system.capabilities or ())
    assert "c 1:3 rwm" in map(str, made.spec.limits.devices or ()) and "b 8:0 rwm" not in map(str, made.spec.limits.devices or ())


# ---- destroying


def test_links_in_a_root_are_removed_and_not_followed(store: Store) -> None:
    home = store.create("c")
    secret = store.root / "secret"
    secret.mkdir()
    (secret / "file").write_text("kept")
    os.symlink(secret, home / "rootfs/out")
    os.symlink("/etc", home / "rootfs/etc/etc")
    os.mkfifo(home / "rootfs/pipe")
    os.mknod(home / "rootfs/disk", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(home / "rootfs/socket"))
    store.ok("destroy", "-n", "c")
    assert os.listdir(store.path) == []
    assert (secret / "file").read_text() == "kept" and Path("/etc/passwd").exists()


def test_a_rootfs_that_is_a_link_stays_where_it_leads(store: Store) -> None:
    home = store.create("c")
    outside = store.root / "elsewhere"
    (home / "rootfs").rename(outside)
    os.symlink(outside, home / "rootfs")
    done = store.run("destroy", "-n", "c")
    assert done.returncode == 0 and "outside" in done.stderr
    assert (outside / "etc/hostname").exists() and os.listdir(store.path) == []


def test_a_directory_that_is_a_link_is_unlinked_alone(store: Store) -> None:
    home = store.create("c")
    outside = store.root / "elsewhere"
    home.rename(outside)
    os.symlink(outside, home)
    assert str(outside) in store.run("destroy", "-n", "c").stderr
    assert (outside / "rootfs/etc/hostname").exists() and os.listdir(store.path) == []


def test_a_root_outside_stays_unless_it_is_asked_for(store: Store) -> None:
    outside = store.root / "outside"
    store.create("c", "--dir", str(outside))
    done = store.run("destroy", "-n", "c")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"lxc-destroy: c: {outside} is outside of {store.path}/c and stays\n"
    assert (outside / "etc/hostname").exists() and os.listdir(store.path) == []

    store.ok("create", "-n", "c", "-t", "none", "-f", str(store.config), "--dir", str(outside))
    store.add("c", "lxc.rootfs.managed = 0\n")
    store.ok("destroy", "-n", "c", "--remove-rootfs")
    assert (outside / "etc/hostname").exists()

    store.ok("create", "-n", "c", "-t", "none", "-f", str(store.config), "--dir", str(outside))
    assert store.ok("destroy", "-n", "c", "--remove-rootfs") == ""
    assert not outside.exists()


@pytest.mark.parametrize("place", ["", "/.."])
def test_what_has_all_containers_is_removed_for_nobody(store: Store, place: str) -> None:
    store.ok("create", "-n", "c", "-t", "none", "-f", str(store.config))
    store.add("c", f"lxc.rootfs.path = {store.path}{place}\n")
    said = store.refused("destroy", "-n", "c", "--remove-rootfs")
    assert "not removed, whatever is asked" in said
    assert store.text("c")
    store.ok("destroy", "-n", "c")


@pytest.mark.parametrize("place", ["/", "/usr", "/usr/", "/etc/..", "HOME"])
def test_some_places_are_removed_for_nobody(place: str) -> None:
    """Asked of the function alone: a tool that is wrong about it would remove this machine."""
    path = pwd.getpwuid(os.getuid()).pw_dir if place == "HOME" else place
    with pytest.raises(BadInput, match="whatever is asked"):
        check_removable(Home("/var/lib/lxc", "c"), (path,))


def test_a_path_that_climbs_out_is_outside(store: Store) -> None:
    home = store.create("c")
    victim = store.create("victim")
    store.add("c", f"lxc.rootfs.path = {home}/../victim/rootfs\n")
    store.ok("destroy", "-n", "c")
    assert (victim / "rootfs/etc/hostname").exists() and not home.exists()


def test_what_is_mounted_below_is_a_refusal_before_anything_is_gone(store: Store) -> None:
    home = store.create("c")
    tool = " ".join(store.command("destroy", "-n", "c"))
    script = f"mount --make-rprivate /; mount -t tmpfs none {home}/rootfs/etc; touch {home}/rootfs/etc/x; {tool}; echo $?; ls {home}/rootfs/etc"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1\nx\n" and f"{home}/rootfs/etc" in done.stderr and "nothing was removed" in done.stderr
    assert (home / "rootfs/etc/hostname").exists() and (home / "config").exists()


def test_a_destruction_that_was_cut_off_is_finished(store: Store) -> None:
    home = store.create("c")
    script = (
        "import os, signal, sys; from warden.lxc import destroying, home\n"
        "def die(path, shortcut): os.kill(os.getpid(), signal.SIGKILL) if path.endswith('rootfs') else os.unlink(path)\n"
        "destroying.remove_tree = die\n"
        "destroying.destroy(destroying.Destruction(home.Home(sys.argv[1], 'c')))\n"
    )
    assert store.python(script, str(store.path)) == -signal.SIGKILL
    assert (home / "partial").exists() and not (home / "config").exists() and (home / "rootfs").exists()
    store.ok("destroy", "-n", "c")
    assert os.listdir(store.path) == []


def test_a_broken_configuration_does_not_keep_it(store: Store) -> None:
    store.create("c")
    store.add("c", "lxc.nosuch = 1\n")
    store.ok("destroy", "-n", "c")
    assert os.listdir(store.path) == []


def test_the_hook_is_run_before_and_may_refuse(store: Store) -> None:
    home = store.create("c")
    hook = store.program("hook", f'#!/bin/sh\necho "$@ $LXC_NAME" > {store.root}/said; ls {home} >> {store.root}/said; exit $(cat {store.root}/code)\n')
    store.add("c", f"lxc.hook.destroy = {hook} own\n")
    (store.root / "code").write_text("1")
    assert "lxc.hook.destroy" in store.refused("destroy", "-n", "c")
    assert (home / "rootfs").exists() and not (home / "partial").exists()
    (store.root / "code").write_text("0")
    store.ok("destroy", "-n", "c")
    assert (store.root / "said").read_text().split() == ["own", "c", "lxc", "destroy", "c", "config", "rootfs"]


def test_one_that_is_not_there(store: Store) -> None:
    assert "Container is not defined" in store.refused("destroy", "-n", "c")


def test_one_that_somebody_else_runs_is_left_alone(store: Store) -> None:
    home = store.create("c")
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(b"\0" + os.fsencode(f"{home}/command"))
        taken.listen()  # as LXC's monitor does
        assert "c is running" in store.refused("destroy", "-n", "c")
        assert "c is running" in store.refused("copy", "-n", "c", "-N", "d")
        assert "c is running" in store.refused("copy", "-n", "c", "-N", "d", "-R")
        assert "c is running" in store.refused("snapshot", "-n", "c")
    assert os.listdir(store.path) == ["c"]


def test_force_stops_it_first(store: Store) -> None:
    store.ok("create", "-n", "c", "-t", "busybox", "-f", str(store.config), "-q")
    store.ok("execute", "-d", "-n", "c", "--", "/bin/sleep", "600")
    assert "c is running" in store.refused("destroy", "-n", "c")
    store.ok("destroy", "-n", "c", "-f")
    assert os.listdir(store.path) == []
    state = store.root / "state"
    until(lambda: not state.exists() or not [name for name in os.listdir(state) if not name.startswith(".")])


def test_the_log_has_what_was_said(store: Store) -> None:
    log = store.root / "log"
    done = store.run("destroy", "-n", "c", "-q", "-o", str(log))
    assert (done.returncode, done.stderr) == (1, "")
    assert re.match(r"lxc-destroy c \d{14}\.\d{3} ERROR    warden - Container is not defined", log.read_text())


def test_the_tools_are_modules_too(store: Store) -> None:
    done = subprocess.run([sys.executable, "-m", "warden.lxc.tools.create", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == "5.0.2\n"
