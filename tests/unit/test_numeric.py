"""An address in place of a name: how it is written, who answers for it, what it does without."""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from answers import answering
from cryptography import x509
from dash import applying, dash, reading, said
from fabric import Connection
from invoke import Exit
from states import compared
from test_render import block, of, servers, site  # noqa: F401
from test_settings import bare_environment, configured, load, refusal  # noqa: F401

from fabfile import hosts, nginx, tls
from fabfile.certs import acme_preflight, private_ca, selection
from fabfile.doctor import diagnose, proof
from fabfile.doctor.evidence import Evidence
from fabfile.doctor.nginx_config import site as found_site
from fabfile.doctor.probe import Url, site_url
from fabfile.engine.host import Host
from fabfile.engine.listening import listens
from fabfile.engine.other_instances import Neighbour, neighbours, refuse_taken
from fabfile.items import Certbot, File, Issued, Obstacle, Packages, Service
from fabfile.items.certificate import covers, lasts, names
from fabfile.items.nginx_include import expression
from fabfile.render import file as render_file
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


# --- Let's Encrypt -----------------------------------------------------------------------------


def acme(**chosen) -> list:
    """What the step tls has for a certificate of an ACME server."""
    return tls.items(Settings(tls="letsencrypt", **chosen), Host(proxies=(("no_proxy", "x"),)))


def of_kind(found: list, kind) -> list:
    """Those of a kind."""
    return [item for item in found if isinstance(item, kind)]


def test_an_address_has_a_certbot_and_a_timer_of_its_own():
    found = acme(domain=SIX)
    (program,), (due,) = of_kind(found, Certbot), of_kind(found, Issued)
    assert {one.partition("==")[0] for one in program.versions} > {"certbot", "acme", "requests"}
    assert all(re.fullmatch(r"[a-z_0-9]+==[\w.]+", one) for one in program.versions)
    assert due.certbot == program.path == "/opt/jupyterlab-certbot"
    assert due.path == "/etc/nginx/jupyterlab/fd00--9.acme.pem"
    assert [one.unit for one in of_kind(found, Service)] == ["jupyterlab-certbot.timer"]
    assert [one.names for one in of_kind(found, Packages)] == [("python3-venv", "ca-certificates")]
    texts = {one.path: one.content for one in of_kind(found, File)}
    unit = texts["/etc/systemd/system/jupyterlab-certbot.service"]
    assert "no_proxy" not in unit and "/opt/jupyterlab-certbot/bin/certbot renew " in unit
    assert all(f"={place}/jupyterlab-certbot" in unit for place in ("/etc", "/var/lib", "/var/log"))
    assert "OnCalendar=00/12:00" in texts["/etc/systemd/system/jupyterlab-certbot.timer"]
    behind = of_kind(acme(domain=SIX, proxy="http://192.0.2.9:3128"), File)
    assert any('Environment="no_proxy=x"' in one.content for one in behind)


def test_a_name_has_debians():
    found = acme(domain="lab.example.org")
    (due,) = of_kind(found, Issued)
    assert not of_kind(found, Certbot) and due.certbot == ""
    assert [one.unit for one in of_kind(found, Service)] == ["certbot.timer"]
    asked = ["show_acme_server", "show_service certbot.service"]
    assert due.read().splitlines()[-2:] == asked


@pytest.mark.parametrize(
    "there, change",
    [
        (["certbot-5.8.0", "acme-5.8.0", "josepy-2.2.0"], False),
        (["certbot-5.7.0", "acme-5.8.0"], True),
        ([], True),
    ],
)
def test_other_versions_of_it_are_replaced(there, change):
    item = Certbot(path="/opt/x", versions=("certbot==5.8.0", "acme==5.8.0"))
    found = compared(item, there, set())
    assert bool(found) == change
    assert not found or found.shell == "make_certbot /opt/x certbot==5.8.0 acme==5.8.0"


