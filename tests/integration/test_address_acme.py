"""A certificate of an ACME server for an address: obtained, renewed, kept when that fails, gone."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest
from acme import Authority
from outcomes import nothing_to_change, well
from refusals import refused
from test_address import Numbered

from fabfile.items.certificate import issuer, names
from fabfile.settings import DOMAIN

pytestmark = pytest.mark.https

UNIT = "jupyterlab-certbot.service"
FORCE = (
    f"mkdir -p /run/systemd/system/{UNIT}.d\nprintf '[Service]\\nExecStart=\\nExecStart=%s\\n' "
    f"\"$(sed -n '/^ExecStart=/,/[^\\\\]$/p' /etc/systemd/system/{UNIT} | tr -d '\\\\\\n' "
    "| sed 's/^ExecStart=//') --force-renewal\" "
    f">/run/systemd/system/{UNIT}.d/force.conf\nsystemctl daemon-reload"
)
SIX_DAYS = 576000  # seconds


class Public(Numbered):
    """A server whose address an ACME server knows."""

    def __init__(self, server, acme, folder):
        super().__init__(server, folder)
        self.acme = acme
        (folder / "trusted.pem").write_text(acme.root_certificate())

    def fab(self, *arguments: str, tls: str = "letsencrypt", **more: str):
        more = {"acme_server": self.acme.directory_url, **more}
        return super().fab(*arguments, tls=tls, **more)


@pytest.fixture(scope="module")
def acme(server) -> Authority:
    """An ACME server that gives certificates for six days; that of Debian 12 knows no address."""
    return Authority(server("acme", debian="trixie").host, lifetime=SIX_DAYS)


@pytest.fixture(scope="module")
def site(server, acme, tmp_path_factory):
    made = Public(server("addressed", settled=True), acme, tmp_path_factory.mktemp("public"))
    acme.trust(made.host)
    made.server.operator.settings["SSL_CERT_FILE"] = str(made.folder / "trusted.pem")
    yield made
    del made.server.operator.settings["SSL_CERT_FILE"]


@pytest.fixture(scope="module")
def first(site):
    """What the first run said."""
    return well(site.fab("full", "-v"))


@pytest.fixture
def issued(site, first):
    """The server serves a certificate of the ACME server."""
    if "Pebble" not in issuer(site.served()):
        well(site.fab("full", "--no-verify", "--yes"))


def test_it_is_issued_and_served(site, first):
    address = site.host.address
    for words in (
        "install certbot 5.8.0 into /opt/jupyterlab-certbot",
        f"obtain a certificate for {address}",
        "plain HTTP redirects to HTTPS",
        "6*7 over the websocket is 42",
        f"the site {address} leads to the login page",
        f"https://{address}/lab",
    ):
        assert words in first, first
    there = site.served()
    assert "Pebble" in issuer(there) and names(there) == [address]
    assert not site.server.infra.file("/etc/letsencrypt").exists
    nothing_to_change(site.fab("full", "--no-verify"))


def test_its_certbot_is_roots_alone(site, issued):
    others = (
        "find /opt/jupyterlab-certbot /etc/jupyterlab-certbot ! -user root -o -perm /022 ! -type l"
    )
    assert site.host.exec(others) == ""
    assert site.server.infra.service("jupyterlab-certbot.timer").is_enabled
    assert site.server.infra.service("jupyterlab-certbot.timer").is_running


def test_status_and_doctor_know_it(site, issued):
    out = well(site.fab("tls", "--status"))
    assert "issued by Pebble" in out and f"for {site.host.address}\n" in out
    assert "6 days left" in out
    assert site.fab("status", "--drift").returncode == 0
    assert "nothing is wrong" in well(site.fab("doctor"))
    assert "OPEN" not in well(site.fab("audit"))


def renewed(site) -> bool:
    """Have its timer's unit renew now; say whether another certificate is served soon."""
    serial = site.served().serial_number
    site.host.exec(f"systemctl start {UNIT}", check=False)
    deadline = time.monotonic() + 10
    while (same := site.served().serial_number == serial) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not same


