"""Living with it: status, logs, stop, start, restart, and a token that is made anew."""

import json
import re
import signal
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager

import pytest
from notebook import Kernel, Notebook
from outcomes import nothing_to_change, well
from refusals import refused
from terminal import converse
from untouched import everything
from visitor import Visitor, accepted

from testbed.machine import ROOT

pytestmark = pytest.mark.lifecycle

VENV = "/home/david/project/venv"
SECRET = "/home/david/.local/share/jupyter/runtime/jupyter_cookie_secret"
TOKEN = "/home/david/.jupyter/jupyterlab_token"
READERS = "ps -eo args | grep -e '[j]ournalctl' -e '[l]ogs, in the order' -e 'sudo [-]n' || true"
WRITTEN = (  # but for what a kernel keeps of itself
    "find / -xdev -newer /root/mark ! -type d ! -path '/var/log/*' ! -path '/proc/*' "
    "! -name 'history.sqlite*'"
)
ROTATE = (
    "cd /var/log/nginx; mv -f jupyterlab.access.log jupyterlab.access.log.1\n"
    "systemctl kill -s USR1 --kill-who=main nginx\n"
    "until [ -e jupyterlab.access.log ]; do sleep 0.1; done"
)
BUSY = "while True: pass"


@pytest.fixture(scope="module")
def ready(server):
    """A server on which `full` has changed something since it was started."""
    made = server("living", settled=True)
    made.host.exec("rm /etc/nginx/sites-enabled/zz-jupyterlab")
    well(made.fab("full", "--no-verify"))
    return made


@contextmanager
def notebook(site, name: str, code: str = ""):
    """A notebook with a kernel of its own, which computes."""
    mine = Notebook(site.host)
    asked = {"path": name, "type": "notebook", "name": name, "kernel": {"name": "python3"}}
    session = mine.client.post("/sessions", json=asked).json()
    kernel = session["kernel"]["id"]
    with mine.wire(f"api/kernels/{kernel}/channels") as wire:
        running = Kernel(wire, kernel)
        running.run("1")
        if code:
            running.send(code)
        try:
            yield running
        finally:  # it is not there any more, when the service ended
            mine.client.delete(f"/sessions/{session['id']}")


def seen(site, *options: str, **how) -> dict:
    """What status tells machines; nothing else may be on its standard output."""
    done = site.fab("status", "--json", *options, **how)
    assert done.stdout.count("\n") == 1, done.stdout
    return json.loads(well(done))


def answered(look, complete):
    """Look until the index has answered: it has a few seconds, which a busy machine may need."""
    for _ in range(5):
        if complete(told := look()):
            return told
    raise AssertionError(told)


# --- status ------------------------------------------------------------------------------------


def test_on_a_bare_server_it_says_what_is_not_there_and_what_to_run(server):
    site = server("bare")
    before = everything(site)
    text, data = site.fab("status"), site.fab("status", "--json")
    out = well(text)
    assert out.count(f"fab -H {site.target} full") == 3, out
    assert "not set up yet" in out and "not installed" in out and "GB free" in out
    told = json.loads(well(data))
    assert told["service"]["state"] == told["nginx"]["state"] == "absent"
    assert told["kernels"] is None and told["drift"] and told["disk"]["free"] > 0
    assert sorted(everything(site) ^ before) == []


def test_its_keys_are_the_documented_ones(ready):
    _, _, text = (ROOT / "docs/scripting.md").read_text().partition("What `status --json` says")
    own = [key for key in seen(ready) if key not in ("host", "task", "ok", "notes", "seconds")]
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == own


