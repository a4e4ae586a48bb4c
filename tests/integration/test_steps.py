"""Every step alone, in order; then drift of every kind, and what `full` makes of it."""

import time
from contextlib import contextmanager

import pytest
from outcomes import nothing_to_change, well
from refusals import refused

pytestmark = [pytest.mark.lifecycle, pytest.mark.debian, pytest.mark.core]

STEPS = ["deps", "jupyter", "systemd", "nginx", "hosts", "verify"]
PACKAGES = ["python3", "python3-pip", "python3-venv", "nodejs", "curl"]
VENV = "/home/david/project/venv"
UNIT = "/etc/systemd/system/jupyterlab.service"
CONFIG = "/home/david/.jupyter/jupyter_lab_config.py"
TOKEN = "/home/david/.jupyter/jupyterlab_token"
SITE = "/etc/nginx/sites-available/jupyterlab"
LINK = "/etc/nginx/sites-enabled/zz-jupyterlab"
OWN_HOSTS = b"127.0.0.1 localhost\r\n\n# M\xfcller, by hand, no newline at the end\n10.0.0.1\tnas"


@pytest.fixture(scope="module")
def site(server):
    return server("steps")


@pytest.fixture
def as_david(site):
    """Run a command on the server as the user, with nothing of root's environment."""
    return lambda command: site.host.exec(f"su - david -c {command!r}")


# --- one after the other -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "first"), [("jupyter", "deps"), ("systemd", "jupyter"), ("verify", "deps")]
)
def test_a_step_before_its_turn_names_the_command_to_run(site, task, first):
    refused(site.fab(task), f"fab -H {site.target} {first}")


def test_deps_leaves_the_packages(site):
    out = well(site.fab("deps"))
    assert [name for name in PACKAGES if not site.infra.package(name).is_installed] == []
    assert "python3 3." in out and "python3-pip 2" in out and "nodejs " in out
    assert not site.infra.package("nginx").is_installed


def test_jupyter_leaves_a_venv_in_which_pip_works_for_the_user(site, as_david):
    assert "jupyterlab 4." in well(site.fab("jupyter"))
    assert as_david(f"{VENV}/bin/pip --version").startswith("pip ")
    as_david(f"{VENV}/bin/pip install --quiet cowsay")
    assert as_david(f'{VENV}/bin/python -c "import cowsay; print(cowsay.__name__)"') == "cowsay\n"
    assert "jupyterlab" in as_david(f"{VENV}/bin/jupyter --version")
    assert site.host.exec("find /home/david ! -user david -o ! -group david") == ""
    assert not site.infra.file(UNIT).exists


def test_systemd_leaves_a_unit_that_runs_as_the_user(site):
    well(site.fab("systemd"))
    service = site.infra.service("jupyterlab")
    assert service.is_enabled and service.is_running
    process = site.infra.process.get(pid=service.systemd_properties["MainPID"])
    assert (process.user, process.group) == ("david", "david")
    assert not site.infra.package("nginx").is_installed


def test_nginx_leaves_the_site_and_its_link(site):
    well(site.fab("nginx"))
    assert site.infra.file(LINK).linked_to == SITE
    assert site.infra.service("nginx").is_enabled and site.infra.service("nginx").is_running
    site.host.exec("nginx -t -q")


def test_hosts_adds_the_line_and_takes_it_out_again_byte_by_byte(site, operator):
    own = operator.home / "hosts"
    own.write_bytes(OWN_HOSTS)
    own.chmod(0o640)
    well(site.fab("hosts"))
    assert f"{site.host.address}\tjupyterlab.vmdomain.io\n".encode() in own.read_bytes()
    assert own.read_bytes().endswith(OWN_HOSTS)
    before = own.read_bytes()
    well(site.fab("hosts"))
    assert own.read_bytes() == before
    well(operator.fab("hosts", "--remove"))
    assert own.read_bytes() == OWN_HOSTS
    assert own.stat().st_mode & 0o777 == 0o640


def test_verify_proves_it(site):
    out = well(site.fab("verify"))
    assert "a websocket upgrade answers 101" in out
    assert "6*7 over the websocket is 42" in out


@pytest.mark.parametrize("task", ["deps", "jupyter", "systemd", "nginx"])
def test_a_second_time_there_is_nothing_to_change(site, task):
    nothing_to_change(site.fab(task))


def test_hosts_from_a_settings_file_of_ones_own(site, operator, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"hosts: [{site.target}]\nconnect_kwargs: {{key_filename: {operator.key}}}\n")
    done = operator.fab("-f", str(mine), "nginx")
    nothing_to_change(done)
    assert site.target in done.stdout


# --- drift -------------------------------------------------------------------------------------


def state(site) -> str:
    """What a run that changes nothing must not touch: processes, and every file that we own."""
    return site.host.exec(
        "systemctl show jupyterlab nginx -p MainPID -p ActiveEnterTimestamp -p UnitFileState\n"
        "find /etc/nginx /etc/systemd /etc/tmpfiles.d /home/david/.jupyter /var/backups "
        f"{VENV}/lib /run/jupyterlab* -maxdepth 6 -printf '%p %T@ %C@ %m %u %g %l\\n' | sort"
    )


def repaired(site) -> str:
    """Run full; it must succeed, prove itself, and find nothing to do a second time."""
    out = well(site.fab("full"))
    assert "6*7 over the websocket is 42" in out
    nothing_to_change(site.fab("full", "--no-verify"))
    return out


