"""A JupyterLab behind Nginx, however it was set up: its token, its kernels, its logins."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager

import httpx
from notebook import Notebook
from visitor import DOMAIN, Visitor

STYLE = "/static/style/bootstrap.min.css"  # answered to anybody
PATIENCE = 60  # seconds for a start, or for a limit on logins to let one through


def token(server) -> str:
    """The token of the running server, as root finds it."""
    listed = "ls -t $(find /home /run -name 'jpserver-*.json' 2>/dev/null) | head -1"
    return json.loads(server.host.exec(f'cat "$({listed})"'))["token"]


def client(server, domain: str = DOMAIN, **headers: str) -> httpx.Client:
    """A new visitor's client, with no cookie."""
    visitor = Visitor(server, domain).client
    visitor.headers.update(headers)
    return visitor


def owner(server) -> httpx.Client:
    """A client that is let in everywhere."""
    return client(server, Authorization=f"token {token(server)}")


def wait_up(server) -> None:
    """Wait until Nginx reaches JupyterLab."""
    deadline = time.monotonic() + PATIENCE
    while client(server).get("/login").status_code != 200:
        assert time.monotonic() < deadline, "JupyterLab does not come up"
        time.sleep(0.5)


def restart(server) -> None:
    """Restart the service, and wait for it."""
    server.host.exec("systemctl restart jupyterlab")
    wait_up(server)


def form(visitor: httpx.Client, secret: str) -> dict[str, str]:
    """The login page's form, filled in."""
    if "_xsrf" not in visitor.cookies:
        visitor.get("/login")
    return {"_xsrf": visitor.cookies["_xsrf"], "password": secret}


def log_in(server, secret: str, **more: str) -> tuple[bool, httpx.Response]:
    """Log in on the page, as patiently as a limit wants it.

    :param more: further fields of the form.
    """
    visitor, deadline = client(server), time.monotonic() + PATIENCE
    while True:
        answer = visitor.post("/login", data={**form(visitor, secret), **more})
        if answer.status_code != 429 or time.monotonic() > deadline:
            return answer.status_code == 302, answer
        time.sleep(2)


@contextmanager
def kernel(server):
    """A kernel of the owner's: gives a function that runs code in it and returns what it prints."""
    with Notebook(server.host, token(server)).kernel() as started:
        yield started.run


def request(path: str, *headers: str, method: str = "POST", version: str = "1.1", body: str = ""):
    """The bytes of a request, as no client would send it."""
    lines = [f"{method} {path} HTTP/{version}", "Connection: close", *headers]
    if body and not any(header.startswith("Transfer") for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "Content-Type: application/x-www-form-urlencoded", "", body])


def send(server, text: str) -> str:
    """What the server answers to these bytes; empty when it hangs up."""
    with socket.create_connection((server.host.address, 80), timeout=30) as wire:
        wire.sendall(text.encode())
        return wire.makefile("rb").read().decode(errors="replace")


def status(answer: str) -> str:
    """The number in an answer's first line."""
    return answer.split(" ", 2)[1] if answer.startswith("HTTP/") else ""
