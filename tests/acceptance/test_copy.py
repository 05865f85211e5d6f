"""copy_in and copy_out of a real daemon: rsync's result, owners seen from both sides, and containers that fight back."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scene import wait_until

from warden import errors
from warden.client.blocking import Client, Container
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with Client(shared_daemon.socket) as client:
        yield client
        assert client.list() == []


@pytest.fixture
def box(client: Client) -> Iterator[Container]:
    with client.create(network="none") as container:
        yield container


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory with one of everything that is copied."""
    top = tmp_path / "app"
    (top / "bin").mkdir(parents=True)
    (top / "bin/run").write_text("#!/bin/sh\necho ran\n")
    (top / "bin/run").chmod(0o4755)
    (top / "secret").write_bytes(b"s")
    (top / "secret").chmod(0o600)
    (top / "link").symlink_to("bin/run")
    (top / "leading-out").symlink_to("/etc/hostname")
    (top / "grüße").write_bytes(b"g")
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\xfe")).write_bytes(b"bytes")
    (top / "closed").mkdir(mode=0o555)
    return top


def listing(top: Path) -> dict[str, tuple[str, str]]:
    """Kind and mode, and text or content, of all below."""
    found = {}
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            path = Path(directory, name)
            status = path.lstat()
            if path.is_symlink():
                found[str(path.relative_to(top))] = "link", os.readlink(path)
            else:
                content = path.read_bytes().hex() if path.is_file() else ""
                mode = stat.S_IMODE(status.st_mode) & 0o1777 | stat.S_IFMT(status.st_mode)
                found[str(path.relative_to(top))] = stat.filemode(mode), content
    return found


def owners(top: Path) -> set[tuple[int, int]]:
    found = (Path(directory, name) for directory, names, files in os.walk(top) for name in (*names, *files))
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in found}


def test_there_and_back_is_what_rsync_makes(box: Container, host: Path, tmp_path: Path) -> None:
    box.copy_in(host, ".")
    box.copy_out("app", tmp_path / "back")
    assert listing(tmp_path / "back/app") == listing(host)
    assert owners(tmp_path / "back") == {(0, 0)}
    if shutil.which("rsync"):
        subprocess.run(["rsync", "-r", "-p", "--links", str(host), f"{tmp_path}/theirs"], check=True)
        assert listing(tmp_path / "back") == listing(tmp_path / "theirs")


def test_a_slash_means_the_contents_and_paths_begin_at_home(box: Container, host: Path, tmp_path: Path) -> None:
    box.copy_in(f"{host}/", "there")
    assert box.run("there/link").text == "ran\n"
    assert box.run("cat /home/vcap/there/secret").stdout == b"s"
    box.copy_out("/home/vcap/there/bin/", tmp_path)
    assert (tmp_path / "run").read_bytes() == (host / "bin/run").read_bytes()


@pytest.mark.parametrize("user_namespace", [True, False])
def test_owners_from_both_sides(client: Client, host: Path, user_namespace: bool) -> None:
    with client.create(network="none", user_namespace=user_namespace) as box:
        box.copy_in(host, "/tmp")
        uid = int(box.run("id -u").text)
        assert box.run("find /tmp/app -printf '%U:%G\\n' | sort -u").text == f"{uid}:{uid}\n"
        info = box.info()
        upper = owners(Path(info.path, "upper/tmp/app"))
        assert len(upper) == 1
        ((outside, group),) = upper
        assert outside == group
        assert (outside == uid) is not user_namespace
        assert outside % 65536 != 0 and outside > uid - 1
        assert box.run("stat -c %a /tmp/app/bin/run").text == "755\n", "setuid stays behind"
        assert box.run("cat /tmp/app/secret", privileged=True).stdout == b"s"


def test_the_owner_of_what_comes_out(box: Container, host: Path, tmp_path: Path) -> None:
    box.copy_in(host, "app")
    (tmp_path / "out").mkdir()
    box.copy_out("app", tmp_path / "out", "4321:1234")
    assert owners(tmp_path / "out") == {(4321, 1234)}
    assert os.stat("/etc/hostname").st_uid == 0, "the link was not followed"
    with pytest.raises(errors.BadInput, match="owner: 'nobody-at-all' is not a user of the host"):
        box.copy_out("app", tmp_path / "out2", "nobody-at-all")
    assert not (tmp_path / "out2").exists()


