"""What people write for mounts, variables and volumes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_fakes import FakeClient, World

from warden.cli import connect
from warden.cli.envfile import read_env_file
from warden.cli.main import main
from warden.cli.mounting import parse_mount, parse_tmpfs, parse_volume
from warden.errors import BadInput, ConfigError, UnknownVolume
from warden.model.mounts import Mount
from warden.model.volumes import Volume


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(containers=["box", "web"])
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0, "every client is closed"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/a:/b", Mount("/a", "/b", False)),
        ("/a:/b:ro", Mount("/a", "/b", True)),
        ("./a:/b:rw", Mount(f"{os.getcwd()}/a", "/b", False)),
        (".:/b", Mount(os.getcwd(), "/b", False)),
        ("a/b:/c", Mount(f"{os.getcwd()}/a/b", "/c", False)),
        ("data:/b", Mount.volume("data", "/b")),
        ("data:/b:ro", Mount.volume("data", "/b", read_only=True)),
        ("data:/b:ro,nocopy", Mount.volume("data", "/b", read_only=True, no_copy=True)),
        ("/own", Mount.volume("", "/own")),
        ("/own:ro", Mount.volume("", "/own", read_only=True)),
    ],
)
def test_short_form(text: str, wanted: Mount) -> None:
    assert parse_volume(text) == wanted
    if text.count(":") and not text.startswith("/own"):
        assert parse_mount(text) == wanted


@pytest.mark.parametrize("text", ["", ":", ":/b", "a", "a:", "/a:b", "/a:/b:ro:rw", "/a:/b:ro,rw", "/a:/b:Z", "/a:/b:nocopy"])
def test_short_form_refused(text: str) -> None:
    with pytest.raises(BadInput, match="-v"):
        parse_volume(text)


@pytest.mark.parametrize("text", ["x:/y", "a+b:/y", "~:/y"])
def test_what_is_no_path_and_no_name_is_not_guessed(text: str) -> None:
    with pytest.raises(BadInput, match="is not a name"):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("type=bind,source=/a,target=/b", Mount("/a", "/b", False)),
        ("type=bind,src=/a,dst=/b,ro", Mount("/a", "/b", True)),
        ("source=/a,type=bind,destination=/b,readonly=false", Mount("/a", "/b", False)),
        ("source=data,target=/b", Mount.volume("data", "/b")),
        ("type=volume,target=/b,readonly,volume-nocopy", Mount.volume("", "/b", read_only=True, no_copy=True)),
        ("type=tmpfs,target=/b", Mount.tmpfs("/b")),
        ("type=tmpfs,target=/b,tmpfs-mode=0700,tmpfs-size=1m,ro", Mount.tmpfs("/b", "size=1m", "mode=0700", read_only=True)),
    ],
)
def test_long_form(text: str, wanted: Mount) -> None:
    assert parse_mount(text) == wanted


def test_tmpfs() -> None:
    assert parse_tmpfs("/t") == Mount.tmpfs("/t")
    assert parse_tmpfs("/t:size=1m,ro,exec") == Mount.tmpfs("/t", "size=1m", "exec", read_only=True)
    assert parse_tmpfs("/t:defaults,rw") == Mount.tmpfs("/t")
    with pytest.raises(BadInput, match="both ro and rw"):
        parse_tmpfs("/t:ro,rw")


def test_variables_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_bytes("# a\n\nA=1\n \tB= x =y \nCALLER\nMISSING\nC='ü'\r\nA=2\nD=#no comment\n".encode())
    assert read_env_file(str(path), {"CALLER": "c"}) == {
        "A": "2", "B": " x =y ", "CALLER": "c", "C": "'ü'", "D": "#no comment",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "line", "about"),
    [(b"A=1\nB C=2\n", 2, "blanks"), (b"=x\n", 1, "no name"), (b"\n\nA=\xff\n", 3, "UTF-8"), (b"A=\0\n", 1, "NUL"), (b"A B", 1, "blanks")],
)
def test_what_is_wrong_in_a_file(tmp_path: Path, content: bytes, line: int, about: str) -> None:
    path = tmp_path / "env"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=about) as caught:
        read_env_file(str(path), {})
    assert (caught.value.path, caught.value.line) == (str(path), line)


def test_everything_of_a_detached_run(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        f"run -d --name bg -v data:/d --tmpfs /t --volumes-from box:ro --shm-size 1m --read-only -l a=b -l c "
        f"--restart on-failure:3 --stop-signal USR1 --stop-timeout 1500ms --cidfile {tmp_path}/cid -e X=1 -- sleep 9"
    )
    assert main(words.split()) == 0
    assert capsys.readouterr().out == "bg\n"
    assert (tmp_path / "cid").read_text() == "bg"
    _, wanted = world.created[0]
    assert wanted["mounts"] == (Mount.volume("data", "/d"), Mount.tmpfs("/t"))
    names = ("volumes_from", "shm_size", "read_only", "labels", "restart", "stop_signal", "stop_timeout", "auto_remove")
    assert [wanted[name] for name in names] == [
        ("box:ro",), 1 << 20, True, {"a": "b", "c": ""}, "on-failure:3", 10, 1.5, False,
    ]  # fmt: skip
    assert (wanted["main"].argv, wanted["main"].env) == (("sleep", "9"), (("X", "1"),))
    assert world.calls == [("start", "bg")]


def test_what_does_not_start_is_not_kept(world: World, tmp_path: Path) -> None:
    world.fail_spawn = UnknownVolume("whatever")
    assert main(["run", "-d", "--name", "bg", "--", "x"]) == UnknownVolume.exit_code
    assert "bg" not in world.containers


def test_create_with_and_without_a_command(world: World) -> None:
    assert main(["create", "--rm", "--", "true"]) == 0
    assert world.created[0][1]["main"].argv == ("true",)
    assert world.created[0][1]["auto_remove"] is True
    assert main(["create", "--label", "a=b"]) == 0
    assert "main" not in world.created[1][1]
    assert main(["create", "--restart", "always"]) == 2
    assert len(world.created) == 2
    assert world.calls == []


def test_start_restart_rename(world: World) -> None:
    assert main(["start", "box", "web"]) == 0
    assert main(["restart", "--kill", "box"]) == 0
    assert main(["rename", "box", "crate"]) == 0
    assert world.calls == [("start", "box"), ("start", "web"), ("restart", "box", True), ("rename", "box", "crate")]


def test_volumes(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.volumes = [Volume("data", "/v/data", 1.0, False, ("box", "a\nb")), Volume("made", "/v/made", 2.0, True)]
    assert main(["volume", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAME  ANONYMOUS  USED BY",
        "data  -          a\\nb, box".replace("a\\nb, box", "box, a\\nb"),
        "made  yes        -",
    ]
    assert main(["volume", "list", "-q"]) == 0
    assert capsys.readouterr().out == "data\nmade\n"
    assert main(["volume", "inspect", "--json", "data"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == {
        "name": "data", "path": "/v/data", "created": 1.0, "anonymous": False, "used_by": ["box", "a\nb"],
    }  # fmt: skip
    assert main(["volume", "inspect", "data", "made"]) == 0
    assert "used by:   box, a\\nb\n" in capsys.readouterr().out
    assert main(["volume", "create", "new"]) == 0
    assert main(["volume", "create"]) == 0
    assert capsys.readouterr().out == "new\nmade-up\n"
    assert main(["volume", "remove", "data", "none-such", "made"]) == UnknownVolume.exit_code
    assert "none-such" in capsys.readouterr().err
    assert main(["volume", "prune", "--all"]) == 0
    assert world.calls == [("remove", "data"), ("remove", "made"), ("prune", True)]


@pytest.mark.parametrize("words", [["remove"], ["inspect"], ["create", "a1", "b1"], ["list", "x1"], ["prune", "x1"], ["frobnicate"], []])
def test_volume_words_refused(world: World, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["volume", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert world.calls == []


def test_a_cidfile_that_became_somebody_s_link_is_not_followed(tmp_path: Path) -> None:
    from warden.cli.running import _handle_file

    place, other = tmp_path / "cid", tmp_path / "other"
    other.write_text("kept")
    with _handle_file(str(place)) as write:
        place.unlink()
        place.symlink_to(other)
        write("box")
    assert other.read_text() == "kept"
