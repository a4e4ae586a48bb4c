"""Nginx before JupyterLab: one site, by name; the other sites of the host stay as they are.

Owns the site `jupyterlab` in sites-available and its link in sites-enabled, the last one there;
takes Debian's welcome page out of sites-enabled, as long as nobody has changed it. With
`lab.site: include` there is no such site, but locations for the server block of somebody else's,
which brings them in by a line of its own; their file is never ours to write.
"""

from pathlib import PurePath

from .certs import selection
from .engine.converge import converge
from .engine.host import Host
from .engine.task import task
from .items import (
    Absent,
    Directory,
    File,
    Included,
    Item,
    Link,
    Packages,
    Port,
    Service,
    Welcome,
    call,
    key_of,
)
from .python import requirements
from .render import render
from .settings import Settings
from .settings.names import BESIDE

OTHERS = "/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*"
UNIT = "nginx.service"
NEEDS = {"needs": ("nginx",)}
GONE = {"unit": UNIT, **NEEDS}
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


def rendered(template: str, settings: Settings, host: Host, certificate: str | None = None) -> str:
    """One of Nginx's files.

    :param certificate: the path of the one of ours that it serves, if any.
    """
    included = settings.site == "include"
    secure = settings.secure if included else bool(certificate)
    name = settings.named(secure)
    return render(
        template,
        settings=settings,
        user=host.user,
        base=settings.base_path,
        beside=beside(settings),
        included=included,
        ours=settings.instance,
        jl=settings.instance.variable,
        host=name,
        secure=secure,
        certificate=certificate,
        key=key_of(certificate or ""),
        webroot=settings.instance.webroot,
        assets=f"{settings.instance.pages}/assets",
        ports=requirements.proxied(settings, host),
        policy=policy(settings, name, secure),
    )


def items(settings: Settings, host: Host) -> list[Item]:
    """The package, what Nginx reads of ours, and Nginx running with it."""
    package = Packages(
        step="nginx", names=("nginx",), show=("nginx",), recommends=settings.recommends
    )
    ways = {"own": own, "include": included}
    return [package, *ways[settings.site](settings, host)]


def beside(settings: Settings) -> str:
    """The pattern by which a site of ours brings in what others have in folders of its URL."""
    return f"{BESIDE}/{settings.domain.lower()}.conf"


def own(settings: Settings, host: Host) -> list[Item]:
    """A server block for our name."""
    ours, certificate = settings.instance, selection.served(settings, host)
    given = selection.own(settings)
    pair = (given, key_of(given)) if certificate == given else ()
    changed = ours.enabled, ours.former, WELCOME, ours.site, ours.http, ours.locations, *pair
    wanted = [
        File(
            path=ours.site,
            content=rendered("nginx/site.conf.j2", settings, host, certificate),
            **NEEDS,
        ),
        Link(path=ours.enabled, target=ours.site, **NEEDS),
        *(Absent(path=path, **GONE) for path in (ours.former, ours.locations, ours.http)),
        Welcome(path=WELCOME, **GONE),
        running((ours.site, ours.enabled, *selection.files(settings)), changed),
        Port(port=settings.http_port, unit=UNIT),
    ]
    if settings.secure:
        wanted.append(Port(port=settings.https_port, unit=UNIT))
    return wanted


def included(settings: Settings, host: Host) -> list[Item]:
    """Locations for the server block of another site, and what they need beside it."""
    ours = settings.instance
    former, name = (ours.former, ours.enabled, ours.site), PurePath(beside(settings)).name
    return [
        Included(domain=settings.domain, line=ours.line, beside=beside(settings)),
        Directory(path=ours.certificates, **NEEDS),
        Directory(path=ours.beside, **NEEDS),
        File(path=ours.http, content=rendered("nginx/http.conf.j2", settings, host), **NEEDS),
        File(
            path=ours.locations, content=rendered("nginx/included.conf.j2", settings, host), **NEEDS
        ),
        Link(path=f"{ours.beside}/{name}", target=ours.locations, **NEEDS),
        *(Absent(path=path, **GONE) for path in former),
        running((ours.http, ours.locations, *OTHERS), (*former, ours.http, ours.locations)),
    ]


def running(reads: tuple[str, ...], changed: tuple[str, ...]) -> Service:
    """Nginx with all of it.

    :param changed: what is as it was before, when Nginx does not take it.
    """
    return Service(
        unit=UNIT,
        reads=reads,
        verb="reload",
        since="StateChangeTimestamp",
        fix=call("reload_nginx", *changed),
        **NEEDS,
    )


@task
def nginx(c):
    """Serve JupyterLab through Nginx under its own name."""
    converge(c, items)
