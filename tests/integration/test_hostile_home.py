"""What a notebook leaves in the home gives no orders: to root, to the tasks, to the terminal."""

import re
import time
from contextlib import contextmanager

import laboratory as lab
import pytest
from outcomes import well

from testbed.host import docker

pytestmark = pytest.mark.security

HOME = "/home/david"
VENV = f"{HOME}/project/venv"
PACKAGES = f"$(ls -d {VENV}/lib/python3*/site-packages)"
CONFIG, TOKEN = f"{HOME}/.jupyter/jupyter_lab_config.py", f"{HOME}/.jupyter/jupyterlab_token"
OWNED = "/var/owned"  # only root can make it
AS_ROOT = "if __import__('os').getuid() == 0: open('/var/owned', 'a').write(__file__ + '\\n')\n"
PROGRAM = f'[ "$(id -u)" != 0 ] || echo "$0" >>{OWNED}'
MODULES = "base64 contextlib functools heapq importlib json platform re signal socket subprocess"
MODULES += " tempfile types zipfile"
STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
ESCAPE = r"\033]0;owned\007\033[2J\233x"


@pytest.fixture(scope="module")
def site(servers):
    """A server with the strict sandbox, whose operator may also log in as root for the user."""
    (site,) = servers("hostile", settled=True)
    site.host.add_user("root", public_key=site.operator.public_key, home="/root", sudo="none")
    well(site.fab("full", "--no-verify", env={"FABRIC_LAB_SANDBOX": "strict"}))
    site.operator.settings["FABRIC_LAB_SANDBOX"] = "strict"
    yield site
    del site.operator.settings["FABRIC_LAB_SANDBOX"]


@pytest.fixture(params=["david", "root"])
def fab(request, site):
    """Give a function that runs a task, by the user's own login or by root's for that user."""

    def run(*words: str, **more):
        if request.param == "david":
            return site.fab(*words, **more)
        reach = ("-H", f"root@{site.host.address}", "-i", str(site.operator.key))
        env = {"FABRIC_LAB_USER": "david", **more.pop("env", {})}
        return site.operator.fab(*reach, *words, env=env, **more)

    return run


@contextmanager
def left(site, script: str, undo: str):
    """Leave something in the home, as notebooks may in either sandbox, and take it away again."""
    docker("exec", "-u", "david", site.host.container, "sh", "-euc", script)
    try:
        yield
    finally:
        site.host.exec(undo)


def owned(site) -> str:
    """What ran as root."""
    return site.host.exec(f"cat {OWNED} 2>/dev/null; rm -f {OWNED}", check=False)


FORGED = r"@facts\ngroup=shadow\nhome=/etc\n@neighbours\n@0\n@1\n@2\n@3\n@end\n"


@pytest.mark.parametrize(
    "script",
    [
        f"printf '{FORGED}' >>{VENV}/.converged",
        f"printf '{FORGED}' >>{HOME}/.jupyter/packages.txt",
        f'mkdir "{PACKAGES}/$(printf "x\\n{FORGED.replace("/", "")}-1").dist-info"',
        f'rm {CONFIG}; ln -s "$(printf "/nowhere\\n{FORGED}")" {CONFIG}',
    ],
    ids=["record", "packages", "distribution", "link"],
)
def test_no_file_name_or_link_is_taken_for_a_fact(site, fab, script):
    undo = f"rm -rf {PACKAGES}/x*-1.dist-info {PACKAGES}/x?@*; rm -f {HOME}/.jupyter/packages.txt"
    with left(site, script, undo):
        fab("full", "--no-verify")
        assert site.host.exec("grep ^Group= /etc/systemd/system/jupyterlab.service") == (
            "Group=david\n"
        )
    well(fab("full", "--no-verify"))  # and nothing is in the way of the next one


@pytest.mark.parametrize("task", ["doctor", "audit"])
def test_a_token_is_no_option_of_curl(site, fab, task):
    forged = f"""
        cp {TOKEN} {HOME}/kept
        printf 'x"\\nurl = file:///etc/passwd\\noutput = {OWNED}\\n' >>{TOKEN}
        for file in {HOME}/.local/share/jupyter/runtime/jpserver-*.json; do
            for word in x 'url = file:///etc/passwd' 'output = {OWNED}' y; do
                printf '"token": "%s"\\n' "$word" >>"$file"
            done
        done"""
    with left(site, forged, f"mv {HOME}/kept {TOKEN}; systemctl restart jupyterlab"):
        fab(task)
        assert owned(site) == ""
    lab.wait_up(site)


TASKS = (
    ("status",),
    ("logs", "--lines", "3"),
    ("doctor",),
    ("audit",),
    ("verify",),
    ("token",),
    ("--dry", "full"),
    ("full", "--no-verify"),
    ("packages", "--list"),
    ("kernels", "--list"),
    ("restart", "--yes"),
    ("--dry", "upgrade"),
    ("--dry", "cluster", "--workers", "david@127.0.0.1"),
    ("backup", "--there"),
    ("--dry", "uninstall"),
    ("packages",),
)


