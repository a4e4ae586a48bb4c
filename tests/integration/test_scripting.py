"""For scripts: one line of JSON for each host, and exit codes, as docs/scripting.md has them."""

import json
import re
import signal
import subprocess

import pytest
from outcomes import well

from testbed.machine import ROOT

pytestmark = pytest.mark.lifecycle

PAGE = (ROOT / "docs/scripting.md").read_text()
EVERY = {"host", "task", "ok", "error", "notes", "seconds"}
LOOKS = {  # what is typed -> the keys of its own
    "verify": {"checks"},
    "doctor": {"ill", "findings"},
    "audit": {"threats"},
    "packages --list": {"packages"},
    "kernels --list": {"kernels"},
    "backup --list": {"backups", "timer"},
    "kernels": {"changes", "system", "items"},
    "--dry full": {"changes", "differs", "system", "items", "url"},
}
LOCK = "/run/jupyterlab-fab.lock"
LINK = "/etc/nginx/sites-enabled/zz-jupyterlab"

LINKED = f"link {LINK} to /etc/nginx/sites-available/jupyterlab"


@pytest.fixture(scope="module")
def ready(server):
    return server("scripting", settled=True)


def told(site, *words: str, code: int = 0, **how) -> dict:
    """Run a task with --json; nothing else may be on its standard output."""
    done = site.fab(*words, "--json", **how)
    assert done.returncode == code and done.stdout.count("\n") == 1, done.stdout + done.stderr
    one = json.loads(done.stdout)
    assert one["host"] == site.target and one["ok"] == (code == 0), one
    assert one.get("error", "").strip() == done.stderr.strip()
    return one


@pytest.mark.parametrize("typed", LOOKS)
def test_what_looks_tells_its_own_keys(ready, typed):
    one = told(ready, *typed.split())
    assert set(one) - EVERY == LOOKS[typed]
    assert all(f"| `{key}` |" in PAGE for key in one)


def test_every_check_and_every_attack_is_told(ready):
    assert all(one["ok"] for one in told(ready, "verify")["checks"] if one["where"] != "here")
    states = {one["name"]: one["state"] for one in told(ready, "audit")["threats"]}
    assert states["clear"] == "allowed" and states["files"] == "closed"
    names = {one["name"] for one in told(ready, "packages", "--list")["packages"]}
    assert {"jupyter", "jupyterlab", "notebook"} <= names


def test_drift_is_told_and_full_tells_what_it_changes(ready):
    ready.host.exec(f"rm -f {LINK}")
    one = told(ready, "status", "--drift", code=2)
    assert one["drift"] and LINKED in one["differs"]
    assert f"full makes {len(one['differs'])} changes" in one["error"]
    assert told(ready, "--dry", "full")["differs"] == one["differs"]
    one = told(ready, "full")
    assert all(change["ok"] for change in one["changes"])
    assert LINKED in [change["change"] for change in one["changes"]]
    assert re.fullmatch(r"http://jupyterlab\.vmdomain\.io/lab", one["url"])
    assert re.fullmatch(rf"{re.escape(one['url'])}\?token=\w{{40,}}", one["login_url"])
    assert len(one["checks"]) > 5 and any("/hosts" in note for note in one["notes"])
    assert told(ready, "full", "--no-verify")["changes"] == []


def test_a_step_that_fails_is_told_with_those_before_it(ready):
    ready.host.exec(f"rm -f {LINK}; echo 'nonsense;' >/etc/nginx/conf.d/other.conf")
    try:
        one = told(ready, "full", code=1)
    finally:
        ready.host.exec("rm /etc/nginx/conf.d/other.conf")
    assert [change["ok"] for change in one["changes"]][-1] is False
    assert "nonsense" in one["error"]
    well(ready.fab("full", "--no-verify"))


def test_a_service_that_is_stopped_is_ill(ready):
    ready.host.exec("systemctl stop nginx")
    try:
        ill, failed = told(ready, "doctor", code=1), told(ready, "verify", code=1)
    finally:
        ready.host.exec("systemctl start nginx")
    assert ill["ill"] and ill["findings"][0]["remedy"]
    assert failed["checks"][-1]["ok"] is False and failed["checks"][-1]["where"] == "nginx"


def test_a_backup_is_told_with_its_path_and_size(ready, tmp_path):
    one = told(ready, "backup", "--to", str(tmp_path))
    (file,) = tmp_path.glob("*/*.zst")
    assert one["backup"] == {"path": str(file), "size": file.stat().st_size}
    (listed,) = told(ready, "backup", "--list", "--to", str(tmp_path))["backups"]
    assert listed["name"] == file.name and listed["sound"] and listed["where"] == "here"


def test_a_certificate_is_told(ready):
    env = {"FABRIC_LAB_TLS": "self-signed"}
    one = told(ready, "tls", env=env)
    assert one["changes"] and set(one) - EVERY == {"changes", "system", "items"}
    one = told(ready, "tls", "--status", env=env)
    assert one["url"].startswith("https://") and one["certificate"]["days_left"] > 300
    well(ready.fab("full", "--no-verify", "--yes"))


def test_a_fleet_has_a_line_for_each_host(ready, operator):
    ready.host.exec("systemctl stop nginx")
    down = f"{ready.target}:2"
    words = "fleet", "doctor --json", "--on", f"{ready.target},{down}"
    done = operator.fab("-i", str(operator.key), *words, env={"FABRIC_LAB_BOOT_WAIT": "0"})
    ready.host.exec("systemctl start nginx")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    by_host = {line["host"]: line for line in lines}
    assert done.returncode == 1 and len(lines) == 2 and set(by_host) == {ready.target, down}
    assert by_host[ready.target]["ill"] and "port 2" in by_host[down]["error"]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_is_told(ready, number, code):
    ready.host.exec(f"rm -f {LINK}; systemd-run -q --collect --unit held flock {LOCK} sleep 90")
    client = ready.start("full", "--json", stdin=subprocess.DEVNULL)
    ready.host.exec("timeout 60 sh -c 'until pgrep -f \"^flock -w\"; do sleep 0.1; done'")
    client.send_signal(number)
    out, errors = client.communicate(timeout=60)
    ready.host.exec("systemctl stop held")
    one = json.loads(out)
    assert client.returncode == code and one["ok"] is False, errors
    assert re.search(r": stopped: 0 of \d changes made; run again", one["error"])
    well(ready.fab("full", "--no-verify"))