def test_only_out_of_a_stopped_container(box: Container, host: Path, tmp_path: Path) -> None:
    box.copy_in(host, "app")
    box.stop(kill=True)
    with pytest.raises(errors.WrongState, match="must be one of 'active', current state is 'stopped'"):
        box.copy_in(host, "app")
    box.copy_out("app/app/bin/run", tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == (host / "bin/run").read_bytes()


def test_without_a_pid_1_it_says_so(box: Container, tmp_path: Path) -> None:
    os.kill(box.info().pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while box.info().pid and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(errors.EngineFault, match="its PID 1 is gone"):
        box.copy_out("/tmp", tmp_path / "out")


def test_errors_name_what_is_wrong(box: Container, host: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.BadInput, match=f"copy_in: {host}/none on the host: no such file or directory"):
        box.copy_in(host / "none", "/tmp")
    with pytest.raises(errors.BadInput, match="copy_out: /none in the container: no such file or directory"):
        box.copy_out("/none", tmp_path)
    with pytest.raises(errors.BadInput, match=r"/tmp/a/b in the container.*must exist"):
        box.copy_in(host, "/tmp/a/b")
    with pytest.raises(errors.KernelRefused, match=r"copy_in: write /etc/bin: Permission denied.*as its user vcap"):
        box.copy_in(host / "bin", "/etc")
    with pytest.raises(errors.BadInput, match="a device cannot be copied"):
        box.copy_out("/dev/zero", tmp_path / "zero")
    with pytest.raises(errors.UnknownHandle):
        Container(box._pool, "nobody", owned=False).copy_in(host, "/tmp")


def test_nothing_of_the_host_is_reached_through_a_container(box: Container, tmp_path: Path) -> None:
    secret = tmp_path / "host-secret"
    secret.write_bytes(b"secret")
    tmp_path.chmod(0o777)
    script = f"""
        mkdir d; cd d; mkfifo fifo; ln -s {secret} file; ln -s {tmp_path} dir; ln -s / root; ln -s loop loop
        ln -s /proc/1/root magic; ln -s ../../../../../../../..{tmp_path} climbing; ln -s /proc/self/fd fds
    """
    box.run(script, check=True)
    box.copy_out("d", tmp_path / "out")
    kinds = {name: kind for name, (kind, _) in listing(tmp_path / "out/d").items()}
    assert kinds == dict.fromkeys(("file", "dir", "root", "loop", "magic", "climbing", "fds"), "link")
    for path in ("d/dir/", "d/climbing/", "d/magic/", f"d/root{secret}", "d/file/", "d/loop/"):
        with pytest.raises((errors.BadInput, errors.KernelRefused)):
            box.copy_out(path, tmp_path / "out2")
        with pytest.raises((errors.BadInput, errors.KernelRefused)):
            box.copy_in(secret, f"{path}/new")
    assert sorted(os.listdir(tmp_path)) == ["host-secret", "out"]


def test_root_s_files_in_the_container_stay_unread(box: Container, tmp_path: Path) -> None:
    box.run("echo root > /home/vcap/roots; chmod 600 /home/vcap/roots", privileged=True, check=True)
    for path in ("roots", "/proc/kmsg", "/proc/1/environ", "/proc/1/fd"):
        with pytest.raises(errors.KernelRefused, match="copy_out: read"):
            box.copy_out(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


SWAP = """
mkdir -p h/d; echo mine > h/d/f; cd h
python3 -c '
import os, sys
while True:
    os.rename("d", "x"); os.symlink(sys.argv[1], "d"); os.unlink("d"); os.rename("x", "d")
' "$TARGET"
"""


def test_a_job_that_swaps_directories_for_links_while_they_are_copied(box: Container, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    tmp_path.chmod(0o777)
    (outside / "f").write_bytes(b"host's")
    (tmp_path / "in/d").mkdir(parents=True)
    for number in range(10):
        (tmp_path / "in/d" / f"new{number}").write_bytes(b"in")
    jobs = [box.spawn(SWAP, env={"TARGET": str(outside)})]
    seen = set()
    for number in range(200):
        for copy in (
            lambda: box.copy_in(f"{tmp_path}/in/", "h"),
            lambda number=number: box.copy_out("h/", tmp_path / f"out{number}"),
        ):
            try:
                copy()
            except (errors.KernelRefused, errors.BadInput) as error:
                assert "copy_" in str(error)
        if (tmp_path / f"out{number}").exists():
            seen |= {bytes.fromhex(c) for k, c in listing(tmp_path / f"out{number}").values() if k != "link" and c}
    assert os.listdir(outside) == ["f"]
    assert (outside / "f").read_bytes() == b"host's"
    assert b"host's" not in seen and b"mine\n" in seen
    jobs[0].kill()
    jobs[0].wait()


def test_many_files_while_the_daemon_answers(box: Container, client: Client, tmp_path: Path) -> None:
    """Times are printed, not judged."""
    source = tmp_path / "many"
    for directory in range(20):
        (source / str(directory)).mkdir(parents=True)
        for number in range(1000):
            os.close(os.open(f"{source}/{directory}/{number}", os.O_WRONLY | os.O_CREAT, 0o644))
    began, longest = time.monotonic(), 0.0
    with ThreadPoolExecutor(1) as pool:
        copying = pool.submit(box.copy_in, source, "/tmp")
        while not copying.done():
            asked = time.monotonic()
            client.ping()
            longest = max(longest, time.monotonic() - asked)
            time.sleep(0.01)
        copying.result()
    into = time.monotonic() - began
    assert box.run("find /tmp/many -type f | wc -l").text == "20000\n"
    began = time.monotonic()
    box.copy_out("/tmp/many/", tmp_path / "back")
    print(f"20,000 files: in {into:.1f} s, out {time.monotonic() - began:.1f} s, longest ping {longest * 1000:.0f} ms")
    assert sum(len(files) for _, _, files in os.walk(tmp_path / "back")) == 20000
    shutil.rmtree(tmp_path / "back")
    shutil.rmtree(source)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """What takes a while to copy."""
    top = tmp_path / "long"
    top.mkdir()
    for number in range(30000):
        os.close(os.open(f"{top}/{number}", os.O_WRONLY | os.O_CREAT))
    return top


def arrived(box: Container) -> int:
    return len(_names(box))


def _names(box: Container) -> list[str]:
    """Seen from outside: a job would be slower than the copy."""
    try:
        return os.listdir(f"/proc/{box.info().pid}/root/tmp/long")
    except FileNotFoundError:
        return []


def test_a_copy_ends_with_its_client(client: Client, box: Container, long: Path) -> None:
    words = ["--socket", client.socket, "cp", str(long), f"{box.handle}:/tmp"]
    process = subprocess.Popen([sys.executable, "-m", "warden.cli.main", *words])
    while arrived(box) < 10:
        assert process.poll() is None
    process.kill()
    process.wait()
    seen = [-1]

    def stands_still() -> bool:
        """Where no temporary file is left either."""
        names = _names(box)
        seen.append(len(names))
        time.sleep(0.3)
        return seen[-2] == seen[-1] and not [name for name in names if name.startswith(".")]

    wait_until(stands_still)
    assert seen[-1] < 30000


def test_a_copy_ends_with_its_container(client: Client, box: Container, long: Path) -> None:
    with Client(client.socket) as other, ThreadPoolExecutor(1) as pool:
        copying = pool.submit(other.container(box.handle).copy_in, long, "/tmp")
        while arrived(box) < 10:
            assert not copying.done()
        box.destroy()
        with pytest.raises(errors.WrongState, match="cut off"):
            copying.result()


def test_the_command(shared_daemon: PrivateDaemon, box: Container, host: Path, tmp_path: Path) -> None:
    def warden(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "warden.cli.main", "--socket", shared_daemon.socket, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert warden("cp", "app/", f"{box.handle}:there").returncode == 0
    assert warden("cp", "--owner", "99", f"{box.handle}:there", ".").returncode == 0
    assert listing(tmp_path / "there") == listing(host)
    assert owners(tmp_path / "there") == {(99, 0)}
    done = warden("cp", "nothing", f"{box.handle}:there")
    assert (done.returncode, done.stderr) == (
        2, f"warden: copy_in: {tmp_path}/nothing on the host: no such file or directory\n",
    )  # fmt: skip
    original = warden("--", "copy_out", "--handle", box.handle, "--src_path", "there/", "--dst_path", f"{tmp_path}/o")
    assert (original.returncode, original.stdout) == (0, "")
    assert listing(tmp_path / "o") == listing(host)
