"""`warden logs`, `events`, `wait`, `inspect`, `jobs`: looking at what runs, and waiting for it."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from warden.cli import connect, jobs, output
from warden.cli.options import Command
from warden.errors import BadInput, Unreachable, WardenError
from warden.model.text import escaped

if TYPE_CHECKING:
    from warden.client.blocking import Client
    from warden.model.events import EventRecord
    from warden.model.info import JobInfo
    from warden.model.job import Chunk

#: How long a daemon that is being restarted is waited for.
RECONNECT_S = 30.0
TIMED_OUT = 124  # as timeout(1)


def line_count(text: str | None) -> int | None:
    """Of --tail; None for all. Raises BadInput."""
    if text is None or text == "all":
        return None
    if not text.isdecimal():
        raise BadInput(f"--tail: {text!r} is not a number of lines", hint="a number, or all")
    return int(text)


class Stamped:
    """Puts the time before each line, by job and stream: a line may come in pieces."""

    def __init__(self) -> None:
        self._inside: set[tuple[int, str]] = set()

    def __call__(self, chunk: Chunk) -> bytes:
        from warden.model.logs import format_moment

        stamp, place = format_moment(chunk.time).encode() + b" ", (chunk.job, chunk.stream)
        text = (b"" if place in self._inside else stamp) + stamp.join(_lines(chunk.data))
        (self._inside.discard if chunk.data.endswith(b"\n") else self._inside.add)(place)
        return text


def _lines(data: bytes) -> list[bytes]:
    """By newlines only, which bytes.splitlines does not."""
    parts = [part + b"\n" for part in data.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return parts if parts[-1] else parts[:-1]


def logs(options: Namespace) -> int:
    """`warden logs`."""
    wanted: dict[str, Any] = {
        "since": options.since,
        "until": options.until,
        "tail": line_count(options.tail),
        "stream": options.stream,
        "lasting": options.follow and options.job is None,
    }
    text: Callable[[Chunk], bytes] = Stamped() if options.timestamps else lambda chunk: chunk.data
    with closing(connect.open_client(options)) as client:
        container = client.container(options.handle)
        for chunk in container.logs(options.job, follow=options.follow, reconnect=RECONNECT_S, **wanted):
            output.write_bytes(chunk.stream, text(chunk))
    return 0


def _filters(words: list[str], names: dict[str, str]) -> dict[str, list[str]]:
    """KEY=VALUE words by what *names* says that their keys stand for. Raises BadInput."""
    found: dict[str, list[str]] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or name not in names:
            raise BadInput(f"--filter: {word!r} is not a filter", hint="KEY=VALUE with " + ", ".join(names))
        found.setdefault(names[name], []).append(value)
    return found


def record_as_json(record: EventRecord) -> dict[str, Any]:
    """An event as `events --format json` shows it."""
    return {
        "seq": record.seq,
        "time": record.time,
        "type": record.type,
        "event": record.event,
        "container": record.container,
        "id": record.id,
        "attributes": dict(record.attributes),
    }


def _record_line(record: EventRecord) -> str:
    from warden.model.logs import format_moment

    attributes = ({"id": record.id} if record.id else {}) | dict(record.attributes)
    words = [format_moment(record.time), record.type, record.event, record.container]
    shown = ", ".join(f"{name}={value}" for name, value in attributes.items())
    return escaped(" ".join(word for word in words if word) + (f" ({shown})" if shown else ""))


def events(options: Namespace) -> int:
    """`warden events`."""
    from warden.cli.picking import as_text, pick, split_path

    kinds = {name: f"{name}s" for name in ("type", "container", "event", "network", "volume")}
    wanted: Any = _filters(options.filter, kinds)
    if options.format not in (None, "json"):
        split_path(options.format)
    with closing(connect.open_client(options)) as client:
        for record in client.events(since=options.since, until=options.until, reconnect=RECONNECT_S, **wanted):
            if options.format is None:
                line = _record_line(record)
            elif options.format == "json":
                line = json.dumps(record_as_json(record))
            else:
                line = "\t".join(map(as_text, pick(record_as_json(record), options.format)))
            print(line, flush=True)
    return 0


def wait(options: Namespace) -> int:
    """`warden wait`: of several containers all are waited for from the beginning; told in the order given."""
    if options.job is not None and len(options.handles) > 1:
        raise BadInput("--job: a job belongs to one container", hint="give one HANDLE")
    with closing(connect.open_client(options)) as client:
        if len(options.handles) == 1:
            return _wait_for(client, options, options.handles[0])()
        from concurrent.futures import ThreadPoolExecutor

        code = 0
        with ThreadPoolExecutor(len(options.handles)) as waiting:
            tellers = [waiting.submit(_wait_for, client, options, handle) for handle in options.handles]
            for teller in tellers:
                code = teller.result()() or code
    return code


def _wait_for(client: Client, options: Namespace, handle: str) -> Callable[[], int]:
    """Waits; what is returned tells how it ended and returns this command's exit code."""
    try:
        result = client.container(handle).wait(
            options.job, condition=options.condition, timeout=options.timeout, reconnect=RECONNECT_S
        )
    except TimeoutError:
        return lambda: _fail(f"{handle}: it still runs after {options.timeout}", TIMED_OUT)
    except WardenError as error:
        text, code = f"{handle}: {error}", error.exit_code
        return lambda: _fail(text, code)
    return lambda: print(jobs.exit_code(result), flush=True) or 0


