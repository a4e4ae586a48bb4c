"""Who needs whom: an extra counts when somebody here asks for it, and not when one only could."""

import importlib.util
from email.message import Message

import pytest

from testbed.machine import ROOT


@pytest.fixture
def needs(monkeypatch):
    """Give a function: what is installed and what each requires -> pairs of who needs whom."""
    spec = importlib.util.spec_from_file_location(
        "dependencies", ROOT / "templates" / "python" / "dependencies.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Installed:
        def __init__(self, name: str, requires: list[str]):
            self.metadata, self.requires = Message(), requires
            self.metadata["Name"] = name

    def of(**there: list[str]) -> set[tuple[str, str]]:
        return module.needs([Installed(*x) for x in there.items()])

    return of


IPYTHON = ['pandas; extra == "test"', 'ipython[test]; extra == "all"', "traitlets"]


@pytest.mark.parametrize(
    ("who", "pairs"),
    [
        pytest.param([], {("ipython", "traitlets")}, id="nobody asks for an extra"),
        pytest.param(
            ["ipython[all]"],
            {("lab", "ipython"), ("ipython", "traitlets"), ("ipython", "ipython")}
            | {("ipython", "pandas")},
            id="an extra that needs a further one",
        ),
    ],
)
def test_an_extra_counts_when_somebody_asks_for_it(needs, who, pairs):
    assert needs(ipython=IPYTHON, lab=who, pandas=[]) == pairs
