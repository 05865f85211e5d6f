"""Every network mode with real packets, IPv4 and IPv6, and what is left of it afterwards. Names are promises."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from netns import HOST, OUTSIDE, Namespace, World, world
from packets import arp, datagram, frame, listening, reach

from warden import errors
from warden.client.blocking import Client, Container
from warden.client.wire import Connection
from warden.model.info import State
from warden.protocol import codec
from warden.protocol import warden_pb2 as pb
from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

HOST6, OUTSIDE6, MORE6 = "2001:db8::1", "2001:db8::2", "2001:db8::3"
OPEN = ("deny_networks: []", "bridge_pool: 10.77.0.0/16", "bridge_pool6: fd77::/48")
SHORT_S = 1.0  # for what must not come


class Scene:
    """A host with a daemon, and a host outside."""

    def __init__(self, place: World, private: PrivateDaemon, client: Client) -> None:
        self.place, self.private, self.client = place, private, client

    @property
    def host(self) -> Namespace:
        return self.place.host

    @property
    def outside(self) -> Namespace:
        return self.place.outside

    def links(self) -> dict[str, dict[str, Any]]:
        return {link["ifname"]: link for link in json.loads(self.host.run("ip", "-j", "-d", "address", "show"))}

    def again(self, *, crash: bool) -> None:
        """The daemon ends, or dies, and is started again."""
        self.private.kill() if crash else self.private.stop()
        self.private.start()


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as made:
        made.host.run("ip", "address", "add", f"{HOST6}/64", "dev", "outer", "nodad")
        made.host.run("ip", "-6", "route", "add", "default", "via", OUTSIDE6)
        for address in (OUTSIDE6, MORE6):
            made.outside.run("ip", "address", "add", f"{address}/64", "dev", "outer", "nodad")
        with listening(made.outside):
            yield made


@pytest.fixture
def scene(place: World) -> Iterator[Scene]:
    private = PrivateDaemon(netns=place.host.path, network=OPEN)
    before = leaks.look(private.cgroup_parent, private.root)
    names = set(json_links(place.host))
    with private:
        made = Scene(place, private, Client(private.socket))
        try:
            yield made
        finally:
            made.client.close()
    assert not (found := leaks.leaks(before, private.cgroup_parent, private.root)), f"left behind: {found}"
    eventually(lambda: set(json_links(place.host)) <= names)
    assert private.nft_table not in place.host.run("nft", "list", "tables")


def json_links(where: Namespace) -> list[str]:
    return [link["ifname"] for link in json.loads(where.run("ip", "-j", "link", "show"))]


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def inside(container: Container) -> Namespace:
    return Namespace(f"/proc/{container.info().pid}/ns/net")


def addresses(container: Container, place: int = 0) -> list[str]:
    """Of one interface, IPv4 first."""
    return [text.partition("/")[0] for text in container.info().links[place].addresses]


@contextmanager
def containers(scene: Scene, *networks: str) -> Iterator[list[Container]]:
    with ExitStack() as stack:
        yield [stack.enter_context(scene.client.create(network=network)) for network in networks]


# ---- bridges


def test_containers_on_a_bridge_reach_each_other_and_the_outside(scene: Scene) -> None:
    scene.client.create_network("web", ipv6="auto")
    with containers(scene, "bridge:web", "bridge:web") as (one, two), listening(inside(two)):
        for own, other in zip(addresses(one), addresses(two), strict=True):
            assert reach(inside(one), other) == own
        assert reach(inside(one), OUTSIDE) == HOST
        assert reach(inside(one), OUTSIDE6) == HOST6
    scene.client.remove_network("web")


def test_a_bridge_is_made_at_its_first_use_and_goes_with_its_last_container(scene: Scene) -> None:
    with containers(scene, "bridge", "bridge") as (one, two):
        (report,) = scene.client.networks()
        assert (report.bridge.name, report.bridge.subnet4) == ("default", "10.77.0.0/24")
        assert [member.handle for member in report.members] == sorted((one.handle, two.handle))
        assert (one.info().host_ip, one.info().container_ip) == ("10.77.0.1", "10.77.0.2")
        assert one.run("cat /etc/hosts").text.splitlines()[2].split() == ["10.77.0.2", one.handle]
        one.destroy()
        assert scene.client.network("default").members[0].handle == two.handle
    eventually(lambda: not scene.client.networks() and "w-br-default" not in scene.links())


def test_an_internal_network_leads_nowhere(scene: Scene) -> None:
    scene.client.create_network("in", internal=True, ipv6="auto")
    with containers(scene, "bridge:in", "bridge:in") as (one, two), listening(inside(two)):
        assert one.info().links[0].gateways == ()
        assert [reach(inside(one), address) for address in addresses(two)] == addresses(one)
        assert reach(inside(one), OUTSIDE) == reach(inside(one), OUTSIDE6) == "no way"
        for version, gateway in (("-4", "10.77.0.1"), ("-6", "fd77::1")):
            inside(one).run("ip", version, "route", "add", "default", "via", gateway)
        assert reach(inside(one), OUTSIDE, wait_s=SHORT_S) in ("refused", "silent", "no way")
        assert reach(inside(one), OUTSIDE6, wait_s=SHORT_S) in ("refused", "silent", "no way")
    scene.client.remove_network("in")


def test_one_bridge_does_not_reach_another(scene: Scene) -> None:
    scene.client.create_network("a", ipv6="auto")
    scene.client.create_network("b", ipv6="auto")
    with containers(scene, "bridge:a", "bridge:b", "warden") as (one, two, three), listening(inside(two)):
        for address in addresses(two):
            assert reach(inside(one), address, wait_s=SHORT_S) in ("refused", "silent", "no way")
        assert reach(inside(three), addresses(two)[0], wait_s=SHORT_S) in ("refused", "silent", "no way")
    for name in ("a", "b"):
        scene.client.remove_network(name)


def test_addresses_and_macs_are_chosen_or_given_and_never_twice(scene: Scene) -> None:
    scene.client.create_network("web", subnet="10.20.0.0/29", ipv6="fd20::/64")
    given = "bridge:web,ip=10.20.0.5,ip=fd20::5,mac=02:00:00:00:00:05,name=lan,mtu=1400,alias=db"
    with containers(scene, given) as (box,):
        (link,) = box.info().links
        assert (link.name, link.addresses, link.mac) == ("lan", ("10.20.0.5/29", "fd20::5/64"), "02:00:00:00:00:05")
        shown = json.loads(inside(box).run("ip", "-j", "address", "show", "lan"))[0]
        assert (shown["address"], shown["mtu"]) == ("02:00:00:00:00:05", 1400)
        assert scene.client.network("web").members[0].aliases == ("db",)
        for options, named in (("ip=10.20.0.5", "10.20.0.5 is in use"), ("mac=02:00:00:00:00:05", "mac: 02:00")):
            with pytest.raises(errors.BadInput, match=named):
                scene.client.create(network=f"bridge:web,{options}")
        with containers(scene, *["bridge:web"] * 4) as others:
            chosen = {address for other in others for address in addresses(other)}
            assert len(chosen) == 8 and "10.20.0.5" not in chosen
            with pytest.raises(errors.PoolExhausted, match=r"10\.20\.0\.0/29"):
                scene.client.create(network="bridge:web")
    scene.client.create(network=given).destroy()
    scene.client.create(network=given).destroy()  # free at once, whatever the kernel has still to do
    scene.client.remove_network("web")


def test_several_interfaces_are_ready_at_once(scene: Scene) -> None:
    more = ["bridge:a", "bridge:b,name=back", f"macvlan:outer,ip=198.18.0.40/24,ip={MORE6}0/64"]
    with scene.client.create(network="warden", interfaces=more) as box:
        names = [link["ifname"] for link in json.loads(inside(box).run("ip", "-j", "link", "show", "up"))]
        assert names == ["lo", f"w-{box.info().id}-1", "eth0", "back", "eth2"]
        assert reach(inside(box), OUTSIDE) == "198.18.0.40", "the link in that network is the nearest"
        assert [name for name in scene.links() if name.startswith(f"w-{box.info().id}")] == [
            f"w-{box.info().id}-{end}" for end in "034"
        ]
        routes = json.loads(inside(box).run("ip", "-j", "route", "show", "default"))
        assert [route["dev"] for route in routes] == [f"w-{box.info().id}-1"]


def test_ports_and_rules_hold_on_a_bridge_too(scene: Scene) -> None:
    with scene.client.create(network="bridge", publish="18080:7", net_deny=["0.0.0.0/0"]) as box, listening(inside(box)):
        assert reach(scene.outside, HOST, 18080) == OUTSIDE
        assert reach(inside(box), OUTSIDE) == "refused"
        box.net_out(f"{OUTSIDE}/32", port=7)
        assert reach(inside(box), OUTSIDE) == HOST
        scene.again(crash=True)
        assert reach(scene.outside, HOST, 18080) == OUTSIDE
        assert reach(inside(box), OUTSIDE) == HOST


def test_a_container_does_not_tell_the_host_its_routes(scene: Scene) -> None:
    scene.client.create_network("web", ipv6="auto")
    with containers(scene, "bridge:web") as (box,):
        before = scene.host.run("ip", "-6", "route", "show", "default")
        eventually(lambda: "tentative" not in inside(box).run("ip", "-6", "address", "show", "scope", "link"))
        with inside(box).call(lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            advertisement = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
            for _ in range(3):
                sock.sendto(advertisement, ("ff02::1", 0, 0, box.info().links[0].index))
                time.sleep(0.1)
        assert scene.host.run("ip", "-6", "route", "show", "default") == before
        assert scene.host.run("sysctl", "-n", "net.ipv6.conf.w-br-web.accept_ra").strip() == "0"
    scene.client.remove_network("web")


# ---- links on links


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "passthru"])
def test_a_macvlan_is_seen_outside_as_itself(scene: Scene, mode: str) -> None:
    host = scene.host
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", holder(scene.outside))
    host.run("ip", "link", "set", "up0", "up")
    scene.outside.run("ip", "address", "add", "198.19.0.1/24", "dev", "up1")
    scene.outside.run("ip", "address", "add", "fd19::1/64", "dev", "up1", "nodad")
    scene.outside.run("ip", "link", "set", "up1", "up")
    wanted = f"macvlan:up0:{mode},ip=198.19.0.%d/24,ip=fd19::%d/64"
    try:
        with containers(scene, wanted % (2, 2)) as (one,):
            assert reach(inside(one), "198.19.0.1") == "198.19.0.2"
            assert reach(inside(one), "fd19::1") == "fd19::2"
            if mode in ("private", "bridge"):
                with containers(scene, wanted % (3, 3)) as (two,), listening(inside(two)):
                    expected = "198.19.0.2" if mode == "bridge" else "no way"
                    assert reach(inside(one), "198.19.0.3") == expected
        with containers(scene, wanted % (2, 2)):  # at once again, while the kernel still takes the old one away
            pass
    finally:
        host.run("ip", "link", "delete", "up0")


def holder(namespace: Namespace) -> str:
    return namespace.path.split("/")[2]


def lacks(scene: Scene, kind: str, *more: str) -> bool:
    try:
        scene.host.run("ip", "link", "add", "link", "outer", "name", "probe0", "type", kind, *more)
    except Exception:
        return True
    scene.host.run("ip", "link", "delete", "probe0")
    return False


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_an_ipvlan_has_an_address_of_its_own_or_the_kernel_lacks_it(scene: Scene, mode: str) -> None:
    wanted = f"ipvlan:outer:{mode},ip=198.18.0.60/24,ip={MORE6}6/64"
    if lacks(scene, "ipvlan"):
        with pytest.raises(errors.NotSupported, match="the kernel has no ipvlan"):
            scene.client.create(network=wanted)
        return
    routes = [("-4", "198.18.0.60/32", HOST), ("-6", f"{MORE6}6/128", HOST6)] if mode != "l2" else []
    for version, address, host in routes:  # in l3 nobody answers who has an address: the way to it is told
        scene.outside.run("ip", version, "route", "add", address, "via", host)
    try:
        with containers(scene, wanted) as (box,):
            assert reach(inside(box), OUTSIDE) == "198.18.0.60"
            assert reach(inside(box), OUTSIDE6) == f"{MORE6}6"
    finally:
        for version, address, host in routes:
            scene.outside.run("ip", version, "route", "delete", address, "via", host)


def test_a_vlan_reaches_its_own_network_or_the_kernel_lacks_it(scene: Scene) -> None:
    wanted = "vlan:outer:7,ip=198.19.7.2/24,ip=fd07::2/64"
    if lacks(scene, "vlan", "id", "7"):
        with pytest.raises(errors.NotSupported, match="the kernel has no vlan"):
            scene.client.create(network=wanted)
        return
    scene.outside.run("ip", "link", "add", "link", "outer", "name", "tagged", "type", "vlan", "id", "7")
    try:
        scene.outside.run("ip", "address", "add", "198.19.7.1/24", "dev", "tagged")
        scene.outside.run("ip", "address", "add", "fd07::1/64", "dev", "tagged", "nodad")
        scene.outside.run("ip", "link", "set", "tagged", "up")
        for _ in range(3):  # and again, while the kernel still takes the last one away
            with containers(scene, wanted) as (box,):
                assert reach(inside(box), "198.19.7.1") == "198.19.7.2"
                assert reach(inside(box), "fd07::1") == "fd07::2"
    finally:
        scene.outside.run("ip", "link", "delete", "tagged")


# ---- links of the host, lent


@pytest.fixture
def spare(scene: Scene) -> Iterator[str]:
    """A link of the host that nobody uses; its other end is outside."""
    scene.host.run("ip", "link", "add", "nic7", "mtu", "1450", "address", "02:00:00:00:00:70", "type", "veth",
                   "peer", "name", "nic7far", "netns", holder(scene.outside))  # fmt: skip
    scene.outside.run("ip", "address", "add", "198.19.8.1/24", "dev", "nic7far")
    scene.outside.run("ip", "link", "set", "nic7far", "up")
    yield "nic7"
    scene.host.run("ip", "link", "delete", "nic7", check=False)


def assert_back(scene: Scene) -> None:
    link = scene.links()["nic7"]
    assert (link["address"], link["mtu"]) == ("02:00:00:00:00:70", 1450)
    assert not os.listdir(f"{scene.private.depot}/.network/lent")


LENT = "phys:nic7,name=lan,ip=198.19.8.2/24,mac=02:00:00:00:00:71,mtu=1400"


@pytest.mark.usefixtures("spare")
def test_a_link_is_lent_and_given_back_as_it_was(scene: Scene) -> None:
    index = scene.links()["nic7"]["ifindex"]
    with containers(scene, LENT) as (box,):
        assert "nic7" not in scene.links()
        assert reach(inside(box), "198.19.8.1") == "198.19.8.2"
        with pytest.raises(errors.WrongState, match="nic7 is lent to another container"):
            scene.client.create(network=LENT)
    assert_back(scene)
    assert scene.links()["nic7"]["ifindex"] == index


@pytest.mark.usefixtures("spare")
@pytest.mark.parametrize("crash", [False, True])
def test_a_lent_link_comes_back_whatever_is_done_to_it(scene: Scene, crash: bool) -> None:
    box = scene.client.create("box", network=LENT)
    there = inside(box)
    for words in (
        ("ip", "link", "set", "lan", "down"),
        ("ip", "link", "set", "lan", "name", "outer", "mtu", "1300", "address", "02:00:00:00:00:72"),
        ("ip", "link", "add", "br0", "type", "bridge"),
        ("ip", "link", "set", "outer", "master", "br0"),
    ):
        there.run(*words)
    scene.again(crash=crash)
    scene.client.container("box").destroy()
    assert_back(scene)


@pytest.mark.usefixtures("spare")
def test_a_lent_link_comes_back_when_its_container_dies(scene: Scene) -> None:
    box = scene.client.create("box", network=LENT)
    os.kill(box.info().pid, signal.SIGKILL)
    eventually(lambda: box.info().state.value == "stopped")
    box.destroy()
    assert_back(scene)


@pytest.mark.usefixtures("spare")
def test_a_lent_link_comes_back_when_the_create_fails(scene: Scene) -> None:
    with pytest.raises(errors.KernelRefused, match="/etc/hostname/x"):  # a step after its link was moved
        scene.client.create(network=LENT, mounts=[(scene.private.root, "/etc/hostname/x")])
    assert_back(scene)


@pytest.mark.usefixtures("spare")
def test_a_busy_link_is_not_lent(scene: Scene) -> None:
    scene.host.run("ip", "address", "add", "198.19.9.1/24", "dev", "nic7")
    with pytest.raises(errors.WrongState, match=r"nic7 is busy: it has the address 198\.19\.9\.1/24"):
        scene.client.create(network="phys:nic7")
    with pytest.raises(errors.WrongState, match="outer is busy: the host's default route"):
        scene.client.create(network="phys:outer")


# ---- another container's network


def test_a_shared_network_is_the_same_for_both(scene: Scene) -> None:
    with containers(scene, "warden") as (owner,):
        with scene.client.create("guest", network=f"container:{owner.handle}") as guest:
            assert os.readlink(inside(owner).path) == os.readlink(inside(guest).path)
            assert guest.info().spec.network_of == owner.handle
            serve = (
                "import socket; s = socket.create_server(('', 80)); print('up', flush=True); s.accept()[0].send(b'hi')"
            )
            job = guest.spawn(["python3", "-c", serve])
            ask = "import socket; print(socket.create_connection(('127.0.0.1', 80)).recv(9).decode())"
            eventually(lambda: b"up" in b"".join(chunk.data for chunk in guest.logs(job.id)))
            assert owner.run(["python3", "-c", ask]).text == "hi\n"
            assert reach(inside(guest), OUTSIDE) == HOST
            with pytest.raises(errors.WrongState, match=f"{owner.handle}: its network is shared by guest"):
                owner.destroy()
            with pytest.raises(errors.WrongState, match="shares another's network itself"):
                scene.client.create(network="container:guest")
            with pytest.raises(errors.WrongState, match="no network of its own"):
                guest.net_in(port_of_host)
            scene.again(crash=True)
            with pytest.raises(errors.WrongState, match="shared by guest"):
                scene.client.container(owner.handle).destroy()
            scene.client.container("guest").destroy()
        scene.client.container(owner.handle).destroy()


port_of_host = 61234


def test_who_shares_a_network_has_no_rights_over_it(scene: Scene) -> None:
    with containers(scene, "warden") as (owner,), scene.client.create(network=f"container:{owner.handle}") as guest:
        device = f"w-{owner.info().id}-1"
        tried = guest.run(f"ip link set {device} down; ip address add 10.9.9.9/32 dev lo", privileged=True)
        assert tried.exit_status != 0 and b"not permitted" in tried.stderr
        raw = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"
        assert b"PermissionError" in guest.run(["python3", "-c", raw], privileged=True).stderr


def test_links_of_an_owner_that_died_do_not_stay(scene: Scene) -> None:
    owner = scene.client.create("owner")
    guest = scene.client.create("guest", network="container:owner")
    name = f"w-{owner.info().id}-0"
    scene.private.kill()
    os.kill(_init_of(scene, owner.handle), signal.SIGKILL)
    scene.private.start()
    assert scene.client.list() == ["guest"]
    assert name not in scene.links(), "nobody filters it any more"
    guest.destroy()


def _init_of(scene: Scene, handle: str) -> int:
    """From the depot, without the daemon."""
    for snapshot in Path(scene.private.depot).glob("*/snapshot.json"):
        if json.loads(snapshot.read_text())["resources"]["handle"] == handle:
            for process in Path("/proc").glob("[0-9]*/mountinfo"):
                try:
                    if f"{snapshot.parent}/upper" in process.read_text():
                        return int(process.parent.name)
                except OSError:
                    continue
    raise AssertionError(handle)


# ---- restarts


@pytest.mark.parametrize("crash", [False, True])
def test_networks_survive_the_daemon(scene: Scene, crash: bool) -> None:
    made = scene.client.create_network("web", ipv6="auto", mtu=1400)
    one = scene.client.create("one", network="bridge:web")
    two = scene.client.create("two", network="bridge")
    with listening(inside(one)):
        scene.again(crash=crash)
        assert scene.client.network("web").bridge == made.bridge
        with scene.client.create(network="bridge:web") as three:
            assert set(addresses(three)).isdisjoint(addresses(one))
            assert [reach(inside(three), address) for address in addresses(one)] == addresses(three)
            assert reach(inside(three), OUTSIDE6) == HOST6
    for handle in (one.handle, two.handle):
        scene.client.container(handle).destroy()
    scene.again(crash=crash)
    assert [report.bridge.name for report in scene.client.networks()] == ["web"]
    assert "w-br-web" in scene.links()
    scene.client.remove_network("web")


def test_what_a_crash_left_half_made_is_put_right(scene: Scene) -> None:
    scene.client.create_network("web")
    one = scene.client.create("one", network="bridge:web")
    scene.private.kill()
    scene.host.run("ip", "link", "delete", "w-br-web")
    directory = Path(scene.private.depot, ".network/bridges")
    (directory / "half.json").write_text(json.dumps({"name": "half", "subnet4": "10.78.0.0/24"}))
    (directory / "torn.json.new").write_text("{")
    scene.host.run("ip", "link", "add", "w-br-half", "type", "bridge")
    scene.private.start()
    assert [report.bridge.name for report in scene.client.networks()] == ["web"]
    assert "w-br-half" not in scene.links()
    assert sorted(os.listdir(directory)) == ["web.json"]
    with containers(scene, "bridge:web") as (two,), listening(inside(one)):
        assert reach(inside(two), addresses(one)[0]) == addresses(two)[0]
    scene.client.container("one").destroy()
    scene.client.remove_network("web")


# ---- what cannot be


@pytest.mark.parametrize(
    ("network", "error", "named"),
    [
        ("macvlan:nowhere,ip=10.0.0.2/24", errors.BadInput, "the host has no link nowhere"),
        ("phys:lo", errors.BadInput, "lo cannot be a physical's"),
        ("bridge:outer", errors.BadInput, "outer is a link of the host and no bridge"),
        ("bridge:w-br-web,ip=10.20.0.9/24", errors.BadInput, "w-br-web is the device of a network"),
        ("macvlan:outer,mtu=9000", errors.BadInput, "mtu: 9000 is not possible on outer .*1500"),
        ("bridge:web,mtu=1500", errors.BadInput, "mtu: 1500 is more than 1400"),
        ("bridge:web,ip=10.99.0.2", errors.BadInput, r"10\.99\.0\.2 is not in"),
        ("bridge:web,ip=10.20.0.1", errors.BadInput, "the network's own"),
        ("bridge:web,ip=10.20.0.9/16", errors.BadInput, "another prefix"),
        ("bridge:web,ip=fd00::9", errors.BadInput, "the network has no IPv6"),
        ("macvlan:outer,ip=10.0.0.2/24,gateway=10.0.1.1", errors.BadInput, r"gateway: 10\.0\.1\.1 is in no network"),
        ("container:nobody", errors.UnknownHandle, "unknown handle"),
    ],
)
def test_what_cannot_be_is_refused_by_name(scene: Scene, network: str, error: Any, named: str) -> None:
    scene.client.create_network("web", subnet="10.20.0.0/24", mtu=1400)
    before = scene.links()
    with pytest.raises(error, match=named):
        scene.client.create(network=network)
    assert scene.links().keys() == before.keys()
    assert scene.client.list() == []
    scene.client.remove_network("web")


def test_small_packets_are_possible_where_there_is_no_ipv6(scene: Scene) -> None:
    """Below 1,280 bytes the kernel takes IPv6 from a link, and a bridge has the least MTU of its ports."""
    scene.client.create_network("six", ipv6="auto")
    with pytest.raises(errors.BadInput, match="interface mtu: 1000 is out of range"):
        scene.client.create(network="bridge:six,mtu=1000")
    found = [item["local"] for item in scene.links()["w-br-six"]["addr_info"]]
    assert len(found) == 2 and not any(text.startswith("fe80") for text in found)
    scene.client.remove_network("six")
    scene.client.create_network("small", mtu=600)
    with containers(scene, "bridge:small", "bridge:four,mtu=500", "bridge:four") as (one, two, three):
        assert [box.info().links[0].mtu for box in (one, two)] == [600, 500]
        assert reach(inside(three), addresses(two)[0]) == "refused"
    scene.client.remove_network("small")


def test_an_interface_can_have_any_name(scene: Scene) -> None:
    request = pb.CreateRequest(interfaces=[pb.NetInterface(kind=b"bridge", parent=b"odd", name=b"e\xff\xfe")])
    with closing(Connection(scene.private.socket, 30)) as connection:
        handle = connection.call((codec.KINDS["Create"], request)).handle.decode()
    with scene.client.container(handle) as box:
        assert b"e\xff\xfe:" in box.run(["cat", "/proc/net/dev"]).stdout
        scene.again(crash=True)
        assert scene.client.container(handle).info().links[0].name.encode(errors="surrogateescape") == b"e\xff\xfe"


def test_networks_that_overlap_are_refused(scene: Scene) -> None:
    scene.host.run("ip", "route", "add", "10.30.0.0/16", "via", OUTSIDE)
    scene.host.run("ip", "-6", "route", "add", "fd30::/48", "via", OUTSIDE6)
    try:
        scene.client.create_network("web", subnet="10.20.0.0/24", ipv6="fd20::/64")
        pool = scene.private.pool
        for subnet, ipv6, named in (
            ("10.20.0.128/25", None, "is that of network web"),
            (pool, None, "is network.pool_network"),
            ("10.30.4.0/24", None, "the host has a route to"),
            ("198.18.0.0/16", None, "the host has a route to"),
            ("10.21.0.0/24", "fd20::/56", "is that of network web"),
            ("10.21.0.0/24", "fd30:0:0:1::/64", "the host has a route to"),
        ):
            with pytest.raises(errors.BadInput, match=named):
                scene.client.create_network("bad", subnet=subnet, ipv6=ipv6)
        with pytest.raises(errors.WrongState, match="it exists already"):
            scene.client.create_network("web")
        with pytest.raises(errors.UnknownNetwork):
            scene.client.remove_network("bad")
        with containers(scene, "bridge:web"), pytest.raises(errors.WrongState, match="1 containers are on it"):
            scene.client.remove_network("web")
        scene.client.remove_network("web")
    finally:
        scene.host.run("ip", "route", "delete", "10.30.0.0/16")
        scene.host.run("ip", "-6", "route", "delete", "fd30::/48")


def test_a_bridge_of_the_host_is_joined_with_addresses_that_are_given(scene: Scene) -> None:
    scene.host.run("ip", "link", "add", "hostbr", "type", "bridge")
    scene.host.run("ip", "address", "add", "10.40.0.1/24", "dev", "hostbr")
    scene.host.run("ip", "link", "set", "hostbr", "up")
    wanted = "bridge:hostbr,ip=10.40.0.%d/24,gateway=10.40.0.1"
    try:
        with containers(scene, wanted % 2, wanted % 3) as (one, two), listening(inside(two)):
            assert reach(inside(one), "10.40.0.3") == "10.40.0.2"
        assert scene.client.networks() == []
    finally:
        scene.host.run("ip", "link", "delete", "hostbr")


def frames_that_come(source: Container, target: Container, frames: dict[str, bytes], end: bytes) -> set[str]:
    """The names of those of *frames* that come from *source* to *target*, each told by its name in it; *end* comes."""
    sockets = [
        inside(one).call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        for one in (source, target)
    ]
    with closing(sockets[0]) as out, closing(sockets[1]) as into:
        out.bind(("eth0", 0))
        into.bind(("eth0", 3))
        into.settimeout(60)
        for one in (*frames.values(), end):
            out.send(one)
        found: set[str] = set()
        while b"the end" not in (data := into.recv(2048)):
            found |= {name for name in frames if name.encode() in data}
        return found


@pytest.mark.parametrize("address", [",ip=10.40.0.2/24", ""])
def test_on_a_bridge_of_the_host_nobody_passes_for_another(scene: Scene, address: str) -> None:
    """With an address from here it is held to it; without one, which is DHCP's, to its MAC."""
    scene.host.run("ip", "link", "add", "hostbr", "type", "bridge")
    scene.host.run("ip", "link", "set", "hostbr", "up")
    one, two = f"bridge:hostbr{address},mac=02:00:00:00:40:02", "bridge:hostbr,ip=10.40.0.3/24,mac=02:00:00:00:40:03"
    mac, far, false = (bytes.fromhex(f"02000000400{number}") for number in (2, 3, 9))

    def ip(source: str, text: str, from_port: int = 4242) -> bytes:
        return datagram(source, "10.40.0.3", 9, text.encode(), from_port=from_port)

    try:
        with containers(scene, one, two) as (liar, victim):
            lies = {
                "false mac": frame(far, false, 0x0800, ip("10.40.0.2", "false mac")),
                "false ip": frame(far, mac, 0x0800, ip("10.40.0.1", "false ip")),
                "dhcp": frame(far, mac, 0x0800, ip("10.40.0.2", "dhcp", 67)),
                "vlan": frame(far, mac, 0x8100, b"\0\5\x08\0" + ip("10.40.0.2", "vlan")),
                "arp": frame(far, mac, 0x0806, arp(false, "10.40.0.2", "10.40.0.3") + b"arp"),
                "arp ip": frame(far, mac, 0x0806, arp(mac, "10.40.0.1", "10.40.0.3") + b"arp ip"),
                "true": frame(far, mac, 0x0800, ip("10.40.0.2", "true")),
                "true arp": frame(far, mac, 0x0806, arp(mac, "10.40.0.2", "10.40.0.3") + b"true arp"),
            }
            honest = {"true", "true arp", "arp"} if address else {"true", "true arp", "arp", "arp ip", "false ip"}
            end = frame(far, mac, 0x0800, ip("10.40.0.2", "the end"))
            for crash in (None, True, False):
                if crash is not None:
                    scene.again(crash=crash)
                assert frames_that_come(liar, victim, lies, end) == honest
            assert scene.client.firewall_faults() == []
            with pytest.raises(errors.WrongState, match="is on hostbr, a bridge of the host: no rules hold there"):
                liar.net_out("192.0.2.1")
        eventually(lambda: "bridge" not in scene.host.run("nft", "list", "tables"))
        for more in ({"publish": "8000:80"}, {"net_deny": ["0.0.0.0/0"]}):
            with pytest.raises(errors.BadInput, match="what crosses hostbr, a bridge of the host, is not ours to rule"):
                scene.client.create(network=one, **more)
        eventually(lambda: "bridge" not in scene.host.run("nft", "list", "tables"))
    finally:
        scene.host.run("ip", "link", "delete", "hostbr")


