# Written by `fab cluster`; changes made here are replaced by its next run.
"""A watcher without a worker ends, and systemd starts both: it may have failed to start another.

Dask loads this into the process that watches over the one that computes.
"""

import asyncio
import os

SECONDS, TIMES = 5, 6


async def watch(nanny) -> None:
    """Look now and then; to start another worker takes some seconds."""
    missing = 0
    while missing < TIMES:
        await asyncio.sleep(SECONDS)
        missing = 0 if nanny.is_alive() else missing + 1
    os._exit(1)


async def dask_setup(nanny) -> None:
    """Begin; it lives as long as what it watches."""
    nanny.watched = asyncio.create_task(watch(nanny))
