"""Nginx as reverse proxy of JupyterLab: one site, by name; other sites of the host stay unchanged.

Owns the site `jupyterlab` in sites-available and its symbolic link in sites-enabled, sorted last;
removes Debian's welcome page from sites-enabled, unless somebody has changed it. With
`lab.site: include` it writes locations instead of a site. Another site includes them in its server
block with one line, which its owner adds: this project never writes to the file of that site.
"""

from pathlib import PurePath

from .certs import ca_page, selection
from .engine.converge import converge
from .engine.host import Host, Request
from .engine.listening import addresses, another, eclipsed, unfit
from .items import (
    Absent,
    Directory,
    File,
    Included,
    Item,
    Link,
    Needs,
    Obstacle,
    Packages,
    Port,
    Service,
    Welcome,
)
from .items.certificate import key_of
from .python import requirements
from .render import render
from .script import call
from .settings import Settings
from .settings.names import BESIDE

OTHERS = "/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*"
UNIT = "nginx.service"
NEEDS = {"needs": ("nginx",)}
GONE = {"unit": UNIT, **NEEDS}
WELCOME = "/etc/nginx/sites-enabled/default"

# Pages that the help menu opens in a frame: of JupyterLab and of its Python kernel.
HELP = (
    "https://jupyterlab.readthedocs.io https://jupyter.org https://commonmark.org "
    "https://docs.python.org https://ipython.org https://docs.scipy.org https://matplotlib.org "
    "https://docs.sympy.org https://pandas.pydata.org"
)


