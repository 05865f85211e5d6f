"""What cannot be done is said in a sentence, and leaves everything as it was."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import client_of, daemon_with, nothing_new

from warden.client.blocking import Client, Container
from warden.errors import BadInput, HandleTaken, ImageError, JobFailed, KernelRefused, PoolExhausted, WardenError
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as client:
        yield client


@pytest.fixture
def unchanged(shared_daemon: PrivateDaemon, client: Client) -> Iterator[None]:
    """After the test the daemon has what it had before it."""
    with nothing_new(shared_daemon):
        yield


@pytest.fixture
def box(client: Client, unchanged: None) -> Iterator[Container]:
    """A container which must be usable after whatever failed in it."""
    with client.create() as container:
        yield container
        assert container.run("echo usable").stdout == b"usable\n"
        assert container.info().jobs == ()


def is_a_sentence(error: WardenError) -> bool:
    return "\n" not in str(error) and not error.message.endswith(".") and "Traceback" not in str(error)


@pytest.mark.usefixtures("unchanged")
class TestCreate:
    def test_of_an_image_that_is_not_there(self, client: Client) -> None:
        with pytest.raises(ImageError, match="image nonesuch: not found"):
            client.create(image="nonesuch")

    @pytest.mark.parametrize("name", ["../host", "UPPER", "a/b", "x\n"])
    def test_of_an_image_with_an_impossible_name(self, client: Client, name: str) -> None:
        with pytest.raises(WardenError) as caught:
            client.create(image=name)
        assert is_a_sentence(caught.value)

    def test_of_a_rootfs_that_is_not_a_directory(self, client: Client, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(BadInput, match=f"rootfs {tmp_path}/file not found"):
            client.create(rootfs=str(tmp_path / "file"))
        with pytest.raises(BadInput, match="not found"):
            client.create(rootfs=str(tmp_path / "nonesuch"))

    def test_of_an_empty_rootfs(self, client: Client, tmp_path: Path) -> None:
        with client.create(rootfs=str(tmp_path)) as container, pytest.raises(JobFailed, match="exec"):
            container.run("true")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("source", ["/nonesuch", "/etc/passwd/below"])
    def test_with_a_mount_source_that_is_not_there(self, client: Client, source: str) -> None:
        with pytest.raises(BadInput, match=f"Source path for bind mount does not exist: {source}"):
            client.create(mounts=[(source, "/data")])

    def test_with_a_mount_whose_target_cannot_be_a_directory(self, client: Client, tmp_path: Path) -> None:
        with pytest.raises(KernelRefused, match="/etc/passwd/data") as caught:
            client.create(mounts=[(str(tmp_path), "/etc/passwd/data")])
        assert is_a_sentence(caught.value)

    def test_with_a_directory_mounted_on_a_file(self, client: Client, tmp_path: Path) -> None:
        with pytest.raises(KernelRefused, match="/etc/hostname") as caught:
            client.create(mounts=[(str(tmp_path), "/etc/hostname")])
        assert is_a_sentence(caught.value)

    def test_with_a_file_mounted_on_a_directory(self, client: Client, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(KernelRefused, match="/tmp") as caught:
            client.create(mounts=[(str(tmp_path / "file"), "/tmp")])
        assert is_a_sentence(caught.value)

    @pytest.mark.parametrize("source", ["/proc/sys", "/sys/kernel"])
    def test_with_a_writable_mount_that_cannot_be_id_mapped(self, client: Client, source: str) -> None:
        with pytest.raises(KernelRefused, match=source) as caught:
            client.create(mounts=[(source, "/data", "rw")])
        assert "id-mapped" in caught.value.message + caught.value.hint
        assert is_a_sentence(caught.value)

    @pytest.mark.parametrize("target", ["/", "/.", "/proc", "/dev", "//"])
    def test_with_a_mount_on_what_the_container_needs(self, client: Client, tmp_path: Path, target: str) -> None:
        try:
            container = client.create(mounts=[(str(tmp_path), target)])
        except WardenError as error:
            assert is_a_sentence(error)
        else:
            container.destroy()

    @pytest.mark.parametrize("handle", ["x" * 1025, "a\0b"])
    def test_with_an_impossible_handle(self, client: Client, handle: str) -> None:
        with pytest.raises(BadInput, match="handle"):
            client.create(handle)

    @pytest.mark.parametrize("handle", ["a b", "../../etc", "ä/ö", "-", "\udcff", "x" * 1024, "new\nline", ".trash"])
    def test_with_an_odd_handle_that_is_allowed(self, client: Client, handle: str) -> None:
        with client.create(handle) as container:
            assert client.list() == [handle]
            assert container.run("echo $HOSTNAME; hostname").ok

    def test_with_a_handle_that_is_taken(self, client: Client) -> None:
        with client.create("mine") as container:
            with pytest.raises(HandleTaken, match=r"container with handle: mine already exists\."):
                client.create("mine")
            assert container.run("true").ok
        client.create("mine").destroy()

    def test_twice_at_once_with_one_handle(self, client: Client, shared_daemon: PrivateDaemon) -> None:
        outcomes: list[str] = []

        def create() -> None:
            with client_of(shared_daemon) as mine:
                try:
                    mine.create("both")
                    outcomes.append("made")
                except HandleTaken:
                    outcomes.append("taken")

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["made"] + ["taken"] * 7
        client.container("both").destroy()

    @pytest.mark.parametrize("memory", [1, 0, "1K", -1, "a lot", 2**63, 2**64 - 1, "99999999999T"])
    def test_with_an_absurd_memory_limit(self, client: Client, memory: str | int) -> None:
        try:
            container = client.create(memory=memory)
        except (WardenError, ValueError) as error:
            assert isinstance(error, WardenError) and is_a_sentence(error)
            return
        try:  # the kernel took it: then a job either runs or says why not
            assert container.run("true", timeout=60).verdict is not None
        except WardenError as error:
            assert is_a_sentence(error)
        container.destroy()

    @pytest.mark.parametrize("hostname", ["", "a b", "x" * 65, "../x", "a\nb"])
    def test_with_an_impossible_hostname(self, client: Client, hostname: str) -> None:
        with pytest.raises(BadInput, match="hostname"):
            client.create(hostname=hostname)


def test_an_exhausted_pool_is_said_and_recovers() -> None:
    with daemon_with(pool_network="10.252.77.0/29", release_delay=0) as daemon, client_of(daemon) as client:
        one, two = client.create(), client.create()
        with nothing_new(daemon):
            for _ in range(3):
                with pytest.raises(PoolExhausted, match="Could not acquire network"):
                    client.create()
        with client.create(network="none") as without:
            assert without.run("true").ok
        one.destroy()
        with client.create() as again:
            assert again.run("true").ok
        two.destroy()


class TestJob:
    def test_of_a_program_that_is_not_there(self, box: Container) -> None:
        with pytest.raises(JobFailed, match="exec nonesuch: No such file"):
            box.run(["nonesuch"])

    @pytest.mark.parametrize("program", ["/tmp", "/etc/passwd", "/usr/bin", ""])
    def test_of_what_is_no_program(self, box: Container, program: str) -> None:
        with pytest.raises(JobFailed) as caught:
            box.run([program])
        assert is_a_sentence(caught.value)

    def test_of_a_script_without_its_interpreter(self, box: Container) -> None:
        box.run("printf '#!/nonesuch\\n' > /tmp/script; chmod 755 /tmp/script", check=True)
        with pytest.raises(JobFailed, match="/tmp/script"):
            box.run(["/tmp/script"])

    @pytest.mark.parametrize("directory", ["/nonesuch", "/etc/passwd", "/root"])
    def test_in_a_directory_that_cannot_be_entered(self, box: Container, directory: str) -> None:
        with pytest.raises(JobFailed, match=f"chdir\\({directory}\\)"):
            box.run(["true"], cwd=directory)

    @pytest.mark.parametrize("user", ["nonesuch", "4294967295", "-1", "root:x", "99999999999999"])
    def test_of_a_user_that_is_not_there(self, box: Container, user: str) -> None:
        with pytest.raises(JobFailed, match="user"):
            box.run(["true"], user=user)

    def test_with_too_long_a_command(self, box: Container) -> None:
        with pytest.raises(WardenError) as caught:
            box.run(["echo", "x" * (3 << 20)])
        assert is_a_sentence(caught.value)

    def test_with_a_limit_that_may_not_be_raised(self, box: Container) -> None:
        try:
            assert box.run("ulimit -n", rlimits={"nofile": 2**40}).exit_status is not None
        except WardenError as error:
            assert "nofile" in str(error).lower() and is_a_sentence(error)

    def test_that_was_collected_or_never_was(self, box: Container) -> None:
        from warden.errors import UnknownJob

        for number in (0, 1, 2**32 - 1):
            with pytest.raises(UnknownJob, match="no such job"):
                box.job(number).wait()

    @pytest.mark.parametrize("number", [0, 65, 1000])
    def test_with_a_signal_that_is_none(self, box: Container, number: int) -> None:
        job = box.spawn(["sleep", "1000"])
        with pytest.raises(BadInput, match="signal"):
            job.signal(number)
        job.kill()
        job.wait()


def test_a_script_where_there_is_no_bash_runs_in_the_images_shell(
    client: Client, unchanged: None, tmp_path: Path
) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox here")
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for name in ("sh", "cat", "sleep"):
        (root / "bin" / name).symlink_to("busybox")
    with client.create(rootfs=str(root)) as container:
        assert container.run("echo $0 in $HOME").stdout == b"/bin/sh in /home/vcap\n"
        with pytest.raises(JobFailed, match="bash"):
            container.run(["bash"])
    assert sorted(path.name for path in root.iterdir()) == ["bin"]
