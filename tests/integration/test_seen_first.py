"""What a run would do is seen first: `--dry` and `script` write nothing and hold no secret."""

import re
import subprocess

import pytest
from outcomes import nothing_to_change, well
from test_interrupted import OWNED, STATE
from untouched import everything

pytestmark = pytest.mark.lifecycle

PASSWORD = "correct horse battery"
SITE = "/etc/nginx/sites-available/jupyterlab"
UNIT = "/etc/systemd/system/jupyterlab.service"
CONFIG = "/home/david/.jupyter/jupyter_lab_config.py"
TOKEN = "/home/david/.jupyter/jupyterlab_token"
HAND = "argon2:$argon2id$v=19$m=10240,t=10,p=8$c2FsdA$aGFzaA"
DRIFT = f"""
printf '# by hand\n' >>{SITE}
printf 'c.PasswordIdentityProvider.hashed_password = "{HAND}"\n' >>{CONFIG}
printf 'c.IdentityProvider.token = "by-hand-token"\n' >>{CONFIG}
chmod 0664 {UNIT}
dpkg --remove --force-depends nodejs 2>&1
systemctl stop jupyterlab
"""


@pytest.fixture(scope="module")
def site(servers):
    return servers("seen")[0]


@pytest.fixture(scope="module")
def kept(site):
    """The script for the bare server, after all that is only seen there."""
    return site.fab("script", env={"LAB_PASSWORD": PASSWORD})


def seen(site, *arguments: str, **env: str) -> str:
    """Run a task that must write nothing anywhere on the server; give all that it printed."""
    before = everything(site)
    done = site.fab(*arguments, env={"LAB_PASSWORD": PASSWORD, **env})
    after = everything(site)
    assert sorted(before ^ after) == []
    out = well(done) + done.stderr
    assert PASSWORD not in out and "argon2" not in out
    return out


def test_the_comparison_sees_a_touched_file_and_a_stopped_unit(site):
    before = everything(site)
    site.host.exec("touch /etc/hostname; systemctl start systemd-tmpfiles-clean.timer; sync")
    assert any("/etc/hostname" in line for line in everything(site) ^ before)
    before = everything(site)
    site.host.exec("systemctl stop systemd-tmpfiles-clean.timer")
    assert any("systemd-tmpfiles-clean.timer" in line for line in everything(site) ^ before)
    site.host.exec("systemctl start systemd-tmpfiles-clean.timer")


# --- a bare server -----------------------------------------------------------------------------


def test_a_dry_run_without_an_index_names_the_packages(site):
    site.host.exec("rm -rf /var/lib/apt/lists/*")
    out = seen(site, "--dry", "full", "--diff")
    assert "would install python3" in out and "nginx" in out
    assert f"would write {SITE}" in out and "+    proxy_pass" in re.sub(" +", "    ", out)
    assert "would start jupyterlab.service" in out


def test_a_dry_run_with_an_index_names_versions_too(site):
    site.host.exec("apt-get update -qq")
    out = seen(site, "--dry", "full")
    assert f"would write {SITE}" in out and "proxy_pass" not in out  # a line for a new file
    assert re.search(r"^    nginx 1\.\d\d", out, re.MULTILINE)
    assert re.search(r"^    python3-venv 3\.\d\d", out, re.MULTILINE)
    assert re.search(r"^    libnode\d+ \d", out, re.MULTILINE), "not all that comes along"


def test_a_dry_run_as_root_writes_nothing_either(site, server):
    site.host.exec("rm -f /var/cache/apt/*.bin")  # apt keeps its cache there when it may
    root = server("seen", "root", home="/root", sudo="none")
    seen(root, "--dry", "full", FABRIC_LAB_USER="david")


def test_the_script_is_printed_and_nothing_is_done(site):
    out = seen(site, "script")
    assert "install_packages" in out and "proxy_pass" in out


# --- the script, by hand -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(site, kept):
    """Run the script as its reader would: sudo sh script.sh."""
    site.host.exec(f"cat >/root/script.sh <<'END-OF-SCRIPT'\n{well(kept)}\nEND-OF-SCRIPT")
    command = ["docker", "exec", site.host.container, "sudo", "sh", "/root/script.sh"]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_script_run_by_hand_gives_the_same_state_as_full(site, ran, server):
    assert ran.returncode == 0, ran.stdout + ran.stderr
    undisturbed = server("undisturbed", settled=True)
    well(undisturbed.fab("full"))
    assert site.host.exec(OWNED + STATE) == undisturbed.host.exec(OWNED + STATE)


def test_full_finds_nothing_to_change_after_the_script(site, ran):
    done = site.fab("full")
    nothing_to_change(done)
    assert "6*7 over the websocket is 42" in done.stdout


def test_the_script_of_a_converged_host_holds_no_token(site, ran):
    token = site.host.exec(f"cat {TOKEN}").strip()
    site.host.exec(f"echo >>{TOKEN}")  # an editor's line end, which is taken out again
    out = well(site.fab("script"))
    site.host.exec(f"printf %s {token} >{TOKEN}; systemctl restart jupyterlab")
    assert token not in out


# --- a server that has drifted -----------------------------------------------------------------


@pytest.fixture(scope="module")
def drifted(site, ran):
    site.host.exec(DRIFT)
    before = everything(site)
    out = well(site.fab("--dry", "full", env={"LAB_PASSWORD": PASSWORD}))
    assert sorted(everything(site) ^ before) == []
    assert PASSWORD not in out
    return out


def test_a_dry_run_of_a_drifted_host_shows_the_differences_and_writes_nothing(drifted):
    assert f"would replace {SITE}" in drifted and "-# by hand" in drifted
    assert re.search(r"^    @@ -\d+.* @@$", drifted, re.MULTILINE)
    assert f"would set permissions of {UNIT}" in drifted
    assert "would install nodejs" in drifted and re.search(r"^    nodejs \d", drifted, re.M)
    assert "would start jupyterlab.service" in drifted


def test_a_dry_run_masks_secrets_in_what_was_edited_by_hand(site, drifted):
    assert "argon2" not in drifted and "by-hand-token" not in drifted
    assert site.host.exec(f"cat {TOKEN}").strip() not in drifted


@pytest.mark.parametrize("user", ["david", "root"])
@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_dry_run_names_the_python_packages_with_versions(site, ran, server, user, installer):
    who = server("seen", "root", home="/root", sudo="none") if user == "root" else site
    more = {"FABRIC_LAB_PACKAGES": "jupyter toolz", "FABRIC_LAB_INSTALLER": installer}
    out = seen(who, "--dry", "full", FABRIC_LAB_USER="david", **more)
    assert "would install toolz into" in out
    assert re.search(r"^    toolz 1\.[\d.]+$", out, re.MULTILINE)


def test_a_dry_run_shows_the_line_for_the_operators_own_hosts_file(site, ran, operator):
    hosts = (operator.home / "hosts").read_text()
    out = well(site.fab("--dry", "full", env={"FABRIC_LAB_DOMAIN": "lab.example.org"}))
    assert f"would write {site.host.address}  lab.example.org to" in out
    assert (operator.home / "hosts").read_text() == hosts
