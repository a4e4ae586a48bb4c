"""The certificate of an ACME server, and the certbot that obtains and renews it.

For a name that is Debian's certbot. Before 5.4 it knows no addresses, so for an address root
installs another one into a venv, with folders and a timer of its own.
"""

from __future__ import annotations

from ..engine.host import Host
from ..items import (
    Absent,
    Certbot,
    Credentials,
    Directory,
    File,
    Issued,
    Item,
    Packages,
    Service,
)
from ..render import file, render, unit_value
from ..script import call
from ..settings import Settings
from . import selection

RENEWAL = "/etc/systemd/system/certbot.service.d"


def program(settings: Settings, host: Host) -> list[Item]:
    """Return the items of the certbot that knows the name."""
    return (own if settings.numeric else debians)(settings, host)


def debians(settings: Settings, host: Host) -> list[Item]:
    """Return Debian's certbot and its timer, for a name."""
    ours = settings.instance
    start_timer = call("enable_unit", "certbot.timer", "--now")
    way = f"{RENEWAL}/{ours.called}.conf"  # by which renewals reach the network
    known = [*(host.proxies if settings.proxy else ()), *variables(settings)]
    lines = "".join(f'Environment="{name}={unit_value(v)}"\n' for name, v in known)
    return [
        *(
            [Directory(path=RENEWAL), File(path=way, content=f"[Service]\n{lines}")]
            if known
            else [Absent(path=way, unit="certbot.service", then=call("systemctl", "daemon-reload"))]
        ),
        Packages(step="tls", names=("certbot", *plugins(settings)), show=("certbot",)),
        Service(unit="certbot.timer", reads=(), fix=start_timer, needs=("certbot",)),
    ]


def plugins(settings: Settings) -> list[str]:
    """Return the Debian package that speaks with the API of the DNS provider, if there is one."""
    return [f"python3-certbot-dns-{settings.tls_dns}"] if settings.tls_dns else []


def variables(settings: Settings) -> list[tuple[str, str]]:
    """Return the variables that certbot's renewals need: Amazon's plugin has no option for it."""
    needed = settings.tls_dns == "route53" and settings.tls_dns_credentials
    return [("AWS_CONFIG_FILE", settings.instance.dns_key)] if needed else []


def own(settings: Settings, host: Host) -> list[Item]:
    """Return a certbot that root installs and its timer, for an address."""
    ours, unit = settings.instance, settings.instance.certbot_timer
    timer = f"/etc/systemd/system/{unit}"
    versions = tuple(file("certs/certbot.txt").split())
    values = {"ours": ours, "proxies": host.proxies if settings.proxy else ()}
    return [
        Packages(step="tls", names=("python3-venv", "ca-certificates"), show=()),
        Certbot(path=ours.certbot, versions=versions, needs=("python3-venv",)),
        File(
            path=timer.replace(".timer", ".service"),
            content=render("certs/certbot.service.j2", **values),
        ),
        File(path=timer, content=render("certs/certbot.timer.j2", **values)),
        Service(
            unit=unit,
            reads=(timer,),
            verb="restart",
            since="StateChangeTimestamp",
            fix=call("start_timer", unit),
        ),
    ]


def certificate(settings: Settings) -> list[Item]:
    """Return the items of the certificate: how the name is proved, what follows, and itself."""
    ours = settings.instance
    return [
        *credentials(settings),
        Directory(path=ours.webroot),
        File(path=ours.hook, content=file("certs/renewal-hook.sh"), mode="0755"),
        issued(settings),
    ]


def credentials(settings: Settings) -> list[Item]:
    """Return the item of the credentials for the API of the DNS provider, if there are any."""
    secret = selection.dns_credentials(settings)
    return [
        Credentials(
            path=settings.instance.dns_key,
            secret=secret,
            setting="lab.tls_dns_credentials",
            needs=("nginx",),
        )
    ] * bool(secret)


def issued(settings: Settings, now: bool = False) -> Issued:
    """Return the item of the certificate of an ACME server.

    :param now: obtain it in this run, if it is due.
    """
    return Issued(
        step="tls",
        path=selection.issued(settings),
        domain=settings.domain.lower(),  # as certbot has it
        email=settings.tls_email,
        server=settings.acme_server,
        webroot=settings.instance.webroot,
        hook=settings.instance.hook,
        dns=settings.tls_dns,
        credentials=settings.instance.dns_key if settings.tls_dns_credentials else "",
        certbot=settings.instance.certbot if settings.numeric else "",
        now=now,
    )
