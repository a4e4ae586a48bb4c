# Written by `fab cluster`; changes made here are replaced by its next run.
"""Let only the task fail that needs more memory than a worker has, not its neighbours.

When a worker dies, Dask suspects all tasks that were there, and gives up a task after a number of
deaths, even if it only ran next to the guilty one. Here the most suspicious tasks go to different
workers the next time, and a death that one of them was part of counts against no other task.
"""

import logging
import random

from distributed.scheduler import Scheduler

# Dask loads this file twice: the second time it must not replace itself
remove = getattr(Scheduler.remove_worker, "former", Scheduler.remove_worker)


def tell_apart(scheduler, lost) -> None:
    """Clear the less suspicious tasks of a lost worker, and spread the others over workers."""
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
            task.loose_restrictions = True  # anywhere, when that worker is gone


async def remove_worker(self, address, **more):
    """Separate the suspects, then do what the method of this name does."""
    lost = self.workers.get(address)
    if lost is not None and lost.processing and not more.get("expected"):
        try:
            tell_apart(self, lost)
        except Exception:  # an unknown version of Dask: keep its own behaviour
            logging.getLogger("distributed.scheduler").exception("cannot separate suspects")
    return await remove(self, address, **more)


remove_worker.former = remove
Scheduler.remove_worker = remove_worker
