"""Every threat that is tried is known, and told with the setting that leaves it open."""

import re
import subprocess

import pytest

from fabfile import ns
from fabfile.engine.host import Host
from fabfile.manage import audit
from fabfile.render import shell
from fabfile.settings import Settings

HOST = Host(user="david", group="david", home="/home/it's $x")


def test_every_threat_is_tried_and_every_try_is_a_threat():
    tried = set(re.findall(r"(?:told|judged) ([a-z]+)", shell("run/audit")))
    assert tried == set(audit.THREATS)


def test_every_remedy_is_a_task():
    assert {threat.remedy for threat in audit.THREATS.values()} <= set(ns.task_names)


@pytest.mark.parametrize(
    "chosen, left",
    [
        ({}, {"clear", "root"}),
        ({"tls": "self-signed"}, {"root"}),
        ({"tls": "self-signed", "sandbox": "strict"}, set()),
        (
            {"tls": "theirs", "site": "include", "base_path": "/jupyter"},
            {"root", "oldtls", "certificate"},
        ),
        ({"port": 8888, "sandbox": "strict"}, {"beside", "squat", "clear"}),
    ],
)
def test_what_settings_leave_open(chosen, left):
    settings = Settings(**chosen)
    assert {name for name, threat in audit.THREATS.items() if threat.chosen(settings)} == left


@pytest.mark.parametrize("chosen", [{}, {"tls": "self-signed", "port": 8888}])
def test_the_script_is_good_shell(chosen):
    script = str(audit.script(Settings(**chosen), HOST, "david"))
    done = subprocess.run(["sh", "-n"], input=script.encode(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
