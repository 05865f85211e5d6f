"""`warden cp` with archives on standard input and output; hostile ones too."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator

import pytest
from scene import client_of

from warden.client.blocking import Client, Container
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

COMMAND = [sys.executable, "-m", "warden.cli.main"]


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as made:
        yield made


@pytest.fixture
def box(client: Client) -> Iterator[Container]:
    with client.create("tar", network="none") as made:
        yield made


def cp(daemon: PrivateDaemon, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
    return subprocess.run(
        [*COMMAND, "cp", *words], env=environment, input=data, capture_output=True, timeout=120, check=False
    )


def archive(*entries: tuple[str, bytes | None, dict[str, object]], mode: str = "w") -> bytes:
    """Entries by name, bytes (None: what the fields say), and other fields."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as made:  # type: ignore[call-overload]
        for name, data, fields in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data or b"")
            for field, value in fields.items():
                setattr(info, field, value)
            made.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


def test_there_and_back(shared_daemon: PrivateDaemon, box: Container) -> None:
    given = archive(
        ("app", None, {"type": tarfile.DIRTYPE, "mode": 0o750}),
        ("app/run.sh", b"#!/bin/sh\n", {"mode": 0o755, "uid": 12345}),
        ("app/link", None, {"type": tarfile.SYMTYPE, "linkname": "run.sh"}),
        ("app/big", b"\1\2" * 2_000_000, {"mode": 0o600}),
        mode="w:gz",
    )
    done = cp(shared_daemon, "-", "tar:/tmp", data=given)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    seen = box.run(
        ["sh", "-c", "cd /tmp/app && stat -c '%U %a %n' run.sh big && readlink link && id -un && ls -ld /tmp"]
    ).text
    assert seen.splitlines()[:4] == ["vcap 755 run.sh", "vcap 600 big", "run.sh", "vcap"]
    assert seen.splitlines()[4].startswith("drwxrwxrwt")
    back = cp(shared_daemon, "tar:/tmp/app", "-")
    assert (back.returncode, back.stderr) == (0, b"")
    with tarfile.open(fileobj=io.BytesIO(back.stdout)) as found:
        assert sorted(found.getnames()) == ["app", "app/big", "app/link", "app/run.sh"]
        big = found.extractfile("app/big")
        assert big is not None
        assert big.read() == b"\1\2" * 2_000_000
        assert {(entry.uid, entry.gid) for entry in found} == {(0, 0)}
    assert not [name for name in os.listdir("/tmp") if name.startswith("warden-cp-")]


@pytest.mark.parametrize(
    "entry",
    [
        ("../outside", b"x", {}),
        ("fine/../../../outside", b"x", {}),
        ("hard", None, {"type": tarfile.LNKTYPE, "linkname": "/etc/shadow"}),
        ("device", None, {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
    ],
)
def test_an_archive_cannot_leave_its_place(
    shared_daemon: PrivateDaemon, box: Container, entry: tuple[str, bytes | None, dict[str, object]]
) -> None:
    done = cp(shared_daemon, "-", "tar:/tmp", data=archive(("fine", b"ok", {}), entry))
    assert done.returncode == 2
    assert done.stderr.startswith(b"warden: cp -: standard input: ")
    assert box.run(["ls", "/tmp"]).text == ""


@pytest.mark.parametrize("target", ["/etc", "../../..", "."])
def test_a_link_leads_no_entry_away(shared_daemon: PrivateDaemon, box: Container, target: str) -> None:
    link = ("link", None, {"type": tarfile.SYMTYPE, "linkname": target})
    done = cp(shared_daemon, "-", "tar:/tmp", data=archive(link, ("link/warden-was-here", b"x", {})))
    assert done.returncode == 2
    assert not os.path.exists("/etc/warden-was-here")
    assert cp(shared_daemon, "-", "tar:/tmp", data=archive(link)).returncode == 0
    assert box.run(["readlink", "/tmp/link"]).text == target + "\n"


def test_hard_links_and_names_that_come_twice(shared_daemon: PrivateDaemon, box: Container) -> None:
    given = archive(
        ("a", b"first", {}),
        ("a", b"second", {"mode": 0o4755}),
        ("/b", None, {"type": tarfile.LNKTYPE, "linkname": "a"}),
        ("closed", None, {"type": tarfile.DIRTYPE, "mode": 0o500}),
        ("closed/in", b"in", {}),
    )
    assert cp(shared_daemon, "-", "tar:/tmp/new", data=given).returncode == 0
    seen = box.run(["sh", "-c", "cd /tmp/new && cat a b closed/in && stat -c ' %a' a"])
    assert seen.text == "secondsecondin 755\n"


def test_what_is_no_archive_is_refused(shared_daemon: PrivateDaemon, box: Container) -> None:
    assert cp(shared_daemon, "-", "tar:/tmp", data=b"no archive at all").returncode == 2
    cut = archive(("file", b"x" * 100_000, {}))[:50_000]
    assert cp(shared_daemon, "-", "tar:/tmp", data=cut).returncode == 2
    assert cp(shared_daemon, "tar:/nothing", "-").returncode == 2
    assert cp(shared_daemon, "-", "-").returncode == 2
