"""JupyterLab through SSH alone: a port of this machine, websockets, several at once."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager

import httpx
import pytest
import websocket
from notebook import Kernel
from outcomes import well
from refusals import refused
from servers import Server

from testbed.host import docker

pytestmark = pytest.mark.network

URL = re.compile(r"http://localhost:(\d+)/lab\?token=(\w{48})")


@pytest.fixture(scope="module")
def site(server):
    """A server with JupyterLab, and without Nginx, a name, or an open port but that of SSH."""
    site = server("tunnelled", settled=True)
    site.host.exec("systemctl stop nginx")
    return site


@pytest.fixture
def browser(tmp_path):
    """A browser that only notes what it is to open: the variable BROWSER, and its notes."""
    program, notes = tmp_path / "browser", tmp_path / "notes"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{notes}\n')
    program.chmod(0o755)
    return {"BROWSER": str(program)}, notes


@contextmanager
def tunnel(site, browser, *options: str, **settings: str):
    """`open --tunnel`, once it is there: the process, its port and the token."""
    env = browser[0] | settings
    with site.start("open", "--tunnel", *options, env=env, stdin=subprocess.DEVNULL) as running:
        seen = ""
        while not URL.search(seen):
            line = running.stdout.readline()
            assert line, seen + running.stderr.read()
            seen += line
        port, token = URL.search(seen).groups()
        try:
            yield running, int(port), token
        finally:
            running.send_signal(signal.SIGINT)
            try:
                running.wait(timeout=20)
            except subprocess.TimeoutExpired:
                running.kill()  # else leaving the block would wait for it
                raise


@contextmanager
def kernel(port: int, token: str):
    """A kernel, by the port of the tunnel, as a browser has it: cookies, and its own origin."""
    base = f"http://localhost:{port}"
    with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:
        assert client.get("/lab", params={"token": token}).status_code == 200
        assert client.get("/lab").status_code == 200  # by the cookie
        headers = {"X-XSRFToken": client.cookies["_xsrf"]}
        made = client.post("/api/kernels", headers=headers)
        assert made.status_code == 201, made.text
        name = made.json()["id"]
        wire = websocket.create_connection(
            f"ws://localhost:{port}/api/kernels/{name}/channels",
            cookie="; ".join(f"{key}={value}" for key, value in client.cookies.items()),
            origin=base,
            timeout=60,  # Jupyter answers when the kernel does, and some start slowly
            http_no_proxy=["*"],
        )
        wire.settimeout(5)
        try:
            yield Kernel(wire, name)
        finally:
            wire.close()
            client.delete(f"/api/kernels/{name}", headers=headers)


def test_the_browser_is_sent_there_and_a_kernel_computes_through_it(site, browser):
    with tunnel(site, browser) as (running, port, token), kernel(port, token) as mine:
        assert mine.run("6*7") == "42\ntext/plain"
        assert len(mine.run("print('x' * 500_000)")) == 500_001
    assert browser[1].read_text() == f"http://localhost:{port}/lab?token={token}\n"
    assert running.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_several_connections_at_once(site, browser):
    with (
        tunnel(site, browser) as (_, port, token),
        kernel(port, token) as one,
        kernel(port, token) as other,
    ):
        got, base = [], f"http://127.0.0.1:{port}/static/lab/"

        def fetch():
            got.append(httpx.get(base + "index.html", trust_env=False, timeout=60).status_code)

        threads = [threading.Thread(target=fetch) for _ in range(12)]
        for thread in threads:
            thread.start()
        assert (one.run("6*7"), other.run("'b'*2")) == ("42\ntext/plain", "'bb'\ntext/plain")
        for thread in threads:
            thread.join()
    assert len(got) == 12 and set(got) <= {200, 404}


def test_only_this_machine_reaches_the_port_and_one_that_is_taken_is_told(site, browser):
    with tunnel(site, browser) as (running, port, _):
        listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True).stdout
        assert [row.split()[3] for row in listening.splitlines() if f":{port} " in row] == [
            f"127.0.0.1:{port}"
        ]
        taken = site.fab("open", "--tunnel", "--port", str(port), env=browser[0])
    refused(taken, str(port), "--port")
    assert running.returncode == 0


def test_a_lost_connection_ends_it_with_a_clear_line(site, browser):
    with tunnel(site, browser) as (running, _, _):
        site.host.exec("pkill -u david sshd")
        running.wait(timeout=20)
        assert "the connection was lost" in running.stderr.read()
    assert running.returncode == 1


def test_a_stopped_one_is_told_at_once_or_by_the_page(site, browser):
    with tunnel(site, browser) as (_, port, token):
        well(site.fab("stop"))
        page = httpx.get(f"http://127.0.0.1:{port}/lab", trust_env=False, timeout=60)
        assert page.status_code == 502 and "fab -H" in page.text
        refused(site.fab("open", "--tunnel", env=browser[0]), "nothing answers", "start")
        well(site.fab("start"))
        with kernel(port, token) as mine:
            assert mine.run("6*7") == "42\ntext/plain"


def test_an_sshd_that_carries_nothing_is_told(site, browser):
    setting = "/etc/ssh/sshd_config.d/none.conf"
    # restarted, for a reload returns before sshd has read it
    site.host.exec(f"echo 'AllowStreamLocalForwarding no' >{setting}; systemctl restart ssh")
    done = site.fab("open", "--tunnel", env=browser[0])
    site.host.exec(f"rm {setting}; systemctl restart ssh")
    refused(done, "AllowStreamLocalForwarding")


def test_without_a_tunnel_the_browser_gets_the_sites_own_address(site, browser):
    out = well(site.fab("open", env=browser[0]))
    token = site.host.exec("cat /home/david/.jupyter/jupyterlab_token")
    assert out == browser[1].read_text() == f"http://jupyterlab.vmdomain.io/lab?token={token}\n"


def test_a_loopback_port_instead_of_a_socket(site, browser):
    env = {"FABRIC_LAB_PORT": "8890"}
    well(site.fab("full", "--no-verify", env=env))
    with tunnel(site, browser, **env) as (_, port, token), kernel(port, token) as mine:
        assert mine.run("6*7") == "42\ntext/plain"
    told = json.loads(well(site.fab("status", "--json", env=env)))
    assert told["kernels"] == [] and told["server"]
    well(site.fab("full", "--no-verify"))


ROOTS = """
import os, socket
path = "/run/roots.sock"
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
os.chmod(path, 0o600)
listener.listen()
open("/run/roots.ready", "w").close()
while True:
    wire, _ = listener.accept()
    open("/run/roots.asked", "a").write("asked\\n")
    wire.close()
