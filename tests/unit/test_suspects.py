"""Who is blamed when a worker dies: those that were there each time, and they are parted."""

import asyncio
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import pytest

from fabfile.render import file


@dataclass
class Task:
    suspicious: int = 0
    worker_restrictions: set | None = None
    loose_restrictions: bool = False


@dataclass
class Worker:
    address: str
    processing: list = field(default_factory=list)


@pytest.fixture
def loaded(monkeypatch):
    """The file, loaded twice as Dask does, into a scheduler that blames as Dask's own."""

    class Scheduler:
        def __init__(self, lost: Worker, *others: str):
            self.workers = {lost.address: lost}
            self.running = [lost, *map(Worker, others)]

        async def remove_worker(self, address, *, expected=False):
            for task in self.workers[address].processing:
                task.suspicious += not expected
            return "OK"

    module = ModuleType("distributed.scheduler")
    module.Scheduler = Scheduler
    monkeypatch.setitem(sys.modules, "distributed", ModuleType("distributed"))
    monkeypatch.setitem(sys.modules, "distributed.scheduler", module)
    names = {}
    for _ in "12":
        exec(file("cluster/dask-suspects.py"), names)
    return Scheduler


def lose(scheduler, **how) -> None:
    with ThreadPoolExecutor(1) as other:  # this thread may have a loop already, Playwright's
        lost = other.submit(asyncio.run, scheduler.remove_worker("w1", **how))
        assert lost.result() == "OK"


def test_those_that_are_suspect_for_the_first_time_are_parted(loaded):
    hungry, beside = Task(), Task()
    lose(loaded(Worker("w1", [hungry, beside]), "w2", "w3"))
    assert (hungry.suspicious, beside.suspicious) == (1, 1)
    assert hungry.worker_restrictions != beside.worker_restrictions
    assert hungry.worker_restrictions | beside.worker_restrictions == {"w2", "w3"}
    assert hungry.loose_restrictions


def test_beside_one_that_is_more_suspect_nobody_is_blamed(loaded):
    hungry, beside, once = Task(2), Task(), Task(1)
    lose(loaded(Worker("w1", [beside, hungry, once]), "w2"))
    assert (hungry.suspicious, beside.suspicious, once.suspicious) == (3, 0, 1)
    assert (beside.worker_restrictions, once.worker_restrictions) == (None, None)


def test_a_place_that_somebody_chose_is_kept(loaded):
    bound = Task(worker_restrictions={"w1"})
    lose(loaded(Worker("w1", [bound]), "w2"))
    assert (bound.worker_restrictions, bound.loose_restrictions) == ({"w1"}, False)


def test_one_that_leaves_as_it_should_blames_nobody(loaded):
    task = Task()
    lose(loaded(Worker("w1", [task]), "w2"), expected=True)
    assert (task.suspicious, task.worker_restrictions) == (0, None)


def test_the_last_worker_leaves_nowhere_to_go(loaded):
    task = Task()
    lose(loaded(Worker("w1", [task])))
    assert (task.suspicious, task.worker_restrictions) == (1, None)


def test_with_another_dask_it_is_as_dask_does_by_itself(loaded, caplog):
    strange = SimpleNamespace(address="w1", processing=[SimpleNamespace()])
    with caplog.at_level(logging.ERROR), pytest.raises(AttributeError, match="suspicious"):
        lose(loaded(strange, "w2"))  # of Dask's own code, after ours has given way
    assert "suspects" in caplog.text
