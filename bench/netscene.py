"""What the network benchmark needs of the kernel: namespaces held by processes, a bare veth, a host with a world outside.

Nothing here is in the machine's own network namespace, so nothing of it is left when the processes end. Must not measure.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.host import Unavailable

#: Of RFC 2544's networks, as daemon.py's pool; only inside of these namespaces.
HOST, OUTSIDE, NEAR, FAR = "198.18.0.1", "198.18.0.2", "198.18.1.1", "198.18.1.2"
START_S = 5


@dataclass(frozen=True)
class Space:
    """A network namespace by the process that holds it."""

    pid: int

    @property
    def path(self) -> str:
        return f"/proc/{self.pid}/ns/net"

    def run(self, command: str) -> None:
        words = ["nsenter", f"--net={self.path}", *command.split()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{command}: {done.stderr.strip() or done.returncode}")


@contextlib.contextmanager
def space() -> Iterator[Space]:
    """A new one, with `lo` up; it goes with the block."""
    with subprocess.Popen(["unshare", "--net", "sleep", "infinity"], start_new_session=True) as holder:
        try:
            made = Space(holder.pid)
            until = time.monotonic() + START_S
            while os.readlink(made.path) == os.readlink("/proc/self/ns/net"):
                if time.monotonic() > until:
                    raise Unavailable("unshare made no network namespace")
                time.sleep(0.005)
            made.run("ip link set lo up")
            yield made
        finally:
            holder.kill()


@dataclass(frozen=True)
class Scene:
    """*near* and *far* are the ends of a bare veth; *outside* is what *host* has its default route to."""

    near: Space
    far: Space
    host: Space
    outside: Space


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    with space() as near, space() as far, space() as host, space() as outside:
        join(near, NEAR, far, FAR)
        join(host, HOST, outside, OUTSIDE)
        host.run(f"ip route add default via {OUTSIDE}")
        yield Scene(near, far, host, outside)


def join(one: Space, address: str, other: Space, across: str) -> None:
    """A veth between them, called `w-bench` on both sides."""
    one.run(f"ip link add w-bench type veth peer name w-bench netns {other.pid}")
    for where, own in ((one, address), (other, across)):
        where.run(f"ip address add {own}/24 dev w-bench")
        where.run("ip link set w-bench up")