"""


def test_with_roots_login_it_leads_only_where_the_user_may_go(site, browser, operator):
    site.host.exec("install -D -m 600 /home/david/.ssh/authorized_keys /root/.ssh/authorized_keys")
    docker("exec", "-d", site.host.container, "python3", "-c", ROOTS)
    root = Server(site.host, operator, "root")
    with tunnel(root, browser, FABRIC_LAB_USER="david") as (_, port, token):
        with (
            contextlib.ExitStack() as stack
        ):  # more at once than sshd has sessions for (MaxSessions)
            several = [stack.enter_context(kernel(port, token)) for _ in range(3)]
            idle = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                for _ in range(20)
            ]
            for wire in idle:
                wire.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert [mine.run("print(6 * 7)") for mine in several] == ["42\n"] * 3
            assert all(wire.recv(12) == b"HTTP/1.1 403" for wire in idle)
        site.host.exec(
            "timeout 10 sh -c 'until [ -e /run/roots.ready ]; do sleep 0.1; done'\n"
            "cd /run/jupyterlab; mv jupyter.sock kept\n"
            "runuser -u david -- ln -s /run/roots.sock jupyter.sock"
        )
        answer = httpx.get(f"http://localhost:{port}/api", trust_env=False, timeout=60)
        site.host.exec("cd /run/jupyterlab; rm jupyter.sock; mv kept jupyter.sock")
    assert answer.status_code == 502
    left = "ls -d /run/jupyterlab-tunnel-* 2>/dev/null"  # until sshd has ended it, in its own time
    ended = f"timeout 20 sh -c 'while {left}; do sleep 0.1; done' >/dev/null || true"
    assert site.host.exec(f"{ended}; {left} || echo gone") == "gone\n"
    assert site.host.exec("cat /run/roots.asked 2>/dev/null || echo nobody") == "nobody\n"
