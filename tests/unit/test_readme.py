"""What the documents say is there: tasks, options, pages and their headings."""

import inspect
import re

import pytest
from commands import PAGES, PROGRAM, all_commands, complete, parts, told_by
from documented import DAY, RUN_ELSEWHERE
from invoke import Collection

import tasks
from fabfile import ns
from fabfile.catalogue import GROUPS
from testbed.machine import ROOT

COLLECTIONS = {"fab": ns, "invoke": Collection.from_module(tasks)}
PLACES = [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("command", [c for c in all_commands() if PROGRAM.match(c)])
def test_a_command_of_the_documents_is_there(command):
    program, task, options = parts(command)
    if not task or task.startswith("--"):  # of fab itself
        return
    names = inspect.signature(COLLECTIONS[program][task].body).parameters
    known = {f"--{no}{name.replace('_', '-')}" for name in names for no in ("", "no-")}
    assert {option.partition("=")[0] for option in options} <= known


def test_every_command_of_the_documents_is_run():
    whole = [c for c in all_commands() if not PROGRAM.match(c) or complete(c)]
    assert sorted({*DAY, *RUN_ELSEWHERE}) == sorted(whole)


def test_every_mention_of_a_task_is_of_one_that_is_run():
    mentions = [c for c in all_commands() if c not in DAY and c not in RUN_ELSEWHERE]
    assert [mention for mention in mentions if not told_by(mention, [*DAY, *RUN_ELSEWHERE])] == []


def test_the_tables_of_the_readme_have_every_task_in_its_group():
    _, _, text = (ROOT / "README.md").read_text().partition("## Tasks")
    tables = re.findall(r"^\| ([a-z ]+) \| \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    listed = {
        group: [parts(command)[1] for command in re.findall(r"^\| `([^`]+)`", rows, re.MULTILINE)]
        for group, rows in tables
    }
    assert {group: list(dict.fromkeys(names)) for group, names in listed.items()} == {
        group: [task.name for task in tasks] for group, tasks in GROUPS.items()
    }
    assert {task for names in listed.values() for task in names} == set(ns.task_names)


def anchors(text: str) -> set[str]:
    """The places on a page that one can link to, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PLACES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        there = (page.parent / path) if path else page
        assert there.exists(), link
        assert not anchor or anchor in anchors(there.read_text()), link
