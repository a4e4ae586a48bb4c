"""What a stranger gets through Nginx, and what the user's own server gets out of Nginx."""

import contextlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from shlex import quote

import attacks_network
import pytest
from laboratory import client, owner, request, send, status, token, wait_up
from notebook import Notebook
from outcomes import well
from visitor import DOMAIN

pytestmark = [pytest.mark.security, pytest.mark.debian]

NAMED = f"Host: {DOMAIN}"
FEW = 24  # connections at once; the setting's default takes long to try
LIMIT = {"FABRIC_LAB_CONNECTION_LIMIT": str(FEW)}
PATIENCE = 15  # seconds that Nginx waits for the rest of a request's head


@pytest.fixture(scope="module")
def site(servers):
    """A server with a limit that is soon reached."""
    (made,) = servers("strangers", settled=True)
    well(made.fab("nginx", env=LIMIT))
    wait_up(made)
    return made


def held(site, text: str) -> socket.socket:
    """Send this, and keep the connection."""
    wire = socket.create_connection((site.host.address, 80), timeout=30)
    wire.sendall(text.encode())
    return wire


def asked(site, path: str, *headers: str, method: str = "GET", body: str = "") -> str:
    """The whole answer to one request, whose path no client has tidied."""
    return send(site, request(path, NAMED, *headers, method=method, body=body))


def journal(site, since: str) -> str:
    """All that JupyterLab has logged since then, as it came."""
    return site.host.exec(
        f"journalctl --sync || true; journalctl -q -a -o cat -u jupyterlab --since=@{since}"
    )


def now(site) -> str:
    return site.host.exec("date +%s.%N").strip()


# --- a path that Nginx and JupyterLab read differently -------------------------------------------


CROOKED = (
    "/../lab",
    "/x/..",
    "/%2e%2e/lab",
    "/proxy/8097/..%2f..%2flab",
    "/proxy/8097/%2e%2e%2f%2E%2E%2Fstatic/lab/x.0123456789abcdef.js",
    "/proxy/8097/..%2f..%2fstatic/x",
    "/proxy/8097/..%2f..%2fapi",
    "/x/..%2Fapi/contents",
)


