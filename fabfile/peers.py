"""Who belongs to a cluster: its own private CA, on this machine, and a certificate for each member.

It is not the CA that browsers import: each cluster has one of its own, in a folder beside
lab.ca_folder, so that nobody else's certificate, nor that of another cluster, opens this one.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from . import authority
from .host import Host
from .items import Identity
from .items.certificate import parsed
from .settings import Settings

PORT = 8786  # of the scheduler
WORKS = 8788  # of a worker, and the next one of what watches it
RENEWED = timedelta(days=30)  # before it ends


@dataclass(frozen=True)
class Cluster:
    """A cluster.

    :param called: by what it is told from others: whose it is, and on which machine.
    :param address: of the scheduler, as the workers reach it.
    :param members: `HOST NAME` of each worker.
    """

    called: str
    address: str
    ca: authority.Authority
    members: tuple[str, ...]

    @property
    def scheduler(self) -> str:
        """Where its members find it."""
        return f"tls://{bracketed(self.address)}:{PORT}"

    def identity(
        self, path: str, name: str, addresses: tuple[str, ...], owner: Host, listens: bool = True
    ) -> Identity:
        """The certificate of a member."""
        return Identity(
            path=path,
            domain=name,
            owner=owner.user,
            group=owner.group,
            fits=lambda text: fits(self.ca, text, name, addresses),
            make=lambda: self.ca.admit(name, addresses, listens),
        )


def targets(members: tuple[str, ...]) -> tuple[str, ...]:
    """How the operator reaches each."""
    return tuple(member.partition(" ")[0] for member in members)


def names(members: tuple[str, ...]) -> tuple[str, ...]:
    """What each calls itself."""
    return tuple(member.partition(" ")[2] for member in members)


def bracketed(address: str) -> str:
    """An address as it stands in a URL."""
    return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address


def own(settings: Settings, called: str) -> authority.Authority:
    """The CA of a cluster; new and not saved yet where there is none."""
    folder = Path(settings.ca_folder).expanduser().parent / "cluster-ca" / called
    return authority.find(folder, f"JupyterLab cluster {called}")


def fits(ca: authority.Authority, text: str, name: str, addresses: tuple[str, ...]) -> bool:
    """Whether a certificate is by this CA, for this member, and lasts."""
    from cryptography import x509

    there = parsed(text)
    if not there or not ca.signed(there):
        return False
    if there.not_valid_after_utc < datetime.now(UTC) + RENEWED:
        return False
    told = there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {str(one) for one in told.get_values_for_type(x509.IPAddress)}
    wanted = {str(ipaddress.ip_address(one)) for one in addresses}
    return told.get_values_for_type(x509.DNSName) == [name] and known == wanted
