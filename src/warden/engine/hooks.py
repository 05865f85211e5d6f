"""The operator's programs that run at points of a container's life (configuration section `hooks`).

They run on the host as the daemon's user, without a shell, in a session of their own, with the event as JSON on standard
input; their output goes to the log. Each has a deadline, after which its process group is killed. Nothing but the
request that a hook belongs to waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from warden.engine.events import ContainerFacts, Event, JobEnded, OutOfMemory
from warden.engine.jobfiles import result_to_data
from warden.errors import HookFailed
from warden.model.settings import Hook
from warden.model.text import escaped
from warden.records import asdict

log = logging.getLogger("warden.hooks")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOGGED = 16 * 1024  # bytes of a hook's output that are looked at
AT_ONCE = 16  # hooks of events: more wait for their turn


class Hooks:
    """The hooks of one engine by their point."""

    def __init__(self, hooks: Mapping[str, tuple[Hook, ...]]) -> None:
        self._hooks = {point: found for point, found in hooks.items() if found}
        self._turn = asyncio.Semaphore(AT_ONCE)

    def wants(self, event: Event) -> bool:
        return _point_of(event) in self._hooks

    async def run(self, point: str, facts: ContainerFacts) -> None:
        """One after another. Raises HookFailed at the first that failed and whose failure counts."""
        for hook in self._hooks.get(point, ()):
            await _run(hook, point, {"event": point, "container": asdict(facts)})

    async def after(self, event: Event) -> None:
        """The same for an event, of which nothing can be refused any more."""
        point = _point_of(event)
        data: dict[str, Any] = {"event": point, "container": asdict(event.container)}
        if isinstance(event, JobEnded):
            data["job"] = {"id": event.job_id, "command": event.command, **result_to_data(event.result)}
        async with self._turn:
            for hook in self._hooks.get(point, ()):
                await _run(hook, point, data)


def _point_of(event: Event) -> str:
    if isinstance(event, JobEnded):
        return "on_job_end"
    return "on_out_of_memory" if isinstance(event, OutOfMemory) else ""


async def _run(hook: Hook, point: str, data: Mapping[str, Any]) -> None:
    name = f"hook {point} {hook.path}"
    with _memory_file(json.dumps(data).encode()) as given, _memory_file(b"") as output:
        failure = await _outcome(hook, environment(data), given, output)
        said = os.pread(output, LOGGED, 0)
    conclude(name, failure, said, must_succeed=hook.must_succeed)


def conclude(name: str, failure: str, said: bytes, *, must_succeed: bool) -> None:
    """Logs what a hook wrote; raises HookFailed when it failed and that counts."""
    lines = said.decode(errors="replace").splitlines()
    for line in lines:
        log.info("%s: %s", name, line)
    if failure and must_succeed:
        raise HookFailed(f"{name}: {failure}", hint=escaped(lines[-1]) if lines else "")
    if failure:
        log.warning("%s: %s; ignored", name, failure)


async def _outcome(hook: Hook, environment: Mapping[str, str], given: int, output: int) -> str:
    """How it failed; empty when it did not. A hook that is cut off, by whatever, does not outlive this."""
    try:
        process = await asyncio.create_subprocess_exec(
            hook.path, *hook.args, stdin=given, stdout=output, stderr=output, env=environment, cwd="/",
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return f"exec: {error.strerror}"
    try:
        status = await asyncio.wait_for(process.wait(), hook.timeout_s)
    except TimeoutError:
        return f"killed after {hook.timeout_s:g} seconds"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return failure_of(status)


def failure_of(status: int) -> str:
    """In words, for a status that is negative for a signal; empty for success."""
    if status < 0:
        return f"killed by signal {-status}"
    return f"exit status {status}" if status else ""


def environment(data: Mapping[str, Any]) -> dict[str, str]:
    """What a hook finds in its environment of what it is told as JSON."""
    container = data["container"]
    found = {"PATH": PATH, "LANG": os.environ.get("LANG", "C.UTF-8"), "WARDEN_EVENT": data["event"]}
    for name in ("handle", "id", "state", "path", "pid", "host_ip", "container_ip", "image"):
        found["WARDEN_" + name.upper()] = str(container[name]).replace("\0", "")
    if "job" in data:
        found["WARDEN_JOB_ID"] = str(data["job"]["id"])
    return found


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    """A file for standard input or output: nobody has to pump it, and a child left behind cannot hold it open for us."""
    fd = os.memfd_create("hook", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
