"""Which kind of HTTPS fits a server, by what is seen of its name and its addresses. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from invoke import Exit

# Names below these never are in the public DNS: RFC 6761, 6762 and 8375, and ICANN's `internal`.
PRIVATE = "local", "internal", "test", "lan", "home.arpa", "localhost", "invalid", "example"


@dataclass(frozen=True)
class Seen:
    """The name of a server and its addresses.

    :param domain: the name that people type; "" if there is none.
    :param own: the server's addresses: those of its interfaces, and the one that SSH reached.
    :param leads: the addresses to which the name leads, here and on the server.
    """

    domain: str
    own: frozenset[str] = frozenset()
    leads: frozenset[str] = frozenset()


def choose(seen: Seen) -> tuple[str, str]:
    """Return the value of lab.tls that fits, and the reason.

    :raises Exit: for a public name that leads to another server.
    """
    name, leads = seen.domain, sorted(seen.leads)
    if not name:
        return "self-signed", "there is no name, so your private CA signs for the address"
    if "." not in name or name.lower().endswith(tuple(f".{one}" for one in PRIVATE)):
        return "self-signed", f"{name} is a name of your own network: your private CA signs for it"
    if not leads:
        return "self-signed", (
            f"{name} has no address in the DNS: your private CA signs for it; once it leads to the "
            "server, set tls: letsencrypt"
        )
    private = [address for address in leads if not ipaddress.ip_address(address).is_global]
    if private:
        return "self-signed", (
            f"{name} leads to {private[0]}, which Let's Encrypt cannot reach: your private CA "
            "signs for it"
        )
    strange = [address for address in leads if address not in seen.own]
    if strange:
        known = [address for address in sorted(seen.own) if ipaddress.ip_address(address).is_global]
        raise Exit(f"{name} leads to {', '.join(strange)}, and this server is "
                   f"{', '.join(known) or 'not in the public network'}: correct the DNS, or choose "
                   "another name")  # fmt: skip
    return "letsencrypt", f"{name} leads to this server: Let's Encrypt signs for it"
