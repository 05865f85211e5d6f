"""Hierarchies found in texts of /proc/self/mountinfo."""

from __future__ import annotations

from warden.cgroup.jobio import blkio_root
from warden.cgroup.layout import Layout, detect

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def v1(options: str, point: str | None = None, root: str = "/", mount_options: str = "rw") -> str:
    return f"32 31 0:29 {root} {point or '/sys/fs/cgroup/' + options} {mount_options} shared:9 - cgroup cgroup rw,{options}\n"


SEPARATE = "".join(v1(name) for name in ("cpu", "cpuacct", "cpuset", "memory", "freezer", "pids"))
NAMED = v1("xattr,name=systemd", "/sys/fs/cgroup/systemd")
HYBRID = SEPARATE + NAMED + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


def used(layout: Layout) -> dict[str, tuple[set[str], bool]]:
    return {h.root: (set(h.controllers), h.per_job) for h in layout.used()}


def test_pure_v2() -> None:
    layout = detect(V2, "cpuset cpu io memory pids")
    assert (layout.mode, layout.v2, layout.missing()) == ("v2", "/sys/fs/cgroup", [])
    assert used(layout) == {"/sys/fs/cgroup": ({"cpu", "io", "memory", "pids"}, True)}


def test_pure_v1_ignores_named_hierarchies() -> None:
    layout = detect(SEPARATE + NAMED)
    assert (layout.mode, layout.v2, layout.missing()) == ("v1", None, [])
    assert layout.hierarchies["memory"] == "/sys/fs/cgroup/memory"
    assert "/sys/fs/cgroup/systemd" not in layout.hierarchies.values()


def test_hybrid_uses_v2_only_for_a_controller_it_holds() -> None:
    layout = detect(HYBRID, "hugetlb")
    assert layout.mode == "hybrid"
    assert not any(hierarchy.is_v2 for hierarchy in layout.used())
    assert {root for root, (_, per_job) in used(layout).items() if per_job} == {
        "/sys/fs/cgroup/memory",
        "/sys/fs/cgroup/cpuacct",
        "/sys/fs/cgroup/freezer",
    }


def test_each_controller_is_used_where_it_lives() -> None:
    text = v1("cpu") + v1("freezer") + V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")
    layout = detect(text, "memory pids")
    assert layout.missing() == []
    assert used(layout)["/sys/fs/cgroup/unified"] == ({"memory", "pids"}, True)
    assert used(layout)["/sys/fs/cgroup/cpu"] == ({"cpu"}, False)


def test_controllers_mounted_together_are_one_hierarchy() -> None:
    layout = detect(v1("cpu,cpuacct") + v1("memory"))
    assert used(layout)["/sys/fs/cgroup/cpu,cpuacct"] == ({"cpu", "cpuacct"}, True)
    assert len(layout.used()) == 2


def test_escapes_in_paths() -> None:
    assert detect(v1("memory", r"/a\040b\134c")).hierarchies["memory"] == "/a b\\c"


def test_of_several_mounts_the_whole_writable_one_wins() -> None:
    part = v1("memory", "/part", root="/docker/1")
    read_only = v1("memory", "/ro", mount_options="ro,nosuid")
    whole = v1("memory", "/whole")
    assert detect(part + read_only + whole).hierarchies["memory"] == "/whole"
    assert detect(part + read_only).hierarchies["memory"] == "/ro"
    assert detect(part).hierarchies["memory"] == "/part"


def test_what_is_only_welcome_is_used_and_not_missed() -> None:
    assert "/sys/fs/cgroup/blkio" not in used(detect(SEPARATE + v1("blkio"))), "limits there do not reach below a group"
    assert blkio_root(detect(SEPARATE + v1("blkio"))) == "/sys/fs/cgroup/blkio"
    assert blkio_root(detect(SEPARATE + v1("blkio,devices"))) is blkio_root(detect(SEPARATE)) is None
    assert detect(SEPARATE).missing() == detect(V2, "cpu memory pids").missing() == []
    assert not any(hierarchy.is_v2 for hierarchy in detect(HYBRID, "io").used())


def test_missing_controllers_are_named() -> None:
    assert detect(v1("cpu")).missing() == ["memory", "cpuacct", "pids", "freezer"]
    assert detect(V2, "memory").missing() == ["cpu", "pids"]
    empty = detect("garbage\n1 2 0:1 / /x rw - tmpfs tmpfs rw\n")
    assert (empty.mode, empty.used()) == ("none", ())
    assert len(empty.missing()) == 5


def test_v2_controllers_without_a_v2_mount_do_not_count() -> None:
    assert detect(v1("cpu"), "memory").v2_controllers == frozenset()


def test_this_machine() -> None:
    assert detect().mode in ("v1", "hybrid", "v2", "none")
