"""The scheduler of a cluster beside JupyterLab, and what lets notebooks find it.

Owns the unit jupyterlab-scheduler.service, ~/.config/jupyterlab-cluster with the certificates of
scheduler and notebooks, ~/.config/dask/jupyterlab-cluster.yaml, and the list of the workers.
"""

from __future__ import annotations

from . import specs
from .host import Host
from .instance import SYSTEMD
from .items import Change, Directory, File, Item, Needs, Port, Service, call
from .peers import PORT, Cluster
from .plan import Step
from .render import render, shell
from .settings import Settings

FOLDER = "~/.config/jupyterlab-cluster"
DASK = "~/.config/dask"
CLIENT = f"{DASK}/jupyterlab-cluster.yaml"  # Dask reads every file of that folder
HTTP = "dask-http.py"
HEAD = "# Written by `fab cluster`: the hosts that compute for this JupyterLab, and their names.\n"
PRELOADS = HTTP, "dask-suspects.py"  # what Dask loads first
PROXY = "jupyter-server-proxy"
START = 60  # seconds until it listens


def unit_file(name: str) -> str:
    """The path of a unit."""
    return f"{SYSTEMD}/{name}"


def listing(members: tuple[str, ...]) -> str:
    """The text of the list of the workers."""
    return "".join([HEAD, *(f"{member}\n" for member in members)])


def step(cluster: Cluster) -> Step:
    """Give the step that makes the scheduler of this cluster."""

    def items(settings: Settings, host: Host) -> list[Item]:
        """The scheduler, its certificates, and what Dask reads in a notebook."""
        folder, venv = host.under(FOLDER), host.under(settings.venv)
        mine = {"owner": host.user, "group": host.group}
        secret = {"mode": "0600", **mine}
        unit = settings.instance.scheduler
        values = {"settings": settings, "host": host, "folder": folder, "venv": venv}
        text = render(
            "scheduler.service.j2",
            **values,
            address=cluster.address,
            port=PORT,
            preloads=PRELOADS,
            runtime=settings.instance.dashboard.split("/")[2],
        )
        ca, own = f"{folder}/ca.pem", f"{folder}/scheduler.pem"
        loaded = (f"{folder}/{one}" for one in PRELOADS)
        reads = unit_file(unit), own, ca, *loaded, f"{venv}/.converged"
        told = unit, unit_file(unit), cluster.address, PORT, START
        known = render(
            "dask.yaml.j2",
            folder=folder,
            scheduler=cluster.scheduler,
            dashboard=f"{settings.url}/dask/status",
        )
        return [
            Needs(path=f"{venv}/bin/jupyter", maker="jupyter"),
            File(path=settings.instance.members, content=listing(cluster.members)),
            Directory(path=host.under("~/.config"), adopted=True, mode="0700", **mine),
            Directory(path=folder, mode="0700", **mine),
            Directory(path=host.under(DASK), adopted=True, mode="0700", **mine),
            *(File(path=f"{folder}/{one}", content=shell(one), **secret) for one in PRELOADS),
            File(path=ca, content=cluster.ca.pem, secret=True, **secret),
            cluster.identity(own, "scheduler", (cluster.address,), host),
            cluster.identity(f"{folder}/client.pem", "client", (), host, listens=False),
            File(path=host.under(CLIENT), content=known, **secret),
            File(path=unit_file(unit), content=text),
            Service(
                step="cluster",
                unit=unit,
                reads=reads,
                verb="restart",
                fix=call("start_member", *told, f"{folder}/__pycache__"),
            ),
            Port(port=PORT, unit=unit),
        ]  # fmt: skip

    return items


def dissolved(settings: Settings, host: Host) -> Change:
    """The change that takes all of it away, when the last worker has gone."""
    unit = settings.instance.scheduler
    paths = {"path": (unit_file(unit), settings.instance.members, CLIENT), "tree": (FOLDER,)}
    rows = [f"{kind} {host.under(path)}" for kind in paths for path in paths[kind]]
    calls = [call("stop_units", unit), call("take_away", text="\n".join(rows))]
    if PROXY not in map(specs.name, specs.asked(settings, host)):  # it would show any port
        drop = call("drop_packages_alone", host.under(settings.venv), host.user, host.home, PROXY)
        calls.append(f"{drop} || echo 'note: {PROXY} stays: others need it'")
    calls.append(call("systemctl", "daemon-reload"))
    return Change(f"remove {unit} and what belongs to it", "\n".join(calls))
