"""JupyterLab under a folder of the URL: of a name of its own, then of a shop that is there."""

import httpx
import pytest
from notebook import Notebook
from outcomes import nothing_to_change, well
from refusals import refused
from visitor import DOMAIN, Visitor

pytestmark = [pytest.mark.sites, pytest.mark.debian("trixie")]

BASE, NAME, PASSWORD = "/jupyter", "shop.example.org", "chosen by somebody"
OWN = {"FABRIC_LAB_BASE_PATH": BASE}
SHOP = {**OWN, "FABRIC_LAB_SITE": "include", "FABRIC_LAB_DOMAIN": NAME}
SECRET = {**SHOP, "LAB_PASSWORD": PASSWORD}
THEIRS = {**SHOP, "FABRIC_LAB_TLS": "theirs"}
FILE = "/etc/nginx/sites-available/shop"
LINE = "include /etc/nginx/jupyterlab/*.conf;"
# All that could take our paths, or our answers, away.
SITE = f"""
server {{
    listen 80 default_server;
    server_name {NAME} www.{NAME};
    root /srv/shop;
    index index.html;
    add_header X-Shop yes always;
    client_max_body_size 1k;
    proxy_read_timeout 1s;
    proxy_set_header Host nobody;
    proxy_intercept_errors on;
    error_page 404 =200 /index.html;
    expires 1h;
    location ~ \\.(js|css|json)$ {{ add_header X-Regex yes; }}
    location ~* ^/(jupyter|api) {{ return 418; }}
    #LINE
}}
"""
SECURE = f"""
server {{ listen 80 default_server; server_name {NAME}; return 301 https://$host$request_uri; }}
server {{
    listen 443 ssl default_server;
    server_name {NAME};
    ssl_certificate /etc/ssl/shop.pem;
    ssl_certificate_key /etc/ssl/shop.key;
    add_header Strict-Transport-Security max-age=99;
    root /srv/shop;
    {LINE}
}}
"""
MAKE = (
    f"openssl req -x509 -newkey rsa:2048 -nodes -days 99 -subj /CN={NAME} "
    f"-keyout /etc/ssl/shop.key -out /etc/ssl/shop.pem 2>&1"
)


@pytest.fixture(scope="module")
def site(servers):
    """A server with JupyterLab and a shop."""
    (site,) = servers("subpath", settled=True)
    site.host.exec(
        "mkdir -p /srv/shop; cd /srv/shop; echo index >index.html; echo script >app.js\n"
        f"ln -s {FILE} /etc/nginx/sites-enabled/"
    )
    write(site, SITE)
    return site


def write(site, text: str) -> None:
    """Put the shop's file there, and have Nginx read it, its old workers gone."""
    site.host.exec(f"cat >{FILE} <<'END'\n{text}END\nnginx -t 2>&1\nsystemctl restart nginx")


def shop(site) -> list[tuple]:
    """What the shop answers, by status, text and the headers that are its own."""
    client = Visitor(site, NAME).client
    pages = [client.get(p) for p in ("/", "/app.js", "/no-page", "/api/x", "/jupyterx", "/lab")]
    told = ("X-Shop", "X-Regex", "Cache-Control", "Content-Security-Policy", "Server")
    return [(p.status_code, p.text, *(p.headers.get(name) for name in told)) for p in pages]


def theirs(site) -> str:
    """Every file of Nginx's that is not ours, with its checksum, times and rights."""
    return site.host.exec(
        "find /etc/nginx /srv/shop ! -path '*jupyterlab*' ! -type d -printf '%p %T@ %C@ %m %u %l '"
        " -exec sha256sum {} \\; | sort"
    )


@pytest.fixture(scope="module")
def before(site):
    answers = shop(site)
    assert [a[0] for a in answers] == [200, 200, 200, 418, 418, 200]
    assert answers[0][2] == answers[1][3] == "yes"
    return answers


def works(site, domain: str) -> None:
    """All that JupyterLab is for, under the path: a login, pages, a kernel, a terminal, a file."""
    token = site.host.exec("cat /home/david/.jupyter/jupyterlab_token")
    visitor = Visitor(site, domain, BASE)
    assert visitor.client.get("/lab").headers["Location"].startswith(f"{BASE}/login?next=")
    assert visitor.log_in(token)
    assert {cookie.path for cookie in visitor.client.cookies.jar} == {f"{BASE}/"}
    page = visitor.client.get("/lab")
    assert page.headers["Content-Security-Policy"].count(f"ws://{domain}") == 1
    script = next(word for word in page.text.split('"') if word.startswith(f"{BASE}/static/lab/"))
    asset = Visitor(site, domain).client.get(script)
    assert asset.status_code == 200 and "immutable" in asset.headers.get("Cache-Control", "")
    notebook = Notebook(site.host, domain=domain, base=BASE)
    assert notebook.cell("6*7").startswith("42")
    assert notebook.terminal("echo $((6*7))") == (0, "42\n")
    large = {"type": "file", "format": "text", "content": "0123456789abcdef" * 65536 * 2}
    assert notebook.ask("PUT", "contents/large.txt", **large)["size"] == len(large["content"])
    stranger = Visitor(site, domain, BASE).client
    assert stranger.get("/api").status_code == 403
    assert "version" not in stranger.get("/static/lab/package.json").text
    assert stranger.put("/api/contents/x", content=b"0" * 2**21).status_code == 403


# --- a server block of our own -----------------------------------------------------------------


@pytest.fixture(scope="module")
def own(site, before):
    """The first full with a path, under a name of its own."""
    return site.fab("full", env=OWN)


def test_full_under_a_path_of_our_own_name(site, own):
    assert "6*7 over the websocket is 42" in well(own)
    assert f"JupyterLab is at http://{DOMAIN}{BASE}/lab?token=" in own.stdout
    nothing_to_change(site.fab("full", "--no-verify", env=OWN))
    works(site, DOMAIN)


