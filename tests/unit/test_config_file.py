"""The configuration file: the original's files are read, and mistakes are shown where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from warden.cli import wardend
from warden.errors import ConfigError
from warden.model.settings import EngineSettings
from warden.server.config import Config, load, parse
from warden.server.settings_table import SETTINGS, reference

ORIGINAL = """\
---
server:
  container_klass: Warden::Container::Linux
  container_grace_time: 300
  unix_domain_path: /srv/warden.sock
  unix_domain_permissions: 0777
  container_rootfs_path: /srv/rootfs
  container_depot_path: /srv/containers
  container_rlimits:
    core: 0
    nofile: 8192
  quota:
    disk_quota_enabled: false
  allow_nested_warden: false
  pidfile: /srv/warden.pid
  syslog_socket: ~
  job_output_limit: 1048576

health_check_server:
  port: 2345

logging:
  level: debug2
  file: /srv/warden.log

network:
  pool_start_address: 10.254.0.0
  pool_size: 256
  mtu: 1454
  release_delay: 2
  deny_networks: []
  allow_networks: []

port:
  pool_start_port: 61000
  pool_size: 1000

user:
  pool_start_uid: 20000
  pool_size: 256
"""


def test_an_original_file_is_read_without_a_warning() -> None:
    config = parse(ORIGINAL)
    settings = config.engine_settings()
    assert config.warnings == ()
    assert config["server.unix_domain_permissions"] == 0o777
    assert config.create_defaults().rootfs == "/srv/rootfs"
    assert (settings.depot, settings.mtu, settings.grace_time) == ("/srv/containers", 1454, 300.0)
    assert settings.pool_network == "10.254.0.0/22"
    assert settings.rlimits == {"core": 0, "nofile": 8192}
    assert (settings.release_delay, settings.pool_start_uid, settings.pool_uid_count) == (2.0, 20000, 256)


@pytest.mark.parametrize("size,prefix", [(1, 30), (2, 29), (3, 28), (64, 24), (256, 22)])
def test_a_pool_by_size_becomes_a_prefix(size: int, prefix: int) -> None:
    config = parse(f"network: {{pool_start_address: 10.0.0.0, pool_size: {size}}}")
    assert config.engine_settings().pool_network == f"10.0.0.0/{prefix}"


def test_the_defaults_are_the_engines() -> None:
    assert Config().engine_settings() == EngineSettings()
    assert parse("").values == Config().values == parse("server:\nnetwork: ~\n").values
    assert not any("/tmp" in str(setting.default) for setting in SETTINGS)


@pytest.mark.parametrize("source", ["", ORIGINAL, "server: {allowed_uids: [1, 2], pidfile: '/a b#: c'}"])
def test_what_is_printed_can_be_read_again(source: str) -> None:
    config = parse(source)
    again = parse(config.to_yaml())
    assert again.warnings == ()
    assert dict(again.values) == dict(config.values)


@pytest.mark.parametrize(
    "source,line,column,text",
    [
        ("server:\n  pidfile: 5\n", 2, 12, "server.pidfile: expected an absolute path, got 5"),
        ("server:\n  user_namespace: maybe", 2, 19, "server.user_namespace: expected true or false"),
        ("network:\n\n  mtu: yes\n", 3, 8, "network.mtu: expected a whole number from 68 to 65535, got True"),
        ("network:\n  mtu: 5\n", 2, 8, "68 to 65535"),
        ("network: {pool_network: 10.0.0.0/99}", 1, 25, "an IPv4 network"),
        ("network: {pool_start_address: 10.0.0.0}", 1, 31, "network.pool_size is needed with it"),
        ("network:\n  dns_servers: 1.1.1.1", 2, 16, "expected a list"),
        ("server:\n  container_rlimits: {nofiles: 1}", 2, 22, "'nofiles' is not a limit"),
        ("server:\n  quota: 1", 2, 10, "server.quota: expected names with values"),
        ("server: [1]", 1, 9, "server: expected names with values"),
        ("- 1", 1, 1, "the file: expected names"),
        ("server:\n  pidfile: /a\n  pidfile: /b", 3, 3, "server.pidfile: given twice"),
        ("server:\n  pidfile: [", 2, 13, "not YAML"),
        ("logging:\n  level: loud", 2, 10, "expected one of off, fatal"),
        ("server:\n  pidfile: !!python/object:os.x {}", 2, 12, "server.pidfile: not a value"),
        ("server:\n  ? [a]\n  : b", 2, 5, "a name is expected here"),
    ],
)
def test_mistakes_are_shown_where_they_are(source: str, line: int, column: int, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(source, "w.yml")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"w.yml:{line}:{column}: ")
    assert text in str(caught.value)


def test_unknown_keys_are_warned_of_and_ignored() -> None:
    config = parse("server:\n  pidfle: /x\nnetwrk: {}\nzzz: 1\n", "w.yml")
    assert config.warnings == (
        "w.yml:2: server.pidfle: unknown key, ignored; did you mean server.pidfile",
        "w.yml:3: netwrk: unknown key, ignored; did you mean network",
        "w.yml:4: zzz: unknown key, ignored",
    )
    assert dict(config.values) == dict(Config().values)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no.yml: cannot be read: No such file"):
        load(str(tmp_path / "no.yml"))
    (tmp_path / "b.yml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(str(tmp_path / "b.yml"))
    (tmp_path / "c.yml").write_bytes(b"a: \x01")
    with pytest.raises(ConfigError, match="not YAML"):
        load(str(tmp_path / "c.yml"))


def test_off_is_a_level() -> None:
    assert parse("logging: {level: off}")["logging.level"] == "off"


def test_the_command_line_wins(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "w.yml"
    path.write_text(ORIGINAL)
    assert wardend.main([str(path), "--print-config", "--socket", "/a/b", "--depot", "/d"]) == 0
    printed = parse(capsys.readouterr().out)
    assert (printed.socket, printed["server.container_depot_path"]) == ("/a/b", "/d")
    assert printed["server.pidfile"] == "/srv/warden.pid"


def test_check_says_whether_a_file_is_right(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "w.yml"
    path.write_text("server: {mtu: 1}")
    assert wardend.main(["--check", str(path)]) == 0
    assert "server.mtu: unknown key, ignored" in capsys.readouterr().err
    path.write_text("network: {mtu: x}")
    assert wardend.main(["--check", str(path)]) == 78
    assert f"{path}:1:16: network.mtu" in capsys.readouterr().err


def test_the_reference_lists_every_setting() -> None:
    table = reference()
    assert all(f"| `{setting.name}` |" in table for setting in SETTINGS)
