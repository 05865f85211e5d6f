"""Reaching the daemon: which socket, whether anybody listens, and starting one when `run` or `create` needs it."""

from __future__ import annotations

import os
import socket as sockets
import sys
import time
from argparse import Namespace
from typing import IO, TYPE_CHECKING

from warden.errors import BadInput, NotPermitted, Unreachable

if TYPE_CHECKING:
    from subprocess import Popen

    from warden.client.blocking import Client

START_TIMEOUT_S = 30.0


def socket_path(options: Namespace) -> str:
    """--socket, else $WARDEN_SOCKET, else the default."""
    from warden.model.settings import DEFAULT_SOCKET

    return options.socket or os.environ.get("WARDEN_SOCKET") or DEFAULT_SOCKET


def listening(path: str) -> bool:
    """Whether a daemon accepts connections there; raises NotPermitted when only the rights are missing."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except PermissionError as error:
            raise NotPermitted(f"connect {path}: permission denied", hint="run it as root") from error
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except OSError as error:
            raise BadInput(f"connect {path}: {error}") from error
    return True


def open_client(options: Namespace, *, start: bool = False) -> Client:
    """A client of the daemon; with *start* one is started when nobody listens. Raises Unreachable, NotPermitted."""
    path = socket_path(options)
    if not listening(path):
        if not start:
            raise Unreachable(f"no daemon listens on {path}", hint=f"start one with: wardend --socket {path}")
        start_daemon(path)
    from warden.client.blocking import Client

    return Client(path)


def log_path(path: str) -> str:
    """Where a daemon that is started on demand writes its log."""
    from warden.model.settings import DEFAULT_SOCKET

    return "/var/log/warden.log" if path == DEFAULT_SOCKET else path + ".log"


def start_daemon(path: str) -> None:
    """Starts wardend apart from this terminal and waits until it listens on *path*.

    Raises NotPermitted without root, Unreachable when it ends or does not answer in 30 s.
    """
    if os.geteuid() != 0:
        raise NotPermitted(
            f"no daemon listens on {path} and starting one needs root", hint="use sudo, or start wardend as root"
        )
    import fcntl

    os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
    # Nobody else's to open, or he could hold it for ever; nor a link: the directory may be everybody's.
    with _lock_file(path + ".lock") as lock:
        # Two commands at once must not start two daemons on one depot: the second finds the first one's listening.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not listening(path):
            _launch(path)
            print(f"warden: started a daemon on {path}", file=sys.stderr)


def _lock_file(path: str) -> IO[bytes]:
    """Raises NotPermitted for one that is somebody else's."""
    import stat

    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NotPermitted(f"open {path}: {os.strerror(error.errno or 0)}", hint="remove it") from error
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise NotPermitted(f"{path} is somebody else's", hint="remove it")
    os.fchmod(fd, 0o600)
    return open(fd, "r+b", buffering=0)


def daemon_command(path: str, ready_fd: int) -> list[str]:
    """The words that start wardend; $WARDEN_CONFIG names its configuration file, $WARDEN_DEPOT its depot."""
    words = [sys.executable, "-m", "warden.cli.wardend"]
    if config := os.environ.get("WARDEN_CONFIG"):
        words.append(config)
    words += ["--socket", path, "--ready-fd", str(ready_fd)]
    if depot := os.environ.get("WARDEN_DEPOT"):
        words += ["--depot", depot]
    return words


def _launch(path: str) -> None:
    import subprocess

    reader, writer = os.pipe()
    log = log_path(path)
    try:
        with open(log, "ab") as output:
            daemon = subprocess.Popen(
                daemon_command(path, writer),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(writer,),
                start_new_session=True,
                cwd="/",
            )
        os.close(writer)
        writer = -1
        _await_ready(reader, daemon, path, log)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _await_ready(reader: int, daemon: Popen[bytes], path: str, log: str) -> None:
    import select

    deadline = time.monotonic() + START_TIMEOUT_S
    while (left := deadline - time.monotonic()) > 0 and daemon.poll() is None:
        # Readable: the daemon wrote that it is ready, or closed the pipe, which it also does by ending.
        if not select.select([reader], [], [], min(left, 1.0))[0]:
            continue
        if listening(path):
            daemon.returncode = 0  # it outlives this command on purpose
            return
        if not os.read(reader, 64):
            time.sleep(0.02)
    raise Unreachable(f"wardend did not start: {_last_line(log)}", hint=f"see {log}")


def _last_line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(os.path.getsize(path) - 4096, 0))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError as error:
        return str(error)
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
