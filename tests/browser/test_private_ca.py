"""Chromium believes the private CA for its own names alone, whoever has the key."""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from browser import start, trust
from cryptography.x509.oid import ExtendedKeyUsageOID
from playwright.sync_api import Error
from visitor import DOMAIN

from fabfile.certs import private_ca, selection
from fabfile.settings import Settings

pytestmark = pytest.mark.browser

ADDRESS = "127.0.0.1"
OTHERS = "www.example.com", "other.org", f"not{DOMAIN}"


class Here(BaseHTTPRequestHandler):
    """Answers whatever is asked."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_) -> None:
        pass


@contextmanager
def served(path):
    """A site with this certificate, at all addresses of this machine; give its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with ThreadingHTTPServer(("", 0), Here) as site:
        site.socket = context.wrap_socket(site.socket, server_side=True)
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site.server_address[1]
        site.shutdown()


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """A new CA as the settings want it."""
    folder = tmp_path_factory.mktemp("authority") / "ca"
    made = selection.authority(Settings(domain=DOMAIN, tls="self-signed", ca_folder=str(folder)))
    made.save()
    yield made
    private_ca.FOUND.clear()


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A new CA for an address."""
    folder = tmp_path_factory.mktemp("numbered") / "ca"
    made = private_ca.make(folder, names=(ADDRESS,))
    made.save()
    return made


def importer(playwright, home, ca):
    """Start a Chromium that has imported a CA; end it afterwards."""
    trust(home, ca.folder / "ca.pem")
    started = start(playwright, home, dict.fromkeys((DOMAIN, *OTHERS), "127.0.0.1"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def browser(ca, playwright, tmp_path_factory):
    """A Chromium that has imported the CA for a name."""
    yield from importer(playwright, tmp_path_factory.mktemp("importer"), ca)


@pytest.fixture(scope="module")
def other_browser(numbered, playwright, tmp_path_factory):
    """A Chromium that has imported the CA for an address."""
    yield from importer(playwright, tmp_path_factory.mktemp("importer"), numbered)


def said(browser, ca, name: str, folder) -> str:
    """What a page of that name shows, or why it is refused; its certificate is by the CA's key."""
    path = folder / "site.pem"
    path.write_text("".join(ca.sign(name, (), ExtendedKeyUsageOID.SERVER_AUTH)))
    with served(path) as port:
        page, deadline = browser.new_page(), time.monotonic() + 60
        try:
            while True:
                try:
                    page.goto(f"https://{name}:{port}/")
                    return page.inner_text("body")
                except Error as problem:
                    # it says nothing of the certificate: another test started or removed a server
                    changed = "ERR_NETWORK_CHANGED" in problem.message
                    if not changed or time.monotonic() > deadline:
                        return problem.message
        finally:
            page.close()


def test_its_own_name_is_shown(browser, ca, tmp_path):
    assert said(browser, ca, DOMAIN, tmp_path) == "here"


@pytest.mark.parametrize("name", OTHERS)
def test_another_is_not(browser, ca, name, tmp_path):
    assert "ERR_CERT" in said(browser, ca, name, tmp_path)


def test_its_own_address_is_shown(other_browser, numbered, tmp_path):
    assert said(other_browser, numbered, ADDRESS, tmp_path) == "here"


@pytest.mark.parametrize("name", ["127.0.0.2", DOMAIN])
def test_neither_another_address_nor_a_name(other_browser, numbered, name, tmp_path):
    assert "ERR_CERT" in said(other_browser, numbered, name, tmp_path)
