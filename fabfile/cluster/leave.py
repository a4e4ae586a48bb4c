"""Removal of workers: their data moves to the other workers, then their files are removed."""

from __future__ import annotations

import re

from fabric import Connection
from invoke import Exit

from .. import jupyter, nginx, systemd
from ..engine import consent
from ..engine.actions import carry_out, meet
from ..engine.converge import converge
from ..engine.host import Host, Request
from ..fleet import parallel
from ..items import Change
from ..script import call
from ..settings import Settings
from ..ssh.errors import name_of
from ..ui.command import FAB
from ..ui.console import say
from ..uninstall import uninstall
from ..uninstall.ledger import Seen
from . import dask, members, scheduler

STEPS = jupyter.items, systemd.items, nginx.items  # the steps of JupyterLab that a cluster changes
OTHERS = re.compile(r"/etc/systemd/system/jupyterlab(-[a-z0-9-]+)?\.service")


def take_out(c, settings: Settings, host: Host, gone: tuple[str, ...], yes: bool) -> None:
    """Remove workers, and with the last one the scheduler.

    :raises Exit: for a host that is not in the cluster, or that lab.workers lists.
    """
    known, wanted = members.targets(host.cluster), parallel.named(c, settings.workers)
    for target in gone:
        if target not in known:
            raise Exit(f"{target} is not in the cluster, which has {', '.join(known)}")
        if target in wanted:
            raise Exit(f"lab.workers lists {target}: remove it from that setting first")
    staying = tuple(m for m in host.cluster if m.partition(" ")[0] not in gone)
    if not staying:  # JupyterLab restarts without the dashboard
        _, (told,) = meet(c, settings, [jupyter.kernels_of(settings)])
        consent.agree(c, yes, told.get("kernels"))
    elif not c.config.run.dry:
        leaving = set(host.cluster) - set(staying)
        drain(c, settings, host, members.names(tuple(leaving)))
    dismiss(c, settings, gone, gone)
    if staying:
        text = scheduler.listing(staying)
        note = call("put_file", settings.instance.members, "root", "root", "0644", text=text)
        carry_out(c, host, Change(f"write {settings.instance.members}", note))
        return
    carry_out(c, host, scheduler.dissolved(settings, host))
    converge(c, settings, *STEPS, request=Request(cluster=(), yes=True))


def drain(c, settings: Settings, host: Host, names: tuple[str, ...]) -> None:
    """Move the data of these workers to the others, if the scheduler answers."""
    try:
        moved = dask.ask(c, settings, host, "retire", dask.WORK, *names)
    except Exit as problem:
        say(f"  note          not drained: {problem.message}")
        return
    for name in names:
        say(f"  {name}: {'drained' if name in moved else 'not connected, nothing to drain'}")


def dismiss_all(c, settings: Settings, workers: tuple[str, ...]) -> None:
    """Remove all workers of a cluster from it.

    :param workers: `HOST NAME` of each, as the main host lists them.
    """
    dismiss(c, settings, members.targets(workers))


def dismiss(c, settings: Settings, targets: tuple[str, ...], named=()) -> None:
    """Remove the workers from their hosts; print the hosts that cannot be reached.

    :param named: the hosts that the operator named; others count only if this machine added them.
    """
    ours = members.vouched(c, settings) | set(named)
    for target in set(targets) - ours:
        say(f"  note          {name_of(c)} lists the worker {target}, but this machine did not "
            f"add it; if it is yours: {FAB} -H {target} uninstall")  # fmt: skip
    targets = tuple(target for target in targets if target in ours)
    hosts = parallel.named(c, list(targets))
    _, away = parallel.on_each(hosts, parallel.opened(settings))
    for target, why in away.items():
        say(f"  note          {why}; when it is back: {FAB} -H {target} uninstall")
    there = {target: one for target, one in hosts.items() if target not in away}
    parallel.all_of(there, lambda other: leave(other, settings))
    for one in there.values():
        one.close()


def restart(c: Connection, settings: Settings) -> None:
    """Restart the worker of a host: it runs, but has not reached the scheduler."""
    host, _ = meet(c, settings)
    unit = settings.instance.worker
    carry_out(c, host, Change(f"restart {unit}", call("systemctl", "restart", unit)), whenever=True)


def leave(c: Connection, settings: Settings) -> None:
    """Remove a worker from its host; keep a JupyterLab that is on the same host."""
    chosen, ours = members.theirs(settings, c), settings.instance
    host, (found,) = meet(c, chosen, [Seen(project=settings.project)])
    unit = scheduler.unit_file(ours.worker)
    others = [path for _, path in found.made if OTHERS.fullmatch(path) and path != unit]
    if not any(path in found.there for path in others):
        uninstall.leave(c, chosen)
        return
    rows = f"path {unit}\ntree {host.under(ours.seat)}"
    calls = (
        call("stop_units", ours.worker),
        call("take_away", text=rows),
        call("systemctl", "daemon-reload"),
    )
    carry_out(c, host, Change(f"remove the worker from {name_of(c)}", "\n".join(calls)))
