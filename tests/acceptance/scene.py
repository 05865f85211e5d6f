"""What the acceptance tests share: a daemon with other settings, and a look at everything one daemon has on the machine.

Owns looking and waiting. It asserts nothing about what a container may do: that is each test's own promise.
"""

from __future__ import annotations

import fcntl
import os
import socket
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import yaml

from warden.client.blocking import Client, JobHandle, Result
from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon

PATIENCE_S = 30.0


@contextmanager
def daemon_with(**network: object) -> Iterator[PrivateDaemon]:
    """A private daemon with these keys in the section `network` of its file; afterwards nothing may be left of it."""
    with configured_daemon(network=network) as private:
        yield private


@contextmanager
def configured_daemon(**sections: dict[str, Any]) -> Iterator[PrivateDaemon]:
    """The same with these keys in any sections."""
    private = PrivateDaemon()
    with open(private.config) as file:
        settings = yaml.safe_load(file)
    for name, values in sections.items():
        settings[name] = {**settings.get(name, {}), **values}
    with open(private.config, "w") as file:
        yaml.safe_dump(settings, file)
    before = leaks.look(private.cgroup_parent, private.root)
    with private:
        yield private
    found = leaks.leaks(before, private.cgroup_parent, private.root)
    assert not found, f"left behind: {found}"
    wait_until(lambda: not processes_of(private), "processes were left behind")


@contextmanager
def roomy_daemon() -> Iterator[PrivateDaemon]:
    """One with a thousand networks, each usable again at once."""
    with daemon_with(pool_network=f"10.{200 + os.getpid() % 40}.0.0/20", release_delay=0) as private:
        yield private


def processes_of(private: PrivateDaemon) -> set[int]:
    """Host pids of everything that runs in one of its containers, or makes one: their overlay's layer lies in its depot.

    Nothing less will do, since callers kill what they get: with a pool or loop every process of the host has mounts there.
    """
    layer = f"upperdir={private.depot}/"
    found = set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/mountinfo") as file:
                if layer in file.read():
                    found.add(int(name))
        except OSError:
            continue  # it ended while we looked
    return found


def commands_of(private: PrivateDaemon) -> dict[int, str]:
    """The same, each with the name of its program (comm)."""
    found = {}
    for pid in processes_of(private):
        with suppress(OSError), open(f"/proc/{pid}/comm") as file:
            found[pid] = file.read().strip()
    return found


def command_lines_of(private: PrivateDaemon) -> list[str]:
    """Their words, with spaces between them."""
    found = []
    for pid in processes_of(private):
        with suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
            found.append(file.read().rstrip("\0").replace("\0", " "))
    return found


def holdings(private: PrivateDaemon) -> dict[str, set[str]]:
    """All that belongs to its containers, by kind."""
    seen = leaks.look(private.cgroup_parent, private.root)
    return {
        "cgroups": set(seen.cgroups),
        "mounts": set(seen.mounts),
        "links": {name for name in seen.links if os.path.isdir(f"{private.depot}/{name.split('-')[1]}")},
        "directories": {name for name in os.listdir(private.depot) if not name.startswith(".")},
        "jobs": {f"{name}/{job}" for name in _containers(private) for job in _listing(private, name)},
        "trash": set(os.listdir(f"{private.depot}/.trash")),
        "processes": set(map(str, processes_of(private))),
        "descriptors": {str(_descriptors(private))},
    }


def _descriptors(private: PrivateDaemon) -> int:
    """How many the daemon has open; those to its clients, who may have several, are not counted."""
    with open("/proc/net/unix") as file:
        fields = [line.split() for line in file]
    clients = {f"socket:[{line[6]}]" for line in fields if line[-1] == private.socket}
    held = 0
    for number in os.listdir(f"/proc/{private.pid}/fd"):
        with suppress(FileNotFoundError):
            held += os.readlink(f"/proc/{private.pid}/fd/{number}") not in clients
    return held


