"""Before an ACME server is asked: could it reach us? A failure there counts against a limit.

A random text is put where the ACME server will look for its own. It must be found from here through
the name, which the server must know, too, and port 443 must not be shut.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import secrets
import socket
import ssl

from invoke import Exit

from ..doctor.probe import limited
from ..items import call
from ..render import shell
from ..settings import Settings
from ..ssh import channel
from ..ssh.errors import name_of
from ..ui.console import say

PLACE = "/.well-known/acme-challenge/jupyterlab-fab"
SECONDS = 10


def check(c, settings: Settings, root: bool) -> None:
    """Refuse what would fail at the ACME server, while it costs nothing.

    :param root: whether the login user is root already.
    :raises Exit: with what stands in the way, and what to do.
    """
    domain, nonce = settings.domain, secrets.token_hex(16)
    anyway = f"; or ask all the same: fab -H {name_of(c)} tls --no-preflight"
    script = shell("run/preflight")
    script += call("offer", f"{settings.instance.webroot}{PLACE}", nonce, domain)
    told = list(channel.apply(c, script, root))
    if "offered" not in told:
        raise Exit(f"{name_of(c)}: {told[-1]}: mend that, then run again")
    # The server's view counts, too: this machine may have the name in its own hosts file.
    there = [line.removeprefix("address ") for line in told if line.startswith("address ")]
    here = addresses(domain)
    known = [a for a in dict.fromkeys(here + there) if not loopback(a)]
    if not (known and here and there):
        who = "the server does not know" if known and here else "there is no address for"
        raise Exit(f"{who} the name {domain}: give it one in the DNS, and wait until it is known"
                   f"{anyway}")  # fmt: skip
    for address in filter(routed, known):
        answer = fetched(address, domain)
        if answer != nonce:
            raise Exit(f"{domain} leads to {address}, and port 80 there is not this server's "
                       f"({answer!r}): correct the DNS or open the port{anyway}")  # fmt: skip
        closed = shut(address, domain, settings.https_port)
        if closed:
            raise Exit(f"port {settings.https_port} of {address} is shut ({closed}): open it in a "
                       f"firewall{anyway}")  # fmt: skip
    say(f"  ok            {domain} leads here, ports 80 and {settings.https_port} are open")


def addresses(domain: str) -> list[str]:
    """The addresses of a name, as this machine knows them."""
    try:
        found = socket.getaddrinfo(domain, 80, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(place[0] for *_, place in found))


def loopback(address: str) -> bool:
    """Whether it is no address for others, as Debian's installer gives a server its own name."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def routed(address: str) -> bool:
    """Whether this machine has a way there, if it is IPv6; a datagram's connect sends nothing."""
    if ":" not in address:
        return True
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as wire:
        try:
            wire.connect((address, 80))
        except OSError:
            return False
    return True


def fetched(address: str, domain: str) -> str:
    """What stands at the place of the random text there, or why nothing does."""
    try:
        wire = http.client.HTTPConnection(address, 80, timeout=SECONDS)
        wire.connect()
        with contextlib.closing(wire), limited(wire, SECONDS):
            wire.request("GET", PLACE, headers={"Host": domain})
            answer = wire.getresponse()
            return answer.read(64).decode("ascii", "replace") if answer.status == 200 else (
                f"it answered {answer.status}"
            )  # fmt: skip
    except (OSError, http.client.HTTPException) as problem:
        return str(problem) or type(problem).__name__


def shut(address: str, domain: str, port: int) -> str:
    """Why nothing speaks TLS at a port; nothing when something does, also when it declines."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # not yet ours to believe
    try:
        with socket.create_connection((address, port), SECONDS) as wire:
            context.wrap_socket(wire, server_hostname=domain).close()
    except ssl.SSLError:
        return ""  # the catch-all of the site rejects the handshake: somebody is there
    except OSError as problem:
        return str(problem) or type(problem).__name__
    return ""
