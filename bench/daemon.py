"""A private wardend for the benchmark: its own socket, depot, pools and cgroup parent; everything removed at the end.

Owns starting and ending it. Must not measure.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.host import NAME, Unavailable, remove_all_cgroups

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20

#: The upper half of RFC 2544's benchmark network; floor.c uses the lower.
CONFIG = """\
server:
  unix_domain_path: {directory}/warden.sock
  container_depot_path: {directory}/depot
  images_path: {directory}/images
  cgroup_parent: {parent}
  job_output_limit: 1073741824
logging:
  level: warn
network:
  pool_network: 198.19.0.0/16
  release_delay: 0.0
  nft_table: {name}
  forwarding: {forwarding}
  allow_networks: [198.18.0.0/15]
user:
  id_range_start: 1375731712
  id_range_count: 2048
"""


@dataclass(frozen=True)
class Daemon:
    """A running wardend."""

    process: subprocess.Popen[bytes]
    socket: str
    log: Path

    def rss_kib(self) -> int:
        return rss_kib(self.process.pid)


def rss_kib(pid: int) -> int:
    """Resident memory of a process in KiB (proc_pid_status(5): VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Unavailable(f"process {pid} has no VmRSS")


def find_command(name: str) -> str:
    """A command of the environment that this Python belongs to, else from PATH; raises Unavailable."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise Unavailable(f"{name} is not installed (run scripts/test or pip install -e . first)")
    return found


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:200] if lines else "no output"


def wait_ready(process: subprocess.Popen[bytes], fd: int, log: Path) -> None:
    """Waits for the byte that wardend writes when it listens; raises Unavailable with the log's last line."""
    readable, _, _ = select.select([fd], [], [], START_TIMEOUT_S)
    if not readable:
        raise Unavailable(f"wardend did not get ready in {START_TIMEOUT_S} s: {last_line(log)}")
    if not os.read(fd, 64):
        raise Unavailable(f"wardend ended with {process.wait()}: {last_line(log)}")


def launch(directory: Path, parent: str, within: str | None) -> tuple[subprocess.Popen[bytes], int]:
    """Starts wardend in a session of its own, so that Ctrl-C reaches only the benchmark; and its ready pipe."""
    config = directory / "wardend.yml"
    forwarding = "false" if within is None else "true"
    config.write_text(CONFIG.format(directory=directory, name=NAME, parent=parent, forwarding=forwarding))
    enter = [] if within is None else ["nsenter", f"--net={within}"]
    words = ["--socket", str(directory / "warden.sock"), "--depot", str(directory / "depot")]
    command = find_command("wardend")
    reader, writer = os.pipe()
    try:
        with (directory / "wardend.log").open("wb") as log:
            process = subprocess.Popen(
                [*enter, command, *words, "--ready-fd", str(writer), str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writer],
                start_new_session=True,
            )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return process, reader


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends wardend politely, then by force; its containers are gone with our cgroup afterwards."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def private_daemon(directory: Path, *, within: str | None = None) -> Iterator[Daemon]:
    """A wardend that listens; at the end it is stopped and what is left in its cgroup is killed. *within*: the file of a
    network namespace for it, where it also forwards."""
    parent = f"{NAME}/warden" if within is None else f"{NAME}/network"
    process, ready = launch(directory, parent, within)
    log = directory / "wardend.log"
    try:
        with os.fdopen(ready, "rb", buffering=0):
            wait_ready(process, ready, log)
        yield Daemon(process, str(directory / "warden.sock"), log)
    finally:
        stop(process)
        remove_all_cgroups(parent)
