"""Translation: what goes over the wire comes back the same, and the original's presence rules hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden import errors
from warden.model.info import BandwidthStat, CpuStat, DiskStat, Info, JobInfo, MemoryUse, State
from warden.model.interfaces import Interface, LinkKind
from warden.model.job import DEFAULT_RLIMITS, JobResult, JobSpec, Usage, Verdict
from warden.model.limits import Limits, OomPolicy
from warden.model.names import Names
from warden.model.spec import ContainerSpec, Mount, NetworkMode
from warden.protocol import codec, convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_info import info_to_response, response_to_info

texts = st.binary(min_size=1, max_size=20).map(lambda data: convert.text(data.replace(b"\0", b"n")))
paths = texts.map(lambda text: "/" + text)
DEFAULTS = convert.CreateDefaults()


def over_the_wire(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())


def test_every_request_has_a_response_and_every_type_a_name() -> None:
    assert codec.NAMES[31] == "net_in"
    assert {name for kind, name in codec.NAMES.items() if codec.RESPONSES[kind] is None} == {"attach_input"}


@pytest.mark.parametrize("kind,payload", [(1, b""), (60, b""), (21, b""), (14, b"\xff"), (14, b"\x0a\x05a")])
def test_undecodable_requests(kind: int, payload: bytes) -> None:
    with pytest.raises(errors.BadInput):
        codec.decode_request(kind, payload)


def test_the_missing_fields_are_named() -> None:
    with pytest.raises(errors.BadInput, match="spawn: missing required field: handle, script"):
        codec.decode_request(21, b"")


@pytest.mark.parametrize("frame", [b"", b"\x08\x3c\x12\x00", b"\x12\x00", b"\x08\x5b", b"\xff\xff"])
def test_undecodable_envelopes(frame: bytes) -> None:
    with pytest.raises(errors.BadInput):
        codec.decode_envelope(frame)


def test_an_original_create_means_the_original_rules() -> None:
    spec = convert.create_to_spec(pb.CreateRequest(), convert.CreateDefaults(image="base", grace_time=300.0))
    assert spec.limits.oom_policy is OomPolicy.STOP
    assert (spec.handle, spec.image, spec.grace_time) == (None, "base", 300.0)


def test_a_grace_time_of_zero_is_not_an_absent_one() -> None:
    assert convert.create_to_spec(pb.CreateRequest(grace_time=0), convert.CreateDefaults(grace_time=5)).grace_time == 0


def test_the_configured_rootfs_gives_way_to_a_chosen_image() -> None:
    defaults = convert.CreateDefaults(rootfs="/base")
    assert convert.create_to_spec(pb.CreateRequest(), defaults).rootfs == "/base"
    assert convert.create_to_spec(pb.CreateRequest(image=b"x"), defaults).rootfs is None


def test_an_unknown_policy_is_named_with_the_known_ones() -> None:
    with pytest.raises(errors.BadInput, match=r"oom_policy: 'x' is unknown .one of kill_job, kill_container, stop"):
        convert.create_to_spec(pb.CreateRequest(oom_policy=b"x"), DEFAULTS)


mounts = st.builds(Mount, paths, paths.filter(lambda path: ".." not in path.split("/")), st.booleans())
INTERFACES = st.sampled_from(
    (
        Interface(LinkKind.BRIDGE, "web", aliases=("db", "db.local"), mac="02:00:00:00:00:01"),
        Interface(LinkKind.MACVLAN, "eth0", name="lan", mode="vepa", addresses=("192.0.2.5/24", "2001:db8::5/64")),
        Interface(LinkKind.VLAN, "eth0", vlan_id=0, gateways=("192.0.2.1", "2001:db8::1"), mtu=1400),
        Interface(LinkKind.PHYSICAL, "eth1"),
    )
)
specs = st.builds(
    ContainerSpec,
    handle=st.none() | texts,
    image=texts,
    rootfs=st.none() | paths,
    hostname=st.none() | st.just("host-1"),
    mounts=st.lists(mounts, max_size=3).map(tuple),
    limits=st.builds(Limits, st.none() | st.integers(0, 2**63 - 1), st.sampled_from(list(OomPolicy))),
    network=st.sampled_from((NetworkMode.WARDEN, NetworkMode.NONE)),
    interfaces=st.just(()) | INTERFACES.map(lambda item: (item,)),
    names=st.sampled_from((Names(), Names(("192.0.2.1",), ("a.b",), ("ndots:1",), (("db", "fd00::7"),)))),
    network_address=st.none() | st.just("10.254.0.4"),
    grace_time=st.none() | st.integers(0, 1000).map(float),
    user_namespace=st.booleans(),
)


@given(specs)
def test_create_round_trip(spec: ContainerSpec) -> None:
    request = convert.spec_to_create(spec, image=spec.image, user_namespace=spec.user_namespace)
    assert convert.create_to_spec(over_the_wire(request), DEFAULTS) == spec


def test_whose_network_is_shared_crosses_the_wire() -> None:
    spec = ContainerSpec(network=NetworkMode.CONTAINER, network_of="box", user_namespace=True)
    request = convert.spec_to_create(spec, image=None, user_namespace=None)
    assert convert.create_to_spec(over_the_wire(request), DEFAULTS) == spec


variables = st.tuples(texts.filter(lambda text: "=" not in text), texts)
jobs = st.builds(
    JobSpec,
    argv=st.just(()),
    script=st.binary(max_size=50),
    privileged=st.booleans(),
    user=st.none() | texts,
    env=st.lists(variables, max_size=3).map(tuple),
    cwd=st.none() | paths,
    stdin=st.none() | st.binary(max_size=20),
    rlimits=st.dictionaries(st.sampled_from(sorted(DEFAULT_RLIMITS)), st.integers(0, 2**64 - 1)),
    wall_limit_s=st.none() | st.integers(1, 10**6).map(lambda ms: ms / 1000),
    cpu_limit_s=st.none() | st.integers(1, 10**6).map(lambda ms: ms / 1000),
    output_limit=st.none() | st.integers(0, 2**40),
    discard_output=st.booleans(),
    log_tag=st.none() | texts,
)


@given(jobs, st.sampled_from([pb.SpawnRequest, pb.RunRequest]), texts)
def test_job_round_trip(job: JobSpec, cls: type, handle: str) -> None:
    request = cls()
    convert.fill_job_request(request, handle, job)
    assert convert.request_to_job(over_the_wire(request)) == job


def test_a_command_travels_with_an_empty_script() -> None:
    job = JobSpec(argv=("ls", "", "\udcff"), tty=True, rows=5, columns=6, interactive=True)
    request = pb.SpawnRequest()
    convert.fill_job_request(request, "h", job)
    assert request.HasField("script")
    assert convert.request_to_job(over_the_wire(request)) == job


def test_an_empty_script_alone_is_a_script() -> None:
    assert convert.request_to_job(pb.SpawnRequest(handle=b"h", script=b"")).script == b""


def test_a_script_and_a_command_are_refused() -> None:
    with pytest.raises(errors.BadInput, match="either a command or a script"):
        convert.request_to_job(pb.SpawnRequest(handle=b"h", script=b"x", argv=[b"y"]))


def test_a_variable_needs_a_value() -> None:
    with pytest.raises(errors.BadInput, match="'A' has no value"):
        convert.request_to_job(pb.SpawnRequest(handle=b"h", script=b"x", env=[b"A"]))


@given(
    st.builds(
        JobResult,
        exit_status=st.integers(0, 255),
        verdict=st.sampled_from(list(Verdict)),
        signal=st.integers(0, 64),
        truncated=st.booleans(),
        usage=st.builds(Usage, *[st.integers(0, 10**6).map(float)] * 3, st.none() | st.integers(0, 2**50)),
        detail=st.text(max_size=10),
    )
)
def test_result_round_trip(result: JobResult) -> None:
    response = pb.LinkResponse()
    convert.fill_result(response, result)
    assert convert.response_to_result(over_the_wire(response)) == result


def test_zero_and_empty_are_present() -> None:
    response = pb.RunResponse(stdout=b"", stderr=b"")
    convert.fill_result(response, JobResult(0, Verdict.EXITED))
    decoded = over_the_wire(response)
    assert all(decoded.HasField(name) for name in ("exit_status", "stdout", "stderr"))


def test_a_result_of_the_original_server() -> None:
    assert convert.response_to_result(pb.LinkResponse(exit_status=255)).verdict is Verdict.SIGNALED
    assert convert.response_to_result(pb.LinkResponse(exit_status=3)).verdict is Verdict.EXITED


def test_info_round_trip() -> None:
    info = Info(
        handle="h",
        id="i",
        state=State.STOPPED,
        spec=ContainerSpec(handle="h", image="x", hostname="n", limits=Limits(memory_bytes=4096)),
        created=12.5,
        path="/p",
        events=("out of memory",),
        host_ip="10.254.0.1",
        container_ip="10.254.0.2",
        pid=7,
        memory=MemoryUse(current=5, peak=9, limit=4096, oom_kills=1, stat={"rss": 0, "cache": 3}),
        cpu=CpuStat(1, 2, 3),
        bandwidth=BandwidthStat(in_rate=7, in_burst=8),
        disk=DiskStat(4096, 0),
        jobs=(JobInfo(1, "a", True, 1.5), JobInfo(2, "b", False, 2.5, 0, "exited")),
    )
    response = over_the_wire(info_to_response(info))
    assert response_to_info(response, "h") == info
    assert list(response.job_ids) == [1]
    assert (response.bandwidth_stat.in_rate, response.bandwidth_stat.out_rate) == (7, 4294967295)


@pytest.mark.parametrize("cls", errors.ALL, ids=lambda cls: cls.__name__)
def test_errors_keep_their_class_and_text(cls: type[errors.WardenError]) -> None:
    made: Any = cls
    error = made("a b: caf\udce9", hint="do c") if cls is not errors.KernelRefused else made("mount", "/x", 1)
    back = convert.response_to_error(over_the_wire(convert.error_to_response(error)))
    assert (type(back), str(back)) == (cls, str(error))


def test_other_errors_are_faults_of_the_engine() -> None:
    assert convert.error_to_response(KeyError()).message == b"KeyError"
    assert convert.error_to_response(ValueError("x")).code == b"engine_fault"
