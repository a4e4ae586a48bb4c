"""HTTPS in each of its ways, from each to each other, and what still serves after a failure.

On Debian 13 each way once: there Nginx, certbot and OpenSSL are others, all else is the same.
"""

from __future__ import annotations

import json
import ssl
import time
from datetime import timedelta
from itertools import pairwise

import httpx
import pytest
from aged import ending
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from named import DOMAIN
from outcomes import nothing_to_change, well
from refusals import refused

from fabfile.certs import private_ca
from fabfile.items.certificate import issuer

pytestmark = pytest.mark.https

PLACE = "/etc/nginx/jupyterlab"


@pytest.fixture(scope="module")
def site(certified):
    return certified


# --- Let's Encrypt on a server without HTTPS: HTTP first ---------------------------------------


def test_a_name_that_leads_elsewhere_is_told_before_the_acme_server_is_asked(site, acme):
    site.lead(acme.host.address)
    done = site.fab("letsencrypt", "full")
    refused(done, f"{DOMAIN} leads to {acme.host.address}")
    assert f"fab -H {site.server.target} tls --no-preflight" in done.stderr
    site.lead(None)
    refused(site.fab("letsencrypt", "tls"), f"there is no address for the name {DOMAIN}")
    site.lead(site.host.address)
    assert site.serves_by_http(), "the site is up, by HTTP"
    assert not site.infra.file("/etc/letsencrypt/live").exists


def test_a_refusal_of_the_acme_server_leaves_http_serving(site, acme):
    acme.refuse(DOMAIN, site.host)
    refused(site.fab("letsencrypt", "tls"), f"could not obtain a certificate for {DOMAIN}")
    assert site.serves_by_http()
    with pytest.raises(ssl.SSLError):
        site.served()
    acme.resolve(DOMAIN, site.host.address)


def test_a_dry_run_says_what_would_come(site):
    out = well(site.fab("letsencrypt", "--dry", "full"))
    assert f"would then obtain a certificate for {DOMAIN}" in out
    assert site.serves_by_http()


@pytest.fixture(scope="module")
def first(site):
    """What the first run with Let's Encrypt said."""
    return well(site.fab("letsencrypt", "full", "-v"))


@pytest.fixture
def issued(site, first):
    """The server serves a certificate of the ACME server."""
    site.bring("letsencrypt")


@pytest.mark.debian
def test_the_certificate_is_issued_and_served(site, first):
    assert "done" in first and f"obtain a certificate for {DOMAIN}" in first
    assert "plain HTTP redirects to HTTPS" in first and "6*7 over the websocket is 42" in first
    assert f"https://{DOMAIN}/lab" in first and "sent unencrypted" not in first
    assert "Pebble" in issuer(site.served())
    assert site.plain().headers["Location"] == f"https://{DOMAIN}/lab"


@pytest.mark.debian
def test_a_second_run_asks_for_nothing(site, issued):
    serial = site.served().serial_number
    nothing_to_change(site.fab("letsencrypt", "full", "--no-verify"))
    assert site.served().serial_number == serial


def test_status_shows_issuer_names_and_days(site, issued):
    out = well(site.fab("letsencrypt", "tls", "--status"))
    assert "issued by Pebble" in out and f"for {DOMAIN}" in out and "days left" in out


RENEW = "certbot renew --quiet --force-renewal --no-random-sleep-on-renew 2>&1; sleep 1"


def serves_another(site, serial: int) -> bool:
    """Say whether it does soon: Nginx reloads in its own time, the former workers answer longer."""
    deadline = time.monotonic() + 30
    while (same := site.served().serial_number == serial) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not same


@pytest.mark.debian
def test_a_renewal_is_served(site, issued):
    serial = site.served().serial_number
    site.host.exec(RENEW)
    assert serves_another(site, serial)
    assert site.infra.service("certbot.timer").is_running
    assert site.infra.service("certbot.timer").is_enabled
    nothing_to_change(site.fab("letsencrypt", "full", "--no-verify"))


def test_a_renewal_that_fails_leaves_the_certificate(site, issued, acme):
    serial = site.served().serial_number
    acme.refuse(DOMAIN, site.host)
    assert "renew failure" in site.host.exec(RENEW, check=False)
    acme.resolve(DOMAIN, site.host.address)
    assert site.served().serial_number == serial


