"""`tls: auto`: the first run on a server decides which kind of HTTPS it gets; later runs keep it.

What was decided stands nowhere but in the site: it is the certificate with which Nginx serves it
under its name. A site without one, another name, or `tls --decide` leads to a new decision.
"""

from __future__ import annotations

import ipaddress
import socket

import msgspec
from fabric import Connection

from ..script import RemoteScript, call
from ..settings import DOMAIN, LETS_ENCRYPT, Settings, refuse_at_odds
from ..ssh import channel, connection
from . import acme_preflight, selection
from .choice import Seen, choose

SECONDS = 3  # a firewall that drops packets answers never


def decided(c: Connection, settings: Settings, anew: bool = False) -> Settings:
    """Return the settings with the kind of HTTPS that `auto` is on this server.

    Where no name is set, the address by which this machine reaches the server becomes the name.
    A name that leads to another server is refused by the tasks that would serve the site there;
    for the others it is a site without HTTPS.

    :param anew: whatever the site has now.
    """
    connection.open_connection(c, settings)
    settings = msgspec.structs.replace(settings, domain=name(c, settings))
    tls, why = "" if anew else kept(c, settings), ""
    if not tls:
        tls, why = fitting(c, settings)
    settings = msgspec.structs.replace(settings, tls=tls, auto=why)
    refuse_at_odds(settings)
    return settings


def name(c: Connection, settings: Settings) -> str:
    """Return the name of the site: where none is set, the address that SSH reached."""
    known = settings.address or connection.peer_address(c)
    return settings.domain if settings.domain != DOMAIN or not known or "%" in known else known


def ask(c: Connection, *calls: str) -> dict[str, set[str]]:
    """Return what the server tells by functions of survey.sh: values by their kinds."""
    told: dict[str, set[str]] = {}
    for line in channel.ask(c, RemoteScript(("run/survey",), calls="\n".join(calls))):
        kind, _, value = line.partition("\t")
        told.setdefault(kind, set()).add(value)
    return told


def kept(c: Connection, settings: Settings) -> str:
    """Return the kind of HTTPS that the site has under this name; "" if it has none.

    No name is looked up for that: every task asks it, also where the DNS is down.
    """
    served = ask(c, call("certificates_of", settings.instance.site)).get("serves", ())
    if selection.issued(settings) in served:
        return "letsencrypt"
    if selection.own(settings) in served:
        return "files" if settings.tls_certificate else "self-signed"
    return ""


def fitting(c: Connection, settings: Settings) -> tuple[str, str]:
    """Return the kind of HTTPS that fits, and the reason; `off` where none can be given."""
    told = ask(c, call("addresses"), call("leads", settings.domain))
    domain = "" if settings.domain == DOMAIN else settings.domain
    leads = {*acme_preflight.addresses(domain), *told.get("leads", ())} if domain else set()
    leads = {address for address in leads if not acme_preflight.loopback(address)}
    tls, why = choose(
        Seen(
            domain,
            own=frozenset({connection.peer_address(c), *told.get("own", ())} - {""}),
            leads=frozenset(leads),
            files=bool(settings.tls_certificate or settings.tls_key),
            dns=bool(settings.tls_dns) and not settings.numeric,
            local=settings.acme_server != LETS_ENCRYPT,
        )
    )
    if tls == "letsencrypt" and not settings.tls_dns and (closed := obstacle(settings, leads)):
        return "self-signed", f"Let's Encrypt needs port 80, and {closed}"
    return tls, why


def obstacle(settings: Settings, addresses: set[str]) -> str:
    """Return what keeps an ACME server from the site; "" if nothing is seen from here."""
    if settings.http_port != 80:
        return f"lab.http_port is {settings.http_port}"
    for address in filter(acme_preflight.routed, sorted(addresses)):
        try:
            socket.create_connection((address, 80), SECONDS).close()
        except ConnectionRefusedError:
            pass  # it gets through, and nobody listens yet
        except OSError as problem:
            return f"that of {address} cannot be reached from here ({problem})"
    return ""


def promise(c: Connection, settings: Settings) -> str:
    """Return what `auto` would be on this server, as far as it is seen without asking anybody."""
    peer = connection.peer_address(c).partition("%")[0]
    public = bool(peer) and ipaddress.ip_address(peer).is_global
    if not public:
        return "HTTPS with a private CA of your own"
    if settings.domain == DOMAIN:
        return f"HTTPS at {peer} with a certificate that every browser trusts"
    return "HTTPS with a certificate that every browser trusts, if the name leads here"
