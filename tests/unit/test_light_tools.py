"""What LXC's small tools must not import: each of these modules costs as much as a tool's own work (`light.py`, `plainjson.py`,
`kernel/sockets.py` stand in for them). No times are measured here; scripts/bench does."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = frozenset(
    "argparse asyncio collections contextlib ctypes dataclasses enum functools hashlib inspect ipaddress json logging pathlib"
    " platform re selectors shlex shutil signal socket subprocess tempfile threading traceback types typing urllib".split()
)
LOOKING = ("warden.lxc.life", "warden.lxc.starting", "warden.lxc.hooks", "warden.lxc.settings", "warden.cgroup.driver")
STARTING = (
    "warden.lxc.life",
    "warden.lxc.pidfile",
    "warden.engine.assignment",
    "warden.engine.parents",
    "warden.network.interfaces",
    "warden.network.route",
)
#: A tool, what it imports on its usual way beside its own module, and what of warden's it has no use for.
TOOLS = [
    ("autostart", (), LOOKING),
    ("cgroup", (), LOOKING),
    ("config", (), LOOKING),
    ("console", (), LOOKING),
    ("freeze", ("warden.lxc.freezing", "warden.cgroup.freezer"), LOOKING),
    ("unfreeze", ("warden.lxc.freezing", "warden.cgroup.freezer"), LOOKING),
    ("info", ("warden.lxc.inventory", "warden.kernel.procnet", "warden.lxc.usage", "warden.lxc.scripts"), LOOKING),
    ("kill", (), LOOKING),
    ("ls", (), LOOKING),
    ("monitor", (), LOOKING),
    ("stop", (), LOOKING),
    ("top", (), LOOKING),
    ("version", (), LOOKING),
    ("wait", (), LOOKING),
    ("attach", ("warden.lxc.attaching", "warden.lxc.configfile"), ("warden.lxc.life", "warden.lxc.starting")),
    ("start", STARTING, ("warden.model.resources", "warden.cgroup.limiting", "warden.model.info")),
    ("execute", ("warden.lxc.executing", *STARTING[2:]), ("warden.model.resources", "warden.cgroup.limiting")),
]


def brought(*modules: str) -> set[str]:
    """Names of what importing *modules* brings, packages by their first part too, in an interpreter without `site`."""
    imports = "\n".join(f"import {name}" for name in modules)
    code = f"import sys; sys.path[:] = {sys.path!r}; before = set(sys.modules)\n{imports}\nprint(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(("tool", "more", "unused"), TOOLS, ids=[tool for tool, _, _ in TOOLS])
def test_a_tool_imports_what_it_needs(tool: str, more: tuple[str, ...], unused: tuple[str, ...]) -> None:
    found = brought(f"warden.lxc.tools.{tool}", *more)
    assert not {name.partition(".")[0] for name in found} & HEAVY
    assert not found & set(unused)


def test_the_end_of_a_container_imports_what_it_needs() -> None:
    found = brought("warden.lxc.ended", "warden.lxc.cgroups")
    assert not {name.partition(".")[0] for name in found} & HEAVY
    assert not found & {*LOOKING, "warden.kernel.paths"}
