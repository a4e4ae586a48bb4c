"""A user's program that stops, or holds what it was given, holds up neither root nor operator."""

import time
from contextlib import contextmanager

import laboratory as lab
import pytest
from outcomes import well

from testbed.host import docker

pytestmark = pytest.mark.security

HOME = "/home/david"
VENV = f"{HOME}/project/venv"
CONFIG = f"{HOME}/.jupyter/jupyter_lab_config.py"
# it stops what writes a file of the user's, as soon as that is there
STOPS = """
import contextlib, os, signal
while True:
    last = int(open("/proc/loadavg").read().split()[4])
    for pid in range(last - 40, last + 1):
        with contextlib.suppress(OSError):
            if b"/.ne" b"w.XX" in open(f"/proc/{pid}/cmdline", "rb").read():
                os.kill(pid, signal.SIGSTOP)
"""


@pytest.fixture(scope="module")
def fab(servers):
    """Give a function that runs a task, as root for the user; and the server."""
    (site,) = servers("heldup", settled=True)
    site.host.add_user("root", public_key=site.operator.public_key, home="/root", sudo="none")

    def run(*words: str, **more):
        reach = ("-H", f"root@{site.host.address}", "-i", str(site.operator.key))
        return site.operator.fab(*reach, *words, env={"FABRIC_LAB_USER": "david"}, **more)

    run.site = site
    return run


@contextmanager
def at_work(site, script: str):
    """Leave a process of the user's at work, and end all that it started."""
    begun = (
        "exec",
        "-d",
        "-u",
        "david",
        site.host.container,
        "sh",
        "-c",
        f"echo $$ >/tmp/own; {script}",
    )
    site.host.exec("rm -f /tmp/own")
    docker(*begun)
    site.host.exec("timeout 60 sh -c 'until [ -s /tmp/own ]; do sleep 0.1; done'; sleep 1")
    try:
        yield
    finally:
        site.host.exec("kill -KILL $(cat /tmp/own); pkill -KILL -u david -x sh || true")


def test_a_step_that_the_user_stops_is_given_up_in_a_minute(fab):
    with at_work(fab.site, f"exec python3 -c '{STOPS}'"):
        for _ in range(4):  # on a busy machine it may come too late
            fab.site.host.exec(f"echo '# changed' >>{CONFIG}; chown david:david {CONFIG}")
            began = time.monotonic()
            done = fab("full", "--no-verify")
            if done.returncode:
                break
        said = done.stdout + done.stderr
        assert done.returncode == 1 and time.monotonic() - began < 115, said
        assert "run as david, did not end within 60 s" in said and "ps -fu david" in said
        assert fab.site.host.exec("flock -n /run/jupyterlab-fab.lock echo free") == "free\n"
    well(fab("full", "--no-verify"))


def test_what_holds_the_output_of_doctor_keeps_nobody_waiting(fab):
    plant = f"""
        cd {VENV}/bin && mv python python.kept
        printf '#!/bin/sh\\nsetsid sleep 300 &\\nexec {VENV}/bin/python.kept "$@"\\n' >python
        chmod +x python"""
    docker("exec", "-u", "david", fab.site.host.container, "sh", "-euc", plant)
    try:
        began = time.monotonic()
        fab("doctor")
        assert time.monotonic() - began < 200  # it holds them for 300 s
        assert fab.site.host.exec("pgrep -u david -x sleep")  # it did start
    finally:
        fab.site.host.exec(f"pkill -u david -x sleep; mv {VENV}/bin/python.kept {VENV}/bin/python")


def test_sockets_are_not_hidden_behind_others(fab):
    lab.wait_up(fab.site)
    many = "import socket, time; held = [socket.create_server((str(), 0)) for _ in range(90)]"
    with at_work(fab.site, f"exec python3 -c '{many}; time.sleep(300)'"):
        there = "[ $(ss -Hltn | wc -l) -ge 90 ]"
        fab.site.host.exec(f"timeout 60 sh -c 'until {there}; do sleep 0.1; done'")
        began = time.monotonic()
        said = fab("audit").stdout
        assert time.monotonic() - began < 120
    (row,) = [line for line in said.splitlines() if " more than the " in line]
    assert "python3 -c import socket" in row


def test_a_program_of_the_users_sees_nothing_of_roots_environment(fab):
    see = f"""
        cd {VENV}/bin && mv python python.kept
        printf '#!/bin/sh\\nenv >>/tmp/seen\\nexec {VENV}/bin/python.kept "$@"\\n' >python
        chmod +x python; rm -f /tmp/seen"""
    fab.site.host.exec("echo 'export SECRET_OF_ROOT=1 https_proxy=' >/root/.bashrc")
    docker("exec", "-u", "david", fab.site.host.container, "sh", "-euc", see)
    try:
        for task in (("verify",), ("packages", "--remove", "six"), ("kernels", "--list")):
            fab(*task)
        seen = fab.site.host.exec("cat /tmp/seen")
        assert "PATH=" in seen and "SECRET_OF_ROOT" not in seen and "SSH_" not in seen
    finally:
        fab.site.host.exec(f"mv {VENV}/bin/python.kept {VENV}/bin/python; rm /root/.bashrc")
