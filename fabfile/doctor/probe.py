"""Probe the site from this machine, without a secret: the connection may be unencrypted.

Each probe asks for a page that does not exist. If Nginx logs the request, the probe has arrived.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from invoke import Exit

from ..certs import selection
from ..settings import Settings
from ..web import ERRORS, SECONDS, answer, any_certificate, connected

PIECE = 1398205  # bytes of a request of JupyterLab, which uploads files in pieces
USUAL = ("/jupyter", "/jupyterlab", "/notebook", "/lab")  # usual path prefixes


@dataclass(frozen=True)
class Url:
    """The address that people type: scheme, name, port and path prefix."""

    scheme: str
    name: str
    port: int
    path: str = ""

    @property
    def host(self) -> str:
        """The Host header of a browser."""
        usual = {"http": 80, "https": 443}[self.scheme]
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == usual else f"{name}:{self.port}"


def site_url(settings: Settings, url: str = "") -> Url:
    """Return the address that people type.

    :param url: that address, if it differs from the settings.
    :raises Exit: if it is not a valid address.
    """
    try:
        parts = urlsplit(url or settings.url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        name = parts.hostname or ""
    except (ValueError, KeyError):
        name = ""
    if not name:
        raise Exit(f"--url {url}: give the address that people type, like https://lab.example.org")
    return Url(parts.scheme, name, port, parts.path.removesuffix("/lab").rstrip("/"))


@dataclass(frozen=True)
class Probe:
    """An IP address, as it answered a probe.

    :param number: the number of the probe; :param sent: the path that it asked for.
    :param named: True if the name points to this address.
    :param closed: why the connection failed; "" if it did not.
    :param pem: the certificate; :param untrusted: why this machine does not trust it, or "".
    :param large: the status of a request with a body of PIECE bytes.
    :param lab: the status of /lab; :param place: the target of its redirect.
    """

    number: int
    address: str
    named: bool = True
    sent: str = ""
    closed: str = ""
    pem: str = ""
    untrusted: str = ""
    status: int = 0
    server: str = ""
    large: int = 0
    lab: int = 0
    place: str = ""


def probes(settings: Settings, url: Url, known: list[str], peer: str, nonce: str) -> list[Probe]:
    """Probe each address of the name, and the server's own if the name does not point to it.

    :param known: the addresses of the name.
    :param peer: the address that SSH connects to; "" behind a jump host.
    """
    places = [(one, True) for one in known] + [(peer, False)] * bool(peer and peer not in known)
    found = [probe_one(settings, url, Probe(n, one, named), nonce)
             for n, (one, named) in enumerate(places)]  # fmt: skip
    for probe in [one for one in found if one.named and strange(one, url)]:
        for path in USUAL:
            own = replace(url, path=path)
            found.append(probe_one(settings, own, Probe(len(found), probe.address), nonce))
    return found


def strange(probe: Probe, url: Url) -> bool:
    """Check whether something other than JupyterLab answers at the root of the name."""
    answers = not probe.closed and probe.lab not in (0, 502, 503, 504)
    return not url.path and answers and "/login" not in probe.place


def probe_one(settings: Settings, url: Url, probe: Probe, nonce: str) -> Probe:
    """Probe an address: for a page that does not exist, for /lab, and with a large body."""
    sent = f"{url.path}/jupyterlab-doctor-{nonce}-{probe.number}"
    probe = replace(probe, sent=sent)
    try:
        wire = opened(url, probe.address)
    except OSError as problem:
        return replace(probe, closed=reason(problem))
    with contextlib.closing(wire), contextlib.suppress(*ERRORS):
        if url.scheme == "https":
            der = wire.sock.getpeercert(binary_form=True)
            probe = replace(probe, pem=ssl.DER_cert_to_PEM_cert(der))
            probe = replace(probe, untrusted=distrust(settings, url, probe.address))
        asked = {"Host": url.host, "Connection": "Upgrade", "Upgrade": "websocket"}
        with answer(wire, sent, asked) as page:
            probe = replace(probe, status=page.status, server=page.getheader("Server", ""))
        wire = opened(url, probe.address)
        with answer(wire, f"{url.path}/lab", {"Host": url.host}) as page:
            probe = replace(probe, lab=page.status, place=page.getheader("Location", ""))
        if not strange(probe, url):
            with contextlib.closing(opened(url, probe.address)) as wire:
                probe = replace(probe, large=refusal(wire, url, sent))
    return probe


def opened(url: Url, address: str, context: ssl.SSLContext | None = None):
    """Connect to an address; without a context any certificate is accepted."""
    if url.scheme == "https":
        context = context or any_certificate()
    return connected(address, url.port, context, url.name)


def reason(problem: Exception) -> str:
    """Say why a connection failed: a firewall may drop or reject it."""
    if isinstance(problem, TimeoutError):
        return f"no answer within {SECONDS} s (dropped)"
    if isinstance(problem, ssl.SSLError):
        return f"no TLS: {problem.reason or problem}"
    if isinstance(problem, ConnectionRefusedError):
        return "refused at once (rejected)"
    return str(problem) or type(problem).__name__


def refusal(wire, url: Url, path: str) -> int:
    """Announce a large body without sending it; return the status, 100 if the body is welcome."""
    wire.putrequest("POST", path, skip_host=True)
    for name, value in (("Host", url.host), ("Content-Length", PIECE), ("Expect", "100-continue")):
        wire.putheader(name, str(value))
    wire.endheaders()
    wire.sock.settimeout(SECONDS)
    with contextlib.suppress(TimeoutError):  # a server that waits for the body accepts it
        found = re.match(rb"HTTP/1\.\d (\d+)", wire.sock.recv(4096))
        return int(found[1]) if found else 0
    return 100


def distrust(settings: Settings, url: Url, address: str) -> str:
    """Return why this machine does not trust the certificate; "" if it does."""
    try:
        context = selection.trust(settings)
    except Exit:  # an unreadable file of the operator's is reported elsewhere
        return ""
    try:
        opened(url, address, context).close()
    except ssl.SSLCertVerificationError as problem:
        return problem.verify_message
    except OSError as problem:
        return reason(problem)
    return ""
