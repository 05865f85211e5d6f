"""Programs beside a network interface: lxc.net.N.script.up and .down, what they are told and when they are left out."""

from __future__ import annotations

import errno

from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING, suppress
from warden.lxc.place import own
from warden.plainjson import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from warden.lxc.hooks import Scene
    from warden.lxc.networks import Net
    from warden.model.interfaces import Link


def run_scripts(scene: Scene, which: str, hosts: Sequence[str], more: Mapping[str, str]) -> None:
    """*which*: "up" or "down"; *hosts*: the host's end of every interface that has a type of its own, "" for none. Raises
    HookFailed for the first that fails."""
    from warden.lxc.hooks import run_program  # who only looks which links there are needs none

    ends = iter(hosts)
    for net in scene.config.net:
        peer = next(ends, "") if net.type not in ("empty", "none") else ""
        for line in net.script_up if which == "up" else net.script_down:
            env = {**scene.environment(which), **_told(net, which, peer), **more}
            run_program(f"lxc.net.{net.number}.script.{which}", line, _argv(scene, net, which, line, peer), env)


def _told(net: Net, which: str, peer: str) -> dict[str, str]:
    told = {"LXC_HOOK_TYPE": which, "LXC_HOOK_SECTION": "net", "LXC_NET_TYPE": net.type}
    told |= {"LXC_NET_PARENT": net.link} if net.link else {}
    return told | ({"LXC_NET_PEER": peer} if peer else {})


def _argv(scene: Scene, net: Net, which: str, line: str, peer: str) -> tuple[str, ...]:
    """Version 0 has NAME net WHICH TYPE [LINK] [HOST'S END] as arguments, which never become part of the line."""
    if scene.config.hook_version == 1:
        return ("/bin/sh", "-c", line)
    words = [word for word in (scene.name, "net", which, net.type, net.link, peer) if word]
    return ("/bin/sh", "-c", f'{line} "$@"', "sh", *words)


def remember_links(directory: str, links: Sequence[Link]) -> None:
    """For the end, when they are gone."""
    pairs = [link.host_name for link in links if link.kind.value == "bridge"]
    with open(f"{directory}/links.json", "w", encoding="utf-8", opener=own) as file:
        file.write(dumps({"hosts": [link.host_name for link in links], "pairs": pairs}))


def _recalled(directory: str) -> dict[str, list[Any]]:
    with suppress(OSError, ValueError), open(f"{directory}/links.json", encoding="utf-8") as file:
        found: dict[str, list[Any]] = loads(file.read())
        return found
    return {"hosts": [], "pairs": []}


def recalled_links(directory: str) -> list[str]:
    """The host's ends, "" where there is none."""
    return _recalled(directory)["hosts"]


def remove_pairs(directory: str) -> None:
    """The kernel takes them with the namespace, but some time after its last process has ended (cleanup_net), and whoever
    waits for the end finds their names free. Raises KernelRefused, EngineFault."""
    pairs = _recalled(directory)["pairs"]
    if pairs:
        from warden.kernel.sockets import if_nametoindex
        from warden.network.netlink import delete_link
        from warden.network.route import Route

        with Route() as route:
            for name in filter(None, pairs):
                try:
                    route.ask(delete_link(if_nametoindex(name)), f"ip link delete {name}")
                except KernelRefused as error:
                    if error.errno != errno.ENODEV:
                        raise
                except OSError:
                    continue  # it is gone
