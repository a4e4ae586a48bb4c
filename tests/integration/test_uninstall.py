"""What the project put on a server goes, and only that."""

import re
import subprocess
import threading
import time

import httpx
import pytest
from census import census, differences
from notebook import Notebook
from outcomes import well
from refusals import refused, state
from surgery import KILL_ALL
from visitor import accepted

pytestmark = [pytest.mark.lifecycle, pytest.mark.debian]

SECRET = {"LAB_PASSWORD": "soon forgotten"}
# As after an upgrade, with a second kernel.
UPGRADED = """
cd ~/project && mkdir -p .venvs .kernels/r
mv venv .venvs/1 && ln -s .venvs/1 venv && ln -s 1 .venvs/previous && touch .kernels/r/x
"""
NOTEBOOK = "/home/david/project/mine.ipynb"


def kill_during(server, task: list[str], moment: str, **options) -> None:
    """Start a task and kill all that it runs as root, at a moment that a shell condition tells."""
    client = server.start(*task, stdin=subprocess.DEVNULL, **options)
    try:
        server.host.exec(f"timeout 240 sh -c 'until {moment}; do sleep 0.02; done'")
        server.host.exec(KILL_ALL)
    finally:
        client.communicate(timeout=60)
    assert client.returncode == 1


# --- a bare server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def left(servers):
    (made,) = servers("left")
    return made


@pytest.fixture(scope="module")
def bare(left):
    """What was there before."""
    return census(left)


@pytest.fixture(scope="module")
def used(left, bare):
    """After a `full` that was killed, one that was not, a login, a cell, and a notebook."""
    kill_during(left, ["full"], "grep -q nodejs /var/lib/jupyterlab-fab/made", env=SECRET)
    well(left.fab("full", env=SECRET))
    assert accepted(left, SECRET["LAB_PASSWORD"])
    notebook = Notebook(left.host)
    assert notebook.cell("print(6*7)") == "42\n"
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
    notebook.ask("PUT", "contents/mine.ipynb", type="notebook", content=content)
    left.host.exec(f"su david -c '{UPGRADED}'")
    beside = "".join(f"path /home/david/project/{name}\\n" for name in (".venvs", ".kernels"))
    left.host.exec(f"printf '{beside}' >>/var/lib/jupyterlab-fab/made")
    return left.host.exec(f"sha256sum {NOTEBOOK}")


def test_a_server_that_never_had_it_is_left_alone(left, bare):
    assert well(left.fab("uninstall")).strip().endswith("nothing of this project is there")
    assert differences(bare, census(left)) == []


def test_purge_is_refused_where_nobody_can_be_asked(left, bare):
    refused(left.fab("uninstall", "--purge"), "--yes")


def test_dry_tells_and_changes_nothing(left, bare, used):
    before = state(left)
    out = well(left.fab("--dry", "uninstall"))
    assert re.search(r"would remove \d\d packages", out) and "jupyterlab.service" in out
    assert "/home/david/project: it has 1 file from you; --purge removes them, too" in out
    assert state(left) == before


def test_killed_half_way_the_next_goes_on_and_leaves_the_notebook_alone(left, bare, used):
    kill_during(left, ["uninstall"], "! test -e /usr/bin/node")
    out = well(left.fab("uninstall"))
    assert "the last run did not finish" in out
    mine = r"path \./home/david/project (d .*)?", rf"(path|content) \.{NOTEBOOK} .*"
    checkpoint = r"(path|content) \./home/david/project/\.ipynb_checkpoints.*"
    assert differences(bare, census(left), *mine, checkpoint) == []
    assert left.host.exec(f"sha256sum {NOTEBOOK}") == used
    assert (left.operator.home / "hosts").read_text() == "127.0.0.1\tlocalhost\n"


def test_a_second_one_finds_nothing(left, bare, used):
    assert "nothing of this project is there" in well(left.fab("uninstall"))


