"""Idle kernels end, an idle JupyterLab sleeps, whoever asks wakes it, and no kernel is lost."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from notebook import Kernel, Notebook
from outcomes import nothing_to_change, well
from visitor import Visitor

from testbed.host import docker

pytestmark = pytest.mark.lifecycle

CHOSEN = {"FABRIC_LAB_SLEEP_AFTER": "60", "FABRIC_LAB_CULL_AFTER": "60"}
SOCKETS = ("/run/jupyterlab/jupyter.sock", "/run/jupyterlab/server.sock")
# Seconds instead of minutes: what is in the .json counts more, and Jupyter looks more often.
# Not more often than that: a start counts from its begin, and who woke it is to be answered first.
CULLED, SLEEPS = 10, 2  # a kernel that starts more slowly is culled before it is used
SHORT = {
    "MappingKernelManager": {"cull_idle_timeout": CULLED, "cull_interval": 1},
    "ServerApp": {"shutdown_no_activity_timeout": SLEEPS},
}
HASTE = r"""
printf '%s' "$1" >/home/david/.jupyter/jupyter_lab_config.json
cd /home/david/project/venv/lib/python3*/site-packages/jupyter_server
sed -i 's/shutdown_no_activity, 60000/shutdown_no_activity, 2000/' serverapp.py
grep -q 'shutdown_no_activity, 2000' serverapp.py
systemctl restart jupyterlab
"""
STATE = "systemctl is-active jupyterlab.service jupyterlab.socket || true"


@pytest.fixture(scope="module")
def site(servers):
    """A server that sleeps after two seconds."""
    (made,) = servers("idle", settled=True)
    out = well(made.fab("full", env=CHOSEN))
    assert "6*7 over the websocket is 42" in out
    made.host.exec(f"set -- {json.dumps(SHORT)!r}\n{HASTE}")
    return made


def process(site) -> str:
    """The number of the server's process; 0 when it sleeps."""
    return site.host.exec("systemctl show -p MainPID --value jupyterlab").strip()


def latest(site) -> str:
    """The number of its latest process, also when that has gone to sleep meanwhile."""
    return site.host.exec("systemctl show -p ExecMainPID --value jupyterlab").strip()


def wait_asleep(site) -> None:
    """Wait until it has ended by itself; its socket is still there."""
    deadline = time.monotonic() + 90
    while (state := site.host.exec(STATE).split()) != ["inactive", "active"]:
        assert time.monotonic() < deadline, state
        time.sleep(0.2)


@pytest.fixture
def asleep(site):
    wait_asleep(site)
    return site


# --- kernels -----------------------------------------------------------------------------------


def test_a_kernel_whose_notebook_is_open_is_kept_and_keeps_the_server_up(site):
    with Notebook(site.host).kernel() as kernel:
        before = process(site)
        kernel.run("kept = 6 * 7")
        time.sleep(CULLED + SLEEPS + 2)
        assert kernel.run("print(kept)") == "42\n"
    assert process(site) == before


def test_a_kernel_that_computes_unwatched_is_kept_until_it_is_done(site):
    notebook = Notebook(site.host)
    name = notebook.ask("POST", "kernels")["id"]
    with notebook.wire(f"api/kernels/{name}/channels") as wire:
        kernel, before = Kernel(wire, name), process(site)
        kernel.run("import pathlib, time")
        busy = CULLED + SLEEPS + 3
        kernel.send(f"time.sleep({busy}); pathlib.Path('done').write_text('42')")
        time.sleep(0.5)
    time.sleep(busy)
    # it began when the kernel got it, in its own time
    site.host.exec("timeout 30 sh -c 'until [ -s /home/david/project/done ]; do sleep 0.1; done'")
    assert process(site) == before
    assert site.host.exec("cat /home/david/project/done") == "42"
    wait_asleep(site)  # the kernel has become idle, has ended, and the server after it


# --- sleep -------------------------------------------------------------------------------------


def test_asleep_nothing_of_it_is_left_but_its_socket(asleep):
    assert asleep.host.exec("pgrep -u david || true") == ""
    assert asleep.infra.socket(f"unix://{SOCKETS[0]}").is_listening
    folder = SOCKETS[0].rpartition("/")[0]
    shown = asleep.host.exec(f"stat -c '%U %G %a' {folder} {SOCKETS[0]}")
    assert shown.splitlines() == ["david www-data 2750", "root www-data 666"]
    asked = f"runuser -u nobody -- curl -s --unix-socket {SOCKETS[0]} http://localhost/api"
    assert asleep.host.exec(f"{asked} || echo refused") == "refused\n"


REPLACE = f"""
import os, stat, time
end = time.monotonic() + 10
while time.monotonic() < end:
    try:
        found = os.lstat("{SOCKETS[0]}")
    except OSError:
        continue
    if stat.S_ISSOCK(found.st_mode) and found.st_uid == 0:
        os.symlink("/etc/shadow", "/run/jupyterlab/.link")
        os.rename("/run/jupyterlab/.link", "{SOCKETS[0]}")
        break
"""


