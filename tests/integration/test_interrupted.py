"""A `full` is stopped at every step, in five ways; the next one ends as if nothing had been.

`invoke test --matrix` tries every step in every way; without it each way is tried once.
"""

from __future__ import annotations

import contextlib
import subprocess

import pytest
from outcomes import nothing_to_change, well
from surgery import CUT, KILL_ALL, SSHD_OF_DAVID

pytestmark = pytest.mark.lifecycle

# Where a step of a fresh `full` is stopped: at a command of its own, or, given its number, some
# seconds after it began.
STEPS = {
    "install python3": (0, 3.0),
    "install nginx": (1, 6.0),
    "make the project": ("chmod", "/home/david/project"),
    "fill the venv": (3, 2.5),
    "make .jupyter": ("chmod", "/home/david/.jupyter"),
    "make .ipython": ("chmod", "/home/david/.ipython"),
    "write the configuration": ("mv", "/home/david/.jupyter/jupyter_lab_config.py"),
    "make the token": ("mv", "/home/david/.jupyter/jupyterlab_token"),
    "write the tmpfiles": ("mv", "/etc/tmpfiles.d/jupyterlab.conf"),
    "write the unit": ("mv", "/etc/systemd/system/jupyterlab.service"),
    "make the socket's folder": ("chown", "/run/jupyterlab"),
    "start jupyterlab": ("systemctl", "restart -- jupyterlab.service"),
    "write the site": ("mv", "/etc/nginx/sites-available/jupyterlab"),
    "link the site": ("mv", "/etc/nginx/sites-enabled/zz-jupyterlab"),
    "take the welcome page out": ("rm", "/etc/nginx/sites-enabled/default"),
    "start nginx": ("systemctl", "restart nginx"),
}
WAYS = (
    "kill the client",
    "cut the connection",
    "kill the remote shell",
    "fill the disk",
    "no network",
)
SHORT = [
    ("kill the client", "fill the venv"),
    ("kill the remote shell", "install nginx"),
    ("fill the disk", "fill the venv"),
    ("no network", "install python3"),
]
CORE = ("kill the remote shell", "restart jupyterlab"), ("kill the client", "reload nginx")
# Of a `full` on a converged host: JupyterLab moves to a port, or back, and gets another password.
CHANGES = {
    "set the password": ("mv", "/home/david/.jupyter/jupyter_server_config.json"),
    "replace the configuration": ("mv", "/home/david/.jupyter/jupyter_lab_config.py"),
    "replace the unit": ("mv", "/etc/systemd/system/jupyterlab.service"),
    "restart jupyterlab": ("systemctl", "restart -- jupyterlab.service"),
    "replace the site": ("mv", "/etc/nginx/sites-available/jupyterlab"),
    "reload nginx": ("systemctl", "reload nginx"),
    "keep what was replaced": ("rm", "/var/backups/jupyterlab/now"),
}
CUTS = WAYS[:3]  # a full disk or a dead network may come too late to harm
SHORT_CHANGES = [
    ("kill the remote shell", "restart jupyterlab"),
    ("kill the client", "reload nginx"),
    ("cut the connection", "keep what was replaced"),
    ("fill the disk", "replace the site"),
]

