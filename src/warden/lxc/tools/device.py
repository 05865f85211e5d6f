"""`lxc-device`: a device of the host for a running container."""

from __future__ import annotations

import sys

from warden.errors import BadInput
from warden.lxc import devicing
from warden.lxc.home import existing
from warden.lxc.networks import link_name
from warden.lxc.options import Given, Tool
from warden.lxc.place import Site
from warden.lxc.system import default_lxcpath
from warden.lxc.tools.speaking import guarded

TOOL = Tool(
    "lxc-device",
    "--name=NAME -- add|del DEV [NAME_IN_CONTAINER]",
    "lxc-device attach or detach DEV to or from container.",
    config=False,
    end="DEV is a device node, an absolute path, or the name of a network interface.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    return guarded(TOOL, given, lambda: _run(given))


def _run(given: Given) -> None:
    if len(given.rest) not in (2, 3) or given.rest[0] not in ("add", "del"):
        raise BadInput("what is to be done?", hint="add DEV [NAME] or del DEV [NAME]")
    verb, device = given.rest[:2]
    inside = given.rest[2] if len(given.rest) == 3 else device
    home = existing(given.lxcpath or default_lxcpath(), given.name)
    guest = devicing.find(Site.from_environment(), home)
    if device.startswith("/"):
        if verb == "add":
            devicing.add_node(guest, device, inside)
        else:
            devicing.remove_node(guest, inside)
        return
    link_name(device)
    link_name(inside)
    if verb == "del":
        devicing.remove_interface(guest, inside, device)
    elif devicing.is_interface(device):
        devicing.add_interface(guest, device, inside)
    else:
        raise BadInput(f"{device} is neither an absolute path nor an interface", hint="/dev/NAME, or see ip link")


if __name__ == "__main__":
    sys.exit(main())
