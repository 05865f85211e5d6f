"""Listening sockets, the pid file and the word that the daemon is ready.

Owns what lies in the file system for clients to find it. It accepts nothing itself.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat

from warden.errors import BadInput, KernelRefused, WrongState

BACKLOG = 1024


def open_listener(path: str, permissions: int) -> socket.socket:
    """A bound, listening Unix socket at *path*. A stale one is replaced; WrongState if a daemon answers there."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # bind(2) makes the file with the mode 0777 less the umask: nobody connects before it has its permissions.
        previous = os.umask(0o777)
        try:
            listener.bind(path)
        finally:
            os.umask(previous)
        listener.listen(BACKLOG)
        os.chmod(path, permissions)
    except OSError as error:
        listener.close()
        raise KernelRefused("bind", path, error.errno or 0) from None
    return listener


def parse_address(text: str) -> str | tuple[str, int]:
    """A path, or host and port of "127.0.0.1:9323" or "[::1]:9323"; raises BadInput."""
    if text.startswith("/") and "\0" not in text:
        return text
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
        if not colon or not port.isdecimal() or not 1 <= int(port) <= 65535 or bracketed != (address.version == 6):
            raise ValueError
    except ValueError:
        raise BadInput(f"expected ADDRESS:PORT such as 127.0.0.1:9323, or an absolute path, got {text!r}") from None
    return str(address), int(port)


def open_address(text: str, permissions: int, what: str, hint: str) -> socket.socket:
    """Bound to what `parse_address` reads; *permissions* are a Unix socket's. Raises BadInput, WrongState, KernelRefused,
    whose operation is *what*."""
    address = parse_address(text)
    return open_listener(address, permissions) if isinstance(address, str) else open_tcp(*address, what, hint)


def open_tcp(host: str, port: int, what: str, hint: str) -> socket.socket:
    """A bound TCP socket; raises KernelRefused, whose operation is *what*."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # Connections of an earlier daemon in TIME_WAIT do not keep this one from the port (socket(7)).
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise KernelRefused(what, f"{host}:{port}", error.errno or 0, hint=hint) from None
    return listener


def remove_stale(path: str) -> None:
    """Removes a socket file that nobody listens on."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BadInput(f"socket {path}: what is there is not a socket", hint="remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)
            return
    raise WrongState(f"socket {path}: a daemon answers there", hint="stop it first or choose another socket")


def write_pidfile(path: str) -> None:
    """Replaces *path* in one step, so that no reader sees half a number."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    os.replace(temporary, path)


def remove_pidfile(path: str) -> None:
    """Removes *path* if it is still this process's."""
    try:
        with open(path, encoding="ascii") as file:
            ours = file.read().strip() == str(os.getpid())
    except (FileNotFoundError, ValueError):
        return
    if ours:
        os.unlink(path)


def notify_ready(ready_fd: int | None) -> None:
    """Tells systemd (sd_notify(3), READY=1) and whoever gave *ready_fd*, by one byte and end of file."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.connect("\0" + address[1:] if address.startswith("@") else address)
            notifier.send(b"READY=1")
    if ready_fd is not None:
        os.write(ready_fd, b"\n")
        os.close(ready_fd)