@pytest.mark.parametrize("path", CROOKED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_with_a_step_back_is_refused_also_to_the_owner(site, path, method):
    mine = f"Authorization: token {token(site)}"
    assert status(asked(site, path, mine, method=method)) == "400"
    chunked = "Transfer-Encoding: chunked"  # of unknown size, which is for who is logged in
    assert status(asked(site, path, mine, chunked, method=method, body="0\r\n\r\n")) == "400"


@pytest.mark.parametrize("name", ["a..b", "..x", "x..", "...", "100%", "a b", "ä%2f..", "q?x#y"])
def test_an_odd_name_is_no_crooked_path(site, name):
    notebook = Notebook(site.host)
    path = "contents/" + "".join(f"%{byte:02X}" for byte in name.encode())
    if name.startswith(".."):  # what is hidden may not be made; it is said by JupyterLab
        with pytest.raises(AssertionError, match=r": 40[04] \{"):
            notebook.ask("PUT", path, type="file", format="text", content="x")
        return
    notebook.ask("PUT", path, type="file", format="text", content="x")
    assert notebook.ask("GET", path)["name"] == name
    notebook.ask("DELETE", path)


def test_a_setting_with_a_slash_in_its_name_is_read_and_written(site):
    mine = owner(site)
    for slash in ("/", "%2F"):
        there = f"/lab/api/settings/@jupyterlab{slash}apputils-extension:themes"
        assert mine.get(there).json()["id"] == "@jupyterlab/apputils-extension:themes"
    assert mine.put(there, json={"raw": '{"theme": "JupyterLab Dark"}'}).status_code == 204
    wrong = mine.put(there, json={"raw": '{"theme": 1}'}, headers={"Accept-Encoding": "gzip"})
    assert wrong.status_code == 400 and "Failed validating" in wrong.json()["message"]


OTHERS = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, self.headers.get("Cookie"), file=sys.stderr, flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"by another user")
http.server.HTTPServer(("127.0.0.1", 8097), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def clustered(site):
    """A site that thinks it has a worker, and thus a way to ports; at one listens another user."""
    members = "/var/lib/jupyterlab-fab/cluster"
    site.host.exec(
        "runuser -u david -- /home/david/project/venv/bin/pip install -q jupyter-server-proxy\n"
        "systemctl restart jupyterlab; useradd other\n"
        f"printf '%s\\n' {quote(OTHERS)} >/srv/others.py; echo '10.9.8.7 w1' >{members}\n"
        "systemd-run -q --uid=other --unit=others python3 /srv/others.py"
    )
    well(site.fab("nginx", env=LIMIT))
    wait_up(site)
    yield site
    site.host.exec(f"rm {members}; systemctl stop others")
    well(site.fab("nginx", "--yes", env=LIMIT))


@pytest.mark.parametrize(
    "path",
    [
        "/proxy/8097/",
        "//proxy/8097/",
        "/proxy/8097/..%2f..%2flab",
        "/proxy/8097/..%2f..%2fapi",
        "/proxy/8097/..%2f..%2fstatic/x",
        "/proxy/8097/..%2f..%2fstatic/lab/x.0123456789abcdef.js",
        "/proxy/8097/%2e%2e/%2e%2e/lab/api/settings",
    ],
)
def test_another_users_server_gets_neither_the_origin_nor_the_cookie(clustered, path):
    visitor = client(clustered)
    visitor.get("/lab", params={"token": token(clustered)})
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    answer = asked(clustered, path, f"Cookie: {cookies}")
    assert status(answer) in ("400", "404") and "by another user" not in answer
    assert "username" not in clustered.host.exec("journalctl -q -u others -o cat")


# --- what is said to a stranger ------------------------------------------------------------------


PAGES = (
    *("/static/NAME", "/static/lab/NAME.js", "/lab/extensions/NAME", "/lab/api/themes/NAME"),
    *("/lab/api/themes/", "/lab/api/settings//NAME%0a", "/static/lab/%FF-NAME"),
    *("/static/lab/NAME.0123456789abcdef.js", "/lab/extensions/NAME/static/0123456789abcdef.js"),
)


@pytest.mark.parametrize("page", PAGES)
def test_no_page_with_the_token_is_compressed(site, page):
    """The owner's browser is led to it by a stranger, who sees how long the answer is (BREACH)."""
    mine = f"Authorization: token {token(site)}"
    for word in ("word", token(site)):
        answer = asked(site, page.replace("NAME", word), mine, "Accept-Encoding: gzip")
        head, _, body = answer.partition("\r\n\r\n")
        assert status(answer) in ("400", "404"), head
        assert "gzip" not in head and "jupyter" not in body.lower()
        assert word not in body and token(site) not in body


def test_only_programs_tell_versions(site):
    """No other file that pages are made of says one to anybody."""
    share = "/home/david/project/venv/share/jupyter"
    listed = site.host.exec(
        f"cd {share}; find -L lab/static labextensions -type f ! -name '*.js' ! -name '*.css' "
        "! -name '*.woff*' ! -name '*.svg' ! -name '*.ttf' ! -name '*.eot'"
    ).split()
    assert len(listed) > 8
    told = []
    for path in listed:
        path = re.sub("^lab/static", "/static/lab", re.sub("^labext", "/lab/ext", path))
        for spelled in (path, path + "/", path.replace(".json", "%2Ejson"), path.upper()):
            answer = asked(site, spelled)
            if re.search(r'"version": ?"|"packageName"|staging/node_modules', answer):
                told.append(spelled)
    assert told == []
    assert attacks_network.tells_versions(site) == []


def test_a_stranger_who_asks_for_licenses_gets_an_answer(site):
    """Of JupyterLab none ever comes, and the connection is held for a day."""
    began = time.monotonic()
    assert status(asked(site, "/lab/api/licenses/")) == "403"
    assert time.monotonic() - began < 5
    assert "bundles" in owner(site).get("/lab/api/licenses/").json()


def test_a_scheme_that_a_client_makes_up_is_not_believed(site):
    answer = asked(site, f"/lab?token={token(site)}", "X-Scheme: https")
    assert "username" in answer and "Secure" not in answer


# --- what a stranger's words, and a token, leave in the journal ----------------------------------


def test_a_browsers_report_is_not_for_the_journal(site):
    since, secret = now(site), "5ec2e7" * 8
    report = f'{{"csp-report": {{"document-uri": "http://{DOMAIN}/lab?token={secret}"}}}}'
    for mine in ("X: y", f"Authorization: token {token(site)}"):
        answer = asked(site, "/api/security/csp-report", mine, method="POST", body=report)
        assert status(answer) == "204"
    assert secret not in journal(site, since)


def test_no_error_writes_the_token_of_its_address(site):
    since, mine = now(site), token(site)
    paths = (
        *("/view/none", "/api/contents/none", "/api/kernelspecs/none", "/nbconvert/bad/none"),
        *("/api/terminals/none", "/api/contents/%ff", "/%ff", "/lab/api/settings/none", "/none"),
    )
    for path in paths:
        for method in ("GET", "PUT", "DELETE"):
            asked(site, f"{path}?token={mine}", method=method)
            asked(site, f"{path}?x=%3Ftoken={mine}&token=wrong{mine}", method=method)
    said = journal(site, since)
    assert all(path in said for path in paths) and mine not in said


# --- how much a stranger may take ----------------------------------------------------------------


def test_bodies_of_strangers_are_not_held(site):
    """Each is nearly a megabyte, and not ended."""
    before = attacks_network.resident(site)
    head = request("/api/contents/x", NAMED, "Content-Length: 999000").replace(
        "close", "keep-alive"
    )
    with ThreadPoolExecutor(8) as pool:
        wires = list(pool.map(lambda _: pour(site, head), range(100)))
    time.sleep(1)
    grown = attacks_network.resident(site) - before
    for wire in wires:
        wire.close()
    wait_up(site)  # Nginx still counts them for a moment
    assert grown < 10 << 20, f"{grown >> 20} MB"


def pour(site, head: str) -> socket.socket:
    """Begin a request, and send all of its body but the last byte."""
    wire = held(site, head)
    with contextlib.suppress(OSError):  # it has been answered already
        wire.sendall(b"x" * 998999)
    return wire


def test_who_is_logged_in_saves_what_is_large(site):
    notebook, text = Notebook(site.host), "0123456789" * 20000
    saved = notebook.ask("PUT", "contents/large.txt", type="file", format="text", content=text)
    assert saved["size"] == len(text)
    notebook.ask("DELETE", "contents/large.txt")


def test_one_address_holds_no_more_than_its_share(site):
    """Whoever asks for much and reads nothing, while another address is served."""
    style = "GET /static/style/bootstrap.min.css.map HTTP/1.1"
    open_ones = "ss -Htn state established state close-wait sport = :80"
    free = f'until [ -z "$({open_ones})" ]; do sleep 0.1; done'
    site.host.exec(f"timeout 90 sh -c {quote(free)}")  # of what went before
    wires = [socket.socket() for _ in range(2 * FEW)]
    with contextlib.ExitStack() as closing:
        for wire in wires:
            closing.enter_context(wire)
        hold_to_the_limit(site, wires, style)
    deadline = time.monotonic() + 10
    while client(site).get("/login").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def hold_to_the_limit(site, wires, style: str) -> None:
    """Ask for much on each of the connections: as many as may be are served."""
    for wire in wires:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        wire.settimeout(30)
        wire.connect((site.host.address, 80))
        wire.sendall(f"{style}\r\n{NAMED}\r\n\r\n".encode())
    answers = [wire.recv(12).decode() for wire in wires]
    assert answers.count("HTTP/1.1 200") == FEW
    assert answers.count("HTTP/1.1 429") == FEW
    assert client(site).get("/login").status_code == 429
    curl = f"curl -s -o /dev/null -w '%{{http_code}}' -H '{NAMED}' http://127.0.0.1/login"
    assert site.host.exec(curl) == "200"


def test_a_request_that_never_ends_is_given_up(site):
    wires = [held(site, f"GET /login HTTP/1.1\r\n{NAMED}\r\nX: ") for _ in range(20)]
    deadline = time.monotonic() + PATIENCE + 20  # far less than the minute that is Nginx's own
    for wire in wires:
        wire.settimeout(max(0.1, deadline - time.monotonic()))
        assert wire.recv(1) == b""
        wire.close()


# --- what the user's own server makes of Nginx: from here on there is no other ---------------


SHOP = {
    "FABRIC_LAB_SITE": "include",
    "FABRIC_LAB_DOMAIN": "shop.example.org",
    "FABRIC_LAB_BASE_PATH": "/jupyter",
}
NEIGHBOUR = """
server {
    listen 80 default_server;
    server_name shop.example.org;
    location /private/ { internal; alias /srv/private/; }
    include /etc/nginx/jupyterlab/*.conf;
}
"""
STEERING = """
import os, socketserver
ANSWER = "\\r\\n".join([
    "HTTP/1.1 200 OK", "Content-Length: 4", "Connection: close",
    "X-Accel-Redirect: /private/secret",
    "Strict-Transport-Security: max-age=99", "Service-Worker-Allowed: /", "Alt-Svc: clear",
    'Clear-Site-Data: "*"', "", "mine"])
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().strip():
            pass
        self.wfile.write(ANSWER.encode())
os.umask(0o007)
socketserver.ThreadingUnixStreamServer("/run/jupyterlab/jupyter.sock", Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def steering(site):
    """In a shop with files for itself alone, a server in JupyterLab's place that wants them."""
    site.host.exec(
        "mkdir -p /srv/private; echo confidential >/srv/private/secret\n"
        f"printf '%s\\n' {quote(NEIGHBOUR)} >/etc/nginx/sites-enabled/shop\n"
        f"printf '%s\\n' {quote(STEERING)} >/srv/steering.py"
    )
    well(site.fab("nginx", env={**SHOP, **LIMIT}))
    site.host.exec(
        "systemctl stop jupyterlab; rm -f /run/jupyterlab/jupyter.sock\n"
        "systemd-run -q --uid=david --unit=steering python3 /srv/steering.py\n"
        "timeout 60 sh -c 'until curl -s --unix-socket /run/jupyterlab/jupyter.sock http://x/\n"
        "do sleep 0.1; done'"
    )
    return site


@pytest.mark.parametrize("path", ["/jupyter/lab", "/jupyter/static/x", "/jupyter/lab/api/themes/x"])
def test_the_users_server_gets_nothing_of_the_neighbours_and_says_nothing_for_them(steering, path):
    answer = send(steering, request(path, "Host: shop.example.org", method="GET"))
    assert answer.endswith("mine"), answer
    head = answer.lower()
    for name in ("x-accel", "strict-transport", "service-worker", "alt-svc", "clear-site-data"):
        assert name not in head
