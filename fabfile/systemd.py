"""JupyterLab as a service: started at boot, started again when it fails, under the user's name.

Owns the unit jupyterlab.service and the rule that makes the folder of its socket; with
lab.sleep_after also jupyterlab.socket, which is there at boot instead and starts the service.
"""

from . import jupyter
from .engine.converge import converge
from .engine.host import Host
from .engine.task import task
from .items import Absent, Directory, File, Item, Needs, PathItem, Port, Service, Sleeper, call
from .render import render
from .settings import Settings


def start(settings: Settings) -> str:
    """The call that starts it, or starts it again, and waits until it answers."""
    ours, target = settings.instance, jupyter.target(settings)
    behind = (ours.door, ours.door_file) if settings.sleep_after else ()
    return call("start_service", ours.unit, ours.unit_file, target, settings.start_timeout, *behind)


def needed(settings: Settings) -> PathItem:
    """The file without which it cannot be started as the settings have it."""
    ours = settings.instance
    return PathItem(path=ours.door_file if settings.sleep_after else ours.unit_file)


def items(settings: Settings, host: Host) -> list[Item]:
    """The unit, its socket's folder, and the running service."""
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
        door=ours.door,
        runtime=jupyter.runtime(settings, host),
        run=ours.run,
    )
    wanted = [
        Needs(path=f"{venv}/bin/jupyter", maker="jupyter"),
        File(
            path=ours.tmpfiles, content=render("systemd/tmpfiles.conf.j2", host=host, run=ours.run)
        ),
        door(settings, host),
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
    """What the sandbox `strict` keeps from being written: it can only close what is there."""
    if settings.sandbox != "strict":
        return []
    keys = host.under("~/.ssh")
    return [Directory(path=keys, owner=host.user, group=host.group, mode="0700")]


def door(settings: Settings, host: Host) -> Item:
    """The unit of the socket that wakes it; none, where it never sleeps."""
    ours = settings.instance
    if not settings.sleep_after:
        return Absent(path=ours.door_file, unit=ours.unit, before=call("retire", ours.door))
    text = render("systemd/jupyterlab.socket.j2", host=host, ours=ours)
    return File(path=ours.door_file, content=text)


def service(settings: Settings, reads: tuple[str, ...]) -> Service:
    """The service: it runs, or it may sleep behind its socket."""
    fix, ours = start(settings), settings.instance
    if not settings.sleep_after:
        return Service(unit=ours.unit, reads=reads, verb="restart", fix=fix)
    wakes = Service(
        unit=ours.door,
        reads=(ours.door_file,),
        since="ActiveEnterTimestamp",
        verb="restart",
        fix=fix,
    )
    return Sleeper(
        step="systemd", unit=ours.unit, reads=reads, verb="restart", fix=fix, socket=wakes
    )


@task
def systemd(c):
    """Run JupyterLab as a service that survives reboots."""
    converge(c, items)
