"""A private CA on the operator's machine: made once, so that browsers import one root for a fleet.

Owns the folder lab.ca_folder with `ca.pem`, which browsers import, and `ca.key`, which only the
operator may read. Keys of servers pass through memory and are kept on the servers only.
Browsers trust the CA for its own names only: a stolen key cannot impersonate any other site.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from invoke import Exit

from ..settings import within
from ..settings.credentials import Secret, ca_passphrase, given_ca_passphrase
from ..settings.fields import address
from ..ui.command import FAB

CA_DAYS = 3650
DAYS = 397  # the longest that browsers accept from public CAs
CLOSED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"  # has a passphrase
CLOCKS = timedelta(minutes=5)  # clocks differ
MAKING = threading.Lock()  # a fleet's hosts share one CA, even a new one
SERVERS = [ExtendedKeyUsageOID.SERVER_AUTH]
OPENING = threading.Lock()  # they share its passphrase, asked for once
NO_NAME = x509.DNSName("")  # all names are below it
NO_ADDRESS = {4: x509.IPAddress(ip_network("0.0.0.0/0")), 6: x509.IPAddress(ip_network("::/0"))}
FOUND: dict[Path, Authority] = {}
OPENED: dict[Path, ec.EllipticCurvePrivateKey] = {}
SAVED: set[Path] = set()


@dataclass(frozen=True)
class Authority:
    """A CA: its certificate, its key and its folder.

    :param opened: its key; None while the passphrase is not needed.
    :param new: True if the folder had none.
    """

    certificate: x509.Certificate
    opened: ec.EllipticCurvePrivateKey | None
    folder: Path
    new: bool = False

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The key, opened if necessary.

        :raises Exit: when the passphrase is missing or wrong.
        """
        return self.opened or unlocked(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it may sign for, with all below them, and the addresses.

        Empty if it may sign for any.
        """
        extensions = self.certificate.extensions
        try:
            told = extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            return ()
        return tuple(map(spelled, told.permitted_subtrees or ()))

    def refuse_other(self, domain: str) -> None:
        """Refuse a name that browsers would not accept from this CA.

        :raises Exit: with the command that makes another CA.
        """
        if self.names and not any(within(domain, name) for name in self.names):
            raise Exit(f"lab.domain: your CA in {self.folder} signs for {', '.join(self.names)}, "
                       f"not for {domain}: list all names in lab.ca_names, then `{FAB} -H HOST "
                       "tls --new-ca` makes another CA, which browsers must import")  # fmt: skip

    @property
    def pem(self) -> str:
        """The certificate as PEM, as browsers import it."""
        return pem(self.certificate)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint of the certificate, as browsers show it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def signed(self, certificate: x509.Certificate) -> bool:
        """Check whether this CA signed a certificate."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except Exception:  # another issuer, another kind of key, a false signature
            return False
        return True

    def issue(self, domain: str) -> tuple[str, str]:
        """Make a key and a certificate for a name.

        :returns: the chain and the key, both as PEM.
        :raises Exit: for a name that this CA may not sign for.
        """
        self.refuse_other(domain)
        certificate, key = self.sign(domain, (), ExtendedKeyUsageOID.SERVER_AUTH)
        return certificate + self.pem, key

    def admit(self, name: str, addresses: tuple[str, ...], listens: bool) -> tuple[str, str]:
        """Make a key and a certificate for a member of a cluster.

        :param listens: True if others connect to it.
        :returns: the certificate and the key, both as PEM.
        """
        uses = [ExtendedKeyUsageOID.SERVER_AUTH] * listens
        return self.sign(name, addresses, ExtendedKeyUsageOID.CLIENT_AUTH, *uses)

    def sign(self, name: str, addresses: tuple[str, ...], *uses) -> tuple[str, str]:
        """Make a key, and a certificate for these uses."""
        signer, key = self.key, ec.generate_private_key(ec.SECP256R1())
        called = f"address {name}" if address(name) else name  # else openssl takes it for a name
        told = [alternative(one) for one in (name, *addresses)]
        mine = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = begin(common_name(called), self.certificate.subject, key, DAYS)
        for extension, critical in (
            (x509.SubjectAlternativeName(told), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (usage("digital_signature"), True),
            (x509.ExtendedKeyUsage(uses), False),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (mine, False),
        ):
            builder = builder.add_extension(extension, critical)
        return pem(builder.sign(signer, hashes.SHA256())), key_pem(key)

    def save(self) -> bool:
        """Write the folder of a new CA; return False if there is nothing to write.

        :raises Exit: when another process was first, or the folder cannot be written.
        """
        with MAKING:
            if not self.new or self.folder in SAVED:
                return False
            part = self.folder.with_name(f"{self.folder.name}.{os.getpid()}")
            try:
                part.mkdir(mode=0o700, parents=True)
                write(part / "ca.key", key_pem(self.key, given_ca_passphrase()), 0o600)
                write(part / "ca.pem", self.pem, 0o644)
                if (part / "ca.key").stat().st_mode & 0o077:
                    shutil.rmtree(part)
                    raise Exit(f"lab.ca_folder: {self.folder}: its disk keeps no permissions, as "
                               "that of Windows under WSL: choose another folder")  # fmt: skip
                part.rename(self.folder)  # replaces nothing but an empty folder
            except OSError as problem:
                shutil.rmtree(part, ignore_errors=True)
                raise Exit(f"lab.ca_folder: {self.folder}: {problem.strerror}") from None
            SAVED.add(self.folder)
            return True


def find(folder: Path, called: str = "", names: tuple[str, ...] = ()) -> Authority:
    """Return the CA of a folder; if there is none, a new one that is not saved yet.

    :param called: the name of a new one.
    :param names: the only names that a new one may sign for.
    :raises Exit: when the CA cannot be used: browsers would not trust another one.
    """
    with MAKING:
        if folder not in FOUND:
            FOUND[folder] = load(folder) or make(folder, called, names)
        return FOUND[folder]


def put_aside(folder: Path) -> Path | None:
    """Rename the folder of a CA, once in a run, so that a new CA is made; return its new path.

    :raises Exit: when it cannot be moved.
    """
    with MAKING:
        if folder in SAVED or (folder in FOUND and FOUND[folder].new):
            return None  # done for another host of this run
        FOUND.pop(folder, None)
        OPENED.pop(folder, None)
        former = folder.with_name(f"{folder.name}.before-{datetime.now():%Y-%m-%dT%H%M%S}")
        try:
            folder.rename(former)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise Exit(f"lab.ca_folder: {folder}: {problem.strerror}") from None
        return former


def unlocked(ca: Authority) -> ec.EllipticCurvePrivateKey:
    """Open the key of a CA by its passphrase.

    :raises Exit: when the passphrase is missing or wrong.
    """
    with OPENING:
        if ca.folder not in OPENED:
            path = ca.folder / "ca.key"
            secret = ca_passphrase(path).reveal().encode()
            try:
                key = serialization.load_pem_private_key(path.read_bytes(), secret)
            except OSError as problem:
                raise Exit(f"lab.ca_folder: {path}: {problem.strerror}") from None
            except (ValueError, TypeError, UnsupportedAlgorithm):
                raise Exit(f"lab.ca_folder: the passphrase does not open {path}: put the right one "
                           "into LAB_CA_PASSPHRASE, and run again") from None  # fmt: skip
            OPENED[ca.folder] = fitting(ca.certificate, key, ca.folder)
        return OPENED[ca.folder]


def fitting(certificate: x509.Certificate, key, folder: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key of a CA if it belongs to its certificate.

    :raises Exit: if it does not.
    """
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Exit(damaged(folder))
    if certificate.public_key() != key.public_key():
        raise Exit(f"lab.ca_folder: ca.key in {folder} does not belong to ca.pem: restore it")
    return key


def damaged(folder: Path) -> str:
    """Return the message about a CA that cannot be read."""
    return f"lab.ca_folder: ca.pem or ca.key in {folder} is damaged: restore it"


def load(folder: Path) -> Authority | None:
    """Read and check the CA of a folder; return None if there is none."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    try:
        if not certificate.exists() and not key.exists():
            return None
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        text, mode = key.read_bytes(), key.stat().st_mode
        closed = text.startswith(CLOSED)
        signer = None if closed else serialization.load_pem_private_key(text, password=None)
    except OSError as problem:
        raise Exit(f"lab.ca_folder: {problem.filename}: {problem.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Exit(damaged(folder)) from None
    if not closed:
        fitting(loaded, signer, folder)
    if mode & 0o077:
        raise Exit(f"lab.ca_folder: others may read {key}: chmod 0600 {key}")
    end = loaded.not_valid_after_utc
    if end < datetime.now(UTC) + timedelta(days=DAYS):
        raise Exit(f"lab.ca_folder: {certificate} expires too soon, on {end:%Y-%m-%d}: "
                   f"`{FAB} -H HOST tls --new-ca` makes another CA for browsers; a cluster makes "
                   f"another one in its next run, once {folder} is moved away")  # fmt: skip
    return Authority(loaded, signer, folder)


def make(folder: Path, called: str = "", names: tuple[str, ...] = ()) -> Authority:
    """Make a CA that may sign certificates, but no other CA.

    :param called: its name.
    :param names: the only names and addresses that it may sign for, with all below the names.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    whose = f"JupyterLab servers of {getpass.getuser()}@{socket.gethostname()}"
    name = common_name(called or whose)
    builder = begin(name, name, key, CA_DAYS)
    for extension, critical in (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (usage("key_cert_sign", "crl_sign"), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    if names:
        builder = builder.add_extension(constraints(names), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(SERVERS), False)  # no mail, no code
    return Authority(builder.sign(key, hashes.SHA256()), key, folder, new=True)


def constraints(names: tuple[str, ...]) -> x509.NameConstraints:
    """Return the limits of a CA to these names and addresses.

    A kind without any permitted name is not limited, so all of it is excluded.
    """
    mine = [subtree(one) for one in names]
    named = any(isinstance(one, x509.DNSName) for one in mine)
    kinds = {one.value.version for one in mine if isinstance(one, x509.IPAddress)}
    rest = [] if named else [NO_NAME]
    rest += [everything for version, everything in NO_ADDRESS.items() if version not in kinds]
    return x509.NameConstraints(mine, rest or None)


def subtree(name: str) -> x509.GeneralName:
    """Return a name with all below it, or a network of one address."""
    return x509.IPAddress(ip_network(name)) if address(name) else x509.DNSName(name.lower())


def spelled(one: x509.GeneralName) -> str:
    """Return such a name or address as text."""
    if isinstance(one, x509.IPAddress):
        return str(one.value).removesuffix(f"/{one.value.max_prefixlen}")
    return str(one.value).lower()


def alternative(name: str) -> x509.GeneralName:
    """Return a name or an address as a certificate has it."""
    return x509.IPAddress(ip_address(name)) if address(name) else x509.DNSName(name)


def begin(subject: x509.Name, issuer: x509.Name, key, days: int) -> x509.CertificateBuilder:
    """Return the builder of a certificate that is valid from now."""
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - CLOCKS,
        now + timedelta(days=days),
    )


def common_name(text: str) -> x509.Name:
    """Return a name of one part, with the 64 characters that RFC 5280 allows."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def usage(*chosen: str) -> x509.KeyUsage:
    """Return the extension that allows a key these uses only."""
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
             "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: name in chosen for name in names})


def write(path: Path, text: str, mode: int) -> None:
    """Write a new file that has its mode from the start."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: Secret | None = None) -> str:
    """Return a key as PEM, encrypted if there is a passphrase."""
    form, how = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    if passphrase:
        how = serialization.BestAvailableEncryption(passphrase.reveal().encode())
    return key.private_bytes(serialization.Encoding.PEM, form, how).decode()
