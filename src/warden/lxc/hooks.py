"""Programs that a configuration wants to be run at points of a container's life: what they are told, and where they run.

Pure but for `run_on_host`. A hook's value is a line for the shell, written by the owner of the configuration; what
this adds to it (the container's name) is handed over as arguments and never becomes part of the line.
"""

from __future__ import annotations

import os

from warden.errors import HookFailed
from warden.light import TYPE_CHECKING, signal
from warden.lxc.settings import LxcConfig
from warden.lxc.values import split_kind
from warden.model.text import escaped
from warden.plan.program import Point, Program, Programs, host_program
from warden.plan.steps import Plan
from warden.process.launch import Ran
from warden.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: As long as the original waits: for ever, in a plan's terms.
PATIENCE_S = 86400.0
#: Signals that end a tool which runs a hook.
_BREAKING_OFF = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_NAMESPACES = ("mnt", "pid", "uts", "ipc", "net", "user", "cgroup")
#: Hooks that are run by the plan, and where; in a plan one point's programs run in this order.
POINTS = {
    "pre-mount": Point.PARENT_BEFORE_CLONE,
    "mount": Point.CHILD_BEFORE_PIVOT,
    "autodev": Point.CHILD_BEFORE_PIVOT,
    "start": Point.CHILD_AFTER_PIVOT,
}
#: Run on the host. The last two only tell: their failure is a line of the log.
BEFORE, AFTER = ("pre-start", "start-host"), ("stop", "post-stop")


@dataclass(frozen=True, slots=True)
class Scene:
    """What hooks are told of a container. *config_file*: of its configuration; *mount*: where its root is before it is
    one; *host*: the environment of who starts it; *log_level*: as the tools' option has it; *console*: the host's path of
    the other side of its console."""

    config: LxcConfig
    name: str
    config_file: str
    mount: str
    host: Mapping[str, str] = field(default_factory=dict)
    log_level: str = "ERROR"
    console: str = ""

    def environment(self, which: str) -> dict[str, str]:
        """The host's, and LXC's names on top."""
        config = self.config
        path = split_kind(config.rootfs_path)[1] if config.rootfs_path else ""
        told = {
            "LXC_NAME": self.name,
            "LXC_CONFIG_FILE": self.config_file,
            "LXC_ROOTFS_PATH": path,
            "LXC_ROOTFS_MOUNT": self.mount,
            "LXC_LOG_LEVEL": self.log_level,
            "LXC_HOOK_VERSION": str(config.hook_version),
            "LXC_HOOK_TYPE": which,
            "LXC_HOOK_SECTION": "lxc",
            "LXC_CGNS_AWARE": "1",
        }
        if self.console or config.console_path:
            told["LXC_CONSOLE"] = self.console or config.console_path
        if config.console_logfile:
            told["LXC_CONSOLE_LOGPATH"] = config.console_logfile
        return {**self.host, **told, **dict(_pairs(config.environment_hooks, self.host))}

    def argv(self, which: str, line: str) -> tuple[str, ...]:
        """Version 0 appends the container's name, "lxc" and the hook's. `start` is a path and nothing else."""
        if which == "start":
            return (line,)
        if self.config.hook_version == 1:
            return ("/bin/sh", "-c", line)
        return ("/bin/sh", "-c", f'{line} "$@"', "sh", self.name, "lxc", which)

    def programs(self) -> Programs:
        """Those that the plan runs, by their points."""
        found: dict[Point, tuple[Program, ...]] = {}
        for which, point in POINTS.items():
            for line in self.config.hooks(which):
                steps = host_program(self.argv(which, line), self.environment(which))
                program = Program(f"lxc.hook.{which} {line}", steps, timeout_s=PATIENCE_S, must_succeed=True)
                found[point] = (*found.get(point, ()), program)
        return found

    def run_on_host(self, which: str, more: Mapping[str, str] | None = None, extra: tuple[str, ...] = ()) -> None:
        """Every program of a hook, one after another, *extra* after its arguments; raises HookFailed for the first that
        fails."""
        for line in self.config.hooks(which):
            env = {**self.environment(which), **(more or {})}
            run_program(f"lxc.hook.{which}", line, (*self.argv(which, line), *extra), env)


def run_program(key: str, line: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
    """A program of the host that *key* names by *line*; raises HookFailed when it fails."""
    code, said = _run(argv, env)
    if code:
        how = f"status {code}" if code > 0 else f"signal {-code}"
        raise HookFailed(f"{key}: {line}: ended with {how}" + _said(said))


def _run(argv: tuple[str, ...], env: Mapping[str, str]) -> tuple[int, bytes]:
    """Exit code and output of a program of the host; what it started is killed with it when the wait is broken off."""
    import subprocess  # most containers have no hook

    pipe, before = subprocess.PIPE, signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:  # a signal meanwhile would leave a program that nobody knows
        signal.pthread_sigmask(signal.SIG_BLOCK, _BREAKING_OFF)
        program = subprocess.Popen(
            argv, cwd="/", env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True,
            preexec_fn=unblock,  # noqa: PLW1509  a tool has no threads
        )  # fmt: skip
    except BaseException:
        unblock()
        raise
    with program:
        try:
            unblock()
            out, err = program.communicate()
        except BaseException:
            os.killpg(program.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
            raise
    return program.returncode, err or out


def judge(plan: Plan, ran: Ran) -> None:
    """Of a program that the plan ran; raises HookFailed when it failed."""
    if not ran.error and not ran.status:
        return
    code = os.waitstatus_to_exitcode(ran.status)
    how = os.strerror(ran.error) if ran.error else f"ended with {f'status {code}' if code > 0 else f'signal {-code}'}"
    raise HookFailed(f"{plan.steps[ran.step].text}: {how}" + _said(ran.said))


def _said(output: bytes) -> str:
    """The end of what a program wrote, as part of a sentence."""
    text = escaped(output.decode(errors="replace").strip()[-400:])
    return f": {text}" if text else ""


def namespaces_of(pid: int) -> dict[str, str]:
    """What the hooks after the end are told: the namespaces of process *pid*, by path."""
    paths = ((name, f"/proc/{pid}/ns/{name}") for name in _NAMESPACES)
    return {f"LXC_{name.upper()}_NS": path for name, path in paths if os.path.exists(path)}


def _pairs(texts: tuple[str, ...], host: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if equals or name in host:
            yield name, value if equals else host[name]