def test_a_removed_network_is_gone_for_everybody_and_its_name_and_addresses_are_free(scene: Scene) -> None:
    """The kernel ends its device meanwhile."""
    for _ in range(5):
        scene.client.create_network("web", subnet="10.60.0.0/24")
        scene.client.remove_network("web")
        assert scene.client.networks() == []
        with pytest.raises(errors.UnknownNetwork):
            scene.client.remove_network("web")
        scene.client.create_network("other", subnet="10.60.0.0/25")
        scene.client.remove_network("other")
    scene.client.create_network("web", subnet="10.60.0.0/24")
    scene.client.remove_network("web")
    with containers(scene, "bridge:web", "bridge:web") as (one, two), listening(inside(two)):
        assert reach(inside(one), addresses(two)[0]) == addresses(one)[0]
    eventually(lambda: "w-br-web" not in scene.links() and "w-br-other" not in scene.links())
    assert scene.client.firewall_faults() == []


def test_a_removed_network_stays_so_whenever_the_daemon_dies(scene: Scene) -> None:
    for number in range(3):
        scene.client.create_network(f"web{number}", ipv6="auto")
        scene.client.remove_network(f"web{number}")
        scene.again(crash=True)
        assert scene.client.networks() == []
        assert f"w-br-web{number}" not in scene.links()
    assert not os.listdir(f"{scene.private.depot}/.network/bridges")


