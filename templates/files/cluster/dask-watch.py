# Written by `fab cluster`; changes made here are replaced by its next run.
"""End a nanny that failed to start another worker, so that systemd restarts both.

Dask loads this into the nanny, the process that watches the worker.
"""

import asyncio
import os

SECONDS, TIMES = 5, 6


async def watch(nanny) -> None:
    """Exit after 30 seconds without a worker; starting another takes some seconds."""
    missing = 0
    while missing < TIMES:
        await asyncio.sleep(SECONDS)
        missing = 0 if nanny.is_alive() else missing + 1
    os._exit(1)


async def dask_setup(nanny) -> None:
    """Start to watch; the attribute keeps the task alive."""
    nanny.watched = asyncio.create_task(watch(nanny))
