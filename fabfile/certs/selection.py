"""Which certificate Nginx serves: where it stands on the server, and whom it convinces here.

In the folder Instance.certificates, as NAME.pem with its chain and NAME.key; the one of an ACME
server has a name of its own, so that the one before goes on being served until it is there.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from invoke import Exit

from ..engine.host import Host
from ..settings import Settings


def own(settings: Settings) -> str:
    """The path of the certificate that the operator made or gave."""
    return f"{settings.instance.certificates}/{settings.domain.lower()}.pem"


def issued(settings: Settings) -> str:
    """The path of the one that an ACME server gave."""
    return f"{settings.instance.certificates}/{settings.domain.lower()}.acme.pem"


def served(settings: Settings, host: Host) -> str | None:
    """The path of the one to serve, or None for plain HTTP.

    Where Let's Encrypt has not given one yet, the one before stays; where none was, plain HTTP.
    """
    if not settings.secure:
        return None
    if settings.tls != "letsencrypt":
        return own(settings)
    there = host.certificates.split()
    candidates = issued(settings), own(settings)
    return next((path for path in candidates if Path(path).name in there), None)


def expected(settings: Settings) -> str:
    """The path of the one that is to be served when all is well; nothing for one not of ours."""
    if not settings.certified:
        return ""
    return issued(settings) if settings.tls == "letsencrypt" else own(settings)


def files(settings: Settings) -> list[str]:
    """The ones that Nginx may be reading, to look at their age."""
    return [] if not settings.certified else [own(settings), issued(settings)]


def given(settings: Settings) -> tuple[str, str]:
    """Read the operator's own certificate and key, and refuse what Nginx or a browser would.

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
            raise Exit(f"lab.{name}: {path} is no PEM file: convert it with openssl") from None
    chain, key = texts
    leaf = parsed(chain)
    if leaf is None or not whole(chain):
        raise Exit(f"lab.tls_certificate: {settings.tls_certificate} is no PEM certificate")
    try:
        secret = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        raise Exit(f"lab.tls_key: {settings.tls_key} has a passphrase: Nginx needs one without; "
                   "openssl pkey writes it") from None  # fmt: skip
    except ValueError:
        raise Exit(f"lab.tls_key: {settings.tls_key} is no PEM key") from None
    if secret.public_key() != leaf.public_key():
        raise Exit("lab.tls_key: that is not the key of lab.tls_certificate, whose server's own "
                   "certificate must come first in its file")  # fmt: skip
    if not covers(leaf, settings.domain):
        told = ", ".join(names(leaf)) or "no name"
        raise Exit(f"lab.tls_certificate: it is for {told}, not for {settings.domain}")
    if leaf.not_valid_after_utc < datetime.now(UTC):
        end = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
        raise Exit(f"lab.tls_certificate: it ended on {end}: have it renewed first")
    return chain, key


def whole(chain: str) -> bool:
    """Whether every certificate of a chain can be read."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(chain.encode())
    except ValueError:
        return False
    return len(found) == chain.count("BEGIN CERTIFICATE")


def trust(settings: Settings) -> ssl.SSLContext:
    """Say whom this machine believes: the system's CAs, and your private one or your file."""
    context = ssl.create_default_context()
    if settings.tls == "self-signed":
        context.load_verify_locations(cadata=authority(settings).pem)
    elif settings.tls == "files":
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=given(settings)[0])
    return context


def authority(settings: Settings):
    """Your private CA, new and not saved yet where there is none."""
    from .authority import find

    names = settings.ca_names or (settings.domain,)
    return find(Path(settings.ca_folder).expanduser(), names=names)
