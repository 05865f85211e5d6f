"""The blocking client against a real server with the fake engine."""

from __future__ import annotations

import signal
import socket as sockets
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import warden
from warden import errors
from warden.client.blocking import Client, CommandFailed, Container
from warden.model.info import State
from warden.model.interfaces import Bridge, Interface, LinkKind
from warden.model.job import Verdict
from warden.model.limits import Bandwidth, DiskLimits, OomPolicy
from warden.model.net import NetRule, Protocol
from warden.model.spec import Mount, NetworkMode
from warden.protocol import warden_pb2 as pb
from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import serving_in_thread


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return str(tmp_path / "w.sock")


@pytest.fixture
def engine(socket: str) -> Iterator[FakeEngine]:
    with serving_in_thread(socket) as engine:
        yield engine


@pytest.fixture
def client(socket: str, engine: FakeEngine) -> Iterator[Client]:
    with Client(socket, timeout=60) as client:
        yield client


@pytest.fixture
def container(client: Client) -> Iterator[Container]:
    with client.create("c") as container:
        yield container


def test_the_package_names_it() -> None:
    assert warden.Client is Client
    assert warden.Container is Container


def test_small_requests(client: Client) -> None:
    client.ping()
    assert client.echo(b"\xff\0") == b"\xff\0"
    assert client.version() == warden.__version__
    assert client.list() == []


def test_every_option_of_create_arrives(client: Client, engine: FakeEngine) -> None:
    client.create(
        "c",
        image="busybox",
        memory="64M",
        mounts=[("/a", "/b"), ("/c", "/d", "rw"), Mount("/e", "/f")],
        hostname="name",
        network="none",
        grace_time="2m",
        oom_policy="stop",
        user_namespace=False,
    )
    spec = engine.containers["c"].spec
    assert (spec.image, spec.limits.memory_bytes, spec.limits.oom_policy) == ("busybox", 64 << 20, OomPolicy.STOP)
    assert spec.mounts == (Mount("/a", "/b"), Mount("/c", "/d", read_only=False), Mount("/e", "/f"))
    assert (spec.hostname, spec.network, spec.grace_time) == ("name", NetworkMode.NONE, 120.0)
    assert spec.user_namespace is False


def test_our_default_is_to_kill_the_job(client: Client, engine: FakeEngine) -> None:
    client.create("c")
    assert engine.containers["c"].spec.limits.oom_policy is OomPolicy.KILL_JOB


@pytest.mark.parametrize(
    "options", [{"memory": "x"}, {"network": "token-ring"}, {"oom_policy": "x"}, {"mounts": [("/a", "/b", "rx")]}]
)
def test_bad_options_never_leave_the_client(socket: str, options: dict[str, str]) -> None:
    with pytest.raises(errors.BadInput):
        Client(socket).create(**options)  # type: ignore[arg-type]


def test_a_created_container_is_destroyed_at_the_end(client: Client, engine: FakeEngine) -> None:
    with client.create("a"), client.container("a") as same:
        assert client.list() == ["a"]
        same.stop()
    assert engine.containers == {}
    with client.create("a") as container:
        container.destroy()
    client.create("b")
    with client.container("b"):
        pass
    assert client.list() == ["b"]


def test_run_gives_everything(container: Container) -> None:
    result = container.run("out \u00e9\nerr e\nexit 3")
    assert (result.exit_status, result.text, result.stderr, result.verdict) == (3, "\u00e9", b"e", Verdict.EXITED)
    assert not result.ok and result.info is None
    assert container.run(["out", "word"]).stdout == b"word"
    assert container.run(b"cat", stdin="text").stdout == b"text"


def test_every_option_of_a_job_arrives(container: Container, engine: FakeEngine) -> None:
    container.run(
        "", env={"A": "b"}, cwd="/w", user="7", privileged=True, timeout="1.5", output_limit="1K", cpu_timeout="250ms",
        rlimits={"nofile": 5}, discard_output=True, log_tag="t",
    )  # fmt: skip
    spec = engine.jobs[0].spec
    assert (spec.env, spec.cwd, spec.user, spec.privileged) == ((("A", "b"),), "/w", "7", True)
    assert (spec.wall_limit_s, spec.output_limit, dict(spec.rlimits)) == (1.5, 1024, {"nofile": 5})
    assert (spec.discard_output, spec.log_tag, spec.script, spec.cpu_limit_s) == (True, "t", b"", 0.25)