# The whole of a server's disk is one small tmpfs, which can be filled without filling this machine.
SMALL_DISK = """
! mountpoint -q /mnt || exit 0
mount -t tmpfs -o size=2000m disk /mnt
for top in etc var usr home; do cp -a /$top /mnt/ && mount --bind /mnt/$top /$top; done
"""
ACTS = {
    "cut the connection": CUT,
    "kill the remote shell": KILL_ALL,
    "fill the disk": "cat /dev/zero >/mnt/full 2>/dev/null || true",
}
# The server has noticed that the client is gone: until then the run may go on, to its end.
HUNG_UP = f"""
n=100
until [ -z "$({SSHD_OF_DAVID})" ] || [ "$n" = 0 ]; do sleep 0.1; n=$((n - 1)); done
"""
# Stands before the real command on the run's PATH and waits there, once, for whoever stops the run.
PAUSE = r"""#!/bin/sh
case "$*" in
    *'{needle}')
        if [ ! -e /tmp/met ]; then
            touch /tmp/met
            n=400
            until [ -e /tmp/go ] || [ "$n" = 0 ]; do sleep 0.05; n=$((n - 1)); done
        fi ;;
esac
exec /usr/bin/{command} "$@"
"""
OWNED = r"""
sha256sum /etc/nginx/sites-available/jupyterlab /etc/systemd/system/jupyterlab.service \
    /etc/tmpfiles.d/jupyterlab.conf /home/david/.jupyter/jupyter_lab_config.py 2>/dev/null
"""
STATE = r"""
cd /
stat -c '%n %U:%G %a' home/david/.jupyter home/david/.jupyter/jupyter* home/david/project
stat -c '%n %U:%G %a' home/david/.ipython
readlink etc/nginx/sites-enabled/zz-jupyterlab
ls etc/nginx/sites-enabled
dpkg-query -W -f '${Package} ${db:Status-Status}\n'
ls home/david/project/venv/lib/python3*/site-packages | grep dist-info
systemctl is-enabled jupyterlab nginx
systemctl is-active jupyterlab nginx
find etc home usr/lib/systemd -name '.new.*' -o -name '*.new'
"""
# When JupyterLab began, and when what it reads was written; the proof through Nginx shows its own.
AGES = r"""
date -d "$(systemctl show --timestamp=us+utc -P ExecMainStartTimestamp jupyterlab)" +%s.%N
stat -c %.9Y /etc/systemd/system/jupyterlab.service /home/david/.jupyter/jupyter_lab_config.py
"""


def pytest_generate_tests(metafunc):
    whole = metafunc.config.getoption("--matrix")
    if "point" in metafunc.fixturenames:
        chosen = [(way, step) for way in WAYS for step in STEPS] if whole else SHORT
        metafunc.parametrize("point", named(chosen))
    if "change" in metafunc.fixturenames:
        ways = [way for way in WAYS if way != "no network"]  # of which a change needs none
        chosen = [(way, step) for way in ways for step in CHANGES] if whole else SHORT_CHANGES
        metafunc.parametrize("change", named(chosen))


def named(chosen: list[tuple[str, str]]) -> list:
    """Those points as parameters of a test, with names that one can read."""
    return [
        pytest.param(one, id=", ".join(one), marks=pytest.mark.core if one in CORE else ())
        for one in chosen
    ]


@pytest.fixture
def fresh(started, servers):
    """A bare server, in place of the one before."""
    started.remove("spare")
    return servers("spare")[0]


@pytest.fixture(scope="module")
def undisturbed(servers):
    """A server after one `full` that nobody disturbed."""
    (made,) = servers("undisturbed", settled=True)
    well(made.fab("full", "--no-verify"))
    return made


def cut_off(server, rule: str) -> None:
    """Add or remove (-I, -D) a rule that lets the server reach nothing beyond this machine."""
    words = ["iptables", rule, "FORWARD", "-s", server.host.address, "-j", "DROP"]
    subprocess.run(words, check=True)


@contextlib.contextmanager
def paused(host, where):
    """Have the run wait at that command; give the shell that waits until it does."""
    command, needle = where
    if isinstance(needle, float):
        log = f"/run/jupyterlab-fab.*/{command}.log"
        yield f"until ls {log}; do sleep 0.02; done; sleep {needle}"
        return
    wrapper = f"/usr/local/sbin/{command}"
    text = PAUSE.replace("{needle}", needle).replace("{command}", command)
    host.exec(f"cat >{wrapper} <<'END'\n{text}END\nchmod 755 {wrapper}")
    try:
        yield "until [ -e /tmp/met ]; do sleep 0.02; done"
    finally:
        host.exec(f"rm -f {wrapper}; touch /tmp/go; sleep 0.2; rm -f /tmp/met /tmp/go")