def test_kernels_have_names_states_memory_and_processor(ready):
    with notebook(ready, "Idle.ipynb"), notebook(ready, "Busy.ipynb", BUSY):
        ready.host.exec("touch /root/mark; sleep 0.1")
        told = seen(ready)
        out = well(ready.fab("status"))
        assert ready.host.exec(WRITTEN) == ""
    kernels = {one["notebook"]: one for one in told["kernels"]}
    assert set(kernels) == {"Busy.ipynb", "Idle.ipynb"}
    busy, idle = kernels["Busy.ipynb"], kernels["Idle.ipynb"]
    assert (busy["state"], idle["state"]) == ("busy", "idle")
    assert busy["cpu"] > max(idle["cpu"], 3)  # the tests' machine may have others to serve
    assert 20e6 < idle["memory"] < 200e6 and 50e6 < told["server"]["memory"] < 300e6
    assert told["service"]["memory"] > told["server"]["memory"]
    assert told["versions"]["jupyterlab"].startswith("4.")
    assert not told["drift"] and told["differs"] == [] and told["last_run"]["ended_well"]
    words = r"busy for \d+ (s|min), \d+\.\d MB, \d+ % of one processor"
    assert re.search(rf"kernel +Busy\.ipynb: {words}", out)
    assert re.search(r"kernel +Idle\.ipynb: idle for \d+ (s|min)", out)


def test_an_older_version_and_a_hole_are_told(ready):
    packages = f"cd {VENV}/lib/python3*/site-packages"
    there = {
        name: ready.host.exec(f"{packages}; ls -d {name}-*.dist-info").strip()
        for name in ("jupyterlab", "jupyter_server")
    }
    ready.host.exec(
        f"{packages}; mv {there['jupyterlab']} jupyterlab-4.0.0.dist-info\n"
        f"mv {there['jupyter_server']} jupyter_server-2.19.0.dist-info"
    )
    try:
        out = answered(lambda: well(ready.fab("status")), lambda out: "unknown" not in out)
        told = answered(lambda: seen(ready), lambda told: told["newest"]["jupyterlab"])
    finally:
        ready.host.exec(
            f"{packages}; mv jupyterlab-4.0.0.dist-info {there['jupyterlab']}\n"
            f"mv jupyter_server-2.19.0.dist-info {there['jupyter_server']}"
        )
    assert re.search(r"newer +jupyterlab 4\.\d+\.\d+, jupyter-server 2\.", out), out
    assert re.search(r"insecure +jupyter-server 2\.19\.0 has a vulnerability", out), out
    assert told["newest"]["jupyterlab"] > "4.0.0" and len(told["holes"]) == 1


def test_an_index_that_does_not_answer_is_unknown_and_no_error(ready):
    ready.host.exec(
        "install -d -o david -m 700 /home/david/.config/pip; chown david /home/david/.config\n"
        "printf '[global]\\nindex-url = http://192.0.2.1/simple\\n' "
        ">/home/david/.config/pip/pip.conf"
    )
    began = time.monotonic()
    out = well(ready.fab("status"))
    took = time.monotonic() - began
    ready.host.exec("rm -r /home/david/.config/pip")
    assert re.search(r"newer +unknown", out), out
    assert took < 40  # pip by itself would ask for a minute and a half


def test_without_nginx_it_says_so(ready):
    ready.host.exec("systemctl stop nginx")
    told, out = seen(ready), well(ready.fab("status"))
    ready.host.exec("systemctl start nginx")
    assert told["nginx"]["state"] == "inactive" and told["kernels"] == []
    assert f"fab -H {ready.target} nginx" in out


def test_root_sees_the_same_of_the_user_it_names(ready, operator):
    ready.host.exec("install -D -m 600 /home/david/.ssh/authorized_keys /root/.ssh/authorized_keys")
    reach = ("-H", f"root@{ready.host.address}", "-i", str(operator.key))
    david = {"FABRIC_LAB_USER": "david"}
    told = answered(
        lambda: json.loads(well(operator.fab(*reach, "status", "--json", env=david))),
        lambda told: told["newest"]["jupyterlab"],
    )
    assert told["kernels"] == [] and told["server"]["memory"] > 50e6 and not told["drift"]


