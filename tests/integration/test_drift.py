"""Drift: noticed by an exit code, shown as a diff, and what is replaced is kept."""

import re

import pytest
from outcomes import nothing_to_change, well
from refusals import refused, state
from untouched import everything

pytestmark = [pytest.mark.lifecycle, pytest.mark.core]

SITE = "/etc/nginx/sites-available/jupyterlab"
UNIT = "/etc/systemd/system/jupyterlab.service"
VENV = "/home/david/project/venv"
CONFIG = "/home/david/.jupyter/jupyter_lab_config.py"
TOKEN = "/home/david/.jupyter/jupyterlab_token"
LINK = "/etc/nginx/sites-enabled/zz-jupyterlab"
BY_HAND = "# M\\303\\274ller, by hand: $host 100%% \\\\n"

# what -> by hand, back again, a word of the report
BACK = "cp -a /root/aside {}"
DRIFTS = {
    "the site": (f"printf '# x\n' >>{SITE}", BACK.format(SITE), f"would replace {SITE}"),
    "the unit": (f"sed -i s/Restart=/#Restart=/ {UNIT}", BACK.format(UNIT), f"replace {UNIT}"),
    "a mode": (f"chmod 0664 {UNIT}", f"chmod 0644 {UNIT}", f"would set permissions of {UNIT}"),
    "an unreadable file": (f"chmod 0600 {UNIT}", f"chmod 0644 {UNIT}", UNIT),
    "an owner": (f"chown david {SITE}", f"chown root {SITE}", f"would set permissions of {SITE}"),
    "no link": (f"rm {LINK}", f"ln -s {SITE} {LINK}; touch -h -d yesterday {LINK}", "would link"),
    "a stopped service": (
        "systemctl stop jupyterlab",
        "systemctl start jupyterlab\n"  # and until it has written its own files
        "until curl -sf --unix-socket /run/jupyterlab/jupyter.sock http://localhost/api; do\n"
        "sleep 0.1; done",
        "would start jupyterlab.service",
    ),
    "a disabled service": (
        "systemctl disable -q nginx 2>&1",
        "systemctl enable -q nginx 2>&1",
        "would enable nginx.service",
    ),
    "a package": (
        "dpkg --remove --force-depends curl 2>&1",
        "apt-get install -qqy --no-install-recommends curl 2>&1",
        "would install curl",
    ),
}


@pytest.fixture(scope="module")
def site(servers):
    site = servers("drift", settled=True)[0]
    well(site.fab("full", "--no-verify"))
    return site


def test_a_converged_host_has_not_drifted(site):
    before = everything(site)
    done = site.fab("status", "--drift")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "jupyterlab 4." in done.stdout and "nginx 1." in done.stdout
    assert sorted(everything(site) ^ before) == []


def test_a_hand_edit_is_shown_and_kept_byte_by_byte(site):
    site.host.exec(f"printf '{BY_HAND}' >>{SITE}; printf 'no line end, \\377' >>{SITE}")
    edited = site.infra.file(SITE).sha256sum
    out = well(site.fab("full", "--no-verify"))
    assert f"will  replace {SITE}" in out
    assert "-# Müller, by hand: $host 100% \\n" in out
    assert out.index("by hand") < out.index("done"), "not shown before it was replaced"
    folder = re.search(r"the replaced files are kept in (\S+)", out)[1]
    assert site.infra.file(folder + SITE).sha256sum == edited
    assert site.infra.file("/var/backups/jupyterlab").mode == 0o700
    nothing_to_change(site.fab("full", "--no-verify"))


@pytest.mark.parametrize(("hand", "back", "word"), DRIFTS.values(), ids=DRIFTS)
def test_drift_is_noticed_and_left_alone(site, hand, back, word):
    site.host.exec(f"cp -a {UNIT if UNIT in hand else SITE} /root/aside")
    site.host.exec(hand)
    before = state(site)
    done = site.fab("status", "--drift")
    after = state(site)
    site.host.exec(back)
    assert done.returncode == 2, done.stdout + done.stderr
    assert word in done.stdout and "Traceback" not in done.stderr
    assert after == before


