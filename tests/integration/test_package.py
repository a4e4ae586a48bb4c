"""The command `jupyterlab-fab`, installed from the wheel into an empty venv, from an empty folder.

`init` asks on a terminal, writes the settings, and runs `full`.
"""

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from outcomes import nothing_to_change, well
from refusals import refused
from terminal import CTRL_C, converse

from fabfile.version import __version__
from testbed.machine import ROOT

pytestmark = pytest.mark.lifecycle

NAME, WHOSE = "empty if there is none:", "if they are missing:"
PASSWORD, WRITE, RUN = "logs in. [y/N]", "Write this file? [Y/n]", "Run full now? [Y/n]"
DOMAIN = "lab.example.test"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The command from the wheel, with nothing but what the wheel asks for."""
    folder = tmp_path_factory.mktemp("package")
    wheels, venv = folder / "wheels", folder / "venv"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    subprocess.run([*pip, "--python", venv, "install", wheel], check=True)
    return venv / "bin" / "jupyterlab-fab"


@pytest.fixture(scope="module")
def site(server, program):
    """A bare server, and an operator who has nothing but the package."""
    bare = server("package")
    return replace(bare, operator=replace(bare.operator, program=program))


@pytest.fixture
def folder(tmp_path):
    """An empty folder."""
    return tmp_path


@pytest.fixture
def init(site, folder):
    """Give a function that runs `init` on a terminal, in that folder, and answers its questions."""

    def run(*options: str, answers: dict[str, str], user: str = "david"):
        def start(**streams):
            return replace(site, user=user).start("init", *options, folder=folder, **streams)

        return converse(start, answers, seconds=500)

    return run


def test_the_version_names_the_tool_and_what_it_deploys(site, folder):
    told = well(site.operator.fab("--version", folder=folder))
    assert f"jupyterlab-fab {__version__}" in told and "jupyter_server>=" in told


def test_messages_name_the_command_that_is_installed(site, folder):
    for words in (["full"], ["fleet", "ful", "--on", "a"], ["ful"]):
        done = site.operator.fab(*words, folder=folder)
        assert done.returncode == 1 and not re.search(r"(?<!-)\bfab [-a-z]", done.stderr)


def test_init_writes_what_it_found_and_full_makes_it_so(site, init, folder):
    done = init(answers={NAME: DOMAIN, PASSWORD: "n", WRITE: "", RUN: ""})
    told = done.stderr
    assert done.returncode == 0, told
    for words in ("Debian GNU/Linux 12", "sudo needs no password", "port 80    free",
                  f"{site.host.address}, private", "HTTPS      self-signed"):  # fmt: skip
        assert words in told
    written = (folder / "fabric.yaml").read_text()
    assert f"domain: {DOMAIN}" in written and "tls: auto" in written
    assert "checks passed" in told and f"https://{DOMAIN}/lab?token=" in told
    nothing_to_change(site.operator.fab("full", folder=folder))  # by `hosts` and the key there
    well(site.operator.fab("verify", folder=folder))
    assert well(site.operator.fab("check", folder=folder)).count(str(folder / "fabric.yaml")) >= 2


def test_init_replaces_no_file(site, init, folder):
    (folder / "fabric.yaml").write_text("lab: {login_rate: 30}\n")
    done = init(answers={})
    assert done.returncode == 1 and "is there already" in done.stderr
    assert (folder / "fabric.yaml").read_text() == "lab: {login_rate: 30}\n"


@pytest.mark.parametrize("question", [NAME, PASSWORD, WRITE])
def test_ctrl_c_leaves_nothing(init, folder, question):
    answers = {NAME: DOMAIN, PASSWORD: "n", WRITE: ""}
    before = dict(list(answers.items())[: list(answers).index(question)])
    done = init(answers={**before, question: CTRL_C})
    assert done.returncode != 0 and os.listdir(folder) == []


def test_no_is_no(init, folder):
    done = init(answers={NAME: "", PASSWORD: "n", WRITE: "n"})
    assert (done.returncode, os.listdir(folder)) == (1, []) and "nothing was written" in done.stderr


def test_without_a_terminal_the_answers_are_options(site, folder):
    done = well(site.fab("init", "--domain", "lab", folder=folder))
    assert "next: " in done and "domain: lab\n" in (folder / "fabric.yaml").read_text()


def test_a_name_that_is_none_is_refused_and_nothing_written(site, folder):
    refused(site.fab("init", "--domain", "_lab_", folder=folder), "lab.domain", "_lab_")
    assert os.listdir(folder) == []


def test_a_server_of_root_needs_the_name_of_a_user(site, init, folder):
    site.host.exec("install -d -m 0700 /root/.ssh; cp ~david/.ssh/authorized_keys /root/.ssh/")
    done = init(user="root", answers={WHOSE: "anna", NAME: "", PASSWORD: "n", WRITE: "", RUN: "n"})
    assert done.returncode == 0, done.stderr
    text = (folder / "fabric.yaml").read_text()
    assert "user: anna\n" in text and f"domain: {site.host.address}\n" in text


def test_a_port_that_something_else_has_is_named(site, folder):
    site.host.exec(
        "systemctl stop nginx 2>/dev/null;"
        "systemd-run --quiet --unit other python3 -m http.server 443 --directory /srv;"
        "timeout 20 sh -c 'until ss -Hltn sport = :443 | grep -q .; do sleep 0.1; done'"
    )
    try:
        told = well(site.fab("--dry", "init", folder=folder))
    finally:
        site.host.exec("systemctl stop other; systemctl start nginx 2>/dev/null || true")
    assert re.search(r"port 443   (other.service|another program) listens: stop it", told)
