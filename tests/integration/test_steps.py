"""Every step alone, in order; then `full`, which leaves them alone, and puts right what drifted."""

import time

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


@pytest.fixture(scope="module")
def deps(site):
    return well(site.fab("deps"))


@pytest.fixture(scope="module")
def jupyter(site, deps):
    return well(site.fab("jupyter"))


@pytest.fixture(scope="module")
def systemd(site, jupyter):
    return well(site.fab("systemd"))


@pytest.fixture(scope="module")
def nginx(site, systemd):
    return well(site.fab("nginx"))


@pytest.fixture
def as_david(site):
    """Run a command on the server as the user, with nothing of root's environment."""
    return lambda command: site.host.exec(f"su - david -c {command!r}")


@pytest.mark.parametrize(
    ("task", "first"), [("jupyter", "deps"), ("systemd", "jupyter"), ("verify", "full")]
)
def test_a_step_before_its_turn_names_the_command_to_run(site, task, first):
    refused(site.fab(task), f"fab -H {site.target} {first}")


def test_deps_leaves_the_packages(site, deps):
    assert [name for name in PACKAGES if not site.infra.package(name).is_installed] == []
    assert "python3 3." in deps and "python3-pip 2" in deps and "nodejs " in deps
    assert not site.infra.package("nginx").is_installed


def test_jupyter_leaves_a_venv_in_which_pip_works_for_the_user(site, jupyter, as_david):
    assert "jupyterlab 4." in jupyter
    assert as_david(f"{VENV}/bin/pip --version").startswith("pip ")
    as_david(f"{VENV}/bin/pip install --quiet cowsay")
    assert as_david(f'{VENV}/bin/python -c "import cowsay; print(cowsay.__name__)"') == "cowsay\n"
    assert "jupyterlab" in as_david(f"{VENV}/bin/jupyter --version")
    assert site.host.exec("find /home/david ! -user david -o ! -group david") == ""
    assert not site.infra.file(UNIT).exists


def test_systemd_leaves_a_unit_that_runs_as_the_user(site, systemd):
    service = site.infra.service("jupyterlab")
    assert service.is_enabled and service.is_running
    process = site.infra.process.get(pid=service.systemd_properties["MainPID"])
    assert (process.user, process.group) == ("david", "david")
    assert not site.infra.package("nginx").is_installed


def test_nginx_leaves_the_site_and_its_link(site, nginx):
    assert site.infra.file(LINK).linked_to == SITE
    assert site.infra.service("nginx").is_enabled and site.infra.service("nginx").is_running
    site.host.exec("nginx -t -q")


@pytest.fixture
def own(operator):
    """A hosts file with all that somebody may have written there."""
    path = operator.home / "hosts"
    former = path.read_bytes()
    path.write_bytes(OWN_HOSTS)
    path.chmod(0o640)
    yield path
    path.write_bytes(former)


def test_hosts_adds_the_line_and_takes_it_out_again_byte_by_byte(site, nginx, operator, own):
    well(site.fab("hosts"))
    assert f"{site.host.address}\tjupyterlab.vmdomain.io\n".encode() in own.read_bytes()
    assert own.read_bytes().endswith(OWN_HOSTS)
    before = own.read_bytes()
    well(site.fab("hosts"))
    assert own.read_bytes() == before
    well(operator.fab("hosts", "--remove"))
    assert own.read_bytes() == OWN_HOSTS
    assert own.stat().st_mode & 0o777 == 0o640


def test_verify_proves_it(site, nginx):
    out = well(site.fab("verify"))
    assert "a websocket upgrade answers 101" in out
    assert "6*7 over the websocket is 42" in out


@pytest.mark.parametrize("task", ["deps", "jupyter", "systemd", "nginx"])
def test_a_second_time_there_is_nothing_to_change(site, nginx, task):
    nothing_to_change(site.fab(task))


def test_hosts_from_a_settings_file_of_ones_own(site, nginx, operator, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"hosts: [{site.target}]\nconnect_kwargs: {{key_filename: {operator.key}}}\n")
    done = operator.fab("-f", str(mine), "nginx")
    nothing_to_change(done)
    assert site.target in done.stdout


