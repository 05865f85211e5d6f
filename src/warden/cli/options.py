"""The options that subcommands share, as one table, and the parser that is built from it for one subcommand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from warden.errors import BadInput
from warden.model.size import parse_size


class Command(NamedTuple):
    """One subcommand: *arguments* name rows of ARGUMENTS, *act* gets the parsed options and returns the exit code."""

    usage: str
    summary: str
    arguments: tuple[str, ...]
    examples: str
    act: Callable[[argparse.Namespace], int]


def _many(metavar: str, text: str) -> dict[str, Any]:
    return {"metavar": metavar, "action": "append", "help": text}


def _verb(text: str) -> str:
    """What docker's users are used to is understood as well."""
    return {"ls": "list", "rm": "remove"}.get(text, text)


def _truth(text: str) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return words[text.lower()]


#: One row for each of resources.WORDS, which says what a row means to the kernel; and the way to all the others.
LIMIT_ARGUMENTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "memory": (("-m", "--memory"), {"metavar": "SIZE", "help": "memory limit, such as 64M; max for none, as elsewhere"}),
    "memory_high": (("--memory-high",), {"metavar": "SIZE", "help": "memory above which it is slowed and reclaimed"}),
    "memory_low": (("--memory-low",), {"metavar": "SIZE", "help": "memory that is left to it when others want some"}),
    "swap": (("--swap",), {"metavar": "SIZE", "help": "swap it may use (default: none under a memory limit)"}),
    "swappiness": (("--swappiness",), {"metavar": "N", "help": "how readily it is swapped, 0 to 200 (cgroup v1)"}),
    "oom_policy": (
        ("--oom-policy",),
        {
            "choices": ("kill_job", "kill_container", "stop"),
            "help": "out of memory ends the job (default), all jobs at once, or stops the container politely",
        },
    ),
    "cpus": (("--cpus",), {"metavar": "N", "help": "processors' worth of time, such as 1.5"}),
    "cpu_weight": (("--cpu-weight",), {"metavar": "N", "help": "its part of busy processors, 1 to 10000, usually 100"}),
    "cpu_shares": (("--cpu-shares",), {"metavar": "N", "help": "the same as cgroup v1 counts it, usually 1024"}),
    "cpu_burst": (("--cpu-burst",), {"metavar": "USEC", "help": "time it may save up and exceed --cpus by"}),
    "cpu_idle": (("--cpu-idle",), {"metavar": "0|1", "help": "1: runs only when nobody else wants to"}),
    "cpuset_cpus": (("--cpuset-cpus",), {"metavar": "LIST", "help": "processors it may use, such as 0-2,7"}),
    "cpuset_mems": (("--cpuset-mems",), {"metavar": "LIST", "help": "memory nodes it may use"}),
    "pids": (("--pids",), {"metavar": "N", "help": "processes and threads it may have"}),
    "io_weight": (("--io-weight",), {"metavar": "N", "help": "its part of busy disks, 1 to 10000, usually 100"}),
    "io_max": (("--io-max",), _many("LIMIT", "'DEVICE rbps=N wbps=N riops=N wiops=N', a second; DEVICE or a path on it")),
    "devices": (("--device",), _many("RULE", "devices it may use: all, none, or such as 'c 1:3 rwm'")),
    "hugetlb": (("--hugetlb",), _many("LIMIT", "huge pages, such as '2MB 64M'")),
    "bandwidth": (("--bandwidth",), {"metavar": "RATE", "help": "bytes a second on its link: 1M, 100mbit, '1M 64K'"}),
    "bandwidth_in": (("--bandwidth-in",), {"metavar": "RATE", "help": "the same for what comes to it alone"}),
    "bandwidth_out": (("--bandwidth-out",), {"metavar": "RATE", "help": "the same for what it sends alone"}),
    "disk": (("--disk",), {"metavar": "SIZE", "help": "what its own files may take"}),
    "inodes": (("--inodes",), {"metavar": "N", "help": "files and directories of its own"}),
}
_MORE_LIMITS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "limits": (("--limit",), _many("NAME=VALUE", "any resource by the name of its cgroup v2 or v1 file")),
    "best_effort": (
        ("--best-effort",),
        {"action": "store_true", "help": "leave out limits that this machine cannot do, and say so"},
    ),
    "raw": (("--raw",), {"action": "store_true", "help": "show the kernel's files"}),
}

