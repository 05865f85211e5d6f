"""Fixtures of the wshd tests: the program in its two builds, a container, and the check that nothing stays behind."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from wshd_driver import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    PATIENCE,
    READY,
    REPORTS,
    Client,
    Launch,
    launch,
    plan,
    step,
)

from warden.plan.steps import Op, Step

NATIVE = Path(__file__).resolve().parents[2] / "native"
MAPPED = 805306368
LO_UP = struct.pack("<IHHIIBxHiII", 32, 16, 5, 1, 0, 0, 0, 1, 1, 1)
NOSUID, NODEV, NOEXEC, RDONLY = 2, 4, 8, 1


@functools.cache
def built(name: str) -> Path:
    """native/NAME, made up to date once a session."""
    subprocess.run(["make", "-s", "-C", str(NATIVE), name], check=True)
    return NATIVE / name


@pytest.fixture(params=["wshd", "wshd-asan"])
def binary(request: pytest.FixtureRequest) -> Path:
    return built(request.param)


def our_processes() -> set[str]:
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe").startswith(str(NATIVE)):
                found.add(entry.name)  # a zombie has no exe: it waits for its parent, not for us
        except OSError:
            continue
    return found


def our_mounts() -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[4] for line in lines if "/w-box-" in line or "/w-run-" in line}


def sanitizer_reports() -> list[Path]:
    return sorted(Path("/tmp").glob(f"{REPORTS}.*"))


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """No process of ours, mount or descriptor more than before, and no sanitizer's report.

    A process that was killed may still be on its way, and what others do to mounts elsewhere is not ours.
    """
    processes, mounts, descriptors = our_processes(), our_mounts(), len(os.listdir("/proc/self/fd"))
    yield
    end = time.monotonic() + PATIENCE
    while more := (our_processes() - processes) | (our_mounts() - mounts):
        assert time.monotonic() < end, f"left behind: {more}"
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    reports = [report.read_text() for report in sanitizer_reports()]
    for report in sanitizer_reports():
        report.unlink()
    assert not reports


def launcher_steps(place: Path) -> list[Step]:
    dev = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
    layers = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    return [
        step(Op.UNSHARE, NEWNS),
        step(Op.PROPAGATION, 0x4000 | 0x40000),
        step(Op.CLONE, NEWUSER | NEWPID | NEWNET | NEWIPC | NEWUTS),
        step(Op.SETGROUPS, "allow"),
        step(Op.UID_MAP, f"0 {MAPPED} 65536"),
        step(Op.GID_MAP, f"0 {MAPPED} 65536"),
        step(Op.BIND, f"{place}/image", f"{place}/lower", 0, 2, 0),
        step(Op.MOUNT, "overlay", f"{place}/root", "overlay", 0, layers),
        step(Op.ROOT, f"{place}/root", 0),
        step(Op.MOUNT, "tmpfs", "/dev", "tmpfs", NOSUID | NOEXEC, f"mode=0755,size=64k,uid={MAPPED},gid={MAPPED}"),
        *(
            step(Op.MKNOD, f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(*at), MAPPED, MAPPED)
            for name, at in dev.items()
        ),
        step(Op.SYMLINK, "pts/ptmx", "/dev/ptmx"),
        step(Op.MKDIR, "/dev/pts", 0o755, MAPPED, MAPPED),
        step(Op.MKDIR, "/dev/mqueue", 0o755, MAPPED, MAPPED),
        step(Op.BIND, "/usr", "/usr", RDONLY | NOSUID | NODEV, 2, 0),
        step(Op.RELEASE),
    ]


def child_steps() -> list[Step]:
    plain = NOSUID | NODEV | NOEXEC
    return [
        step(Op.GROUPS, b""),
        step(Op.SETGID, 0),
        step(Op.SETUID, 0),
        step(Op.UNSHARE, NEWNS | NEWCGROUP),
        step(Op.MOUNT, "proc", "/proc", "proc", plain, ""),
        step(Op.MOUNT, "devpts", "/dev/pts", "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
        step(Op.MOUNT, "mqueue", "/dev/mqueue", "mqueue", plain, ""),
        step(Op.MOUNT, "sysfs", "/sys", "sysfs", plain | RDONLY, ""),
        step(Op.HOSTNAME, "w-box"),
        step(Op.DOMAINNAME, "w-domain"),
        step(Op.NETLINK, LO_UP),
        *(step(Op.MASK, f"/proc/{name}") for name in ("kcore", "keys", "timer_list", "acpi", "nothing")),
        step(Op.MASK, "/sys/firmware"),
        *(step(Op.READONLY, f"/proc/{name}") for name in ("sys", "irq", "bus", "fs", "sysrq-trigger")),
        step(Op.PIVOT_ROOT),
        step(Op.SERVE),
    ]


def make_tree(place: Path) -> None:
    for name in ("image", "lower", "upper", "work", "root"):
        (place / name).mkdir()
    for name in ("upper", "work"):
        os.chown(place / name, MAPPED, MAPPED)
    for name in ("proc", "dev", "sys", "usr", "etc", "tmp"):
        (place / "image" / name).mkdir()
    (place / "image/tmp").chmod(0o1777)
    for name in ("bin", "lib", "lib64", "sbin"):
        (place / "image" / name).symlink_to(f"usr/{name}")


@dataclass
class Box:
    """A serving container."""

    place: Path
    launched: Launch
    clients: list[Client] = field(default_factory=list)

    def client(self) -> Client:
        self.clients.append(Client(self.place / "socket"))
        return self.clients[-1]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.launched.close()
        shutil.rmtree(self.place)


def open_box(binary: Path) -> Box:
    place = Path(tempfile.mkdtemp(prefix="w-box-"))
    make_tree(place)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(place / "socket"))
        listener.listen(16)
        content = plan(*launcher_steps(place), *child_steps())
        box = Box(place, launch(binary, content, listen=listener))
    messages = box.launched.finish()
    if messages[-1].kind != READY:
        box.close()
        pytest.fail(f"{(launcher_steps(place) + child_steps())[messages[-1].step]}: {os.strerror(messages[-1].error)}")
    return box


@pytest.fixture
def box(binary: Path) -> Iterator[Box]:
    made = open_box(binary)
    yield made
    made.close()
