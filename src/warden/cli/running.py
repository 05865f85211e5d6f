"""`warden run`, `create` and `exec`: options to a container and a job, then the job's end to an exit code."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from warden.cli import connect, jobs, output
from warden.cli.control import signal_number
from warden.cli.envfile import read_env_file
from warden.cli.mounting import all_mounts
from warden.cli.options import (
    CONTAINER,
    JOB,
    NAMES,
    Command,
    given_limits,
    given_network,
    read_script,
    split_env,
    split_rlimits,
)
from warden.cli.signals import Interrupted, Signals
from warden.cli.terminal import window_size
from warden.errors import BadInput, WardenError
from warden.model.job import Verdict
from warden.model.size import parse_duration, parse_size

if TYPE_CHECKING:
    from warden.client.blocking import Client, Container
    from warden.model.job import JobSpec

#: Seconds after which the daemon removes the container of a `run` whose command was killed outright.
ORPHAN_GRACE_S = 10


def creation_arguments(options: Namespace) -> dict[str, Any]:
    """What `Client.create` gets; raises BadInput."""
    wanted: dict[str, Any] = {
        "handle": options.name,
        "image": options.image,
        "rootfs": os.path.abspath(options.rootfs) if options.rootfs else None,
        "mounts": all_mounts(options),
        "hostname": options.hostname,
        **given_network(options),
        **{name: value for name in NAMES if (value := getattr(options, name))},
        "user_namespace": False if options.no_user_namespace else None,  # None: as the daemon is configured
        **life_arguments(options),
        **_network_arguments(options),
        **given_limits(options),
    }
    if options.image and options.rootfs:
        raise BadInput("--image and --rootfs exclude each other")
    return wanted


def life_arguments(options: Namespace) -> dict[str, Any]:
    """The part that says how the container lives, as far as it is given; raises BadInput."""
    wanted: dict[str, Any] = {
        "volumes_from": tuple(options.volumes_from),
        "shm_size": parse_size(options.shm_size, field="--shm-size") if options.shm_size else None,
        "labels": dict(split_label(word) for word in options.label),
        "stop_timeout": parse_duration(options.stop_timeout, field="--stop-timeout") if options.stop_timeout else None,
        "restart": options.restart if options.restart != "no" else None,
        "read_only": options.read_only or None,
    }
    if options.stop_signal:
        wanted["stop_signal"] = signal_number(options.stop_signal, "--stop-signal")
    return {name: value for name, value in wanted.items() if value not in (None, (), {})}


def split_label(word: str) -> tuple[str, str]:
    """NAME=VALUE; NAME alone has an empty value, as docker's."""
    name, _, value = word.partition("=")
    return name, value


def _environment(options: Namespace) -> dict[str, str]:
    """What is given by --env goes over what is in files, and of these the later over the earlier."""
    caller, found = dict(os.environ), {}
    for path in options.env_file:
        found.update(read_env_file(path, caller))
    return found | split_env(options.env, caller)


def _network_arguments(options: Namespace) -> dict[str, Any]:
    given = {"publish": options.publish, "net_allow": options.create_allow, "net_deny": options.create_deny}
    bound = {} if options.connections is None else {"net_connections": options.connections}
    return bound | {name: value for name, value in given.items() if value}


def _command_of(options: Namespace) -> dict[str, Any]:
    if options.script:
        if options.command:
            raise BadInput("give either a command or --script")
        if options.script == "-" and options.interactive:
            raise BadInput("--script - and -i both want standard input")
        return {"script_or_argv": read_script(options.script)}
    if not options.command:
        if not jobs.stdin_is_terminal():
            raise BadInput("no command given", hint="warden run -- CMD ..., or --script FILE")
        options.interactive = options.tty = True
        return {"script_or_argv": ["bash"]}
    return {"script_or_argv": list(options.command)}


