"""Every task of the catalogue has a body, which is loaded when it runs, and not before."""

import inspect
import subprocess
import sys

import pytest

from fabfile import catalogue
from fabfile.engine.task import found
from testbed.machine import ROOT

TASKS = {task.name: task for task in (*catalogue.FLEET, *catalogue.ALONE)}
LISTED = """
import sys
import fabfile
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "fabfile"))
print(*sorted({"jinja2", "packaging", "rich"} & set(sys.modules)))
"""
MODULES = 15  # that `fab --list` loads; each costs start-up time in every command


def places() -> dict[str, tuple[str, dict]]:
    """Return where each task's body is, and what it is handed, by reading the catalogue."""
    known = {}
    text = inspect.getsource(catalogue)
    scope = {
        "task": lambda place, **handed: lambda body: known.update({body.__name__: (place, handed)})
    }
    scope["local_task"] = scope["task"]
    exec(
        text.partition("from .engine.task import local_task, task")[2].partition("\n# The")[0],
        scope,
    )
    return known


PLACES = places()


def test_every_task_is_there():
    assert set(PLACES) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_a_body_takes_what_its_signature_says(name):
    place, handed = PLACES[name]
    body = inspect.signature(found(place, name)).parameters
    said = inspect.signature(TASKS[name].body).parameters
    assert [*said, *handed] == list(body)
    assert all(callable(found(*where.rsplit(".", 1))) for where in handed.values())


def test_fab_list_loads_no_body_of_a_task():
    done = subprocess.run([sys.executable, "-c", LISTED], cwd=ROOT, capture_output=True, text=True)
    ours, dear = done.stdout.split("\n")[:2]
    assert dear == "" and len(ours.split()) <= MODULES, done.stdout + done.stderr
