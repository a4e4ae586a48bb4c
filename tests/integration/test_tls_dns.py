"""A certificate by an entry in the DNS: with port 80 closed, from and to the proof by port 80."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from acme import Authority
from nameserver import NameServer
from outcomes import nothing_to_change, well
from refusals import refused
from test_tls import RENEW, age, serves_another, warning

from fabfile.items.certificate import issuer

pytestmark = pytest.mark.https

KEY = "/etc/nginx/jupyterlab/dns.key"
CONF = "/etc/letsencrypt/renewal/jupyterlab-fab.conf"
QUICK = "dns-rfc2136-propagation-seconds = 1"  # the name server has no others to tell
WRONG = base64.b64encode(
    b"another key of as many bytes as the right one, which it knows not"
).decode()


@pytest.fixture(scope="module")
def names(server) -> NameServer:
    """The name server of the domain, where the ACME server is."""
    return NameServer(server("acme").host)


@pytest.fixture(scope="module")
def acme(names) -> Authority:
    """An ACME server that knows no other name server."""
    return Authority(names.host, resolver="127.0.0.1:53")


class ByDns:
    """Runs `fab` with the proof by DNS, at ports that no ACME server asks."""

    def __init__(self, site, names: NameServer):
        self.site, self.names, self.path = site, names, site.folder / "dns.ini"
        self.env = {
            "FABRIC_LAB_TLS_DNS": "rfc2136",
            "FABRIC_LAB_TLS_DNS_CREDENTIALS": str(self.path),
            "FABRIC_LAB_HTTP_PORT": "8080",
        }
        self.give()

    def give(self, secret: str = "") -> None:
        """Lay down the key on the operator's machine."""
        self.path.write_text(self.names.credentials(secret))

    def fab(self, *arguments: str, **env: str):
        return self.site.fab("letsencrypt", *arguments, **self.env, **env)


@pytest.fixture(scope="module")
def site(certified, names):
    names.serve(certified.host.address)
    return certified


@pytest.fixture(scope="module")
def by_dns(site, names):
    return ByDns(site, names)


@pytest.fixture(scope="module")
def first(site, by_dns):
    """What the first run said, in which certbot waits for a minute."""
    done = by_dns.fab("--debug", "full")
    site.host.exec(f"echo '{QUICK}' >>/etc/letsencrypt/cli.ini")
    return well(done) + done.stderr


@pytest.fixture
def issued(by_dns, first):
    """The server serves a certificate that was obtained by DNS."""
    by_dns.give()
    well(by_dns.fab("full", "--no-verify", "--yes"))


def authenticator(site) -> str:
    return site.host.exec(f"sed -n 's/^authenticator = //p' {CONF}").strip()


def test_the_name_is_proved_by_the_dns_while_port_80_is_closed(site, by_dns, first):
    assert "obtain a certificate for" in first and "6*7 over the websocket is 42" in first
    assert "Pebble" in issuer(site.served()) and authenticator(site) == "dns-rfc2136"
    assert not site.infra.socket("tcp://0.0.0.0:80").is_listening
    nothing_to_change(by_dns.fab("full", "--no-verify"))


def test_the_key_is_roots_alone_and_in_no_output_or_log(site, by_dns, issued, first):
    key = site.infra.file(KEY)
    assert (key.mode, key.user, key.group) == (0o600, "root", "root")
    assert key.content_string == by_dns.path.read_text()
    assert by_dns.names.secret not in first
    found = site.host.exec(f"grep -rlF {by_dns.names.secret} /etc /var /home /run /tmp || true")
    assert found.split() == [KEY]
    journal = site.host.exec("journalctl --no-pager -o cat")
    assert by_dns.names.secret not in journal
    refused_or_empty = by_dns.fab("script")
    assert by_dns.names.secret not in refused_or_empty.stdout


def test_a_renewal_is_served(site, by_dns, issued):
    serial = site.served().serial_number
    site.host.exec(RENEW)
    assert serves_another(site, serial)
    nothing_to_change(by_dns.fab("full", "--no-verify"))


def test_a_key_that_the_name_server_takes_no_more_is_told_and_replaced(site, by_dns, issued):
    serial = age(site, timedelta(25), timedelta(90))
    by_dns.give(WRONG)
    refused(by_dns.fab("full"), "could not obtain", "correct the file of lab.tls_dns_credentials")
    assert site.served().serial_number == serial, "the former one is served"
    site.host.exec("systemctl start certbot.service", check=False)
    out = by_dns.fab("doctor").stdout
    assert "certbot cannot renew the certificate" in out and "making query" in out, out
    assert site.served().serial_number == serial
    by_dns.give()
    out = well(by_dns.fab("full", "--no-verify"))
    assert f"put lab.tls_dns_credentials into {KEY}" in out
    assert serves_another(site, serial) and warning(site) is None


def test_a_switch_to_port_80_and_back(site, by_dns, issued):
    serial = site.served().serial_number
    assert "renewed by dns-rfc2136, not by webroot" in well(site.fab("letsencrypt", "full"))
    assert serves_another(site, serial) and authenticator(site) == "webroot"
    assert not site.infra.file(KEY).exists and not site.infra.file(f"{KEY}.hash").exists
    nothing_to_change(site.fab("letsencrypt", "full", "--no-verify"))
    site.host.exec(RENEW)
    serial = site.served().serial_number
    assert "renewed by webroot, not by dns-rfc2136" in well(by_dns.fab("full"))
    assert serves_another(site, serial) and authenticator(site) == "dns-rfc2136"
    nothing_to_change(by_dns.fab("full", "--no-verify"))


def test_a_switch_that_fails_leaves_the_certificate_and_its_renewal(site, by_dns, issued):
    well(site.fab("letsencrypt", "full", "--no-verify"))
    serial = site.served().serial_number
    by_dns.give(WRONG)
    refused(by_dns.fab("full"), "could not obtain a certificate")
    assert site.served().serial_number == serial and authenticator(site) == "webroot"
    by_dns.give()
    well(by_dns.fab("full", "--no-verify"))
    assert serves_another(site, serial)
    by_dns.names.serve("192.0.2.1")  # the name leads elsewhere: no proof by port 80
    serial = site.served().serial_number
    refused(site.fab("letsencrypt", "full", FABRIC_LAB_HTTP_PORT="80"), "could not obtain")
    assert site.served().serial_number == serial and authenticator(site) == "dns-rfc2136"
    assert site.infra.file(KEY).exists
    site.host.exec(RENEW)
    assert serves_another(site, serial), "renewals go on by the DNS"


def test_a_backup_holds_the_key_and_a_restore_brings_it_back(site, by_dns, issued, tmp_path):
    serial = site.served().serial_number
    out = well(by_dns.fab("backup", "--to", str(tmp_path)))
    assert "left out" not in out
    site.host.exec(f"rm -r {KEY}* /etc/letsencrypt")
    well(by_dns.fab("restore", "latest", "--to", str(tmp_path), "--yes"))
    assert site.served().serial_number == serial and authenticator(site) == "dns-rfc2136"
    assert site.infra.file(KEY).content_string == by_dns.path.read_text()
    nothing_to_change(by_dns.fab("full", "--no-verify"))


def test_after_an_uninstall_nothing_of_it_is_left(site, by_dns, issued):
    well(by_dns.fab("uninstall", "--yes"))
    found = site.host.exec(f"grep -rlF {by_dns.names.secret} /etc /var /home /run /tmp || true")
    assert found == ""
    assert not site.infra.file("/etc/letsencrypt/renewal/jupyterlab-fab.conf").exists
    assert not site.infra.package("python3-certbot-dns-rfc2136").is_installed
