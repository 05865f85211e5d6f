"""Links of the host that containers have: lent, and given back as they were, whatever happens to the container.

Owns DEPOT/.network/lent, one file a link, written before it moves and removed after it is back. The kernel gives a link
back when its namespace dies, late, under any name, and only to the first namespace; software's links it deletes
(default_device_exit_net). So they are fetched while the namespace is held open; what a crash of the engine left is put
right at the next start. Blocking, for any thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from warden.depot.depot import replace_file
from warden.errors import KernelRefused, WardenError
from warden.kernel.syscalls import libc_call
from warden.model.interfaces import Link, LinkKind
from warden.network import netlink
from warden.network.hostlink import HostLink, all_links, find_link
from warden.network.route import Route
from warden.plan.flags import CLONE_NEWNET
from warden.records import asdict, dataclass

log = logging.getLogger("warden.network")

T = TypeVar("T")
_setns = libc_call("setns", ctypes.c_int, ctypes.c_int)


@dataclass(frozen=True, slots=True)
class Loan:
    """A link as it was: what it is called, and its number, on the host; *inside*: its number there."""

    container_id: str
    name: str
    index: int
    inside: int
    mac: str
    mtu: int
    permanent: str
    up: bool


class Lending:
    """*directory*: where the loans are recorded."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._mutex = threading.Lock()
        self._held: dict[str, int] = {}  # network namespaces by container

    def lend(self, container_id: str, links: Iterable[Link]) -> bool:
        """Records the loans before their links move; whether there are any. Raises KernelRefused."""
        lent = [link for link in links if link.kind is LinkKind.PHYSICAL]
        if lent:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            with Route() as route:
                for link in lent:
                    found = find_link(route, index=link.host_index)
                    if found is None or found.name != link.parent:
                        raise KernelRefused(f"ip link show {link.parent}", "", errno.ENODEV)
                    self._write(_loan(container_id, link, found))
        return bool(lent)

    def _write(self, loan: Loan) -> None:
        path = self._path(loan)
        try:
            replace_file(path, json.dumps(asdict(loan)))
        except OSError as error:
            raise KernelRefused("write", path, error.errno or 0) from error

    def hold(self, container_id: str, pid: int) -> None:
        """Keeps the network namespace of *pid* open, so that the links can be fetched from it when all its processes
        are gone. What is gone already cannot be held."""
        if not self.loans(container_id):
            return
        with contextlib.suppress(OSError), self._mutex:
            fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            if (old := self._held.pop(container_id, None)) is not None:
                os.close(old)
            self._held[container_id] = fd

    def hold_by(self, container_id: str, path: str) -> None:
        """As `hold`, by a file that leads to the namespace."""
        with contextlib.suppress(OSError), self._mutex:
            self._held[container_id] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def loans(self, container_id: str | None = None) -> list[Loan]:
        """Those of one container, or all."""
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            if container_id is None or name.startswith(f"{container_id}-"):
                with contextlib.suppress(OSError, ValueError, TypeError), open(f"{self._directory}/{name}") as file:
                    found.append(Loan(**json.load(file)))
        return found

    def fetch(self, container_id: str) -> None:
        """Gives every link back that the container has; errors are logged, and tried again at the next start."""
        loans = self.loans(container_id)
        with self._mutex:
            fd = self._held.pop(container_id, -1)
        try:
            for loan in loans:
                try:
                    self._return(loan, fd)
                except (WardenError, OSError) as error:
                    log.error("link %s of the host, lent to %s: %s", loan.name, container_id, error)
        finally:
            if fd >= 0:
                os.close(fd)

    def _return(self, loan: Loan, netns: int) -> None:
        if netns >= 0:
            _fetch(loan, netns)
        with Route() as route:
            found = _back(route, loan)
            if found is None:
                log.warning("link %s of the host, lent to %s, is not back", loan.name, loan.container_id)
                if loan.permanent:  # the kernel is on its way with it
                    return
            else:
                _restore(route, loan, found)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(loan))

    def settle(self, alive: Iterable[str]) -> None:
        """After a start: what containers that are no more had is put right."""
        gone = {loan.container_id for loan in self.loans()} - set(alive)
        for container_id in sorted(gone):
            self.fetch(container_id)

    def close(self) -> None:
        """Lets go of the namespaces; the containers keep their links."""
        with self._mutex:
            for fd in self._held.values():
                os.close(fd)
            self._held.clear()

    def _path(self, loan: Loan) -> str:
        return f"{self._directory}/{loan.container_id}-{loan.index}.json"


def _loan(container_id: str, link: Link, found: HostLink) -> Loan:
    return Loan(container_id, found.name, found.index, link.index, found.mac, found.mtu, found.permanent, found.up)


def _fetch(loan: Loan, netns: int) -> None:
    """Moves the link here, under its old name, or under one of the kernel's where that is taken meanwhile. Whoever is
    root inside may have called it anything; its number he cannot change."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with in_namespace(netns, Route) as route:
            if find_link(route, index=loan.inside) is None:
                return  # moved on by the container into a namespace of its own: it comes when that is gone
            for name in (loan.name, "dev%d"):
                message = netlink.move_link(loan.inside, here, name=name, new_index=loan.index)
                try:
                    route.ask(message, f"ip link set {loan.name} netns HOST")
                    return
                except KernelRefused as error:
                    if error.errno not in (errno.EEXIST, errno.EBUSY):
                        raise
    finally:
        os.close(here)


def _back(route: Route, loan: Loan) -> HostLink | None:
    """The link, if it is here: by its number, or by the address that it was made with."""
    found = find_link(route, index=loan.index)
    if found is not None and found.permanent == loan.permanent:
        return found
    if not loan.permanent:
        return None
    return next((link for link in all_links(route) if link.permanent == loan.permanent), None)


def _restore(route: Route, loan: Loan, found: HostLink) -> None:
    name = loan.name if found.name != loan.name else None
    route.ask(
        netlink.change_link(found.index, name=name, mac=loan.mac or None, mtu=loan.mtu),
        f"ip link set {found.name} down name {loan.name}",
    )
    if loan.up:
        route.ask(netlink.set_up(found.index), f"ip link set {loan.name} up")


def in_namespace(netns: int, function: Callable[[], T]) -> T:
    """What *function* returns in a thread that has entered the network namespace; a socket stays where it was made."""
    result: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            _setns(netns, CLONE_NEWNET)
            result.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]
