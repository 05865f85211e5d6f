"""The firewall guarded against other programs: looked at as soon as the kernel tells that somebody changed the ruleset.

However often that is, no more than twenty times a second. The engine looks every second all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from warden.engine.site import Site
from warden.errors import WardenError

log = logging.getLogger("warden.firewall")

PAUSE_S = 0.05  # from one look to the next


async def guard(site: Site) -> None:
    """Until it is cancelled."""
    try:
        watch = site.firewall.open_watch()
    except OSError as error:
        log.info("nfnetlink: %s; others' changes of the ruleset are noticed within a second", error.strerror)
        return
    loop = asyncio.get_running_loop()
    with contextlib.closing(watch):
        while True:
            heard = loop.create_future()
            loop.add_reader(watch, _once, heard)
            try:
                await heard
            finally:  # during the pause nothing is read: who changes much does not wake the daemon each time
                loop.remove_reader(watch)
            try:
                watch.drain()  # before the look: what comes after it is another change
                await site.blocking(site.firewall.look)
            except (OSError, WardenError) as error:
                log.error("firewall: %s", error)
            await asyncio.sleep(PAUSE_S)


def _once(heard: asyncio.Future[None]) -> None:
    if not heard.done():
        heard.set_result(None)
