"""`warden plan`: the steps of a container that is not made, without root and without a trace."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from warden.engine.preview import preview
from warden.errors import BadInput, PoolExhausted
from warden.model.settings import EngineSettings, Hook
from warden.model.spec import ContainerSpec, Mount, NetworkMode

NOBODY = 65534


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    return EngineSettings(depot=str(tmp_path / "depot"), images=str(tmp_path / "images"), pool_network="10.9.0.0/24")


def test_shows_where_the_container_would_go(settings: EngineSettings) -> None:
    text = preview(ContainerSpec(hostname="box"), settings)
    container_id = re.search(rf"{settings.depot}/([0-9a-v]{{11}})/mnt/root", text)
    assert container_id
    for part in (
        f"{settings.images}/host/current/rootfs", "sethostname(box)", f"w-{container_id[1]}-0", "10.9.0.1/30", "10.9.0.2/30",
        "echo '0 805306368 65536' > /proc/CHILD/uid_map", "mount --rbind -o ro,nodev /usr /usr",
    ):  # fmt: skip
        assert part in text
    assert text.split("\n")[-1].split()[1] == "serve"


def test_hooks_of_the_start_stand_where_they_run(settings: EngineSettings) -> None:
    points = ("parent_before_clone", "parent_after_clone", "child_before_pivot", "child_after_pivot")
    hooks = {
        point: (Hook(f"/opt/{point}", must_succeed=point.startswith("child")),) for point in (*points, "after_create")
    }
    lines = preview(ContainerSpec(), replace(settings, hooks=hooks)).split("\n")
    words = ("hook parent_before_clone", "clone3(", "hook parent_after_clone", "release the child",
             "hook child_before_pivot", "pivot_root(", "hook child_after_pivot", "serve")  # fmt: skip
    places = [next(number for number, line in enumerate(lines) if word in line) for word in words]
    assert places == sorted(places)
    assert places[0] + 1 == places[1] and places[4] + 1 == places[5] == places[6] - 1
    assert not any("after_create" in line for line in lines)  # no step: it runs when the container serves
    assert [line.endswith("its failure ends the create") for line in lines if "  hook " in line] == [
        False,
        False,
        True,
        True,
    ]


def test_leaves_nothing(settings: EngineSettings, tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    preview(ContainerSpec(), settings)
    assert list(tmp_path.iterdir()) == []
    assert os.listdir("/proc/self/fd") == before


def test_two_previews_are_of_the_same_networks_and_ids(settings: EngineSettings) -> None:
    """Nothing is taken from a pool for good."""
    texts = [re.sub(r"\b[0-9a-v]{11}\b", "ID", preview(ContainerSpec(hostname="box"), settings)) for _ in range(2)]
    assert texts[0] == texts[1]


def test_the_hostname_is_the_id_unless_told(settings: EngineSettings) -> None:
    assert re.search(r"sethostname\([0-9a-v]{11}\)", preview(ContainerSpec(), settings))


@pytest.mark.parametrize("mode", [NetworkMode.NONE, NetworkMode.HOST])
def test_without_a_network_of_its_own(settings: EngineSettings, mode: NetworkMode) -> None:
    text = preview(ContainerSpec(network=mode), settings)
    assert "veth" not in text and "10.9.0" not in text
    assert ("CLONE_NEWNET" in text) is ("ip link set lo up" in text) is (mode is NetworkMode.NONE)


@pytest.mark.parametrize("by", ["spec", "settings"])
def test_without_a_user_namespace(tmp_path: Path, by: str) -> None:
    settings = EngineSettings(depot=str(tmp_path), images=str(tmp_path), user_namespace=by != "settings")
    text = preview(ContainerSpec(user_namespace=by != "spec"), settings)
    assert "uid_map" not in text and "idmap" not in text and "CLONE_NEWUSER" not in text
    assert "remount,bind,ro /proc/sys" in text


def test_a_directory_as_image(settings: EngineSettings) -> None:
    text = preview(ContainerSpec(rootfs="/srv/root fs"), settings)
    assert "/srv/root fs" in text
    assert "/usr" not in text


def test_mounts_are_looked_at(settings: EngineSettings, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").touch()
    mounts = (Mount(str(tmp_path / "data"), "/data", read_only=False), Mount(str(tmp_path / "file"), "/etc/conf"))
    text = preview(ContainerSpec(mounts=mounts), settings)
    assert f"mount --bind -o nodev,idmap {tmp_path}/data /data" in text
    assert "mkdir -p -m 0755 /data" in text
    assert "touch /etc/conf" in text


def test_a_mount_of_nothing_is_refused_in_warden_s_words(settings: EngineSettings) -> None:
    with pytest.raises(BadInput, match=r"^Source path for bind mount does not exist: /no/such$"):
        preview(ContainerSpec(mounts=(Mount("/no/such", "/x"),)), settings)


def test_no_network_is_left(settings: EngineSettings, tmp_path: Path) -> None:
    with pytest.raises(PoolExhausted, match=r"^Could not acquire network"):
        preview(ContainerSpec(), EngineSettings(depot=str(tmp_path), pool_network="10.9.0.0/31"))


def test_needs_no_root(settings: EngineSettings) -> None:
    """In a process of nobody, where the tests run as root."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(write, preview(ContainerSpec(), settings)[-200:].encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        os._exit(0)
    os.close(write)
    with open(read) as told:
        text = told.read()
    os.waitpid(child, 0)
    assert text.split("\n")[-1].split()[1:2] == ["serve"], text
