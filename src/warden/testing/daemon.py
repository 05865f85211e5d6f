"""A private `wardend`: its own socket, depot, images, cgroup parent and address pool, for a test or a demonstration.

Owns starting and stopping it. It destroys the containers that are left, because a daemon that stops leaves them alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType

from warden.errors import EngineFault, UnknownHandle, WardenError

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0

_CONFIG = """\
server:
  unix_domain_path: {root}/warden.sock
  container_depot_path: {root}/depot
  images_path: {root}/images
  cgroup_parent: {cgroup_parent}
network:
  pool_network: {pool}
  nft_table: {cgroup_parent}
  forwarding: {forwarding}
{more}disk:
  backend: {disk}
"""


def private_pool() -> str:
    """A /22 by process number: private daemons of several processes and the machine's own must not share addresses."""
    number = os.getpid() % 2048
    return f"10.{192 + number // 64}.{number % 64 * 4}.0/22"


class PrivateDaemon:
    """Running inside the `with` block. Needs root.

    *socket*, *depot*: where it is; *cgroup_parent*: the name of its cgroup; *log*: the file with all that it wrote.
    *nft_table*: the name of its table. *netns*: a network namespace (a path such as /run/netns/NAME) to run in, where
    it may switch forwarding on, which it leaves alone otherwise. *network*: lines for the section of that name.
    *disk*: disk.backend; limiting nothing is the fastest. LXC's containers it knows only by WARDEN_LXC_STATE.
    Raises EngineFault when it does not come up, with the end of its log.
    """

    def __init__(self, *, netns: str | None = None, network: Sequence[str] = (), disk: str = "none") -> None:
        self.root = tempfile.mkdtemp(prefix="warden-private-")
        self.socket = f"{self.root}/warden.sock"
        self.depot = f"{self.root}/depot"
        self.log = f"{self.root}/wardend.log"
        self.config = f"{self.root}/warden.yml"
        self.cgroup_parent = f"warden-private-{os.path.basename(self.root).removeprefix('warden-private-')}"
        self.nft_table = self.cgroup_parent
        self.pool = private_pool()
        with open(self.config, "w") as file:
            names = {"root": self.root, "cgroup_parent": self.cgroup_parent, "pool": self.pool}
            more = "".join(f"  {line}\n" for line in network)
            forwarding = "false" if netns is None else "true"
            file.write(_CONFIG.format(**names, forwarding=forwarding, more=more, disk=disk))
        self._prefix = [] if netns is None else ["nsenter", f"--net={netns}"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the daemon; 0 while none runs."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Starts it and waits until it listens; also again after `stop` or `kill`."""
        reader, writer = os.pipe()
        try:
            with open(self.log, "ab") as log:
                self._process = subprocess.Popen(
                    [*self._prefix, sys.executable, "-m", "warden.cli.wardend", self.config, "--ready-fd", str(writer)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(writer,),
                    env={"WARDEN_LXC_STATE": f"{self.root}/lxc", **os.environ},
                )
            os.close(writer)
            writer = -1
            ready, _, _ = select.select([reader], [], [], START_TIMEOUT_S)
            if not ready or not os.read(reader, 1):
                self.kill()
                raise EngineFault(f"wardend did not start: {self.log_tail()}")
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)

    def log_tail(self) -> str:
        """The last lines of its log."""
        with open(self.log, "rb") as file:
            return file.read()[-2000:].decode(errors="replace").strip()

    def kill(self) -> None:
        """SIGKILL, as a crash; containers go on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """SIGTERM and its exit code; SIGKILL after a minute. Containers go on."""
        return self._end_by(signal.SIGTERM)

    def drain(self) -> int:
        """The same by SIGUSR2: requests in work are finished first."""
        return self._end_by(signal.SIGUSR2)

    def _end_by(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise EngineFault(f"wardend did not stop within {STOP_TIMEOUT_S:.0f} s: {self.log_tail()}") from None
        self._process = None
        return code

    def destroy_all(self) -> None:
        """Destroys every container that it has. Raises EngineFault when one stays."""
        from warden.client.blocking import Client

        client = Client(self.socket)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        try:
            while handles := client.list():
                for handle in reversed(handles):  # who shares another's network comes after it
                    with contextlib.suppress(UnknownHandle):  # one that goes with its main job
                        client.container(handle).destroy()
                if time.monotonic() > deadline:
                    raise EngineFault(f"containers stay whatever is done: {', '.join(client.list())}")
        finally:
            client.close()

    def _left(self) -> bool:
        """Whether containers run, of a daemon that was killed and not started again."""
        from warden.testing.leaks import look

        return bool(look(self.cgroup_parent).processes)

    def _remove_cgroups(self) -> None:
        """The parent directories alone; one that is not empty stays, for the leak check to find."""
        from warden.testing.leaks import look

        for directory in look(self.cgroup_parent).cgroups:
            if os.path.basename(directory) != self.cgroup_parent:
                continue
            for _ in range(500):
                try:
                    os.rmdir(directory)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)  # EBUSY for a moment after the last process ended

    def __enter__(self) -> PrivateDaemon:
        try:
            self.start()
        except BaseException:
            self._clean()
            raise
        return self

    def _clean(self) -> None:
        self._remove_cgroups()
        from warden.testing.leaks import look

        if not look(self.cgroup_parent, self.root).mounts:  # never remove through a mount that was left
            shutil.rmtree(self.root, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if (self._process is None or self._process.poll() is not None) and self._left():
                self.start()  # a test that failed between a kill and a start leaves nothing either
            if self._process is not None and self._process.poll() is None:
                self.destroy_all()
        except WardenError as failure:
            if error is None:
                raise
            error.add_note(f"destroying what was left failed too: {failure}")
        finally:
            try:
                self.stop()
            finally:
                self._clean()
