"""Where our site listens beside the sites of others: pure.

Nginx chooses the socket of a request by its address before it looks at names, and an option in one
`listen` of an address applies to all sites there. So our lines depend on the lines of the others.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

ENTIRE = {"4": "*", "6": "[::]"}  # an IP version -> all its addresses
ADDRESS = re.compile(
    r"(?:(?P<host>\[.*\]|[^:]*[^:\d-][^:]*)(?::|$))?(?P<first>\d+)?(?:-(?P<last>\d+))?"
)
# Options that make Nginx bind this address by itself, beside which it cannot bind all of them.
BINDS = re.compile(
    r"bind|deferred|reuseport|(?:accept_filter|backlog|fastopen|ipv6only|rcvbuf|setfib|sndbuf"
    r"|so_keepalive)=.*"
)


@dataclass(frozen=True)
class Listen:
    """A `listen` of another site. :param host: as it is written, `*` or `[::]` for all."""

    file: str
    host: str
    ports: range
    options: tuple[str, ...] = ()

    @property
    def versions(self) -> str:
        """The IP versions that it may mean: a name stands for addresses of both."""
        if self.host.startswith("["):
            return "6"
        return "4" if self.host == "*" or re.fullmatch(r"[\d.]+", self.host) else "46"

    @property
    def entire(self) -> bool:
        """True if it means all addresses of its version."""
        return self.host in ENTIRE.values()

    @property
    def alone(self) -> bool:
        """True if it means one address, and Nginx binds that by itself."""
        return not self.entire and any(map(BINDS.fullmatch, self.options))

    def __str__(self) -> str:
        return f"{self.file} has `listen {' '.join((self.written, *self.options))}`"

    @property
    def written(self) -> str:
        """The address and the ports, as in the file."""
        port = f"{self.ports[0]}-{self.ports[-1]}" if len(self.ports) > 1 else f"{self.ports[0]}"
        return port if self.host == "*" else f"{self.host}:{port}"


def parsed(file: str, words: list[str]) -> Listen | None:
    """Parse the words of a `listen`; None for a unix socket, for QUIC, and if malformed."""
    found = ADDRESS.fullmatch(words[0]) if words else None
    if not found or words[0].startswith("unix:") or "quic" in words[1:]:
        return None
    first = int(found["first"] or 80)
    ports = range(first, int(found["last"] or first) + 1)
    return Listen(file, plain(found["host"] or "*"), ports, tuple(words[1:])) if ports else None


def plain(host: str) -> str:
    """Return a host as it is written, but one word for all addresses of an IP version."""
    try:
        known = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    return ENTIRE[str(known.version)] if known.is_unspecified else host


def listens(lines: list[str]) -> tuple[Listen, ...]:
    """Parse the lines `FILE:WORDS` of the sites of others."""
    rows = (line.partition(":") for line in lines)
    found = (parsed(file, words.split()) for file, _, words in rows)
    return tuple(dict.fromkeys(filter(None, found)))


def addresses(others: tuple[Listen, ...], port: int, ipv6: bool = True) -> list[str]:
    """Return the arguments of the `listen` lines of our site for a port.

    These are all addresses of the host, as far as other sites leave them; and each single address
    of another site, where Nginx considers only the sites that name that address.

    :param ipv6: whether the host has IPv6.
    """
    there = [one for one in others if port in one.ports]
    both = any(one.host == "[::]" and "ipv6only=off" in one.options for one in there)
    found = []
    for version, entire in ENTIRE.items():
        alone = [one for one in there if one.alone and version in one.versions]
        shared = any(one.host == entire for one in there)
        if (version == "4" and both) or (version == "6" and not ipv6):
            continue
        if not alone or shared:
            found.append(f"{port}" if version == "4" else f"{entire}:{port}")
        elif version == "4":
            found.append(f"127.0.0.1:{port}")  # for programs of this host
    single = sorted(f"{one.host}:{port}" for one in there if not one.entire)
    return list(dict.fromkeys([*found, *single]))


def eclipsed(others: tuple[Listen, ...], port: int, first: bool) -> str:
    """Return why our site cannot be the default of an HTTPS port, and what to do; "" if it can.

    A client that connects to an address names no site in its TLS handshake (RFC 6066), so the
    default site of the port answers. Sites that others have at that port keep theirs.

    :param first: whether our site is the default there already.
    """
    taking = {"default_server"} if first else {"default_server", "ssl"}
    for one in others:
        if port in one.ports and taking & {*one.options}:
            return (
                f"{one}, and a client that connects to an address gets the certificate of the "
                f"port's default site: {another(port)}"
            )
    return ""


def another(port: int) -> str:
    """Return the advice to choose another port for HTTPS."""
    return f"choose another lab.https_port, such as {8443 if port != 8443 else 9443}"


def unfit(others: tuple[Listen, ...], port: int, secure: bool) -> str:
    """Return why our site cannot share a port with other sites, and what to do; "" if it can.

    :param secure: whether our site has HTTPS at this port.
    """
    wrong = ("proxy_protocol",) if secure else ("proxy_protocol", "ssl")
    for one in others:
        found = [option for option in wrong if option in one.options and port in one.ports]
        if found:
            return (
                f"{one}, and {found[0]} would apply to our site there, too: change "
                "that line, or choose another lab.http_port or lab.https_port"
            )
    return ""