def job_arguments(options: Namespace) -> dict[str, Any]:
    """What `Container.spawn` gets; without a command at a terminal it is an interactive bash. Raises BadInput."""
    wanted = _command_of(options)
    wanted["env"] = _environment(options)
    wanted["cwd"], wanted["user"], wanted["privileged"] = options.cwd, options.user, options.privileged
    wanted["rlimits"] = split_rlimits(options.rlimit)
    wanted["timeout"] = parse_duration(options.timeout, field="--timeout") if options.timeout else None
    wanted["cpu_timeout"] = parse_duration(options.cpu_timeout, field="--cpu-timeout") if options.cpu_timeout else None
    wanted["output_limit"] = parse_size(options.output_limit, field="--output-limit") if options.output_limit else None
    wanted["interactive"], wanted["tty"] = options.interactive, options.tty
    if options.tty:
        _terminal_arguments(options, wanted)
    return wanted


def _terminal_arguments(options: Namespace, wanted: dict[str, Any]) -> None:
    if options.json:
        raise BadInput("--json and -t exclude each other")
    if options.interactive and not options.detach and not jobs.stdin_is_terminal():
        raise BadInput("-t: standard input and output are not a terminal")
    wanted["rows"], wanted["columns"] = window_size(0)
    wanted["env"].setdefault("TERM", os.environ.get("TERM", "xterm"))


def _run_job(container: Container, options: Namespace, job: dict[str, Any], signals: Signals) -> int:
    """Starts the job, follows it, reports; the exit code."""
    collected = jobs.Collected()
    sink = collected.write if options.json else jobs.write_through
    running = container.spawn(job.pop("script_or_argv"), **job)
    signals.forward(jobs.forwarder(lambda: connect.open_client(options), container.handle, running.id))
    try:
        result = jobs.follow(running, signals, sink, interactive=options.interactive, tty=options.tty)
    except BrokenPipeError:
        with suppress(WardenError):  # nobody reads the output any more; the job may have ended by itself
            running.kill()
        raise
    finally:
        signals.forward(None)
    if options.json:
        output.print_json(jobs.as_json(container.handle, result, collected))
    else:
        out_of_memory = Verdict(result.verdict) is Verdict.OUT_OF_MEMORY
        if text := jobs.sentence(result, jobs.memory_of(container) if out_of_memory else (None, None)):
            output.say(text)
    return jobs.exit_code(result)


def run(options: Namespace) -> int:
    """`warden run`."""
    if options.rm and options.keep:
        raise BadInput("--rm excludes --keep")
    if options.restart != "no" and not options.detach:
        raise BadInput("--restart needs --detach", hint="warden run -d --restart …")
    wanted, job = creation_arguments(options), job_arguments(options)
    if options.detach:
        return _run_detached(options, wanted, job)
    if not options.keep:
        wanted["grace_time"] = ORPHAN_GRACE_S
    try:
        with Signals() as signals, closing(connect.open_client(options, start=True)) as client:
            return _run_attached(client, options, wanted, job, signals)
    except Interrupted as interrupted:
        return 128 + interrupted.number


def _create(client: Client, wanted: dict[str, Any], cidfile: str | None = None) -> Container:
    """The container; limits that were left out are told."""
    with _handle_file(cidfile) as write:
        container = client.create(wanted.pop("handle"), **wanted)
        try:
            write(container.handle)
        except BaseException:  # nobody would know of it
            with suppress(WardenError):
                container.destroy()
            raise
    for warning in container.warnings:
        output.say(f"not limited: {warning}")
    return container


@contextmanager
def _handle_file(path: str | None) -> Iterator[Callable[[str], object]]:
    """A new file for a handle; without one in it, it goes again. Raises BadInput when it exists or cannot be written."""
    if path is None:
        yield lambda _handle: None
        return

    def write(handle: str) -> None:
        try:
            with file:
                file.write(handle)  # on the way at the latest when it is closed, which may fail as well
        except OSError as error:
            hint = "the container was destroyed again"
            raise BadInput(f"--cidfile {path}: {error.strerror}", hint=hint) from None

    try:
        file = open(path, "x")  # noqa: SIM115 - not by its name again: that may be somebody's link by then
    except OSError as error:
        hint = "the file must not exist" if isinstance(error, FileExistsError) else ""
        raise BadInput(f"--cidfile {path}: {error.strerror}", hint=hint) from None
    try:
        yield write
    except BaseException:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            os.unlink(path)
        raise