def _fail(text: str, code: int) -> int:
    output.say(text)
    return code


def inspect(options: Namespace) -> int:
    """`warden inspect`: every handle is tried; the exit code is the first failure's."""
    from warden.cli import foreign
    from warden.cli.picking import as_text, pick, split_path

    if options.format not in (None, "json"):
        split_path(options.format)
    found, code = [], 0
    for handle in options.handles:
        try:
            found.append(foreign.either(options, handle, lambda container: container.inspect(), foreign.as_document))
        except Unreachable:
            raise
        except WardenError as error:
            output.say(f"{handle}: {error}")
            code = code or error.exit_code
    if options.format in (None, "json"):
        output.print_json(found)
    else:
        for document in found:
            print("\n".join(map(as_text, pick(document, options.format))))
    return code


def _job_row(job: JobInfo, now: float) -> tuple[str, ...]:
    from warden.cli.containers import age

    status = "" if job.exit_status is None else f" {job.exit_status}"
    state = "running" if job.running else (job.verdict or "ended") + status
    return str(job.id), state, age(now - job.started), escaped(job.command)


def list_jobs(options: Namespace) -> int:
    """`warden jobs`."""
    from warden.cli.containers import job_as_json

    with closing(connect.open_client(options)) as client:
        found = client.container(options.handle).info().jobs
    if options.json:
        output.print_json([job_as_json(job) for job in found])
    elif options.quiet:
        print("".join(f"{job.id}\n" for job in found), end="")
    else:
        now = time.time()
        print(output.table(("JOB", "STATE", "AGE", "COMMAND"), (_job_row(job, now) for job in found)), end="")
    return 0


COMMANDS = {
    "logs": Command(
        "[OPTION...] HANDLE",
        "Shows the output kept of a container's jobs, in the order of time; nothing is consumed. A line counts by the\n"
        "time at which it began. TIME is such as 2026-01-31T12:00:00Z, seconds since 1970, or 10m for ten minutes ago.\n"
        "With -f it goes on with jobs that start later, over restarts of the daemon, until the container is stopped or\n"
        "destroyed, or its main job is over and nothing runs; with --job until that one ends.",
        ("job", "follow", "since", "until", "tail", "timestamps", "stream", "handle"),
        """
warden logs box
warden logs -f --tail 10 box
warden logs -t --since 10m --stream stderr box
warden logs --job 3 --follow box
""",
        logs,
    ),
    "events": Command(
        "[--since TIME] [--until TIME] [-f KEY=VALUE]... [--format json|PATH]",
        "Shows what happens to containers, jobs, networks and volumes, from now on, or from --since on as far as it is\n"
        "kept. Filters: type (container, job, network, volume), container (a handle or id), network, volume (a name),\n"
        "event (create, start, die, oom, pause, unpause, update, stop, destroy, connect, mount ...); of one kind one must\n"
        "match. Ends when --until is over.",
        ("since", "until", "filter", "format"),
        """
warden events
warden events --since 1h --until 0s
warden events -f type=job -f event=die --format json
warden events -f container=box --format .attributes.verdict
warden events -f type=volume -f event=create -f event=destroy
""",
        events,
    ),
    "wait": Command(
        "[--job N] [--condition CONDITION] [--timeout TIME] HANDLE...",
        "Waits until the main job of each container (else its first) has ended, and prints its exit code as `warden run`\n"
        "would end with. Nothing is collected. It goes on over a restart of the daemon. Ends with 124 after --timeout.",
        ("job", "condition", "wait_timeout", "handles"),
        "warden wait box\nwarden wait --timeout 10 web worker\nwarden wait --condition removed box",
        wait,
    ),
    "inspect": Command(
        "[-f PATH] HANDLE...",
        "Shows everything known of containers as JSON: state, limits, network, mounts, jobs, cgroups, namespaces. PATH\n"
        "picks a part of it. lxc:NAME is one of LXC's.",
        ("pick", "handles"),
        "warden inspect box\nwarden inspect --format .network.ip box\nwarden inspect -f '.jobs[0].result.verdict' box",
        inspect,
    ),
    "jobs": Command(
        "[-q] [--json] HANDLE",
        "Lists the jobs of a container, those that have ended too, as long as nobody has collected their results.",
        ("job_numbers", "json", "handle"),
        "warden jobs box\nwarden jobs --json box",
        list_jobs,
    ),
}
