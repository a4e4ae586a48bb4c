"""Nginx before JupyterLab: one site, by name; the other sites of the host stay as they are.

Owns the site `jupyterlab` in sites-available and its link in sites-enabled, the last one there;
takes Debian's welcome page out of sites-enabled, as long as nobody has changed it.
"""

from . import certificates
from .converge import converge
from .host import Host
from .items import Absent, File, Item, Link, Packages, Port, Service, Welcome, call, key_of
from .jupyter import SOCKET
from .remote import task
from .render import render
from .settings import Settings

SITE = "/etc/nginx/sites-available/jupyterlab"
# Nginx takes the first site for names that nobody has: the last in the folder takes none away.
ENABLED = "/etc/nginx/sites-enabled/zz-jupyterlab"
FORMER = "/etc/nginx/sites-enabled/jupyterlab"
WELCOME = "/etc/nginx/sites-enabled/default"

# What the help menu opens in a frame: JupyterLab's own pages, and those of its Python kernel.
HELP = " ".join(
    f"https://{name}"
    for name in (
        "jupyterlab.readthedocs.io",
        "jupyter.org",
        "commonmark.org",
        "docs.python.org",
        "ipython.org",
        "docs.scipy.org",
        "matplotlib.org",
        "docs.sympy.org",
        "pandas.pydata.org",
    )
)


def policy(settings: Settings, host: str, secure: bool) -> str:
    """The Content-Security-Policy under which JupyterLab is whole.

    :param host: the name as a browser sends it.
    :param secure: whether it comes by HTTPS.
    :returns: directives as W3C's CSP3 has them. Its templates and widgets need inline scripts and
        eval; its viewers blob: and data:, that of PDF files as an object; its help frames.
    """
    more = "".join(f" {origin}" for origin in settings.content_from)
    wire = f"{'wss' if secure else 'ws'}://{host}"
    directives = {
        "default-src": "'self'",
        "script-src": f"'self' 'unsafe-inline' 'unsafe-eval'{more}",
        "style-src": f"'self' 'unsafe-inline'{more}",
        "img-src": f"'self' data: blob:{more}",
        "font-src": f"'self' data:{more}",
        "media-src": f"'self' data: blob:{more}",
        "connect-src": f"'self' {wire}{more}",
        "frame-src": f"'self' data: blob: {HELP}{more}",
        "worker-src": "'self' blob:",
        "object-src": "blob:",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


def items(settings: Settings, host: Host) -> list[Item]:
    """The package, the site, its link, and Nginx running with them."""
    certificate = certificates.served(settings, host)
    name = settings.named(bool(certificate))
    site = render(
        "site.conf.j2",
        settings=settings,
        socket=SOCKET,
        host=name,
        certificate=certificate,
        key=key_of(certificate or ""),
        webroot=certificates.WEBROOT,
        policy=policy(settings, name, bool(certificate)),
    )
    needs = {"needs": ("nginx",)}
    own = certificates.own(settings)
    pair = (own, key_of(own)) if certificate == own else ()
    gone = {"unit": "nginx.service", **needs}
    wanted = [
        Packages(step="nginx", names=("nginx",), show=("nginx",), recommends=settings.recommends),
        File(path=SITE, content=site, **needs),
        Link(path=ENABLED, target=SITE, **needs),
        Absent(path=FORMER, **gone),
        Welcome(path=WELCOME, **gone),
        Service(
            unit="nginx.service",
            reads=(SITE, ENABLED, *certificates.files(settings)),
            verb="reload",
            since="StateChangeTimestamp",
            fix=call("reload_nginx", ENABLED, FORMER, WELCOME, SITE, *pair),
            **needs,
        ),
        Port(port=settings.http_port, unit="nginx.service"),
    ]
    if settings.secure:
        wanted.append(Port(port=settings.https_port, unit="nginx.service"))
    return wanted


@task
def nginx(c):
    """Serve JupyterLab through Nginx under its own name."""
    converge(c, items)
