"""A server without a name: JupyterLab at its address, by HTTP and HTTPS, beside other sites."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from dual import by_ipv6
from outcomes import nothing_to_change, well
from refusals import refused, state

from fabfile.certs import private_ca
from fabfile.items.certificate import names

pytestmark = pytest.mark.https

TOKEN = "/home/david/.jupyter/jupyterlab_token"
SHOP = "shop.example.org"
THEIR_SITE = "/etc/nginx/sites-enabled/shop"
SHOPS = f"""
server {{ listen 443 ssl; server_name {SHOP}; return 200 "shop\\n";
  ssl_certificate /etc/ssl/shop.pem; ssl_certificate_key /etc/ssl/shop.key; }}
"""
OPEN_SHOP = (
    "[ -e /etc/ssl/shop.pem ] || openssl req -x509 -newkey rsa:2048 -nodes -days 9 "
    f"-subj /CN={SHOP} -keyout /etc/ssl/shop.key -out /etc/ssl/shop.pem 2>&1\n"
    f"cat >{THEIR_SITE} <<'END'\n{SHOPS}END\nsystemctl restart nginx\n"
)


class Numbered:
    """Runs `fab` where lab.domain is an address of the server, and asks by it."""

    def __init__(self, server, folder: Path):
        self.server, self.host, self.folder = server, server.host, folder
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")

    def fab(self, *arguments: str, tls: str = "self-signed", domain: str = "", **more: str):
        """Run a task.

        :param more: further settings.
        """
        usual = {"ca_folder": str(self.folder / "ca"), "hosts_file": str(self.hosts)}
        chosen = {**usual, "domain": domain or self.host.address, "tls": tls, **more}
        env = {f"FABRIC_LAB_{name.upper()}": value for name, value in chosen.items()}
        return self.server.fab(*arguments, env=env)

    def bring(self, **chosen: str) -> None:
        """Have the server as `full` makes it with these settings."""
        well(self.fab("full", "--no-verify", "--yes", **chosen))

    def visitor(self, address: str = "", port: int = 443, **options) -> httpx.Client:
        """Somebody who trusts the private CA."""
        name = address or self.host.address
        url = f"https://{f'[{name}]' if ':' in name else name}:{port}"
        context = ssl.create_default_context(cafile=self.folder / "ca" / "ca.pem")
        return httpx.Client(base_url=url, verify=context, trust_env=False, timeout=60, **options)

    def login_page(self, **where) -> int:
        """The status of the login page."""
        with self.visitor(**where) as visitor:
            return visitor.get("/login").status_code

    def served(self, sni: str | None = None, port: int = 443) -> x509.Certificate:
        """The certificate that Nginx shows to who names a site, or none."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((self.host.address, port), 30) as wire,
            context.wrap_socket(wire, server_hostname=sni) as secure,
        ):
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))

    def said(self, request: str, secure: bool = True) -> bytes:
        """What is answered to a request, without a name in the handshake."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        port = 443 if secure else 80
        plain = socket.create_connection((self.host.address, port), 30)
        with context.wrap_socket(plain) if secure else plain as wire:
            wire.sendall(request.replace("\n", "\r\n").encode())
            try:
                return wire.recv(4096)
            except ConnectionResetError:
                return b""


@pytest.fixture(scope="module")
def site(server, tmp_path_factory):
    return Numbered(server("addressed", settled=True), tmp_path_factory.mktemp("numbered"))


@pytest.fixture
def certified(site):
    """JupyterLab answers at the address, with a certificate of the private CA."""
    site.bring()


# --- by HTTP -----------------------------------------------------------------------------------


@pytest.mark.debian
def test_by_http_it_answers_at_the_address_and_to_no_name(site):
    out = well(site.fab("full", "-v", tls="off"))
    address = site.host.address
    assert "6*7 over the websocket is 42" in out and f"http://{address}/lab?token=" in out
    assert f"{address} is an address, which needs no line" in out
    assert site.hosts.read_text() == "127.0.0.1 localhost\n"
    nothing_to_change(site.fab("full", "--no-verify", tls="off"))
    asked = "GET /lab HTTP/1.1\nHost: {}\n\n"
    assert b" 302 " in site.said(asked.format(address), secure=False)
    for name in ("lab.example.org", "jupyterlab.vmdomain.io", "127.0.0.1"):
        assert site.said(asked.format(name), secure=False) == b""


# --- by HTTPS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(site):
    """What the first run with HTTPS said."""
    return well(site.fab("full", "-v", "--yes"))


@pytest.mark.debian
def test_by_https_all_of_it_works(site, first):
    address = site.host.address
    for words in (
        "plain HTTP redirects to HTTPS",
        "6*7 over the websocket is 42",
        f"the site {address} leads to the login page",
        f"https://{address}/lab?token=",
        f"your private CA is new, for {address}",
    ):
        assert words in first, first
    nothing_to_change(site.fab("full", "--no-verify"))


def test_a_visitor_logs_in_with_cookies_for_https_alone(site, certified):
    token = site.host.exec(f"cat {TOKEN}")
    with site.visitor() as visitor:
        page = visitor.get("/login")
        assert page.status_code == 200 and "Strict-Transport-Security" not in page.headers
        assert "connect-src 'self' wss://" in page.headers["Content-Security-Policy"]
        form = {"_xsrf": visitor.cookies["_xsrf"], "password": token}
        done = visitor.post("/login?next=/lab", data=form)
        assert done.status_code == 302 and done.headers["Location"] == "/lab"
        assert all("Secure" in one for one in done.headers.get_list("Set-Cookie"))
        assert visitor.get("/lab").status_code == 200
    plain = httpx.get(f"http://{site.host.address}/lab?x=1", trust_env=False)
    assert plain.headers["Location"] == f"https://{site.host.address}/lab?x=1"


def test_other_names_and_none_get_no_answer(site, certified):
    assert names(site.served()) == [site.host.address]
    for head in ("HTTP/1.1\nHost: lab.example.org", "HTTP/1.1\nHost: localhost:443", "HTTP/1.0"):
        assert site.said(f"GET /lab {head}\n\n") == b"", head
        assert site.said(f"GET /lab {head}\n\n", secure=False) == b"", head


def test_the_tasks_that_look_know_it(site, certified):
    address = site.host.address
    assert f"https://{address}: issued by JupyterLab servers of " in well(
        site.fab("tls", "--status")
    )
    assert f"for {address}\n" in well(site.fab("tls", "--status"))
    assert "6*7 over the websocket is 42" in well(site.fab("verify"))
    assert "nothing is wrong" in well(site.fab("doctor"))
    assert f"https://{address}/lab" in well(site.fab("status"))
    out = well(site.fab("audit"))
    assert "closed  JupyterLab answers to host names that are not its own" in out
    assert "closed  another site frames the pages" in out and "OPEN" not in out


def test_doctor_says_that_the_certificate_is_for_another_address(site, certified):
    chain, key = private_ca.make(site.folder, "A company").issue("203.0.113.8")
    place = f"/etc/nginx/jupyterlab/{site.host.address}"
    for ending, text in (("pem", chain), ("key", key)):
        site.host.exec(f"cat >{place}.{ending} <<'END'\n{text}END")
    site.host.exec("nginx -s reload; sleep 1")
    done = site.fab("doctor")
    assert (
        done.returncode == 1
        and "the certificate is for another name: it is for 203.0.113.8" in (done.stdout)
    )
    site.bring()
    assert names(site.served()) == [site.host.address]


def test_a_certificate_of_ones_own(site, certified):
    chain, key = private_ca.make(site.folder, "A company").issue(site.host.address)
    given = {"tls_certificate": site.folder / "chain.pem", "tls_key": site.folder / "key.pem"}
    given["tls_certificate"].write_text(chain)
    given["tls_key"].write_text(key)
    files = {name: str(path) for name, path in given.items()}
    out = well(site.fab("full", "-v", tls="files", **files))
    assert f"the site {site.host.address} leads to the login page" in out
    chain, key = private_ca.make(site.folder, "A company").issue("lab.example.org")
    given["tls_certificate"].write_text(chain)
    given["tls_key"].write_text(key)
    done = site.fab("tls", tls="files", **files)
    refused(done, f"it is for lab.example.org, not for {site.host.address}")


def test_a_ca_for_names_is_refused_until_there_is_another(site, certified, tmp_path):
    private_ca.make(tmp_path / "ca", names=("lab.example.org",)).save()
    named = {"ca_folder": str(tmp_path / "ca")}
    refused(site.fab("full", **named), f"not for {site.host.address}", "tls --new-ca")
    out = well(site.fab("tls", "--new-ca", **named))
    assert f"your private CA is new, for {site.host.address}" in out
    well(site.fab("verify", **named))


def test_from_the_address_to_a_name_and_back(site, certified):
    out = well(site.fab("full", "--no-verify", "--yes", domain="lab.example.org", tls="off"))
    assert "done" in out
    asked = f"GET /lab HTTP/1.1\nHost: {site.host.address}\n\n"
    assert site.said(asked, secure=False) == b""
    assert "default_server" not in site.host.exec("cat /etc/nginx/sites-available/jupyterlab")
    site.bring()
    assert site.login_page() == 200


# --- beside others -----------------------------------------------------------------------------


@pytest.fixture
def shop(site, certified):
    """Another HTTPS site, which was there before ours."""
    site.bring(tls="off")
    site.host.exec(OPEN_SHOP)
    yield lambda: site.host.exec(f"curl -sk --connect-to ::127.0.0.1:443 https://{SHOP}/")
    site.host.exec(f"rm -f {THEIR_SITE}; systemctl restart nginx")
    site.bring()


def test_another_https_site_keeps_its_port_and_ours_gets_another(site, shop):
    before = state(site.server)
    refused(
        site.fab("full"),
        f"nothing was changed: {THEIR_SITE} has `listen 443 ssl`",
        "choose another lab.https_port, such as 8443, then run again",
    )
    assert state(site.server) == before and shop() == "shop\n"
    out = well(site.fab("full", "-v", "--yes", https_port="8443"))
    assert "6*7 over the websocket is 42" in out
    assert f"https://{site.host.address}:8443/lab" in out
    assert site.login_page(port=8443) == 200
    assert shop() == "shop\n" and "CN=shop" in site.served().subject.rfc4514_string()


def test_an_https_site_that_comes_later_takes_nothing(site, certified):
    site.host.exec(OPEN_SHOP)
    try:
        assert site.login_page() == 200
        assert "CN=shop" in site.served(SHOP).subject.rfc4514_string()
        well(site.fab("full"))
    finally:
        site.host.exec(f"rm -f {THEIR_SITE}; systemctl restart nginx")


def test_two_addresses_need_two_ports_and_a_name_needs_none(site, certified):
    operator, address = site.server.operator, site.host.address
    site.host.add_user("anna", public_key=operator.public_key)
    hers = {"FABRIC_LAB_NAME": "anna", "FABRIC_LAB_TLS": "self-signed"}
    hers |= {"FABRIC_LAB_CA_FOLDER": str(site.folder / "hers")}

    def anna(*arguments: str, **more: str):
        reach = "-H", f"anna@{address}", "-i", str(operator.key)
        return operator.fab(*reach, *arguments, env={**hers, **more})

    refused(
        anna("full", FABRIC_LAB_DOMAIN="fd00::9"),
        f"david's jupyterlab is at the address {address}",
        "choose another lab.https_port, such as 8443",
    )
    well(anna("full", "--no-verify", FABRIC_LAB_DOMAIN="anna.example.org"))
    try:
        assert names(site.served("anna.example.org")) == ["anna.example.org"]
        assert names(site.served()) == [address]
        assert site.login_page() == 200
        nothing_to_change(site.fab("full", "--no-verify"))
    finally:
        well(anna("uninstall", "--yes", "--purge", FABRIC_LAB_DOMAIN="anna.example.org"))


# --- IPv6 --------------------------------------------------------------------------------------


@pytest.mark.debian
def test_an_ipv6_address(site, tmp_path):
    with by_ipv6(site.host) as address:
        chosen = {"domain": address, "ca_folder": str(tmp_path / "ca")}
        out = well(site.fab("full", "-v", "--yes", **chosen))
        assert "6*7 over the websocket is 42" in out
        assert f"https://[{address}]/lab" in out
        assert re.search(f"ok .*: the site {address} leads to the login page", out)
        nothing_to_change(site.fab("full", "--no-verify", **chosen | {"domain": f"[{address}]"}))
        assert f"for {address}\n" in well(site.fab("tls", "--status", **chosen))
        assert "nothing is wrong" in well(site.fab("doctor", **chosen))
        assert "OPEN" not in well(site.fab("audit", **chosen))
        well(site.fab("full", "-v", "--yes", **chosen | {"tls": "off"}))
