"""JupyterLab as a service of the user: started at boot, restarted when it fails.

Owns the unit jupyterlab.service and the tmpfiles.d rule for the folder of its socket; with
lab.sleep_after also jupyterlab.socket, which starts at boot and wakes the service.
"""

from . import jupyter
from .engine.converge import converge
from .engine.host import Host, Request
from .items import Absent, Directory, File, Item, Needs, PathItem, Port, Service, Sleeper
from .render import render
from .script import call
from .settings import Settings


def start(settings: Settings) -> str:
    """Return the shell call that starts or restarts JupyterLab and waits until it answers."""
    ours, seconds = settings.instance, settings.start_timeout
    behind = (ours.socket_unit, ours.socket_file) if settings.sleep_after else ()
    return call("start_service", ours.unit, ours.unit_file, settings.endpoint, seconds, *behind)


def needed(settings: Settings) -> PathItem:
    """Return the unit file that must exist before JupyterLab can start: service or socket."""
    ours = settings.instance
    return PathItem(path=ours.socket_file if settings.sleep_after else ours.unit_file)


def items(settings: Settings, host: Host) -> list[Item]:
    """Return the unit, the folder of its socket, and the running service."""
    ours, venv, token = settings.instance, host.under(settings.venv), host.under(jupyter.TOKEN)
    unit = render(
        "systemd/jupyterlab.service.j2",
        settings=settings,
        host=host,
        project=host.under(settings.project),
        venv=venv,
        token=token,
        tmpfiles=ours.tmpfiles,
        socket=jupyter.listens(settings),
        socket_unit=ours.socket_unit,
        runtime=jupyter.runtime(settings, host),
        run=ours.run,
    )
    wanted = [
        Needs(path=f"{venv}/bin/jupyter", maker="jupyter"),
        File(
            path=ours.tmpfiles, content=render("systemd/tmpfiles.conf.j2", host=host, run=ours.run)
        ),
        socket_unit(settings, host),
        File(path=ours.unit_file, content=unit),
        Directory(path=ours.run, owner=host.user, group="www-data", mode="2750"),
        service(
            settings,
            (ours.unit_file, host.under(jupyter.CONFIG), token, *jupyter.core(settings, host)),
        ),
    ]
    wanted[1:1] = closed(settings, host)
    if settings.port:
        wanted.append(Port(port=settings.port, unit=ours.unit))
    return wanted


def closed(settings: Settings, host: Host) -> list[Item]:
    """Return the folders that the sandbox `strict` makes read-only: they must exist for that."""
    if settings.sandbox != "strict":
        return []
    keys = host.under("~/.ssh")
    return [Directory(path=keys, owner=host.user, group=host.group, mode="0700")]


def socket_unit(settings: Settings, host: Host) -> Item:
    """Return the unit of the socket that wakes JupyterLab; its absence without lab.sleep_after."""
    ours = settings.instance
    if not settings.sleep_after:
        retire = call("retire", ours.socket_unit)
        return Absent(path=ours.socket_file, unit=ours.unit, before=retire)
    text = render("systemd/jupyterlab.socket.j2", host=host, ours=ours)
    return File(path=ours.socket_file, content=text)


def service(settings: Settings, reads: tuple[str, ...]) -> Service:
    """Return the running service; with lab.sleep_after its socket is enough."""
    ours, kernels = settings.instance, jupyter.kernels_of(settings)
    how = {"verb": "restart", "fix": start(settings), "kernels": kernels}
    if not settings.sleep_after:
        return Service(unit=ours.unit, reads=reads, **how)
    wakes = Service(
        unit=ours.socket_unit, reads=(ours.socket_file,), since="ActiveEnterTimestamp", **how
    )
    return Sleeper(step="systemd", unit=ours.unit, reads=reads, socket=wakes, **how)


def systemd(c, settings, yes):
    converge(c, settings, items, request=Request(yes=yes))
