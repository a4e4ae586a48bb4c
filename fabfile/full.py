"""The tasks `full` and `script`: all steps in one pass, then the hosts file here, then checks."""

from dataclasses import replace

import msgspec
from invoke import Exit

from . import hosts, tls
from .engine.converge import NoUser, look
from .engine.host import Request
from .engine.plan import apply_script
from .items.certificate import Signing
from .manage.login import tell
from .ssh.errors import fab_on
from .steps import STEPS
from .ui.console import headline, may_ask, note


def full(c, settings, verbose, verify, yes, diff=False, in_fleet=False):
    named = not in_fleet and settings.tls != "letsencrypt"  # whose name is in the DNS
    if named and not yes:
        hosts.refuse_taken(c, settings)
    request = Request(yes=yes, diff=diff)
    try:
        seen, settings = tls.serve(c, settings, *STEPS, request=request)
    except NoUser:
        if c.user != "root":
            raise
        from .manage.account import create  # here: nearly no run needs it

        create(c, settings, yes)
        if c.config.run.dry:
            return
        seen, settings = tls.serve(c, settings, *STEPS, request=request)
    note(url=f"{settings.url}/lab")
    waits = named and not hosts.add(c, settings, ask=False)
    if c.config.run.dry:
        return
    if verify:
        from .verify import prove  # here: a run without it starts earlier

        prove(c, settings, by_address=in_fleet or waits, each=verbose)
    if in_fleet:
        return
    address = tell(c, settings, seen)
    headline(address)
    if waits and may_ask():  # last: after Ctrl-C all the rest is done
        hosts.add(c, settings)
        headline(address)


def script(c, settings):
    settings = msgspec.structs.replace(settings, password=None)
    seen, changes = look(c, settings, STEPS)
    if any(isinstance(change, Signing) for change in changes):
        raise Exit(f"the script would hold a secret: first run {fab_on(c)} tls")
    host = replace(seen.host, turn="any")
    print(apply_script(host, seen.items, changes, "a script, run by hand"))
