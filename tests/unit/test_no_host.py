"""Without a host no task runs anything, least of all on the operator's own machine."""

import sys
from contextlib import contextmanager

import pytest
from inside import fab
from watch.noted import NOTED

from fabfile import ns

MORE = {"restore": ["latest"]}  # what a task cannot do without
notes: list[str] | None = None


def note(event: str, arguments: tuple) -> None:
    """Keep what this Python starts, and where it connects to, while somebody listens."""
    if notes is not None and event in NOTED:
        notes.append(f"{event} {arguments!r}")


sys.addaudithook(note)  # it stays: Python cannot take one away


@contextmanager
def watched():
    """Give a list of what is started meanwhile."""
    global notes
    notes = []
    try:
        yield notes
    finally:
        notes = None


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Stand in a folder without a fabric.yaml."""
    monkeypatch.chdir(tmp_path)


def test_the_watch_sees_a_process():
    with watched() as seen:
        import os

        os.system("true")
    assert seen and seen[0].startswith("os.system")


# fleet brings its own list of hosts, and check needs none
@pytest.mark.parametrize("task", sorted({*ns.task_names} - {"fleet", "check"}))
def test_a_task_without_a_host(task, capsys, monkeypatch):
    program = fab(monkeypatch)
    with watched() as seen, pytest.raises(SystemExit) as ended:
        program.run(["fab", task, *MORE.get(task, [])])
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1
    for words in ("no host given", f"fab -H user@server {task}", "fabric.yaml"):
        assert words in told.err
    assert seen == []
