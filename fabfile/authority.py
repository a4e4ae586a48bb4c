"""A private CA on the operator's own machine: made once, so that a fleet shares one root to import.

Owns a folder of yours (lab.ca_folder) with `ca.pem`, which browsers import, and `ca.key`, which
nobody else may read; the keys of servers pass through memory and are kept on the servers alone.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from invoke import Exit

CA_DAYS = 3650
DAYS = 397  # as long as browsers let a public CA's be
CLOCKS = timedelta(minutes=5)  # they differ
MAKING = threading.Lock()  # a fleet's hosts share one CA, also when it is new
FOUND: dict[Path, Authority] = {}
SAVED: set[Path] = set()


@dataclass(frozen=True)
class Authority:
    """A CA: its certificate, the key that signs, and the folder that it is kept in.

    :param new: not there yet when it was looked for.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    folder: Path
    new: bool = False

    @property
    def pem(self) -> str:
        """Its certificate, as browsers import it."""
        return pem(self.certificate)

    def signed(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is one of ours."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except Exception:  # another issuer, another kind of key, a false signature
            return False
        return True

    def issue(self, domain: str) -> tuple[str, str]:
        """Make a key and a certificate for a name.

        :returns: the chain and the key, both as PEM.
        """
        certificate, key = self.sign(domain, (), ExtendedKeyUsageOID.SERVER_AUTH)
        return certificate + self.pem, key

    def admit(self, name: str, addresses: tuple[str, ...], listens: bool) -> tuple[str, str]:
        """Make a key and a certificate for a member of a cluster.

        :param listens: whether others come to it, too.
        :returns: the certificate and the key, both as PEM.
        """
        uses = [ExtendedKeyUsageOID.SERVER_AUTH] * listens
        return self.sign(name, addresses, ExtendedKeyUsageOID.CLIENT_AUTH, *uses)

    def sign(self, name: str, addresses: tuple[str, ...], *uses) -> tuple[str, str]:
        """Make a key, and a certificate that says what it is for."""
        key = ec.generate_private_key(ec.SECP256R1())
        told = [x509.DNSName(name), *(x509.IPAddress(ip_address(one)) for one in addresses)]
        mine = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = begin(common_name(name), self.certificate.subject, key, DAYS)
        for extension, critical in (
            (x509.SubjectAlternativeName(told), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (usage("digital_signature"), True),
            (x509.ExtendedKeyUsage(uses), False),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (mine, False),
        ):
            builder = builder.add_extension(extension, critical)
        return pem(builder.sign(self.key, hashes.SHA256())), key_pem(key)

    def save(self) -> bool:
        """Put its folder there, whole; say whether this was the one to do it.

        :raises Exit: when another process was first, or nothing can be written there.
        """
        with MAKING:
            if not self.new or self.folder in SAVED:
                return False
            part = self.folder.with_name(f"{self.folder.name}.{os.getpid()}")
            try:
                part.mkdir(mode=0o700, parents=True)
                write(part / "ca.key", key_pem(self.key), 0o600)
                write(part / "ca.pem", self.pem, 0o644)
                part.rename(self.folder)  # only where nothing is, or an empty folder
            except OSError as problem:
                shutil.rmtree(part, ignore_errors=True)
                raise Exit(f"lab.ca_folder: {self.folder}: {problem.strerror}") from None
            SAVED.add(self.folder)
            return True


def find(folder: Path, called: str = "") -> Authority:
    """Take the CA of a folder; where there is none, one that is new and not saved yet.

    :param called: its name then.
    :raises Exit: when there is one that cannot be used: another would be trusted nowhere.
    """
    with MAKING:
        if folder not in FOUND:
            FOUND[folder] = load(folder) or make(folder, called)
        return FOUND[folder]


def load(folder: Path) -> Authority | None:
    """Read the CA of a folder, None where there is none, and check it."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    try:
        if not certificate.exists() and not key.exists():
            return None
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        signer = serialization.load_pem_private_key(key.read_bytes(), password=None)
        mode = key.stat().st_mode
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise ValueError(type(signer))
    except OSError as problem:
        raise Exit(f"lab.ca_folder: {problem.filename}: {problem.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Exit(f"lab.ca_folder: ca.pem or ca.key in {folder} is damaged: restore it") from None
    if loaded.public_key() != signer.public_key():
        raise Exit(f"lab.ca_folder: ca.key in {folder} is not the one of ca.pem: restore it")
    if mode & 0o077:
        raise Exit(f"lab.ca_folder: others may read {key}: chmod 0600 {key}")
    end = loaded.not_valid_after_utc
    if end < datetime.now(UTC) + timedelta(days=DAYS):
        raise Exit(f"lab.ca_folder: {certificate} ends on {end:%Y-%m-%d}, too soon: move it and "
                   "ca.key away, run again, and import the new one")  # fmt: skip
    return Authority(loaded, signer, folder)


def make(folder: Path, called: str = "") -> Authority:
    """Make a CA, which may sign servers and no other CA. :param called: its name."""
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
    return Authority(builder.sign(key, hashes.SHA256()), key, folder, new=True)


def begin(subject: x509.Name, issuer: x509.Name, key, days: int) -> x509.CertificateBuilder:
    """Begin a certificate that is valid from now."""
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
    """A name of one part, which holds 64 characters at most (RFC 5280)."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def usage(*chosen: str) -> x509.KeyUsage:
    """What a key is for, and nothing else."""
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
             "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: name in chosen for name in names})


def write(path: Path, text: str, mode: int) -> None:
    """Write a new file, never readable by more than its mode says."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def pem(certificate: x509.Certificate) -> str:
    """Write a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Write a key as PEM, unencrypted."""
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none).decode()