def _containers(private: PrivateDaemon) -> list[str]:
    return [name for name in os.listdir(private.depot) if not name.startswith(".")]


def _listing(private: PrivateDaemon, name: str) -> list[str]:
    try:
        return os.listdir(f"{private.depot}/{name}/jobs")
    except FileNotFoundError:
        return []


@contextmanager
def nothing_new(private: PrivateDaemon) -> Iterator[None]:
    """Inside the block the daemon may do what it likes; at the end it must have what it had, down to descriptors."""
    before = _settled(private)
    yield
    wait_until(lambda: _nothing_more(holdings(private), before), lambda: f"{before} became {holdings(private)}")


def _nothing_more(now: dict[str, set[str]], before: dict[str, set[str]]) -> bool:
    """Fewer descriptors are fine: one that belonged to the client before, say, has been closed meanwhile."""
    [had], [has] = before["descriptors"], now["descriptors"]
    return int(has) <= int(had) and {**now, "descriptors": {had}} == before


def _settled(private: PrivateDaemon) -> dict[str, set[str]]:
    """What it has when what went before is cleared away."""
    seen = [holdings(private)]

    def is_quiet() -> bool:
        seen.append(holdings(private))
        return seen[-1] == seen[-2] and not seen[-1]["trash"]

    wait_until(is_quiet)
    return seen[-1]


def wait_until(
    is_so: Callable[[], bool], complaint: Callable[[], str] | str = "it never came", seconds: float = PATIENCE_S
) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, complaint if isinstance(complaint, str) else complaint()
        time.sleep(0.02)


def wait_until_connected(pid: int) -> None:
    """Until a command keeps a connection to its daemon, and so has asked for something that is not answered at once."""

    def keeps_one() -> bool:
        return bool(_connected(pid)) and is_waiting(f"/proc/{pid}") and bool(_connected(pid))

    wait_until(keeps_one, "it never connected")


def is_waiting(task: str) -> bool:
    """Whether a task, by its directory in /proc, sleeps and did so all the time of a while: what waits for a processor
    does not sleep, and who was woken has switched."""
    before = _sleep_of(task)
    for _ in range(3):
        time.sleep(0.1)
        if before is None or _sleep_of(task) != before:
            return False
    return True


def _sleep_of(task: str) -> str | None:
    """Its context switches; None when it does not sleep."""
    with open(f"{task}/status") as file:
        found = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    switches = found["voluntary_ctxt_switches"].strip()
    return switches if found["State"].startswith("S") else None


def wait_until_read(sock: socket.socket) -> None:
    """Until the daemon has read what was sent to it: the rest counts as this end's (SIOCOUTQ of unix(7))."""
    wait_until(lambda: not any(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))), "the daemon does not read")


def _connected(pid: int) -> set[str]:
    """Inodes of its Unix sockets that are connected (state 03 of /proc/net/unix)."""
    with open("/proc/net/unix") as file:
        connected = {line[6] for line in map(str.split, file) if len(line) > 6 and line[5] == "03"}
    found = set()
    with suppress(FileNotFoundError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}").removeprefix("socket:[").rstrip("]"))
    return found & connected


def collect(job: JobHandle) -> tuple[bytes, bytes, Result]:
    """Everything a job wrote, by its stream from the first byte, and its result."""
    parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    with job.stream() as stream:
        for chunk in stream:
            parts[chunk.stream].append(chunk.data)
    assert stream.result is not None
    return b"".join(parts["stdout"]), b"".join(parts["stderr"]), stream.result


def read_until(job: JobHandle, wanted: bytes) -> bytes:
    """What it has written, as soon as *wanted* is in it."""
    seen = b""
    with job.stream() as stream:
        for chunk in stream:
            seen += chunk.data
            if wanted in seen:
                return seen
    raise AssertionError(f"it ended without {wanted!r}: {seen!r}")


def client_of(private: PrivateDaemon) -> Client:
    return Client(private.socket, timeout=120)
