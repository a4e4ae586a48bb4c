"""Look at a host that is ill, there and from here, and name causes and remedies, a line each."""

from __future__ import annotations

import json as written
import re
import secrets
import time

import msgspec
from fabric import Connection
from invoke import Exit

from .. import jupyter, verify
from ..certs import acme_preflight
from ..engine.plan import MARK, split, whose
from ..engine.task import task
from ..items import assigned, quote
from ..render import shell
from ..settings import Settings, load
from ..ssh import channel, connection
from ..ssh.errors import name_of
from ..ui.console import SINK, count, report, say
from . import causes, diagnose, probe
from .evidence import Evidence

CLOCK = re.compile(f"{MARK.pattern} clock")
MARKS = {True: "warn", False: "ILL"}


def script(settings: Settings, user: str, nonce: str, secret: str | None = None) -> str:
    """The shell that looks, on the server; verify's own stands in it.

    :param user: whose JupyterLab it is.
    :param nonce: how visitors from here are known in Nginx's logs.
    :param secret: the password to try, where this is sent unseen; else it reads it.
    """
    chosen = msgspec.structs.replace(settings, user=user)
    values = {
        **verify.doors(settings),
        "backups": settings.archives,
        "nonce": nonce,
        "proof": verify.script(chosen),
    }
    if secret is not None:
        values["password"] = secret
    paths = {"project": settings.project, "venv": settings.venv, "token_file": jupyter.TOKEN}
    lines = [f"{name}={quote(path)}\n" for name, path in paths.items()]
    parts = shell("lib/read"), shell("lib/users"), whose(chosen), assigned(values), *lines
    return "".join([*parts, shell("run/doctor")])


def examine(c: Connection, settings: Settings, url: str) -> Evidence:
    """See how it is from here, then read all that there is to be seen on the server, at once."""
    connection.open_connection(c, settings)
    peer, nonce = connection.peer_address(c), secrets.token_hex(6)
    gate = probe.gate(settings, url)
    # a fleet's name leads to one of its hosts at most
    known = acme_preflight.addresses(gate.name)[:3] if SINK.get().alone else [peer] * bool(peer)
    doors = probe.doors(settings, gate, known, peer, nonce)
    secret, refused = settings.password.reveal() if settings.password else "", ""
    user = settings.user or c.user
    try:
        sent = script(settings, user, nonce, secret)
        lines, offset = heard(channel.apply(c, sent, c.user == "root"))
    except Exit as problem:
        refused = str(problem.message)
        began = time.time()
        asked = script(settings, user, nonce)
        lines = channel.ask(c, asked, f"{secret}\n", user, seconds=600)
        clock = split(lines).get("clock", [])
        offset = int(clock[0]) - began if clock and clock[0].isdigit() else 0.0
    said = split(lines)
    if "end" not in said:
        raise Exit(f"{name_of(c)}: not all could be seen; it said: {' '.join(lines[-3:])}")
    return Evidence(settings, gate, said, offset, tuple(doors), peer, refused)


def heard(lines) -> tuple[list[str], float]:
    """Take the lines as they come; also how far the server's clock is ahead of ours."""
    found, offset, at_clock = [], 0.0, False
    for line in lines:
        if at_clock and line.isdigit():
            offset = int(line) - time.time()
        at_clock = CLOCK.fullmatch(line) is not None
        found.append(line)
    return found, offset


@task
def doctor(c, url="", json=False):
    """Find out what is wrong, why, and what helps, a line each.

    It looks once, there and from here, and changes nothing; exits with 1 when it finds something.

    :param url: the address that people type, if a proxy in front gives JupyterLab another one, such
        as https://example.org/jupyter.
    :param json: print one line of JSON for a program to read, and nothing else.
    """
    settings = load(c.config)
    probe.gate(settings, url)
    if c.config.run.dry:
        for one in causes.AILMENTS:
            say(f"  would see whether {one.cause}", routine=True)
        return
    found = diagnose.diagnose(examine(c, settings, url), f"fab -H {name_of(c)}")
    ill = [one for one in found if not one.ailment.mild]
    if json:
        rows = [
            {"name": f.ailment.name, "ill": not f.ailment.mild, "cause": f.ailment.cause}
            | {"proof": f.proof, "remedy": f.remedy}
            for f in found
        ]
        SINK.get().data(written.dumps({"host": name_of(c), "ill": bool(ill), "findings": rows}))
    else:
        for one in found:
            mark = MARKS[one.ailment.mild]
            say(f"  {mark:<4}  {one.ailment.cause}: {one.proof}; remedy: {one.remedy}")
    if ill:
        raise Exit(f"{name_of(c)}: {count(len(ill), 'cause')} found")
    if not json:
        say(f"{report(name_of(c)).where}nothing is wrong")