# certbot as it says what it was called with; the hook likewise
FAKE = '#!/bin/sh\necho "$0 $* CA=$REQUESTS_CA_BUNDLE"\n'
HOOK = '#!/bin/sh\necho "hook $RENEWED_LINEAGE $RENEWED_DOMAINS"\n'


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_it_is_asked_for_the_address_and_keeps_all_in_folders_of_its_own(tmp_path, address):
    (tmp_path / "run" / "own").mkdir(parents=True)
    own = tmp_path / "opt" / "jupyterlab-certbot"
    (own / "bin").mkdir(parents=True)
    for path, text in ((own / "bin" / "certbot", FAKE), (tmp_path / "hook", HOOK)):
        path.write_text(text)
        path.chmod(0o755)
    script = applying(tmp_path)
    for theirs, ours in (("/etc/", "etc"), ("/var/log/", "log"), ("/var/lib/", "lib")):
        script = script.replace(theirs, f"{tmp_path}/{ours}/")
    call = f"obtain_certificate '{address}' '' https://acme {tmp_path}/hook webroot /w {own}\n"
    asked, hooked = said(f"{script}run={tmp_path}/run {call}")[-2:]
    for words in (
        f"--ip-address={address} ",
        "--preferred-profile=shortlived",
        f"--config-dir={tmp_path}/etc/jupyterlab-certbot ",
        "--cert-name=jupyterlab-fab ",
        "--server=https://acme ",
        "--register-unsafely-without-email",
        "ca-certificates.crt",
    ):
        assert words in asked, asked
    assert "--domain" not in asked
    assert hooked == f"hook {tmp_path}/etc/jupyterlab-certbot/live/jupyterlab-fab {address}"
    made = (tmp_path / "ledger" / "made").read_text()
    for place in ("etc", "lib", "log"):
        assert f"tree {tmp_path}/{place}/jupyterlab-certbot\n" in made


def test_the_former_one_stays_where_another_cannot_be_installed(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "certbot").write_text("the former")
    script = f"export PIP_NO_INDEX=1\n{applying(tmp_path)}\nmake_certbot {own} certbot==0.0\n"
    done = dash(script)
    assert done.returncode and "No matching distribution" in (done.stdout + done.stderr).decode()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("own")] == ["own"]
    assert (own / "certbot").read_text() == "the former"


def test_its_versions_are_read_while_it_runs(tmp_path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "certbot-5.8.0.dist-info").mkdir()
    shown = f"{reading()}show_certbot {tmp_path}\n"
    assert said(shown) == []
    (tmp_path / "bin").mkdir()
    (tmp_path / "python3.11").touch()
    (tmp_path / "python3.11").chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to(tmp_path / "python3.11")
    assert said(shown) == [], "there is no certbot in it"
    (tmp_path / "bin" / "certbot").symlink_to(tmp_path / "python3.11")
    assert said(shown) == ["certbot-5.8.0"]
    (tmp_path / "python3.11").rename(tmp_path / "python3.13")
    (tmp_path / "bin" / "python").unlink()
    (tmp_path / "bin" / "python").symlink_to(tmp_path / "python3.13")
    assert said(shown) == [], "Debian has another Python now"


def test_the_server_of_its_certificate_is_read(tmp_path):
    for folder, server in (("letsencrypt", "a"), ("jupyterlab-certbot", "b")):
        path = tmp_path / folder / "renewal" / "jupyterlab-fab.conf"
        path.parent.mkdir(parents=True)
        path.write_text(f"server = {server}\n")
    script = f"instance=jupyterlab\n{reading()}".replace("/etc/", f"{tmp_path}/")
    assert said(f"{script}show_acme_server\n") == ["server=a"]
    assert said(f"{script}show_acme_server /opt/jupyterlab-certbot\n") == ["server=b"]


@pytest.mark.parametrize("domain", [SIX, FOUR, "lab.example.org"])
def test_a_renewed_certificate_is_put_where_nginx_has_it(domain):
    hook = render_file("certs/renewal-hook.sh")
    place = next(line for line in hook.splitlines() if line.startswith("place="))
    chosen = Settings(domain=domain, tls="letsencrypt")
    script = f"instance=jupyterlab-certificate domain={domain}\n{place}\necho $place.pem"
    assert said(script) == [selection.issued(chosen)]


def test_a_closed_port_of_an_address_is_no_matter_of_the_dns(monkeypatch):
    monkeypatch.setattr(acme_preflight, "fetched", lambda *_: "refused")
    monkeypatch.setattr(acme_preflight.channel, "apply",
                        lambda *_: ["offered", f"leads\t{FOUR}"])  # fmt: skip
    with pytest.raises(Exit, match=f"port 80 of {FOUR} is not this server's .* set lab.domain to"):
        acme_preflight.check(Connection("x"), Settings(domain=FOUR, tls="letsencrypt"), True)


@pytest.mark.parametrize("left, due", [(79, False), (60, False), (48, True), (-1, True)])
def test_a_renewal_that_fails_is_told_two_days_before_it_matters(left, due):
    now = datetime.now(UTC)
    begin, end = now - timedelta(hours=160 - left), now + timedelta(hours=left)
    leaf = SimpleNamespace(not_valid_before_utc=begin, not_valid_after_utc=end)
    assert lasts(leaf) != due
