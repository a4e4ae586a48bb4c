"""The server as people reach it, from here and without a secret: the way may be unencrypted.

Each visitor asks for a page that nobody has; where Nginx logs it, that visitor has arrived there.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from invoke import Exit

from ..certs import selection
from ..settings import Settings

SECONDS = 5  # until somebody is there
PATIENCE = 30  # until there is an answer: one that sleeps is woken by us
PIECE = 1398205  # bytes of one piece of a file that JupyterLab uploads
USUAL = ("/jupyter", "/jupyterlab", "/notebook", "/lab")  # paths that people give it on their site


@dataclass(frozen=True)
class Gate:
    """Where people go: a name, a port, and the path under which JupyterLab is to be found."""

    scheme: str
    name: str
    port: int
    path: str = ""

    @property
    def host(self) -> str:
        """The name as a browser sends it."""
        usual = {"http": 80, "https": 443}[self.scheme]
        return self.name if self.port == usual else f"{self.name}:{self.port}"

    @property
    def url(self) -> str:
        """The same, as one types it."""
        return f"{self.scheme}://{self.host}{self.path}"


def gate(settings: Settings, url: str = "") -> Gate:
    """Where people go.

    :param url: the address that they type, where it is another one than the settings say.
    :raises Exit: when that is none.
    """
    try:
        parts = urlsplit(url or settings.url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        name = parts.hostname or ""
    except (ValueError, KeyError):
        name = ""
    if not name:
        raise Exit(f"--url {url}: give the address that people type, as https://lab.example.org")
    return Gate(parts.scheme, name, port, parts.path.removesuffix("/lab").rstrip("/"))


@dataclass(frozen=True)
class Door:
    """One address, as it answered.

    :param number: of its visitor; :param sent: the path that the visitor asked for.
    :param named: whether the name leads there.
    :param closed: why nobody could get there; nothing when one could.
    :param pem: the certificate that was shown; :param untrusted: what is wrong with it for us.
    :param large: the answer to a body as large as JupyterLab's pieces.
    :param lab: the answer to /lab; :param place: where that leads.
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


def doors(settings: Settings, gate: Gate, known: list[str], peer: str, nonce: str) -> list[Door]:
    """Ask at each address of the name, and at the server's own where the name does not lead there.

    :param known: the addresses of the name.
    :param peer: the address that SSH goes to; empty behind a jump host.
    """
    places = [(one, True) for one in known] + [(peer, False)] * bool(peer and peer not in known)
    found = [knock(settings, gate, Door(n, one, named), nonce)
             for n, (one, named) in enumerate(places)]  # fmt: skip
    for door in [one for one in found if one.named and strange(one, gate)]:
        for path in USUAL:
            own = replace(gate, path=path)
            found.append(knock(settings, own, Door(len(found), door.address), nonce))
    return found


def strange(door: Door, gate: Gate) -> bool:
    """Whether somebody else seems to live at the root of the name."""
    answers = not door.closed and door.lab not in (0, 502, 503, 504)
    return not gate.path and answers and "/login" not in door.place


def knock(settings: Settings, gate: Gate, door: Door, nonce: str) -> Door:
    """Ask there for the page of our visitor, for /lab, and whether it takes a large body."""
    sent = f"{gate.path}/jupyterlab-doctor-{nonce}-{door.number}"
    door = replace(door, sent=sent)
    try:
        wire = opened(gate, door.address)
    except OSError as problem:
        return replace(door, closed=reason(problem))
    with contextlib.closing(wire), contextlib.suppress(OSError, http.client.HTTPException):
        if gate.scheme == "https":
            der = wire.sock.getpeercert(binary_form=True)
            door = replace(door, pem=ssl.DER_cert_to_PEM_cert(der))
            door = replace(door, untrusted=distrust(settings, gate, door.address))
        asked = {"Host": gate.host, "Connection": "Upgrade", "Upgrade": "websocket"}
        answer = ask(wire, sent, asked)
        door = replace(door, status=answer.status, server=answer.getheader("Server", ""))
        with contextlib.closing(opened(gate, door.address)) as wire:
            answer = ask(wire, f"{gate.path}/lab", {"Host": gate.host})
            door = replace(door, lab=answer.status, place=answer.getheader("Location", ""))
        if not strange(door, gate):
            with contextlib.closing(opened(gate, door.address)) as wire:
                door = replace(door, large=refusal(wire, gate, sent))
    return door


def opened(gate: Gate, address: str, context: ssl.SSLContext | None = None):
    """Connect to an address; by HTTPS whatever the certificate, unless a context says otherwise."""
    wire = http.client.HTTPConnection(address, gate.port, timeout=SECONDS)
    wire.connect()
    if gate.scheme == "https":
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        wire.sock = context.wrap_socket(wire.sock, server_hostname=gate.name)
    wire.sock.settimeout(PATIENCE)
    return wire


def ask(wire: http.client.HTTPConnection, path: str, headers: dict[str, str]):
    """Ask for a page, and return the answer, if it comes in time."""
    with limited(wire, PATIENCE):
        wire.request("GET", path, headers=headers)
        return wire.getresponse()


@contextlib.contextmanager
def limited(wire: http.client.HTTPConnection, seconds: float):
    """End what is asked by a connection after so long: its own limit is one for each piece.

    Else `100 Continue` without end, or a byte every now and then, would be waited for for ever.
    """
    line = wire.sock  # which the answer takes over

    def end() -> None:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def reason(problem: Exception) -> str:
    """Say why nobody could get in: dropped and rejected are told apart."""
    if isinstance(problem, TimeoutError):
        return f"no answer within {SECONDS} s: dropped"
    if isinstance(problem, ssl.SSLError):
        return f"no TLS: {problem.reason or problem}"
    if isinstance(problem, ConnectionRefusedError):
        return "refused at once: rejected"
    return str(problem) or type(problem).__name__


def refusal(wire, gate: Gate, path: str) -> int:
    """Announce a large body, and give the answer to that; it is never sent."""
    wire.putrequest("POST", path, skip_host=True)
    for name, value in (("Host", gate.host), ("Content-Length", PIECE), ("Expect", "100-continue")):
        wire.putheader(name, str(value))
    wire.endheaders()
    wire.sock.settimeout(SECONDS)
    with contextlib.suppress(TimeoutError):  # one that waits for the body has taken it
        found = re.match(rb"HTTP/1\.\d (\d+)", wire.sock.recv(4096))
        return int(found[1]) if found else 0
    return 100


def distrust(settings: Settings, gate: Gate, address: str) -> str:
    """What is wrong with the certificate for this machine; nothing when it trusts it."""
    try:
        context = selection.trust(settings)
    except Exit:  # of a file of the operator's, which is judged by itself
        return ""
    try:
        opened(gate, address, context).close()
    except ssl.SSLCertVerificationError as problem:
        return problem.verify_message
    except OSError as problem:
        return reason(problem)
    return ""
