"""An upgrade that cannot strand anybody: from JupyterLab 4.0, broken at each stage, and back."""

import re
import time

import pytest
import wheels
from notebook import Notebook
from outcomes import nothing_to_change, well
from refusals import refused
from visitor import Visitor

pytestmark = pytest.mark.lifecycle

VENV = "/home/david/project/venv"
OLD = "jupyterlab==4.0.13 notebook==7.0.8 jupyter_server==2.10.0"
TOKEN = "/home/david/.jupyter/jupyterlab_token"


@pytest.fixture(scope="module")
def site(server, operator):
    """A server whose JupyterLab somebody set up long ago, by the how-to's own means."""
    site = server("upgraded", settled=True)
    site.own_venv()
    site.host.exec(f"su - david -c '{VENV}/bin/pip install -q {OLD}'; systemctl restart jupyterlab")
    return site


@pytest.fixture(scope="module")
def session(site):
    """Somebody who logged in before all of it."""
    visitor = Visitor(site)
    deadline = time.monotonic() + 60
    while visitor.client.get("/login").status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert visitor.log_in(site.host.exec(f"cat {TOKEN}"))
    return visitor


def versions(site, venv: str = VENV) -> dict[str, str]:
    """What is in a venv, as it says itself."""
    listed = site.host.exec(
        f"su david -c '{venv}/bin/python -m pip list --format=freeze' 2>/dev/null"
    )
    return dict(re.findall(r"^(\S+)==(\S+)$", listed, re.MULTILINE))


def serving(site) -> str:
    """Which process serves, and from which venv."""
    return site.host.exec(f"readlink -f {VENV}; systemctl show jupyterlab -p MainPID")


def others(site) -> list[str]:
    """What stands beside the venv."""
    return site.host.exec("ls /home/david/project/.venvs 2>/dev/null || true").split()


def test_an_old_one_is_told_to_have_a_hole(site, session):
    assert versions(site)["jupyterlab"] == "4.0.13"
    assert "jupyter-server 2.10.0 has a vulnerability, CVE-2026-44727" in well(site.fab("packages"))


def test_a_dry_run_says_what_is_newer_and_leaves_all_as_it_is(site):
    before = serving(site)
    out = well(site.fab("--dry", "upgrade"))
    assert "jupyterlab 4.0.13 -> 4." in out and "would build a new venv" in out
    assert serving(site) == before and others(site) == []


# Each breaks a Python of the new venv at another stage: a wheel's .pth runs when it starts.
ARGV = "' '.join(sys.orig_argv)"
STAGES = {
    "no module can be imported": ("raise ImportError('broken on purpose')", "pass", "imported"),
    "JupyterLab does not start": (
        "", f"'-m jupyterlab' in {ARGV} and sys.exit('broken on purpose')", "does not start",
    ),
    "no kernel computes": (
        "", f"'ipykernel_launcher' in {ARGV} and sys.exit('broken on purpose')", "does not compute",
    ),
    "the service does not start": (
        "", f"'bin/jupyter' in {ARGV} and sys.exit('broken on purpose')", "did not start from",
    ),
}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_an_upgrade_that_breaks_leaves_the_old_one_serving(site, session, stage):
    module, start, why = STAGES[stage]
    wheels.offer(site.host, "breaks", module=module, start=start)
    before = serving(site)
    done = site.fab("upgrade", env={"FABRIC_LAB_PACKAGES": "jupyter breaks"})
    assert done.returncode == 1 and done.stdout.count("\n  FAIL ") == 1
    (line,) = done.stderr.splitlines()
    assert why in line and "JupyterLab runs as before" in line
    if stage == "the service does not start":
        assert before.splitlines()[0] == serving(site).splitlines()[0]
    else:
        assert serving(site) == before
    assert others(site) == [] and session.is_in()
    assert Notebook(site.host).cell("6*7").startswith("42")


def test_an_index_that_does_not_answer_leaves_the_old_one_serving(site, session):
    before = serving(site)
    site.host.exec("pip config --quiet --global set global.index-url http://127.0.0.1:9/simple")
    done = site.fab("upgrade")
    site.host.exec("pip config --quiet --global unset global.index-url")
    refused(done, "does not reach its package index")
    assert serving(site) == before and others(site) == [] and session.is_in()


@pytest.mark.parametrize("tool", ["install.py", "check_venv.py"])
def test_one_that_is_killed_leaves_the_old_one_serving(site, session, tool):
    before = serving(site)
    running = site.start("upgrade")
    site.host.exec(
        f"for n in $(seq 6000); do pgrep -f '/{tool} ' >/dev/null && break; sleep 0.05; done\n"
        "sleep 0.3; kill -KILL $(sed 's/.*process //' /run/jupyterlab-fab.turn)\n"
        f"pkill -KILL -f '/{tool} '"
    )
    running.communicate(timeout=120)
    assert running.returncode == 1
    assert serving(site) == before and session.is_in()


