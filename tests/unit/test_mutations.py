"""The table of mutations.py fits the product and the tests as they are."""

import ast

import pytest
from mutations import BEYOND, DEFAULT

from testbed.areas import AREAS
from testbed.machine import ROOT

ALL = DEFAULT + BEYOND


@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.name)
def test_a_fault_can_be_made_and_its_test_is_there(mutation):
    text = mutation.faulty()  # it has the old one exactly once
    assert mutation.old != mutation.new
    assert mutation.file.startswith(("fabfile/", "templates/"))
    if mutation.file.endswith(".py"):  # it is a fault, and no program that does not even begin
        ast.parse(text)
    file, _, name = mutation.test.partition("::")
    assert f"\ndef {name}(" in (ROOT / file).read_text()


def test_each_has_a_name_of_its_own():
    assert len({mutation.name for mutation in ALL}) == len(ALL)


def test_each_area_has_one():
    files = {mutation.test.partition("::")[0] for mutation in ALL}
    texts = [(ROOT / file).read_text() for file in files]
    assert [area for area in AREAS if not any(f"pytest.mark.{area}" in t for t in texts)] == []
