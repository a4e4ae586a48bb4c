"""A fresh `full` is stopped at every step, in five ways; the next one ends as if nothing had been.

`pytest --matrix` tries every step in every way (half an hour); without it each way is tried once.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.machine import ROOT

STEPS = 14  # of a `full` on a bare host
WAYS = (
    "kill the client",
    "cut the connection",
    "kill the remote shell",
    "fill the disk",
    "no network",
)
SHORT = dict(zip(WAYS, (2, 11, 9, 2, 1), strict=True))
TRIED: list[tuple[str, int, str]] = []

# The whole of a server's disk is one small tmpfs, which can be filled without filling this machine.
SMALL_DISK = """
mount -t tmpfs -o size=1500m disk /mnt
for top in etc var usr home; do cp -a /$top /mnt/ && mount --bind /mnt/$top /$top; done
"""
ACTS = {
    "cut the connection": "kill -9 $(grep -la 'sshd[:] david' /proc/[0-9]*/cmdline | cut -d/ -f3)",
    "kill the remote shell": "kill -9 $(sed 's/.*process //' /run/jupyterlab-fab.turn)",
    "fill the disk": "cat /dev/zero >/mnt/full 2>/dev/null || true",
}
STATE = r"""
cd /
sha256sum etc/nginx/sites-available/jupyterlab etc/systemd/system/jupyterlab.service \
    etc/tmpfiles.d/jupyterlab.conf home/david/.jupyter/jupyter_lab_config.py
stat -c '%n %U:%G %a' home/david/.jupyter home/david/.jupyter/* home/david/project
readlink etc/nginx/sites-enabled/jupyterlab
dpkg-query -W -f '${Package} ${db:Status-Status}\n'
ls home/david/project/venv/lib/python3*/site-packages | grep dist-info
systemctl is-enabled jupyterlab nginx
systemctl is-active jupyterlab nginx
find etc home usr/lib/systemd -name '.new.*' -o -name '*.new'
"""


def points(config) -> list[tuple[str, int]]:
    """The interruption points of this run."""
    if config.getoption("--matrix"):
        return [(way, step) for way in WAYS for step in range(STEPS)]
    return list(SHORT.items())


def pytest_generate_tests(metafunc):
    if "point" in metafunc.fixturenames:
        chosen = points(metafunc.config)
        metafunc.parametrize("point", chosen, ids=[f"{way}-{step}" for way, step in chosen])


@pytest.fixture
def fresh(docker_services, server):
    """Give a factory of bare servers, each in place of the one before."""

    def make():
        docker_services._docker_compose.execute("up -d --force-recreate --no-deps spare")
        made = server("spare")
        made.host.exec(SMALL_DISK)
        return made

    return make


@pytest.fixture(scope="module")
def undisturbed(docker_services, server):
    """The state that an undisturbed `full` ends in."""
    made = server("undisturbed")
    done = made.fab("full")
    assert done.returncode == 0, done.stdout + done.stderr
    return made.host.exec(STATE)


def watch(host, step: int, act: str) -> subprocess.Popen:
    """On the server, do something as soon as the step has begun."""
    script = f"until ls /run/jupyterlab-fab.*/{step}.log; do sleep 0.01; done\nsleep 0.05\n{act}"
    return subprocess.Popen(
        ["docker", "exec", host.container, "sh", "-c", script],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def cut_off(server, *rule: str) -> None:
    """Add or remove (-I, -D) a rule that lets the server reach nothing beyond this machine."""
    subprocess.run(
        ["iptables", rule[0], "FORWARD", "-s", server.host.address, "-j", "REJECT"], check=True
    )


def interrupt(server, way: str, step: int) -> None:
    """Run `full` and stop it in this way when the step has begun."""
    operator = server.operator
    command = [Path(sys.executable).parent / "fab", "-H", server.target, "-i", str(operator.key)]
    client = subprocess.Popen(
        [*command, "full"],
        cwd=ROOT,
        env=operator.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    watcher = watch(server.host, step, ACTS.get(way, "true"))
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            watcher.wait(90)
        if way == "kill the client":
            client.kill()
        if way == "no network":
            cut_off(server, "-I")
        output, _ = client.communicate(timeout=300)
        assert b"Traceback" not in output, output.decode()
        assert watcher.poll() == 0, f"step {step} never began:\n{output.decode()}"
    finally:
        if way == "no network":
            cut_off(server, "-D")
        if way == "fill the disk":
            server.host.exec("rm -f /mnt/full")
        watcher.kill()
        client.kill()


def test_the_next_full_recovers(point, fresh, undisturbed):
    server = fresh()
    interrupt(server, *point)
    half_written = server.host.exec(
        "find /etc/nginx /etc/systemd/system /etc/tmpfiles.d /home/david/.jupyter -size 0 -type f",
        check=False,
    )
    assert "jupyterlab" not in half_written
    done = server.fab("full")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6*7 over the websocket is 42" in done.stdout
    assert server.host.exec(STATE) == undisturbed
    again = server.fab("full")
    assert "nothing to change" in again.stdout, again.stdout
    TRIED.append((*point, "recovered"))


def test_the_table(request, capsys):
    """Print the table: so many points tried, so many recovered."""
    chosen = points(request.config)
    with capsys.disabled():
        print(f"\n{'way':<24} steps recovered")
        for way in WAYS:
            steps = [str(step) for tried, step, _ in TRIED if tried == way]
            print(f"{way:<24} {' '.join(steps)}")
        print(f"{len(chosen)} interruption points tried, {len(TRIED)} recovered")
    assert len(TRIED) == len(chosen)
