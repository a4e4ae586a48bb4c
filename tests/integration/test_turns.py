"""One run at a time: a second operator waits, is told for whom, and a dead run holds nobody up."""

import re
import subprocess

import pytest
from outcomes import nothing_to_change, well

pytestmark = [pytest.mark.lifecycle, pytest.mark.core]

LOCK = "/run/jupyterlab-fab.lock"
TURN = "/run/jupyterlab-fab.turn"
# It holds the lock until another run waits for it, for that may be late on a busy machine.
HOLD = f"""
systemd-run -q --collect flock {LOCK} \\
    timeout 60 sh -c 'until pgrep -f "^flock -w" >/dev/null; do sleep 0.1; done'
timeout 20 sh -c 'while flock -n {LOCK} true; do sleep 0.05; done'
"""
BUSY = r"another run holds the lock: \w+@\S+, since 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture(scope="module")
def site(servers):
    """A server that has lost its venv: a run is at work for some seconds."""
    (made,) = servers("turns", settled=True)
    made.host.exec("systemctl stop jupyterlab; rm -r /home/david/project/venv")
    return made


@pytest.fixture(scope="module")
def both(site):
    """Two runs of full at the same server, at once."""
    runs = [site.start("full", stdin=subprocess.DEVNULL) for _ in range(2)]
    outputs = [run.communicate(timeout=300) for run in runs]
    return [
        subprocess.CompletedProcess(run.args, run.returncode, *output)
        for run, output in zip(runs, outputs, strict=True)
    ]


def test_both_succeed_and_one_tells_whom_it_waited_for(both):
    outs = [well(done) for done in both]
    assert [bool(re.search(BUSY, out)) for out in outs].count(True) == 1
    assert ["6*7 over the websocket is 42" in out for out in outs] == [True, True]


def test_only_one_of_them_made_the_changes(both):
    assert sorted("nothing to change" in done.stdout for done in both) == [False, True]


def test_a_third_run_finds_nothing_to_change_and_all_works(site, both):
    nothing_to_change(site.fab("full", "--no-verify"))
    well(site.fab("verify"))


def test_the_lock_of_a_dead_run_does_not_block(site, both):
    site.host.exec(f"echo 'eve@gone, since 2020-01-01 00:00:00 UTC, process 1' >{TURN}")
    site.host.exec("systemctl stop jupyterlab")
    out = well(site.fab("full", "--no-verify"))
    assert "1 change made" in out and "another run" not in out
    assert "the last run did not finish (eve@gone, since 2020-01-01 00:00:00 UTC" in out
    assert "eve@gone" not in site.host.exec(f"cat {TURN}")


def test_a_run_that_holds_the_lock_is_waited_for(site, both):
    site.host.exec("systemctl stop jupyterlab")
    site.host.exec(f"echo 'eve@here, since 2020-01-01 00:00:00 UTC, process 1' >{TURN}\n{HOLD}")
    out = well(site.fab("full", "--no-verify"))
    assert "another run holds the lock: eve@here, since 2020-01-01 00:00:00 UTC" in out
    assert "1 change made" in out


def test_a_killed_run_holds_nobody_up(site, both):
    site.host.exec("systemctl stop jupyterlab")
    site.host.exec(
        "printf '[Service]\\nExecStartPre=/bin/sleep 5\\n' | "
        "systemctl edit --runtime --stdin jupyterlab 2>&1 || true"
    )
    first = site.start("full", "--no-verify", stdin=subprocess.DEVNULL)
    site.host.exec(f"timeout 60 sh -c 'while flock -n {LOCK} true; do sleep 0.05; done'")
    first.kill()
    first.communicate()
    well(site.fab("full", "--no-verify"))
    nothing_to_change(site.fab("full", "--no-verify"))


def test_who_is_not_root_cannot_hold_the_lock(site, both):
    site.host.exec("systemctl stop jupyterlab")
    done = site.host.exec(f"runuser -u david -- flock -n {LOCK} true 2>&1 || echo refused")
    assert "Permission denied" in done and "refused" in done
    assert "1 change made" in well(site.fab("full", "--no-verify"))


def test_a_script_run_by_hand_waits_for_its_turn_too(site, both):
    site.host.exec("systemctl stop jupyterlab")
    script = well(site.fab("script"))
    site.host.exec(f"cat >/root/script.sh <<'END-OF-SCRIPT'\n{script}\nEND-OF-SCRIPT\n{HOLD}")
    out = site.host.exec("sh /root/script.sh")
    assert "another run holds the lock" in out and "end 0 0" in out
    assert site.infra.service("jupyterlab").is_running


def test_a_run_that_was_cut_off_after_its_last_step_is_settled_by_the_next(site, both):
    site.host.exec(f"echo 'eve@gone, since 2020-01-01 00:00:00 UTC, process 1' >{TURN}")
    out = well(site.fab("full", "--no-verify"))
    assert "nothing to change" in out and "the last run did not finish (eve@gone" in out
    out = well(site.fab("full", "--no-verify"))
    assert "did not finish" not in out