def test_check_raises_with_the_result(container: Container) -> None:
    assert container.run("out x", check=True).ok
    with pytest.raises(CommandFailed, match="job: exit status 4: first why") as caught:
        container.run("err first why\nexit 4", check=True)
    assert caught.value.result.exit_status == 4


def test_spawn_wait_stream_and_signal(container: Container) -> None:
    job = container.spawn("out a\nwait")
    job.signal(signal.SIGTERM)
    result = container.job(job.id).wait()
    assert (result.stdout, result.signal, result.exit_status) == (b"a", 15, 255)
    assert result.info is not None and result.info.state is State.ACTIVE
    with pytest.raises(errors.UnknownJob, match="no such job"):
        job.wait()
    stream = container.spawn("out a\nerr b\nexit 1").stream()
    assert [(chunk.stream, chunk.data) for chunk in stream] == [("stdout", b"a"), ("stderr", b"b")]
    assert stream.result is not None and stream.result.exit_status == 1
    assert list(stream) == []


def test_a_stream_left_early_leaves_the_job(container: Container) -> None:
    job = container.spawn("out a\nwait")
    with job.stream() as stream:
        assert next(stream).data == b"a"
    job.kill()
    assert job.wait().verdict is Verdict.STOPPED


def test_pause_resume_and_kill(container: Container) -> None:
    job = container.spawn("wait")
    container.pause()
    assert container.info().paused
    with pytest.raises(errors.WrongState, match="paused"):
        container.run("")
    container.resume()
    assert not container.info().paused
    container.kill()
    assert (job.wait().verdict, container.run("exit 4").exit_status) == (Verdict.STOPPED, 4)


def test_attach_both_ways(container: Container, engine: FakeEngine) -> None:
    job = container.spawn("cat", interactive=True, tty=True, rows=5, columns=6)
    with job.attach() as attachment:
        attachment.write(b"one")
        assert next(attachment).data == b"one"
        attachment.resize(7, 8)
        attachment.close_stdin()
        assert list(attachment) == []
    assert attachment.result is not None and attachment.result.ok
    attachment.write(b"dropped")
    assert (engine.jobs[0].spec.rows, engine.jobs[0].sizes) == (5, [(7, 8)])
    assert job.wait().stdout == b"one"


def test_wait_inspect_and_events(client: Client, container: Container) -> None:
    job = container.spawn("sleep 0.02\nexit 3")
    assert container.wait().exit_status == 3
    assert container.wait(job.id, condition="not-running", timeout="5s").exit_status == 3
    assert job.wait().exit_status == 3, "nothing was collected"
    container.spawn("wait")
    with pytest.raises(TimeoutError, match="still waiting"):
        container.wait(timeout=0.01)
    assert container.inspect()["handle"] == container.handle
    found = list(client.events(since=0.0, until="0s", containers=[container.handle]))
    assert [record.event for record in found] == ["create"]


def test_logs(container: Container) -> None:
    job = container.spawn("out a\nout b")
    assert [chunk.data for chunk in container.logs(job.id, follow=True)] == [b"a", b"b"]
    assert [chunk.data for chunk in container.logs()] == [b"a", b"b"]
    assert all(chunk.time > 0 for chunk in container.logs())


