"""Certificates that end when a test wants it."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fabfile.certs import private_ca

LASTED = timedelta(90)


def ending(
    ca: private_ca.Authority, domain: str, left: timedelta, life: timedelta = LASTED
) -> tuple[str, str]:
    """Make a certificate that is valid for 90 days, or another life, and its key.

    :param left: how long it still is; negative when it has ended.
    """
    chain, key = ca.issue(domain)
    leaf = x509.load_pem_x509_certificate(chain.encode())
    end = datetime.now(UTC) + left
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, leaf.public_key(), leaf.serial_number,
        end - life, end, list(leaf.extensions),
    )  # fmt: skip
    return private_ca.pem(builder.sign(ca.key, hashes.SHA256())), key
