"""Who belongs to a cluster: its own private CA, on this machine, and a certificate for each member.

It is not the CA that browsers import: each cluster has one of its own, in a folder beside
lab.ca_folder, so that nobody else's certificate, nor that of another cluster, opens this one.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fabric import Connection
from invoke import Exit

from ..certs import authority
from ..engine.host import Host
from ..items import Identity
from ..items.certificate import parsed
from ..settings import Settings
from ..ssh import host_keys
from ..ssh.errors import name_of

CALLED = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"  # a cluster: a folder's name here
HEAD = "# Written by `fab cluster`: MAIN ITS-HOST-KEY CLUSTER WORKER, as main was given them.\n"
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
        self,
        path: str,
        name: str,
        addresses: tuple[str, ...],
        owner: Host,
        listens: bool = True,
        mode: str = "0600",
    ) -> Identity:
        """The certificate of a member."""
        return Identity(
            path=path,
            domain=name,
            owner=owner.user,
            group=owner.group,
            mode=mode,
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


def place(settings: Settings) -> Path:
    """The folder of all clusters on this machine."""
    return Path(settings.ca_folder).expanduser().parent / "cluster-ca"


def own(settings: Settings, called: str) -> authority.Authority:
    """The CA of a cluster; new and not saved yet where there is none.

    :raises Exit: for what is no name: a server said it.
    """
    if not re.fullmatch(CALLED, called):
        raise Exit(f"main calls its cluster {called[:60]!r}: that is no name; look at that server")
    return authority.find(place(settings) / called, f"JupyterLab cluster {called}")


# --- whom this machine made a worker ------------------------------------------------------------


def rows(settings: Settings) -> list[list[str]]:
    """What is written down of all clusters: main, its host key, what it is called, a worker."""
    try:
        text = (place(settings) / "workers").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [line.split() for line in text.splitlines() if line.count(" ") == 3 and line[0] != "#"]


def main_of(c: Connection) -> tuple[str, str]:
    """Who a main host is: as the operator reaches it, and its host key."""
    return name_of(c), host_keys.fingerprint(c.transport.get_remote_server_key())


def vouched(c: Connection, settings: Settings) -> set[str]:
    """The workers that this machine gave to a main host."""
    mine = set(main_of(c))
    return {worker for *main, _, worker in rows(settings) if mine & set(main)}


def vouch(c: Connection, settings: Settings, called: str, workers: tuple[str, ...]) -> None:
    """Write down which workers a main host has by our hand.

    :raises Exit: when the cluster is another server's: this one only says that it is called so.
    """
    there, main = rows(settings), main_of(c)
    of_it = [row for row in there if row[2] == called]
    if of_it and not any(set(main) & set(row[:2]) for row in of_it):
        raise Exit(f"{main[0]} says that it is {of_it[0][0]}, the main host of a cluster of yours, "
                   "but has another host key: if it is, remove its lines from "
                   f"{place(settings) / 'workers'}, and name its workers again")  # fmt: skip
    now = [[*main, called, worker] for worker in workers]
    text = HEAD + "".join(
        f"{' '.join(row)}\n" for row in [r for r in there if r not in of_it] + now
    )
    place(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    part = place(settings) / "workers.new"
    part.write_text(text, encoding="utf-8")
    part.replace(place(settings) / "workers")


def refuse_unvouched(c: Connection, settings: Settings, host: Host, named) -> None:
    """Refuse workers that only the server names: who has it would be led to your other hosts.

    :param named: those that the operator named.
    """
    strange = [t for t in targets(host.cluster) if t not in vouched(c, settings) | set(named)]
    if strange:
        where, all_of = name_of(c), ",".join(targets(host.cluster))
        raise Exit(f"{where} says that it has workers which this machine did not give it: "
                   f"{', '.join(strange)}; if they are yours, name all once: fab -H {where} "
                   f"cluster --workers {all_of}")  # fmt: skip


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