def test_without_the_flag_it_only_tells(site):
    site.host.exec(f"chmod 0664 {UNIT}")
    out = well(site.fab("status"))
    site.host.exec(f"chmod 0644 {UNIT}")
    assert f"would set permissions of {UNIT}" in out


def test_all_of_that_put_right_is_no_drift_again(site):
    assert site.fab("status", "--drift").returncode == 0


# Several at once, of which none hides another.
HARMS = {
    "nginx stopped, an edited unit and configuration, rights": (
        f"systemctl disable -q --now nginx; rm {LINK}; cp {SITE} {LINK}\n"
        f"sed -i 's/Restart=.*/Restart=no/' {UNIT}; echo 'c.ServerApp.port = 1' >>{CONFIG}\n"
        f"chmod 0777 /home/david/.jupyter; chmod 0644 {TOKEN}; chown root {TOKEN}\n"
        "systemctl disable -q jupyterlab"
    ),
    "no unit, a link to another site, no token, a venv without jupyterlab": (
        f"rm {UNIT}; systemctl daemon-reload; ln -sfn /etc/nginx/sites-available/default {LINK}\n"
        f"rm {TOKEN}; {VENV}/bin/pip uninstall -qy jupyterlab 2>&1"
    ),
    "a masked service, an empty token, a venv without a part of jupyterlab": (
        f"systemctl mask -q --now --runtime jupyterlab; : >{TOKEN}\n"
        f"{VENV}/bin/pip uninstall -qy jupyterlab_server 2>&1"
    ),
    "no venv, a token with a line end, as an editor leaves it": f"rm -r {VENV}; echo >>{TOKEN}",
}


@pytest.mark.parametrize("harm", HARMS)
def test_full_repairs(site, harm):
    token = site.host.exec(f"cat {TOKEN}")
    site.host.exec(HARMS[harm])
    out = well(site.fab("full"))
    assert "6*7 over the websocket is 42" in out
    nothing_to_change(site.fab("full", "--no-verify"))
    service = site.infra.service("jupyterlab")
    assert service.is_enabled and service.is_running, out
    assert "Restart=no" not in site.infra.file(UNIT).content_string
    assert site.infra.service("nginx").is_enabled and site.infra.file(LINK).linked_to == SITE
    assert site.infra.file(TOKEN).mode == 0o600 and site.infra.file(TOKEN).user == "david"
    assert site.infra.file("/home/david/.jupyter").mode == 0o700
    site.host.exec(f"su david -c '{VENV}/bin/python -c \"import jupyterlab.labapp\"'")
    lost = "no token" in harm or "an empty token" in harm
    assert (site.host.exec(f"cat {TOKEN}").strip() == token.strip()) != lost


def test_a_host_that_cannot_be_reached_is_an_error_and_not_drift(site, operator):
    reach = ("-H", f"{site.target}:2", "-i", str(operator.key))
    refused(operator.fab(*reach, "status", "--drift", env={"FABRIC_LAB_BOOT_WAIT": "0"}), "port 2")


def test_drift_against_other_settings_is_drift_too(site):
    done = site.fab("status", "--drift", env={"FABRIC_LAB_UPLOAD_LIMIT": "2g"})
    assert done.returncode == 2 and "+" in done.stdout and "2g" in done.stdout


def test_what_the_user_may_not_read_is_read_by_root_and_not_taken_for_absent(site):
    closed = "/etc/nginx /etc/systemd/system"
    site.host.exec(f"chmod 0750 {closed}")
    try:
        nothing_to_change(site.fab("full", "--no-verify"))
        well(site.fab("verify"))
    finally:
        site.host.exec(f"chmod 0755 {closed}")
