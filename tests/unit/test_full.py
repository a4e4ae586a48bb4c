"""The end of `full`: what went well in a line, what is left to do, and last the address."""

from types import SimpleNamespace

import pytest
from fabric import Connection
from invoke import Exit

from fabfile import full, verify
from fabfile.engine.task import cleanly
from fabfile.settings import Settings
from fabfile.ui import console

ADDRESS = "JupyterLab is at http://x/lab"


@pytest.fixture
def ran(monkeypatch):
    """Give a function that runs `full` with all that it calls left out, and returns the calls."""

    def run(written: bool, terminal: bool, **options):
        calls, results = [], iter((written, True))

        def add(c, settings, ask=True):
            calls.append("hosts, asking" if ask else "hosts")
            return next(results)

        def prove(c, settings, by_address, each):
            calls.append(f"verify by {'address' if by_address else 'name'}{' each' * each}")

        monkeypatch.setattr(full.tls, "serve", lambda c, s, *a, **k: (calls.append("serve"), s))
        monkeypatch.setattr(full.hosts, "refuse_taken", lambda c, s: calls.append("taken?"))
        monkeypatch.setattr(full.hosts, "add", add)
        monkeypatch.setattr(verify, "prove", prove)
        monkeypatch.setattr(full, "tell", lambda *a: calls.append("tell") or ADDRESS)
        monkeypatch.setattr(full, "may_ask", lambda: terminal)
        monkeypatch.setattr(full, "headline", calls.append)
        how = {"verbose": False, "verify": True, "yes": False} | options
        full.full(Connection("david@1.1.1.1"), Settings(), **how)
        return calls

    return run


def test_the_address_is_last(ran):
    start = ["taken?", "serve", "hosts"]
    whole = [*start, "verify by name", "tell", ADDRESS]
    assert ran(written=True, terminal=True) == whole
    asking = [*start, "verify by address", "tell", ADDRESS, "hosts, asking", ADDRESS]
    assert ran(written=False, terminal=True) == asking
    assert ran(written=False, terminal=False) == asking[:-2]
    assert ran(written=True, terminal=True, verbose=True)[3] == "verify by name each"
    assert ran(written=True, terminal=True, yes=True) == whole[1:]  # a name may move here
    assert ran(True, True, in_fleet=True) == ["serve", "verify by address"]


def checks(*results: str) -> list[str]:
    """What the server says of so many checks."""
    return [f"nginx|check {n}|{result}|0.1|" for n, result in enumerate(results)]


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("here", ["ok", "skip", "FAIL"])
@pytest.mark.parametrize("results", [("ok", "ok"), ("ok", "FAIL")], ids=["well", "ill"])
def test_checks_that_passed_are_counted_and_others_shown(monkeypatch, capsys, each, here, results):
    monkeypatch.setattr(verify.connection, "open_connection", lambda c, s: None)
    monkeypatch.setattr(verify.channel, "ask", lambda *a, **k: checks(*results))
    monkeypatch.setattr(verify, "from_here", lambda s, address: ("from here", here, 0.1, "unknown"))
    monkeypatch.setattr(verify, "explain", lambda *a: "why")
    ill = "FAIL" in (*results, here)
    try:
        verify.prove(Connection("david@1.1.1.1"), Settings(), each=each)
        assert not ill
    except Exit:
        assert ill
    said = capsys.readouterr().out
    assert (" ok " in said) == each
    assert ("FAIL" in said) == ill
    assert ("unknown" in said) == (here == "skip" and "FAIL" not in results)
    assert (f"{2 + (here == 'ok')} checks passed" in said) == (not each and not ill)


def test_ctrl_c_says_what_was_done(monkeypatch):
    sink = console.Sink()

    @cleanly()
    def body(changed):
        sink.changed = changed
        raise KeyboardInterrupt

    monkeypatch.setattr(console, "SINK", SimpleNamespace(get=lambda: sink))
    for changed, words in ((0, "nothing was changed"), (2, "2 changes made")):
        with pytest.raises(Exit, match=f"stopped: {words}; run again to continue") as told:
            body(changed)
        assert told.value.code == 130
