"""The page from which phones and other devices import the private CA's certificate.

Nginx serves it at /ca, by plain HTTP, too: until then they do not trust HTTPS here. It has no
script. The file is PEM, which all systems import under this media type; a profile for iPhones
would not save the second step, to trust the certificate.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from ..items.certificate import issuer
from ..render import file, render
from ..settings import Settings, fields

if TYPE_CHECKING:
    from .private_ca import Authority

STYLE = "certs/ca.css"


def page(ca: Authority, settings: Settings) -> str:
    """Return the page, as HTML."""
    return render(
        "certs/ca.html.j2",
        style=file(STYLE),
        domain=settings.domain,
        name=issuer(ca.certificate),
        names=ca.names,
        below=not all(map(fields.address, ca.names)),
        fingerprint=ca.fingerprint,
    )


def policy() -> str:
    """Return the page's Content-Security-Policy: nothing but its own style, by its hash."""
    digest = hashlib.sha256(file(STYLE).encode()).digest()
    style = f"'sha256-{base64.b64encode(digest).decode()}'"
    none = (f"{name} 'none'" for name in ("base-uri", "form-action", "frame-ancestors"))
    return "; ".join(["default-src 'none'", f"style-src {style}", *none])


def address(settings: Settings) -> str:
    """Return the address of the page, for devices that do not trust HTTPS here yet."""
    return f"http://{settings.named(secure=False)}/ca"
