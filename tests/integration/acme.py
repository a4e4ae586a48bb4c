"""A certificate authority that speaks ACME: Debian's pebble, on a server of the testbed."""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import dataclass, field
from shlex import quote
from urllib.request import urlopen

from testbed.host import Host

# it validates at once and reuses no validation; certbot outlives one refused nonce, not two in a
# row; and libc looks up names, for Go's own reader remembers /etc/hosts for 5 s
TEMPER = {
    "PEBBLE_VA_NOSLEEP": "1",
    "PEBBLE_WFE_NONCEREJECT": "0",
    "PEBBLE_AUTHZREUSE": "0",
    "GODEBUG": "netdns=cgo",
}
# Its certificate is renewed by the new account, too.
NEW_ACCOUNT = """
cd /etc/letsencrypt/accounts 2>/dev/null || exit 0
rm -r ./*
certbot register -n -q --agree-tos --register-unsafely-without-email --server {url}
sed -i "s/^account = .*/account = $(ls -d ./*/*/* | sed 's,.*/,,')/" \\
    /etc/letsencrypt/renewal/jupyterlab-fab.conf 2>/dev/null || true
"""
READY_SECONDS = 60
INSTALL = """command -v {program} >/dev/null || {{
    apt-get update && apt-get install -y --no-install-recommends {package}
}} >&2"""


def provide(host: Host, program: str, package: str) -> None:
    """Install a package of Debian that brings a program, unless that is there."""
    host.exec(INSTALL.format(program=program, package=package))


@dataclass
class Authority:
    """One pebble; several share a host by their ports. What it knows is gone when it stops."""

    host: Host
    port: int = 14000
    temper: dict[str, str] = field(default_factory=dict)  # over TEMPER
    resolver: str = ""  # the name server that it asks instead of the system's
    lifetime: int = 0  # seconds of its certificates; 0 for its own default

    def __post_init__(self) -> None:
        self.address = self.host.address
        self.unit = f"pebble-{self.port}"
        self.trusted = f"/usr/local/share/ca-certificates/{self.unit}.crt"  # on other servers
        settings = {
            "listenAddress": f"0.0.0.0:{self.port}",
            "managementListenAddress": f"0.0.0.0:{self.port + 1000}",
            "certificate": f"/etc/{self.unit}/cert.pem",
            "privateKey": f"/etc/{self.unit}/key.pem",
            "httpPort": 80,
            "tlsPort": 443,
        }
        if self.lifetime:
            settings["certificateValidityPeriod"] = self.lifetime
        provide(self.host, "pebble", "pebble")
        # openssl looks a trusted certificate up by its subject: each authority has its own
        self.certificate = self.host.exec(
            f"mkdir -p /etc/{self.unit} && cd /etc/{self.unit}\n"
            f"printf %s {quote(json.dumps({'pebble': settings}))} >config.json\n"
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
            f" -subj /CN={self.unit} -addext subjectAltName=IP:{self.address}"
            " -addext keyUsage=digitalSignature,keyCertSign -keyout key.pem -out cert.pem\n"
            "cat cert.pem"
        )
        self.start()

    @property
    def directory_url(self) -> str:
        """The address that certbot's --server takes."""
        return f"https://{self.address}:{self.port}/dir"

    def start(self) -> None:
        """Start it and wait until it answers: with new roots, and without accounts."""
        temper = {**TEMPER, **self.temper}
        words = " ".join(f"--setenv={quote(f'{name}={temper[name]}')}" for name in temper)
        resolver = f" -dnsserver {self.resolver}" if self.resolver else ""
        self.host.exec(
            f"systemctl reset-failed {self.unit} 2>/dev/null || :\n"
            f"systemd-run --quiet --unit={self.unit} {words}"
            f" pebble -config /etc/{self.unit}/config.json{resolver}"
        )
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.get(self.directory_url)
                self.root_certificate()  # by a listener of its own, begun at the same time
                return
            except OSError:  # a refusal, or an answer that comes too late
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def stop(self) -> None:
        """End it: connections to it are refused."""
        self.host.exec(f"systemctl stop {self.unit}")

    def hang(self) -> None:
        """Let it accept connections and never answer."""
        self.host.exec(f"systemctl kill --signal=STOP {self.unit}")

    def wake(self) -> None:
        """Let it answer again, with all it knew."""
        self.host.exec(f"systemctl kill --signal=CONT {self.unit}")

    def resolve(self, domain: str, address: str | None) -> None:
        """Lead its validation of a domain to an address; with None, the name does not exist.

        127.0.0.1 is the authority itself, where nobody listens: a domain that points elsewhere.
        """
        kept = rf"grep -v '\s{domain}$' /etc/hosts >/tmp/hosts || :"
        added = f"echo {quote(f'{address} {domain}')} >>/tmp/hosts" if address else ":"
        # Docker mounts /etc/hosts: it may be written, not replaced
        self.host.exec(f"{kept}\n{added}\ncat /tmp/hosts >/etc/hosts")
        time.sleep(6)  # Go, which Pebble is written in, reads that file anew after 5 s

    def refuse(self, domain: str, server: Host) -> None:
        """Prove nothing for a domain any more, and let the server have an account that is new.

        Of an account that has proved the domain before, it takes that for granted one time in 100,
        even where it is told never to do so (PEBBLE_AUTHZREUSE).
        """
        self.resolve(domain, "127.0.0.1")
        server.exec(NEW_ACCOUNT.format(url=self.directory_url))

    def trust(self, server: Host) -> None:
        """Have a server trust its API, as a company with an authority of its own does."""
        text = quote(self.certificate)
        server.exec(f"printf %s {text} >{self.trusted}\nupdate-ca-certificates >&2")

    def root_certificate(self) -> str:
        """The root of the certificates it issues now, in PEM."""
        return self.get(f"https://{self.address}:{self.port + 1000}/roots/0")

    def get(self, url: str) -> str:
        """Fetch a page of its API."""
        context = ssl.create_default_context(cadata=self.certificate)
        with urlopen(url, timeout=30, context=context) as answer:
            return answer.read().decode()
