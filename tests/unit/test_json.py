"""With --json a run prints one line, with the keys of docs/scripting.md, and nothing else."""

import inspect
import json
import re
from base64 import b64encode
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from inside import fab
from invoke import Exit

from fabfile import catalogue, full, kernels, tls, verify
from fabfile.backup import backup
from fabfile.certs import private_ca
from fabfile.doctor import doctor
from fabfile.doctor.causes import CAUSES
from fabfile.doctor.diagnose import Finding
from fabfile.engine import converge
from fabfile.engine.converge import Reading
from fabfile.engine.host import Host
from fabfile.items import Change, Item
from fabfile.manage import audit, packages
from fabfile.settings import Settings
from fabfile.status import status
from fabfile.ui import console
from testbed.machine import ROOT

WHERE = "david@1.1.1.1"
PAGE = (ROOT / "docs/scripting.md").read_text()
EVERY = set(re.findall(r"^\| `(\w+)` \| [^`|]", PAGE.partition("| key | task |")[0], re.MULTILINE))
OWN: dict[str, set[str]] = {}  # task -> its keys
for key, names in re.findall(r"^\| `(\w+)` \| ((?:`\w+` ?)+)\|", PAGE, re.MULTILINE):
    for task in names.replace("`", "").split():
        OWN.setdefault(task, set()).add(key)
_, _, SECTION = PAGE.partition("## What `status --json` says")
OWN["status"] |= set(re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE))
MARK = "@00000000-0000-0000-0000-000000000000"


def with_json() -> set[str]:
    """Return the tasks that have the option."""
    return {
        task.name for task in catalogue.TASKS if "json" in inspect.signature(task.body).parameters
    }


def test_the_page_names_the_tasks_that_have_the_option():
    text = " ".join(PAGE.split())
    (said,) = re.findall(r"`--json` is an option of ([^.]+)\.", text)
    assert set(re.findall(r"`(\w+)`", said)) == with_json() == set(OWN)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """Stand in a folder without settings, with no server to connect to."""
    monkeypatch.chdir(tmp_path)
    for module in (verify, audit, tls):
        monkeypatch.setattr(module.connection, "open_connection", lambda c, s: None)


@pytest.fixture
def run(capsys, monkeypatch):
    """Give a function that types words after `fab -H ...`; it returns code, object and errors."""

    def typed(*words: str, host: str = WHERE) -> tuple[int, dict, str]:
        code = 0
        try:
            fab(monkeypatch).run(["fab", *(["-H", host] if host else []), *words, "--json"])
        except SystemExit as end:
            code = end.code
        out, errors = capsys.readouterr()
        assert out.count("\n") == 1 and out.endswith("}\n"), out
        told = json.loads(out)
        assert list(told)[:3] == ["host", "task", "ok"] and "seconds" in told
        assert told["ok"] == (code == 0) and ("error" in told) == (code != 0)
        assert code == 0 or told["error"] in errors
        task = next(word for word in words if word in OWN)
        assert told["task"] == task and set(told) - EVERY <= OWN[task]
        return code, told, errors

    return typed


def keys(told: dict) -> set[str]:
    """Return the keys of an object that are those of its task."""
    return set(told) - EVERY


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", sorted(with_json() - {"check"}))  # that needs no host
def test_an_error_is_an_object_too(run, task, monkeypatch):
    code, told, _ = run(task, host="")
    assert code == 1 and told["host"] is None and "no host given" in told["error"]
    monkeypatch.setenv("FABRIC_LAB_TLS", "nonsense")
    code, told, _ = run(task)
    assert code == 1 and told["host"] == WHERE and "lab.tls: 'nonsense'" in told["error"]


def test_a_fault_of_this_program_is_an_object_and_ctrl_c_as_well(monkeypatch, capsys):
    for problem, error in ((KeyError("x"), "KeyError: 'x'"), (Exit("a\x1b[2J", 1), "a\\x1b[2J")):
        sink = console.Json(WHERE, "full")
        with pytest.raises(type(problem)), sink.used():
            console.say("  done   1.0 s  something")
            raise problem
        told = json.loads(capsys.readouterr().out)
        assert told["ok"] is False and told["error"].replace("\x1b", "\\x1b") == error


def test_ctrl_c_is_an_object(run, monkeypatch):
    def interrupted(*a):
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "prove", interrupted)
    code, told, _ = run("verify")
    assert code == 130 and told["error"] == "stopped: nothing was changed; run again to continue"


# --- full --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thing(Item):
    """Something that is made once."""

    def read(self):
        return "true"

    def compare(self, state, touched):
        return None if state == "there" else Change("make the thing", "true")


