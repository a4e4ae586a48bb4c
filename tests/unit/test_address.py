"""An address in place of a name: how it is written, who answers for it, what it does without."""

import re
import subprocess

import pytest
from answers import answering
from cryptography import x509
from dash import dash, reading, said
from invoke import Exit
from test_render import block, of, servers, site  # noqa: F401
from test_settings import bare_environment, configured, load, refusal  # noqa: F401

from fabfile import hosts, nginx
from fabfile.certs import acme_preflight, private_ca, selection
from fabfile.doctor import diagnose, proof
from fabfile.doctor.evidence import Evidence
from fabfile.doctor.nginx_config import site as found_site
from fabfile.doctor.probe import Url, site_url
from fabfile.engine.host import Host
from fabfile.engine.listening import listens
from fabfile.engine.other_instances import Neighbour, neighbours, refuse_taken
from fabfile.items import Obstacle
from fabfile.items.certificate import covers, names
from fabfile.items.nginx_include import expression
from fabfile.settings import Settings

FOUR, SIX = "203.0.113.7", "fd00::9"
BOTH = pytest.mark.parametrize("address, written", [(FOUR, FOUR), (SIX, f"[{SIX}]")])


# --- how it is written -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed, taken",
    [
        (FOUR, FOUR),
        (SIX, SIX),
        (f"[{SIX}]", SIX),
        ("FD00:0:0::09", SIX),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("::1", "::1"),
        ("lab.example.org", "lab.example.org"),
        ("1.example.org", "1.example.org"),
        ("lab9", "lab9"),
        ("face.example.b2", "face.example.b2"),
    ],
)
def test_an_address_is_taken_as_browsers_write_it(typed, taken):
    assert load(domain=typed).domain == taken
    if "." in typed or ":" in typed:
        assert load(ca_names=[typed]).ca_names == (taken,)


@pytest.mark.parametrize(
    "typed",
    ["203.0.113", "203.0.113.256", "203.0.113.07", "lab.7", "0x7f.0x1", "lab.0x", "fd00::9::1",
     "fe80::1", "::", "0.0.0.0", "224.0.0.1", "ff02::1", "::ffff:203.0.113.7", "[::ffff:1.2.3.4]",
     "[203.0.113.7]", f"{SIX}]:80", f"[{SIX}]:80", "fd00::9%eth0"],
)  # fmt: skip
def test_what_browsers_take_for_an_address_and_cannot_reach_is_refused(typed):
    for told in (refusal(load, domain=typed), refusal(load, ca_names=[typed])):
        assert told.startswith(("lab.domain: ", "lab.ca_names: "))
        assert repr(typed) in told and "IP address" in told


@BOTH
def test_urls_headers_and_files_have_their_own_ways(address, written):
    chosen = Settings(domain=address, tls="self-signed", base_path="/a")
    assert (chosen.numeric, chosen.sni, chosen.hsts) == (True, "", False)
    assert chosen.url == f"https://{written}/a"
    elsewhere = Settings(domain=address, tls="files", https_port=8443)
    assert elsewhere.origin == f"https://{written}:8443"
    assert chosen.server_name == written
    paths = [*selection.files(chosen), nginx.beside(chosen)]
    assert not re.search(r"[][:]", "".join(paths))
    assert proof.endpoints(chosen)["domain"] == written


def test_a_name_is_none():
    chosen = Settings(domain="lab.example.org", tls="files")
    assert (chosen.numeric, chosen.sni, chosen.hsts) == (False, "lab.example.org", True)
    assert not Settings(domain="lab.example.org").hsts
    assert not Settings(domain="lab.example.org", tls="theirs", site="include").hsts


@BOTH
def test_lets_encrypt_is_asked_for_a_public_address_alone(address, written):
    told = refusal(load, domain=address, tls="letsencrypt")
    assert "Let's Encrypt gives no certificate for" in told and "self-signed" in told
    own = {"tls": "letsencrypt", "acme_server": "https://ca.example.org/dir"}
    assert load(domain=address, **own).domain == address
    for public in ("1.1.1.1", "2606:4700:4700::1111"):
        assert load(domain=public, tls="letsencrypt").domain == public
    assert "gives no certificate for 'lab'" in refusal(load, domain="lab", **own)


# --- Nginx -------------------------------------------------------------------------------------


@BOTH
def test_by_http_the_site_is_as_with_a_name(site, address, written):  # noqa: F811
    nobody, lab = servers(site(domain=address))
    assert of(nobody, "return") == [["444"]] and of(lab, "server_name") == [[written]]
    assert of(nobody, "listen") == of(lab, "listen") == [["80"], ["[::]:80"]]


