"""The scheduler of a cluster on JupyterLab's host, and the files with which notebooks find it.

It runs as a temporary user that systemd makes (DynamicUser): anyone with a certificate of the
cluster can run code there, and must not reach the notebooks that way.

Owns the units jupyterlab-scheduler.service and .socket, /etc/jupyterlab-scheduler with its
certificate, a copy of the venv in /var/cache/jupyterlab-scheduler, the list of workers; for
notebooks ~/.config/jupyterlab-cluster and ~/.config/dask/jupyterlab-cluster.yaml.
"""

from __future__ import annotations

from ..engine.host import Host
from ..engine.plan import Step
from ..items import Change, Directory, File, Gone, Item, Needs, Port, Service, VenvCopy
from ..python import requirements
from ..render import file, render
from ..script import call
from ..settings import Settings
from .members import PORT, Cluster

FOLDER = "~/.config/jupyterlab-cluster"
DASK = "~/.config/dask"
CLIENT = f"{DASK}/jupyterlab-cluster.yaml"  # Dask reads every file of this folder
HTTP = "dask-http.py"
HEAD = "# Written by `fab cluster`: the hosts that compute for this JupyterLab, and their names.\n"
PRELOADS = HTTP, "dask-suspects.py"  # modules that Dask loads at its start
PROXY = "jupyter-server-proxy"
PLACE = "/home/.venv"  # of the copy in the unit's sandbox; no user's name begins with a dot
BEFORE = "scheduler.pem", "scheduler.key", *PRELOADS, "__pycache__"  # of earlier versions
ROOT = Host(user="root", group="root")
START = 60  # seconds that it may take to listen


def unit_file(name: str) -> str:
    """Return the path of a unit."""
    return f"/etc/systemd/system/{name}"


def listing(members: tuple[str, ...]) -> str:
    """Return the text of the list of workers."""
    return "".join([HEAD, *(f"{member}\n" for member in members)])


def step(cluster: Cluster) -> Step:
    """Return the step that makes the scheduler of this cluster."""

    def items(settings: Settings, host: Host) -> list[Item]:
        """Return the scheduler, its certificates, and Dask's configuration for notebooks."""
        ours, home = settings.instance, host.under(FOLDER)
        folder, venv = ours.scheduler_folder, host.under(settings.venv)
        mine = {"owner": host.user, "group": host.group}
        secret = {"mode": "0600", **mine}
        unit, socket = ours.scheduler, ours.scheduler_socket
        text = render(
            "cluster/scheduler.service.j2",
            settings=settings,
            host=host,
            ours=ours,
            folder=folder,
            project=host.under(settings.project),
            place=PLACE,
            own=f"{ours.called}-scheduler-own",
            address=cluster.address,
            port=PORT,
            preloads=PRELOADS,
        )
        ca, own, stamp = f"{folder}/ca.pem", f"{folder}/scheduler.pem", f"{folder}/venv"
        loaded = tuple(f"{folder}/{one}" for one in PRELOADS)
        reads = unit_file(unit), unit_file(socket), own, ca, *loaded, stamp
        dashboard = ours.dashboard.rpartition("/")[0]
        told = socket, unit_file(socket), dashboard, unit, unit_file(unit), cluster.address
        known = render(
            "cluster/dask.yaml.j2",
            folder=home,
            scheduler=cluster.scheduler,
            dashboard=f"{settings.url}/dask/status",
        )
        return [
            Needs(path=f"{venv}/bin/jupyter", maker="jupyter"),
            File(path=ours.members, content=listing(cluster.members)),
            Directory(path=host.under("~/.config"), adopted=True, mode="0700", **mine),
            Directory(path=home, mode="0700", **mine),
            Directory(path=host.under(DASK), adopted=True, mode="0700", **mine),
            File(path=f"{home}/ca.pem", content=cluster.ca.pem, secret=True, **secret),
            cluster.identity(f"{home}/client.pem", "client", (), host, listens=False),
            File(path=host.under(CLIENT), content=known, **secret),
            Directory(path=folder),
            *(File(path=f"{folder}/{one}", content=file(f"cluster/{one}")) for one in PRELOADS),
            File(path=ca, content=cluster.ca.pem, secret=True),
            cluster.identity(own, "scheduler", (cluster.address,), ROOT, mode="0644"),
            VenvCopy(path=ours.scheduler_venv, stamp=stamp, venv=venv, owner=host.user,
                     home=host.home),
            File(path=unit_file(socket),
                 content=render("cluster/scheduler.socket.j2", settings=settings, host=host)),
            File(path=unit_file(unit), content=text),
            Service(
                step="cluster",
                unit=unit,
                reads=reads,
                verb="restart",
                fix=call("start_scheduler", *told, PORT, START),
            ),
            Port(port=PORT, unit=unit),
            Gone(folder=home, names=BEFORE, owner=host.user),
        ]  # fmt: skip

    return items


def dissolved(settings: Settings, host: Host) -> Change:
    """Return the change that removes all of it, after the last worker has left."""
    ours = settings.instance
    unit, socket = ours.scheduler, ours.scheduler_socket
    files = (
        unit_file(unit),
        unit_file(socket),
        ours.members,
        CLIENT,
        ours.dashboard.rpartition("/")[0],
    )
    trees = FOLDER, ours.scheduler_folder, ours.scheduler_venv
    paths = {"path": files, "tree": trees}
    rows = [f"{kind} {host.under(path)}" for kind in paths for path in paths[kind]]
    calls = [call("stop_units", unit, socket), call("take_away", text="\n".join(rows))]
    if PROXY not in map(
        requirements.name, requirements.asked(settings, host)
    ):  # the proxy would show any port of main
        drop = call("drop_packages_alone", host.under(settings.venv), host.user, host.home, PROXY)
        calls.append(f"{drop} || note '{PROXY} stays: other packages need it'")
    calls.append(call("systemctl", "daemon-reload"))
    return Change(f"remove {unit} and its files", "\n".join(calls))
