"""What an engine does with a pidfd besides signalling it (pidfd_open(2)): whose it is, and waiting for that one's end."""

from __future__ import annotations

import asyncio

from warden.errors import EngineFault


def pid_of(pidfd: int) -> int:
    """The process behind a pidfd, as this pid namespace numbers it: "Pid:" in its fdinfo (since 5.2)."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pid:"):
                return max(int(line.split()[1]), 0)
    return 0


async def readable(fd: int, seconds: float, complaint: str) -> None:
    """Waits until *fd* can be read (a pidfd: its process has ended); raises EngineFault after *seconds*."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        raise EngineFault(complaint, hint="a process may hang in the kernel; see dmesg") from None
    finally:
        loop.remove_reader(fd)
