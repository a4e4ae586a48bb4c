"""The task `cluster`: Dask's scheduler runs on the host of JupyterLab, a worker on each other host.

The workers are those of --workers or lab.workers, and those that main already has. scheduler.py and
worker.py hold the items of each host, members.py the certificates, leave.py the removal of workers.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re

from fabric import Connection
from invoke import Exit

from .. import jupyter, systemd
from ..engine import actions
from ..engine.converge import converge, read
from ..engine.host import Host, Request
from ..fleet import parallel
from ..items import PathItem, Seat, Venv
from ..items.cluster import SAID
from ..manage import upgrade
from ..python import requirements
from ..settings import Settings
from ..settings.groups import listed
from ..ssh import connection
from ..ssh.errors import fab_on, name_of
from ..ui import console
from ..ui.command import FAB
from ..ui.console import say
from . import compatibility, dask, leave, members, scheduler, worker
from .members import Cluster

# such as numpy==2.4.6 (PEP 503, PEP 440)
PIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?==[A-Za-z0-9][A-Za-z0-9.!+_]*")


def cluster(c, settings, workers, add, remove, status, yes):
    if sum(map(bool, (workers, add, remove, status))) > 1:
        raise Exit("cluster: one of --workers, --add, --remove and --status at a time")
    host = met(c, settings)
    where = f"{fab_on(c)} cluster"
    if not host.cluster and (add or remove or status):
        raise Exit(f"{name_of(c)} has no cluster yet: {where} --workers david@w1,david@w2")
    if status:
        dask.show(c, settings, host)
        return
    if remove:
        leave.take_out(c, settings, host, tuple(parallel.named(c, listed(remove))), yes)
        return
    mine = [*listed(workers or add), *settings.workers]
    members.refuse_unvouched(c, settings, host, mine)
    named = [*members.targets(host.cluster), *mine]
    others = parallel.named(c, named)
    if not others:
        raise Exit(f"no workers given: {where} --workers david@w1,david@w2, or lab.workers")
    try:
        bring_about(c, settings, host, others, yes)
    finally:
        for other in others.values():
            other.close()


def met(c, settings: Settings) -> Host:
    """Return the facts of main.

    :raises Exit: when main has no JupyterLab of these settings.
    """
    symbols = [jupyter.venv(settings, Host()), systemd.needed(settings)]
    host, (venv, unit) = actions.meet(c, settings, symbols)
    if not venv.exists or unit.kind == "absent":
        raise Exit(f"{name_of(c)} has no JupyterLab yet: first run {fab_on(c)} full")
    return host


def bring_about(c, settings: Settings, host: Host, others: dict[str, Connection], yes) -> None:
    """Bring main and all workers to the desired state; inspect all before any is changed."""
    made, seen = looked_at(c, settings, host, others)
    if not c.config.run.dry:
        members.vouch(c, settings, made.called, members.targets(made.members))
        if made.ca.save():
            say(f"  cluster  new private CA: {made.ca.folder}")
        if made.members != host.cluster:
            # asks for its passphrase once, before the threads of the hosts start
            _ = made.ca.key
    request = Request(cluster=made.members, yes=yes)
    main = converge(c, settings, *leave.STEPS, scheduler.step(made), request=request)
    ((_, venv),) = main.of(Venv)
    _, elsewhere = upgrade.roots(c, settings)
    if elsewhere:
        say(f"  from no package index, not on the workers: {', '.join(sorted(elsewhere))}")
    pins = exact(venv.versions, elsewhere)
    python = seen[""]["python"]

    def work(other: Connection) -> None:
        place = place_of(seen[name_of(other)])
        chosen = members.theirs(settings, other)
        converge(other, chosen, worker.step(made, place, python, pins))

    parallel.all_of(others, work)
    if c.config.run.dry:
        return

    def again(names: list[str]) -> None:
        late = {t: one for t, one in others.items() if seen[t]["name"] in names}
        parallel.all_of(late, lambda other: leave.restart(other, members.theirs(settings, other)))

    dask.wait(c, settings, main.host, made.members, again)
    called = " ".join(members.names(made.members))
    say(f"  cluster  {console.count(len(others), 'worker')}: {called}; dashboard: "
        f"{settings.url}/dask/status")  # fmt: skip


def looked_at(c, settings: Settings, host: Host, others) -> tuple[Cluster, dict[str, dict]]:
    """Inspect all hosts without changing them.

    :returns: the desired cluster, and what each host reports; main's report is under "".
    :raises Exit: when the hosts cannot compute together.
    """
    where, known = name_of(c), members.targets(host.cluster)

    def gone(target: str) -> str:
        more = f"; if it is gone for good: {FAB} -H {where} cluster --remove {target}"
        return more if target in known else ""

    reached = parallel.reached(others, settings, gone)
    mine = seat(c, settings, next(iter(reached.values())), settings.venv)
    address = (
        settings.cluster_address or usable(mine["address"]) or usable(connection.peer_address(c))
    )
    if not address:
        raise Exit(f"no address known at which workers reach {where}: set lab.cluster_address")
    called = f"{host.user}-{mine['machine'][:16]}"
    there = parallel.all_of(others, lambda other: met_worker(other, settings, address))
    places = {target: (its, said) for target, (its, said, _) in there.items()}
    wrong = compatibility.unlike((host, mine), places, where)
    for target, (_, _, unit) in there.items():
        whose = compatibility.strangers(unit, called)
        if whose:
            wrong.append(f"{target} works for another cluster, {whose}: name another host, or "
                         f"remove that worker with {FAB} -H {target} uninstall")  # fmt: skip
    for line in wrong[:-1]:
        say(line)
    if wrong:
        raise Exit(wrong[-1])
    seen = {target: said | {"way": reached[target]} for target, (_, said, _) in there.items()}
    workers = tuple(f"{target} {said['name']}" for target, said in seen.items())
    return Cluster(called, address, members.own(settings, called), workers), seen | {"": mine}


def seat(c, settings: Settings, toward: str, venv: str) -> dict[str, str]:
    """Return what a host reports of itself: name, address, processors, memory, Python."""
    (said,) = read(c, [Seat(toward=toward, venv=venv)], settings).states
    return whole(said, c)


def whole(said: dict[str, str], c: Connection) -> dict[str, str]:
    """Return what a host reported.

    :raises Exit: when something is missing.
    """
    missing = [name for name in SAID if name not in said]
    if missing:
        raise Exit(f"{name_of(c)} does not report its {', '.join(missing)}: check that host")
    return said


def met_worker(c, settings: Settings, toward: str) -> tuple[Host, dict[str, str], str]:
    """Return the facts of a worker's host, what it reports, and the text of its worker unit."""
    unit = PathItem(path=scheduler.unit_file(settings.instance.worker))
    item = Seat(toward=toward, venv=f"{settings.instance.seat}/venv")
    host, (said, there) = actions.meet(c, members.theirs(settings, c), [item, unit])
    return host, whole(said, c), there.text or ""


def usable(address: str) -> str:
    """Return an address if other hosts can reach it, else an empty text."""
    with contextlib.suppress(ValueError):
        return "" if ipaddress.ip_address(address).is_loopback else address
    return ""


def place_of(said: dict[str, str]) -> worker.Place:
    """Return the place of a worker, from what its host reported."""
    address = usable(said["address"]) or said["way"]
    return worker.Place(said["name"], address, int(said["processors"]), int(said["memory"]))


def exact(there: dict[str, str], elsewhere: set[str]) -> tuple[str, ...]:
    """Return the installed versions as requirements, NAME==VERSION.

    :raises Exit: for an invalid name or version: an installer could take it as an option.
    """
    names = sorted(set(there) - requirements.TOOLS - elsewhere)
    pins = tuple(f"{name}=={there[name]}" for name in names)
    odd = next((pin for pin in pins if not PIN.fullmatch(pin)), "")
    if odd:
        raise Exit(
            f"main's venv has {odd[:80]!r}, which is not a valid name and version: uninstall it"
        )
    return pins