def test_root_runs_nothing_of_the_users_and_nothing_steers_the_terminal(site, fab):
    odd = f"$(printf '{ESCAPE}')"
    plant = f"""
        cd {HOME}
        for name in {MODULES}; do printf '%s' "{AS_ROOT}" >$name.py; done
        mkdir -p bin; for name in id python3 curl sed head base64 gzip tar; do
            printf '#!/bin/sh\\n%s\\nexec /usr/bin/%s "$@"\\n' '{PROGRAM}' $name >bin/$name
            chmod +x bin/$name
        done
        mv {VENV}/bin/python {VENV}/bin/python.kept
        printf '#!/bin/sh\\n%s\\nexec {VENV}/bin/python.kept "$@"\\n' '{PROGRAM}' >{VENV}/bin/python
        chmod +x {VENV}/bin/python
        cp {TOKEN} kept; printf '{ESCAPE}' >>{TOKEN}
        printf '# {ESCAPE}\\n' >>{CONFIG}
        printf 'numpy # {ESCAPE}\\n' >.jupyter/packages.txt
        mkdir -p ".jupyter/{odd}" "project/.kernels/{odd}" "{PACKAGES}/odd{odd}-1.dist-info" """
    undo = f"""
        cd {HOME}; for name in {MODULES}; do rm -f $name.py; done; rm -rf bin __pycache__
        mv {VENV}/bin/python.kept {VENV}/bin/python
        mv kept {TOKEN}; rm -rf {PACKAGES}/odd*-1.dist-info .jupyter/packages.txt
        rm -rf .jupyter/*owned* project/.kernels; systemctl restart jupyterlab
        sed -i '/PRETTY/d' /etc/os-release; cat /root/pretty >>/etc/os-release"""
    site.host.exec(
        "grep PRETTY /etc/os-release >/root/pretty; cp -L /etc/os-release /root/release\n"
        "sed -i /PRETTY/d /root/release; rm /etc/os-release; cp /root/release /etc/os-release\n"
        f"printf 'PRETTY_NAME=\"Debian{ESCAPE}\"\\n' >>/etc/os-release"
    )
    with left(site, plant, undo):
        for task in TASKS:
            done = fab(*task)
            assert owned(site) == "", task
            assert not STEERS.search(done.stdout + done.stderr), (task, done.stdout, done.stderr)
    lab.wait_up(site)


@pytest.mark.parametrize(
    "script",
    [
        f"truncate -s 300M {CONFIG}",
        f"truncate -s 300M {VENV}/.converged",
        f"rm -f {HOME}/.jupyter/packages.txt; truncate -s 300M {HOME}/.jupyter/packages.txt",
        f"rm {VENV}/.converged; mkfifo {VENV}/.converged",
        f"rm {CONFIG}; mkfifo {CONFIG}",
        f"mkfifo {HOME}/.jupyter/packages.txt",
        f"rm {TOKEN}; mkfifo {TOKEN}",
        f"rm {CONFIG}; ln -s /dev/zero {CONFIG}",
    ],
    ids=["config", "record", "packages", "fifo", "fifo config", "fifo packages", "fifo token", "0"],
)
def test_no_file_holds_a_task_up(site, fab, script):
    undo = f"""
        cp -p /root/kept/* {HOME}/.jupyter/; rm -f {HOME}/.jupyter/packages.txt
        rm -f {VENV}/.converged; mv /root/kept/.converged {VENV}/.converged"""
    keep = f"mkdir -p /root/kept; cp -p {CONFIG} {TOKEN} {VENV}/.converged /root/kept/"
    site.host.exec(f"{keep}; rm -f {HOME}/.jupyter/packages.txt")
    with left(site, script, f"rm -f {CONFIG} {TOKEN}; {undo}"):
        began = time.monotonic()
        fab("status")
        assert time.monotonic() - began < 20


def test_no_program_of_the_users_keeps_the_next_run_waiting(site, fab):
    plant = f"""
        cd {VENV}/bin && mv python python.kept
        printf '#!/bin/sh\\nsetsid sleep 300 &\\n' >python
        printf 'exec {VENV}/bin/python.kept "$@"\\n' >>python
        chmod +x python"""
    undo = f"""
        pkill -u david -x sleep || true
        mv {VENV}/bin/python.kept {VENV}/bin/python; systemctl restart jupyterlab"""
    well(fab("packages", "--add", "six"))
    with left(site, plant, undo):
        began = time.monotonic()
        fab("packages", "--remove", "six")
        assert time.monotonic() - began < 60  # whoever holds the other end of a pipe
        assert site.host.exec("pgrep -u david -x sleep")  # it did start
        assert "another run holds the lock" not in well(fab("restart", "--yes"))
    lab.wait_up(site)


def test_an_entry_of_the_journal_is_one_line(site):
    forged = "one\\nat 1.000 nginx 6.6.6.6 forged\\nunclear x\\nat nan error \\033[2J"
    cell = (
        f"import socket, struct; text = '{forged}'.encode()\n"
        "wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "wire.connect('/run/systemd/journal/socket')\n"
        "wire.send(b'MESSAGE\\n' + struct.pack('<Q', len(text)) + text + b'\\n')\n"
        "wire.send(b'MESSAGE=two\\nMESSAGE=at once\\n')"
    )
    with lab.kernel(site) as compute:
        compute(cell)
        site.host.exec("journalctl --sync")
        shown = well(site.fab("logs", "--jupyter", "--lines", "20"))
    assert " jupyter two at once" in shown
    (row,) = [line for line in shown.splitlines() if "forged" in line]
    assert " jupyter one" in row and not STEERS.search(shown)
