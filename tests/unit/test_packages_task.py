"""What the running JupyterLab lacks after packages were added is said, and a restart offered."""

import builtins
from types import SimpleNamespace

import pytest

from fabfile.engine.host import Host
from fabfile.items import Live, ServerExtensions
from fabfile.manage import packages
from fabfile.settings import Settings

KERNELS = {"kernels": [{"name": "python3", "notebook": "a.ipynb", "state": "idle"}]}


class After:
    """What was read after the packages were added."""

    def __init__(self, names: set[str], waits: bool):
        self.states = {ServerExtensions: (names, waits), Live: KERNELS}

    def of(self, kind):
        return [(None, self.states[kind])]


@pytest.mark.parametrize(
    "waits, answer, told, restarted",
    [
        (True, "y", ("git works after a restart", "a.ipynb (idle)"), True),
        (True, "", ("git works after a restart", "a.ipynb (idle)", "fab -H d@h restart"), False),
        (True, None, ("git works after a restart", "a.ipynb (idle)", "fab -H d@h restart"), False),
        (False, None, (), False),
    ],
)
def test_a_restart_is_offered_where_an_extension_waits(
    monkeypatch, capsys, waits, answer, told, restarted
):
    done = []
    monkeypatch.setattr(packages, "may_ask", lambda: answer is not None)
    monkeypatch.setattr(packages, "fab_on", lambda c: "fab -H d@h")
    monkeypatch.setattr(builtins, "input", lambda question: answer)
    monkeypatch.setattr(
        packages.actions, "carry_out", lambda c, host, change, whenever: done.append(change.say)
    )
    after = After({"git", "lsp"}, waits)
    packages.offer_restart(SimpleNamespace(), Settings(), Host(), {"lsp"}, after)
    out = capsys.readouterr().out
    assert [word for word in told if word not in out] == [] and bool(out) == bool(told)
    assert done == (["restart jupyterlab.service"] if restarted else [])
