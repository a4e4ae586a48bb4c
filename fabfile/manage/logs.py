"""The logs of JupyterLab and Nginx, in order of time."""

from __future__ import annotations

import re
import time

from invoke import Exit

from .. import systemd
from ..engine.actions import meet
from ..render import program
from ..script import RemoteScript, call
from ..ssh import channel
from ..ssh.errors import name_of
from ..ssh.keepalive import heard
from ..ui.command import FAB
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


def logs(c, settings, follow, since, nginx, jupyter, lines):
    if lines < 0:
        raise Exit("logs: --lines cannot be negative: give a number such as 50")
    what = [n for n, chosen in (("jupyter", jupyter), ("nginx", nginx)) if chosen]
    where = name_of(c)
    unit = systemd.needed(settings)
    host, (there,) = meet(c, settings, [unit])
    if there.kind == "absent":
        raise Exit(f"{where} is not set up yet: first run {FAB} -H {where} full")
    told = settings.instance.unit, settings.instance.log, lines, since, "follow" if follow else "no"
    asked = call("exec", "python3", "-IB", "-c", *told, *(what or ("jupyter", "nginx")))
    asked = asked.replace(" -c ", ' -c "$logs_py" ', 1)
    script = RemoteScript((), {"logs_py": program("logs")}, calls=asked)
    last = ""
    try:
        for line in channel.apply(c, script, host.root, pulse=PULSE):
            if ENTRY.fullmatch(line):
                say(row(line))
            elif line.startswith("unclear "):
                raise Exit(f"--since {since}: systemd knows no such time; write '1 hour ago', "
                           "yesterday, or '2026-11-24 10:00'")  # fmt: skip
            elif not line.startswith("at "):
                last = line
    except KeyboardInterrupt:  # the usual end of --follow
        return
    if last:
        raise Exit(f"{where}: the logs could not be read: {last}")
    if follow and not heard():
        raise BrokenPipeError
    if follow:
        raise Exit(f"{where}: the connection was cut; run again")