def age(site, left: timedelta, life: timedelta) -> int:
    """Give certbot and Nginx a certificate that ends soon; return its serial number."""
    chain, key = ending(private_ca.make(site.folder), DOMAIN, left, life)
    site.host.exec(
        f"cd /etc/letsencrypt/live/jupyterlab-fab\n"
        f"for kind in cert fullchain; do cat >$kind.pem <<'END'\n{chain}END\ndone\n"
        f"cat >privkey.pem <<'END'\n{key}END\n"
        f"RENEWED_LINEAGE=$PWD RENEWED_DOMAINS={DOMAIN} /usr/local/sbin/jupyterlab-certificate"
    )
    serial = x509.load_pem_x509_certificate(chain.encode()).serial_number
    deadline = time.monotonic() + 30
    while site.served().serial_number != serial and time.monotonic() < deadline:
        time.sleep(0.2)
    return serial


def warning(site) -> str | None:
    """What `status --json` warns of."""
    done = site.fab("letsencrypt", "status", "--json", "--drift")
    return json.loads(done.stdout)["certificate"]["warning"]


RUN = "systemctl start certbot.service"  # as its timer does


@pytest.mark.debian
@pytest.mark.parametrize(
    ("left", "life"),
    [(timedelta(25), timedelta(90)), (timedelta(hours=50), timedelta(hours=160))],
    ids=["90 days", "six days"],
)
def test_a_renewal_that_fails_is_told_until_it_is_repaired(site, issued, acme, left, life, request):
    serial = age(site, left, life)
    assert site.fab("letsencrypt", "status", "--drift").returncode == 2
    acme.refuse(DOMAIN, site.host)
    request.addfinalizer(lambda: acme.resolve(DOMAIN, site.host.address))
    site.host.exec(RUN, check=False)
    assert site.served().serial_number == serial
    assert "certbot has not renewed it: its last run, at 20" in warning(site)
    for task in (["status"], ["tls", "--status"]):
        assert "certbot has not renewed it: its last run" in well(site.fab("letsencrypt", *task))
    out = site.fab("letsencrypt", "doctor").stdout
    assert "FAIL  certbot cannot renew the certificate: it ends in" in out, out
    assert "connection refused" in out.lower() and f"{site.server.target} tls" in out, out
    done = site.fab("letsencrypt", "full")
    assert "a certificate is due: certbot has not renewed it" in done.stdout
    refused(done, f"could not obtain a certificate for {DOMAIN}", "onnection refused")
    assert site.served().serial_number == serial
    acme.resolve(DOMAIN, site.host.address)
    site.host.exec(RUN)
    assert serves_another(site, serial)
    assert warning(site) is None
    assert "warning" not in well(site.fab("letsencrypt", "tls", "--status"))
    assert "certbot" not in site.fab("letsencrypt", "doctor").stdout
    nothing_to_change(site.fab("letsencrypt", "full", "--no-verify"))


def test_renewals_that_no_timer_begins_are_told(site, issued):
    site.host.exec("systemctl disable -q --now certbot.timer")
    assert (
        "certbot's timer does not run: certbot.timer is" in site.fab("letsencrypt", "doctor").stdout
    )
    well(site.fab("letsencrypt", "tls"))
    assert site.infra.service("certbot.timer").is_running
    assert "timer" not in site.fab("letsencrypt", "doctor").stdout


def test_a_renewal_that_does_not_reach_nginx_is_told_until_it_is_repaired(site, issued):
    serial = age(site, timedelta(25), timedelta(90))
    site.host.exec("printf '#!/bin/sh\nexit 7\n' >/usr/local/sbin/jupyterlab-certificate")
    site.host.exec(RUN, check=False)
    assert site.served().serial_number == serial
    out = site.fab("letsencrypt", "doctor").stdout
    assert "could not give it to Nginx: it ends in 2" in out and "hook ended with 7" in out, out
    well(site.fab("letsencrypt", "tls"))
    assert serves_another(site, serial)
    assert "certbot" not in site.fab("letsencrypt", "doctor").stdout


def test_a_renewal_while_nginx_has_another_trouble_is_served_when_that_is_mended(site, issued):
    serial = site.served().serial_number
    broken = "/etc/nginx/conf.d/broken.conf"
    try:
        site.host.exec(f"echo bogus >{broken}")
        site.host.exec(RENEW, check=False)
        assert site.served().serial_number == serial
    finally:
        site.host.exec(f"rm {broken}; systemctl restart nginx")
    assert site.served().serial_number != serial


RENEWED = f"RENEWED_LINEAGE=/root/lineage RENEWED_DOMAINS={DOMAIN}"


