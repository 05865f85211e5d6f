"""spec/warden.md, section by section, on the real daemon with a client that shares nothing with it.

What has a test of its own elsewhere (network traffic, copies, quotas, recovery, drain) is not done again here: this is
what an old client reads on the wire.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from oldclient import (
    COPY_IN,
    COPY_OUT,
    CREATE,
    DESTROY,
    ECHO,
    ERROR,
    INFO,
    LIMIT_BANDWIDTH,
    LIMIT_CPU,
    LIMIT_DISK,
    LIMIT_MEMORY,
    LINK,
    LIST,
    NET_IN,
    NET_OUT,
    PING,
    RUN,
    SPAWN,
    STOP,
    STREAM,
    Fields,
    OldClient,
    fields_of,
    frame,
    message,
    original,
)
from scene import configured_daemon, wait_until, wait_until_read

from warden.errors import EngineFault
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root
H = b"box"
NAMING = (STOP, DESTROY, INFO, SPAWN, LINK, RUN, STREAM, NET_IN, NET_OUT, COPY_IN, COPY_OUT,
          LIMIT_MEMORY, LIMIT_DISK, LIMIT_BANDWIDTH, LIMIT_CPU)  # fmt: skip
#: What a request needs beside the handle.
NEEDED: dict[int, Fields] = {
    SPAWN: [(2, b"true")],
    RUN: [(2, b"true")],
    LINK: [(2, 1)],
    STREAM: [(2, 1)],
    COPY_IN: [(2, b"/etc/hostname"), (3, b"/tmp/x")],
    COPY_OUT: [(2, b"/etc/hostname"), (3, b"/tmp/no/such")],
    LIMIT_BANDWIDTH: [(2, 1 << 20), (3, 1 << 16)],
    NET_OUT: [(2, b"10.1.2.3")],
}


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[OldClient]:
    with OldClient(shared_daemon.socket) as client:
        yield client


@pytest.fixture
def box(client: OldClient) -> Iterator[bytes]:
    with created(client) as handle:
        yield handle


@contextmanager
def created(client: OldClient, *fields: tuple[int, int | bytes], handle: bytes = H) -> Iterator[bytes]:
    assert client.ask(CREATE, (3, handle), *fields) == {1: handle}
    yield handle
    client.ask(DESTROY, (1, handle))


def is_alive(client: OldClient, handle: bytes) -> bool:
    """Asked without naming it, which would hold it."""
    return handle in [value for _, value in client.call(LIST)[1]]


# ---- §1 transport and framing


def test_frames_that_are_no_requests_are_answered_and_the_next_one_is(client: OldClient) -> None:
    bodies = [
        b"",
        b"\xff\xff\xff",
        message((1, 60), (2, b"")),  # no such request
        message((1, ERROR), (2, b"")),
        message((1, PING)),  # no payload
        message((2, b"")),  # no type
        message((1, INFO), (2, b"")),  # without its required handle
        message((1, INFO), (2, message((1, 7)))),  # of the wrong type
        message((1, RUN), (2, message((1, b"h"), (2, b"s"), (4, b"\x0a" * 99)))),
        message((1, RUN), (2, message((1, b"h"), (2, b"s"), (4, b"\x08")))),  # ends in the middle
        message((1, PING), (2, b"\x0b" * 1000)),  # groups in groups
    ]
    for body in bodies:
        client.socket.sendall(b"%d\r\n%s\r\n" % (len(body), body))
        kind, fields = client.read()
        assert kind == ERROR and original(fields), body
    assert client.call(PING) == (PING, [])


@pytest.mark.parametrize(
    "garbage", [b"x\r\n", b"-1\r\n", b"\r\n", b"99999999999999999999\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_a_bad_length_costs_that_connection_alone(
    shared_daemon: PrivateDaemon, client: OldClient, garbage: bytes
) -> None:
    with OldClient(shared_daemon.socket) as bad:
        bad.socket.sendall(garbage)
        assert bad.read()[0] == ERROR
        assert bad.file.read() == b""
    assert client.call(PING) == (PING, [])


def test_a_line_feed_alone_ends_no_length_and_half_a_frame_is_nobodys_matter(
    shared_daemon: PrivateDaemon, client: OldClient
) -> None:
    with OldClient(shared_daemon.socket) as half:
        half.socket.sendall(b"4\n")
        half.socket.setblocking(False)
        assert client.call(PING) == (PING, [])
        with pytest.raises(BlockingIOError):
            half.socket.recv(1)
    with OldClient(shared_daemon.socket) as half:
        half.socket.sendall(frame(PING)[:7])
    assert client.call(PING) == (PING, [])


def test_one_connection_is_served_in_order_and_others_do_not_wait(
    shared_daemon: PrivateDaemon, client: OldClient, box: bytes
) -> None:
    client.socket.sendall(
        frame(RUN, (1, box), (2, b"until [ -e /tmp/go ]; do sleep 0.01; done; echo one")) + frame(PING) + frame(LIST)
    )
    with OldClient(shared_daemon.socket) as other:
        assert other.run(box, b"touch /tmp/go")[0] == 0
    kinds = [client.read() for _ in range(3)]
    assert [kind for kind, _ in kinds] == [RUN, PING, LIST]
    assert dict(kinds[0][1])[2] == b"one\n"


def test_a_request_goes_on_when_its_client_went(shared_daemon: PrivateDaemon, client: OldClient) -> None:
    with OldClient(shared_daemon.socket) as gone:
        gone.socket.sendall(frame(CREATE, (3, b"left")))
    wait_until(lambda: is_alive(client, b"left"))
    client.ask(DESTROY, (1, b"left"))


# ---- §2 messages: which fields are there


def test_every_answer_has_its_fields_in_order_also_those_that_are_0_or_empty(client: OldClient, box: bytes) -> None:
    job = client.ask(SPAWN, (1, box), (2, b"exit 0"))
    assert client.ask(ECHO, (1, b"")) == {1: b""}
    assert client.ask(PING) == {}
    assert list(job) == [1]
    expected: list[tuple[int, Fields, list[int]]] = [
        (LINK, [(2, job[1])], [1, 2, 3, 4]),
        (RUN, [(2, b"")], [1, 2, 3, 4]),
        (NET_IN, [], [1, 2]),
        (NET_OUT, [(2, b"10.1.2.3")], []),
        (LIMIT_MEMORY, [], [1]),
        (LIMIT_CPU, [], [1]),
        (LIMIT_BANDWIDTH, [(2, 1 << 20), (3, 1 << 16)], [1, 2]),
        (COPY_IN, [(2, b"/etc/hostname"), (3, b"/tmp/x")], []),
        (STOP, [], []),
    ]
    for kind, fields, tags in expected:
        answered, found = client.call(kind, (1, box), *fields)
        assert answered == kind
        assert [tag for tag, _ in original(found)] == tags
        if kind in (LINK, RUN):
            assert original(found)[:3] == [(1, 0), (2, b""), (3, b"")]


def test_info_has_everything_but_empty_lists(client: OldClient, box: bytes) -> None:
    kind, found = client.call(INFO, (1, box))
    tags = [tag for tag, _ in original(found)]
    assert kind == INFO
    assert tags == sorted(tags)
    assert {10, 30, 31, 32, 40, 41, 43} <= set(tags)
    assert not {20, 44} & set(tags)
    info: dict[int, Any] = dict(found)
    memory, cpu = dict(fields_of(info[40])), dict(fields_of(info[41]))
    assert set(range(1, 15)) <= set(memory) and set(cpu) == {1, 2, 3}
    assert memory[14] == 9223372036854771712
    job = client.ask(SPAWN, (1, box), (2, b"sleep 1000"))[1]
    other = client.ask(SPAWN, (1, box), (2, b"sleep 1000"))[1]
    assert [value for tag, value in client.call(INFO, (1, box))[1] if tag == 44] == [job, other]  # not packed
    client.ask(STOP, (1, box), (20, 1))
    after = client.call(INFO, (1, box))[1]
    assert dict(after)[10] == b"stopped"
    assert 44 not in dict(after)


# ---- §3 life cycle


@pytest.mark.parametrize("kind", NAMING)
def test_an_unknown_handle_comes_before_anything_else(client: OldClient, kind: int) -> None:
    assert client.text(kind, (1, b"nobody"), *NEEDED.get(kind, [])) == b"unknown handle"


def test_what_a_stopped_container_still_does(client: OldClient, box: bytes) -> None:
    client.ask(STOP, (1, box))
    refused = b"Container state must be one of 'active', current state is 'stopped'"
    for kind in (SPAWN, RUN, NET_IN, NET_OUT, COPY_IN):
        assert client.text(kind, (1, box), *NEEDED.get(kind, [])) == refused
    for kind in (STOP, INFO, LIMIT_MEMORY, LIMIT_CPU, LIMIT_BANDWIDTH):
        client.ask(kind, (1, box), *NEEDED.get(kind, []))
    for kind in (LINK, STREAM):
        assert client.text(kind, (1, box), (2, 4711)) == b"no such job"


@pytest.mark.parametrize("handle", [b"two words", b"a/../b", "Gefäß ☃".encode(), b"\xff\xfe", b"-x", b"x" * 1000])
def test_a_handle_is_any_text(client: OldClient, handle: bytes) -> None:
    with created(client, handle=handle):
        assert client.run(handle, b"hostname")[1] != b""
        assert is_alive(client, handle)
        assert client.text(CREATE, (3, handle)) == b"container with handle: " + handle + b" already exists."


def test_ids_count_up_and_name_the_link(client: OldClient, shared_daemon: PrivateDaemon) -> None:
    ids = [client.ask(CREATE)[1] for _ in range(3)]
    numbers = [int(found, 32) for found in ids]
    assert all(re.fullmatch(rb"[0-9a-v]{11}", found) for found in ids)
    assert [number - numbers[0] for number in numbers] == [0, 1, 2]
    links = {name for _, name in socket.if_nameindex()}
    for found in ids:
        info = client.ask(INFO, (1, found))
        assert f"w-{found.decode()}-0" in links
        inside = client.run(found, b"cat /proc/net/dev; hostname; cat /etc/hosts /etc/hostname")[1]
        assert b"w-" + found + b"-1:" in inside
        assert b"\n127.0.0.1 localhost\n" in inside
        assert b"\n" + info[31] + b" " + found + b"\n" in inside
        host, container = (struct.unpack("!I", socket.inet_aton(info[tag].decode()))[0] for tag in (30, 31))
        assert (host % 4, container % 4, container - host) == (1, 2, 1)
        assert info[32] == f"{shared_daemon.depot}/{found.decode()}".encode()
        client.ask(DESTROY, (1, found))


def test_what_cannot_be_made_has_the_original_s_text_and_leaves_nothing(client: OldClient) -> None:
    before = client.call(LIST)
    assert client.text(CREATE, (5, b"/no/such/root")) == b"rootfs /no/such/root not found"
    mount = message((1, b"/no/such/source"), (2, b"/x"), (3, 0))
    assert client.text(CREATE, (1, mount)) == b"Source path for bind mount does not exist: /no/such/source"
    assert client.text(CREATE, (4, b"192.0.2.1")).startswith(b"Could not acquire network: 192.0.2.0")
    assert client.call(LIST) == before


def test_a_network_that_was_asked_for_is_masked_and_taken_once(shared_daemon: PrivateDaemon, client: OldClient) -> None:
    base = shared_daemon.pool.rpartition(".")[0]
    with created(client, (4, f"{base}.203".encode())) as one:
        assert client.ask(INFO, (1, one))[31] == f"{base}.202".encode()
        text = client.text(CREATE, (3, b"other"), (4, f"{base}.201".encode()))
        assert text.startswith(f"Could not acquire network: {base}.200".encode())


def test_pools_that_are_used_up_say_so_and_cool_down() -> None:
    port = {"pool_start_port": 62000, "pool_size": 1000}
    network = {"pool_network": "10.252.78.0/29", "release_delay": 1}
    with configured_daemon(network=network, port=port) as private, OldClient(private.socket) as client:
        one, two = client.ask(CREATE)[1], client.ask(CREATE)[1]
        assert client.text(CREATE).startswith(b"Could not acquire network")
        assert [client.ask(NET_IN, (1, one))[1] for _ in range(2)] == [62000, 62001]
        client.ask(DESTROY, (1, one))
        assert client.text(CREATE).startswith(b"Could not acquire network")  # the head of the queue still cools
        assert client.ask(NET_IN, (1, two))[1] == 62002  # what was given back comes last
        wait_until(lambda: client.call(CREATE)[0] == CREATE)


def test_uids_that_are_used_up() -> None:
    with configured_daemon(user={"pool_size": 1}) as private, OldClient(private.socket) as client:
        client.ask(CREATE)
        assert client.text(CREATE).startswith(b"no uid available")


def test_too_few_ports_are_a_start_up_error() -> None:
    text = r"Insufficient non-ephemeral ports available \(expected >= 1000, got: 10\)"
    port = {"pool_start_port": 62000, "pool_size": 10}
    with pytest.raises(EngineFault, match=text), configured_daemon(port=port):
        pass


def test_a_new_connection_stops_the_time_of_every_container(shared_daemon: PrivateDaemon, client: OldClient) -> None:
    """*client* was there before: it does not keep what it never named."""
    with OldClient(shared_daemon.socket) as creator:
        creator.ask(CREATE, (3, b"held"), (2, 0))
        watcher = OldClient(shared_daemon.socket)  # names nothing, but came later
        watcher.call(PING)
    for _ in range(20):
        assert is_alive(client, b"held")
    watcher.close()
    wait_until(lambda: not is_alive(client, b"held"))


def test_naming_a_container_holds_it(shared_daemon: PrivateDaemon, client: OldClient) -> None:
    with OldClient(shared_daemon.socket) as other, OldClient(shared_daemon.socket) as creator:
        creator.ask(CREATE, (3, b"held"), (2, 0))
        other.ask(INFO, (1, b"held"))
        creator.close()
        for _ in range(20):
            assert is_alive(client, b"held")
    wait_until(lambda: not is_alive(client, b"held"))


def test_time_begins_anew_with_each_last_connection(shared_daemon: PrivateDaemon, client: OldClient) -> None:
    with OldClient(shared_daemon.socket) as creator:
        creator.ask(CREATE, (3, b"timed"), (2, 3))
    for _ in range(4):  # longer than its time in all, never in one piece
        time.sleep(0.9)
        OldClient(shared_daemon.socket).close()
    assert is_alive(client, b"timed")
    wait_until(lambda: not is_alive(client, b"timed"))


def test_stop_tells_jobs_and_a_second_one_does_not_wait(
    shared_daemon: PrivateDaemon, client: OldClient, box: bytes
) -> None:
    """Also `background`: answered at once, the work goes on."""
    trap = b"trap 'until [ -e /tmp/go ]; do sleep 0.01; done; exit 37' TERM; echo up; while :; do sleep 0.01; done"
    job = client.ask(SPAWN, (1, box), (2, trap))[1]
    killed = client.ask(SPAWN, (1, box), (2, b"exec sleep 1000"))[1]
    with OldClient(shared_daemon.socket) as reader:
        reader.socket.sendall(frame(STREAM, (1, box), (2, job)))
        assert dict(reader.read()[1])[2] == b"up\n"
        client.ask(STOP, (1, box), (10, 1))
        client.ask(STOP, (1, box))
        assert client.ask(INFO, (1, box))[10] == b"stopped"
        assert client.ask(LINK, (1, box), (2, killed))[1] == 255
        root = f"/proc/{_pid(shared_daemon, client, box)}/root/tmp/go"
        Path(root).touch()
        while 3 not in (last := dict(reader.read()[1])):
            pass  # bash says what became of its sleep
        assert last[3] == 37


def _pid(private: PrivateDaemon, client: OldClient, handle: bytes) -> int:
    found = dict(client.call(INFO, (1, handle))[1])
    numbers = [value for tag, value in found.items() if tag > 100 and isinstance(value, int)]
    for number in numbers:
        if os.path.exists(f"/proc/{number}/root/etc/hostname"):
            return number
    raise AssertionError(found)


def test_the_time_between_term_and_kill_can_be_set() -> None:
    settings = {"stop_timeout": 0.2}
    with configured_daemon(server=settings) as private, OldClient(private.socket) as client, created(client) as box:
        job = client.ask(SPAWN, (1, box), (2, b"trap '' TERM; echo up; while :; do sleep 1; done"))[1]
        with OldClient(private.socket) as reader:
            reader.socket.sendall(frame(STREAM, (1, box), (2, job)))
            reader.read()
            client.ask(STOP, (1, box))
            while 3 not in (last := dict(reader.read()[1])):
                pass
            assert last[3] == 255


def test_destroy_answers_those_who_wait_with_an_obituary(shared_daemon: PrivateDaemon, client: OldClient) -> None:
    client.ask(CREATE, (3, H))
    job = client.ask(SPAWN, (1, H), (2, b"echo up; exec sleep 1000"))[1]
    with OldClient(shared_daemon.socket) as linker, OldClient(shared_daemon.socket) as streamer:
        linker.socket.sendall(frame(LINK, (1, H), (2, job)))
        streamer.socket.sendall(frame(STREAM, (1, H), (2, job)))
        assert streamer.read() == (STREAM, [(1, b"stdout"), (2, b"up\n")])
        wait_until_read(linker.socket)
        client.ask(DESTROY, (1, H))
        for kind, one in ((LINK, linker), (STREAM, streamer)):
            answered, found = one.read()
            fields: dict[int, Any] = dict(original(found))
            assert (answered, fields[1 if kind == LINK else 3]) == (kind, 255)
            assert dict(fields_of(fields[4]))[10] == b"active"
    assert client.text(DESTROY, (1, H)) == b"unknown handle"


# ---- §4 jobs


def test_a_script_is_bash_s_standard_input(client: OldClient, box: bytes) -> None:
    assert client.run(box, b'echo "$0 $-"; read line; echo "got $line"\neaten\nexit 3')[:2] == (
        3,
        b"/bin/bash hBs\ngot eaten\n",
    )
    assert client.run(box, b"id -un; pwd; umask; ps -o sid= -p $$ | tr -d ' '; echo $$")[1].split()[:3] == [
        b"vcap",
        b"/home/vcap",
        b"0022",
    ]
    assert client.run(box, b"id -un", (3, 1))[1] == b"root\n"


def test_the_environment_is_exact(client: OldClient, box: bytes) -> None:
    lang = os.environ.get("LANG", "en_US.UTF-8").encode()
    for more, user, home, path in (
        ((), b"vcap", b"/home/vcap", b"/bin:/usr/bin"),
        (((3, 1),), b"root", b"/root", b"/sbin:/bin:/usr/sbin:/usr/bin"),
    ):
        found = dict(line.split(b"=", 1) for line in client.run(box, b"env", *more)[1].splitlines())
        wanted = {b"HOME": home, b"USER": user, b"PATH": path, b"LANG": lang}
        assert {name: found.get(name) for name in wanted} == wanted
        assert set(found) - set(wanted) == {b"PWD", b"SHLVL", b"_"}


def test_rlimits_are_the_request_s_and_stay_with_it(client: OldClient, box: bytes) -> None:
    usual = client.run(box, b"ulimit -n; ulimit -u; ulimit -c; ulimit -s; ulimit -l; ulimit -q; ulimit -i; ulimit -r")
    assert usual[1].split() == [b"1024", b"1024", b"0", b"8192", b"64", b"819200", b"1024", b"0"]
    limits = message((10, 77), (15, 1 << 20))
    assert client.run(box, b"ulimit -n; ulimit -s", (4, limits))[1].split() == [b"77", b"1024"]
    assert client.run(box, b"ulimit -n; ulimit -s")[1].split() == [b"1024", b"8192"]


def test_exit_statuses(client: OldClient, box: bytes) -> None:
    assert client.run(box, b"exit 42")[0] == 42
    assert client.run(box, b"kill -9 $$")[0] == 255
    assert client.run(box, b"kill -TERM $$")[0] == 255


def test_bytes_are_bytes(client: OldClient, box: bytes) -> None:
    assert client.run(box, rb"printf '\377\0\376'; printf '\200' >&2") == (0, b"\377\0\376", b"\200")
    status, out, _ = client.run(box, b"head -c 100000 /dev/urandom | tee /tmp/r; sha256sum /tmp/r | cut -c-64 >&2")
    assert (status, len(out)) == (0, 100000)


def test_output_is_limited_over_both_streams() -> None:
    settings = {"job_output_limit": 1000}
    with configured_daemon(server=settings) as private, OldClient(private.socket) as client, created(client) as box:
        assert client.run(box, b"head -c 500 /dev/zero; head -c 500 /dev/zero >&2")[0] == 0
        status, out, err = client.run(box, b"head -c 501 /dev/zero; head -c 500 /dev/zero >&2; sleep 1000")
        assert (status, len(out) + len(err)) == (255, 1000)
        assert client.ask(INFO, (1, box))[20] == b"command exceeded maximum output"
        assert client.run(box, b"yes | head -c 100000; exit 5", (5, 1)) == (5, b"", b"")  # discard_output


def test_a_discarded_job_streams_its_end_alone(client: OldClient, box: bytes) -> None:
    job = client.ask(SPAWN, (1, box), (2, b"echo much; exit 6"), (5, 1))[1]
    kind, found = client.call(STREAM, (1, box), (2, job))
    assert (kind, [tag for tag, _ in original(found)], dict(found)[3]) == (STREAM, [3, 4], 6)


def test_all_who_wait_get_all_and_then_the_job_is_gone(
    shared_daemon: PrivateDaemon, client: OldClient, box: bytes
) -> None:
    script = b"echo out; echo err >&2; until [ -e /tmp/go ]; do sleep 0.01; done; exit 9"
    job = client.ask(SPAWN, (1, box), (2, script))[1]
    linkers = [OldClient(shared_daemon.socket) for _ in range(3)]
    streamers = [OldClient(shared_daemon.socket) for _ in range(3)]
    for kind, ones in ((LINK, linkers), (STREAM, streamers)):
        for one in ones:
            one.socket.sendall(frame(kind, (1, box), (2, job)))
    for one in streamers:
        got = [dict(one.read()[1]) for _ in range(2)]
        assert sorted((piece[1], piece[2]) for piece in got) == [(b"stderr", b"err\n"), (b"stdout", b"out\n")]
    for one in linkers:
        wait_until_read(one.socket)
    assert client.run(box, b"touch /tmp/go", (3, 1))[0] == 0
    for one in linkers:
        found = dict(one.read()[1])
        assert (found[1], found[2], found[3]) == (9, b"out\n", b"err\n")
    for one in streamers:
        assert dict(one.read()[1])[3] == 9
    for one in (*linkers, *streamers):
        one.close()
    for kind in (LINK, STREAM):
        assert client.text(kind, (1, box), (2, job)) == b"no such job"


def test_a_linker_that_went_collects_the_job_and_a_streamer_leaves_it(
    shared_daemon: PrivateDaemon, client: OldClient, box: bytes
) -> None:
    script = b"echo first; until [ -e /tmp/go ]; do sleep 0.01; done; echo last"
    linked, streamed = (client.ask(SPAWN, (1, box), (2, script))[1] for _ in range(2))
    with OldClient(shared_daemon.socket) as linker, OldClient(shared_daemon.socket) as streamer:
        linker.socket.sendall(frame(LINK, (1, box), (2, linked)))
        streamer.socket.sendall(frame(STREAM, (1, box), (2, streamed)))
        streamer.read()
        wait_until_read(linker.socket)
    assert client.run(box, b"touch /tmp/go", (3, 1))[0] == 0
    assert client.ask(LINK, (1, box), (2, streamed))[2] == b"first\nlast\n"
    wait_until(lambda: client.call(LINK, (1, box), (2, linked))[0] == ERROR)


def test_job_ids_count_up_over_all_containers_and_restarts(daemon: PrivateDaemon) -> None:
    with OldClient(daemon.socket) as client:
        client.ask(CREATE, (3, b"a"))
        client.ask(CREATE, (3, b"b"))
        ids = [client.ask(SPAWN, (1, handle), (2, b"sleep 1000"))[1] for handle in (b"a", b"b", b"a")]
        assert ids == [1, 2, 3]
    daemon.kill()
    daemon.start()
    with OldClient(daemon.socket) as client:
        assert client.ask(SPAWN, (1, b"b"), (2, b"true"))[1] == 4


# ---- §5 limits


def test_limits_answer_what_is_in_force(client: OldClient, box: bytes) -> None:
    assert client.ask(LIMIT_MEMORY, (1, box)) == {1: 9223372036854771712}
    assert client.ask(LIMIT_MEMORY, (1, box), (2, (64 << 20) + 1)) == {1: 64 << 20}
    assert client.ask(LIMIT_MEMORY, (1, box)) == {1: 64 << 20}
    assert client.ask(LIMIT_CPU, (1, box)) == {1: 1024}
    assert client.ask(LIMIT_CPU, (1, box), (2, 1)) == {1: 2}
    assert client.ask(LIMIT_CPU, (1, box), (2, 1 << 20)) == {1: 262144}
    assert client.ask(LIMIT_BANDWIDTH, (1, box), (2, 1 << 20), (3, 1 << 16)) == {1: 1 << 20, 2: 1 << 16}
    stat = dict(fields_of(client.ask(INFO, (1, box))[43]))
    assert (stat[1], stat[3]) == (1 << 20, 1 << 20)
    assert (stat[2], stat[4]) == (1 << 16, 1 << 16)


def test_a_limit_that_the_kernel_refuses_has_the_original_s_text(
    shared_daemon: PrivateDaemon, client: OldClient, box: bytes
) -> None:
    if not os.path.exists("/sys/fs/cgroup/memory"):
        pytest.skip("v2 takes a limit below what is in use")
    script = b"exec python3 -c 'import time; x = bytearray(64 << 20); print(1, flush=True); time.sleep(1000)'"
    job = client.ask(SPAWN, (1, box), (2, script))[1]
    with OldClient(shared_daemon.socket) as reader:
        reader.socket.sendall(frame(STREAM, (1, box), (2, job)))
        reader.read()
    text = client.text(LIMIT_MEMORY, (1, box), (2, 8 << 20))
    assert text.startswith(b"Failed setting memory limit: Device or resource busy")
    assert client.ask(LIMIT_MEMORY, (1, box)) == {1: 9223372036854771712}


def test_out_of_memory_stops_the_container_and_says_so(client: OldClient, box: bytes) -> None:
    client.ask(LIMIT_MEMORY, (1, box), (2, 32 << 20))
    job = client.ask(SPAWN, (1, box), (2, b"exec python3 -c 'bytearray(1 << 28)'"))[1]
    assert client.ask(LINK, (1, box), (2, job))[1] == 255
    wait_until(lambda: client.ask(INFO, (1, box))[10] == b"stopped")
    assert client.ask(INFO, (1, box))[20] == b"out of memory"


# ---- §6 network


def test_net_in_answers_both_ports(client: OldClient, box: bytes) -> None:
    first = client.ask(NET_IN, (1, box))
    assert first[1] == first[2]
    assert client.ask(NET_IN, (1, box), (2, 8080))[2] == 8080
    assert client.ask(NET_IN, (1, box), (3, 40001)) == {1: 40001, 2: 40001}
    assert client.ask(NET_IN, (1, box), (3, 40002), (2, 80)) == {1: 40002, 2: 80}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], b"Please specify network, port, and/or port_range."),
        ([(5, 2)], b"Please specify network, port, and/or port_range."),
        ([(5, 3)], b"Please specify network, port, and/or port_range."),
        ([(4, b"9:9")], b"Port range maximum must be greater than minimum"),
        ([(4, b"9:8"), (2, b"10.0.0.1")], b"Port range maximum must be greater than minimum"),
    ],
)
def test_net_out_s_own_texts(client: OldClient, box: bytes, fields: Fields, text: bytes) -> None:
    assert client.text(NET_OUT, (1, box), *fields).startswith(text)


@pytest.mark.parametrize(
    "fields",
    [
        [(2, b"10.1.2.3")],
        [(2, b"10.1.2.0/24"), (3, 80)],
        [(2, b"10.1.2.3-10.1.2.9"), (4, b"80:90"), (5, 1)],
        [(3, 53), (5, 1), (8, 1)],
        [(2, b"10.1.2.3"), (5, 2), (6, 8), (7, 0)],
        [(2, b"10.1.2.3"), (5, 2), (6, (1 << 64) - 1), (7, (1 << 64) - 1)],  # -1: any
        [(2, b"10.1.2.3"), (5, 3)],
        [(2, b"10.1.2.3"), (5, 99), (3, 80)],  # an unknown protocol is TCP
    ],
)
def test_net_out_takes_every_form(client: OldClient, box: bytes, fields: Fields) -> None:
    assert client.ask(NET_OUT, (1, box), *fields) == {}


def test_names_are_the_host_s_or_the_configured(client: OldClient, box: bytes) -> None:
    inside = client.run(box, b"cat /etc/resolv.conf")[1]
    host = Path("/etc/resolv.conf").read_bytes()
    if host.strip() == b"nameserver 127.0.0.1":
        host = b"nameserver " + client.ask(INFO, (1, box))[30] + b"\n"
    assert inside == host
    servers = {"dns_servers": ["192.0.2.1", "192.0.2.2"], "mtu": 1400}
    with configured_daemon(network=servers) as private, OldClient(private.socket) as other, created(other):
        assert other.run(H, b"cat /etc/resolv.conf")[1] == b"nameserver 192.0.2.1\nnameserver 192.0.2.2\n"
        link = other.ask(INFO, (1, H))[32].decode().rpartition("/")[2]
        assert _mtu(f"w-{link}-0") == 1400


def _mtu(name: str) -> int:
    with socket.socket() as any_socket:  # netdevice(7): struct ifreq, the name and a number
        found = fcntl.ioctl(any_socket, 0x8921, struct.pack("16si12x", name.encode(), 0))
    return int(struct.unpack("16si12x", found)[1])


# ---- §8 and §9


def test_the_record_is_the_original_s(client: OldClient, box: bytes) -> None:
    client.ask(LIMIT_MEMORY, (1, box), (2, 64 << 20))
    client.ask(LIMIT_CPU, (1, box), (2, 512))
    pair = client.ask(NET_IN, (1, box), (3, 40011), (2, 81))
    client.ask(NET_OUT, (1, box), (2, b"10.1.2.3"), (4, b"80:90"), (5, 1))
    info = client.ask(INFO, (1, box))
    path = Path(info[32].decode(), "snapshot.json")
    assert path.stat().st_mode & 0o777 == 0o600
    found = json.loads(path.read_text())
    assert set(found) >= {"events", "jobs", "limits", "grace_time", "resources", "state"}
    assert (found["state"], found["limits"], found["events"], found["grace_time"]) == ("active", {}, [], None)
    resources = found["resources"]
    assert (resources["handle"], resources["ports"], resources["limit_memory"], resources["limit_cpu"]) == (
        H.decode(), [], 64 << 20, 512,
    )  # fmt: skip
    assert resources["net_in"] == [[pair[1], pair[2]]]
    assert [str(item) for item in resources["net_out"][0][:3]] == ["10.1.2.3", "80:90", "udp"]
    assert len(resources["net_out"][0]) == 6
    assert socket.inet_aton(resources["network"]) < socket.inet_aton(info[30].decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_every_connection_sees_the_end_and_containers_stay(daemon: PrivateDaemon, number: signal.Signals) -> None:
    with OldClient(daemon.socket) as idle, OldClient(daemon.socket) as client:
        client.ask(CREATE, (3, H))
        job = client.ask(SPAWN, (1, H), (2, b"echo up; exec sleep 1000"))[1]
        waiting = [OldClient(daemon.socket) for _ in range(3)]
        for one, request in zip(
            waiting,
            (frame(LINK, (1, H), (2, job)), frame(STREAM, (1, H), (2, job)), frame(RUN, (1, H), (2, b"sleep 1000"))),
            strict=True,
        ):
            one.socket.sendall(request)
        wait_until(lambda: len([1 for tag, _ in client.call(INFO, (1, H))[1] if tag == 44]) == 2)
        assert waiting[1].read()[0] == STREAM
        os.kill(daemon.pid, number)
        for one in (idle, client, *waiting):
            assert one.file.read() == b""
            one.close()
    daemon.stop()
    daemon.start()
    with OldClient(daemon.socket) as client:
        assert client.ask(INFO, (1, H))[10] == b"active"
        assert client.run(H, b"echo works")[1] == b"works\n"


def test_two_drains_are_one(daemon: PrivateDaemon) -> None:
    with OldClient(daemon.socket) as client:
        client.ask(CREATE, (3, H))
        trap = b"trap 'sleep 0.5; exit 1' TERM; echo up; while :; do sleep 0.01; done"
        job = client.ask(SPAWN, (1, H), (2, trap))[1]
        with OldClient(daemon.socket) as reader:
            reader.socket.sendall(frame(STREAM, (1, H), (2, job)))
            reader.read()
            client.socket.sendall(frame(STOP, (1, H)))
            os.kill(daemon.pid, signal.SIGUSR2)
            assert reader.file.read() == b""
            os.kill(daemon.pid, signal.SIGUSR2)
            assert client.read() == (STOP, [])
            assert client.file.read() == b""
    assert daemon.stop() == 0
    daemon.start()


def test_health(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with configured_daemon(health_check_server={"port": port}), socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(b"x")
        one.settimeout(60)
        found = b""
        while piece := one.recv(100):
            found += piece
        assert found == b"HTTP/1.1 200 OK\r\n"


def test_the_socket_s_permissions_and_pidfile(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    with configured_daemon(server={"unix_domain_permissions": 0o777, "pidfile": str(pidfile)}) as private:
        assert os.stat(private.socket).st_mode & 0o777 == 0o777
        assert int(pidfile.read_text()) == private.pid
        private.kill()
        assert pidfile.exists()
        private.start()  # the old socket and pid file are in nobody's way
        assert int(pidfile.read_text()) == private.pid
    assert not pidfile.exists()


# ---- memory


def test_the_daemon_does_not_keep_what_it_streams(daemon: PrivateDaemon) -> None:
    """What it holds is bounded, however much it is."""

    def resident() -> int:
        return int(re.findall(r"VmRSS:\s*(\d+)", Path(f"/proc/{daemon.pid}/status").read_text())[0])

    with OldClient(daemon.socket) as client, created(client) as box:
        before = resident()
        job = client.ask(SPAWN, (1, box), (2, b"head -c 10000000 /dev/zero"))[1]
        client.socket.sendall(frame(STREAM, (1, box), (2, job)))
        total = 0
        while True:
            fields = dict(client.read()[1])
            if 3 in fields:
                break
            total += len(fields[2])
        assert (total, fields[3]) == (10000000, 0)
        assert resident() - before < 8 << 10  # KiB


def test_threads_of_old_clients(shared_daemon: PrivateDaemon, box: bytes) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        with OldClient(shared_daemon.socket) as one:
            for turn in range(5):
                found = one.run(box, b"echo %d" % (number * 100 + turn))
                if found != (0, b"%d\n" % (number * 100 + turn), b""):
                    failures.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
