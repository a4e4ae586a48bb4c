"""Show the state of a server, and how it differs from the settings."""

from __future__ import annotations

import time
from dataclasses import replace

from invoke import Exit

from ..engine.converge import Reading, look
from ..ssh.errors import name_of
from ..steps import STEPS
from ..ui import console
from ..ui.command import FAB
from .collect import live, whole
from .display import lines


def status(c, settings, drift):
    began = time.monotonic()

    def items(settings, host):
        return [live(settings, newest=not drift)]

    seen, changes = look(c, settings, (*STEPS, items))
    told = whole(name_of(c), settings, seen, changes)
    console.note(**told)
    show(told, seen, changes, asked=not drift, began=began)
    if drift and told["drift"]:
        where, number = name_of(c), console.count(len(told["differs"]))
        raise Exit(f"{where} has drifted: {FAB} -H {where} full makes {number}", 2)


def show(told: dict, seen: Reading, changes, asked: bool, began: float) -> None:
    """Print the state and the drift for people, without the text of files yet to be created."""
    report, number = console.report(told["host"]), len(seen.items) - 1
    report.line(f"{report.where}{seen.host.name}")
    for name, text in lines(told, asked):
        report.shown(name, text)
    if told["drift"]:
        brief = [change if change.before else replace(change, after=None) for change in changes]
        report.plan(seen.host, brief, number, {})
        for pending in told["differs"][len(changes) :]:
            report.line(f"  would {pending}")
    else:
        report.end_host(0, number, time.monotonic() - began)
    if last := told["last_run"]:
        how = "finished" if last["ended_well"] else "did not finish, or is still running"
        report.note(f"the last run, by {last['by']}, {how}")
