"""What a job must not be able to do, tried from inside as vcap and as the container's privileged root."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import client_of, nothing_new, processes_of, wait_until

from warden.client.blocking import Client, Container
from warden.errors import JobFailed, WardenError
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

PRELUDE = """
import ctypes, errno, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def attempt(work):
    try:
        work()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
"""
#: x86_64 numbers; every one must be refused before it does anything.
SYSTEM_CALLS = {
    "mount": "165, b'x', b'/mnt', b'tmpfs', 0, 0",
    "remount /usr": "165, b'', b'/usr', b'', 0x1020, 0",
    "umount /proc/kcore": "166, b'/proc/kcore', 2",
    "umount /usr": "166, b'/usr', 2",
    "unshare": "272, 0x00020000",
    "unshare user": "272, 0x10000000",
    "setns": "308, os.open('/proc/1/ns/net', 0) if os.access('/proc/1/ns/net', 4) else 0, 0",
    "clone user": "56, 0x10000000 | 17, 0, 0, 0, 0",
    "clone3": "435, 0, 0",
    "reboot": "169, 0xfee1dead, 672274793, 0, 0",
    "swapon": "167, b'/tmp/x', 0",
    "init_module": "175, b'', 0, b''",
    "finit_module": "313, 0, b'', 0",
    "keyctl": "250, 0, -3, 0",
    "add_key": "248, b'user', b'x', b'y', 1, -3",
    "bpf": "321, 0, 0, 0",
    "io_uring_setup": "425, 8, ctypes.create_string_buffer(120)",
    "perf_event_open": "298, 0, 0, 0, 0, 0",
    "userfaultfd": "323, 0",
    "open_by_handle_at": "304, 0, 0, 0",
    "name_to_handle_at": "303, -100, b'/', 0, 0, 0",
    "pivot_root": "155, b'/', b'/'",
    "fsopen": "430, b'tmpfs', 0",
    "open_tree": "428, -100, b'/', 1",
    "move_mount": "429, -100, b'', -100, b'', 0",
    "mount_setattr": "442, -100, b'/', 0, 0, 0",
    "syslog": "103, 3, 0, 0",
    "sethostname": "170, b'x', 1",
    "settimeofday": "164, 0, 0",
    "kexec_load": "246, 0, 0, 0, 0",
    "iopl": "172, 3",
    "acct": "163, 0",
    "quotactl": "179, 0, 0, 0, 0",
    "process_vm_writev": "311, 1, 0, 0, 0, 0, 0",
    "ptrace of PID 1": "101, 16, 1, 0, 0",
    "seize of PID 1": "101, 0x4206, 1, 0, 0",
}
#: Paths and how they are opened; all must be refused, or be empty.
PATHS = (
    ("/proc/sys/kernel/core_pattern", "O_WRONLY"),
    ("/proc/sys/kernel/modprobe", "O_WRONLY"),
    ("/proc/sys/vm/overcommit_memory", "O_WRONLY"),
    ("/proc/sysrq-trigger", "O_WRONLY"),
    ("/proc/1/mem", "O_RDWR"),
    ("/proc/1/environ", "O_RDONLY"),
    ("/proc/1/root/etc", "O_RDONLY"),
    ("/proc/1/cwd", "O_RDONLY"),
    ("/proc/1/fd/0", "O_RDONLY"),
    ("/proc/1/exe", "O_RDONLY"),
    ("/usr/bin/env", "O_WRONLY"),
    ("/usr/new-file", "O_WRONLY | os.O_CREAT"),
    ("/dev/mem", "O_RDONLY"),
    ("/dev/kmsg", "O_RDONLY"),
    ("/dev/vda", "O_RDONLY"),
    ("/dev/sda", "O_RDONLY"),
    ("/sys/kernel/uevent_helper", "O_WRONLY"),
)


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    """Afterwards the daemon has what it had before."""
    with client_of(shared_daemon) as client, nothing_new(shared_daemon):
        yield client


@pytest.fixture(params=[False, True], ids=["vcap", "root"])
def privileged(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def inside(container: Container, program: str, *, privileged: bool) -> list[str]:
    """The lines that a Python program prints there, with the helpers above."""
    result = container.run(["python3", "-c", PRELUDE + program], privileged=privileged, timeout=60)
    assert result.ok, result
    return result.text.splitlines()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of the system calls are x86_64's")
def test_system_calls_are_refused(client: Client, privileged: bool) -> None:
    program = "\n".join(f"print({name!r} + ':', call({words}))" for name, words in SYSTEM_CALLS.items())
    with client.create() as container:
        lines = inside(container, program, privileged=privileged)
    assert [line for line in lines if line.endswith(": done")] == []
    assert len(lines) == len(SYSTEM_CALLS)


def test_paths_are_refused_or_empty(client: Client, privileged: bool) -> None:
    program = f"for path, how in {PATHS!r}: print(path, attempt(lambda: os.open(path, eval('os.' + how))))"
    with client.create() as container:
        lines = inside(container, program, privileged=privileged)
    assert [line for line in lines if line.endswith(" done")] == []


def test_what_tells_of_the_host_is_masked(client: Client, privileged: bool) -> None:
    program = """