def replaced(site, path: str) -> str:
    """The text of the newest copy that was kept of a file, and its mode must hide it."""
    kept = site.host.exec(f"ls -d /var/backups/jupyterlab/*{path} | tail -n 1").strip()
    assert site.infra.file("/var/backups/jupyterlab").mode == 0o700
    return site.infra.file(kept).content_string


def started(site) -> str:
    """When the service was started, as systemd has it."""
    return site.host.exec("systemctl show jupyterlab -p MainPID -p ExecMainStartTimestampMonotonic")


def test_full_after_the_steps_changes_nothing(site):
    before = state(site)
    nothing_to_change(site.fab("full"))
    assert state(site) == before


@contextmanager
def drifted(site):
    """An edited site, no link, a unit that is stopped and disabled, and wrong rights."""
    site.host.exec(
        f"echo '# by hand' >>{SITE}; rm {LINK}; chmod 0666 {UNIT} {CONFIG}\n"
        "systemctl disable -q --now jupyterlab"
    )
    yield


def test_a_dry_run_of_a_converged_host_changes_nothing(site):
    before = state(site)
    nothing_to_change(site.fab("--dry", "full"))
    assert state(site) == before


def test_a_dry_run_of_a_drifted_host_shows_the_difference_and_changes_nothing(site, operator):
    own = (operator.home / "hosts").read_bytes()
    with drifted(site):
        before = state(site)
        out = well(site.fab("--dry", "full"))
    assert f"would replace {SITE}" in out and "-# by hand" in out
    assert f"would link {LINK}" in out and "would start jupyterlab.service" in out
    assert f"would set rights of {UNIT}" in out
    assert state(site) == before
    assert (operator.home / "hosts").read_bytes() == own


def test_full_repairs_all_of_that_and_keeps_what_it_replaced(site):
    site.host.exec(f"grep -q 'by hand' {SITE}")
    repaired(site)
    service = site.infra.service("jupyterlab")
    assert service.is_enabled and service.is_running
    assert site.infra.file(LINK).linked_to == SITE
    assert site.infra.file(UNIT).mode == 0o644
    assert site.infra.file(CONFIG).mode == 0o600
    assert "by hand" not in site.infra.file(SITE).content_string
    assert replaced(site, SITE).endswith("# by hand\n")


def test_a_service_older_than_its_file_is_restarted_once(site):
    before = started(site)
    site.host.exec(f"touch {CONFIG}")
    assert "is newer than what runs" in well(site.fab("full"))
    after = started(site)
    assert after != before
    nothing_to_change(site.fab("full"))
    assert started(site) == after


def test_a_killed_jupyter_comes_back_by_itself(site):
    before = started(site)
    site.host.exec("systemctl kill --signal=KILL --kill-who=main jupyterlab")
    time.sleep(1)
    assert not site.infra.socket("unix:///run/jupyterlab/jupyter.sock").is_listening
    deadline = time.monotonic() + 20
    while not site.infra.service("jupyterlab").is_running and time.monotonic() < deadline:
        time.sleep(0.2)
    well(site.fab("verify"))
    assert started(site) != before


HARMS = {
    "nginx stopped and disabled, a copy for the link": (
        f"systemctl disable -q --now nginx; rm {LINK}; cp {SITE} {LINK}"
    ),
    "an edited unit, configuration, and folder": (
        f"sed -i 's/Restart=.*/Restart=no/' {UNIT}; echo 'c.ServerApp.port = 1' >>{CONFIG}\n"
        "chmod 0777 /home/david/.jupyter"
    ),
    "no unit, and a link to another site": (
        f"rm {UNIT}; systemctl daemon-reload; ln -sfn /etc/nginx/sites-available/default {LINK}"
    ),
    "a masked service, and an empty token": (
        f"systemctl mask -q --now --runtime jupyterlab; : >{TOKEN}"
    ),
    "a service that is not enabled": "systemctl disable -q jupyterlab",
    "no token": f"rm {TOKEN}",
    "a venv without jupyterlab": f"{VENV}/bin/pip uninstall -qy jupyterlab 2>&1",
    "a venv without a part of jupyterlab": f"{VENV}/bin/pip uninstall -qy jupyterlab_server 2>&1",
    "no venv": f"rm -r {VENV}",
    "a token that others may read": f"chmod 0644 {TOKEN}; chown root {TOKEN}",
    "a token with a line end, as an editor leaves it": f"echo >>{TOKEN}",
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_full_repairs(site, harm):
    token = site.host.exec(f"cat {TOKEN}")
    site.host.exec(harm)
    out = repaired(site)
    service = site.infra.service("jupyterlab")
    assert service.is_enabled and service.is_running, out
    assert site.infra.service("nginx").is_enabled and site.infra.file(LINK).linked_to == SITE
    assert site.infra.file(TOKEN).mode == 0o600 and site.infra.file(TOKEN).user == "david"
    assert site.infra.file("/home/david/.jupyter").mode == 0o700
    site.host.exec(f"su david -c '{VENV}/bin/python -c \"import jupyterlab.labapp\"'")
    lost = harm in (HARMS["no token"], HARMS["a masked service, and an empty token"])
    assert (site.host.exec(f"cat {TOKEN}").strip() == token.strip()) != lost
