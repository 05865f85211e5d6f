"""The depot on a real file system: atomic files, jobs, the lock, and directories that go at once."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from test_depot_snapshot import PLAIN

from warden.depot.depot import SUBDIRECTORIES, ContainerDirectory, Depot, JobRecord
from warden.errors import EngineFault, KernelRefused
from warden.model.info import State
from warden.rootfs.disk import Layer, make_layer


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    locked = Depot(str(tmp_path / "depot"))
    locked.lock()
    return locked


@pytest.fixture
def box(depot: Depot) -> ContainerDirectory:
    return made(depot, "box1")


def made(depot: Depot, name: str) -> ContainerDirectory:
    directory = depot.directory(name)
    directory.claim()
    directory.fill()
    return directory


def names(path: str) -> set[str]:
    return set(os.listdir(path))


def test_a_container_s_directory_has_its_parts(box: ContainerDirectory) -> None:
    assert box.name == "box1"
    found = {os.path.relpath(top, box.path) for top, _, _ in os.walk(box.path)} - {"."}
    assert found == set(SUBDIRECTORIES)
    assert stat.S_IMODE(os.stat(box.path).st_mode) == 0o711
    assert stat.S_IMODE(os.stat(box / "run").st_mode) == 0o700


def test_the_overlay_s_directories_belong_to_the_mapped_root(box: ContainerDirectory) -> None:
    make_layer(Layer(box.path, owner=os.getuid()))
    assert os.stat(box / "upper").st_uid == os.stat(box / "work").st_gid == os.getuid()


def test_a_directory_is_claimed_once(box: ContainerDirectory) -> None:
    with pytest.raises(FileExistsError):
        box.claim()


def test_a_snapshot_is_replaced_as_a_whole(box: ContainerDirectory) -> None:
    assert box.read_snapshot() is None
    box.write_snapshot(PLAIN)
    with open(box / "snapshot.json") as before:
        box.write_snapshot(PLAIN.with_state(State.STOPPED))
        assert '"active"' in before.read()  # who had it open reads the old one to its end
    assert box.read_snapshot() == PLAIN.with_state(State.STOPPED)
    assert names(box.path) == {"snapshot.json", "mnt", "jobs", "run"}


def test_a_half_written_snapshot_is_none(box: ContainerDirectory) -> None:
    Path(box / "snapshot.json.new").write_text('{"half')
    assert box.read_snapshot() is None


def test_a_dropped_snapshot_is_gone_and_dropping_twice_is_fine(box: ContainerDirectory) -> None:
    box.write_snapshot(PLAIN)
    box.drop_snapshot()
    box.drop_snapshot()
    assert box.read_snapshot() is None


def test_a_damaged_snapshot_is_told(box: ContainerDirectory) -> None:
    Path(box / "snapshot.json").write_bytes(b"\xff{")
    with pytest.raises(EngineFault, match=r"^snapshot: not readable"):
        box.read_snapshot()


def test_jobs_are_what_is_on_disk(box: ContainerDirectory) -> None:
    for number in (10, 9):
        assert box.add_job(number, {"command": "\udcff", "n": number}) == box.job_path(number)
    box.end_job(9, {"exit_status": 3})
    assert box.jobs() == [
        JobRecord(9, {"command": "\udcff", "n": 9}, {"exit_status": 3}),
        JobRecord(10, {"command": "\udcff", "n": 10}, None),
    ]
    assert stat.S_IMODE(os.stat(box.job_path(9)).st_mode) == 0o700


def test_a_job_number_is_used_once(box: ContainerDirectory) -> None:
    box.add_job(1, {})
    with pytest.raises(FileExistsError):
        box.add_job(1, {})


def test_a_dropped_job_takes_its_output_along_and_dropping_twice_is_fine(box: ContainerDirectory) -> None:
    path = box.add_job(1, {})
    Path(path, "stdout").write_bytes(b"x")
    box.drop_job(1)
    box.drop_job(1)
    assert box.jobs() == []
    assert not os.path.exists(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\0"])
def test_a_job_that_cannot_be_read_is_left_out(box: ContainerDirectory, text: str) -> None:
    box.add_job(1, {"good": True})
    Path(box.add_job(2, {}), "job.json").write_text(text)
    Path(box.job_path(1), "result.json").write_text(text)
    os.mkdir(box / "jobs/notes")
    assert box.jobs() == [JobRecord(1, {"good": True}, None)]
    assert box.job_ids() == [1, 2]  # its number stays taken


def test_one_engine_holds_a_depot(depot: Depot) -> None:
    other = Depot(depot.path)
    with pytest.raises(EngineFault, match=r"another engine holds it \(stop the other wardend"):
        other.lock()
    depot.unlock()
    depot.unlock()
    other.lock()
    with pytest.raises(EngineFault):
        depot.lock()
    other.unlock()


def test_the_lock_is_not_inherited(depot: Depot) -> None:
    assert not os.get_inheritable(depot._lock_fd)


def test_a_failed_lock_leaves_no_descriptor(depot: Depot) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(EngineFault):
        Depot(depot.path).lock()
    assert os.listdir("/proc/self/fd") == before


def test_a_depot_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KernelRefused, match="the depot must be a directory of root"):
        Depot(str(tmp_path / "file")).lock()


def test_directories_are_those_of_containers(depot: Depot, box: ContainerDirectory) -> None:
    made(depot, "a")
    Path(depot.path, "file").touch()
    os.symlink(box.path, f"{depot.path}/link")
    assert [found.name for found in depot.directories()] == ["a", "box1"]


def fill(directory: ContainerDirectory) -> None:
    Path(directory / "upper/deep").mkdir(parents=True)
    Path(directory / "upper/deep/file").write_text("x")
    os.symlink("/", directory / "upper/way-out")
    directory.write_snapshot(PLAIN)


def test_a_discarded_directory_is_gone_and_twice_is_fine(depot: Depot, box: ContainerDirectory) -> None:
    fill(box)
    depot.discard(box)
    depot.discard(box)
    assert names(depot.path) == {".trash", ".lock"}
    assert names(f"{depot.path}/.trash") == set()


def test_a_hidden_directory_is_no_container_and_waits_for_its_removal(depot: Depot, box: ContainerDirectory) -> None:
    fill(box)
    hidden = depot.hide(box)
    assert hidden == f"{depot.path}/.trash/box1"
    assert "snapshot.json" in names(hidden)
    assert depot.directories() == []
    assert depot.hide(box) is None


def test_what_an_earlier_engine_half_removed_is_no_obstacle(depot: Depot, box: ContainerDirectory) -> None:
    fill(ContainerDirectory(box.path))
    os.makedirs(f"{depot.path}/.trash/box1/upper/old")
    depot.discard(box)
    assert names(f"{depot.path}/.trash") == set()
    assert depot.directories() == []


def test_the_trash_is_emptied_and_is_never_a_container(depot: Depot, box: ContainerDirectory) -> None:
    fill(box)
    os.rename(box.path, f"{depot.path}/.trash/box1")
    assert depot.directories() == []
    depot.empty_trash()
    assert names(f"{depot.path}/.trash") == set()


def test_others_may_pass_through_but_not_look(depot: Depot) -> None:
    assert stat.S_IMODE(os.stat(depot.path).st_mode) == 0o711
    assert stat.S_IMODE(os.stat(f"{depot.path}/.trash").st_mode) == 0o700


def test_a_snapshot_that_cannot_be_written_names_it_and_the_old_one_stays(box: ContainerDirectory) -> None:
    box.write_snapshot(PLAIN)
    os.mkdir(box / "snapshot.json.new")  # stands for a disk that refuses
    with pytest.raises(KernelRefused, match=r"^write .*/snapshot\.json: Is a directory"):
        box.write_snapshot(PLAIN.with_state(State.STOPPED))
    assert box.read_snapshot() == PLAIN
