"""Files into a container and out of it: whose rights are used on each side, and the root that paths are resolved below.

In a container everything is read and written as vcap, as the original did by running rsync there as that user: a link
that a job laid cannot turn the copy into root's hand.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from warden.engine.build import HOME
from warden.engine.transfers import GoingOn
from warden.errors import EngineFault
from warden.rootfs import copypaths, transfer
from warden.rootfs.copypaths import Owner
from warden.rootfs.copyreport import Order, Side

if TYPE_CHECKING:
    from warden.engine.container import Container


async def copy_in(container: Container, src: str, dst: str) -> None:
    """See Container.copy_in."""
    copypaths.check_host_path("copy_in: source", src)
    copypaths.check_path("copy_in: destination", dst)
    root_fd = _open_root(container)

    def work(going_on: GoingOn) -> None:
        transfer.copy(Order("copy_in", Side(), _inside(container, root_fd), src, dst, Owner(), going_on))

    await container.site.transfers.run(container.id, root_fd, work)


async def copy_out(container: Container, src: str, dst: str, owner: str) -> None:
    """See Container.copy_out."""
    copypaths.check_path("copy_out: source", src)
    copypaths.check_host_path("copy_out: destination", dst)
    root_fd = _open_root(container)

    def work(going_on: GoingOn) -> None:
        found = copypaths.host_owner(owner)  # here, because it may ask a directory service
        transfer.copy(Order("copy_out", _inside(container, root_fd), Side(), src, dst, found, going_on))

    await container.site.transfers.run(container.id, root_fd, work)


def _inside(container: Container, root_fd: int) -> Side:
    """The container's side. vcap's number is the engine's own: its passwd may have been written by anybody in there."""
    uid = (container.snapshot.id_base or 0) + container.snapshot.vcap_uid
    return Side(root_fd, uid, uid, HOME)


def _open_root(container: Container) -> int:
    """The root directory of its PID 1, O_PATH: nothing waits here. Raises EngineFault when PID 1 has ended."""
    gone = EngineFault(f"container {container.handle}: its PID 1 is gone", hint="its files can no longer be reached")
    if not container.pid:
        raise gone
    try:
        root_fd = os.open(f"/proc/{container.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise gone from None
    # Not ended now, so not ended when its number was used: it was nobody else's (pidfd_open(2): readable at the end).
    poll = select.poll()
    poll.register(container.pidfd, select.POLLIN)
    if poll.poll(0):
        os.close(root_fd)
        raise gone
    return root_fd
