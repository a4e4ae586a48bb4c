"""The last words of a failed step become one line: what happened, and what to do next."""

import pytest

from fabfile.engine.hints import explain, unanswered
from fabfile.ui.console import Report

DISK = "the disk is full: make room, then run again"
LOCK = "another package run holds the lock for too long"
INDEX = "the server does not reach its package index"
PACKAGE = "correct lab.system_packages"
NO_FIT = "no versions fit together, see above: correct lab.packages"
BROKEN = "JupyterLab runs as before"
PYTHON = "install that Python with its venv module on the server, or correct lab.kernels"
KERNEL = "a kernel cannot start with these packages: correct lab.kernels"
NGINX = "fix the file that Nginx names"
JOURNAL = "fix what the journal says"
UNIT = "fix what systemd says"
PORT = "stop that program, or choose another lab.http_port or lab.port"
OWNER = "remove it by hand"
UNKNOWN = "fix that, then run again to continue"
ZONE = "correct the file of lab.tls_dns_credentials, or the zone at the DNS provider"
SILENT = "jupyterlab.service does not answer; the last lines of its journal:"


@pytest.mark.parametrize(
    "words, remedy, shown",
    [
        (["E: You don't have enough free space in /var/cache/apt/archives/."], DISK, False),
        (["OSError: [Errno 28] No space left on device"], DISK, False),
        (["E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by 7"], LOCK, False),
        (["Temporary failure resolving 'mirror.example.org'"], INDEX, False),
        (["E: Unable to locate package nosuch"], PACKAGE, False),
        (["error: Failed to fetch: `https://index.example.org/simple/jupyter/`"], INDEX, False),
        (["  x No solution found when resolving dependencies:"], NO_FIT, True),
        (["ERROR: No matching distribution found for nosuch"], NO_FIT, True),
        (["timed out", "the new venv was refused: its kernel does not compute"], BROKEN, True),
        (["pandas needs numpy"], "nothing was removed: name both", False),
        (["runuser: failed to execute /x/python3.9: No such file or directory"], PYTHON, False),
        (["/opt/py/bin/python3: No module named venv"], PYTHON, False),
        (["Traceback", "ImportError: x.so: undefined symbol: y"], KERNEL, False),
        (["port 80 is taken by apache2 (process 17)"], PORT, False),
        (["nginx: [emerg] unknown directive \"x\" in /etc/nginx/sites-enabled/y:1"], NGINX, True),
        ([SILENT, "Traceback", "SyntaxError"], JOURNAL, True),
        ([SILENT, "ConnectionRefusedError: [Errno 111] Connection refused"], JOURNAL, True),
        ([SILENT, "TimeoutError: timed out"], JOURNAL, True),
        ([SILENT.replace("answer", "answer within 60 s")], "give a slow server more time", True),
        ([SILENT, "OSError: [Errno 28] No space left on device"], DISK, False),
        ([SILENT.replace("answer", "start"), "x.service: Failed to set up mount namespacing: /x",
          "Main process exited, code=exited, status=226/NAMESPACE"], "allow nesting", True),
        ([SILENT.replace("answer", "start"), "status=217/USER"], "getent passwd", True),
        ([SILENT, "[C ServerApp] Bad config encountered during initialization: The 'port' trait",
          "JupyterLab reads this file, too: /etc/jupyter/jupyter_config.py"],
         "correct that setting in the files above", True),
        (["x.service:7: Unknown key", "systemd rejected the unit"], UNIT, True),
        (["find: cannot delete '/home/d/project/venv/x/y': Permission denied"], OWNER, False),
        (["Encountered error adding TXT record: timed out"], ZONE, False),
        (["Error determining zone_id: 6003 Invalid request headers."], ZONE, False),
        (["something new"], f"something new: {UNKNOWN}", True),
        (["x", "note: an error", "E: odd", "y"], f"E: odd: {UNKNOWN}", True),
        ([], f"it said nothing: {UNKNOWN}", False),
    ],
)  # fmt: skip
def test_the_words_name_the_remedy(capsys, words, remedy, shown):
    told = explain("do it", words, "d@h", Report("d@h").words)
    assert told.startswith("d@h: could not do it: ")
    assert remedy in told
    assert capsys.readouterr().out == ("".join(f"  | {word}\n" for word in words) if shown else "")


def test_a_kernels_packages_are_told_by_its_name():
    words, say = (
        ["No solution found when resolving"],
        "install x into /home/d/project/.kernels/my-1 (uv)",
    )
    told = explain(say, words, "d@h", Report("d@h").words)
    assert "see above: correct lab.kernels.my-1.packages, or" in told


def test_what_was_found_is_quoted():
    words = ["x", "port 80 is taken by apache2 (process 17)", "y"]
    told = explain("check port 80", words, "d@h", Report("d@h").words)
    assert told == f"d@h: could not check port 80: {words[1]}: {PORT}"


@pytest.mark.parametrize(
    ("lines", "remedy"),
    [
        (
            ['Please login as the user "debian" rather than the user "root".', ""],
            "log in as that user: fab -H debian@h",
        ),
        (["WARNING: Your password has expired.", "Password change required but no TTY available."],
         "set a new password"),
        (["This account is currently not available."], "chsh -s /bin/bash root"),
        (["This service allows sftp connections only."], "remove ForceCommand"),
        (["welcome home"], "~/.bashrc"),
        ([], "it said: nothing"),
    ],
)  # fmt: skip
def test_a_server_that_did_not_run_the_command_is_quoted(lines, remedy):
    told = unanswered(lines, "root@h", "root", "h")
    assert told.startswith("root@h ") and remedy in told
    assert all(line.rstrip(".") in told for line in lines)