def test_nothing_is_left_after_200_cycles(scene: Scene) -> None:
    scene.host.run("ip", "link", "add", "nic8", "type", "veth", "peer", "name", "nic8far")
    networks = ("bridge", "bridge:web", "macvlan:outer,ip=198.18.0.50/24", "none", "phys:nic8", "warden", "host")
    before, held = scene.links(), len(os.listdir(f"/proc/{scene.private.pid}/fd"))
    rules = ruleset(scene)
    for number in range(200):
        network = networks[number % len(networks)]
        with scene.client.create(network=network) as box:
            if network == "warden":
                scene.client.create(network=f"container:{box.handle}", interfaces=()).destroy()
    eventually(lambda: scene.links().keys() == before.keys())
    eventually(lambda: not os.listdir(f"{scene.private.depot}/.network/bridges"))
    eventually(lambda: not os.listdir(f"{scene.private.depot}/.network/lent"))
    eventually(lambda: len(os.listdir(f"/proc/{scene.private.pid}/fd")) <= held + 4)
    eventually(lambda: ruleset(scene) == rules)
    assert len([name for name in os.listdir("/run/warden") if scene.private.nft_table in name]) == 1
    scene.host.run("ip", "link", "delete", "nic8")


def test_networks_that_come_and_go_leave_nothing(scene: Scene) -> None:
    """200 of them, with a container and a port on every tenth."""
    before, rules = scene.links(), ruleset(scene)
    spaces, held = namespaces(scene), len(os.listdir(f"/proc/{scene.private.pid}/fd"))
    with scene.client.create(publish="8100:80", net_allow=["10.0.0.0/8"]) as beside:
        for number in range(200):
            scene.client.create_network(f"n{number}", subnet=f"10.60.{number}.0/24", ipv6="auto")
            if number % 10 == 0:
                with scene.client.create(network=f"bridge:n{number}", publish="8101:80") as box:
                    reach(inside(box), f"10.60.{number}.77", wait_s=0.01)
            scene.client.remove_network(f"n{number}")
        assert scene.client.firewall_faults() == []
        assert beside.info().state is State.ACTIVE
    eventually(lambda: scene.links().keys() == before.keys())
    eventually(lambda: ruleset(scene) == rules)
    eventually(lambda: namespaces(scene) == spaces)
    neighbours = json.loads(scene.host.run("ip", "-j", "neighbour", "show", "nud", "all"))
    assert {one["dev"] for one in neighbours} <= before.keys()
    eventually(lambda: not os.listdir(f"{scene.private.depot}/.network/bridges"))
    eventually(lambda: len(os.listdir(f"/proc/{scene.private.pid}/fd")) <= held + 4)


def ruleset(scene: Scene) -> str:
    return "\n".join(
        scene.host.run("nft", "list", "table", *name.split()[1:])
        for name in scene.host.run("nft", "list", "tables").splitlines()
    )


def namespaces(scene: Scene) -> int:
    """Of networks, which the daemon holds."""
    found = 0
    for fd in os.listdir(f"/proc/{scene.private.pid}/fd"):
        with suppress(OSError):
            found += os.readlink(f"/proc/{scene.private.pid}/fd/{fd}").startswith("net:")
    return found