def items(settings, host):
    return [Thing(step="deps")]


@pytest.fixture
def server(monkeypatch):
    """Give a function that says what the server answers to the changes of `full`."""

    def answers(*lines: str) -> None:
        def look(c, chosen, steps, request):
            seen = Reading(Host(), [Thing(step="deps")], [["absent"]])
            return seen, seen.changes(steps)

        def apply(c, script, root):
            yield from lines
            return 0

        monkeypatch.setattr(converge, "look", look)
        monkeypatch.setattr(converge.channel, "apply", apply)
        monkeypatch.setattr(full.tls, "serve", serve)
        monkeypatch.setattr(full.hosts, "refuse_taken", lambda *a: None)
        monkeypatch.setattr(full.hosts, "add", lambda *a, **k: True)
        monkeypatch.setattr(verify.channel, "ask", lambda *a, **k: CHECKS)
        monkeypatch.setattr(verify, "from_here", lambda *a: ("here", "skip", 0.0, "unknown"))
        monkeypatch.setattr(full, "tell", lambda *a: console.note(login_url="u") or "u")

    def serve(c, settings, *steps, request):
        return converge.converge(c, settings, items, request=request), settings

    return answers


CHECKS = ["jupyter|it answers|ok|0.1|200", "nginx|it answers|ok|0.2|302"]
DONE = "begin 0", "note one kept", "end 0 0", MARK, f"{MARK} 0", "there", f"{MARK} end"


def test_full_tells_its_changes_its_checks_and_the_address(run, server):
    server(*DONE)
    code, told, _ = run("full")
    assert code == 0 and keys(told) == OWN["full"] - {"differs"}
    assert told["changes"] == [{"change": "make the thing", "ok": True, "seconds": 0.0}]
    assert told["notes"] == ["one kept"] and told["items"] == 1 and told["system"] == Host().name
    assert [one["ok"] for one in told["checks"]] == [True, True, None]
    assert set(told["checks"][0]) == {"where", "check", "ok", "seconds", "detail"}


def test_a_step_that_fails_is_among_the_changes(run, server):
    server("begin 0", "| no space", "end 0 1")
    code, told, _ = run("full")
    assert code == 1 and told["changes"][0]["ok"] is False and "make the thing" in told["error"]


def test_a_dry_run_tells_what_differs(run, server, monkeypatch):
    server()
    code, told, _ = run("--dry", "full")
    assert code == 0 and told["differs"] == ["make the thing"] and "changes" not in told


# --- what looks --------------------------------------------------------------------------------


def test_verify(run, monkeypatch):
    monkeypatch.setattr(verify.channel, "ask", lambda *a, **k: [CHECKS[0], "nginx|x|FAIL|1|no"])
    code, told, _ = run("verify")
    assert code == 1 and keys(told) == OWN["verify"]
    assert [one["ok"] for one in told["checks"]] == [True, False]


def test_doctor(run, monkeypatch):
    found = [Finding(next(one for one in CAUSES if not one.mild), "seen", "do")]
    monkeypatch.setattr(doctor, "examine", lambda *a: None)
    monkeypatch.setattr(doctor.diagnose, "diagnose", lambda *a: found)
    code, told, _ = run("doctor")
    assert code == 1 and keys(told) == OWN["doctor"] and told["ill"] is True
    (one,) = told["findings"]
    assert set(one) == {"name", "ill", "cause", "proof", "remedy"}
    found.clear()
    code, told, _ = run("doctor")
    assert code == 0 and told["findings"] == [] and told["ill"] is False


def test_audit(run, monkeypatch):
    rows = "audit|files|closed|mode 600", "audit|names|open|200", "audit|clear|open|http", "note|n"
    monkeypatch.setattr(audit, "read", lambda *a: SimpleNamespace(host=Host()))
    monkeypatch.setattr(audit, "script", lambda *a: "")
    monkeypatch.setattr(audit.channel, "apply", lambda *a: iter(rows))
    code, told, _ = run("audit")
    assert code == 1 and keys(told) == OWN["audit"] and told["notes"] == ["n"]
    closed, opened, allowed = told["threats"]
    assert [one["state"] for one in told["threats"]] == ["closed", "open", "allowed"]
    same = {"name", "threat", "state", "proof"}
    assert set(closed) == same and set(opened) == same | {"remedy"}
    assert set(allowed) == same | {"setting"} and allowed["setting"] == "lab.tls: off"