def test_with_everything_on_and_purge_it_is_as_bare_as_before(left, bare, used, tmp_path):
    left.host.exec("rm -r /home/david/project")
    env = {"FABRIC_LAB_TLS": "self-signed", "FABRIC_LAB_CA_FOLDER": str(tmp_path)}
    env |= {"FABRIC_LAB_FAIL2BAN": "true", "FABRIC_LAB_SANDBOX": "strict"}
    well(left.fab("full", "--no-verify", env=env))
    left.host.exec("su david -c 'echo x >~/project/x; mkdir -p ~/.jupyter/lab/user-settings/y'")
    well(left.fab("uninstall", "--purge", "--yes", env=env))
    assert differences(bare, census(left)) == []


# --- one that others use, too ------------------------------------------------------------------

LAB = {"FABRIC_LAB_USER": "john.doe", "FABRIC_LAB_PROJECT": "/data/lab", "FABRIC_LAB_PORT": "8899"}
HOME = "/srv/people/john.doe"
THEIRS = rf"""
apt-get update -qq
apt-get install -qqy --no-install-recommends nginx 2>&1
cd /etc/nginx
answer() {{ echo "server {{ listen 80; server_name $1.example.org; return 200 $1; }}"; }}
answer shop >sites-available/shop
answer own >sites-available/jupyterlab
ln -s ../sites-available/shop ../sites-available/jupyterlab sites-enabled/
systemctl restart nginx
install -d -o john.doe -g staff2 -m 0755 {HOME}/.jupyter
echo '# mine' >{HOME}/.jupyter/jupyter_lab_config.py
chown john.doe:staff2 {HOME}/.jupyter/*; chmod 0640 {HOME}/.jupyter/*
"""
TOOL = """
mkdir -p /tmp/tool/DEBIAN
printf '%s\\n' 'Package: tool' 'Version: 1' 'Architecture: all' 'Maintainer: nobody' \
    'Depends: nodejs' 'Description: needs it' >/tmp/tool/DEBIAN/control
dpkg-deb -b /tmp/tool /tmp/tool.deb && dpkg -i /tmp/tool.deb
"""


@pytest.fixture(scope="module")
def inhabited(servers, server):
    """A server with sites of its own, whose operator logs in as root, for another."""
    (made,) = servers("inhabited", user="root", home="/root", sudo="none")
    made.host.add_user(
        "john.doe", home=HOME, group="staff2", public_key=made.operator.public_key, sudo="none"
    )
    made.host.exec(THEIRS)
    return made


@pytest.fixture
def asked(inhabited):
    """What the shop answers, asked all the time."""
    answers, done = set(), threading.Event()

    def ask():
        while not done.is_set():
            url, name = f"http://{inhabited.host.address}/", {"Host": "shop.example.org"}
            answers.add(httpx.get(url, headers=name, timeout=60, trust_env=False).text)
            time.sleep(0.05)

    thread = threading.Thread(target=ask)
    thread.start()
    yield answers
    done.set()
    thread.join()


def test_what_others_need_and_had_stays_or_comes_back(inhabited, asked):
    before = census(inhabited)
    nginx = inhabited.host.exec("systemctl show nginx -p MainPID")
    well(inhabited.fab("full", env=LAB))
    assert "# mine" not in inhabited.host.exec(f"cat {HOME}/.jupyter/jupyter_lab_config.py")
    inhabited.host.exec(TOOL)
    out = well(inhabited.fab("uninstall", env=LAB))
    assert "nodejs: tool needs it" in out and re.search(r"libuv1(t64)?: ", out)
    came = differences(before, census(inhabited))
    packages = {row.split()[2] for row in came if row.startswith("+ package")}
    named = {name.removesuffix("t64") for name in packages}  # as Debian 13 calls some
    assert {"tool", "nodejs", "libuv1"} <= named
    assert not named & {"curl", "python3", "libcurl4"}
    others = [row for row in came if not row.startswith(("+ package", "+ auto", "+ manual"))]
    files = inhabited.host.exec(f"dpkg -L {' '.join(packages)}").split()
    ours = [row for row in others if row.split()[2].removeprefix(".") not in files]
    nodes = re.compile(r"\./(var/lib/dpkg/|etc/ld.so.cache|etc/alternatives/js|usr/\S*/js\b)")
    rest = [row for row in ours if not nodes.match(row.split()[2])]
    assert rest == [], rest
    assert inhabited.host.exec("systemctl show nginx -p MainPID") == nginx
    assert asked == {"shop"}
