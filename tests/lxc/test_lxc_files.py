"""Configuration files as text: nothing is lost, changes touch one line, a file is replaced whole; the old keys renamed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.errors import ConfigError
from warden.lxc import configfile
from warden.lxc.configfile import entries_of, parse, read, write
from warden.lxc.reading import config_of, load, modern_name
from warden.lxc.tools.update_config import main, updated

CONFIGS = sorted((Path(__file__).parent / "configs").glob("**/*.conf"))
_TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=200)
_LINES = st.lists(
    st.one_of(
        _TEXT,
        st.builds("{}{}{}={}{}".format, st.sampled_from(["", " ", "\t"]), st.sampled_from(
            ["lxc.uts.name", "lxc.tty", "lxc.network.type", "lxc.net.0.flags", "key"]
        ), st.sampled_from(["", " ", "\t "]), st.sampled_from(["", " ", "  "]), _TEXT),
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_what_was_read_is_written_back_byte_for_byte(path: Path) -> None:
    assert os.fsencode(read(str(path)).text) == path.read_bytes()


@given(_LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_text_is_kept(lines: list[str], end: str, ended: bool) -> None:
    text = end.join(lines) + (end if ended else "")
    assert parse(text, "x").text == text


def test_bytes_that_are_no_text_are_kept(tmp_path: Path) -> None:
    data = b"lxc.environment = A=\xff\xfe\n# \xe4 latin\r\nlxc.uts.name = a"
    (tmp_path / "config").write_bytes(data)
    file = read(str(tmp_path / "config"))
    write(file)
    assert (tmp_path / "config").read_bytes() == data
    assert os.fsencode(config_of(file).environment[0]) == b"A=\xff\xfe"


def test_a_value_is_changed_where_it_stands() -> None:
    file = parse("# one\n  lxc.uts.name =   old\nlxc.tty.max=1\nlxc.uts.name = older", "x")
    assert file.with_value("lxc.uts.name", "new").text == "# one\nlxc.tty.max=1\nlxc.uts.name = new"
    assert (
        file.with_value("lxc.tty.max", "2").text == "# one\n  lxc.uts.name =   old\nlxc.tty.max=2\nlxc.uts.name = older"
    )
    more = file.with_value("lxc.start.auto", "1")
    assert more.text.endswith("lxc.uts.name = older\nlxc.start.auto = 1\n")
    assert more.values("lxc.uts.name") == ("old", "older")
    assert file.mapped(lambda line: None if line.key == "lxc.uts.name" else line).text == "# one\nlxc.tty.max=1\n"


def test_a_file_keeps_mode_owner_and_the_link_to_it(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("lxc.uts.name = a\n")
    real.chmod(0o604)
    (tmp_path / "config").symlink_to(real)
    write(read(str(tmp_path / "config")).with_value("lxc.uts.name", "b"))
    assert (tmp_path / "config").is_symlink()
    assert real.read_text() == "lxc.uts.name = b\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o604
    assert sorted(os.listdir(tmp_path)) == ["config", "real"]
    write(parse("", str(tmp_path / "new")))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) & 0o007 == 0


def test_a_file_that_cannot_be_written_stays(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/config: cannot be written: No such file"):
        write(parse("", str(tmp_path / "nowhere/config")))
    (tmp_path / "directory").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        write(parse("", str(tmp_path / "directory")))
    assert os.listdir(tmp_path) == ["directory"]


def test_includes_stand_in_their_place_and_definitions_last(configs: Path) -> None:
    keys = [(entry.path, entry.line) for entry in entries_of(read("unprivileged.conf"), [("lxc.tty.max", "0")])]
    assert keys[0] == ("common.conf", 2)
    assert ("userns.conf.d/10-clear.conf", 2) in keys
    assert keys[-1] == ("-s lxc.tty.max=0", 0)
    assert keys.index(("userns.conf.d/20-sys.conf", 1)) < keys.index(("unprivileged.conf", 4))
    assert load("unprivileged.conf", [("lxc.tty.max", "0"), ("lxc.include", "cgroup2.conf")]).uts_name == "v2"


def test_an_include_without_a_value_says_nothing() -> None:
    assert config_of(parse("lxc.include =\n", "x")).uts_name == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lxc.utsname", "lxc.uts.name"),
        ("lxc.mount", "lxc.mount.fstab"),
        ("lxc.mount.entry", "lxc.mount.entry"),
        ("lxc.console", "lxc.console.path"),
        ("lxc.console.logfile", "lxc.console.logfile"),
        ("lxc.limit.nofile", "lxc.prlimit.nofile"),
        ("lxc.cgroup.cpu.shares", "lxc.cgroup.cpu.shares"),
        ("lxc.network.ipv4", "lxc.net.N.ipv4.address"),
        ("lxc.network.3.veth.pair", "lxc.net.3.veth.pair"),
        ("lxc.network", "lxc.net"),
        ("lxc.nonsense", "lxc.nonsense"),
    ],
)
def test_what_a_key_is_called_today(old: str, new: str) -> None:
    assert modern_name(old) == new


OLD = """\
# an old container
lxc.utsname = old     \n\
  lxc.rootfs=/srv/old
