"""The shell that Debian runs scripts with, and the project's own functions in it."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from pathlib import Path

from fabfile.engine import plan
from fabfile.render import shell

ME = pwd.getpwuid(os.geteuid()).pw_name
GROUP = grp.getgrgid(os.getegid()).gr_name


def dash(script: str, *arguments: str, home: Path | str = "/nowhere", **options):
    """Run a script with `$home` set; its text is an argument, so its input is free."""
    command = ["sh", "-c", f"home=$1; shift\n{script}", "sh", str(home), *arguments]
    options = {"input": b"", "timeout": 20, **options}
    return subprocess.run(command, capture_output=True, **options)


def said(script: str, *arguments: str, **options) -> list[str]:
    """Run a script that must go well and say nothing on its error output; give its lines."""
    done = dash(script, *arguments, **options)
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout.decode().splitlines()


def reading() -> str:
    """The functions of read.sh."""
    return shell("lib/read")


def applying(place: Path, turn: str = "take_turn tester any >/dev/null\n") -> str:
    """The functions of read.sh and apply.sh, which keep and leave all in a folder of the test's."""
    text = reading() + plan.applying()
    for theirs, ours in (
        ("/run/jupyterlab-fab", "run"),
        ("/var/backups/$instance", "kept"),
        ("/var/lib/$instance-fab", "ledger"),
    ):
        assert theirs in text, theirs
        text = text.replace(theirs, f"{place}/{ours}")
    return f"instance=jupyterlab\n{text}{turn}"


def tree(folder: Path) -> dict[str, str]:
    """What is in a folder, but for the ledger: path -> text, link target or nothing."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.relative_to(folder).parts[0] == "ledger":
            continue
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        else:
            found[name] = path.read_text() if path.is_file() else "/"
    return found
