"""Plans made from fixed inputs, for the golden files of tests/unit/plans and for the tests of the encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network

from warden.model.job import JobSpec
from warden.model.spec import ContainerSpec, NetworkMode
from warden.network.links import LOOPBACK as LOOPBACK_PART
from warden.network.links import Attachment, batch_of
from warden.plan.container import Batch, Bind, IdMap, Placement, Shared, container_plan
from warden.plan.job import JobPlace, Person, job_plan
from warden.plan.mounting import Tmpfs
from warden.plan.program import Point, Program, guest_program, host_program
from warden.plan.steps import Plan

LINK = Attachment("18jn0aqmdbo", IPv4Network("10.254.0.4/30"), 1500)
HOST, INSIDE = (Batch(b.messages, b.text) for b in (batch_of(LINK.host_part()), batch_of(LOOPBACK_PART, LINK.container_part())))
LOOPBACK = Batch(*(getattr(batch_of(LOOPBACK_PART), name) for name in ("messages", "text")))
PLACE = Placement(
    directory="/depot/18jn0aqmdbo",
    lower="/images/host/1/rootfs",
    hostname="box",
    id_base=0x3001_0000,
    binds=(Bind("/usr", "/usr", True, id_map=IdMap.NONE),),
    joins=("/sys/fs/cgroup/memory/warden/wshd/tasks", "/sys/fs/cgroup/cpu/warden/wshd/tasks"),
    host_network=HOST,
    container_network=INSIDE,
)
LENT = (
    Bind("/srv/data", "/data", True, True, IdMap.WELCOME),
    Bind("/srv/cache", "/cache", False, True, IdMap.NEEDED),
    Bind("/etc/hostname", "/etc/host name", True, False, IdMap.WELCOME),
    Bind("/srv/state.db", "/state.db", False, False, IdMap.NEEDED),
)
MADE = (
    Bind("/volumes/data/data", "/data", False),
    Tmpfs("/tmp", ("size=64m", "mode=0700", "uid=7", "exec"), read_only=True),
    Tmpfs("/scratch", ("size=50%", "nr_inodes=1k", "dev", "suid", "nosuid")),
)
VCAP = Person("vcap", 10000, 10000, "/home/vcap")
ROOT = Person("root", 0, 0, "/root")
JOB_PLACE = JobPlace(VCAP, "/bin/bash", 2, {"nofile": 4096}, "C.UTF-8", b"\6\0\0\0\0\0\377\177")
GIVEN = (b'{"pid": ', b"}")
HOOKS = {
    Point.PARENT_BEFORE_CLONE: (
        Program("hook parent_before_clone /opt/check", host_program(("/opt/check", "-v"), {"PATH": "/bin"}), GIVEN),
    ),
    Point.PARENT_AFTER_CLONE: (
        Program("hook parent_after_clone /opt/tell", host_program(("/opt/tell",), {}), GIVEN, "WARDEN_PID", 2.5, True),
        Program("hook parent_after_clone /opt/more", host_program(("/opt/more",), {})),
    ),
    Point.CHILD_BEFORE_PIVOT: (Program("hook child_before_pivot /opt/mount", host_program(("/opt/mount",), {})),),
    Point.CHILD_AFTER_PIVOT: (
        Program("hook child_after_pivot /etc/start", guest_program(("/etc/start",), {"A": "b"}, JOB_PLACE)),
    ),
}


def unconnected() -> Placement:
    return replace(PLACE, host_network=None, container_network=LOOPBACK)


SAMPLES: dict[str, Callable[[], Plan]] = {
    "container": lambda: container_plan(ContainerSpec(), PLACE),
    "container-cgroup-v2": lambda: container_plan(
        ContainerSpec(), replace(PLACE, joins=(), into="/sys/fs/cgroup/warden/wshd")
    ),
    "container-no-network": lambda: container_plan(ContainerSpec(network=NetworkMode.NONE), unconnected()),
    "container-host-network": lambda: container_plan(ContainerSpec(network=NetworkMode.HOST), unconnected()),
    "container-shared-network": lambda: container_plan(
        ContainerSpec(network=NetworkMode.CONTAINER, network_of="box"),
        replace(unconnected(), shared=Shared("/proc/77/fd/9", "/proc/77/ns/net")),
    ),
    "container-no-user-namespace": lambda: container_plan(
        ContainerSpec(user_namespace=False), replace(PLACE, id_base=None)
    ),
    "container-hooks": lambda: container_plan(ContainerSpec(), replace(PLACE, programs=HOOKS)),
    "container-mounts": lambda: container_plan(ContainerSpec(), replace(PLACE, binds=(*PLACE.binds, *LENT))),
    "container-read-only": lambda: container_plan(
        ContainerSpec(read_only=True, shm_size=1 << 20), replace(PLACE, binds=(*PLACE.binds, *MADE))
    ),
    "container-mounts-no-user-namespace": lambda: container_plan(
        ContainerSpec(user_namespace=False), replace(PLACE, id_base=None, binds=(*PLACE.binds, *LENT))
    ),
    "job-script-vcap": lambda: job_plan(JobSpec(script=b"echo hello"), JOB_PLACE),
    "job-argv-root": lambda: job_plan(
        JobSpec(
            argv=("make", "-C", "/src dir", "all"),
            privileged=True,
            env=(("LANG", "de_DE.UTF-8"), ("MAKEFLAGS", "-j2")),
            cwd="/src dir",
            rlimits={"core": 1 << 20, "nofile": 64},
        ),
        replace(JOB_PLACE, person=ROOT),
    ),
    "job-terminal-no-filter": lambda: job_plan(
        JobSpec(argv=("vi",), tty=True), replace(JOB_PLACE, seccomp=b"", cgroup_descriptors=0)
    ),
}