for name in "acpi asound kcore keys latency_stats sched_debug scsi timer_list".split():
    path = "/proc/" + name
    if os.path.isdir(path): print(name, len(os.listdir(path)))
    elif os.path.exists(path):
        try: print(name, len(open(path, "rb").read(100)))
        except OSError: print(name, 0)
"""
    with client.create() as container:
        assert {line.split()[1] for line in inside(container, program, privileged=privileged)} <= {"0"}


def test_device_nodes_cannot_be_made_or_used(client: Client, privileged: bool) -> None:
    program = """
import stat
for kind, number in ((stat.S_IFBLK, os.makedev(8, 0)), (stat.S_IFCHR, os.makedev(1, 1)), (stat.S_IFCHR, os.makedev(1, 3))):
    for place in ("/tmp/d", "/dev/shm/d", "/dev/d"):
        print(attempt(lambda: os.mknod(place, kind | 0o666, number)))
"""
    with client.create() as container:
        assert "done" not in inside(container, program, privileged=privileged)


def test_pid_1_survives_every_signal(client: Client, privileged: bool) -> None:
    with client.create() as container:
        pid = container.info().pid
        program = "for n in range(1, 65): print(attempt(lambda: os.kill(1, n)))"
        inside(container, program, privileged=privileged)
        assert container.run("echo alive").stdout == b"alive\n"
        assert container.info().pid == pid


def test_the_socket_of_pid_1_is_out_of_reach(client: Client, privileged: bool) -> None:
    program = """
found = [os.path.join(top, n) for top, _, names in os.walk("/") for n in names if n.endswith("wshd.sock")]
print(found, [line for line in open("/proc/net/unix") if "wshd" in line])
"""
    with client.create() as container:
        assert inside(container, program, privileged=privileged) == ["[] []"]


def test_a_directory_descriptor_does_not_lead_out_of_a_chroot(client: Client) -> None:
    program = """
fd = os.open("/", os.O_RDONLY)
os.makedirs("/tmp/jail", exist_ok=True); os.chroot("/tmp/jail"); os.fchdir(fd)
for _ in range(50): os.chdir("..")
os.chroot(".")
print(sorted(os.listdir("/root")), os.path.exists("%s"))
"""
    with client.create() as container:
        marker = container.info().path
        assert inside(container, program % marker, privileged=True) == ["[] False"]


def test_the_hosts_processes_are_not_seen(client: Client, privileged: bool) -> None:
    with client.create() as container:
        text = container.run("echo /proc/[0-9]*", privileged=privileged).text
    assert len(text.split()) <= 3


def test_abstract_sockets_of_the_host_are_not_reached(client: Client, privileged: bool) -> None:
    name = f"\0warden-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener, client.create() as container:
        listener.bind(name)
        listener.listen()
        program = f"print(attempt(lambda: socket.socket(socket.AF_UNIX).connect({name!r})))"
        assert inside(container, program, privileged=privileged) == ["ECONNREFUSED"]


def test_limits_cannot_be_raised(client: Client, privileged: bool) -> None:
    program = """
import resource as r
def higher(name):
    soft, hard = r.getrlimit(name)
    try: r.setrlimit(name, (hard + 1, hard + 1))
    except (ValueError, OSError): return "refused"
    return "done"
print(*map(higher, (r.RLIMIT_NOFILE, r.RLIMIT_NPROC, r.RLIMIT_CORE, r.RLIMIT_MEMLOCK)))
"""
    with client.create() as container:
        assert inside(container, program, privileged=privileged) == ["refused refused refused refused"]


def test_a_read_only_mount_stays_so_and_shows_hosts_ids(client: Client, privileged: bool, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "open").write_text("told")
    (tmp_path / "closed").write_text("secret")
    (tmp_path / "closed").chmod(0o600)
    os.chown(tmp_path / "closed", 12345, 12345)
    program = """
print(attempt(lambda: os.open("/data/open", os.O_WRONLY)) == "done", attempt(lambda: os.open("/data/x", os.O_CREAT)),
      attempt(lambda: os.chmod("/data/open", 0o777)), attempt(lambda: os.unlink("/data/open")), open("/data/open").read())
