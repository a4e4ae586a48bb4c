"""The tasks `full` and `script`: all steps in one pass, then the hosts file here, then checks."""

from dataclasses import replace

import msgspec
from invoke import Exit

from . import tls
from .engine.converge import look
from .engine.plan import apply_script
from .hosts import add
from .manage.login import tell
from .settings import load
from .ssh.errors import name_of
from .steps import STEPS
from .ui import console
from .verify import prove


def full(c, verify):
    """Turn a bare server into JupyterLab behind Nginx, and test it."""
    state = tls.serve(c, *STEPS)
    alone = console.SINK.get().alone  # the hosts of a fleet may share a name: no line here
    if alone and load(c.config).tls != "letsencrypt":  # its name is in the DNS
        add(c)
    if c.config.run.dry:
        return
    if verify:
        prove(c)
    if alone:
        tell(c, state)


def script(c):
    """Print the shell script that `full` would run as root."""
    settings = msgspec.structs.replace(load(c.config), password=None)
    host, items, _, changes = look(c, settings, STEPS)
    if any("PRIVATE KEY" in change.shell for change in changes):
        raise Exit(f"the script would hold a private key: first run fab -H {name_of(c)} tls")
    print(apply_script(replace(host, turn="any"), items, changes, "a script, run by hand"))
