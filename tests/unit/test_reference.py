"""What is generated is what stands there; every task and option says what it is for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fabric import Config
from invoke import Collection
from invoke.vendor.yaml import safe_load

import tasks
from docs import generate
from fabfile import ns, settings
from fabfile.settings.fields import words
from fabfile.settings.kernel import Kernel
from fabfile.settings.schema import Settings
from testbed.machine import ROOT

FIRST_LINE = 65  # what `--list` shows in one line of 80 columns, behind the longest name
COLLECTIONS = {"fab": ns, "invoke": Collection.from_module(tasks)}
TASKS = [
    pytest.param(collection[name], id=f"{program} {name}")
    for program, collection in COLLECTIONS.items()
    for name in collection.task_names
]


MADE = [
    ("docs/settings.md", generate.page()),
    ("docs/symptoms.md", generate.symptoms()),
    ("fabric.example.yaml", generate.yaml()),
]


def load(**lab) -> Settings:
    config = Config(lazy=True)
    config.load_collection(ns.configuration())
    config.load_overrides({"lab": lab})
    return settings.load(config)


@pytest.mark.parametrize(("path", "text"), MADE)
def test_what_is_committed_is_what_invoke_docs_makes(path, text):
    assert (ROOT / path).read_text() == text, "run: .venv/bin/invoke docs"


def test_the_example_names_every_setting_in_lines_that_fit():
    text = generate.yaml()
    assert re.findall(r"^  (?:# )?(\w+): *", text, re.MULTILINE) == list(settings.NAMES)
    assert [line for line in text.splitlines() if len(line) > 100] == []


def test_the_example_as_it_is_changes_nothing():
    assert load(**safe_load(generate.yaml())["lab"]) == Settings()


@pytest.mark.parametrize("name", settings.NAMES)
def test_every_example_is_accepted_as_it_stands_there(name):
    text = re.sub(r"^  # ", "  ", generate.yaml(), flags=re.MULTILINE)  # uncommented
    value = safe_load(text.replace("  #   ", "    "))["lab"][name]
    load(**{name: value})


def test_every_setting_says_what_it_is_for_and_what_it_accepts():
    for owner in (Settings, Kernel):
        for name in set(owner.__annotations__) - {"anew", "added", "members", "password", "auto"}:
            known = words(owner.__annotations__[name])
            assert known["title"] and known["description"], name
    assert set(generate.SUBJECTS) < set(settings.NAMES)


def test_invoke_docs_writes_them_all_and_no_settings_of_the_operator(tmp_path):
    (tmp_path / "docs").mkdir()
    assert generate.write(tmp_path) == [f"wrote {path}" for path, _ in MADE]
    assert not (tmp_path / "fabric.yaml").exists()


@pytest.mark.parametrize("task", TASKS)
def test_a_task_says_in_one_line_what_it_does(task):
    first, *rest = task.__doc__.splitlines()
    assert len(first) <= FIRST_LINE and re.fullmatch(r"[A-Z][a-z]+[ ,].*[.\w]", first)
    assert rest[:1] in ([], [""]) and ":param" not in task.__doc__


@pytest.mark.parametrize("task", TASKS)
def test_an_option_says_what_it_is_for(task):
    for argument in task.get_arguments():
        assert argument.help, f"{task.name} --{argument.name}"


COMPLETED = {
    "fab ba": "backup",
    "fab -H david@1.1.1.1 up": "upgrade",
    "fab -H david@1.1.1.1 backup --th": "--there",
    "invoke be": "bench",
}


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as in a shell with the virtual environment."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(("typed", "completed"), COMPLETED.items(), ids=COMPLETED.keys())
def test_bash_completes(typed, completed):
    program = typed.split()[0]
    script = (
        f'eval "$({program} --print-completion-script bash)"\n'
        f'COMP_WORDS=({typed}); _complete_{program} {program} "${{COMP_WORDS[-1]}}"\n'
        'echo "${COMPREPLY[@]}"'
    )
    done = ran("bash", "--norc", "-c", script)
    assert done.stdout.split() == [completed], done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(shell):
    done = ran("fab", "--print-completion-script", shell)
    assert "fab --complete" in re.sub(r"\$\{.*?\} ", "", done.stdout)
