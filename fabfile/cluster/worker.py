"""A worker of a cluster on its own host: a venv with main's versions, and a unit that computes.

Owns ~/jupyterlab-worker with venv, certificate and spilled data, and jupyterlab-worker.service.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import systemd
from ..engine.host import Host
from ..engine.plan import Step
from ..items import Directory, File, Identity, Interpreter, Item, Packages, Port, Service, Venv
from ..render import file, render
from ..script import call
from ..settings import Settings
from .members import WORKS, Cluster
from .scheduler import HTTP, START, unit_file

PRELOADS = HTTP, "dask-watch.py"  # modules that Dask loads: for the worker, and for its nanny
OWN = "scratch", "__pycache__"  # folders that the worker makes itself
PACKAGES = ("python3", "python3-venv", "ca-certificates")


@dataclass(frozen=True)
class Place:
    """A worker's host.

    :param address: the address to listen on.
    :param memory: its total memory in MB.
    """

    name: str
    address: str
    processors: int
    memory: int


def step(cluster: Cluster, place: Place, python: str, pins: tuple[str, ...]) -> Step:
    """Return the step that makes a worker.

    :param python: the version of main's Python.
    :param pins: main's packages, each NAME==VERSION.
    """

    def items(settings: Settings, host: Host) -> list[Item]:
        """Return Python, the venv, the certificate, and the running worker."""
        folder, mine = host.under(settings.instance.seat), {"owner": host.user, "group": host.group}
        secret, unit = {"mode": "0600", **mine}, settings.instance.worker
        ca, pem, venv = f"{folder}/ca.pem", f"{folder}/worker.pem", f"{folder}/venv"
        loaded = (f"{folder}/{one}" for one in PRELOADS)
        reads = unit_file(unit), pem, ca, *loaded, f"{venv}/.converged"
        told = unit, unit_file(unit), place.address, WORKS, START
        fix = call("start_member", *told, *(f"{folder}/{own}" for own in OWN))
        return [
            Packages(
                step="cluster",
                names=tuple(dict.fromkeys((*PACKAGES, *settings.system_packages))),
                recommends=settings.recommends,
            ),
            Interpreter(version=python, needs=("python3", "python3-venv")),
            Directory(path=folder, mode="0700", **mine),
            *systemd.closed(settings, host),
            filled(settings, host, venv, pins),
            *(
                File(path=f"{folder}/{one}", content=file(f"cluster/{one}"), **secret)
                for one in PRELOADS
            ),
            File(path=ca, content=cluster.ca.pem, secret=True, **secret),
            identity(cluster, place, pem, host),
            File(path=unit_file(unit), content=unit_text(settings, host, cluster, place)),
            Service(step="cluster", unit=unit, reads=reads, verb="restart", fix=fix),
            Port(port=WORKS, unit=unit),
        ]

    return items


def filled(settings: Settings, host: Host, venv: str, pins: tuple[str, ...]) -> Venv:
    """Return the venv with main's versions."""
    return Venv(
        step="cluster",
        path=venv,
        owner=host.user,
        home=host.home,
        requirements=pins,
        installer=settings.installer,
        show=("dask", "distributed"),
        needs=("python3", "python3-venv"),
    )


def identity(cluster: Cluster, place: Place, path: str, host: Host) -> Identity:
    """Return the certificate of the worker."""
    return cluster.identity(path, place.name, (place.address,), host)


def unit_text(settings: Settings, host: Host, cluster: Cluster, place: Place) -> str:
    """Return the unit, its limits derived from the size of the host."""
    return render(
        "cluster/worker.service.j2",
        settings=settings,
        host=host,
        called=cluster.called,
        scheduler=cluster.scheduler,
        folder=host.under(settings.instance.seat),
        name=place.name,
        address=place.address,
        port=WORKS,
        preloads=PRELOADS,
        processors=place.processors,
        total=place.memory,
        threads=max(place.processors * settings.worker_cpu // 100, 1),
        quota=max(place.processors * settings.worker_cpu, 10),
        memory=max(place.memory * settings.worker_memory // 100, 256),
    )