lxc.rootfs.backend = dir
lxc.network.type = veth
lxc.network.link\t= br0
#lxc.network.type = phys
# lxc.tty = 2
lxc.network.type = macvlan
lxc.network.ipv4 = 10.0.0.2/24
lxc.kmsg = 0
lxc.environment = lxc.tty = 3
lxc.limit.core = 0
lxc.id_map = u 0 1000 10
lxc.mount.entry = proc proc proc
other = line
"""
NEW = """\
# an old container
lxc.uts.name = old     \n\
  lxc.rootfs.path=dir:/srv/old
lxc.net.0.type = veth
lxc.net.0.link\t= br0
#lxc.net.0.type = phys
# lxc.tty.max = 2
lxc.net.1.type = macvlan
lxc.net.1.ipv4.address = 10.0.0.2/24
lxc.environment = lxc.tty = 3
lxc.prlimit.core = 0
lxc.idmap = u 0 1000 10
lxc.mount.entry = proc proc proc
other = line
"""


def test_old_keys_are_renamed_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(OLD)
    file.chmod(0o600)
    assert main(["-c", str(file)]) == 0
    assert file.read_text() == NEW
    assert (tmp_path / "config.backup").read_text() == OLD
    assert stat.S_IMODE((tmp_path / "config.backup").stat().st_mode) == 0o600
    assert main([f"--config={file}"]) == 0
    assert (tmp_path / "config.backup").read_text() == OLD, "nothing was to be changed, so the older copy stays"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_renamed_file_says_the_same(path: Path, configs: Path) -> None:
    before = read(str(path))
    after = updated(before)
    first, second = config_of(before), config_of(after)
    dropped = {"warnings", "rootfs_path"}
    for name in type(first).__dataclass_fields__:
        if name not in dropped | {"places"}:
            assert getattr(first, name) == getattr(second, name), name
    assert second.rootfs_path in (first.rootfs_path, f"dir:{first.rootfs_path}")
    assert updated(after).text == after.text


def test_the_networks_of_a_cleared_block_begin_anew() -> None:
    text = "lxc.network.type = veth\nlxc.network.type =\nlxc.network.type = phys\nlxc.network.link = a\n"
    expected = "lxc.net.0.type = veth\nlxc.net =\nlxc.net.0.type = phys\nlxc.net.0.link = a\n"
    assert updated(parse(text, "x")).text == expected


def test_kinds_of_storage_move_into_the_path() -> None:
    assert (
        updated(parse("lxc.rootfs.backend = lvm\nlxc.rootfs = /dev/vg/a", "x")).text
        == "lxc.rootfs.path = lvm:/dev/vg/a"
    )
    assert updated(parse("lxc.rootfs = overlayfs:/a:/b", "x")).text == "lxc.rootfs.path = overlayfs:/a:/b"


def test_update_config_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", str(tmp_path / "none")]) == 1
    assert "none: cannot be read: No such file or directory" in capsys.readouterr().err
    for words in (["-x"], ["-c"], ["config"]):
        assert main(words) == 1
        assert "Usage: lxc-update-config" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert configfile.DEEPEST > 0


def test_one_file_included_again_and_again_is_bounded(tmp_path: Path) -> None:
    part, whole = tmp_path / "part", tmp_path / "whole"
    part.write_text("lxc.group = a\n" * 10_000)
    whole.write_text(f"lxc.include = {part}\n" * 100)
    with pytest.raises(ConfigError, match="bytes of includes"):
        load(str(whole))


def test_a_list_of_many_lines_grows_and_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "config"
    lines = "lxc.group = a\nlxc.sysctl.a = 1\nlxc.sysctl.b = 2\n"
    path.write_text(lines * 10_000 + "lxc.sysctl.a =\n")
    found = load(str(path))
    assert found.group == ("a",) * 10_000
    assert found.sysctl == (("b", "2"),) * 10_000


def test_the_callers_own_stream_is_read_and_no_other_pipe(tmp_path: Path) -> None:
    mine, other = os.pipe()
    os.write(other, b"lxc.uts.name = box\n")
    os.close(other)
    assert load(f"/dev/fd/{mine}").uts_name == "box"
    os.close(mine)
    os.mkfifo(tmp_path / "config")
    with pytest.raises(ConfigError, match="not a regular file"):
        load(str(tmp_path / "config"))
    (tmp_path / "config").unlink()
    (tmp_path / "config").write_text("lxc.include = /dev/null\nlxc.include = /dev/zero\n")
    with pytest.raises(ConfigError, match=r"config:2: .*not a regular file"):
        load(str(tmp_path / "config"))
