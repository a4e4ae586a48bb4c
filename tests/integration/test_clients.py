"""Clients of others reach JupyterLab through Nginx by base URL and token, with a private CA."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import websocket
from outcomes import well
from servers import ELSEWHERE
from visitor import DOMAIN

from testbed.machine import ROOT, STATE

pytestmark = pytest.mark.network

WANTED = ROOT / "tests" / "integration" / "clients.txt"
VENV = STATE / "clients"
ADDED = "jupyter-collaboration jupyterlab-lsp python-lsp-server"
URL = f"https://{DOMAIN}"

# a cell, a variable that stays, an error: what a notebook needs
CELLS = """
import sys
from jupyter_kernel_client import JupyterKernelClient
with JupyterKernelClient(server_url=sys.argv[1], token=sys.argv[2]) as kernel:
    for code in ("x = 6", "print(x * 7)", "x / 0"):
        print(kernel.execute(code, timeout=60)["outputs"])
"""
TOGETHER = """
import asyncio, sys
from jupyter_nbmodel_client import NbModelClient, get_jupyter_notebook_websocket_url
def meet():
    return NbModelClient(get_jupyter_notebook_websocket_url(sys.argv[1], "both.ipynb", sys.argv[2]))
async def main():
    async with meet() as one, meet() as other:
        one.add_code_cell("written by one")
        async with asyncio.timeout(20):
            while "written by one" not in [cell["source"] for cell in other]:
                await asyncio.sleep(0.1)
        print("read by the other")
asyncio.run(main())
"""
BOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


@pytest.fixture(scope="module")
def python():
    """The Python of a venv with the clients, made once for each list of them."""
    mark = VENV / "made-of.txt"
    if not mark.exists() or mark.read_text() != WANTED.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        pip = [VENV / "bin" / "pip", "install", "--quiet", "--requirement", WANTED]
        subprocess.run(pip, check=True)
        mark.write_text(WANTED.read_text())
    return VENV / "bin" / "python"


@pytest.fixture(scope="module")
def site(servers, tmp_path_factory):
    """A server by HTTPS with what is added for working together, and a language server."""
    (site,) = servers("clients", settled=True)
    site.ca = tmp_path_factory.mktemp("ca")
    env = {"FABRIC_LAB_TLS": "self-signed", "FABRIC_LAB_CA_FOLDER": str(site.ca)}
    well(site.fab("full", "--no-verify", env=env))
    well(site.fab("packages", "--add", ADDED, env=env))
    well(site.fab("restart", env=env))
    site.token = well(site.fab("token", env=env)).strip().partition("token=")[2]
    return site


@pytest.fixture
def run(site, python, tmp_path):
    """Give a function: runs a program of the clients' Python where the name leads to the server."""
    hosts, ca = tmp_path / "hosts", str(site.ca / "ca.pem")
    hosts.write_text(f"127.0.0.1 localhost\n{site.host.address} {DOMAIN}\n")
    there = ["unshare", "--mount", "sh", "-c", ELSEWHERE, "sh", hosts, python]
    env = {**os.environ, "SSL_CERT_FILE": ca, "REQUESTS_CA_BUNDLE": ca, "NO_PROXY": DOMAIN}
    env.pop("SSL_CERT_DIR", None)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*there, *arguments], env=env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_kernel_client_runs_cells(site, run):
    none, answer, error = run("-c", CELLS, URL, site.token).splitlines()
    assert none == "[]" and "42\\n" in answer and "ZeroDivisionError" in error


def test_two_write_into_one_notebook(site, run):
    path = "/home/david/project/both.ipynb"
    site.host.exec(f"echo '{BOOK}' >{path}; chown david: {path}")
    assert run("-c", TOGETHER, URL, site.token) == "read by the other\n"


def test_a_language_server_completes(site):
    wire = websocket.create_connection(
        f"wss://{site.host.address}/lsp/ws/pylsp?token={site.token}",
        host=DOMAIN,
        origin=URL,
        timeout=30,
        sslopt={"ca_certs": str(site.ca / "ca.pem"), "server_hostname": DOMAIN},
        http_no_proxy=["*"],
    )

    def ask(number: int | None, method: str, **params):
        asked = {"jsonrpc": "2.0", "method": method, "params": params}
        wire.send(json.dumps(asked if number is None else {**asked, "id": number}))
        while number is not None:
            told = json.loads(wire.recv())
            if told.get("id") == number and "method" not in told:
                return told["result"]

    started = ask(1, "initialize", processId=None, rootUri=None, capabilities={})
    assert "completionProvider" in started["capabilities"]
    ask(None, "initialized")
    file = {"uri": "file:///home/david/project/a.py", "languageId": "python", "version": 1}
    ask(None, "textDocument/didOpen", textDocument={**file, "text": "import os\nos.getc"})
    found = ask(2, "textDocument/completion", textDocument={"uri": file["uri"]},
                position={"line": 1, "character": 7})  # fmt: skip
    wire.close()
    assert "getcwd" in str(found)
