"""The page from which devices import the private CA: by plain HTTP, too, and in no other mode."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from cryptography.hazmat.primitives import hashes
from test_render import block, lab, of, rendered, servers, site  # noqa: F401

from fabfile import nginx, tls
from fabfile.certs import ca_page, private_ca, selection
from fabfile.engine.host import Host
from fabfile.items import File
from fabfile.settings import Settings

DOMAIN = "lab.example.org"
PLACE = "/etc/nginx/jupyterlab/ca"
VOID = {"meta", "!doctype"}


@pytest.fixture
def settings(tmp_path):
    return Settings(domain=DOMAIN, tls="self-signed", ca_folder=f"{tmp_path}/ca")


class Page(HTMLParser):
    """What stands in a page: tags, attributes, texts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.values, self.texts, self.open = [], {}, {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]
        for name, value in attrs:
            self.values.setdefault(name, []).append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        where = self.open[-1] if self.open else ""
        self.texts[where] = self.texts.get(where, "") + data


def shown(settings) -> tuple[private_ca.Authority, str]:
    """The CA, and its page as it lands on the server."""
    ca = selection.authority(settings)
    return ca, rendered(tls, "index.html", **{n: getattr(settings, n) for n in CHOSEN})


CHOSEN = "domain", "tls", "ca_folder", "ca_names"


def test_the_page_shows_name_names_and_fingerprint_and_leads_to_the_file(settings):
    ca, text = shown(settings)
    page = Page(text)
    assert page.open == []
    print_of = ca.certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    assert len(print_of) == 95 and print_of in page.texts["code"]
    assert "JupyterLab servers of" in page.texts["dd"] and f"{DOMAIN}, and all" in page.texts["dd"]
    assert page.values["href"] == ["/ca/ca.crt"]
    for system in ("iPhone", "Android", "Windows", "macOS", "Linux", "Firefox"):
        assert system in page.texts["summary"]
    assert "may have been changed on its way" in " ".join(page.texts["strong"].split())


def test_the_page_is_small_and_needs_nothing_else(settings):
    _, text = shown(settings)
    page = Page(text)
    assert len(text) < 8000
    assert not {"script", "img", "link", "iframe", "form"} & set(page.tags)
    assert "://" not in text and "url(" not in text and "@import" not in text
    assert not [name for name in page.values if name.startswith("on") or name == "style"]
    assert "width=device-width" in " ".join(page.values["content"])


def test_the_policy_allows_its_own_style_alone(settings):
    _, text = shown(settings)
    style = re.search("<style>(.*)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert ca_page.policy() == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def test_a_ca_that_may_sign_for_any_name_says_so_and_no_name_is_markup(settings, tmp_path):
    ca = private_ca.make(tmp_path / "ca", "<b>R&D</b>")
    private_ca.FOUND[tmp_path / "ca"] = ca
    _, text = shown(settings)
    assert "its owner could fake every site" in text
    assert "&lt;b&gt;R&amp;D&lt;/b&gt;" in text and "<b>" not in text


def test_the_file_is_the_certificate_without_its_key(settings):
    ca, _ = shown(settings)
    found = {i.path: i for i in tls.items(settings, Host()) if isinstance(i, File)}
    assert set(found) == {f"{PLACE}/index.html", f"{PLACE}/ca.crt"}
    assert found[f"{PLACE}/ca.crt"].content == ca.pem
    for item in found.values():
        assert "PRIVATE KEY" not in item.content and item.rights == ("root", "root", "0644")


@pytest.mark.parametrize("base", ["", "/jupyter"])
def test_both_servers_have_it_at_the_root(site, base):  # noqa: F811
    tree = site(tls="self-signed", base_path=base)
    for server, secure in ((servers(tree)[1], False), (lab(tree), True)):
        page, file = (block(server, "location", "=", where) for where in ("/ca", "/ca/ca.crt"))
        assert of(page, "alias") == [[f"{PLACE}/index.html"]]
        assert of(file, "alias") == [[f"{PLACE}/ca.crt"]]
        assert of(file, "default_type") == [["application/x-x509-ca-cert"]]
        for one in (page, file):
            headers = {name: value for name, value, *_ in of(one, "add_header")}
            assert headers["Content-Security-Policy"] == ca_page.policy()
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert ("Strict-Transport-Security" in headers) == secure  # not by HTTP: RFC 6797
    page = block(lab(tree), "location", f"{base}/")
    assert of(page, "proxy_pass"), "JupyterLab has the rest"


@pytest.mark.parametrize("chosen", ["off", "letsencrypt", "files"])
def test_no_other_mode_has_it(chosen):
    text = rendered(nginx, "jupyterlab", tls=chosen, host=Host(certificates=f"{DOMAIN}.acme.pem"))
    assert "/ca" not in text.replace("/cache", "")


@pytest.mark.parametrize("port, address", [(80, DOMAIN), (8080, f"{DOMAIN}:8080")])
def test_its_address_is_plain_http(port, address):
    chosen = Settings(domain=DOMAIN, tls="self-signed", http_port=port)
    assert ca_page.address(chosen) == f"http://{address}/ca"


@pytest.mark.parametrize(("domain", "below"), [(DOMAIN, True), ("192.0.2.7", False)])
def test_only_a_name_has_names_below_it(settings, domain, below):
    there = Settings(domain=domain, tls="self-signed", ca_folder=settings.ca_folder)
    text = ca_page.page(selection.authority(there), there)
    assert ("all names below" in text) == below and domain in text
