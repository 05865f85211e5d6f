"""Names in containers: resolv.conf, hosts, and the resolver of a bridge."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from warden.client.blocking import Client
from warden.errors import BadInput
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with Client(shared_daemon.socket) as client:
        yield client


def test_nothing_asked_nothing_changed(client: Client) -> None:
    with open("/etc/resolv.conf") as file:
        ours = file.read()
    with client.create("plain") as box:
        info = box.info()
        expected = f"nameserver {info.host_ip}\n" if ours.split() == ["nameserver", "127.0.0.1"] else ours
        assert box.run(["cat", "/etc/resolv.conf"]).text == expected
        assert box.run(["cat", "/etc/hosts"]).text.splitlines()[2:] == [f"{info.container_ip} {info.id}"]


def test_servers_search_options_and_hosts(client: Client) -> None:
    asked = {"dns": ["192.0.2.1", "2001:db8::1"], "dns_search": ["a.example", "b.example"], "dns_options": "ndots:2"}
    hosts = {"db": "10.1.2.3", "six": "fd00::7", "here": "host-gateway"}
    with client.create(add_hosts=hosts, **asked) as box:  # type: ignore[arg-type]
        text = box.run(["cat", "/etc/resolv.conf"]).text
        assert text == "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.example b.example\noptions ndots:2\n"
        lines = box.run(["cat", "/etc/hosts"]).text.splitlines()
        assert lines[3:] == ["10.1.2.3 db", "fd00::7 six", f"{box.info().host_ip} here"]
        assert box.run(["getent", "ahostsv4", "db"]).text.split()[0] == "10.1.2.3"


def test_by_the_command(shared_daemon: PrivateDaemon) -> None:
    options = ["--dns", "192.0.2.1", "--dns-search", ".", "--dns-opt", "rotate", "--add-host", "db:10.1.2.3"]
    words = [sys.executable, "-m", "warden.cli.main", "run", "--socket", shared_daemon.socket, *options]
    command = [*words, "--", "cat", "/etc/resolv.conf", "/etc/hosts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nameserver 192.0.2.1\noptions rotate\n127.0.0.1 localhost\n")
    assert done.stdout.endswith("\n10.1.2.3 db\n")


def test_what_is_refused_leaves_nothing(client: Client) -> None:
    before = client.list()
    for given, message in (
        ({"dns": "nowhere"}, "dns: 'nowhere' is not an address"),
        ({"add_hosts": ["db"]}, "add_host: 'db' is not NAME:ADDRESS"),
        ({"network": "none", "add_hosts": ["here:host-gateway"]}, "add_host: host-gateway: this container has no link"),
    ):
        with pytest.raises(BadInput, match=message):
            client.create(**given)  # type: ignore[arg-type]
    assert client.list() == before
