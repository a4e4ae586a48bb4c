"""An odd user: a dot in the name, a long home under /srv, another group, a sudo that asks."""

from dataclasses import replace

import pytest
from outcomes import nothing_to_change, well
from refusals import refused, state
from terminal import converse
from visitor import accepted

pytestmark = pytest.mark.lifecycle

HOME = "/srv/people/of/the/second/floor/john.doe"  # too long for the sockets of kernels
SUDO = "Tr0ub4dor & 'three"
KNOWN = {"FABRIC_SUDO_PASSWORD": SUDO}


@pytest.fixture(scope="module")
def site(server):
    how = {"home": HOME, "group": "staff2", "sudo": "password", "password": SUDO}
    return server("odd", "john.doe", **how)


def typed(site, answers: dict[str, str], *arguments: str, **options):
    """Run fab at a terminal, answer what it asks, and see it succeed."""
    done = converse(lambda **streams: site.start(*arguments, **streams, **options), answers)
    assert done.returncode == 0, done.stderr
    assert answers.keys() <= {q for q in answers if q in done.stderr}, "not all was asked"
    return done.stderr


# --- before anything is there ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "words"),
    [
        pytest.param({}, "--prompt-for-sudo-password", id="not known"),
        pytest.param({"FABRIC_SUDO_PASSWORD": "wr0ng"}, "refuses this password", id="wrong"),
    ],
)
def test_full_without_the_right_sudo_password_writes_nothing(site, env, words):
    before = state(site)
    refused(site.fab("full", env=env), words, site.target)
    assert state(site) == before


def test_sudo_asks_at_a_terminal(site):
    out = typed(site, {f"{site.target}:": SUDO}, "deps")
    assert "nothing to change" not in out and SUDO not in out
    assert site.infra.package("nodejs").is_installed


# --- and with the right one --------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(site):
    return site.fab("full", env=KNOWN)


def test_full_works(site, done):
    assert "6*7 over the websocket is 42" in well(done)
    nothing_to_change(site.fab("full", "--no-verify", env=KNOWN))


def test_the_sudo_password_is_not_in_the_output(site, done):
    debug = site.fab("--debug", "deps", env=KNOWN)
    assert "invoke" in debug.stderr  # it is Invoke that shows its settings then
    outputs = (done.stdout + done.stderr, debug.stdout + debug.stderr)
    assert [SUDO in output or repr(SUDO) in output for output in outputs] == [False, False]


def test_the_service_runs_as_that_user_and_group(site, done):
    service = site.infra.service("jupyterlab")
    assert service.is_enabled and service.is_running
    process = site.infra.process.get(pid=service.systemd_properties["MainPID"])
    assert (process.user, process.group) == ("john.doe", "staff2")


def test_all_under_the_home_is_the_users_own(site, done):
    assert site.infra.file(f"{HOME}/project/venv/bin/jupyter").exists
    assert site.host.exec(f"find {HOME} ! -user john.doe -o ! -group staff2") == ""
    secrets = site.host.exec(f"find {HOME}/.jupyter -type f -perm /077")
    assert secrets == ""


def test_a_password_is_asked_for_unseen(site, done):
    secret = "unseen at the prompt"
    answers = {
        "New password for JupyterLab:": secret,
        "Once more:": secret,
        f"{site.target}:": SUDO,
    }
    out = typed(site, answers, "password")
    assert "set the password" in out
    assert secret not in out and SUDO not in out
    assert accepted(site, secret)


def test_two_different_passwords_change_nothing(site, done):
    answers = {"New password for JupyterLab:": "one", "Once more:": "another"}
    before = state(site)
    done = converse(lambda **streams: site.start("password", **streams), answers)
    assert done.returncode == 1
    assert "not the same" in done.stderr.strip().splitlines()[-1]
    assert state(site) == before


# --- root --------------------------------------------------------------------------------------


@pytest.fixture
def root(server):
    """A rented server: there is root, and nobody else."""
    return server("rooted", "root", home="/root", sudo="none")


def test_root_is_refused_before_anything_is_written(root):
    before = state(root)
    refused(root.fab("full"), "FABRIC_LAB_USER=david fab -H root@")
    assert state(root) == before


@pytest.mark.debian
def test_the_user_of_a_server_that_has_only_root_is_created_by_full(root):
    for_ben, before = {"FABRIC_LAB_USER": "ben"}, state(root)
    refused(root.fab("status", env=for_ben), "no user ben", "FABRIC_LAB_USER=ben fab -H root@")
    refused(root.fab("full", env=for_ben), "no user ben", "--yes")
    assert state(root) == before
    done = well(root.fab("full", "--yes", "--no-verify", env=for_ben))
    assert f"fab -H ben@{root.host.address}" in done
    ben = replace(root, user="ben")  # with the key that root had
    nothing_to_change(ben.fab("full", "--no-verify"))
    well(ben.fab("restart"))  # which takes sudo
    assert root.host.exec("stat -c '%a %U' ~ben ~ben/.ssh") == "700 ben\n700 ben\n"