def test_a_certificate_that_nginx_rejects_is_not_taken(site, issued):
    serial = site.served().serial_number
    site.host.exec(
        "mkdir -p /root/lineage; cd /root/lineage; openssl genrsa -out privkey.pem 2>&1\n"
        "echo nonsense >fullchain.pem"
    )
    site.host.exec(f"{RENEWED} /usr/local/sbin/jupyterlab-certificate", check=False)
    site.host.exec("nginx -t 2>&1 && systemctl restart nginx")
    assert site.served().serial_number == serial
    assert "former" not in site.host.exec(f"ls {PLACE}")


def test_one_that_nobody_renews_is_told_as_drift_and_obtained(site, issued):
    assert site.fab("letsencrypt", "status", "--drift").returncode == 0
    site.host.exec("certbot delete -q --cert-name jupyterlab-fab")
    done = site.fab("letsencrypt", "status", "--drift")
    assert done.returncode == 2 and "would obtain a certificate" in done.stdout
    well(site.fab("letsencrypt", "full", "--no-verify"))
    assert site.fab("letsencrypt", "status", "--drift").returncode == 0


# --- from each to each ---------------------------------------------------------------------------

ISSUERS = {"self-signed": "JupyterLab servers of", "letsencrypt": "Pebble", "files": "A company"}
ALL = ("off", "self-signed", "letsencrypt", "files")
TOUR = (
    *("letsencrypt", "files", "off", "letsencrypt", "self-signed", "off", "files"),
    *("letsencrypt", "off", "self-signed", "files", "self-signed", "letsencrypt"),
)
SWITCHES = list(pairwise(TOUR))


def test_the_tour_has_every_switch():
    assert set(SWITCHES) == {(a, b) for a in ALL for b in ALL if a != b}


@pytest.mark.parametrize(("before", "after"), SWITCHES, ids=[f"{a} to {b}" for a, b in SWITCHES])
def test_a_switch_from(site, before, after):
    site.bring(before)
    sure = []
    if after == "off":
        refused(site.fab(after, "full"), "nothing was changed: HTTPS would be gone", "--yes")
        assert ISSUERS[before] in issuer(site.served())
        sure = ["--yes"]
    out = well(site.fab(after, "full", *sure))
    assert "6*7 over the websocket is 42" in out
    assert site.serves_by_http() == (after == "off")
    if after == "off":
        assert "sent unencrypted" in out
        with pytest.raises(OSError):
            site.served()
    else:
        assert ISSUERS[after] in issuer(site.served())
    nothing_to_change(site.fab(after, "full", "--no-verify"))


@pytest.mark.debian
def test_a_switch_that_fails_leaves_the_certificate_before(site, issued, acme):
    site.bring("self-signed")
    serial = site.served().serial_number
    site.host.exec(f"rm {PLACE}/{DOMAIN}.acme.*; certbot delete -q --cert-name jupyterlab-fab")
    acme.refuse(DOMAIN, site.host)
    refused(site.fab("letsencrypt", "full"), "could not obtain a certificate")
    assert site.served().serial_number == serial
    acme.resolve(DOMAIN, site.host.address)
    well(site.fab("letsencrypt", "full"))
    assert "Pebble" in issuer(site.served())


@pytest.mark.parametrize("tls", ["self-signed", "letsencrypt"])
def test_a_run_that_was_cut_off_between_key_and_certificate_is_finished(site, tls):
    site.bring(tls)
    place = f"{PLACE}/{DOMAIN}{'.acme' if tls == 'letsencrypt' else ''}"
    site.host.exec(
        f"chmod 0600 {place}.pem; openssl ecparam -genkey -name prime256v1 -out {place}.key"
    )
    assert "key values mismatch" in site.host.exec("nginx -t 2>&1", check=False)
    well(site.fab(tls, "full"))
    site.host.exec("nginx -t 2>&1")
    nothing_to_change(site.fab(tls, "full", "--no-verify"))


# --- a private CA --------------------------------------------------------------------------------


