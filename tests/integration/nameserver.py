"""A name server whose zone takes updates by a key: Debian's bind9, on a server of the testbed."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from shlex import quote

from acme import provide
from named import DOMAIN

from testbed.host import Host

ZONE = DOMAIN.partition(".")[2]
# only a record of the challenge may be written by the key
CONFIG = """key "certbot." {{ algorithm hmac-sha512; secret "{secret}"; }};
zone "{zone}" {{
    type primary;
    file "/var/lib/bind/{zone}";
    update-policy {{ grant certbot. name _acme-challenge.{domain}. txt; }};
}};
"""
RECORDS = """$TTL 5
@ SOA ns.{zone}. root.{zone}. 1 3600 600 86400 5
@ NS ns.{zone}.
ns A {own}
{label} A {address}
"""


@dataclass
class NameServer:
    """A bind9. :param secret: the key that it takes, in base64."""

    host: Host
    secret: str = base64.b64encode(
        b"made by the test, 64 bytes for a key of HMAC-SHA512 are enough!!"
    ).decode()

    def __post_init__(self) -> None:
        provide(self.host, "named", "bind9")

    def serve(self, address: str) -> None:
        """Lead the name to an address, and forget all other records."""
        zone = {"zone": ZONE, "own": self.host.address, "address": address}
        records = RECORDS.format(**zone, label=DOMAIN.partition(".")[0])
        config = CONFIG.format(zone=ZONE, domain=DOMAIN, secret=self.secret)
        self.host.exec(
            f"systemctl stop named; rm -f /var/lib/bind/{ZONE}*\n"
            f"printf %s {quote(records)} >/var/lib/bind/{ZONE}\n"
            f"printf %s {quote(config)} >/etc/bind/named.conf.local\n"
            f"chown bind: /var/lib/bind/{ZONE}; systemctl start named"
        )

    def credentials(self, secret: str = "") -> str:
        """The file that certbot's plugin wants.

        :param secret: another key than the one that this server takes.
        """
        return (
            f"dns_rfc2136_server = {self.host.address}\n"
            "dns_rfc2136_name = certbot.\n"
            f"dns_rfc2136_secret = {secret or self.secret}\n"
            "dns_rfc2136_algorithm = HMAC-SHA512\n"
        )
