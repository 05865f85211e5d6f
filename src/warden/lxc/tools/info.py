"""`lxc-info`: state, first process, addresses, use and links of a container, or values of its configuration."""

from __future__ import annotations

import os
import sys

from warden.errors import WardenError
from warden.lxc import states
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Running, Site
from warden.lxc.tools.speaking import lxcpath_of, say, shown

TOOL = Tool(
    "lxc-info",
    "--name=NAME",
    "lxc-info displays some information about a container with the identifier NAME",
    (
        Option("c", "config", "KEY", "show configuration variable KEY from running container", many=True),
        Option("i", "ips", "", "shows the IP addresses"),
        Option("p", "pid", "", "shows the process id of the init container"),
        Option("S", "stats", "", "shows usage stats"),
        Option("H", "no-humanize", "", "shows stats as raw numbers, not humanized"),
        Option("s", "state", "", "shows the state of the container"),
    ),
)
_WIDTH = 15


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    lxcpath = lxcpath_of(given)
    site = Site.from_environment()
    seen = states.find(site, lxcpath, given.name)
    config = given.last("rcfile") or f"{lxcpath}/{given.name}/config"
    if seen is None and not os.path.exists(config):
        print(f"{given.name} doesn't exist", file=sys.stderr)
        return 1
    if seen is None and not _readable(given, config):
        return 1
    try:
        if given.has("config"):
            _keys(given, config)
        wanted = [name for name in ("state", "pid", "ips", "stats") if given.has(name)]
        if wanted or not given.has("config"):
            _show(given, wanted, seen, site)
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1
    return 0


def _readable(given: Given, path: str) -> bool:
    """What is there of one that is stopped is its configuration."""
    from warden.lxc.reading import load

    try:
        load(path)
    except WardenError as error:
        print(shown(f"Failed to load config for {given.name}: {error}"), file=sys.stderr)
        return False
    return True


def _show(given: Given, wanted: list[str], seen: states.Seen | None, site: Site) -> None:
    bare = given.has("no-humanize") and len(wanted) == 1 and wanted != ["stats"]
    everything = not wanted

    def line(label: str, value: object) -> None:
        print(value if bare else f"{label + ':':<{_WIDTH}} {value}")

    if everything:
        line("Name", given.name)
    if everything or "state" in wanted:
        line("State", seen.state if seen else "STOPPED")
    if seen is None or not seen.running.pid:
        return
    if everything or "pid" in wanted:
        line("PID", seen.running.pid)
    if everything or "ips" in wanted:
        from warden.lxc.inventory import addresses

        for address in (item for family in addresses(seen.running.pid) for item in family):
            line("IP", address)
    if everything or "stats" in wanted:
        _stats(seen.running, site, raw=given.has("no-humanize"))


def _stats(running: Running, site: Site, *, raw: bool) -> None:
    from warden.lxc import usage

    def line(label: str, value: object) -> None:
        print(f"{label + ':':<{_WIDTH}} {value}")

    def size(value: int) -> str:
        return str(value) if raw else usage.human(value)

    if (cpu := usage.cpu_ns(running)) is not None:
        line("CPU use", cpu if raw else f"{cpu / 1e9:.2f} seconds")
    if (io := usage.block_io(running)) is not None:
        line("BlkIO use", size(io[0]))
    for label, value in (("Memory use", usage.memory(running)), ("KMem use", usage.kernel_memory(running))):
        if value is not None:
            line(label, size(value))
    from warden.lxc.scripts import recalled_links

    for name in filter(None, recalled_links(f"{site.state}/{running.container_id}")):
        line("Link", name)
        # the host's end: what it receives is what the container sends
        sent, got = _counter(name, "rx_bytes"), _counter(name, "tx_bytes")
        for label, value in ((" TX bytes", sent), (" RX bytes", got), (" Total bytes", sent + got)):
            line(label, size(value))


def _counter(link: str, name: str) -> int:
    try:
        with open(f"/sys/class/net/{link}/statistics/{name}", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return 0


def _keys(given: Given, path: str) -> None:
    from warden.lxc.values_of import values_of

    keys = given.values["config"]
    for key in keys:
        values = values_of(path, key)
        if values is None:
            print(f"{key} invalid", file=sys.stderr)
            continue
        text = "\n".join(map(shown, "\n".join(values[0]).split("\n"))) + ("\n" if values[1] and values[0] else "")
        if given.has("no-humanize") and len(keys) == 1:
            print(text)
        else:
            print(f"{key} = {text}" if values[0] else f"{key} =")


if __name__ == "__main__":
    sys.exit(main())
