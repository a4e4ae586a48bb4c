"""Members of a cluster: its own private CA, on this machine, and a certificate for each member.

This is not the CA that browsers import. Each cluster has its own one, in a folder beside
lab.ca_folder, so that a certificate of another CA or cluster gives no access to it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from fabric import Connection
from invoke import Exit

from ..certs import private_ca
from ..engine.host import Host
from ..items import Identity
from ..items.certificate import parsed
from ..settings import Settings
from ..ssh import host_keys
from ..ssh.errors import name_of
from ..ui.command import FAB

CALLED = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"  # a cluster's name, also that of a folder here
HEAD = "# Written by `fab cluster`: MAIN ITS-HOST-KEY CLUSTER WORKER, as main was given them.\n"
PORT = 8786  # of the scheduler
WORKS = 8788  # of a worker; the process that watches it has the next one
RENEWED = timedelta(days=30)  # before it expires


@dataclass(frozen=True)
class Cluster:
    """A cluster.

    :param called: its name: the user on main, and the first 16 digits of main's machine-id.
    :param address: the scheduler's, as the workers reach it.
    :param members: `HOST NAME` of each worker.
    """

    called: str
    address: str
    ca: private_ca.Authority
    members: tuple[str, ...]

    @property
    def scheduler(self) -> str:
        """URL at which its members reach the scheduler."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"tls://{host}:{PORT}"

    def identity(
        self,
        path: str,
        name: str,
        addresses: tuple[str, ...],
        owner: Host,
        listens: bool = True,
        mode: str = "0600",
    ) -> Identity:
        """Return the certificate of a member."""
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
    """Return the host of each member, as the operator typed it."""
    return tuple(member.partition(" ")[0] for member in members)


def names(members: tuple[str, ...]) -> tuple[str, ...]:
    """Return the host name of each member."""
    return tuple(member.partition(" ")[2] for member in members)


def place(settings: Settings) -> Path:
    """Return the folder on this machine with the CAs of all clusters."""
    return Path(settings.ca_folder).expanduser().parent / "cluster-ca"


def own(settings: Settings, called: str) -> private_ca.Authority:
    """Return the CA of a cluster; a new one, not saved yet, if there is none.

    :raises Exit: for an invalid name: it comes from a server, and becomes a path.
    """
    if not re.fullmatch(CALLED, called):
        raise Exit(f"main calls its cluster {called[:60]!r}, not a valid name: check that server")
    return private_ca.find(place(settings) / called, f"JupyterLab cluster {called}")


# --- the workers that this machine added ---------------------------------------------------------


def rows(settings: Settings) -> list[list[str]]:
    """Return the recorded workers of all clusters: main, its host key, cluster, worker."""
    try:
        text = (place(settings) / "workers").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [line.split() for line in text.splitlines() if line.count(" ") == 3 and line[0] != "#"]


def main_of(c: Connection) -> tuple[str, str]:
    """Return the identity of a main host: its name as the operator typed it, and its host key."""
    return name_of(c), host_keys.fingerprint(c.transport.get_remote_server_key())


def vouched(c: Connection, settings: Settings) -> set[str]:
    """Return the workers that this machine added to a main host."""
    mine = set(main_of(c))
    return {worker for *main, _, worker in rows(settings) if mine & set(main)}


def vouch(c: Connection, settings: Settings, called: str, workers: tuple[str, ...]) -> None:
    """Record the workers that this machine added to a main host.

    :raises Exit: when another server has the cluster of that name: this one may only pretend.
    """
    there, main = rows(settings), main_of(c)
    of_it = [row for row in there if row[2] == called]
    if of_it and not any(set(main) & set(row[:2]) for row in of_it):
        raise Exit(f"{main[0]} reports that it is {of_it[0][0]}, main of one of your clusters, but "
                   "its host key differs: if it is the same host, remove its lines from "
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
    """Refuse workers that only main lists: a hostile main could direct us to your other hosts.

    :param named: the hosts that the operator named.
    """
    strange = [t for t in targets(host.cluster) if t not in vouched(c, settings) | set(named)]
    if strange:
        where, all_of = name_of(c), ",".join(targets(host.cluster))
        raise Exit(f"{where} lists workers that this machine did not add: "
                   f"{', '.join(strange)}; if they are yours, name all once: {FAB} -H {where} "
                   f"cluster --workers {all_of}")  # fmt: skip


def fits(ca: private_ca.Authority, text: str, name: str, addresses: tuple[str, ...]) -> bool:
    """Check whether a certificate is from this CA, for this member, and not due for renewal."""
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


def theirs(settings: Settings, c: Connection) -> Settings:
    """Return the settings for a worker's host: a login as root keeps lab.user, others drop it."""
    user = settings.user if c.user == "root" else ""
    return msgspec.structs.replace(settings, user=user, password=None)