#: Name of the row, its flags (none: a positional argument of that name), and what argparse is told.
ARGUMENTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "socket": (("--socket",), {"metavar": "PATH", "help": "the daemon's socket"}),
    "json": (("--json",), {"action": "store_true", "help": "print JSON"}),
    # limits
    **LIMIT_ARGUMENTS,
    **_MORE_LIMITS,
    # a new container
    "name": (("--name",), {"metavar": "HANDLE", "help": "handle of the container (default: a new one)"}),
    "image": (("--image",), {"metavar": "NAME", "help": "image to start from (default: the daemon's, normally host)"}),
    "rootfs": (("--rootfs",), {"metavar": "DIR", "help": "use this directory of the host instead of an image"}),
    "volume": (
        ("-v", "--volume"),
        {
            **_many("SRC:DST[:ro|rw]", "mount a path of the host, or a volume by its name; DST alone: a volume of its own"),
            "default": [],
        },
    ),
    "mount": (
        ("--mount",),
        {
            **_many("KEY=VALUE,...", "type (bind, volume, tmpfs), source, target, readonly, tmpfs-size, ...; or as -v"),
            "default": [],
        },
    ),
    "tmpfs": (
        ("--tmpfs",),
        {**_many("DST[:OPTION,...]", "mount an empty file system in memory: size=, mode=, uid=, exec ..."), "default": []},
    ),
    "volumes_from": (
        ("--volumes-from",),
        {**_many("HANDLE[:ro]", "mount what another container has mounted"), "default": []},
    ),
    "shm_size": (("--shm-size",), {"metavar": "SIZE", "help": "size of /dev/shm (default: half of the memory)"}),
    "read_only": (
        ("--read-only",),
        {"action": "store_true", "help": "only what is mounted, and /dev/shm, can be written"},
    ),
    "label": (("-l", "--label"), {**_many("NAME=VALUE", "kept with the container"), "default": []}),
    "restart": (
        ("--restart",),
        {
            "metavar": "POLICY",
            "default": "no",
            "help": "when the command is started again at its end: no, on-failure[:N], always, unless-stopped",
        },
    ),
    "stop_signal": (("--stop-signal",), {"metavar": "SIGNAL", "help": "what a stop asks with (default: TERM)"}),
    "stop_timeout": (
        ("--stop-timeout",),
        {"metavar": "TIME", "help": "how long a stop waits until it kills (default: the daemon's, normally 10)"},
    ),
    "cidfile": (("--cidfile",), {"metavar": "FILE", "help": "write the handle to this file, which must not exist"}),
    "env_file": (
        ("--env-file",),
        {**_many("FILE", "variables, a line each: NAME=VALUE, or NAME for the caller's"), "default": []},
    ),
    "network": (
        ("--network",),
        {
            "metavar": "MODE",
            "action": "append",
            "default": [],
            "help": "warden (default), none, host, container:HANDLE, bridge[:NAME], macvlan:PARENT[:MODE], "
            "ipvlan:PARENT[:MODE], vlan:PARENT:ID or phys:LINK; the last five with ,key=value of name, ip, gateway, mac, "
            "mtu, alias, and repeatable for several interfaces",
        },
    ),
    "ip": (("--ip",), {"metavar": "ADDRESS", "help": "its address on that bridge or link"}),
    "ip6": (("--ip6",), {"metavar": "ADDRESS", "help": "the same of IPv6"}),
    "mac_address": (("--mac-address",), {"metavar": "MAC", "help": "the address of that interface's link"}),
    "dns": (("--dns",), _many("ADDRESS", "ask this server for names; may be repeated")),
    "dns_search": (("--dns-search",), _many("DOMAIN", "look names up in this domain; . for none")),
    "dns_options": (("--dns-option", "--dns-opt"), _many("OPTION", "an option of resolv.conf, such as ndots:1")),
    "add_hosts": (("--add-host",), _many("NAME:ADDRESS", "a line of /etc/hosts; host-gateway: the host's address")),
    "hostname": (("--hostname",), {"metavar": "NAME", "help": "host name inside"}),
    "grace_time": (
        ("--grace-time",),
        {"metavar": "TIME", "help": "destroy the container this long after its last connection is gone"},
    ),
    "no_user_namespace": (
        ("--no-user-namespace",),
        {"action": "store_true", "help": "root inside is root outside; only for what you trust"},
    ),
    "rm": (("--rm",), {"action": "store_true", "help": "remove the container afterwards (the default without -d)"}),
    "keep": (("--keep",), {"action": "store_true", "help": "keep the container afterwards"}),
    "detach": (
        ("-d", "--detach"),
        {"action": "store_true", "help": "print the handle and do not wait; the container stays, unless --rm"},
    ),
    # topology
    "graph": (("--graph",), {"action": "store_true", "help": "as a tree (the default)"}),
    "dot": (("--dot",), {"action": "store_true", "help": "for Graphviz' dot"}),
    # a job
    "env": (
        ("-e", "--env"),
        {
            "metavar": "NAME[=VALUE]",
            "action": "append",
            "default": [],
            "help": "set a variable; NAME alone: the caller's",
        },
    ),
    "cwd": (("-w", "--workdir", "--cwd"), {"metavar": "DIR", "help": "working directory inside"}),
    "user": (("-u", "--user"), {"metavar": "USER", "help": "user inside (default: vcap, or root with --privileged)"}),
    "privileged": (("--privileged",), {"action": "store_true", "help": "run as root of the container"}),
    "timeout": (("--timeout",), {"metavar": "TIME", "help": "kill the job after this time, such as 10, 500ms or 2m"}),
    "cpu_timeout": (
        ("--cpu-timeout",),
        {"metavar": "TIME", "help": "kill the job when all its processes have used this much processor time"},
    ),
    "output_limit": (("--output-limit",), {"metavar": "SIZE", "help": "most bytes of output that are kept and shown"}),
    "rlimit": (
        ("--rlimit",),
        {"metavar": "NAME=N", "action": "append", "default": [], "help": "resource limit, such as nofile=256"},
    ),
    "interactive": (("-i", "--interactive"), {"action": "store_true", "help": "give the job this command's stdin"}),
    "tty": (("-t", "--tty"), {"action": "store_true", "help": "give the job a terminal"}),
    "script": (("--script",), {"metavar": "FILE", "help": "run this bash script, - for stdin, instead of a command"}),
    # network
    "publish": (
        ("-p", "--publish"),
        {
            "metavar": "PORT",
            "action": "append",
            "default": [],
            "help": "lead a port of the host to it: [IP:]HOST[-END]:CONTAINER[-END][/udp]; CONTAINER: one is chosen",
        },
    ),
    "net_allow": (("--allow",), _many("NETWORK", "where it may go, whatever is denied")),
    "net_deny": (("--deny",), _many("NETWORK", "where it may not go; the rest is open")),
    "create_allow": (("--net-allow",), _many("NETWORK", "where it may go, instead of what holds for all containers")),
    "create_deny": (("--net-deny",), _many("NETWORK", "where it may not go; what is in neither is open")),
    "connections": (
        ("--connections",),
        {"type": int, "metavar": "N", "help": "that each of its addresses may have begun at once; 0: as many as it likes"},
    ),
    "usual": (("--usual",), {"action": "store_true", "help": "as it holds for all containers"}),
    "inner_port": ((), {"nargs": "?", "metavar": "PORT"}),
    "port_add": (("--add",), {**_many("PORT", "as --publish of warden run"), "default": []}),
    "port_remove": (("--remove",), {**_many("PORT", "a port of the host, such as 8080 or 5353/udp"), "default": []}),
    "repair": (("--repair",), {"action": "store_true", "help": "let the daemon put its firewall right"}),
    # what exists
    "all": (("-a", "--all"), {"action": "store_true", "help": "stopped containers too"}),
    "quiet": (("-q", "--quiet"), {"action": "store_true", "help": "handles only"}),
    "every_volume": (("-a", "--all"), {"action": "store_true", "help": "prune named ones too"}),
    "job": (("--job",), {"metavar": "N", "type": int, "help": "this job only"}),
    "signal": (
        ("-s", "--signal"),
        {"metavar": "SIGNAL", "default": "KILL", "help": "by name or number (default: KILL)"},
    ),
    "again": (("-f", "--follow"), {"action": "store_true", "help": "measure again and again"}),
    "interval": (("--interval",), {"metavar": "TIME", "help": "time between two measurements, such as 2 or 500ms"}),
    "all_fields": (("--all-fields",), {"action": "store_true", "help": "everything that the kernel counts"}),
    "batch": (("-b", "--batch"), {"action": "store_true", "help": "plain tables one after the other"}),
    "count": (("-n", "--count"), {"metavar": "COUNT", "type": int, "help": "end after so many tables"}),
    "sort": (("-s", "--sort"), {"metavar": "KEY", "help": "c, m, p, n, i, d or h, as pressed in the view (default: c)"}),
    # looking at what runs
    "follow": (("-f", "--follow"), {"action": "store_true", "help": "go on with what comes"}),
    "since": (("--since",), {"metavar": "TIME", "help": "only what began then or later"}),
    "until": (("--until",), {"metavar": "TIME", "help": "only what began then or earlier"}),
    "tail": (("-n", "--tail"), {"metavar": "N", "help": "the last N lines, or all"}),
    "timestamps": (("-t", "--timestamps"), {"action": "store_true", "help": "put the time before each line"}),
    "stream": (("--stream",), {"choices": ("stdout", "stderr"), "help": "only this one (default: both)"}),
    "filter": (("-f", "--filter"), _many("KEY=VALUE", "only what matches") | {"default": []}),
    "format": (("--format",), {"metavar": "json|PATH", "help": "JSON, one a line, or a part of it such as .time"}),
    "pick": (
        ("-f", "--format"),
        {"metavar": "PATH", "dest": "format", "help": "a part of it such as .network.ip, json for all (the default)"},
    ),
    "columns": (
        ("--format",),
        {"metavar": "json|PATH,...", "dest": "format", "help": "JSON, one a line, or parts of it such as .handle,.state"},
    ),
    "condition": (
        ("--condition",),
        {
            "choices": ("not-running", "next-exit", "removed"),
            "default": "not-running",
            "help": "what is waited for (default: not-running)",
        },
    ),
    "wait_timeout": (
        ("--timeout",),
        {"metavar": "TIME", "dest": "timeout", "help": "wait no longer than this, such as 10, 500ms or 2m"},
    ),
    "job_numbers": (("-q", "--quiet"), {"action": "store_true", "dest": "quiet", "help": "numbers only"}),
    "no_stdin": (("--no-stdin",), {"action": "store_true", "help": "give it nothing that is typed"}),
    "detach_keys": (
        ("--detach-keys",),
        {"metavar": "KEYS", "default": "ctrl-p,ctrl-q", "help": "what ends this and not the job (default: ctrl-p,ctrl-q)"},
    ),
    "sig_proxy": (
        ("--sig-proxy",),
        {
            "metavar": "true|false",
            "nargs": "?",
            "const": True,
            "default": True,
            "type": _truth,
            "help": "give signals to the job (default: true)",
        },
    ),
    "replay": (("--logs",), {"action": "store_true", "help": "begin with what it has written; with --tail, its end"}),
    "kill": (("--kill",), {"action": "store_true", "help": "do not ask the jobs first"}),
    "owner": (("--owner",), {"metavar": "USER[:GROUP]", "help": "whose the copies on the host are (default: root's)"}),
    "images": (("--images",), {"metavar": "DIR", "help": "the image store (default: /var/lib/warden/images)"}),
    "depot": (("--depot",), {"metavar": "DIR", "help": "the depot to look at (default: /var/lib/warden/containers)"}),
    "config": (("--config",), {"metavar": "FILE", "help": "as a daemon with this configuration would make it"}),
    # explain
    "pid": (("--pid",), {"metavar": "N", "type": int, "help": "any process instead of a container"}),
    "section": (
        ("--section",),
        {
            "metavar": "NAME",
            "action": "append",
            "default": [],
            "help": "only this one: process, namespaces, cgroups, mounts, capabilities, seccomp, ids, rlimits, network, "
            "firewall; may be repeated",
        },
    ),
    "controller": (
        ("--controller",),
        {"metavar": "NAME", "action": "append", "default": [], "help": "only this cgroup controller, such as memory"},
    ),
    "lang": (("--lang",), {"choices": ("en", "zh"), "default": "en", "help": "language of the sentences (default: en)"}),
    "everything": (("-a", "--all"), {"action": "store_true", "help": "also what is at its default"}),
    # networks
    "subnet": (("--subnet",), {"metavar": "CIDR", "help": "its IPv4 network (default: the next of the daemon's pool)"}),
    "ipv6": (("--ipv6",), {"metavar": "CIDR", "help": "its IPv6 network, or auto (default: none)"}),
    "internal": (("--internal",), {"action": "store_true", "help": "nothing leads out of it"}),
    "mtu": (("--mtu",), {"metavar": "N", "type": int, "help": "of its links (default: the daemon's)"}),
    # positional
    "handle": ((), {"metavar": "HANDLE"}),
    "handles": ((), {"metavar": "HANDLE", "nargs": "+"}),
    "any_handles": ((), {"metavar": "HANDLE", "nargs": "*"}),
    "maybe_handle": ((), {"metavar": "HANDLE", "nargs": "?"}),
    "command": ((), {"metavar": "CMD", "nargs": argparse.REMAINDER, "help": argparse.SUPPRESS}),
    "from_": ((), {"metavar": "SRC"}),
    "to": ((), {"metavar": "DST"}),
    "action": ((), {"metavar": "ACTION", "choices": ("build", "list", "prune", "remove")}),
    "hierarchy": (("--name",), {"metavar": "NAME", "help": "the hierarchy to mount or unmount"}),
    "at": (("--at",), {"metavar": "DIR", "help": "where to mount it (default: below /run/warden/cgroup)"}),
    "verb": (
        (),
        {"metavar": "ACTION", "choices": ("list", "tree", "mount", "umount", "make", "remove", "move")},
    ),
    "volume_verb": ((), {"metavar": "ACTION", "type": _verb, "choices": ("create", "list", "inspect", "remove", "prune")}),
    "new_name": ((), {"metavar": "NEW"}),
    "words": ((), {"metavar": "WORD", "nargs": "*"}),
    "network_action": ((), {"metavar": "ACTION", "type": _verb, "choices": ("create", "list", "inspect", "remove")}),
    "network_names": ((), {"metavar": "NAME", "nargs": "*"}),
    "topic": ((), {"metavar": "COMMAND"}),
    "image_names": ((), {"metavar": "IMAGE", "nargs": "*"}),
}

