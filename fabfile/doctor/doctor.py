"""Examine a server, on it and from this machine, and name each cause and its remedy."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import PurePath

import msgspec
from fabric import Connection
from invoke import Exit

from .. import jupyter
from ..certs import acme_preflight
from ..engine.plan import MARK, split, whose
from ..script import RemoteScript
from ..settings import Settings
from ..ssh import channel, connection
from ..ssh.errors import fab_on, name_of
from ..ui.console import count, note, report, say
from . import causes, diagnose, probe, proof
from .evidence import Evidence

CLOCK = re.compile(f"{MARK.pattern} clock")
DEBIANS = "letsencrypt"  # the folder of Debian's certbot in /etc and /var/log
MARKS = {True: "warn", False: "FAIL"}


def script(settings: Settings, user: str, nonce: str, secret: str | None = None) -> RemoteScript:
    """Return the shell script that examines the server; it contains that of `verify`.

    :param user: the user whose JupyterLab it is.
    :param nonce: the mark by which our probes are recognized in Nginx's logs.
    :param secret: the password to try; None if the script reads it from its input.
    """
    chosen = msgspec.structs.replace(settings, user=user)
    values = {
        **proof.endpoints(settings),
        "sni": settings.sni,
        "timer": settings.renewal_timer,
        "certbot": PurePath(settings.instance.certbot_folder).name if settings.numeric else DEBIANS,
        "backups": settings.archives,
        "nonce": nonce,
        "proof": str(proof.script(chosen)),
    }
    if secret is not None:
        values["password"] = secret
    paths = {"project": settings.project, "venv": settings.venv, "token_file": jupyter.TOKEN}
    files = "lib/whose", "lib/read", "lib/users", "run/doctor"
    return RemoteScript(files, whose(chosen) | values, paths)


def examine(c: Connection, settings: Settings, url: str, in_fleet: bool = False) -> Evidence:
    """Probe from this machine, then read everything on the server in one go.

    :raises Exit: if the answer of the server is incomplete.
    """
    connection.open_connection(c, settings)
    peer, nonce = connection.peer_address(c), secrets.token_hex(6)
    typed = probe.site_url(settings, url)
    # in a fleet, a shared name points to one host at most
    known = [peer] * bool(peer) if in_fleet else acme_preflight.addresses(typed.name)[:3]
    probes = probe.probes(settings, typed, known, peer, nonce)
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
        raise Exit(f"{name_of(c)}: the answer is incomplete; it ends: {' '.join(lines[-3:])}")
    return Evidence(settings, typed, said, offset, tuple(probes), peer, refused)


def heard(lines) -> tuple[list[str], float]:
    """Collect the lines as they come.

    :returns: the lines, and the seconds that the server's clock is ahead of this machine's.
    """
    found, offset, at_clock = [], 0.0, False
    for line in lines:
        if at_clock and line.isdigit():
            offset = int(line) - time.time()
        at_clock = CLOCK.fullmatch(line) is not None
        found.append(line)
    return found, offset


def doctor(c, settings, url, in_fleet=False):
    probe.site_url(settings, url)
    if c.config.run.dry:
        for one in causes.CAUSES:
            say(f"  would check whether {one.why}", routine=True)
        return
    found = diagnose.diagnose(examine(c, settings, url, in_fleet), fab_on(c))
    ill = [one for one in found if not one.cause.mild]
    rows = [
        {"name": f.cause.name, "ill": not f.cause.mild, "cause": f.cause.why}
        | {"proof": f.proof, "remedy": f.remedy}
        for f in found
    ]
    note(ill=bool(ill), findings=rows)
    for one in found:
        mark = MARKS[one.cause.mild]
        say(f"  {mark:<4}  {one.cause.why}: {one.proof}; remedy: {one.remedy}")
    if ill:
        raise Exit(f"{name_of(c)}: {count(len(ill), 'cause')} found")
    say(f"{report(name_of(c)).where}nothing is wrong")
