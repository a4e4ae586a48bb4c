"""A server with a name that it, its operator and an ACME server know."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import httpx
from cryptography import x509
from outcomes import well

from fabfile.certs import private_ca

DOMAIN = "lab.example.org"


class Named:
    """Runs `fab` where the name leads to the server, and sees what Nginx serves there."""

    def __init__(self, server, acme, folder: Path):
        self.server, self.host, self.infra, self.acme = server, server.host, server.infra, acme
        self.folder, self.hosts = folder, folder / "hosts"
        self.lead(server.host.address)
        self.host.exec(f"echo {server.host.address} {DOMAIN} >>/etc/hosts")
        self.settings = {
            "FABRIC_LAB_DOMAIN": DOMAIN,
            "FABRIC_LAB_ACME_SERVER": acme.directory_url,
            "FABRIC_LAB_CA_FOLDER": str(folder / "ca"),
            "FABRIC_LAB_TLS_CERTIFICATE": str(folder / "fullchain.pem"),
            "FABRIC_LAB_TLS_KEY": str(folder / "privkey.pem"),
            "SSL_CERT_FILE": str(folder / "trusted.pem"),
        }
        self.kind: str | None = None  # of HTTPS, as the last run of `full` left it
        (folder / "trusted.pem").write_text(acme.root_certificate())
        self.give(*private_ca.make(folder, "A company").issue(DOMAIN))

    def lead(self, address: str | None) -> None:
        """Lead the operator's name to an address, or nowhere."""
        named = f"{address} {DOMAIN}\n" if address else ""
        self.hosts.write_text(f"127.0.0.1 localhost\n{named}")

    def give(self, chain: str, key: str) -> None:
        """Lay down a certificate and a key as the operator's own."""
        (self.folder / "fullchain.pem").write_text(chain)
        (self.folder / "privkey.pem").write_text(key)

    def fab(self, tls: str, *arguments: str, **env: str):
        """Run a task with this kind of HTTPS."""
        whole = {**self.settings, "FABRIC_LAB_TLS": tls, **env}
        done = self.server.fab(*arguments, env=whole, hosts=self.hosts)
        if {"full", "tls"} & {*arguments}:
            self.kind = None if done.returncode or env else tls
        return done

    def bring(self, tls: str) -> None:
        """Have the server as `full` makes it with this kind of HTTPS, unless it is so already."""
        if self.kind != tls:
            well(self.fab(tls, "full", "--no-verify", "--yes"))

    def served(self, name: str = DOMAIN) -> x509.Certificate:
        """The certificate that Nginx shows to who asks for a name.

        :raises ssl.SSLError: when it refuses the handshake; OSError when nobody listens.
        """
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((self.host.address, 443), 30) as wire,
            context.wrap_socket(wire, server_hostname=name) as secure,
        ):
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))

    def plain(self, path: str = "/lab") -> httpx.Response:
        """What plain HTTP answers."""
        url = f"http://{self.host.address}{path}"
        return httpx.get(url, headers={"Host": DOMAIN}, timeout=60, trust_env=False)

    def serves_by_http(self) -> bool:
        """Whether JupyterLab itself answers without HTTPS."""
        return self.plain().headers.get("Location", "").startswith("/login")
