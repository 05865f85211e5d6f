"""Mounts, labels, main jobs and volumes over the wire and back, and both clients against the fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from warden.client import messages
from warden.client.aio import AsyncClient
from warden.client.blocking import Client
from warden.errors import BadInput, HandleTaken, UnknownHandle, UnknownVolume, VolumeInUse, VolumeTaken
from warden.model.info import Info, State
from warden.model.job import JobSpec
from warden.model.life import RestartPolicy, VolumesFrom
from warden.model.mounts import Mount
from warden.model.spec import ContainerSpec
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert import CreateDefaults
from warden.protocol.convert_info import info_to_response, response_to_info
from warden.protocol.convert_life import create_to_spec, message_to_mount
from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import serving, serving_in_thread

EVERYTHING: dict[str, Any] = {
    "mounts": [Mount.volume("data", "/a", no_copy=True), Mount.tmpfs("/b", "size=1m"), Mount("/c", "/d", False)],
    "volumes_from": ["box:ro", "web"],
    "read_only": True,
    "shm_size": "1M",
    "labels": {"a": "b", "ü": ""},
    "main": JobSpec(argv=("x", "\udcff"), env=(("A", "b"),), cwd="/"),
    "restart": "on-failure:3",
    "stop_signal": 10,
    "stop_timeout": "1500ms",
}


def asked(options: Any) -> ContainerSpec:
    _, request = messages.create("c", options)
    return create_to_spec(pb.CreateRequest.FromString(request.SerializeToString()), CreateDefaults())


def test_everything_arrives() -> None:
    spec = asked(EVERYTHING)
    assert spec.mounts == tuple(EVERYTHING["mounts"])
    assert spec.volumes_from == (VolumesFrom("box", True), VolumesFrom("web"))
    assert (spec.read_only, spec.shm_size, spec.labels) == (True, 1 << 20, (("a", "b"), ("ü", "")))
    assert (spec.main, spec.restart) == (EVERYTHING["main"], RestartPolicy.parse("on-failure:3"))
    assert (spec.stop_signal, spec.stop_timeout, spec.auto_remove) == (10, 1.5, False)


def test_bind_mounts_alone_go_as_the_original_sent_them() -> None:
    _, request = messages.create("c", {"mounts": [("/a", "/b", "rw")]})
    assert (len(request.bind_mounts), len(request.mounts)) == (1, 0)
    _, request = messages.create("c", {"mounts": [("/a", "/b"), ("data", "/c"), ("", "/d")]})
    assert (len(request.bind_mounts), len(request.mounts)) == (0, 3)
    assert [mount.read_only for mount in request.mounts] == [True, False, False]


def test_an_old_client_gets_what_it_got() -> None:
    assert create_to_spec(pb.CreateRequest(), CreateDefaults()) == ContainerSpec(
        limits=asked({"oom_policy": "stop"}).limits
    )


def test_info_tells_it() -> None:
    info = Info("c", "i", State.ACTIVE, asked(EVERYTHING), 1.0, "/p", restarts=2, main_job=7)
    back = response_to_info(info_to_response(info), "c")
    assert (back.restarts, back.main_job) == (2, 7)
    for name in ("mounts", "labels", "read_only", "restart", "auto_remove", "stop_signal", "stop_timeout", "shm_size"):
        assert getattr(back.spec, name) == getattr(info.spec, name), name


@pytest.mark.parametrize(
    "fields",
    [
        {"mounts": [pb.Mount(target=b"relative", kind=b"tmpfs")]},
        {"mounts": [pb.Mount(target=b"/x", kind=b"cloud")]},
        {"mounts": [pb.Mount(target=b"/x")]},
        {"mounts": [pb.Mount(target=b"/x", kind=b"volume", source=b"../../etc")]},
        {"mounts": [pb.Mount(target=b"/x", kind=b"tmpfs", options=[b"size=1,upperdir=/"])]},
        {"volumes_from": [pb.VolumesFrom(handle=b"")]},
        {"shm_size": 0},
        {"labels": [pb.Setting(name=b"", value=b"")]},
        {"restart": b"maybe"},
        {"restart": b"always", "auto_remove": True},
        {"stop_signal": 2**32 - 1},
        {"stop_timeout_ms": 2**64 - 1},
        {"main": pb.SpawnRequest(handle=b"", script=b"x", argv=[b"x"])},
    ],
    ids=str,
)
def test_what_a_stranger_sends_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        create_to_spec(pb.CreateRequest(**fields), CreateDefaults())


def test_a_mount_without_a_kind_is_a_bind_mount() -> None:
    assert message_to_mount(pb.Mount(target=b"/x", source=b"/y")) == Mount("/y", "/x", False)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with serving_in_thread(str(tmp_path / "w.sock")) as engine:
        yield engine


@pytest.fixture
def client(tmp_path: Path, engine: FakeEngine) -> Iterator[Client]:
    with Client(str(tmp_path / "w.sock"), timeout=60) as client:
        yield client


def test_volumes_by_the_blocking_client(client: Client) -> None:
    assert client.create_volume("data").name == "data"
    with pytest.raises(VolumeTaken):
        client.create_volume("data")
    with pytest.raises(BadInput):
        client.create_volume("../x")
    made = client.create_volume()
    assert made.anonymous
    with client.create("c", mounts=[("data", "/data")]):
        assert client.volume("data").used_by == ("c",)
        with pytest.raises(VolumeInUse, match="in use by c"):
            client.remove_volume("data")
        assert [volume.name for volume in client.volumes()] == sorted(["data", made.name])
        assert client.prune_volumes(every=True) == [made.name]
    assert client.prune_volumes() == []
    client.remove_volume("data")
    with pytest.raises(UnknownVolume):
        client.volume("data")


def test_start_restart_and_rename_by_the_blocking_client(client: Client, engine: FakeEngine) -> None:
    with client.create("c") as container, pytest.raises(BadInput, match="no main job"):
        container.start()
    with client.create("c", main="wait") as container:
        container.start()
        container.start()
        assert len(engine.jobs) == 1
        assert container.info().main_job == engine.jobs[0].id
        container.restart(kill=True)
        assert len(engine.jobs) == 2
        container.rename("d")
        assert (container.handle, client.list()) == ("d", ["d"])
        with pytest.raises(HandleTaken):
            container.rename("d")
        assert container.run("exit 3").exit_status == 3
        with pytest.raises(UnknownHandle):
            client.container("c").info()


@pytest.fixture
async def aclient(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    async with serving(str(tmp_path / "a.sock")), AsyncClient(str(tmp_path / "a.sock"), timeout=60) as client:
        yield client


async def test_the_asyncio_client_does_the_same(aclient: AsyncClient) -> None:
    assert (await aclient.create_volume("data")).name == "data"
    assert [volume.name for volume in await aclient.volumes()] == ["data"]
    async with await aclient.create("c", mounts=[("data", "/x")], main=["wait"]) as container:
        assert (await aclient.volume("data")).used_by == ("c",)
        await container.start()
        await container.restart()
        await container.rename("d")
        assert (container.handle, await aclient.list()) == ("d", ["d"])
    assert await aclient.prune_volumes(every=True) == ["data"]
    with pytest.raises(UnknownVolume):
        await aclient.remove_volume("data")


async def test_a_renamed_container_keeps_its_grace(tmp_path: Path) -> None:
    async with serving(str(tmp_path / "g.sock")) as engine:
        async with AsyncClient(str(tmp_path / "g.sock")) as client:
            container = await client.create("old", grace_time=0)
            await container.rename("new")
            assert list(engine.containers) == ["new"]
        for _ in range(1000):
            if not engine.containers:
                break
            await asyncio.sleep(0.005)
        assert not engine.containers
