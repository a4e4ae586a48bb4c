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
CHOOSES_HOSTS = "hosts", "fleet"  # these load the settings themselves
MODULES = 17  # that `fab --list` loads; each costs start-up time in every command


@pytest.mark.parametrize("name", TASKS)
def test_a_body_takes_what_its_signature_says(name):
    task = TASKS[name]
    body = [*inspect.signature(found(task.place, name)).parameters]
    c, *options = inspect.signature(task.body).parameters
    settings = [] if name in CHOOSES_HOSTS else ["settings"]
    options = [option for option in options if option != "json"]  # the engine's own
    assert body[: len(body) - body.count("in_fleet")] == [c, *settings, *options, *task.handed]
    assert all(callable(found(*where.rsplit(".", 1))) for where in task.handed.values())
    assert not found(task.place, name).__doc__, "its help is in the catalogue alone"


def test_fab_list_loads_no_body_of_a_task():
    done = subprocess.run([sys.executable, "-c", LISTED], cwd=ROOT, capture_output=True, text=True)
    ours, dear = done.stdout.split("\n")[:2]
    assert dear == "" and len(ours.split()) <= MODULES, done.stdout + done.stderr
