"""Everything, in order: the server in one pass, then the operator's name for it, then the proof."""

from dataclasses import replace

import msgspec
from invoke import Exit

from . import deps, fail2ban, jupyter, kernels, nginx, schedule, systemd, tls
from .engine.converge import look
from .engine.plan import apply_script
from .engine.task import task
from .hosts import add
from .manage.login import tell
from .settings import load
from .ssh.errors import name_of
from .ui import console
from .verify import prove

STEPS = (
    deps.items, jupyter.items, systemd.items, tls.items, nginx.items, fail2ban.items,
    schedule.items,
    kernels.items,  # last, so that packages which do not fit keep nobody from the server
)  # fmt: skip


@task
def full(c, verify=True):
    """Turn a bare server into JupyterLab behind Nginx, and prove it.

    What is already as it should be is left alone, so it may be run at any time.

    :param verify: ask the finished thing as a user would; `--no-verify` leaves that out.
    """
    state = tls.serve(c, *STEPS)
    alone = console.SINK.get().alone  # a fleet shares one name: this machine's hosts file has none
    if alone and load(c.config).tls != "letsencrypt":  # whose name the DNS has
        add(c)
    if c.config.run.dry:
        return
    if verify:
        prove(c)
    if alone:
        tell(c, state)


@task
def script(c):
    """Print the shell that `full` would run as root, to read or keep."""
    settings = msgspec.structs.replace(load(c.config), password=None)
    host, items, _, changes = look(c, settings, STEPS)
    if any("PRIVATE KEY" in change.shell for change in changes):
        raise Exit(f"a key is not for a script to read: first run fab -H {name_of(c)} tls")
    print(apply_script(replace(host, turn="any"), items, changes, "a script, run by hand"))
