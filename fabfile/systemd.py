"""JupyterLab as a service: started at boot, started again when it fails, under the user's name.

Owns the unit jupyterlab.service and the rule that makes the folder of its socket; with
lab.sleep_after also jupyterlab.socket, which is there at boot instead and starts the service.
"""

from . import jupyter
from .converge import converge
from .host import Host
from .items import Absent, Directory, File, Item, Needs, PathItem, Port, Service, Sleeper, call
from .remote import task
from .render import render
from .settings import Settings

NAME = "jupyterlab.service"
DOOR = "jupyterlab.socket"
UNIT = f"/etc/systemd/system/{NAME}"
SOCKET = f"/etc/systemd/system/{DOOR}"
TMPFILES = "/etc/tmpfiles.d/jupyterlab.conf"


def start(settings: Settings) -> str:
    """The call that starts it, or starts it again, and waits until it answers."""
    target = settings.port or jupyter.SOCKET
    behind = (DOOR, SOCKET) if settings.sleep_after else ()
    return call("start_service", NAME, UNIT, target, settings.start_timeout, *behind)


def needed(settings: Settings) -> PathItem:
    """The file without which it cannot be started as the settings have it."""
    return PathItem(path=SOCKET if settings.sleep_after else UNIT)


def items(settings: Settings, host: Host) -> list[Item]:
    """The unit, its socket's folder, and the running service."""
    venv, token = host.under(settings.venv), host.under(jupyter.TOKEN)
    unit = render(
        "jupyterlab.service.j2",
        settings=settings,
        host=host,
        project=host.under(settings.project),
        venv=venv,
        token=token,
        tmpfiles=TMPFILES,
        socket=jupyter.listens(settings),
        door=DOOR,
        runtime=jupyter.runtime(host),
    )
    wanted = [
        Needs(path=f"{venv}/bin/jupyter", maker="jupyter"),
        File(path=TMPFILES, content=render("tmpfiles.conf.j2", host=host)),
        door(settings, host),
        File(path=UNIT, content=unit),
        Directory(path="/run/jupyterlab", owner=host.user, group="www-data", mode="2750"),
        service(settings, (UNIT, host.under(jupyter.CONFIG), token, *jupyter.core(settings, host))),
    ]
    if settings.sandbox == "strict":  # which can only make read-only what is there
        mine = {"owner": host.user, "group": host.group}
        wanted.insert(1, Directory(path=host.under("~/.ssh"), mode="0700", **mine))
    if settings.port:
        wanted.append(Port(port=settings.port, unit=NAME))
    return wanted


def door(settings: Settings, host: Host) -> Item:
    """The unit of the socket that wakes it; none, where it never sleeps."""
    if not settings.sleep_after:
        return Absent(path=SOCKET, unit=NAME, before=call("retire", DOOR))
    text = render("jupyterlab.socket.j2", host=host, socket=jupyter.SOCKET, tmpfiles=TMPFILES)
    return File(path=SOCKET, content=text)


def service(settings: Settings, reads: tuple[str, ...]) -> Service:
    """The service: it runs, or it may sleep behind its socket."""
    fix = start(settings)
    if not settings.sleep_after:
        return Service(unit=NAME, reads=reads, verb="restart", fix=fix)
    wakes = Service(
        unit=DOOR, reads=(SOCKET,), since="ActiveEnterTimestamp", verb="restart", fix=fix
    )
    return Sleeper(step="systemd", unit=NAME, reads=reads, verb="restart", fix=fix, socket=wakes)


@task
def systemd(c):
    """Run JupyterLab as a service that survives reboots."""
    converge(c, items)
