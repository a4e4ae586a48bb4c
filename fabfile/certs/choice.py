"""Which kind of HTTPS fits a server, by what is seen of its name and its addresses. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ..settings.fields import address

# Names below these never are in the public DNS: RFC 6761, 6762 and 8375, and ICANN's `internal`.
PRIVATE = "local", "internal", "test", "lan", "home.arpa", "localhost", "invalid", "example"


@dataclass(frozen=True)
class Seen:
    """The name of a server and its addresses.

    :param domain: the name or address that people type; "" if there is none.
    :param own: the server's addresses: those of its interfaces, and the one that SSH reached.
    :param leads: the addresses to which the name leads, here and on the server.
    :param files: the settings name a certificate.
    :param dns: the settings name an API through which the DNS proves the name.
    :param local: the ACME server is not Let's Encrypt: it may know private names and addresses.
    """

    domain: str
    own: frozenset[str] = frozenset()
    leads: frozenset[str] = frozenset()
    files: bool = False
    dns: bool = False
    local: bool = False

    def public(self, address: str) -> bool:
        """Say whether the ACME server can reach an address."""
        return self.local or ipaddress.ip_address(address).is_global


def choose(seen: Seen) -> tuple[str, str]:
    """Return the value of lab.tls that fits, and the reason.

    It is `off` for a public name that leads to another server; the reason then has the remedy.
    """
    name = seen.domain
    if seen.files:
        return "files", "you have a certificate"
    if not name:
        return "self-signed", "there is no name, and its address is not known here"
    if address(name):
        if seen.public(name):
            return "letsencrypt", f"{name} is a public address"
        return "self-signed", f"{name} is a private address"
    if "." not in name or (name.lower().endswith(tuple(f".{one}" for one in PRIVATE))
                           and not seen.local):  # fmt: skip
        return "self-signed", f"{name} is a name of your own network"
    if seen.dns:
        return "letsencrypt", f"the DNS proves that {name} is yours"
    return by_name(seen)


def by_name(seen: Seen) -> tuple[str, str]:
    """Choose for a name that may be in the public DNS."""
    name, leads = seen.domain, sorted(seen.leads)
    if not leads:
        return "self-signed", f"{name} has no address in the DNS yet"
    private = [address for address in leads if not seen.public(address)]
    if private:
        return "self-signed", f"{name} leads to {private[0]}, a private address"
    strange = [address for address in leads if address not in seen.own]
    if strange:
        known = [address for address in sorted(seen.own) if seen.public(address)]
        return "off", (
            f"{name} leads to {', '.join(strange)}, and this server is "
            f"{', '.join(known) or 'not in the public network'}: correct the DNS, or choose "
            "another name"
        )
    return "letsencrypt", f"{name} leads to this server"
