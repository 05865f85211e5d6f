"""`warden -- REQUEST --field value`: spec/warden.md §11 and §15 against the fake client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cli_fakes import FakeClient, World

from warden.cli import connect, flags, original
from warden.cli.main import main
from warden.errors import BadInput
from warden.protocol import warden_pb2 as wire


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0


def parsed(message: object, line: str) -> object:
    flags.parse_flags(message, line.split())
    return message


def test_nested_indexed_and_enum_fields() -> None:
    request = parsed(
        wire.CreateRequest(),
        "--bind_mounts[0].src_path /a --bind_mounts[0].dst_path /b --bind_mounts[0].mode RO "
        "--bind_mounts[1].mode RW --handle x --grace_time 7 --user_namespace false",
    )
    mounts = request.bind_mounts
    assert (mounts[0].src_path, mounts[0].dst_path, mounts[0].mode) == (b"/a", b"/b", wire.CreateRequest.BindMount.RO)
    assert mounts[1].mode == wire.CreateRequest.BindMount.RW
    assert (request.handle, request.grace_time, request.user_namespace) == (b"x", 7, False)


def test_scalars_bools_and_repeated_texts() -> None:
    request = parsed(wire.RunRequest(), "--privileged --rlimits.nofile 100 --argv[0] ls --argv[1] -l --handle h")
    assert request.privileged is True
    assert request.rlimits.nofile == 100
    assert list(request.argv) == [b"ls", b"-l"]


@pytest.mark.parametrize(
    ("message", "line", "text"),
    [
        (wire.CreateRequest, "--nonesuch 1", "In flag: '--nonesuch', the field: 'nonesuch' is invalid."),
        (wire.CreateRequest, "handle x", "Invalid flag: 'handle'."),
        (wire.CreateRequest, "--handle", "a value is missing"),
        (wire.CreateRequest, "--handle --rootfs x", "a value is missing"),
        (wire.CreateRequest, "--bind_mounts.mode RO", "'bind_mounts' is not indexed."),
        (wire.CreateRequest, "--bind_mounts[1].mode RO", "'bind_mounts' is not indexed correctly."),
        (wire.CreateRequest, "--handle[0] x", "'handle' is not indexed correctly."),
        (wire.CreateRequest, "--handle[x] x", "Invalid flag element: 'handle[x]'."),
        (wire.CreateRequest, "--handle.x x", "is invalid"),
        (wire.CreateRequest, "--bind_mounts[0] x", "is invalid"),
        (wire.CreateRequest, "--grace_time soon", "'soon' is not a number"),
        (wire.CreateRequest, "--grace_time -1", "out of range"),
        (wire.NetOutRequest, "--protocol FOO", "The constant: 'FOO' is not defined in the module: 'Protocol'."),
        (wire.RunRequest, "--argv[1] x", "'argv' is not indexed correctly."),
    ],
)
def test_bad_flags_have_the_original_texts(message: type, line: str, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parsed(message(), line)
    assert text in str(refused.value)


def test_response_is_one_line_per_set_field() -> None:
    response = wire.InfoResponse(state=b"active", job_ids=[3, 4], events=[])
    response.memory_stat.cache = 0
    assert list(flags.response_lines(response)) == [
        b"state : active",
        b"memory_stat.cache : 0",
        b"job_ids[0] : 3",
        b"job_ids[1] : 4",
    ]
    assert list(flags.response_lines(wire.LinkResponse(exit_status=0, stderr=b"", truncated=False))) == [
        b"exit_status : 0",
        b"stderr : ",
    ]


def test_a_request_prints_its_response(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.replies = [wire.CreateResponse(handle=b"abc")]
    assert main(["--socket", "/x", "--", "create", "--handle", "abc"]) == 0
    assert capsys.readouterr().out == "handle : abc\n"
    assert world.calls == [wire.CreateRequest(handle=b"abc")]


class Replies(FakeClient):
    """Spawn is answered with job 9, the stream with two chunks and the end."""

    def call(self, message: object) -> object:
        self._world.calls.append(message)
        return wire.SpawnResponse(job_id=9)


def test_run_is_spawn_and_stream(
    world: World, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: Replies(world))
    world.replies = [
        wire.StreamResponse(name=b"stdout", data=b"\xff1"),
        wire.StreamResponse(name=b"stderr", data=b"2"),
        wire.StreamResponse(exit_status=42),
    ]
    assert (
        main([*["--", "run", "--handle", "h", "--script", "exit", "--wall_limit_ms", "5"], "--want_info", "false"])
        == 42
    )
    assert capfdbinary.readouterr() == (b"\xff1", b"2")
    assert world.calls == [
        wire.SpawnRequest(handle=b"h", script=b"exit", wall_limit_ms=5),
        wire.StreamRequest(handle=b"h", job_id=9),
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--", "nonesuch"], "Command: 'nonesuch' is non-existent."),
        (["--", "destroy"], "Field handle is required but nil"),
        (["--", "create", "--bind_mounts[0].src_path", "/x"], "Field bind_mounts[0].dst_path is required but nil"),
        (["--", "create", "--", "x"], "only one '--'"),
    ],
)
def test_errors_end_with_code_2_and_send_nothing(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(words) == 2
    assert text in capsys.readouterr().err
    assert world.calls == []


def test_help_lists_requests_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--", "help"]) == main(["--"]) == 0
    assert "\tlimit_memory  " in capsys.readouterr().out
    assert main(["--", "net_out", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--handle TEXT (required)" in out
    assert "--protocol TCP|UDP|ICMP|ALL" in out


def test_every_request_has_a_message() -> None:
    for name in original.REQUESTS:
        assert hasattr(wire, flags.request_name(name) + "Request")
    attach_only = {"Attach", "AttachInput", "Logs", "StatsStream", "Events", "Wait"}  # they need a conversation, not one request
    known = {flags.request_name(name) for name in original.REQUESTS}
    assert {name for name in dict(wire.Message.Type.items()) if name != "Error"} - attach_only == known