def test_over_a_fleet_it_is_a_line_each(ready, operator):
    down = f"{ready.target}:2"
    words = ("fleet", "status --json", "--on", f"{ready.target},{down}", "-i", str(operator.key))
    done = operator.fab(*words[-2:], *words[:-2], env={"FABRIC_LAB_BOOT_WAIT": "0"})
    lines = {line["host"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1 and set(lines) == {ready.target, down}
    assert lines[ready.target]["kernels"] == [] and "port 2" in lines[down]["error"]


# --- stop, start, restart ----------------------------------------------------------------------


def test_stop_says_what_ends_and_it_stays_stopped_over_a_reboot(ready):
    with notebook(ready, "Work.ipynb"):
        out = well(ready.fab("stop"))
    assert "1 kernel ends with it: Work.ipynb (idle)" in out
    assert f"fab -H {ready.target} start" in out
    ready.host.reboot()
    told = seen(ready)
    assert told["service"]["state"] == "inactive" and told["drift"]
    assert re.search(rf"service +stopped.*fab -H {ready.target} start", well(ready.fab("status")))
    assert "it stays stopped" in well(ready.fab("stop"))


def test_start_waits_until_it_answers_and_leaves_alone_what_runs(ready):
    well(ready.fab("start"))
    assert Notebook(ready.host).cell("6*7") == "42\ntext/plain"
    service = ready.infra.service("jupyterlab")
    assert service.is_enabled and service.is_running
    before = service.systemd_properties["MainPID"]
    assert "runs already" in well(ready.fab("start"))
    assert ready.infra.service("jupyterlab").systemd_properties["MainPID"] == before
    nothing_to_change(ready.fab("full", "--no-verify"))


def test_restart_asks_on_a_terminal_when_a_kernel_computes(ready):
    with notebook(ready, "Long.ipynb", BUSY):
        pid = ready.infra.service("jupyterlab").systemd_properties["MainPID"]
        start = ready.start
        done = converse(lambda **streams: start("restart", **streams), {"Go on? [y/N]": "n"})
        assert done.returncode == 1 and "1 kernel busy" in done.stderr
        assert "nothing was changed" in done.stderr
        assert ready.infra.service("jupyterlab").systemd_properties["MainPID"] == pid
        changed = {"LAB_PASSWORD": "a longer one"}
        for done in (ready.fab("restart"), ready.fab("full", env=changed)):  # nobody to ask
            assert done.returncode == 1 and "add --yes" in done.stderr
            assert "Long.ipynb (busy)" in done.stdout
        assert ready.infra.service("jupyterlab").systemd_properties["MainPID"] == pid
        out = well(ready.fab("restart", "--yes"))
    assert "1 kernel ends with it: Long.ipynb (busy)" in out
    assert ready.infra.service("jupyterlab").systemd_properties["MainPID"] != pid
    assert Notebook(ready.host).cell("6*7") == "42\ntext/plain"


def test_a_dry_run_stops_nothing(ready):
    assert "would stop jupyterlab.service" in well(ready.fab("--dry", "stop"))
    assert ready.infra.service("jupyterlab").is_running


# --- logs --------------------------------------------------------------------------------------


def test_logs_are_told_in_order_with_who_wrote_them_and_no_secret(ready):
    token = ready.host.exec(f"cat {TOKEN}").strip()
    Visitor(ready).client.get("/no-such-page", params={"token": token})
    out = well(ready.fab("logs"))
    rows = [line.split(" ", 2) for line in out.splitlines()]
    assert {who for _, who, _ in rows} >= {"jupyter", "nginx"}
    assert [when for when, _, _ in rows] == sorted(when for when, _, _ in rows)
    assert '"GET /no-such-page" 404' in out and "is running at" in out
    assert token not in out
    assert {row.split()[1] for row in well(ready.fab("logs", "--jupyter")).splitlines()} == {
        "jupyter"
    }
    assert "jupyter" not in {r.split()[1] for r in well(ready.fab("logs", "--nginx")).splitlines()}
    assert well(ready.fab("logs", "--since", "2030-01-01")) == ""


@pytest.mark.parametrize("since", ["some day", "--", "$(id)"])
def test_an_unclear_since_is_one_clear_line(ready, since):
    refused(ready.fab("logs", f"--since={since}"), "--since", "1 hour ago")


@contextmanager
def following(site, *options: str, **streams):
    """`logs --follow`, once its reader is there."""
    with site.start("logs", "--follow", *options, **streams) as running:
        until(lambda: "journalctl" in site.host.exec(READERS), "nobody reads")
        time.sleep(0.5)
        yield running
        running.wait(timeout=60)
    until(lambda: site.host.exec(READERS) == "", "its reader is there still")


def until(check, why: str, seconds: float = 60) -> None:
    """Wait until this is so."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, why
        time.sleep(0.2)


def test_following_shows_what_comes_also_after_a_rotation_and_ends_by_ctrl_c(ready):
    pages = [f"/page-{uuid.uuid4().hex}" for _ in range(2)]
    with following(ready) as running:
        Visitor(ready).client.get(pages[0])
        ready.host.exec(ROTATE)
        Visitor(ready).client.get(pages[1])
        Notebook(ready.host).cell("6*7")
        out, wanted = "", [*pages, "Kernel started: "]
        too_late = threading.Timer(60, running.kill)
        too_late.start()
        while any(word not in out for word in wanted) and (line := running.stdout.readline()):
            out += line
        too_late.cancel()
        time.sleep(1.5)  # for one that is shown twice
        running.send_signal(signal.SIGINT)
        out += running.stdout.read()
    assert running.returncode == 0
    assert [out.count(f'"GET {page}" 404') for page in pages] == [1, 1]
    assert re.search(r"jupyter \[I ServerApp\] Kernel started: ", out)


def test_a_pipe_that_is_closed_ends_it_though_nothing_comes(ready):
    with following(ready) as running:
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == -signal.SIGPIPE


def test_a_killed_operator_leaves_nobody_behind(ready):
    with following(ready, stdin=subprocess.DEVNULL) as running:
        running.kill()


# --- a new token -------------------------------------------------------------------------------


@pytest.fixture
def sessions(ready):
    """Two visitors who are logged in, one by token, one by password; and the token."""
    well(ready.fab("password", env={"LAB_PASSWORD": "a kept one"}))
    old = ready.host.exec(f"cat {TOKEN}").strip()
    by_token, by_password = Visitor(ready), Visitor(ready)
    assert by_token.log_in(old) and by_password.log_in("a kept one")
    return by_token, by_password, old


def test_a_new_token_ends_every_session_and_the_old_token(ready, sessions):
    by_token, by_password, old = sessions
    well(ready.fab("restart"))
    assert by_token.is_in() and by_password.is_in()  # a mere restart ends none
    out = well(ready.fab("token", "--rotate"))
    new = re.search(r"/lab\?token=(\w{48})\n", out)[1]
    assert new != old and ready.infra.file(TOKEN).mode == 0o600
    assert not by_token.is_in() and not by_password.is_in()
    assert not accepted(ready, old)
    assert accepted(ready, new) and accepted(ready, "a kept one")
    assert ready.infra.file(SECRET).user == "david" and ready.infra.file(SECRET).mode == 0o600
    nothing_to_change(ready.fab("full", "--no-verify"))


def test_one_that_is_killed_before_the_restart_is_finished_by_full(ready, sessions):
    by_token, by_password, old = sessions
    ready.host.exec(
        "printf '#!/bin/sh\\nkill -9 0\\n' >/root/killer; chmod +x /root/killer\n"
        "mount --bind /root/killer /usr/bin/systemd-analyze"
    )
    done = ready.fab("token", "--rotate")
    ready.host.exec("umount /usr/bin/systemd-analyze")
    refused(done, "run again")
    out = well(ready.fab("full"))
    assert "the last run did not finish" in out and "is newer than the running process" in out
    assert not by_token.is_in() and not by_password.is_in()
    new = ready.host.exec(f"cat {TOKEN}").strip()
    assert new != old and accepted(ready, new) and not accepted(ready, old)
    nothing_to_change(ready.fab("full", "--no-verify"))


def test_of_a_stopped_one_the_token_changes_and_it_stays_stopped(ready, sessions):
    by_token, _, old = sessions
    well(ready.fab("stop"))
    assert old not in well(ready.fab("token", "--rotate"))
    assert not ready.infra.service("jupyterlab").is_running
    well(ready.fab("start"))
    assert not by_token.is_in() and not accepted(ready, old)