@pytest.fixture(scope="module")
def newest(site, tmp_path_factory):
    """Upgrade to the newest and write a lock; give what was printed, and the lock."""
    lock = tmp_path_factory.mktemp("lock") / "jupyterlab.lock"
    site.host.exec(f"su - david -c '{VENV}/bin/pip install -q cowsay==5.0'")
    return well(site.fab("upgrade", "--lock", env={"FABRIC_LAB_LOCK": str(lock)})), lock


def test_it_comes_to_the_newest_and_writes_a_lock(site, newest):
    out, lock = newest
    assert "and kept: cowsay" in out.replace("ipython, ", "")
    assert re.search(r"jupyterlab 4\.0\.13 -> 4\.[6-9]", out)
    there = versions(site)
    assert there["jupyterlab"] != "4.0.13"
    assert len(others(site)) == 2 and "previous" in others(site)  # nothing of those cut off
    written = dict(re.findall(r"^(\S+)==(\S+)$", lock.read_text(), re.MULTILINE))
    assert written["jupyterlab"] == there["jupyterlab"] and len(written) > 80
    assert Notebook(site.host).cell("6*7").startswith("42")
    well(site.fab("verify"))
    nothing_to_change(site.fab("full", "--no-verify"))
    assert "nothing newer" in well(site.fab("upgrade"))


def test_the_way_back_takes_seconds_and_refuses_a_hole(site, newest):
    refused(site.fab("rollback"), "has a vulnerability", "--anyway")
    began = time.monotonic()
    assert "-> 4.0.13" in well(site.fab("rollback", "--anyway"))
    assert time.monotonic() - began < 60  # a busy machine may take its time
    assert versions(site)["jupyterlab"] == "4.0.13"
    assert Notebook(site.host).cell("6*7").startswith("42")
    assert "this goes forward again" in well(site.fab("rollback"))
    assert versions(site)["jupyterlab"] != "4.0.13"


def test_a_host_that_is_not_the_same_gets_exactly_these_from_the_lock(site, newest, tmp_path):
    there = versions(site)
    lock = tmp_path / "of-the-fleet.lock"
    site.host.exec(f"su - david -c '{VENV}/bin/pip install -q six==1.16.0'")
    rows = [
        f"{name}=={version}" for name, version in there.items() if name not in ("pip", "setuptools")
    ]
    lock.write_text("\n".join(rows) + "\n")
    env = {"FABRIC_LAB_LOCK": str(lock)}
    well(site.fab("full", "--no-verify", env=env))
    assert versions(site) == there
    nothing_to_change(site.fab("full", "--no-verify", env=env))
    lock.write_text("jupyter_server==2.10.0\n")
    refused(site.fab("full", env=env), "has a vulnerability", "upgrade --lock")
    lock.write_text("jupyter_server>=2\n")
    refused(site.fab("full", env=env), "NAME==VERSION")


def test_packages_are_added_kept_and_removed(site, newest, tmp_path):
    own = tmp_path / "requirements.txt"
    own.write_text("# of mine\nwheel\n")
    well(site.fab("packages", "--add", "colorama 'tabulate>=0.9'"))
    assert {"colorama", "tabulate"} <= set(versions(site))
    well(site.fab("full", "--no-verify", env={"FABRIC_LAB_REQUIREMENTS": str(own)}))
    assert "wheel" in versions(site)
    listed = well(site.fab("packages"))
    assert re.search(r"added +colorama", listed) and re.search(r"settings +jupyter ", listed)
    before = versions(site)
    done = site.fab("packages", "--add", "colorama>=99")
    refused(done, "no versions fit together")
    refused(site.fab("packages", "--add", "jupyter_server==2.10.0"), "CVE-2026-44727")
    refused(site.fab("packages", "--add", "not a package!"), "not a pip requirement")
    refused(site.fab("packages", "--remove", "tornado"), "needs tornado", "nothing was removed")
    refused(site.fab("packages", "--remove", "jupyter"), "your settings")
    assert versions(site) == before
    nothing_to_change(site.fab("full", "--no-verify"))
    well(site.fab("packages", "--remove", "colorama"))
    nothing_to_change(site.fab("full", "--no-verify"))
    assert set(before) - set(versions(site)) == {"colorama"}
    assert "tabulate" in site.host.exec("cat /home/david/.jupyter/packages.txt")