def test_the_root_of_our_own_name_leads_there(site, own):
    client = Visitor(site).client
    for path in ("/", BASE):
        assert client.get(path).headers["Location"] == f"http://{DOMAIN}{BASE}/"
    assert client.get("/lab").status_code == client.get("/api").status_code == 404


# --- the server block of another site ----------------------------------------------------------


def test_without_the_line_nothing_is_changed_and_the_line_is_told(site, own, before):
    files = theirs(site)
    words = "nothing was changed", f"add `{LINE}` to the server block of {NAME}", FILE
    refused(site.fab("full", env=SHOP), *words)
    write(site, SITE.replace("#LINE", f"# {LINE}"))  # a comment is none
    refused(site.fab("full", env=SHOP), f"in {FILE}; then run again")
    assert Visitor(site, base=BASE).client.get("/login").status_code == 200
    write(site, SITE)
    assert [line.split()[0] for line in theirs(site).splitlines()] == [
        line.split()[0] for line in files.splitlines()
    ]


@pytest.fixture(scope="module")
def included(site, own):
    """The line is there, and then full; gives the shop's files as they were in between."""
    write(site, SITE.replace("#LINE", LINE))  # of which Nginx thinks nothing while we are not there
    files = theirs(site)
    assert "6*7 over the websocket is 42" in well(site.fab("full", "--yes", env=SECRET))
    return files


def test_full_in_the_server_block_of_a_shop(site, included):
    assert theirs(site) == included
    nothing_to_change(site.fab("full", "--no-verify", env=SHOP))
    works(site, NAME)
    visitor = Visitor(site, NAME, BASE)
    assert visitor.log_in(PASSWORD)
    assert site.host.exec("ls /etc/nginx/sites-enabled") == "shop\n"


def test_the_shop_answers_as_before(site, included, before):
    assert shop(site) == before


def test_our_answers_have_our_headers_and_not_the_shops(site, included):
    page = Visitor(site, NAME, BASE).client.get("/login")
    assert page.headers["Server"] == "nginx" and "X-Shop" not in page.headers
    assert page.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    missing = Visitor(site, NAME, BASE).client.get("/no-page")  # no page of the shop's
    assert missing.status_code in (302, 404) and missing.text != "index\n"


def test_logins_are_limited_there_too_and_other_names_led_away(site, included):
    guesser = Visitor(site, NAME, BASE).client
    answers = [guesser.post("/login", data={"password": "no"}).status_code for _ in range(12)]
    assert 429 in answers
    for name in (f"www.{NAME}", "anything.example.org"):
        answer = Visitor(site, name, BASE).client.get("/lab?x=1")
        assert answer.headers["Location"] == f"http://{NAME}{BASE}/lab?x=1"


def test_audit_and_status_know_the_way(site, included):
    told = well(site.fab("audit", env=SHOP))
    assert "16 of 18 threats closed, 2 allowed by your settings" in told
    status = well(site.fab("status", "--drift", env=SHOP))
    assert f"http://{NAME}{BASE}/lab" in status and "kernel   none running" in status
    nothing_to_change(site.fab("--dry", "full", env=SHOP))


def test_a_line_that_went_away_is_told(site, included):
    write(site, SITE)
    try:
        words = "/lab leads to the login page: failed", "site of shop.example.org needs our line"
        refused(site.fab("verify", env=SHOP), *words)
        refused(site.fab("nginx", env=SHOP), f"add `{LINE}`", FILE)
    finally:
        write(site, SITE.replace("#LINE", LINE))


def test_a_shop_with_https(site, included):
    site.host.exec(MAKE)
    write(site, SECURE)
    words = "the site that serves JupyterLab has HTTPS: set lab.tls: theirs"
    refused(site.fab("verify", env=SHOP), words)
    out = well(site.fab("full", env=THEIRS))
    assert f"https://{NAME}{BASE}/lab" in out and "6*7 over the websocket is 42" in out
    nothing_to_change(site.fab("full", "--no-verify", env=THEIRS))
    base = f"https://{site.host.address}"
    with httpx.Client(base_url=base, headers={"Host": NAME}, verify=False, trust_env=False) as asks:
        cookies = asks.get(f"{BASE}/login").headers.get_list("Set-Cookie")
        assert cookies and all("Secure" in cookie for cookie in cookies)
        assert asks.get("/").headers["Strict-Transport-Security"] == "max-age=99"
        assert "Strict-Transport-Security" not in asks.get(f"{BASE}/login").headers
    write(site, SITE.replace("#LINE", LINE))


# --- and away again ----------------------------------------------------------------------------


def test_back_to_our_own_name_without_a_path(site, included, before):
    assert "6*7 over the websocket is 42" in well(site.fab("full", "--yes"))
    nothing_to_change(site.fab("full", "--no-verify"))
    assert Visitor(site).client.get("/lab").headers["Location"].startswith("/login?next=")
    assert Visitor(site, NAME, BASE).client.get("/login").status_code == 418  # the shop's own again
    assert shop(site) == before


def test_uninstall_leaves_the_shop_byte_for_byte(site, included, before):
    well(site.fab("full", "--no-verify", env=SHOP))
    files = theirs(site)
    out = well(site.fab("uninstall", env=SHOP))
    assert LINE in out  # it does nothing any more
    assert theirs(site) == files
    assert not site.infra.file("/etc/nginx/jupyterlab").exists
    assert not site.infra.file("/etc/nginx/conf.d/00-jupyterlab.conf").exists
    assert shop(site) == before
    site.host.exec("nginx -t 2>&1; systemctl restart nginx")
    assert shop(site) == before