def policy(settings: Settings, host: str, secure: bool) -> str:
    """Return the Content-Security-Policy (W3C CSP3) under which all of JupyterLab works.

    Its templates and widgets need inline scripts, eval and scripts from blob:; its viewers need
    blob: and data:, the one for PDF files as an object; its help needs frames.

    :param host: the name as a browser sends it.
    :param secure: whether the site has HTTPS.
    """
    more = "".join(f" {origin}" for origin in settings.content_from)
    wire = f" {'wss' if secure else 'ws'}://{host}"
    if host.startswith("["):  # CSP has no IPv6; in current browsers 'self' includes websockets
        wire = ""
    directives = {
        "default-src": "'self'",
        "script-src": f"'self' 'unsafe-inline' 'unsafe-eval' blob:{more}",
        "style-src": f"'self' 'unsafe-inline'{more}",
        "img-src": f"'self' data: blob:{more}",
        "font-src": f"'self' data:{more}",
        "media-src": f"'self' data: blob:{more}",
        "connect-src": f"'self'{wire}{more}",
        "frame-src": f"'self' data: blob: {HELP}{more}",
        "worker-src": "'self' blob:",
        "object-src": "blob:",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


def rendered(template: str, settings: Settings, host: Host, certificate: str | None = None) -> str:
    """Return the text of a file for Nginx.

    :param certificate: the path of the certificate that our site serves, if any.
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
        http=addresses(host.listens, settings.http_port, host.ipv6),
        https=addresses(host.listens, settings.https_port, host.ipv6),
        certificate=certificate,
        nameless=bool(certificate) and settings.numeric,
        hsts=bool(certificate) and settings.hsts,
        key=key_of(certificate or ""),
        webroot=settings.instance.webroot,
        assets=f"{settings.instance.pages}/assets",
        ports=requirements.proxied(settings, host),
        policy=policy(settings, name, secure),
        page=settings.instance.ca_page if settings.tls == "self-signed" else "",
        page_policy=ca_page.policy(),
    )


def items(settings: Settings, host: Host) -> list[Item]:
    """Return the package, the files of Nginx, and Nginx running with them."""
    package = Packages(
        step="nginx", names=("nginx",), show=("nginx",), recommends=settings.recommends
    )
    ways = {"own": own, "include": included}
    return [package, *ways[settings.site](settings, host)]


def beside(settings: Settings) -> str:
    """Return the pattern by which our site includes the locations of others on its domain."""
    return f"{BESIDE}/{settings.stem}.conf"


def lost(settings: Settings, host: Host) -> tuple[str, ...]:
    """Return what the server has and these settings take away: its address, its HTTPS.

    The default name is one that everybody has; nobody misses it.
    """
    ours = settings.instance.called
    there = next((one for one in host.neighbours if one.called == ours and one.domain), None)
    if not there:
        return ()
    address, wanted = there.domain + there.path, settings.domain.lower() + settings.base_path
    gone = []
    if address != wanted and address != Settings().domain:
        gone.append(f"{address} would lead here no more: your settings (lab.domain, lab.base_path) "
                    f"say {wanted}")  # fmt: skip
    if there.secure and not settings.secure:
        gone.append(f"HTTPS would be gone from {address}: your settings say lab.tls: off")
    return tuple(gone)


def own(settings: Settings, host: Host) -> list[Item]:
    """Return a site with its own server block."""
    ours, certificate = settings.instance, selection.served(settings, host)
    given = selection.own(settings)
    fixed = settings.secure and settings.tls != "letsencrypt"  # whatever the host has
    pair = (given, key_of(given)) if certificate == given else ()
    changed = ours.enabled, ours.former, WELCOME, ours.site, ours.http, ours.locations, *pair
    ports = [(settings.http_port, False), (settings.https_port, True)][: 1 + settings.secure]
    unshared = [unfit(host.listens, port, secure) for port, secure in ports]
    if settings.secure and settings.numeric:
        unshared.append(never_first(settings, host))
    wanted = [
        *([Needs(path=given, maker="tls")] if fixed else []),
        Obstacle(why=next(filter(None, (foreign(settings, host), *unshared)), "")),
        File(
            path=ours.site,
            content=rendered("nginx/site.conf.j2", settings, host, certificate),
            loses=lost(settings, host),
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


def never_first(settings: Settings, host: Host) -> str:
    """Return why the site of an address would not be the default of its HTTPS port; "" if it is."""
    ours, port = settings.instance.called, settings.https_port
    there = {one.called: one for one in host.neighbours if one.default == port}
    other = next((one for one in there.values() if one.called != ours), None)
    if other:
        return (f"{other.user}'s {other.called} is at the address {other.domain}, and a port has "
                f"one certificate for addresses: {another(port)}")  # fmt: skip
    return eclipsed(host.listens, port, first=ours in there)


def foreign(settings: Settings, host: Host) -> str:
    """Return why the Nginx of another packager would not serve our site, and what to do."""
    return "; and ".join(filter(None, (unread(host), unshut(settings, host))))


def unread(host: Host) -> str:
    """Return why Nginx would not read our site, and what to do; "" if it would."""
    if host.reads_sites:
        return ""
    return (
        "this Nginx, of another packager than Debian, reads no site from sites-enabled: on the "
        "server type `sudo mkdir -p /etc/nginx/sites-available /etc/nginx/sites-enabled`, and add "
        "`include /etc/nginx/sites-enabled/*;` to the block `http` of /etc/nginx/nginx.conf"
    )


def unshut(settings: Settings, host: Host) -> str:
    """Return why Nginx could not open JupyterLab's socket, and what to do; "" if it could."""
    user = host.nginx_user if settings.endpoint.socket else ""
    return user and (
        f"Nginx runs as {user}, who is not in the group www-data, which may open JupyterLab's "
        f"socket: on the server type `sudo usermod -aG www-data {user} && "
        "sudo systemctl restart nginx`"
    )


def included(settings: Settings, host: Host) -> list[Item]:
    """Return locations for the server block of another site, and the files that they need."""
    ours = settings.instance
    former, name = (ours.former, ours.enabled, ours.site), PurePath(beside(settings)).name
    return [
        Obstacle(why=unshut(settings, host)),
        Included(domain=settings.url_name, line=ours.line, beside=beside(settings)),
        Directory(path=ours.certificates, **NEEDS),
        Directory(path=ours.beside, **NEEDS),
        File(path=ours.http, content=rendered("nginx/http.conf.j2", settings, host), **NEEDS),
        File(
            path=ours.locations,
            content=rendered("nginx/included.conf.j2", settings, host),
            loses=lost(settings, host),
            **NEEDS,
        ),
        Link(path=f"{ours.beside}/{name}", target=ours.locations, **NEEDS),
        *(Absent(path=path, **GONE) for path in former),
        running((ours.http, ours.locations, *OTHERS), (*former, ours.http, ours.locations)),
    ]


def running(reads: tuple[str, ...], changed: tuple[str, ...]) -> Service:
    """Return Nginx, running with its files.

    :param changed: the paths to restore when Nginx rejects them.
    """
    return Service(
        unit=UNIT,
        reads=reads,
        verb="reload",
        since="StateChangeTimestamp",
        fix=call("reload_nginx", *changed),
        **NEEDS,
    )


def nginx(c, settings, yes):
    converge(c, settings, items, request=Request(yes=yes))
