"""Every task of the catalogue has a body, which is loaded when it runs, and not before."""

import inspect
import json
import subprocess
import sys

import pytest
from inside import fab
from invoke import Collection

import tasks
from fabfile import catalogue, ns
from fabfile.engine.task import found
from testbed.machine import ROOT

TASKS = {task.name: task for task in catalogue.TASKS}
LISTED = """
import sys
import fabfile
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "fabfile"))
print(*sorted({"jinja2", "packaging", "rich"} & set(sys.modules)))
"""
CHOOSES_HOSTS = "check", "fleet", "hosts", "init"  # these load the settings themselves
MODULES = 19  # that `fab --list` loads; each costs start-up time in every command


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


@pytest.fixture
def run(monkeypatch, capsys):
    """Give a function that types words after `fab`, and returns the lines that they print."""

    def typed(*words: str, namespace=ns) -> list[str]:
        with pytest.raises(SystemExit) as ended:
            fab(monkeypatch, namespace).run(["fab", *words])
        assert not ended.value.code
        return capsys.readouterr().out.splitlines()

    monkeypatch.setenv("COLUMNS", "80")
    return typed


@pytest.mark.parametrize("more", [(), ("--list-depth", "1"), ("--list-format", "flat")])
def test_fab_list_has_the_groups_of_the_catalogue_in_its_order(run, more):
    lines = [line for line in run("--list", *more)[2:] if line]
    names = [line.split()[0] for line in lines if line.startswith("    ")]
    assert [line.strip() for line in lines if not line.startswith("    ")] == [*catalogue.GROUPS]
    assert names == [task.name for task in catalogue.TASKS]
    assert len(set(names)) == len(names) and all(len(line) <= 80 for line in lines)


def test_other_forms_of_the_list_and_completion_are_as_before(run):
    (told,) = run("--list", "--list-format", "json")
    names = sorted(task.name for task in catalogue.TASKS)
    assert [one["name"] for one in json.loads(told)["tasks"]] == names
    nested = run("--list", "--list-format", "nested")
    assert [line.split()[0] for line in nested if line.startswith("  ")] == names
    assert run("--complete", "--", "fab") == names
    assert "--drift" in run("--complete", "--", "fab status -")


def test_a_list_of_other_tasks_has_no_groups(run):
    others = Collection.from_module(tasks)
    listed = [line.split()[0] for line in run("--list", namespace=others) if line.startswith("  ")]
    assert listed == sorted(others.task_names)


def test_fab_list_loads_no_body_of_a_task():
    done = subprocess.run([sys.executable, "-c", LISTED], cwd=ROOT, capture_output=True, text=True)
    ours, dear = done.stdout.split("\n")[:2]
    assert dear == "" and len(ours.split()) <= MODULES, done.stdout + done.stderr
