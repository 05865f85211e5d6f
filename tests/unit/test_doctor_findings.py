"""The doctor's findings from sample texts, and its children."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable

import pytest

from warden.kernel import disklimits, features
from warden.kernel.finding import Finding
from warden.kernel.proc import CapabilitySets, parse_mountinfo
from warden.kernel.trials import Outcome, run_trials
from warden.model.settings import DISK_BACKENDS
from warden.rootfs import disks

CGROUPS = b"#x\ncpu\t1\t1\t1\nmemory\t4\t1\t1\npids\t8\t1\t1\nfreezer\t6\t1\t1\ndevices\t5\t1\t1\n"
V1 = "".join(
    f"3{n} 27 0:3{n} / /cg/{name} rw - cgroup cgroup rw,{name}\n"
    for n, name in enumerate(["cpu", "memory", "pids", "freezer", "devices"])
)
V2 = "40 27 0:40 / /cg rw - cgroup2 cgroup2 rw\n"
ALL = (1 << 41) - 1


def by_name(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def reader(files: dict[str, bytes]) -> Callable[[str], bytes]:
    return lambda path: files.get(path, b"")


def cgroups(mounts: str, files: dict[str, bytes] | None = None) -> dict[str, Finding]:
    return by_name(features.cgroup_findings(parse_mountinfo(mounts.encode()), CGROUPS, reader(files or {})))


def test_a_legacy_layout() -> None:
    found = cgroups(V1, {"/cg/memory/memory.memsw.limit_in_bytes": b"1\n"})
    assert found["cgroup layout"].detail == "legacy (v1)"
    assert all(finding.ok and not finding.remedy for finding in found.values())
    assert found["cgroup memory"].detail == "v1 at /cg/memory"


def test_a_hybrid_layout_lacks_what_neither_has() -> None:
    found = cgroups(V1.replace("pids", "name=other") + V2, {"/cg/cgroup.controllers": b"hugetlb\n"})
    assert found["cgroup layout"].detail == "hybrid (v1, and v2 beside it), v2 has hugetlb"
    assert (found["cgroup pids"].ok, found["cgroup cpu"].ok, found["swap accounting"].ok) == (False, True, False)
    assert "swapaccount=1" in found["swap accounting"].remedy


def test_a_unified_layout_has_freezer_and_devices_built_in() -> None:
    found = cgroups(V2, {"/cg/cgroup.controllers": b"cpuset cpu io memory pids\n"})
    assert found["cgroup layout"].detail.startswith("unified (v2)")
    assert all(finding.ok for finding in found.values())


def test_no_cgroups_at_all() -> None:
    found = cgroups("")
    assert all(finding.ok is False and finding.remedy for finding in found.values())
    assert len(found) == 7


def test_missing_capabilities_say_what_they_cost() -> None:
    (fine,) = features.capability_findings(CapabilitySets(effective=ALL, bounding=ALL))
    assert fine.ok
    resource = ALL & ~(1 << 24)
    (missing,) = features.capability_findings(CapabilitySets(effective=resource, bounding=resource))
    assert missing.name == "CAP_SYS_RESOURCE"
    assert missing.ok is False
    assert "bounding" in missing.detail
    assert "rlimits" in missing.detail
    (dropped,) = features.capability_findings(CapabilitySets(effective=resource, bounding=ALL))
    assert "effective" in dropped.detail
    assert len(list(features.capability_findings(CapabilitySets()))) == len(features._COSTS)


@pytest.mark.parametrize(
    ("name", "value", "ok"),
    [
        ("user.max_user_namespaces", "0", False),
        ("user.max_user_namespaces", "9000", True),
        ("kernel.unprivileged_userns_clone", "0", None),
        ("kernel.unprivileged_userns_clone", "1", True),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", None),
        ("net.ipv4.ip_forward", "0", True),
    ],
)
def test_sysctls(name: str, value: str, ok: bool | None) -> None:
    found = by_name(features.sysctl_findings(lambda wanted: value if wanted == name else ""))
    assert found[name].ok is ok
    assert bool(found[name].remedy) is (ok is not True)


def test_a_sysctl_this_kernel_lacks_is_not_reported() -> None:
    assert set(by_name(features.sysctl_findings(lambda name: ""))) == {"net.ipv4.ip_forward"}


@pytest.mark.parametrize(
    ("mount", "projects"),
    [
        (b"1 0 8:1 / / rw - ext4 /dev/a rw,prjquota\n", True),
        (b"1 0 0:1 / / rw - btrfs /dev/a rw\n", False),
        (b"1 0 8:1 / / rw - xfs /dev/a rw,attr2,pquota\n", True),
        (b"1 0 8:1 / / rw - xfs /dev/a rw,attr2,prjquota\n", True),
        (b"1 0 8:1 / / rw - xfs /dev/a rw,attr2,usrquota\n", False),
        (b"", False),
    ],
)
def test_disk_limits_follow_the_depots_mount(mount: bytes, projects: bool) -> None:
    record = next(iter(parse_mountinfo(mount)), None)
    found = by_name(features.disk_limit_findings(record, b"", lambda program: None, lambda path: False))
    assert found["disk limit: project"].ok is projects
    assert found["disk limit: pool"].ok is False


LOOP, STAT, QUOTA = "/dev/loop-control", "/proc/fs/xfs/stat", "/proc/fs/xfs/xqm"


@pytest.mark.parametrize(
    ("files", "program", "filesystems", "ok", "word"),
    [
        ({LOOP, STAT, QUOTA}, "/m", b"\txfs\n", True, "an XFS in a file"),
        ({LOOP}, "/m", b"", None, "module"),
        ({LOOP, STAT}, "/m", b"\txfs\n", False, "no quotas"),
        ({LOOP, STAT, QUOTA}, None, b"\txfs\n", False, "mkfs.xfs"),
        ({STAT, QUOTA}, "/m", b"\txfs\n", False, "loop-control"),
    ],
)
def test_what_the_pool_needs(
    files: set[str], program: str | None, filesystems: bytes, ok: bool | None, word: str
) -> None:
    found = by_name(features.disk_limit_findings(None, filesystems, {"mkfs.xfs": program}.get, files.__contains__))
    assert found["disk limit: pool"].ok is ok
    assert word in found["disk limit: pool"].detail


@pytest.mark.parametrize(
    ("mount", "groups", "programs", "filesystems", "ok", "word"),
    [
        (b"1 0 8:1 / / rw - ext4 /dev/a rw,prjquota\n", False, "", b"", True, "takes project"),
        (b"1 0 0:1 / / rw - btrfs /dev/a rw\n", True, "", b"", True, "takes btrfs"),
        (b"1 0 0:1 / / rw - btrfs /dev/a rw\n", False, "mkfs.ext4", b"\text4\n", True, "takes loop"),
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n", False, "mkfs.xfs mkfs.ext4", b"\txfs\n\text4\n", True, "takes pool"),
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n", False, "mkfs.xfs", b"", None, "may take pool"),
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n", False, "", b"\text4\n", False, "nothing"),
    ],
)
def test_what_auto_takes(
    mount: bytes, groups: bool, programs: str, filesystems: bytes, ok: bool | None, word: str
) -> None:
    (record,) = parse_mountinfo(mount)
    found = by_name(
        features.disk_limit_findings(
            record, filesystems, lambda program: program if program in programs.split() else None, {LOOP}.__contains__,
            groups,
        )
    )  # fmt: skip
    assert found["disk limit: auto"].ok is ok
    assert word in found["disk limit: auto"].detail
    assert bool(found["disk limit: auto"].remedy) is (ok is not True)
    assert {name.removeprefix("disk limit: ") for name in found} == set(DISK_BACKENDS) - {"none"}


def test_auto_is_what_the_engine_does() -> None:
    assert disklimits.AUTO == disks.AUTO


def test_what_failed_for_want_of_root_is_not_known() -> None:
    outcomes = {"net namespace": Outcome(False, "no"), "link veth": Outcome(None, "late"), "nftables": Outcome(True)}
    as_user = by_name(features.trial_findings(outcomes, root=False))
    assert as_user["net namespace"].ok is as_user["link veth"].ok is as_user["overlay"].ok is None
    assert "root" in as_user["net namespace"].remedy
    assert as_user["nftables"] == Finding("nftables", True)
    as_root = by_name(features.trial_findings(outcomes, root=True))
    assert (as_root["net namespace"].ok, as_root["link veth"].ok) == (False, None)
    assert "modprobe veth" in as_root["link veth"].remedy


def test_the_nearest_directory_of_an_absent_depot() -> None:
    assert features.nearest_directory("/proc/absent/below") == "/proc"
    assert features.nearest_directory("/") == "/"


def refuse() -> str:
    raise PermissionError(1, "no")


def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def hang() -> str:
    time.sleep(3600)
    return ""


def test_children_that_answer_refuse_fail_die_and_hang() -> None:
    before = len(os.listdir("/proc/self/fd"))
    trials = {"fine": lambda: "seen", "refused": refuse, "broken": lambda: str(1 // 0), "dead": die, "hanging": hang}
    found = run_trials(trials, 0.3)
    assert found["fine"] == Outcome(True, "seen")
    assert found["refused"] == Outcome(False, "no")
    assert found["broken"].ok is None
    assert "ZeroDivisionError" in found["broken"].detail
    assert found["dead"] == found["hanging"] == Outcome(None, "gave no answer in time")
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_every_finding_that_is_not_fine_has_a_remedy() -> None:
    findings = features.probe()
    assert len(findings) > 25
    assert len({finding.name for finding in findings}) == len(findings)
    assert [finding for finding in findings if finding.ok is not True and not finding.remedy] == []
    assert [finding for finding in findings if finding.ok is True and finding.remedy] == []
