"""What the README says is there: tasks and options."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fabfile import ns
from testbed.machine import ROOT

README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
SPANS = re.findall(r"`([^`\n]+)`", README) + re.findall(r"^\$ (.+)$", README, re.MULTILINE)
COMMANDS = sorted(
    {
        text.split("  #")[0].strip()
        for text in SPANS
        if re.match(r"([A-Z_]+=\S+ )*(sudo )?(\./bootstrap|(\.venv/bin/)?(fab|invoke)) ", text)
        and "..." not in text
    }
)


def parts(command: str) -> tuple[str, str, list[str]]:
    """Split a command into its program, its task and the task's options."""
    words = [word for word in shlex.split(command) if "=" not in word and word != "sudo"]
    program = "fab" if words[0].endswith("fab") else "invoke"
    words = [word for word in words[1:] if word != "--dry"]
    if words[:1] == ["-H"]:
        words = words[2:]
    options = [word for word in words[1:] if word.startswith("--")]
    return program, words[0] if words else "", options


def test_there_are_commands():
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_is_there(command):
    program, task, options = parts(command)
    done = subprocess.run(
        [BIN / program, "--help", task], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for option in options:
        assert option in done.stdout


def test_every_task_is_in_the_readme():
    for task in ns.task_names:
        assert re.search(rf"`[^`]*\bfab [^`]*\b{task}\b", README), task