@BOTH
def test_by_https_it_is_the_default_and_answers_no_other_name(site, address, written):  # noqa: F811
    tree = site(domain=address, tls="self-signed")
    nobody, plain, lab = servers(tree)
    assert of(nobody, "listen") == of(plain, "listen") == [["80"], ["[::]:80"]]
    assert of(nobody, "return") == [["444"]] and not of(nobody, "ssl_reject_handshake")
    options = ["ssl", "default_server"]
    assert of(lab, "listen") == [["443", *options], ["[::]:443", *options]]
    assert of(block(lab, "if", "$jupyterlab_elsewhere"), "return") == [["444"]]
    assert of(block(plain, "location", "/"), "return") == [
        ["301", f"https://{written}$request_uri"]
    ]
    headers = [name for name, *_ in of(lab, "add_header")]
    assert "Strict-Transport-Security" not in headers and "Content-Security-Policy" in headers
    elsewhere = block(tree, "map", "$http_host", "$jupyterlab_elsewhere")
    assert of(elsewhere, "default") == [["1"]]
    passed = block(tree, "map", "$http_host", "$jupyterlab_host")
    for known in (elsewhere, passed):
        (pattern,) = [d["directive"] for d in known if d["directive"].startswith("~*")]
        sieve = re.compile(pattern.removeprefix("~*"))
        assert sieve.match(written) and sieve.match(f"{written}:8443")
        assert not any(map(sieve.match, ("", "fd00xx9", "203x0x113x7", f"x{written}")))


def test_a_named_site_is_nobodys_default(site):  # noqa: F811
    for server in servers(site(tls="self-signed")):
        assert not any("default_server" in line for line in of(server, "listen"))
    lab = servers(site(tls="self-signed"))[-1]
    assert [name for name, *_ in of(lab, "add_header")].count("Strict-Transport-Security") == 1


def test_the_content_policy_names_no_ipv6_address():
    assert "connect-src 'self'; " in nginx.policy(Settings(), f"[{SIX}]:8443", True)
    assert f"connect-src 'self' wss://{FOUR}; " in nginx.policy(Settings(), FOUR, True)


def obstacle(listening: tuple[str, ...] = (), there: tuple[Neighbour, ...] = (), **chosen) -> str:
    """What is in the way of a site by HTTPS."""
    host = Host(listens=listens([f"shop:{line}" for line in listening]), neighbours=there)
    found = nginx.items(Settings(**{"domain": FOUR, "tls": "self-signed", **chosen}), host)
    return next(item.why for item in found if isinstance(item, Obstacle))


@pytest.mark.parametrize(
    "line, free",
    [
        ("443 ssl", False),
        ("[::]:443 ssl http2", False),
        ("192.0.2.1:443 ssl", False),
        ("443 default_server", False),
        ("8443 ssl default_server", True),
        ("80 default_server", True),
    ],
)
def test_beside_another_https_site_it_is_refused_with_another_port(line, free):
    why = obstacle((line,))
    assert bool(why) != free and (free or "lab.https_port, such as 8443" in why)
    assert not obstacle((line,), tls="off") or "443 default" in line
    assert not obstacle((line,), domain="lab.example.org")


def test_a_site_that_came_later_is_no_hindrance_unless_it_is_the_default():
    ours = (Neighbour("jupyterlab", "david", FOUR, default=443),)
    assert not obstacle(("443 ssl",), ours)
    assert obstacle(("443 ssl default_server",), ours)
    assert "such as 9443" in obstacle(("8443 ssl",), ours, https_port=8443)


def test_one_port_has_one_address_among_our_own():
    davids = (Neighbour("jupyterlab", "david", FOUR, default=443),)
    why = obstacle(there=davids, domain=SIX, name="anna")
    assert f"david's jupyterlab is at the address {FOUR}" in why and "such as 8443" in why
    assert not obstacle(there=davids, domain=SIX, name="anna", https_port=8443)
    assert not obstacle(there=davids, domain="lab.example.org", name="anna")


def test_what_a_neighbour_is_the_default_of_is_read():
    path = "/etc/nginx/sites-available/jupyterlab"
    lines = [
        f"# JupyterLab of david at {SIX}/a",
        "    listen 8443 ssl default_server;",
        "    listen [::]:8443 ssl default_server;",
        "    ssl_certificate     /etc/nginx/x.pem;",
    ]
    found = neighbours([f"{path}:{line}" for line in lines])
    assert found == (Neighbour("jupyterlab", "david", SIX, "/a", secure=True, default=8443),)
    with pytest.raises(Exit, match=f"{SIX}/a is david's jupyterlab on this server"):
        chosen = Settings(domain=SIX, base_path="/a", name="anna")
        refuse_taken(Host(user="anna", neighbours=found), chosen)


def test_another_site_is_found_by_the_address_in_it(tmp_path):
    (tmp_path / "shop").write_text(f"server {{\n    server_name shop [{SIX}];\n}}\n")
    script = reading().replace("/etc/nginx", str(tmp_path))
    for address, count in ((f"[{SIX}]", 1), ("[fd00::90]", 0), (SIX, 0)):
        told = said(f"{script}show_including x '{expression(address)}'\n")
        assert len([line for line in told if line.startswith("names ")]) == count, address