def test_upgrade_brings_the_versions_of_this_release(site, issued):
    packages = "/opt/jupyterlab-certbot/lib/python3*/site-packages"
    site.host.exec(f"cd {packages} && mv idna-3.20.dist-info idna-3.19.dist-info")
    assert "install certbot 5.8.0 into" in well(site.fab("upgrade", "--yes"))
    assert site.host.exec(f"ls -d {packages}/idna-3.20.dist-info")
    nothing_to_change(site.fab("full", "--no-verify"))


@contextmanager
def apart(site, acme):
    """The server does not trust the ACME server's API, so that nothing is obtained there."""
    site.host.exec(f"rm {acme.trusted}; update-ca-certificates >&2")
    try:
        yield
    finally:
        acme.trust(site.host)


def test_its_timer_renews_what_is_due_and_keeps_what_serves(site, issued, acme):
    assert not renewed(site), "it is not due yet"
    assert site.host.exec(f"systemctl show {UNIT} -p Result --value") == "success\n"
    site.host.exec(FORCE)
    try:
        assert renewed(site)
        with apart(site, acme):
            assert not renewed(site)
        assert site.host.exec(f"systemctl is-failed {UNIT}", check=False) == "failed\n"
    finally:
        site.host.exec(f"rm -r /run/systemd/system/{UNIT}.d; systemctl daemon-reload")
    nothing_to_change(site.fab("full", "--no-verify"))


def test_a_refusal_keeps_the_site(site, issued, acme):
    serial = site.served().serial_number
    site.host.exec("rm /etc/jupyterlab-certbot/renewal/jupyterlab-fab.conf")
    with apart(site, acme):
        refused(site.fab("full"), f"could not obtain a certificate for {site.host.address}")
    assert site.served().serial_number == serial
    well(site.fab("full"))
    assert site.served().serial_number != serial


@pytest.mark.parametrize("other", ["self-signed", "off"])
def test_to_another_kind_and_back(site, issued, other):
    assert "6*7 over the websocket is 42" in well(site.fab("full", "-v", "--yes", tls=other))
    out = well(site.fab("full", "-v", "--yes"))
    assert "6*7 over the websocket is 42" in out and "Pebble" in issuer(site.served())


# --- `tls: auto` -------------------------------------------------------------------------------


def test_auto_keeps_what_the_site_has(site, issued):
    nothing_to_change(site.fab("full", "--no-verify", tls="auto"))
    site.bring(tls="self-signed")
    nothing_to_change(site.fab("full", "--no-verify", tls="auto"))
    out = well(site.fab("tls", "--decide", "--yes", tls="auto"))
    assert f"auto is letsencrypt here: {site.host.address} is a public address" in out
    assert "Pebble" in issuer(site.served())
    assert site.fab("status", "--drift", tls="auto").returncode == 0


def test_auto_finds_the_name_and_the_kind_and_has_another_where_that_fails(site, issued, acme):
    site.bring(tls="off")
    site.host.exec("rm -r /etc/jupyterlab-certbot; rm /etc/nginx/jupyterlab/*.acme.*")
    unnamed = {"tls": "auto", "domain": DOMAIN}
    with apart(site, acme):
        out = well(site.fab("full", "-v", "--yes", **unnamed))
    assert "auto is letsencrypt here" in out and "your private CA signs instead" in out
    assert "6*7 over the websocket is 42" in out and f"https://{site.host.address}/lab" in out
    nothing_to_change(site.fab("full", "--no-verify", **unnamed))
    well(site.fab("tls", "--decide", **unnamed))
    assert "Pebble" in issuer(site.served())


def test_only_auto_decides(site, issued):
    refused(site.fab("tls", "--decide"), "lab.tls is letsencrypt: only auto decides")


def test_an_uninstall_leaves_nothing_of_it(site, issued):
    well(site.fab("uninstall", "--yes"))
    left = site.host.exec("find / -xdev -name '*jupyterlab-certbot*' 2>/dev/null", check=False)
    assert left == ""
