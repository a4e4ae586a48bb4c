"""Nginx before JupyterLab: one site, by name; the other sites of the host stay as they are.

Owns the site `jupyterlab` in sites-available and its link in sites-enabled.
"""

from .converge import converge
from .host import Host
from .items import File, Item, Link, Packages, Port, Service, call
from .jupyter import SOCKET
from .remote import task
from .render import render
from .settings import Settings

SITE = "/etc/nginx/sites-available/jupyterlab"
ENABLED = "/etc/nginx/sites-enabled/jupyterlab"


def items(settings: Settings, host: Host) -> list[Item]:
    """The package, the site, its link, and Nginx running with them."""
    site = render("site.conf.j2", settings=settings, socket=SOCKET)
    needs = {"needs": ("nginx",)}
    return [
        Packages(step="nginx", names=("nginx",), show=("nginx",), recommends=settings.recommends),
        File(path=SITE, content=site, **needs),
        Link(path=ENABLED, target=SITE, **needs),
        Service(
            unit="nginx.service",
            reads=(SITE, ENABLED),
            verb="reload",
            since="StateChangeTimestamp",
            fix=call("reload_nginx", ENABLED, SITE),
            **needs,
        ),
        Port(port=settings.http_port, unit="nginx.service"),
    ]


@task
def nginx(c):
    """Serve JupyterLab through Nginx under its own name."""
    converge(c, items)
