"""Questions to the scheduler of a cluster about its workers, asked on main with Dask's client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import msgspec
from fabric import Connection
from invoke import Exit

from ..engine.host import Host
from ..render import program
from ..script import call
from ..settings import Settings
from ..ssh import channel
from ..ssh.errors import fab_on, name_of
from ..ui import console
from ..ui.command import FAB
from . import compatibility, members

PATIENCE = 30  # seconds that a started worker has to register with the scheduler
MOST = 4 * 2**20  # characters in an answer
WORK = 60  # seconds that a leaving worker may go on computing


class Worker(TypedDict):
    """A worker as the scheduler reports it; `limit` and `used` in bytes.

    :param differs: package -> its version on the worker, on main; None when it did not say.
    """

    name: str
    state: str
    threads: int
    limit: int
    used: int
    differs: dict[str, tuple[str | None, str]] | None


# Made at import, before threads use them: see items/runtime.py.
NAMES = msgspec.json.Decoder(list[str])
ANSWERS = {"look": msgspec.json.Decoder(list[Worker]), "wait": NAMES, "retire": NAMES}


def ask(c: Connection, settings: Settings, host: Host, what: str, *words: object):
    """Ask the scheduler; return its answer.

    :raises Exit: when the scheduler does not answer.
    """
    python, text = f"{host.under(settings.venv)}/bin/python", program("dask_workers")
    asked = call("env", f"HOME={host.home}", python, "-", what, *words, text=text)
    told = channel.ask(c, f"cd /\n{asked}\n", user=settings.user, seconds=300)
    rows = [line for line in told if line.startswith("[") and len(line) <= MOST]
    try:
        return ANSWERS[what].decode(rows[-1] if rows else "")
    except (msgspec.DecodeError, RecursionError):
        last = told[-1][:200] if told else "nothing"
        raise Exit(f"the scheduler on {name_of(c)} does not answer ({last}): {fab_on(c)} "
                   "cluster repairs it; its journal: journalctl -u "
                   f"{settings.instance.scheduler}") from None  # fmt: skip


def wait(c: Connection, settings: Settings, host: Host, workers, again: Callable) -> None:
    """Wait until all workers have registered; restart the missing ones once.

    :param again: restarts the workers of these names.
    :raises Exit: when a worker is still missing.
    """
    missing = ask(c, settings, host, "wait", PATIENCE, *members.names(workers))
    if missing:
        again(missing)
        missing = ask(c, settings, host, "wait", PATIENCE, *missing)
    if missing:
        late = [m.partition(" ")[0] for m in workers if m.partition(" ")[2] in missing]
        raise Exit(f"{', '.join(late)} runs, but did not reach the scheduler in {PATIENCE} s: "
                   f"open port {members.PORT} of {name_of(c)} to them, and ports {members.WORKS} "
                   f"and {members.WORKS + 1} of each to all the others; run again")  # fmt: skip


def show(c: Connection, settings: Settings, host: Host) -> None:
    """Print a line for each worker.

    :raises Exit: when a worker is missing or not running, or has other versions.
    """
    there = {one["name"]: one for one in ask(c, settings, host, "look")}
    report, well = console.report(name_of(c)), True
    many = console.count(len(host.cluster), "worker")
    report.line(f"{report.where}{many}, scheduler on this host")
    wide = max(len(target) for target in members.targets(host.cluster))
    for member in host.cluster:
        target, _, name = member.partition(" ")
        one = there.get(name)
        words, fine = described(one)
        well = well and fine
        report.line(f"  {target:<{wide}}  {name}  {words}")
    if not well:
        where = name_of(c)
        raise Exit(f"some workers are not in order: {FAB} -H {where} cluster repairs them; "
                   f"if one is gone for good: {FAB} -H {where} cluster --remove HOST")  # fmt: skip


def described(one: Worker | None) -> tuple[str, bool]:
    """Return the state of a worker as text, and whether it is in order."""
    if one is None:
        return "missing", False
    other = compatibility.other_versions(one["differs"])
    memory = f"{one['used'] / 2**30:.1f} of {one['limit'] / 2**30:.1f} GiB"
    threads = console.count(one["threads"], "thread")
    words = f"{one['state']}  {threads}  {memory}  versions {other or 'equal'}"
    return words, one["state"] == "running" and not other