def interrupt(server, way: str, where, env=None) -> bool:
    """Run `full` and stop it in this way at that place; say whether it came to no good end."""
    if way == "fill the disk":
        server.host.exec(SMALL_DISK)
    client = server.start("full", env=env, stdin=subprocess.DEVNULL, errors=subprocess.STDOUT)
    with paused(server.host, where) as until:
        try:
            met = server.host.exec(
                f"timeout 300 sh -c '{until}' >/dev/null 2>&1 && echo", check=False
            )
            if not met:
                client.kill()
                raise AssertionError(f"it did not come to {where}: {client.communicate()[0]}")
            if way == "kill the client":
                client.kill()
                server.host.exec(HUNG_UP)
            elif way == "no network":
                cut_off(server, "-I")
            else:
                server.host.exec(ACTS[way], check=False)
            server.host.exec("touch /tmp/go")
            output, _ = client.communicate(timeout=300)
            assert "Traceback" not in output, output
        finally:
            client.kill()
            if way == "no network":
                cut_off(server, "-D")
            if way == "fill the disk":
                server.host.exec("rm -f /mnt/full")
    stopped = ", done" not in server.host.exec("cat /run/jupyterlab-fab.turn")
    assert stopped or way not in CUTS, "it was not stopped"
    return stopped


def run_again(server, stopped: bool, env=None) -> None:
    """The next `full` says that the last one failed, succeeds, and leaves nothing to do."""
    done = server.fab("full", env=env)
    assert "6*7 over the websocket is 42" in well(done)
    if stopped:
        assert "the last run did not finish" in done.stdout
    nothing_to_change(server.fab("full", "--no-verify", env=env))


def no_older_configuration(host) -> None:
    """JupyterLab does not run with what was there before what is on the disk now."""
    began, *written = map(float, host.exec(AGES).split())
    assert began > max(written)


def test_the_next_full_recovers(point, fresh, undisturbed):
    way, step = point
    stopped = interrupt(fresh, way, STEPS[step])
    whole = set(undisturbed.host.exec(OWNED).splitlines())
    assert set(fresh.host.exec(OWNED, check=False).splitlines()) <= whole, "half-written"
    run_again(fresh, stopped)
    assert fresh.host.exec(OWNED) == undisturbed.host.exec(OWNED)
    assert fresh.host.exec(STATE) == undisturbed.host.exec(STATE)
    no_older_configuration(fresh.host)


@pytest.fixture(scope="module")
def movable(servers):
    """A converged server, moved to and fro between its socket and a port."""
    (made,) = servers("interrupted", settled=True)
    well(made.fab("full", "--no-verify"))
    return made


PORT = {"FABRIC_LAB_PORT": "8899"}


def on_a_port(server) -> bool:
    """Whether JupyterLab listens there."""
    return "127.0.0.1:8899" in server.host.exec("ss -Hltn")


def test_the_next_full_finishes_a_change(change, movable):
    way, step = change
    before = movable.host.exec(OWNED)
    was_on_a_port = on_a_port(movable)
    env = {"LAB_PASSWORD": f"{way}, {step}"} | ({} if was_on_a_port else PORT)
    stopped = interrupt(movable, way, CHANGES[step], env)
    between = movable.host.exec(OWNED)
    run_again(movable, stopped, env)
    after = movable.host.exec(OWNED)
    assert set(between.splitlines()) <= {*before.splitlines(), *after.splitlines()}, "half-written"
    assert on_a_port(movable) is not was_on_a_port
    no_older_configuration(movable.host)


def test_a_proof_that_is_cut_off_leaves_no_kernel(movable):
    kernels = "ls /home/david/.local/share/jupyter/runtime/kernel-*.json 2>/dev/null"
    assert movable.host.exec(kernels, check=False) == ""
    env = PORT if on_a_port(movable) else {}
    client = movable.start("verify", env=env, stdin=subprocess.DEVNULL)
    try:
        movable.host.exec(f"timeout 60 sh -c 'until {kernels}; do sleep 0.02; done'")
    finally:
        client.kill()
        client.communicate()
    movable.host.exec(f"timeout 60 sh -c 'while {kernels}; do sleep 0.1; done'")