@pytest.mark.debian
def test_one_ca_is_made_and_kept_private(site):
    site.bring("self-signed")
    first = (site.folder / "ca" / "ca.pem").read_bytes()
    out = well(site.fab("self-signed", "full", "--no-verify"))
    assert "your private CA is new" not in out
    assert (site.folder / "ca" / "ca.pem").read_bytes() == first
    assert (site.folder / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (site.folder / "ca").stat().st_mode & 0o777 == 0o700
    root = x509.load_pem_x509_certificate(first)
    site.served().verify_directly_issued_by(root)


def by_https(site, path: str) -> httpx.Response:
    """What HTTPS answers to a device that has imported the private CA."""
    trusted = ssl.create_default_context(cafile=site.folder / "ca" / "ca.pem")
    with httpx.Client(verify=trusted, trust_env=False) as client:
        return client.get(
            f"https://{site.host.address}{path}",
            headers={"Host": DOMAIN},
            extensions={"sni_hostname": DOMAIN},
        )


@pytest.mark.debian
def test_devices_get_the_ca_by_http_and_by_https(site):
    site.bring("self-signed")
    pem = (site.folder / "ca" / "ca.pem").read_text()
    print_of = x509.load_pem_x509_certificate(pem.encode()).fingerprint(SHA256()).hex(":").upper()
    for get in (site.plain, lambda path: by_https(site, path)):
        page, file, lost = get("/ca"), get("/ca/ca.crt"), get("/ca/ca.key")
        assert page.status_code == 200 and print_of in page.text
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert file.status_code == 200 and file.text == pem
        assert file.headers["Content-Type"] == "application/x-x509-ca-cert"
        assert lost.status_code in (301, 302, 404) and "PRIVATE" not in lost.text
    assert f"http://{DOMAIN}/ca; SHA-256 {print_of}" in well(
        site.fab("self-signed", "tls", "--status")
    )
    assert f"phones get it from http://{DOMAIN}/ca" in well(site.fab("self-signed", "full"))
    site.bring("off")
    assert print_of not in site.plain("/ca").text and site.plain("/ca/ca.crt").text != pem


@pytest.mark.debian
def test_the_key_of_the_server_is_roots_alone_and_in_no_output(site):
    site.bring("self-signed")
    site.host.exec(f"rm {PLACE}/{DOMAIN}.key")
    done = site.fab("self-signed", "--debug", "full", "--no-verify")
    out = well(done) + done.stderr
    key = site.infra.file(f"{PLACE}/{DOMAIN}.key")
    assert (key.mode, key.user) == (0o600, "root")
    secret = key.content_string.splitlines()[1]
    assert len(secret) == 64 and secret not in out
    assert "PRIVATE KEY" not in out


def test_another_operator_without_the_ca_is_refused(site, tmp_path):
    site.bring("self-signed")
    serial = site.served().serial_number
    other = {"FABRIC_LAB_CA_FOLDER": str(tmp_path / "none")}
    refused(site.fab("self-signed", "full", **other), "copy that folder from where it was made")
    assert not (tmp_path / "none").exists()
    assert site.served().serial_number == serial


def test_a_script_has_no_key_in_it(site):
    site.bring("self-signed")  # there is a CA
    site.bring("off")
    site.host.exec(f"rm -f {PLACE}/{DOMAIN}.pem")
    refused(site.fab("self-signed", "script"), f"first run fab -H {site.server.target} tls")
    well(site.fab("self-signed", "tls"))
    assert "PRIVATE KEY" not in well(site.fab("self-signed", "script"))


def test_a_certificate_of_another_name_or_ca_is_replaced(site):
    site.bring("self-signed")
    chain, key = private_ca.make(site.folder).issue(DOMAIN)
    place = f"{PLACE}/{DOMAIN}"
    site.host.exec(f"cat >{place}.pem <<'END'\n{chain}END\ncat >{place}.key <<'END'\n{key}END")
    out = well(site.fab("self-signed", "full"))
    assert f"put the certificate of {DOMAIN}" in out
    site.served().verify_directly_issued_by(
        x509.load_pem_x509_certificate((site.folder / "ca" / "ca.pem").read_bytes())
    )


def test_a_name_that_the_ca_does_not_sign_for_is_refused(site):
    site.bring("self-signed")
    serial = site.served().serial_number
    other = {"FABRIC_LAB_DOMAIN": "www.example.com"}
    refused(site.fab("self-signed", "full", **other), "lab.ca_names", DOMAIN, "tls --new-ca")
    assert site.served().serial_number == serial


def test_a_ca_without_names_works_on_is_told_and_replaced(site, tmp_path):
    private_ca.make(tmp_path / "ca", "JupyterLab servers of somebody").save()
    folder = {"FABRIC_LAB_CA_FOLDER": str(tmp_path / "ca")}
    out = well(site.fab("self-signed", "full", "--no-verify", **folder))
    assert "may sign for any name" in out and "tls --new-ca" in out
    nothing_to_change(site.fab("self-signed", "full", "--no-verify", **folder))
    out = well(site.fab("self-signed", "tls", "--new-ca", **folder))
    assert f"your private CA is new, for {DOMAIN}" in out and "may sign for any name" not in out
    (former,) = tmp_path.glob("ca.before-*")
    assert f"is now in {former}" in out and (former / "ca.key").exists()
    made = x509.load_pem_x509_certificate((tmp_path / "ca" / "ca.pem").read_bytes())
    site.served().verify_directly_issued_by(made)
    assert f"http://{DOMAIN}/ca; SHA-256 {made.fingerprint(SHA256()).hex(':').upper()}" in out
    assert x509.load_pem_x509_certificate(site.plain("/ca/ca.crt").content) == made
    nothing_to_change(site.fab("self-signed", "full", "--no-verify", **folder))
    well(site.fab("self-signed", "verify", **folder))


def test_a_key_with_a_passphrase_is_opened_when_it_signs_and_not_before(site, tmp_path):
    folder = {"FABRIC_LAB_CA_FOLDER": str(tmp_path / "ca")}
    secret = {**folder, "LAB_CA_PASSPHRASE": "correct horse"}
    site.bring("off")
    site.host.exec(f"rm -f {PLACE}/{DOMAIN}.*")
    done = site.fab("self-signed", "--debug", "full", "--no-verify", **secret)
    assert "no passphrase" not in well(done)
    assert "correct horse" not in done.stdout + done.stderr
    assert "ENCRYPTED" in (tmp_path / "ca" / "ca.key").read_text()
    nothing_to_change(site.fab("self-signed", "full", "--no-verify", **folder))
    site.host.exec(f"rm -f {PLACE}/{DOMAIN}.*")
    out = well(site.fab("self-signed", "--dry", "full", **folder))
    assert f"would put the certificate of {DOMAIN}" in out
    refused(site.fab("self-signed", "full", **folder), "LAB_CA_PASSPHRASE")
    well(site.fab("self-signed", "full", "--no-verify", **secret))


# --- a certificate of one's own ------------------------------------------------------------------


def another_key() -> str:
    """A key that belongs to nothing."""
    return private_ca.key_pem(ec.generate_private_key(ec.SECP256R1()))


def with_passphrase(key: str) -> str:
    """The same key, encrypted."""
    loaded = serialization.load_pem_private_key(key.encode(), None)
    secret = serialization.BestAvailableEncryption(b"made by the test")
    form = serialization.PrivateFormat.PKCS8
    return loaded.private_bytes(serialization.Encoding.PEM, form, secret).decode()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        pytest.param(lambda c, k, f: (c + c[:200], k), "not a PEM certificate", id="a torn chain"),
        pytest.param(lambda c, k, f: private_ca.make(f).issue("x.org"), "not for lab.", id="name"),
        pytest.param(
            lambda c, k, f: ending(private_ca.make(f), DOMAIN, timedelta(-1)),
            "it expired on",
            id="ended",
        ),
        pytest.param(
            lambda c, k, f: (c, private_ca.make(f).issue(DOMAIN)[1]), "not the key", id="key"
        ),
        pytest.param(lambda c, k, f: (c, with_passphrase(k)), "passphrase", id="passphrase"),
        pytest.param(lambda c, k, f: ("nonsense", k), "not a PEM certificate", id="nonsense"),
        pytest.param(lambda c, k, f: (c, "nonsense"), "not a PEM key", id="no key"),
    ],
)
def test_a_file_that_would_not_do_is_refused_before_anything_is_changed(site, spoil, told):
    chain, key = private_ca.make(site.folder, "A company").issue(DOMAIN)
    site.bring("self-signed")
    serial = site.served().serial_number
    site.give(*spoil(chain, key, site.folder))
    refused(site.fab("files", "full"), told)
    site.give(chain, key)
    assert site.served().serial_number == serial
    nothing_to_change(site.fab("self-signed", "full", "--no-verify"))


@pytest.mark.debian
def test_the_operators_new_certificate_takes_the_place_of_the_old(site):
    for _ in range(2):
        pair = private_ca.make(site.folder, "A company").issue(DOMAIN)
        site.give(*pair)
        well(site.fab("files", "full"))
        assert site.served() == x509.load_pem_x509_certificate(pair[0].encode())


# --- other names ---------------------------------------------------------------------------------


@pytest.mark.debian
def test_a_handshake_for_another_name_is_refused(site):
    if site.kind in (None, "off"):
        site.bring("self-signed")
    for name in ("other.example.org", "", site.host.address):
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            site.served(name or None)