LIMITS = (*LIMIT_ARGUMENTS, "limits", "best_effort")
MOUNTS = ("volume", "mount", "tmpfs", "volumes_from", "shm_size", "read_only")
LIFE = ("label", "restart", "stop_signal", "stop_timeout", "cidfile")
NETWORK = ("network", "ip", "ip6", "mac_address", "publish", "create_allow", "create_deny", "connections")
NAMES = ("dns", "dns_search", "dns_options", "add_hosts")
CONTAINER = (
    *("name", "image", "rootfs", *MOUNTS, *NETWORK, *NAMES, "hostname", "no_user_namespace"),
    *(*LIFE, *LIMITS),
)
JOB = (
    *("env", "env_file", "cwd", "user", "privileged", "timeout", "cpu_timeout", "output_limit", "rlimit"),
    *("interactive", "tty", "script", "json"),
)


class _Parser(argparse.ArgumentParser):
    """argparse with errors as one sentence, raised instead of printed."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message + self._suggestion(message), hint=f"{self.prog} --help shows the options")

    def _suggestion(self, message: str) -> str:
        word = next((word for word in message.split() if word.startswith("--")), "")
        if not message.startswith("unrecognized") or not word:
            return ""
        from difflib import get_close_matches

        known = [flag for action in self._actions for flag in action.option_strings]
        near = get_close_matches(word.partition("=")[0], known, 1)
        return f", did you mean {near[0]}?" if near else ""


def build_parser(name: str, command: Command) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    parser = _Parser(
        prog=f"warden {name}",
        usage=f"warden {name} {command.usage}",
        description=command.summary,
        epilog="examples:\n" + "".join(f"  {line}\n" for line in command.examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for row in (*command.arguments, "socket"):
        flags, keywords = ARGUMENTS[row]
        parser.add_argument(*(flags or (row,)), **(({"dest": row} if flags else {}) | keywords))
    return parser


def parse(name: str, command: Command, words: list[str]) -> argparse.Namespace:
    """Parses one subcommand's words; `--help` prints and exits 0, everything wrong raises BadInput."""
    parser = build_parser(name, command)
    # An option between two words of one list: parse_args would take what follows it for too much.
    options = parser.parse_intermixed_args(words) if "words" in command.arguments else parser.parse_args(words)
    given = getattr(options, "command", None)
    if given and given[0] == "--":
        del given[0]
    return options