def test_copies_name_the_host_s_side_in_full(
    container: Container, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    container.copy_in("a/", "b/")
    container.copy_in(Path("/a"), b"\xff")
    container.copy_out("c", ".")
    container.copy_out("c/", "/d", "nobody:")
    assert engine.containers["c"].copies == [
        ("in", f"{tmp_path}/a/", "b/"),
        ("in", "/a", "\udcff"),
        ("out", "c", f"{tmp_path}/.", ""),
        ("out", "c/", "/d", "nobody:"),
    ]


def test_info_and_memory(client: Client, container: Container) -> None:
    job = container.spawn("wait")
    assert container.limit_memory() is None
    assert container.limit_memory("64M") == 64 << 20
    info = container.info()
    assert (info.handle, info.state, info.memory.limit) == ("c", State.ACTIVE, 64 << 20)
    assert [(item.id, item.running) for item in info.jobs] == [(job.id, True)]
    assert [found.handle for found in client.containers()] == ["c"]


def test_limits(client: Client, engine: FakeEngine, container: Container) -> None:
    report = container.limit(memory="64M", cpus=1.5, io_max=["8:0 rbps=1M"], limits={"pids.max": 9}, raw=True)
    assert report.asked == {
        "memory.max": "67108864", "cpu.max": "150000 100000", "pids.max": "9", "io.max": "8:0 rbps=1048576"
    }  # fmt: skip
    assert len(report.raw) == 4
    assert container.limit(memory="max").asked.keys() == {"cpu.max", "pids.max", "io.max"}
    assert container.limit(best_effort=True).warnings == ("left out: nothing",)
    with pytest.raises(errors.BadInput, match="pids"):
        container.limit(pids="many")
    with pytest.raises(errors.BadInput, match="out of range"):
        client.create("d", cpu_weight=0)
    assert "d" not in engine.containers
    client.create("d", cpu_weight=7, devices=["c 1:3 r", "c 1:5 r"], best_effort=True)
    limits = engine.containers["d"].spec.limits
    assert (limits.cpu_weight, len(limits.devices or ())) == (7, 2)
    assert engine.containers["d"].spec.best_effort


def test_bandwidth(container: Container) -> None:
    assert container.limit_bandwidth("1M", "64K") == Bandwidth(1 << 20, 64 << 10)
    assert container.info().bandwidth.out_rate == 1 << 20


def test_disk(container: Container) -> None:
    assert container.limit_disk() == DiskLimits()
    assert container.limit_disk(byte_limit="1M", inode=7) == DiskLimits(block_hard=1024, inode_hard=7)
    assert container.limit_disk(block_soft=5, inode=None) == DiskLimits(5, 1024, 0, 7)


def test_cpu_shares(container: Container) -> None:
    assert (container.limit_cpu(), container.limit_cpu(512), container.limit_cpu()) == (1024, 512, 512)
    with pytest.raises(errors.BadInput, match="shares: -1 is out of range"):
        container.limit_cpu(-1)


@pytest.mark.parametrize("handle", ["caf\u00e9 / x", "\udcff"])
def test_any_handle(client: Client, handle: str) -> None:
    assert client.create(handle).handle == handle
    assert client.list() == [handle]
    with pytest.raises(errors.HandleTaken, match="already exists"):
        client.create(handle)


def test_typed_errors(client: Client) -> None:
    with pytest.raises(errors.UnknownHandle, match=r"^unknown handle$"):
        client.container("no").info()


def test_nobody_there(socket: str) -> None:
    with pytest.raises(errors.Unreachable, match=r"no such socket \(start it with: sudo wardend\)"):
        Client(socket).ping()
    with sockets.socket(sockets.AF_UNIX) as dead:
        dead.bind(socket)
    with pytest.raises(errors.Unreachable, match="nobody listens there"):
        Client(socket).ping()


def test_a_restarted_server_is_not_noticed(socket: str) -> None:
    client = Client(socket)
    for _ in range(2):
        with serving_in_thread(socket):
            client.ping()
    client.close()
    with pytest.raises(errors.Unreachable, match="closed"):
        client.ping()


def test_a_server_that_ends_in_the_middle(socket: str) -> None:
    client = Client(socket)
    with ThreadPoolExecutor(1) as pool:
        with serving_in_thread(socket):
            job = client.create("c").spawn("wait")
            waiting = pool.submit(job.wait)
            client.container("c").info()
        with pytest.raises(errors.Unreachable, match=r"lost|no such|nobody"):
            waiting.result(10)
    client.close()


def test_a_server_that_never_answers(socket: str) -> None:
    with sockets.socket(sockets.AF_UNIX) as mute:
        mute.bind(socket)
        mute.listen()
        with Client(socket, timeout=0.05) as client, pytest.raises(errors.Unreachable, match=r"no reply within 0.05"):
            client.ping()


def test_a_server_that_answers_nonsense(socket: str) -> None:
    def answer(listener: sockets.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(100)
            peer.sendall(b"4\r\n\x08\x5c\x12\x00\r\n")

    with sockets.socket(sockets.AF_UNIX) as listener, Client(socket) as client:
        listener.bind(socket)
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        with pytest.raises(errors.EngineFault, match="list came instead of ping"):
            client.ping()
        thread.join()


def test_messages_as_they_are(client: Client) -> None:
    client.call(pb.CreateRequest(handle=b"c"))
    job_id = client.call(pb.SpawnRequest(handle=b"c", script=b"out a")).job_id
    replies = list(client.call_stream(pb.StreamRequest(handle=b"c", job_id=job_id)))
    assert [reply.data for reply in replies] == [b"a", b""]
    with pytest.raises(errors.BadInput, match="not a request"):
        client.call(pb.CreateResponse(handle=b"c"))


def test_threads_share_a_client(container: Container) -> None:
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda number: container.run(f"sleep 0.01\nout {number}").stdout, range(100)))
    assert results == [b"%d" % number for number in range(100)]


