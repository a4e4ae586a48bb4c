"""What ends or goes is said, and asked for: by one function, of every task."""

from types import SimpleNamespace

import pytest
from answers_to import typing
from invoke import Exit

from fabfile import nginx
from fabfile.engine import consent
from fabfile.engine.host import Host
from fabfile.engine.other_instances import Neighbour
from fabfile.items import Change, Service, Sleeper
from fabfile.jupyter import kernels_of
from fabfile.settings import Settings
from fabfile.systemd import service

BUSY = {"notebook": "a.ipynb", "name": "python3", "state": "busy"}
IDLE = {"notebook": None, "name": "ir", "state": "idle"}
NAME = "the name goes"


@pytest.fixture
def c():
    run = SimpleNamespace(dry=False)
    return SimpleNamespace(
        user="david", original_host="1.1.1.1", port=22, config=SimpleNamespace(run=run)
    )


@pytest.mark.parametrize(
    "kernels, lost, yes, agreed",
    [
        ([], (), False, False),  # nothing to agree to: a second round asks
        ([IDLE], (), False, True),
        (None, (), False, True),
        ([BUSY], (), True, True),
        ([], (NAME,), True, True),
    ],
)
def test_without_a_terminal_it_goes_on(c, capsys, kernels, lost, yes, agreed):
    assert consent.agree(c, yes, kernels, lost) == agreed
    said = capsys.readouterr().out
    assert (consent.ends(kernels) in said) and all(line in said for line in lost)


@pytest.mark.parametrize(
    "kernels, lost, why", [([IDLE, BUSY], (), "1 kernel busy"), ([], (NAME,), NAME)]
)
def test_without_a_terminal_it_needs_a_word(c, kernels, lost, why):
    with pytest.raises(Exit, match=f"david@1.1.1.1: nothing was changed: {why}.*add --yes"):
        consent.agree(c, False, kernels, lost)
    c.config.run.dry = True
    consent.agree(c, False, kernels, lost)


@pytest.mark.parametrize("kernels, lost", [([IDLE], ()), ([BUSY], ()), (None, ()), ([], (NAME,))])
def test_on_a_terminal_it_asks(c, monkeypatch, kernels, lost):
    typing(monkeypatch, "y")
    assert consent.agree(c, False, kernels, lost)
    for answer in ("n", "", "what?", None):
        typing(monkeypatch, answer)
        with pytest.raises(Exit, match="3 changes made"):
            consent.agree(c, False, kernels, lost, so_far="3 changes made")
    typing(monkeypatch)
    assert consent.agree(c, True, kernels, lost)


def test_the_server_is_asked_for_kernels_only_when_some_would_end(c):
    def read(c, items, settings):
        (reader,) = items
        assert reader == kernels_of(settings)
        return SimpleNamespace(states=[{"disk": None, "kernels": [IDLE]}])

    chosen = Settings()
    plain, restart = Change("x", "x", loses=(NAME,)), Change("y", "y", ends=kernels_of(chosen))
    assert consent.losses(c, chosen, [plain], None) == ([], (NAME,))
    assert consent.losses(c, chosen, [plain, restart], read) == ([IDLE], (NAME,))


UNIT = ["LoadState=loaded", "UnitFileState=enabled"]
RUNS = [*UNIT, "ActiveState=active", "SubState=running"]
RESTS = [*UNIT, "ActiveState=inactive", "SubState=dead"]
LISTENS = ["socket", *UNIT, "ActiveState=active", "SubState=listening"]
BOOT = "UnitFileState=disabled"


@pytest.mark.parametrize(
    "sleep, lines, say, asks",
    [
        (0, RUNS, "restart jupyterlab.service", True),
        (0, RESTS, "start jupyterlab.service", False),
        (60, [*RUNS, BOOT, *LISTENS], "restart jupyterlab.service", True),
        (60, [*RUNS, BOOT, "socket", *RESTS], "start jupyterlab.socket", True),
        (60, [*RESTS, "socket", *RESTS], "start jupyterlab.socket", False),
    ],
)
def test_a_restart_of_what_runs_ends_kernels(sleep, lines, say, asks):
    chosen = Settings(sleep_after=sleep)
    item = service(chosen, ("/f",))
    assert isinstance(item, Sleeper if sleep else Service)
    change = item.compare(item.parse(lines), {"/f"})
    assert change.say.startswith(say)
    assert (change.ends == kernels_of(chosen)) is asks


DEFAULT = Settings().domain


@pytest.mark.parametrize(
    "there, chosen, gone",
    [
        (None, {}, []),
        (("lab.example.org", "", True), {"domain": "Lab.example.org", "tls": "self-signed"}, []),
        (("lab.example.org", "", True), {}, ["lead here no more", "HTTPS"]),
        (("lab.example.org", "/jupyter", False), {"domain": "lab.example.org"}, ["no more"]),
        ((DEFAULT, "", False), {"domain": "lab.example.org"}, []),
        ((DEFAULT, "", True), {"domain": "lab.example.org"}, ["HTTPS"]),
    ],
)
def test_settings_that_take_the_name_or_https_away(there, chosen, gone):
    settings = Settings(**chosen)
    others = [Neighbour("jupyterlab-eve", "eve", "eve.example.org", secure=True)]
    if there:
        domain, path, secure = there
        others.append(Neighbour("jupyterlab", "david", domain, path, secure=secure))
    host = Host(user="david", group="david", home="/home/david", neighbours=tuple(others))
    (site,) = [item for item in nginx.items(settings, host) if getattr(item, "loses", ())] or [None]
    lines = site.compare(site.parse(["absent"]), set()).loses if site else ()
    assert len(lines) == len(gone) and all(
        word in line for word, line in zip(gone, lines, strict=True)
    )