def state(site) -> str:
    """What a run that changes nothing must not touch: processes, and every file that we own."""
    return site.host.exec(
        "systemctl show jupyterlab nginx -p MainPID -p ActiveEnterTimestamp -p UnitFileState\n"
        "find /etc/nginx /etc/systemd /etc/tmpfiles.d /home/david/.jupyter /var/backups "
        f"{VENV}/lib /run/jupyterlab* -maxdepth 6 -printf '%p %T@ %C@ %m %u %g %l\\n' | sort"
    )


def replaced(site, path: str) -> str:
    """The text of the newest copy that was kept of a file, and its mode must hide it."""
    kept = site.host.exec(f"ls -d /var/backups/jupyterlab/*{path} | tail -n 1").strip()
    assert site.infra.file("/var/backups/jupyterlab").mode == 0o700
    return site.infra.file(kept).content_string


def started(site) -> str:
    """When the service was started, as systemd has it."""
    return site.host.exec("systemctl show jupyterlab -p MainPID -p ExecMainStartTimestampMonotonic")


def test_full_after_the_steps_changes_nothing(site, nginx):
    before = state(site)
    nothing_to_change(site.fab("full", "--no-verify"))
    assert state(site) == before


# An edited site, no link, a unit that is stopped and disabled, and wrong rights.
DRIFT = f"""
echo '# by hand' >>{SITE}; rm {LINK}; chmod 0666 {UNIT} {CONFIG}
systemctl disable -q --now jupyterlab
"""


def test_a_dry_run_of_a_converged_host_changes_nothing(site, nginx):
    before = state(site)
    nothing_to_change(site.fab("--dry", "full"))
    assert state(site) == before


def test_full_shows_what_drifted_repairs_it_and_keeps_what_it_replaced(site, nginx, operator):
    site.host.exec(DRIFT)
    own, before = (operator.home / "hosts").read_bytes(), state(site)
    out = well(site.fab("--dry", "full"))
    assert f"would replace {SITE}" in out and "-# by hand" in out
    assert f"would link {LINK}" in out and "would start jupyterlab.service" in out
    assert f"would set permissions of {UNIT}" in out
    assert state(site) == before
    assert (operator.home / "hosts").read_bytes() == own
    assert "6*7 over the websocket is 42" in well(site.fab("full"))
    nothing_to_change(site.fab("full", "--no-verify"))
    service = site.infra.service("jupyterlab")
    assert service.is_enabled and service.is_running
    assert site.infra.file(LINK).linked_to == SITE
    assert site.infra.file(UNIT).mode == 0o644
    assert site.infra.file(CONFIG).mode == 0o600
    assert "by hand" not in site.infra.file(SITE).content_string
    assert replaced(site, SITE).endswith("# by hand\n")


def test_a_service_older_than_its_file_is_restarted_once(site, nginx):
    before = started(site)
    site.host.exec(f"touch {CONFIG}")
    assert "is newer than the running process" in well(site.fab("full"))
    after = started(site)
    assert after != before
    nothing_to_change(site.fab("full", "--no-verify"))
    assert started(site) == after


def test_a_time_in_the_future_restarts_once(site, nginx):
    before = started(site)
    for path, moment in ((CONFIG, "+2 hours"), (SITE, "+1 day"), (UNIT, "2099-01-01")):
        site.host.exec(f"touch -d '{moment}' {path}")
    out = well(site.fab("full", "--no-verify"))
    done = [line for line in out.splitlines() if line.startswith("  done")]
    for step in ("restart jupyterlab.service", "reload nginx.service"):
        assert len([line for line in done if step in line]) == 1, out
    after = started(site)
    assert after != before
    nothing_to_change(site.fab("full", "--no-verify"))
    assert started(site) == after


@pytest.mark.debian("bookworm")
def test_a_killed_jupyter_comes_back_by_itself(site, nginx):
    before = started(site)
    listens = "ss -Hlx | grep -q /run/jupyterlab/jupyter.sock"
    site.host.exec(  # seen at once: two seconds later it is started again
        "systemctl kill --signal=KILL --kill-who=main jupyterlab\n"
        f"timeout 30 sh -c 'while {listens}; do sleep 0.05; done'"
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if started(site) != before and site.infra.service("jupyterlab").is_running:
            break
        time.sleep(0.2)
    well(site.fab("verify"))
    assert started(site) != before
