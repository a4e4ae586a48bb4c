"""Attacks from the network on what Nginx and JupyterLab answer, without a login.

Each takes a server, however it was set up, and returns what it got: nothing when it failed.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time

import httpx
import laboratory as lab
import websocket
from laboratory import request, send


def answers_to_any_name(server) -> dict[str, str]:
    """By the bare address, an unknown name, none at all: who is not asked for hangs up."""
    names = (server.host.address, "localhost", "rebound.example.org", f"x.{lab.DOMAIN}")
    ways = {name: request("/lab", f"Host: {name}", method="GET") for name in names}
    ways["none"] = request("/lab", method="GET", version="1.0")
    answers = {name: send(server, text).partition("\r\n")[0] for name, text in ways.items()}
    return {name: line for name, line in answers.items() if line and " 400 " not in line}


BUNDLES = ("/static/lab", "/lab/extensions/@jupyter-notebook/lab-extension")
LISTS = ("/package.json", "/package.json?x=1", "/static/third-party-licenses.json")
LISTS += ("/package.json/", "/package.json//", "/package%2ejson/", "/./package.json/")
LISTS += ("/schemas/@jupyter-notebook/lab-extension/package.json.orig", "/install.json")


def tells_versions(server) -> list[str]:
    """What a scanner notes down: of Nginx, and of JupyterLab without a login."""
    pages = ["/login", "/api", "/api/", "/api?x=1", "//api", "/not-there", "/lab", "/..", "/%00"]
    pages += [bundle + name for bundle in BUNDLES for name in LISTS]
    pages += ["/static/lab/third-party-licenses.json", "/static/lab/build_log.json"]
    asked = [request(page, f"Host: {lab.DOMAIN}", method="GET") for page in pages]
    asked += [request("/", "Host: unknown", method="GET"), request("/", "Host: :/", method="GET")]
    text = "\n".join(send(server, one) for one in asked)
    told = set(re.findall(r'nginx/[\d.]+|Tornado\S*|"version(?:Info)?": "[\d.]+"', text))
    return sorted(told, reverse=True)[:9]


WANTED = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "frame-ancestors",
    "referrer-policy": "same-origin|no-referrer|strict-origin-when-cross-origin",
}


def leaves_headers_out(server) -> list[str]:
    """Headers that keep other sites from framing, sniffing and learning the URL with a token."""
    missing = set()
    asked = dict.fromkeys(("/login", "/api", lab.STYLE, "/lab/not"), (f"Host: {lab.DOMAIN}",))
    asked["/too-large"] = (f"Host: {lab.DOMAIN}", "Content-Length: 99999999999")  # Nginx's own page
    for page, headers in asked.items():
        answer = send(server, request(page, *headers, method="GET"))
        lines = answer.partition("\r\n\r\n")[0].split("\r\n")[1:]
        head = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])
        missing |= {f"{page}: {n}" for n, v in WANTED.items() if not re.search(v, head.get(n, ""))}
    return sorted(missing)


def sends_cookies_from_other_sites(server) -> list[str]:
    """Cookies without SameSite: a browser may send them along with another site's request."""
    _, answer = lab.log_in(server, lab.token(server))
    cookies = answer.headers.get_list("set-cookie")
    assert cookies
    cookies += lab.client(server).get("/login").headers.get_list("set-cookie")
    return [re.sub("=.*?; ", "=...; ", c, count=1) for c in cookies if "SameSite" not in c]


def opens_a_websocket_from_another_site(server) -> list[int]:
    """With the owner's cookie, as the owner's browser sends it."""
    visitor = lab.client(server)
    visitor.get("/lab", params={"token": lab.token(server)})
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    told = []
    for origin in ("http://evil.example.org", f"http://{lab.DOMAIN}.evil.org", "null"):
        try:
            wire = websocket.create_connection(
                f"ws://{server.host.address}/api/events/subscribe",
                host=lab.DOMAIN,
                origin=origin,
                cookie=cookies,
                timeout=60,
                http_no_proxy=["*"],
            )
            told.append(origin)
            wire.close()
        except websocket.WebSocketBadStatusException as refused:
            assert refused.status_code == 403, refused
    return told


def runs_a_files_script_as_the_owner(server) -> list[str]:
    """A downloaded page or picture, opened in the browser: in a sandbox it is nobody's."""
    api, script = lab.owner(server), "<script>fetch('/api/contents')</script>"
    told = []
    for name in ("evil.html", "evil.svg", "evil.xhtml"):
        file = {"type": "file", "format": "text", "content": script}
        assert api.put(f"/api/contents/{name}", json=file).is_success
        head = api.get(f"/files/{name}").headers
        policies = head.get_list("content-security-policy")
        attached = "attachment" in head.get("content-disposition", "")
        if not (attached or any("sandbox" in policy for policy in policies)):
            told.append(f"{name}: {policies}")
    return told


def fills_the_memory_without_a_login(server) -> str:
    """Bodies are held by JupyterLab before it asks who sends them: four of nearly 60 MB."""
    size, wires, before = 60 << 20, [], resident(server)
    head = request("/api/contents/x", f"Host: {lab.DOMAIN}", f"Content-Length: {size}")
    for _ in range(4):
        wires.append(wire := socket.create_connection((server.host.address, 80), timeout=3))
        with contextlib.suppress(OSError):  # hung up on, or listened to no longer
            wire.sendall(head.encode() + b"x" * (size - 1))
    time.sleep(1)
    grown = resident(server) - before
    for wire in wires:
        wire.close()
    return f"{grown >> 20} MB" if grown > size else ""


def resident(server) -> int:
    """The memory of JupyterLab's own process, in bytes."""
    process = "$(systemctl show jupyterlab -p MainPID --value)"
    return 1024 * int(server.host.exec(f"awk '/VmRSS/ {{ print $2 }}' /proc/{process}/status"))
