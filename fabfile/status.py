"""How the server is, and whether it is still what the settings say."""

from __future__ import annotations

import time

from invoke import Exit

from . import output, remote, tls
from .converge import look
from .full import STEPS
from .plan import facts_of, name
from .settings import load
from .troubles import name_of


@remote.task
def status(c, drift=False):
    """Show versions and what differs from the settings; writes nothing, needs no sudo.

    :param drift: exit with 2 when something differs (0: all the same, 1: error), for cron or CI.
    """
    began, report = time.monotonic(), output.report(name_of(c))
    host, items, answers, changes = look(c, load(c.config), STEPS)
    for step in STEPS:
        report.shown(name(step), facts_of(items, answers, name(step)))
    pending = tls.pending(items, answers)
    if changes or pending:
        report.plan(host, changes, len(items), {})
        if pending:
            report.line(f"  would {pending}")
    else:
        report.end_host(0, len(items), time.monotonic() - began)
    if host.turn:
        how = "did not end well, or is still at work" if host.unsettled else "ended well"
        report.note(f"the last run, by {host.turn.removesuffix(', done')}, {how}")
    if drift and (changes or pending):
        raise Exit(code=2)
