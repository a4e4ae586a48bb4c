"""ShellCheck has no findings in the scripts as they are sent to a server."""

import subprocess

import pytest

from fabfile.backup import backup
from fabfile.doctor import doctor, proof
from fabfile.engine import plan
from fabfile.engine.host import Host
from fabfile.manage import audit
from fabfile.render import shell
from fabfile.script import call
from fabfile.settings import Settings
from testbed.machine import has

CHOSEN, HOST = Settings(), Host(user="ben", group="ben", home="/home/ben")
# SC2016: what is in single quotes is for another shell, sed or awk on purpose.
COMMAND = "shellcheck", "--norc", "-s", "dash", "-e", "SC2016", "-f", "gcc", "-"
SENT = {
    "apply": lambda: str(plan.reading(CHOSEN)) + plan.applying()
    + shell("lib/uninstall") + shell("lib/inventory"),
    "backup": lambda: backup.script(CHOSEN, HOST, "stream"),
    "verify": lambda: str(proof.script(CHOSEN)),
    "doctor": lambda: str(doctor.script(CHOSEN, HOST.user, "nonce")),
    # the first two are for `facts`, which it does not call
    "audit": lambda: f"me=0 entry=x\n{audit.script(CHOSEN, HOST, HOST.user)}",
    "preflight": lambda: shell("run/preflight") + call("offer", "/path", "text", "domain"),
}  # fmt: skip


@pytest.mark.skipif(not has("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("name", SENT)
def test_shellcheck_has_no_findings(name):
    done = subprocess.run(COMMAND, input=SENT[name](), capture_output=True, text=True)
    assert [done.stderr, *done.stdout.splitlines()] == [""]