def split_env(words: list[str], caller: dict[str, str]) -> dict[str, str]:
    """NAME=VALUE as it stands; NAME alone from *caller*, left out when the caller has none."""
    result = {}
    for word in words:
        name, sign, value = word.partition("=")
        if sign:
            result[name] = value
        elif name in caller:
            result[name] = caller[name]
    return result


def split_rlimits(words: list[str]) -> dict[str, int]:
    """NAME=N; raises BadInput for anything else (the names are checked by JobSpec)."""
    result = {}
    for word in words:
        name, _, value = word.partition("=")
        if not value.isdigit():
            raise BadInput(f"--rlimit: {word!r} is not NAME=N", hint="such as nofile=256")
        result[name] = int(value)
    return result


def given_limits(options: argparse.Namespace) -> dict[str, Any]:
    """What `Client.create` and `Container.limit` get; raises BadInput for a --limit that is not NAME=VALUE."""
    wanted = {name: value for name in LIMIT_ARGUMENTS if (value := getattr(options, name)) is not None}
    if "memory" in wanted and wanted["memory"] != "max":
        wanted["memory"] = parse_size(wanted["memory"], field="--memory")
    if "io_max" in wanted:  # the daemon's working directory is another
        wanted["io_max"] = [os.path.abspath(word) if word.startswith(".") else word for word in wanted["io_max"]]
    pairs = [tuple(word.split("=", 1)) for word in options.limits or ()]
    if any(len(pair) != 2 for pair in pairs):
        raise BadInput("--limit: give NAME=VALUE, such as pids.max=100")
    if pairs:
        wanted["limits"] = pairs
    return wanted | ({"best_effort": True} if options.best_effort else {})


