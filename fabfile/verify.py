"""The task `verify`: test JupyterLab itself, Nginx on the server, and the name on this machine."""

from __future__ import annotations

import re

from fabric import Connection
from invoke import Exit

from .doctor import diagnose, probe
from .doctor.evidence import Evidence
from .doctor.proof import HOPS, ROW, from_here, script
from .settings import Settings
from .ssh import channel, connection
from .ssh.errors import fab_on, name_of
from .ui import console
from .ui.console import count, say

PROOF = "6*7 over the websocket is 42"  # the check that needs all others
# what curl prints before its error when no answer came
NONE = re.compile(r"^000 [^a-z]*(?=curl: )")


def explain(c: Connection, settings: Settings, hop: str, check: str, detail: str) -> str:
    """Return the hop, the failure, its likely cause and the remedy as a message."""
    fab = fab_on(c)
    first, *others = diagnose.likely(check, detail)
    words = diagnose.placeholders(Evidence(settings, probe.site_url(settings), peer=c.host), fab)
    said = NONE.sub("", detail.strip()) or "no answer"
    return (
        f"{HOPS[hop]}: {check}: failed ({said}); likely {first.why}: "
        f"{first.remedy.format_map(words)}" + (f"; to be sure: {fab} doctor" if others else "")
    )


def prove(c: Connection, settings: Settings, by_address: bool = False, each: bool = True) -> None:
    """Run every check.

    :param by_address: the name may lead elsewhere from here, or nowhere: connect to the server.
    :param each: print a line for each check with its time, not only how many passed.
    :raises Exit: at the first failure, with its cause and remedy.
    """
    connection.open_connection(c, settings)
    secret = settings.password.reveal() if settings.password else ""
    lines = channel.ask(c, script(settings), secret + "\n", user=settings.user, seconds=600)
    if "absent" in lines:
        raise Exit(f"{name_of(c)} is not set up yet: first run {fab_on(c)} full")
    rows = [row.groups() for row in map(ROW.fullmatch, lines) if row]
    if not rows:
        raise Exit(f"the checks did not run; the server said: {' '.join(lines[-3:]) or 'nothing'}")
    passed = 0
    for hop, check, result, seconds, detail in rows:
        noted(hop, check, result, float(seconds), detail)
        if hop == "cluster":
            tell_cluster(c, check.split(), result, detail)
            continue
        if each or result != "ok":
            tell(hop, check, result, float(seconds))
        if result != "ok":
            raise Exit(explain(c, settings, hop, check, detail))
        passed += 1
    address = connection.peer_address(c) if by_address else ""
    if address or not by_address:
        check, result, seconds, detail = from_here(settings, address)
        noted("here", check, result, seconds, detail)
        if each or result != "ok":
            tell("here", check if result != "skip" else detail, result, seconds)
        if result == "FAIL":
            raise Exit(explain(c, settings, "here", check, detail))
        passed += result == "ok"
    if not each:
        console.report("").shown("verify", f"{count(passed, 'check')} passed: {PROOF}")


def noted(hop: str, check: str, result: str, seconds: float, detail: str) -> None:
    """Keep the result of a check for a program."""
    well = None if result == "skip" else result == "ok"
    one = {"where": hop, "check": check, "ok": well, "seconds": round(seconds, 3)}
    console.more("checks", one | {"detail": detail.strip()})


def tell_cluster(c: Connection, wanted: list[str], result: str, detail: str) -> None:
    """Print which workers computed.

    :raises Exit: when a worker of the cluster did not.
    """
    fab = f"{fab_on(c)} cluster"
    if result == "ok":
        console.report("").shown("verify", f"cluster {count(len(wanted), 'worker')}: "
                                f"{' '.join(wanted)}")  # fmt: skip
        return
    said = re.fullmatch(r"'([^']*)' [\d.]+", detail)
    missing = [name for name in wanted if said and name not in said[1].split()]
    what = f"{' '.join(missing)} did not compute" if missing else f"it did not compute: {detail}"
    raise Exit(f"{HOPS['cluster']}: {what}; {fab} --status shows all, {fab} repairs what it can")


def tell(hop: str, check: str, result: str, seconds: float) -> None:
    """Print a check."""
    say(f"  {result:<4} {seconds:6.3f} s  {HOPS[hop]}: {check}", routine=result == "ok")


def verify(c, settings, in_fleet=False):
    prove(c, settings, in_fleet)
