"""`lxc-attach`: a program in a running container, on the caller's streams."""

from __future__ import annotations

import errno
import os
import sys

from warden.errors import BadInput, JobFailed, WardenError, WrongState
from warden.light import TYPE_CHECKING, signal, suppress
from warden.lxc import states
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Running, Site
from warden.lxc.tools.speaking import lxcpath_of, say

if TYPE_CHECKING:
    from warden.lxc.attaching import Attachment

TOOL = Tool(
    "lxc-attach",
    "--name=NAME [-- COMMAND]",
    "Execute the specified COMMAND - enter the container NAME",
    (
        Option(
            "e", "elevated-privileges", "PRIVILEGES", "Leave out CGROUP, CAP and LSM, or some of them", optional=True
        ),
        Option("a", "arch", "ARCH", "Use ARCH for program instead of container's own architecture, such as i686"),
        Option("s", "namespaces", "FLAGS", "Don't attach to all the namespaces, such as 'MOUNT|PID'; implies -e"),
        Option("R", "remount-sys-proc", "", "Remount /sys and /proc if not attaching to the mount namespace"),
        Option("", "clear-env", "", "Clear all environment variables before attaching"),
        Option("", "keep-env", "", "Keep all current environment variables (default)"),
        Option("L", "pty-log", "FILE", "Log pty output to FILE"),
        Option("v", "set-var", "VAR=VALUE", "Set an additional variable", many=True),
        Option("", "keep-var", "VAR", "Keep an additional environment variable with --clear-env", many=True),
        Option("f", "rcfile", "FILE", "Load configuration file FILE"),
        Option("u", "uid", "UID", "Execute COMMAND with UID inside the container"),
        Option("g", "gid", "GID", "Execute COMMAND with GID inside the container"),
        Option("c", "context", "CONTEXT", "SELinux context to transition into, ignored where the kernel has none"),
    ),
    end="Without COMMAND the shell is run that the container's passwd has for the user.",
)
_WORDS = {
    "MOUNT": "mnt",
    "PID": "pid",
    "UTSNAME": "uts",
    "IPC": "ipc",
    "USER": "user",
    "NETWORK": "net",
    "CGROUP": "cgroup",
}
_PRIVILEGES = {"CGROUP": "cgroup", "CAP": "caps", "LSM": "lsm"}
CANNOT, NOT_FOUND = 126, 127


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    try:
        return _attach(given)
    except JobFailed as error:
        say(TOOL, given, "ERROR", str(error))
        return NOT_FOUND if getattr(error, "errno", 0) == errno.ENOENT else CANNOT
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1


def _attach(given: Given) -> int:
    from warden.lxc.attaching import Attachment

    namespaces = _chosen(given.last("namespaces"), _WORDS, "--namespaces") if given.has("namespaces") else None
    if namespaces == ():
        raise BadInput("--namespaces: none is named", hint="one of " + ", ".join(_WORDS))
    privileged = _privileged(given)
    running = _running(given)
    order = Attachment(
        running,
        given.rest,
        _environment(given, running),
        namespaces,
        privileged,
        given.has("remount-sys-proc"),
        _id(given, "uid"),
        _id(given, "gid"),
        b"" if "lsm" in privileged else _filter(given, running),
        _personality(given),
        _context(given),
    )
    return _run(order, given)


def _context(given: Given) -> str:
    """LXC has no use for it either where there is no SELinux."""
    if given.has("context") and not os.path.exists("/sys/fs/selinux"):
        say(TOOL, given, "WARN", "--context: this kernel has no SELinux: ignored")
    return given.last("context")


def _personality(given: Given) -> int | None:
    if not given.has("arch"):
        return None
    from warden.lxc.values import ARCH_32, architecture

    return 8 if architecture(given.last("arch")) in ARCH_32 else 0  # PER_LINUX32


def _chosen(text: str, table: dict[str, str], option: str) -> tuple[str, ...]:
    found = []
    for word in (word.strip() for word in text.upper().split("|") if word.strip()):
        if word not in table:
            raise BadInput(f"{option}: {word!r} is unknown", hint="one of " + ", ".join(table))
        found.append(table[word])
    return tuple(found)


def _privileged(given: Given) -> frozenset[str]:
    if given.has("elevated-privileges"):
        text = given.last("elevated-privileges")
        return frozenset(_chosen(text, _PRIVILEGES, "--elevated-privileges") or _PRIVILEGES.values())
    return frozenset(_PRIVILEGES.values() if given.has("namespaces") else ())


def _id(given: Given, which: str) -> int:
    text = given.last(which, "0")
    if not (text.isdecimal() and int(text) < 2**32 - 1):
        raise BadInput(f"--{which}: {text!r} is not a number")
    return int(text)


def _running(given: Given) -> Running:
    seen = states.find(Site.from_environment(), lxcpath_of(given), given.name)
    if seen is None or seen.state not in states.ALIVE or not seen.running.pid:
        raise WrongState(f"{given.name} is not running")
    from warden.lxc.freezing import is_frozen

    if seen.state in ("FROZEN", "FREEZING") or is_frozen(seen.running):
        raise WrongState(f"{given.name} is frozen", hint="lxc-unfreeze lets it go on")
    return seen.running


def _environment(given: Given, running: Running) -> dict[str, str]:
    """The caller's by default; PATH where there is none; what marks the container; what was asked for comes last."""
    if given.has("clear-env"):
        kept = given.values.get("keep-var", ())
        found = {name: os.environ[name] for name in kept if name in os.environ}
    else:
        found = dict(os.environ)
    from warden.lxc.attaching import PATH

    found.setdefault("PATH", PATH)
    found["container"] = "lxc"
    found |= _configured(given, running)
    for text in given.values.get("set-var", ()):
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput(f"--set-var: {text!r} is not VAR=VALUE")
        found[name] = value
    return found


def _config_path(given: Given, running: Running) -> str:
    asked = running.asked.get("values", {}).get("rcfile", ())
    return given.last("rcfile") or (asked[-1] if asked else f"{running.lxcpath}/{running.name}/config")


def _configured(given: Given, running: Running) -> dict[str, str]:
    """Of lxc.environment. Its file is read as a whole only when the word is in it."""
    found: dict[str, str] = {}
    path = _config_path(given, running)
    with suppress(*(() if given.has("rcfile") else (OSError, WardenError))):
        from warden.lxc import configfile

        for entry in configfile.entries_of(configfile.read(path), (), []):
            if entry.key == "lxc.environment":
                name, equals, value = entry.value.partition("=")
                if not entry.value:
                    found.clear()
                elif equals or name in os.environ:
                    found[name] = value if equals else os.environ[name]
    return found


def _filter(given: Given, running: Running) -> bytes:
    if "filtered" not in running.tasks:
        return b""
    from warden.lxc.reading import load
    from warden.lxc.running import program_filter

    return program_filter(load(_config_path(given, running)))


def _run(order: Attachment, given: Given) -> int:
    from warden.lxc.attaching import FORWARDED, attach, forward

    ttys = [fd for fd in range(3) if os.isatty(fd)]
    if ttys:
        from warden.lxc.attached_tty import attach_on_terminal

        return attach_on_terminal(order, ttys, given.last("pty-log"))

    if given.has("pty-log"):
        say(TOOL, given, "WARN", "--pty-log: no stream is a terminal, so that there is nothing to log")

    def running(launcher: int) -> None:
        for number in FORWARDED:
            signal.signal(number, lambda number, _frame: forward(launcher, number))

    return attach(order, (0, 1, 2), running)


if __name__ == "__main__":
    sys.exit(main())
