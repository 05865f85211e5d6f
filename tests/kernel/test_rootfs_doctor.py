"""The doctor as root: it tries for real, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from warden.kernel import features

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


#: Prints what a careless probe would have changed; run in namespaces where nobody else changes anything.
COMPARE = """
import os, socket, sys
from pathlib import Path
from warden.kernel import features

def state(depot):
    return {
        "mounts": Path("/proc/self/mountinfo").read_bytes(),
        "links": socket.if_nameindex(),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_bytes(),
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")},
        "depot": sorted(map(str, Path(depot).parent.rglob("*"))),
    }

before = state(sys.argv[1])
found = features.probe(sys.argv[1])
after = state(sys.argv[1])
print(len(found), [name for name in before if before[name] != after[name]])
"""


def python(program: str, *words: str, before: tuple[str, ...] = ()) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*before, sys.executable, "-c", program, *words]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=True).stdout


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "depot").mkdir()
    answer = python(COMPARE, str(tmp_path / "depot" / "containers"), before=("unshare", "--mount", "--net"))
    count, changed = answer.strip().split(" ", 1)
    assert int(count) > 25
    assert changed == "[]"


def test_overlay_and_idmapped_mounts_are_really_tried(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in features.probe(str(tmp_path))}
    assert found["mnt namespace"].ok
    assert found["overlay"].ok in (True, False)
    read_only = {finding.name: finding for finding in features.probe("/proc/sys")}
    assert read_only["overlay"].ok is None


def test_a_user_without_rights_gets_a_report(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from warden.kernel import features\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for finding in features.probe(): print(finding.ok, finding.name, sep='|')\n"
    )
    found = dict(line.split("|")[::-1] for line in python(program).splitlines())
    assert found["overlay"] == found["net namespace"] == "None"
    assert found["CAP_SYS_ADMIN"] == "False"
    assert found["openat2"] == "True"
