"""A server that works, until something breaks: what serves goes on serving, and is mended."""

import contextlib
import http.client
import re
from contextlib import contextmanager

import pytest
from refusals import refused
from surgery import listener, nginx_with

pytestmark = pytest.mark.diagnosis

DOMAIN = "jupyterlab.vmdomain.io"
SITE = "/etc/nginx/sites-available/jupyterlab"
ENABLED = "/etc/nginx/sites-enabled/zz-jupyterlab"
VENV = "/home/david/project/venv"


@pytest.fixture(scope="module")
def broken(server):
    made = server("broken", settled=True)
    done = made.fab("full")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def status(server, port: int = 80) -> int:
    """What Nginx answers to a visitor who asks for /lab."""
    wire = http.client.HTTPConnection(server.host.address, port, timeout=10)
    with contextlib.closing(wire):
        wire.request("GET", "/lab", headers={"Host": DOMAIN})
        return wire.getresponse().status


# --- what was good goes on serving -------------------------------------------------------------


def test_a_site_that_nginx_rejects(broken):
    shape = f"md5sum {SITE}; stat -c '%y %a %U' {SITE}"
    former, wanted = broken.host.exec(shape), {"FABRIC_LAB_UPLOAD_LIMIT": "65m"}
    with nginx_with(broken.host, "/etc/nginx/sites-enabled/other", "no_such_word on;"):
        done = broken.fab("nginx", env=wanted)
        refused(done, "[emerg]", 'unknown directive "no_such_word"', "sites-enabled/other", "fix")
        assert broken.host.exec(shape) == former
        assert status(broken) == 302
    done = broken.fab("nginx", env=wanted)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "client_max_body_size 65m;" in broken.host.exec("nginx -T 2>/dev/null")
    assert broken.fab("nginx").returncode == 0
    assert broken.host.exec(shape).split()[0] == former.split()[0]


PORTS = {
    "web": ("nginx", "FABRIC_LAB_HTTP_PORT", "lab.http_port"),
    "jupyter": ("full", "FABRIC_LAB_PORT", "lab.port"),
}


@pytest.mark.parametrize(("task", "variable", "setting"), PORTS.values(), ids=PORTS)
def test_a_new_port_taken_by_another_program(broken, task, variable, setting):
    try:
        with listener(broken.host, 8899):
            done = broken.fab(task, env={variable: "8899"})
        refused(done, "port 8899 is taken by systemd-socket", "stop that program", setting)
        assert status(broken) == 302
    finally:
        broken.fab("full")


@contextmanager
def jupyterlab_that_dies(broken):
    """Break the program itself, and have it needed anew."""
    start = f"{VENV}/lib/python3.*/site-packages/jupyterlab/__init__.py"
    broken.host.exec(f"cp -a {start} /root/start; sed -i '1i raise SystemExit(\"broken\")' {start}")
    broken.host.exec("touch /home/david/.jupyter/jupyterlab_token")
    try:
        yield
    finally:
        broken.host.exec(f"cp -a /root/start {start}")


def test_a_jupyterlab_that_does_not_come_up(broken):
    with jupyterlab_that_dies(broken):
        done = broken.fab("systemd")
        refused(done, "jupyterlab.service", "does not answer", "journal", "run again")
        assert re.search(r"^  \| broken$", done.stdout, re.M), done.stdout
        again = broken.fab("systemd")  # not one that is found running between two restarts
        refused(again, "does not answer")
    done = broken.fab("systemd")
    assert done.returncode == 0, done.stdout + done.stderr
    assert broken.infra.service("jupyterlab").is_running


def test_a_token_that_everybody_can_read(broken):
    broken.host.exec("chmod 0644 /home/david/.jupyter/jupyterlab_token")
    done = broken.fab("full")
    assert done.returncode == 0, done.stdout + done.stderr
    token = broken.infra.file("/home/david/.jupyter/jupyterlab_token")
    assert token.mode == 0o600
    assert token.size == 48  # no line end: it would belong to the token


# --- verify names what is broken, and what it names mends it -----------------------------------

BREAK = {
    "jupyter stopped": (
        "systemctl stop jupyterlab",
        ("JupyterLab itself", "JupyterLab is not running", "start"),
    ),
    "nginx stopped": (
        "systemctl stop nginx",
        ("Nginx on the server", "Nginx is not running", "nginx"),
    ),
    "upgrade stripped": (
        f"sed -i '/Upgrade/d' {SITE}; nginx -s reload; sleep 1",
        ("Nginx on the server", "websocket", "Upgrade headers do not reach JupyterLab", "nginx"),
    ),
    "site removed": (
        f"rm {ENABLED}; nginx -s reload; sleep 1",
        ("Nginx on the server", "Nginx is not running, or listens on another port", "nginx"),
    ),
    "another site in its place": (
        f"rm {ENABLED}; ln -s ../sites-available/default /etc/nginx/sites-enabled/\n"
        "nginx -s reload; sleep 1",
        ("Nginx on the server", "another site on this server answers", "nginx"),
    ),
    "token changed": (
        "printf another >/home/david/.jupyter/jupyterlab_token",
        ("Nginx on the server", "JupyterLab runs with another token", "systemd"),
    ),
    "socket closed": (
        "chmod 0700 /run/jupyterlab",
        ("Nginx on the server", "Nginx has no permission to open JupyterLab's socket", "systemd"),
    ),
    "kernel missing": (
        f"mv {VENV}/lib/python3*/site-packages/ipykernel /root/",
        ("Nginx on the server", "the venv is damaged", "jupyter --anew"),
    ),
}


@pytest.mark.parametrize(("harm", "words"), BREAK.values(), ids=BREAK)
def test_verify_names_hop_cause_and_remedy(broken, harm, words):
    *words, task = words
    broken.host.exec(harm)
    try:
        done = broken.fab("verify")
        refused(done, *words, f"fab -H {broken.target} {task}")
        mended = broken.fab(*task.split())
        assert mended.returncode == 0, mended.stdout + mended.stderr
        proof = broken.fab("verify")
        assert proof.returncode == 0, f"{task} did not mend it:\n{proof.stdout + proof.stderr}"
    finally:
        kernel = f"mv /root/ipykernel {VENV}/lib/python3*/site-packages/"
        made_anew = f"ls -d {VENV}/lib/python3*/site-packages/ipykernel >/dev/null 2>&1"
        broken.host.exec(f"{made_anew} && rm -rf /root/ipykernel || true")
        broken.host.exec(f"[ ! -e /root/ipykernel ] || {kernel}")
        broken.host.exec("rm -f /home/david/.jupyter/jupyterlab_token")  # a new one, and a restart
        broken.fab("full", "--no-verify")


def test_verify_with_another_password_and_its_remedy(broken):
    env = {"LAB_PASSWORD": "correct horse"}
    refused(
        broken.fab("verify", env=env),
        "LAB_PASSWORD is not the password that is set",
        f"fab -H {broken.target} password",
    )
    assert broken.fab("password", env=env).returncode == 0
    assert broken.fab("verify", env=env).returncode == 0
    done = broken.fab("verify", env={"LAB_PASSWORD": "wr0ng"})
    refused(done, "LAB_PASSWORD is not the password that is set")
    assert "wr0ng" not in done.stdout + done.stderr


def test_verify_when_another_site_has_the_name(broken):
    other = f"server {{ listen 80; server_name {DOMAIN}; return 200 other; }}"
    with nginx_with(broken.host, "/etc/nginx/conf.d/other.conf", other):
        refused(broken.fab("verify"), "Nginx on the server", "another site")
