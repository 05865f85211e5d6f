"""Turns of the event loop, for what client and server do in one: what they have to tell each other they have told then.

A sleep would be over with the first turn after it, when the machine was busy meanwhile.
"""

from __future__ import annotations

import asyncio


async def turns(number: int = 25) -> None:
    for _ in range(number):
        await asyncio.sleep(0.002)