def _run_attached(
    client: Client, options: Namespace, wanted: dict[str, Any], job: dict[str, Any], signals: Signals
) -> int:
    container = _create(client, wanted, options.cidfile)
    with ExitStack() as stack:
        if not options.keep:
            stack.enter_context(container)
        signals.check()
        return _run_job(container, options, job, signals)


def _main(job: dict[str, Any]) -> JobSpec:
    from warden.client.messages import job_spec

    return job_spec(job.pop("script_or_argv"), job)  # type: ignore[arg-type]


def _run_detached(options: Namespace, wanted: dict[str, Any], job: dict[str, Any]) -> int:
    if options.json:
        raise BadInput("--detach excludes --json")
    wanted |= {"main": _main(job), "auto_remove": options.rm}
    with closing(connect.open_client(options, start=True)) as client:
        container = _create(client, wanted, options.cidfile)
        try:
            container.start()
        except BaseException:
            with suppress(WardenError):
                container.destroy()
            raise
        print(container.handle)
    return 0


def create(options: Namespace) -> int:
    """`warden create`."""
    wanted = creation_arguments(options)
    if options.grace_time:
        wanted["grace_time"] = parse_duration(options.grace_time, field="--grace-time")
    if options.command or options.script:
        options.interactive = options.json = False
        wanted |= {"main": _main(job_arguments(options)), "auto_remove": options.rm}
    elif options.rm or options.restart != "no":
        raise BadInput("--rm and --restart need a command", hint="warden create … -- CMD")
    with closing(connect.open_client(options, start=True)) as client:
        print(_create(client, wanted, options.cidfile).handle)
    return 0


def execute(options: Namespace) -> int:
    """`warden exec`."""
    job = job_arguments(options)
    try:
        with Signals() as signals, closing(connect.open_client(options)) as client:
            container = client.container(options.handle)
            if not options.detach:
                return _run_job(container, options, job, signals)
            print(container.spawn(job.pop("script_or_argv"), **job).id)
            return 0
    except Interrupted as interrupted:
        return 128 + interrupted.number


COMMANDS = {
    "run": Command(
        "[OPTION...] [--] [CMD...]",
        "Runs CMD in a new container and removes the container afterwards. Without CMD, at a terminal, runs bash. Ends "
        "with CMD's exit code,\n128+N for signal N, 124 for --timeout, 137 when memory ran out.",
        (*CONTAINER, *JOB, "rm", "keep", "detach", "command"),
        """
warden run -- echo hello
warden run -m 64M --timeout 10 -- python3 -c 'print(6 * 7)'
warden run -v ./src:/src:ro -w /src -- make check
warden run -p 8080:80 -- python3 -m http.server 80
warden run -it -- bash
warden run -d -it --name box -- bash && warden attach box
warden run --json --script job.sh
warden run -d --name db --restart always -v data:/var/lib/db -- ./db
warden run --read-only --tmpfs /tmp:size=16M -- ./untrusted
""",
        run,
    ),
    "create": Command(
        "[OPTION...] [--] [CMD...]",
        "Makes a container and prints its handle. CMD becomes its main job, which `warden start` begins.",
        (*CONTAINER, "grace_time", *(name for name in JOB if name not in ("interactive", "json")), "rm", "command"),
        """
warden create --name box --memory 256M --cpus 1.5 --pids 200
warden create --image busybox --network none
warden create --name web --restart on-failure:3 -- ./serve
""",
        create,
    ),
    "exec": Command(
        "[OPTION...] HANDLE [--] CMD...",
        "Runs CMD in a container that exists; ends as `warden run` does.",
        (*JOB, "detach", "handle", "command"),
        """
warden exec box -- ls -l /
warden exec -it box bash
warden exec --timeout 2m --privileged box -- apt-get update
""",
        execute,
    ),
}
