"""The logs of JupyterLab and Nginx, in order of time."""

from __future__ import annotations

import re
import time

from invoke import Exit

from ..engine.actions import meet
from ..engine.task import task
from ..items import assigned, call
from ..render import program
from ..settings import load
from ..ssh import channel
from ..ssh.errors import name_of
from ..ui.console import say

PULSE = 5  # seconds between keep-alives to the server's side, which ends without them
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
ENTRY = re.compile(r"at (\d{1,10}(?:\.\d+)?) (jupyter|nginx|error)(?: (.*))?")
OWN = re.compile(r"^\[([A-Z]) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ ")  # Jupyter repeats the time


def row(line: str) -> str:
    """Return one line of logs.py for people to read: time, source, text.

    :param line: `at SECONDS SOURCE TEXT`, with seconds since 1970.
    """
    when, what, text = ENTRY.fullmatch(line).groups()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(when)))
    text = OWN.sub(r"[\1 ", COLOURS.sub("", text or "")).replace("\t", "    ")
    return f"{stamp} {what:<7} {text}"


@task
def logs(c, follow=False, since="", nginx=False, jupyter=False, lines=50):
    """Show the logs of JupyterLab and Nginx.

    Each line has its time (UTC) and its source: `jupyter` is the journal of the service, `nginx`
    the requests to the site, `error` the errors of Nginx, those of other sites included.

    :param follow: show new lines as they come, until Ctrl-C.
    :param since: only newer lines, such as '1 hour ago', yesterday, or '2026-11-24 10:00'.
    :param nginx: only the logs of Nginx.
    :param jupyter: only the log of JupyterLab.
    :param lines: without --since: how many of the last lines of each log.
    """
    if lines < 0:
        raise Exit("logs: --lines cannot be negative: give a number such as 50")
    what = [n for n, chosen in (("jupyter", jupyter), ("nginx", nginx)) if chosen]
    settings, where = load(c.config), name_of(c)
    host, _ = meet(c, settings)
    told = settings.instance.unit, settings.instance.log, lines, since, "follow" if follow else "no"
    asked = call("exec", "python3", "-IB", "-c", *told, *(what or ("jupyter", "nginx")))
    asked = asked.replace(" -c ", ' -c "$logs_py" ', 1)
    script = assigned({"logs_py": program("logs")}) + asked
    begun, words = False, [""]
    try:
        for line in channel.apply(c, script, host.root, pulse=PULSE):
            if begun and ENTRY.fullmatch(line):
                say(row(line))
            elif begun and line.startswith("unclear "):
                raise Exit(f"--since {since}: systemd knows no such time; write '1 hour ago', "
                           "yesterday, or '2026-11-24 10:00'")  # fmt: skip
            begun = begun or line == "go"
            words = [line] if begun and not line.startswith("at ") else words
    except KeyboardInterrupt:  # the usual end of --follow
        return
    if words[-1] != "go":
        raise Exit(f"{where}: the logs could not be read: {words[-1]}")
    if follow:
        raise Exit(f"{where}: the connection was cut; run again")