# --- certificates ------------------------------------------------------------------------------


@pytest.mark.parametrize("address, other", [(FOUR, "203.0.113.8"), (SIX, "fd00::a")])
def test_a_certificate_of_an_address_covers_it_alone(tmp_path, address, other):
    chain, _ = private_ca.make(tmp_path, names=(address,)).issue(address)
    leaf = x509.load_pem_x509_certificate(chain.encode())
    assert names(leaf) == [address]
    assert covers(leaf, address) and not covers(leaf, other) and not covers(leaf, "lab.example")


def test_a_name_that_looks_like_an_address_is_none(tmp_path):
    ca = private_ca.make(tmp_path)
    forged = ca.sign("*.0.113.7", (), *private_ca.SERVERS)[0]
    assert not covers(x509.load_pem_x509_certificate(forged.encode()), FOUR)


@pytest.mark.parametrize("typed, words", [("lab.example.org", "-servername lab.example.org"),
                                          ("", "-noservername")])  # fmt: skip
def test_an_address_is_asked_for_without_a_name(tmp_path, typed, words):
    (tmp_path / "openssl").write_text('#!/bin/sh\necho "$@" >>"$0.log"\n')
    (tmp_path / "openssl").chmod(0o755)
    script = f"{reading()}PATH={tmp_path}:$PATH\nshow_served '{typed}' 8443\n"
    assert dash(script).returncode == 0
    told = (tmp_path / "openssl.log").read_text().splitlines()
    assert f"s_client -connect 127.0.0.1:8443 {words}" in told


# --- the operator's machine --------------------------------------------------------------------


@BOTH
def test_the_hosts_file_needs_no_line(tmp_path, capsys, address, written):
    chosen = Settings(domain=address, hosts_file=str(tmp_path / "none"))
    assert hosts.add(None, chosen)
    hosts.refuse_taken(None, chosen)
    assert f"{address} is an address, which needs no line" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_it_is_asked_with_brackets_in_its_header():
    with answering(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n") as (port, heard):
        chosen = Settings(domain=SIX, http_port=port)
        check, found, _, _ = proof.from_here(chosen, "127.0.0.1")
    assert (check, found) == (f"the site {SIX} leads to the login page", "ok")
    assert f"Host: [{SIX}]:{port}\r\n".encode() in heard[0]


def test_without_a_route_from_here_it_is_left_out(monkeypatch):
    monkeypatch.setattr(proof, "routed", lambda address: ":" not in address)
    _, found, _, told = proof.from_here(Settings(domain=SIX), "")
    assert (found, told) == ("skip", f"this machine has no route to {SIX}: it has no IPv6")


def test_a_route_of_an_address_is_looked_for():
    assert acme_preflight.addresses(SIX) == [SIX] and acme_preflight.routed("::1")


# --- doctor ------------------------------------------------------------------------------------


def test_doctor_reads_the_address_that_is_typed():
    assert site_url(Settings(domain=SIX)) == Url("http", SIX, 80)
    typed = site_url(Settings(), f"https://[{SIX}]:8443/a/lab")
    assert (typed.name, typed.host, typed.path) == (SIX, f"[{SIX}]:8443", "/a")


def test_doctor_finds_its_site():
    text = (
        "# configuration file /etc/nginx/nginx.conf:\nhttp { include sites/*; }\n"
        "# configuration file /etc/nginx/sites/zz-jupyterlab:\nserver { listen 443 ssl "
        f"default_server; server_name [{SIX}]; location / {{ proxy_pass http://x; }} }}\n"
    )
    assert found_site(text, Settings(domain=SIX).url_name, 443, "/lab").proxied


@pytest.mark.parametrize(
    "domain, told",
    [
        ("lab.example.org", "point lab.example.org to 192.0.2.1 in the DNS"),
        (FOUR, "set lab.domain: 192.0.2.1, an address of the server, then fab -H x full"),
    ],
)
def test_an_address_of_another_machine_is_no_matter_of_the_dns(domain, told):
    e = Evidence(Settings(domain=domain), Url("http", domain, 80), peer="192.0.2.1")
    assert told in diagnose.placeholders(e, "fab -H x")["lead"]


def test_a_server_reached_by_ipv6_is_written_with_brackets():
    e = Evidence(Settings(domain=SIX), Url("http", SIX, 80), peer=SIX)
    assert diagnose.placeholders(e, "fab")["origin"] == f"http://[{SIX}]"


def test_curl_goes_to_the_server_itself_whatever_is_typed():
    """`--connect-to` counts for an address, too, and an empty port is that of the URL."""
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, heard):
        url = f"http://[{SIX}]:{port}/"
        command = ["curl", "-sS", "--noproxy", "*", "--connect-to", "::127.0.0.1:", url]
        subprocess.run(command, check=True, timeout=20)
    assert f"Host: [{SIX}]:{port}".encode() in heard[0]
