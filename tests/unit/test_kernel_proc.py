"""Parsers of /proc on sample texts, and on the machine's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from warden.kernel.proc import (
    CAPABILITIES,
    CapabilitySets,
    CgroupController,
    CgroupMembership,
    IdRange,
    MountRecord,
    ResourceLimit,
    capability_names,
    mount_of,
    parse_capabilities,
    parse_cgroup,
    parse_cgroups,
    parse_id_map,
    parse_limits,
    parse_mountinfo,
    parse_status,
)

MOUNTINFO = rb"""27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
31 27 0:28 / /sys/fs/cgroup ro,nosuid shared:9 master:1 - tmpfs tmpfs rw,mode=755
40 27 0:50 /a\040b /mnt/with\040blank\134\011x rw shared:2 - overlay overlay rw,lowerdir=/l,upperdir=/u
41 27 0:51 / /empty rw -  none rw
"""


def test_mountinfo_is_read_with_and_without_optional_fields() -> None:
    first, second, third = parse_mountinfo(MOUNTINFO)[:3]
    assert first == MountRecord(27, 1, "254:0", "/", "/", ("rw", "relatime"), (), "ext4", "/dev/vda", ("rw", "discard"))
    assert second.propagation == ("shared:9", "master:1")
    assert second.super_options == ("rw", "mode=755")
    assert (third.root, third.target) == ("/a b", "/mnt/with blank\\\tx")


def test_mountinfo_lines_that_are_cut_are_passed_over() -> None:
    assert parse_mountinfo(b"") == []
    assert parse_mountinfo(b"27 1 254:0 / / rw,relatime\nx\n27 1 254:0 / / rw - ext4\n") == []


def test_a_target_that_is_not_utf8_survives() -> None:
    (record,) = parse_mountinfo(b"1 1 0:1 / /\xff rw - tmpfs none rw\n")
    assert os.fsencode(record.target) == b"/\xff"


def test_the_mount_of_a_path_is_the_nearest_and_the_latest() -> None:
    text = b"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /data rw - xfs b rw\n3 2 0:3 / /data rw - tmpfs c rw\n"
    records = parse_mountinfo(text)
    for path, source in (("/data/x", "c"), ("/data", "c"), ("/database", "a"), ("/", "a")):
        found = mount_of(path, records)
        assert found is not None
        assert found.source == source
    assert mount_of("/x", []) is None


def test_this_machines_mounts_hold_its_root() -> None:
    records = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
    found = mount_of("/proc/self", records)
    assert found is not None
    assert found.fstype == "proc"
    assert os.stat("/proc").st_dev == os.makedev(*map(int, found.device.split(":")))


def test_capability_sets() -> None:
    text = (
        b"Name:\tx\nCapInh:\t0000000000000001\nCapPrm:\t2\nCapEff:\t0000000000000004\nCapBnd:\t8\nCapAmb:\t10\nX:\t7\n"
    )
    assert parse_capabilities(text) == CapabilitySets(1, 2, 4, 8, 16)
    assert parse_capabilities(b"") == CapabilitySets()


def test_capability_names() -> None:
    assert capability_names(0) == ()
    assert capability_names(1 << 21 | 1) == ("CAP_CHOWN", "CAP_SYS_ADMIN")
    assert capability_names(1 << 24) == ("CAP_SYS_RESOURCE",)
    assert capability_names(1 << 40 | 1 << 60) == ("CAP_CHECKPOINT_RESTORE", "CAP_60")
    assert len(set(CAPABILITIES)) == 41


def test_cgroup_memberships() -> None:
    text = b"9:name=systemd:/a\n4:cpu,cpuacct:/x:y\n0::/user.slice\nbroken\n"
    assert parse_cgroup(text) == [
        CgroupMembership(9, ("name=systemd",), "/a"),
        CgroupMembership(4, ("cpu", "cpuacct"), "/x:y"),
        CgroupMembership(0, (), "/user.slice"),
    ]


def test_cgroup_controllers() -> None:
    text = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t10\t1\nhugetlb\t0\t1\t0\n\n"
    assert parse_cgroups(text) == [
        CgroupController("memory", 4, 10, True),
        CgroupController("hugetlb", 0, 1, False),
    ]


@pytest.mark.parametrize("name", ["cgroup", "status", "mountinfo"])
def test_this_processes_own_files_are_understood(name: str) -> None:
    parse = {"cgroup": parse_cgroup, "status": parse_capabilities, "mountinfo": parse_mountinfo}[name]
    text = Path("/proc/self", name).read_bytes()
    assert parse(text) not in ([], None)


def test_status_limits_and_id_maps() -> None:
    status = parse_status(b"Name:\ta: b\nState:\tS (sleeping)\nUid:\t0\t1\t0\t0\nno colon\n")
    assert status == {"Name": "a: b", "State": "S (sleeping)", "Uid": "0\t1\t0\t0"}
    limits = b"Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 unlimited            files     \n"
    assert parse_limits(limits) == [ResourceLimit("Max open files", 1024, None)]
    assert parse_id_map(b"         0     100000      65536\n\n") == [IdRange(0, 100000, 65536)]
    assert parse_id_map(b"") == []


def test_this_process_has_sixteen_limits_and_a_map() -> None:
    assert len(parse_limits(Path("/proc/self/limits").read_bytes())) == 16
    assert parse_id_map(Path("/proc/self/uid_map").read_bytes())
