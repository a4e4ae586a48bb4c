"""Many hosts at once: the order of the results, how many run, and who is told what."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from fabric import Connection
from invoke import Exit
from test_settings import configured

from fabfile.fleet import parallel
from fabfile.fleet.fleet import run
from fabfile.ui import console

SLOW = """
import time
from fabfile.fleet.fleet import run
from test_settings import configured

def slow(c):
    print("it runs", flush=True)
    time.sleep(60)

run(configured(), ["a", "b", "c"], slow, 2)
"""


def test_results_come_in_the_order_of_the_things():
    assert parallel.in_parallel(lambda n: time.sleep(0.05 / n) or n, [1, 2, 3]) == [1, 2, 3]
    assert parallel.in_parallel(print, []) == []


def test_no_more_than_that_many_run_at_once():
    lock, running, most = threading.Lock(), 0, 0

    def body(_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1

    parallel.in_parallel(body, range(6), 2)
    assert most == 2


def test_a_failure_has_its_reason_and_stops_no_other(capsys):
    hosts = parallel.named(Connection("main"), ["me@a", "me@b", "me@c", "me@d"])

    def body(c):
        console.say("here")
        if c.host == "b":
            raise Exit("why")
        if c.host == "d":
            raise Exit(code=3)
        return c.host

    assert parallel.on_each(hosts, body) == (
        {"me@a": "a", "me@c": "c"}, {"me@b": "why", "me@d": "exit 3"}
    )  # fmt: skip
    out = capsys.readouterr().out.splitlines()
    assert sorted(out) == [f"me@{host}: here" for host in "abcd"]
    with pytest.raises(Exit, match="exit 3, sorry"):
        parallel.all_of(hosts, body, lambda target: f", sorry {target}")
    assert "why, sorry me@b\n" in capsys.readouterr().out


def test_the_users_of_one_host_come_one_after_another(capsys):
    config, busy = configured(), set()

    def task(c):
        assert c.host not in busy
        busy.add(c.host)
        time.sleep(0.05)
        busy.remove(c.host)
        if c.host == "b":
            raise Exit("no")

    targets = ["ben/a", "b", "carl/a", "ben/root@a"]
    results = run(config, targets, task, 16)
    assert [(one.host, one.state, one.why) for one in results] == [
        ("ben/a", "ok", ""), ("b", "failed", "no"), ("carl/a", "ok", ""), ("ben/root@a", "ok", "")
    ]  # fmt: skip


def test_ctrl_c_ends_a_fleet_at_once():
    command, env = [sys.executable, "-c", SLOW], {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(command, env=env, stdout=-1, stderr=-1, text=True) as running:
        assert "it runs" in running.stdout.readline()
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 130 and time.monotonic() - began < 10
    assert re.fullmatch(r"\nstopped; run it again to continue\n", errors)
