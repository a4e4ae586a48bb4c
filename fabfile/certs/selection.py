"""The certificate that Nginx serves: its path on the server, and the CAs that this machine trusts.

It is in the folder Instance.certificates: NAME.pem with its chain, and NAME.key. That of an ACME
server is NAME.acme.pem, so that the former one is served until the new one is there.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from invoke import Exit

from ..engine.host import Host
from ..settings import Settings
from ..settings.credentials import Secret
from ..web import system_trust


def own(settings: Settings) -> str:
    """Return the path of the certificate that the operator made or provided."""
    return f"{settings.instance.certificates}/{settings.stem}.pem"


def issued(settings: Settings) -> str:
    """Return the path of the certificate that an ACME server issued."""
    return f"{settings.instance.certificates}/{settings.stem}.acme.pem"


def served(settings: Settings, host: Host) -> str | None:
    """Return the path of the certificate to serve, or None for plain HTTP.

    Until Let's Encrypt has issued one, the former certificate stays, or else plain HTTP.
    """
    if not settings.secure:
        return None
    if settings.tls != "letsencrypt":
        return own(settings)
    there = host.certificates.split()
    candidates = issued(settings), own(settings)
    return next((path for path in candidates if Path(path).name in there), None)


def expected(settings: Settings) -> str:
    """Return the path of the certificate that should be served; "" if an existing site has it."""
    if not settings.certified:
        return ""
    return issued(settings) if settings.tls == "letsencrypt" else own(settings)


def files(settings: Settings) -> list[str]:
    """Return the paths of certificates that Nginx may have loaded."""
    return [] if not settings.certified else [own(settings), issued(settings)]


def given(settings: Settings) -> tuple[str, str]:
    """Read the operator's certificate and key; refuse what Nginx or a browser would refuse.

    :returns: the chain and the key, both as PEM.
    """
    from cryptography.hazmat.primitives import serialization

    from ..items.certificate import covers, names, parsed

    texts = []
    for name in ("tls_certificate", "tls_key"):
        path = Path(getattr(settings, name)).expanduser()
        try:
            texts.append(path.read_text(encoding="ascii").rstrip() + "\n")
        except OSError as problem:
            raise Exit(f"lab.{name}: {path}: {problem.strerror}") from None
        except UnicodeDecodeError:
            raise Exit(f"lab.{name}: {path} is not a PEM file: convert it with openssl") from None
    chain, key = texts
    leaf = parsed(chain)
    if leaf is None or not whole(chain):
        raise Exit(f"lab.tls_certificate: {settings.tls_certificate} is not a PEM certificate")
    try:
        secret = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        raise Exit(f"lab.tls_key: {settings.tls_key} has a passphrase, which Nginx does not know: "
                   "openssl pkey writes a key without one") from None  # fmt: skip
    except ValueError:
        raise Exit(f"lab.tls_key: {settings.tls_key} is not a PEM key") from None
    if secret.public_key() != leaf.public_key():
        raise Exit("lab.tls_key: it is not the key of the first certificate in "
                   "lab.tls_certificate, which must be that of the server")  # fmt: skip
    if not covers(leaf, settings.domain):
        told = ", ".join(names(leaf)) or "no name"
        raise Exit(f"lab.tls_certificate: it is for {told}, not for {settings.domain}")
    if leaf.not_valid_after_utc < datetime.now(UTC):
        end = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
        raise Exit(f"lab.tls_certificate: it expired on {end}: renew it first")
    return chain, key


def dns_credentials(settings: Settings) -> Secret | None:
    """Read the operator's file with the key of a DNS provider's API; None if there is none.

    :raises Exit: when certbot's plugin would refuse it.
    """
    if not settings.tls_dns_credentials:
        return None
    path, name = Path(settings.tls_dns_credentials).expanduser(), settings.tls_dns
    try:
        text = path.read_text(encoding="utf-8").strip() + "\n"
    except OSError as problem:
        raise Exit(f"lab.tls_dns_credentials: {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise Exit(f"lab.tls_dns_credentials: {path} is not a text file") from None
    word = {"google": '"private_key"', "route53": "aws_"}.get(name, f"dns_{name}_")
    if word not in text or "\0" in text:
        raise Exit(f"lab.tls_dns_credentials: {path} has no line with {word}: the documentation of "
                   f"certbot-dns-{name} shows such a file")  # fmt: skip
    return Secret(text)


def whole(chain: str) -> bool:
    """Check whether every certificate of a chain can be read."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(chain.encode())
    except ValueError:
        return False
    return len(found) == chain.count("BEGIN CERTIFICATE")


def trust(settings: Settings) -> ssl.SSLContext:
    """Return a context that trusts the system's CAs, and the private CA or lab.tls_certificate."""
    context = system_trust()
    if settings.tls == "self-signed":
        context.load_verify_locations(cadata=authority(settings).pem)
    elif settings.tls == "files":
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=given(settings)[0])
    return context


def authority(settings: Settings):
    """Return the private CA; if there is none, a new one that is not saved yet."""
    from .private_ca import find

    names = settings.ca_names or (settings.domain,)
    return find(Path(settings.ca_folder).expanduser(), names=names)
