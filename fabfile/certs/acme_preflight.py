"""A check before an ACME server is asked, because its rate limits count failures.

Where the name is proved by its DNS, only what browsers need is looked at. Else
a random text is put where the ACME server will look for its own. This machine must find it by the
host name, the server must be able to resolve that name, and the HTTPS port must be open.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import ssl

from invoke import Exit

from ..script import RemoteScript, call
from ..settings import Settings
from ..ssh import channel
from ..ssh.errors import fab_on, name_of
from ..ui.console import say
from ..web import ERRORS, answer, any_certificate, connected

PLACE = "/.well-known/acme-challenge/jupyterlab-fab"


def check(c, settings: Settings, root: bool) -> None:
    """Refuse a request that would fail at the ACME server.

    :param root: True if the login user is root.
    :raises Exit: with the obstacle and the remedy.
    """
    if settings.tls_dns:
        tell_reach(settings)
        return
    domain, nonce = settings.domain, secrets.token_hex(16)
    anyway = f"; to ask anyway: {fab_on(c)} tls --no-preflight"
    offer = call("offer", f"{settings.instance.webroot}{PLACE}", nonce, domain)
    told = list(channel.apply(c, RemoteScript(("run/survey", "run/preflight"), calls=offer), root))
    if "offered" not in told:
        raise Exit(f"{name_of(c)}: {told[-1]}: fix that, then run again")
    # This machine may have the name in its own hosts file, so the server must resolve it, too.
    there = [line.removeprefix("leads\t") for line in told if line.startswith("leads\t")]
    here = addresses(domain)
    known = [a for a in dict.fromkeys(here + there) if not loopback(a)]
    if not (known and here and there):
        who = "the server cannot resolve" if known and here else "there is no address for"
        raise Exit(f"{who} the name {domain}: add it to the DNS, and wait until that is known"
                   f"{anyway}")  # fmt: skip
    for address in filter(routed, known):
        found = fetched(address, settings.url_name)
        if found != nonce and settings.numeric:
            raise Exit(f"port 80 of {domain} is not this server's ({found!r}): set lab.domain to "
                       f"an address of the server, or open the port{anyway}")  # fmt: skip
        if found != nonce:
            raise Exit(f"{domain} leads to {address}, but port 80 there is not this server's "
                       f"({found!r}): correct the DNS or open the port{anyway}")  # fmt: skip
        closed = shut(address, domain, settings.https_port)
        if closed:
            raise Exit(f"port {settings.https_port} of {address} is closed ({closed}): open it in "
                       f"the firewall{anyway}")  # fmt: skip
    say(f"  ok            {domain} leads here, ports 80 and {settings.https_port} are open")


def tell_reach(settings: Settings) -> None:
    """Print what keeps this machine from the site; a proof by DNS needs no address and no port."""
    domain, port = settings.domain, settings.https_port
    known = addresses(domain)
    if not known:
        say(f"  note          there is no address for the name {domain} yet: add it to the DNS")
    for address in filter(routed, known):
        if closed := shut(address, domain, port):
            say(f"  note          {domain} leads to {address}, where port {port} is closed "
                f"({closed}): open it in the firewall, or correct the DNS")  # fmt: skip


def addresses(domain: str) -> list[str]:
    """Return the addresses of a name, as this machine resolves it."""
    try:
        found = socket.getaddrinfo(domain, 80, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(place[0] for *_, place in found))


def loopback(address: str) -> bool:
    """Check for a loopback address: Debian's installer gives one to the server's own name."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def routed(address: str) -> bool:
    """Check for a route if the address is IPv6; connect() of a datagram socket sends nothing."""
    if ":" not in address:
        return True
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as wire:
        try:
            wire.connect((address, 80))
        except OSError:
            return False
    return True


def fetched(address: str, domain: str) -> str:
    """Return the text at PLACE there, or else the reason why there is none."""
    try:
        with answer(connected(address, 80), PLACE, {"Host": domain}) as page:
            if page.status != 200:
                return f"it answered {page.status}"
            return page.read(64).decode("ascii", "replace")
    except ERRORS as problem:
        return str(problem) or type(problem).__name__


def shut(address: str, domain: str, port: int) -> str:
    """Return why nothing speaks TLS at a port; "" if something does, even if it declines."""
    try:
        connected(address, port, any_certificate(), domain).close()
    except ssl.SSLError:
        return ""  # the port is open: the catch-all site rejects the handshake
    except OSError as problem:
        return str(problem) or type(problem).__name__
    return ""