def test_a_big_output(container: Container) -> None:
    assert len(container.run("flood 50000000").stdout) == 50_000_000
    stream = container.spawn("flood 52428800").stream()
    assert sum(len(chunk.data) for chunk in stream) == 52428800


def test_asyncio_is_not_imported() -> None:
    code = "import sys, warden.client.blocking; sys.exit('asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_socket_comes_from_the_environment(
    engine: FakeEngine, socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDEN_SOCKET", socket)
    with Client() as client:
        client.create("x")
    assert list(engine.containers) == ["x"]


def test_network_rules(container: Container, engine: FakeEngine) -> None:
    assert container.net_in(6001, 80) == (6001, 80)
    chosen, same = container.net_in()
    assert chosen == same
    container.net_out("10.0.0.0/8", protocol="udp", port_range="1:9", log=True)
    container.net_out(port=80)
    container.net_out("1.2.3.4", protocol="ICMP", icmp_type=8, icmp_code=0)
    assert engine.containers["c"].net_out_rules == [
        NetRule("10.0.0.0/8", "1:9", Protocol.UDP, log=True),
        NetRule(None, "80"),
        NetRule("1.2.3.4", None, Protocol.ICMP, 8, 0),
    ]
    with pytest.raises(errors.BadInput, match="Please specify network"):
        container.net_out()
    with pytest.raises(errors.BadInput, match="protocol: 'sctp' is unknown"):
        container.net_out("1.2.3.4", protocol="sctp")
    with pytest.raises(errors.BadInput, match="0 is not a port"):
        container.net_in(0)


def test_how_all_are_connected(client: Client) -> None:
    client.create("box")
    host, box = client.topology().spaces
    assert (host.host, host.links[0].addresses, box.handles) == (True, ("127.0.0.1/8",), ("box",))


def test_networks_are_made_shown_and_removed(client: Client, engine: FakeEngine) -> None:
    made = client.create_network("web", subnet="10.20.0.7/24", ipv6="auto", internal=True, mtu=1400)
    assert made.bridge == Bridge("web", "10.20.0.0/24", "fd00::/64", internal=True, mtu=1400, explicit=True)
    assert client.networks() == [client.network("web")] == [made]
    assert made.members[0].addresses == ("10.252.0.2/24",)
    client.remove_network("web")
    assert engine.bridges == {}
    with pytest.raises(errors.UnknownNetwork, match="network web"):
        client.network("web")


@pytest.mark.parametrize("options", [{"subnet": "x"}, {"ipv6": "10.0.0.0/8"}, {"mtu": 1}])
def test_a_bad_network_never_leaves_the_client(client: Client, options: Any) -> None:
    with pytest.raises(errors.BadInput, match="network "):
        client.create_network("web", **options)


def test_interfaces_are_asked_for(client: Client, engine: FakeEngine) -> None:
    client.create("c", network="bridge:web,alias=db", interfaces=["macvlan:eth0", Interface(LinkKind.PHYSICAL, "eth1")])
    spec = engine.containers["c"].spec
    assert spec.network is NetworkMode.NONE
    assert [item.kind for item in spec.interfaces] == [LinkKind.BRIDGE, LinkKind.MACVLAN, LinkKind.PHYSICAL]
    client.create("d", network="container:c")
    assert engine.containers["d"].spec.network_of == "c"
