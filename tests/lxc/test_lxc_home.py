"""Whose a container's directory is: two who make the same one, links, and directories that are nobody's container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from storage_fixtures import Store

from warden.errors import BadInput, HandleTaken, WrongState
from warden.lxc import creating, destroying
from warden.lxc.home import Home

pytestmark = [pytest.mark.root]


def test_the_slower_of_two_makers_takes_nothing_from_the_other(store: Store) -> None:
    """Between mkdir and the mark the directory is empty, and so anybody's."""
    home = Home(str(store.path), "c")
    creating.make_directory(home)
    store.create("c")
    with pytest.raises(HandleTaken), home.partial(new=True):
        raise AssertionError
    assert "Container already exists" in store.refused("create", "-n", "c", "-t", "none", "-f", str(store.config))
    assert (store.path / "c/rootfs/etc/hostname").read_text() == "c\n"
    assert home.is_settled


def test_who_comes_while_one_is_made_does_not_remove_it(store: Store) -> None:
    home = Home(str(store.path), "c")
    creating.make_directory(home)
    with home.partial(new=True):
        for words in (("create", "-n", "c", "-t", "none", "-f", str(store.config)), ("destroy", "-n", "c")):
            assert "is being made or destroyed" in store.refused(*words)
        other = Home(str(store.path), "c")
        script = "import sys; from warden.lxc.home import Home\nwith Home(*sys.argv[1:]).partial(new=True): pass"
        done = subprocess.run([sys.executable, "-c", script, other.lxcpath, "c"], capture_output=True, text=True, check=False)
        assert "HandleTaken" in done.stderr
        assert os.listdir(home.path) == ["partial"]


def test_remains_are_nobody_elses_while_they_are_removed(store: Store) -> None:
    home = Home(str(store.path), "c")
    creating.make_directory(home)
    (store.path / "c/partial").touch()
    with home.remains() as found:
        assert found
        assert "is being made or destroyed" in store.refused("create", "-n", "c", "-t", "none", "-f", str(store.config))
    with home.remains() as found:
        assert found
        destroying.remove_remains(home)
    with home.remains() as found:
        assert not found


def test_a_mark_where_a_link_leads_says_nothing(store: Store) -> None:
    elsewhere = store.root / "elsewhere"
    elsewhere.mkdir()
    for name in ("partial", "kept"):
        (elsewhere / name).touch()
    (store.path / "c").symlink_to(elsewhere)
    store.refused("create", "-n", "c", "-t", "none", "-f", str(store.config))
    store.refused("destroy", "-n", "c")
    destroying.remove_remains(Home(str(store.path), "c"))
    assert sorted(os.listdir(elsewhere)) == ["kept", "partial"]
    assert os.listdir(store.path) == []


def test_a_snapshot_that_is_a_link_goes_alone(store: Store) -> None:
    store.create("c")
    elsewhere = store.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config").touch()
    (store.path / "c/snaps").mkdir()
    (store.path / "c/snaps/snap0").symlink_to(elsewhere)
    store.ok("snapshot", "-n", "c", "-d", "ALL")
    assert os.listdir(elsewhere) == ["config"]


@pytest.mark.parametrize("path", [Path("/"), Path.home().parent if Path.home() != Path("/root") else Path("/")])
def test_a_directory_of_the_host_is_no_container(path: Path) -> None:
    """Asked of the function alone: a tool that is wrong about it would remove this machine."""
    with pytest.raises(BadInput, match="whatever is asked"):
        destroying.check_own(Home(str(path), Path.home().name))


def test_a_lock_of_somebody_elses_is_waited_for_by_nobody(store: Store) -> None:
    home = Home(str(store.path), "c")
    creating.make_directory(home)
    with home.partial(new=True):
        script = "import sys; from warden.lxc.home import Home; Home(*sys.argv[1:]).is_half_made"
        done = subprocess.run(
            [sys.executable, "-c", script, home.lxcpath, "c"], capture_output=True, text=True, check=False
        )
    assert WrongState.__name__ in done.stderr