def test_systemd_gives_away_nothing_by_a_link_in_the_place_of_its_socket(asleep):
    begun = f"[ -L {SOCKETS[0]} ] || pgrep -u david -x python3"  # else it comes after the pkill
    for _ in range(3):
        docker("exec", "-d", "-u", "david", asleep.host.container, "python3", "-c", REPLACE)
        asleep.host.exec(f"timeout 30 sh -c 'until {begun}; do sleep 0.05; done'")
        asleep.host.exec("sleep 0.5; systemctl restart jupyterlab.socket || true; sleep 0.5")
        owner = asleep.host.exec("stat -c '%U %G' /etc/shadow; chown root:shadow /etc/shadow")
        asleep.host.exec(
            f"pkill -u david -x python3 || true; rm -f {SOCKETS[0]}\n"
            "systemctl reset-failed jupyterlab.socket; systemctl restart jupyterlab.socket"
        )
        assert owner == "root shadow\n"


def test_looking_at_it_does_not_wake_it(asleep):
    for task in (["status", "--drift"], ["full", "--no-verify"], ["--dry", "full"]):
        done = asleep.fab(*task, env=CHOSEN)
        nothing_to_change(done)
        assert "asleep" in done.stdout and "the next request wakes" in done.stdout
    assert asleep.host.exec(STATE).split() == ["inactive", "active"]


def test_the_first_requests_all_wait_until_it_is_awake(asleep):
    with ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        answers = list(pool.map(lambda _: Visitor(asleep).client.get("/login"), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert time.monotonic() - began < 60
    assert asleep.host.exec("systemctl show -p NRestarts --value jupyterlab") == "0\n"


def test_a_websocket_wakes_it_too(asleep):
    before = latest(asleep)
    with Notebook(asleep.host).wire("api/events/subscribe") as wire:
        assert wire.connected
        assert latest(asleep) != before


def test_who_was_logged_in_still_is(site):
    visitor = Visitor(site)
    assert visitor.log_in(Notebook(site.host).token)
    wait_asleep(site)
    assert visitor.is_in()


def test_verify_and_audit_wake_it(asleep):
    assert "6*7 over the websocket is 42" in well(asleep.fab("verify", env=CHOSEN))
    wait_asleep(asleep)
    done = asleep.fab("audit", env=CHOSEN)
    assert "closed  another user of the server gets past Nginx to the socket" in done.stdout, done
    assert "OPEN" not in done.stdout


@pytest.mark.parametrize("path", SOCKETS)
def test_others_reach_neither_socket(site, path):
    Visitor(site).client.get("/login")
    ask = f"curl -sS --max-time 5 --unix-socket {path} http://localhost/login"
    refused = site.host.exec(f"su nobody -s /bin/sh -c '{ask}' 2>&1 || true")
    assert refused.startswith("curl: (7)")


def test_killed_it_comes_back_by_itself_and_nobody_is_sent_away_meanwhile(asleep):
    site = asleep
    Notebook(site.host).ask("GET", "kernels")  # unlike /login it counts: no sleep before the kill
    before = process(site)
    site.host.exec("systemctl kill --signal=KILL --kill-who=main jupyterlab")
    assert Visitor(site).client.get("/login").status_code == 200
    assert latest(site) not in ("0", before)
    assert site.host.exec("systemctl show -p NRestarts --value jupyterlab") == "1\n"


def test_after_a_boot_it_sleeps_until_somebody_asks(site):
    site.host.reboot()
    site.operator.know(site.host)
    assert site.host.exec(STATE).split() == ["inactive", "active"]
    assert Visitor(site).client.get("/login").status_code == 200
    nothing_to_change(site.fab("full", "--no-verify", env=CHOSEN))


# --- and back ----------------------------------------------------------------------------------


def test_off_it_is_as_it_was_and_on_again_it_sleeps_in_the_strict_sandbox_too(site):
    out = well(site.fab("full", env={"FABRIC_LAB_CULL_AFTER": "60"}))
    assert "remove /etc/systemd/system/jupyterlab.socket" in out
    assert site.host.exec("find /etc/systemd -name 'jupyterlab.socket'") == ""
    assert site.host.exec("systemctl show -p LoadState --value jupyterlab.socket") == "not-found\n"
    assert site.infra.service("jupyterlab").is_enabled
    assert not site.infra.file(SOCKETS[1]).exists
    nothing_to_change(site.fab("full", "--no-verify", env={"FABRIC_LAB_CULL_AFTER": "60"}))

    strict = {**CHOSEN, "FABRIC_LAB_SANDBOX": "strict"}
    well(site.fab("full", "--no-verify", env=strict))
    assert not site.infra.service("jupyterlab").is_enabled
    wait_asleep(site)
    nothing_to_change(site.fab("full", "--no-verify", env=strict))
    assert Visitor(site).client.get("/login").status_code == 200