@pytest.mark.parametrize("drift", [False, True])
def test_status(run, monkeypatch, drift):
    whole = dict.fromkeys(OWN["status"]) | {"drift": True, "differs": ["a"]}
    monkeypatch.setattr(status, "look", lambda *a: (None, []))
    monkeypatch.setattr(status, "whole", lambda *a: whole)
    monkeypatch.setattr(status, "show", lambda *a, **k: console.say("for people"))
    code, told, errors = run("status", *["--drift"] * drift)
    assert code == 2 * drift and told["differs"] == ["a"] and keys(told) == OWN["status"]
    assert f"fab -H {WHERE} full makes 1 change" in errors or not drift


def test_packages(run, monkeypatch):
    there = {"numpy": "2.0", "pip": "23"}
    venv = SimpleNamespace(exists=True, versions=there, former="")
    host = Host(added=("numpy>=1",))
    monkeypatch.setattr(packages.actions, "meet", lambda *a: (host, (venv, (set(), None))))
    for words in (["--list"], []):
        code, told, _ = run("packages", *words)
        assert code == 0 and keys(told) == {"packages"}
        rows = {one["name"]: one for one in told["packages"]}
        added = {"name": "numpy", "version": "2.0", "requirement": "numpy>=1", "by": "added"}
        assert rows["numpy"] == added and rows["pip"] == {"name": "pip", "version": "23"}
        assert rows["jupyter"]["version"] is None and rows["jupyter"]["by"] == "settings"


def test_kernels(run, monkeypatch):
    one = {"name": "python3", "title": "Python 3", "what": "Python 3.11"}
    monkeypatch.setattr(kernels, "meet", lambda *a: (Host(), []))
    monkeypatch.setattr(kernels.channel, "ask", lambda *a, **k: [json.dumps(one)])
    code, told, _ = run("kernels", "--list")
    assert code == 0 and keys(told) == {"kernels"} and told["kernels"] == [one]


def test_tls(run, monkeypatch, tmp_path):
    monkeypatch.setenv("FABRIC_LAB_TLS", "self-signed")
    chain, _ = private_ca.make(tmp_path).issue(Settings().domain)
    served = b64encode(chain.encode()).decode()
    monkeypatch.setattr(tls.channel, "ask", lambda *a: [served])
    code, told, _ = run("tls", "--status")
    assert code == 0 and keys(told) == {"url", "certificate"}
    assert set(told["certificate"]) == {"issuer", "names", "days_left", "until"}
    assert told["certificate"]["names"] == [Settings().domain]


def test_backups(run, monkeypatch):
    lines = ["archive|jupyterlab-2026-11-29T000000Z.tar.zst|9|4.6|sound", "timer|Mon||success"]
    monkeypatch.setattr(backup, "look", lambda *a: (SimpleNamespace(host=Host()), []))
    monkeypatch.setattr(backup, "script", lambda *a: "")
    monkeypatch.setattr(backup.channel, "apply", lambda *a: iter(lines))
    code, told, _ = run("backup", "--list")
    assert code == 0 and keys(told) == {"backups", "timer"}
    (one,) = told["backups"]
    assert set(one) == {"where", "name", "size", "jupyterlab", "sound"} and one["sound"] is True
    assert told["timer"] == {"next": "Mon", "last": None, "result": "success"}
    lines.clear()
    assert run("backup", "--list")[1] | {"seconds": 0} == {
        "host": WHERE, "task": "backup", "ok": True, "backups": [], "timer": None, "seconds": 0,
    }  # fmt: skip


# --- several hosts -----------------------------------------------------------------------------


def test_a_fleet_prints_a_line_for_each_host(monkeypatch, capsys):
    def prove(c, settings, by_address):
        console.say("for people")
        if c.host == "b":
            raise Exit("no")

    monkeypatch.setattr(verify, "prove", prove)
    with pytest.raises(SystemExit) as ended:
        fab(monkeypatch).run(["fab", "fleet", "verify --json", "--on", "anna/a,b,c:x"])
    out, errors = capsys.readouterr()
    told = {one["host"]: one for one in map(json.loads, out.splitlines())}
    assert ended.value.code == 1 and errors.startswith("2 of 3 failed")
    assert {host: one["ok"] for host, one in told.items()} == {
        "anna/a": True, "b": False, "c:x": False
    }  # fmt: skip
    assert out.count("\n") == 3 and told["b"]["error"] == "no"


def test_hosts_of_the_settings_have_a_line_each(monkeypatch, capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("hosts: [a, david@b]\n")
    monkeypatch.setattr(verify, "prove", lambda c, settings, by_address: None)
    fab(monkeypatch).run(["fab", "-f", "mine.yaml", "verify", "--json"])
    hosts = [json.loads(line)["host"] for line in capsys.readouterr().out.splitlines()]
    assert [host.rpartition("@")[2] for host in hosts] == ["a", "b"]
