# Written by `fab cluster`; changes made here are replaced by its next run.
"""A task that needs more memory than a worker has fails alone, not with those that ran beside it.

When a worker dies, Dask suspects all tasks that were there, and gives up each that has been there
so many times: also one that only ran beside the hungry one each time. Here those that are most
suspect go to different workers the next time, and while one of them is there no other is blamed.
"""

import logging
import random

from distributed.scheduler import Scheduler

# Dask loads this file twice: the second time it is not to take the place of itself
remove = getattr(Scheduler.remove_worker, "former", Scheduler.remove_worker)


def tell_apart(scheduler, lost) -> None:
    """Before the tasks of a lost worker are blamed: take the blame from some, part the others."""
    tasks = list(lost.processing)
    most = max(task.suspicious for task in tasks)
    suspects = [task for task in tasks if task.suspicious == most]
    places = [one.address for one in scheduler.running if one is not lost]
    random.shuffle(places)
    for task in tasks:
        if task.suspicious < most:
            task.suspicious -= 1  # Dask adds one to each
    for number, task in enumerate(suspects if places else []):
        if not task.worker_restrictions or task.loose_restrictions:
            task.worker_restrictions = {places[number % len(places)]}
            task.loose_restrictions = True  # anywhere, when that one has gone


async def remove_worker(self, address, **more):
    """Take the place of the method of this name."""
    lost = self.workers.get(address)
    if lost is not None and lost.processing and not more.get("expected"):
        try:
            tell_apart(self, lost)
        except Exception:  # another Dask than this was written for: as it does by itself
            logging.getLogger("distributed.scheduler").exception("suspects")
    return await remove(self, address, **more)


remove_worker.former = remove
Scheduler.remove_worker = remove_worker