def read_script(path: str) -> bytes:
    """The bytes of a script file, or of standard input for "-"; raises BadInput."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadInput(f"--script {path}: {error.strerror}") from error


def given_network(options: argparse.Namespace) -> dict[str, Any]:
    """What `Client.create` gets of --network, --ip, --ip6 and --mac-address; raises BadInput."""
    plain = [word for word in options.network if word.partition(":")[0] in _MODES]
    interfaces = [word for word in options.network if word not in plain]
    if len(plain) > 1:
        raise BadInput(f"--network: {plain[0]} and {plain[1]} exclude each other")
    extra = [f",ip={address}" for address in (options.ip, options.ip6) if address]
    extra += [f",mac={options.mac_address}"] if options.mac_address else []
    if extra and len(interfaces) != 1:
        hint = "such as --network bridge --ip 10.1.2.3; of several each has its own: --network bridge,ip=10.1.2.3"
        raise BadInput("--ip, --ip6 and --mac-address go with one interface", hint=hint)
    if extra:
        interfaces = [interfaces[0] + "".join(extra)]
    first = plain[0] if plain else interfaces.pop(0) if interfaces else "warden"
    if options.network:
        from warden.model.spec import network_fields

        network_fields(first, interfaces)  # a mistake is found here
    return {"network": first, "interfaces": interfaces}


_MODES = ("warden", "none", "host", "container")