"""
    with client.create(mounts=[(str(tmp_path), "/data", "ro")]) as container:
        assert inside(container, program, privileged=privileged)[0].split()[1:] == ["EROFS", "EROFS", "EROFS", "told"]
        if not privileged:
            assert container.run(["cat", "/data/closed"]).exit_status != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed", "open"]


def test_programs_that_set_ids_left_in_a_mount_give_the_host_nothing(client: Client, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with client.create(mounts=[(str(tmp_path), "/data", "rw")]) as container:
        container.run("cp /bin/sh /data/sh; chmod 4755 /data/sh; mknod /data/null c 1 3", privileged=True)
    left = {path.name: path.stat() for path in tmp_path.iterdir()}
    assert not any(stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode) for found in left.values())


def test_the_images_secrets_stay_the_hosts(client: Client, privileged: bool) -> None:
    with client.create() as container:
        result = container.run(
            "cat /etc/shadow /etc/ssh/*key /root/.ssh/* 2> /dev/null; ls -A /root", privileged=privileged
        )
    assert result.stdout == b""


LINKS = {"etc": "/etc", "dev": "/", "proc": "/tmp", "home": "/root", "usr": "/usr", "tmp": "../../../../../../tmp"}


@pytest.mark.parametrize("name", LINKS)
def test_links_where_things_are_mounted_never_touch_the_host(client: Client, name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / name).symlink_to(LINKS[name])
    watched = [Path(path) for path in ("/etc", "/dev", "/root", "/usr")]
    before = [sorted(path.name for path in place.iterdir()) for place in watched]
    passwd = Path("/etc/passwd").read_bytes()
    try:
        client.create(rootfs=str(root), mounts=[("/usr", "/usr"), (str(tmp_path), f"/{name}/deep/er", "ro")]).destroy()
    except WardenError as error:
        assert "\n" not in str(error)
    assert [sorted(path.name for path in place.iterdir()) for place in watched] == before
    assert Path("/etc/passwd").read_bytes() == passwd
    assert os.readlink(root / name) == LINKS[name]


@pytest.mark.parametrize(
    "spoil",
    [
        "rm /etc/passwd",
        "head -c 10M /dev/urandom > /etc/passwd",
        "head -c 4000 /dev/urandom > /etc/passwd; head -c 4000 /dev/urandom > /etc/group",
        "rm /etc/passwd; mkfifo /etc/passwd",
        "rm /etc/passwd /etc/group; mkfifo /etc/group; ln -s /proc/kmsg /etc/passwd",
        "rm /etc/passwd; ln -s /dev/zero /etc/passwd",
        "rm /etc/passwd; ln -s passwd /etc/passwd",
        "rm /etc/passwd; ln -s /proc/self/mem /etc/passwd",
        "rm -r /etc; ln -s /proc/1/root/etc /etc",
        "truncate -s 1T /etc/passwd",
        "echo vcap:x:4294967295:0::/:/bin/sh > /etc/passwd",
        "yes vcap:x:0:0 | head -c 900K > /etc/passwd",
    ],
)
def test_a_spoiled_passwd_is_a_sentence_and_no_hang(client: Client, spoil: str) -> None:
    with client.create() as container:
        container.run(spoil, privileged=True, check=True)
        with pytest.raises(JobFailed, match="user 'vcap'") as caught:
            container.run(["/usr/bin/true"], timeout=30)
        assert "\n" not in str(caught.value)
        client.ping()


def test_root_by_a_forged_passwd_is_the_containers_root_only(client: Client) -> None:
    with client.create() as container:
        container.run("echo 'vcap:x:0:0::/:/bin/sh' > /etc/passwd", privileged=True, check=True)
        held = dict(
            line.split(":\t") for line in container.run(["cat", "/proc/self/status"]).text.splitlines() if ":\t" in line
        )
        assert held["Seccomp"] == "2"
        assert int(held["CapEff"], 16) & 1 << 21 == 0  # CAP_SYS_ADMIN


def test_a_tree_of_twenty_thousand_levels_is_removed(client: Client) -> None:
    program = """
os.chdir("/home/vcap")
for _ in range(20000):
    os.mkdir("d" * 20); os.chdir("d" * 20)
"""
    with client.create() as container:
        inside(container, program, privileged=False)


def test_odd_files_are_removed(client: Client) -> None:
    program = """
os.chdir("/home/vcap")
socket.socket(socket.AF_UNIX).bind("sock"); os.mkfifo("fifo")
open(b"\\xff\\xfe name\\n", "w"); os.symlink("/", "root"); os.symlink("x" * 4000, "long"); os.mkdir("closed", 0)
open("n" * 255, "w"); os.link("n" * 255, "hard")
for n in range(3000): open(f"many-{n}", "w")
libc.syscall(16, os.open("hard", os.O_RDONLY), 0x40086602, ctypes.byref(ctypes.c_long(0x30)))
"""
    with client.create() as container:
        inside(container, program, privileged=True)


def test_a_job_cannot_leave_its_cgroup(client: Client, shared_daemon: PrivateDaemon) -> None:
    program = "print([line for line in open('/proc/self/mountinfo') if 'cgroup' in line])"
    with client.create() as container:
        assert inside(container, program, privileged=True) == ["[]"]
    wait_until(lambda: not processes_of(shared_daemon))


def test_two_containers_do_not_share_ids_or_see_each_other(client: Client) -> None:
    with client.create() as one, client.create() as two:
        first, second = (container.run("cat /proc/self/uid_map").text.split() for container in (one, two))
        assert first[0] == second[0] == "0"
        assert first[1] != second[1] != "0"
        secret = one.run("echo secret > /tmp/secret; echo $$", check=True)
        assert secret.ok
        assert two.run("cat /tmp/secret /dev/shm/*").exit_status != 0
