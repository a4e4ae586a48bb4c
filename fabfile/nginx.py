"""Nginx before JupyterLab: one site, by name; the other sites of the host stay as they are.

Owns the site `jupyterlab` in sites-available and its link in sites-enabled, the last one there;
takes Debian's welcome page out of sites-enabled, as long as nobody has changed it. With
`lab.site: include` there is no such site, but locations for the server block of somebody else's,
which brings them in by a line of its own; their file is never ours to write.
"""

from . import certificates
from .converge import converge
from .host import Host
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
from .jupyter import PAGES, SOCKET
from .remote import task
from .render import render
from .settings import Settings

SITE = "/etc/nginx/sites-available/jupyterlab"
# Nginx takes the first site for names that nobody has: the last in the folder takes none away.
ENABLED = "/etc/nginx/sites-enabled/zz-jupyterlab"
# What that other site brings in; where nothing fits the pattern, Nginx brings in nothing.
LOCATIONS = f"{certificates.FOLDER}/locations.conf"
LINE = f"include {certificates.FOLDER}/*.conf;"
HTTP = "/etc/nginx/conf.d/00-jupyterlab.conf"  # read before the sites, which name its log format
OTHERS = "/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*"
UNIT = "nginx.service"
NEEDS = {"needs": ("nginx",)}
GONE = {"unit": UNIT, **NEEDS}
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


def rendered(template: str, settings: Settings, certificate: str | None = None) -> str:
    """One of Nginx's files.

    :param certificate: the path of the one of ours that it serves, if any.
    """
    included = settings.site == "include"
    secure = settings.secure if included else bool(certificate)
    name = settings.named(secure)
    return render(
        template,
        settings=settings,
        base=settings.base_path,
        included=included,
        line=LINE,
        socket=SOCKET,
        host=name,
        secure=secure,
        certificate=certificate,
        key=key_of(certificate or ""),
        webroot=certificates.WEBROOT,
        assets=f"{PAGES}/assets",
        policy=policy(settings, name, secure),
    )


def items(settings: Settings, host: Host) -> list[Item]:
    """The package, what Nginx reads of ours, and Nginx running with it."""
    package = Packages(
        step="nginx", names=("nginx",), show=("nginx",), recommends=settings.recommends
    )
    ways = {"own": own, "include": included}
    return [package, *ways[settings.site](settings, host)]


def own(settings: Settings, host: Host) -> list[Item]:
    """A server block for our name."""
    certificate = certificates.served(settings, host)
    ours = certificates.own(settings)
    pair = (ours, key_of(ours)) if certificate == ours else ()
    changed = ENABLED, FORMER, WELCOME, SITE, HTTP, LOCATIONS, *pair
    wanted = [
        File(path=SITE, content=rendered("site.conf.j2", settings, certificate), **NEEDS),
        Link(path=ENABLED, target=SITE, **NEEDS),
        *(Absent(path=path, **GONE) for path in (FORMER, LOCATIONS, HTTP)),
        Welcome(path=WELCOME, **GONE),
        running((SITE, ENABLED, *certificates.files(settings)), changed),
        Port(port=settings.http_port, unit=UNIT),
    ]
    if settings.secure:
        wanted.append(Port(port=settings.https_port, unit=UNIT))
    return wanted


def included(settings: Settings, host: Host) -> list[Item]:
    """Locations for the server block of another site, and what they need beside it."""
    return [
        Included(domain=settings.domain, line=LINE),
        Directory(path=certificates.FOLDER, **NEEDS),
        File(path=HTTP, content=rendered("nginx-http.conf.j2", settings), **NEEDS),
        File(path=LOCATIONS, content=rendered("included.conf.j2", settings), **NEEDS),
        *(Absent(path=path, **GONE) for path in (FORMER, ENABLED, SITE)),
        running((HTTP, LOCATIONS, *OTHERS), (ENABLED, FORMER, SITE, HTTP, LOCATIONS)),
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
