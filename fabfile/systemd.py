"""JupyterLab as a service: started at boot, started again when it fails, under the user's name.

Owns the unit jupyterlab.service and the rule that makes the folder of its socket.
"""

from . import jupyter
from .converge import converge
from .host import Host
from .items import Directory, File, Item, Needs, Port, Service, call
from .remote import task
from .render import render
from .settings import Settings

NAME = "jupyterlab.service"
UNIT = f"/etc/systemd/system/{NAME}"
TMPFILES = "/etc/tmpfiles.d/jupyterlab.conf"


def start(settings: Settings) -> str:
    """The call that starts it, or starts it again, and waits until it answers."""
    target = settings.port or jupyter.SOCKET
    return call("start_service", NAME, UNIT, target, settings.start_timeout)


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
        socket=jupyter.SOCKET,
        runtime=jupyter.runtime(host),
    )
    wanted = [
        Needs(path=f"{venv}/bin/jupyter", maker="jupyter"),
        File(path=TMPFILES, content=render("tmpfiles.conf.j2", host=host)),
        File(path=UNIT, content=unit),
        Directory(path="/run/jupyterlab", owner=host.user, group="www-data", mode="2750"),
        Service(
            unit=NAME,
            reads=(UNIT, host.under(jupyter.CONFIG), token, *jupyter.core(settings, host)),
            verb="restart",
            fix=start(settings),
        ),
    ]
    if settings.sandbox == "strict":  # which can only make read-only what is there
        mine = {"owner": host.user, "group": host.group}
        wanted.insert(1, Directory(path=host.under("~/.ssh"), mode="0700", **mine))
    if settings.port:
        wanted.append(Port(port=settings.port, unit=NAME))
    return wanted


@task
def systemd(c):
    """Run JupyterLab as a service that survives reboots."""
    converge(c, items)
