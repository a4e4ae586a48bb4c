"""The tasks `full` and `script`: all steps in one pass, then the hosts file here, then checks."""

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
    kernels.items,  # last: a package that cannot be installed must not block the rest
)  # fmt: skip


@task
def full(c, verify=True):
    """Turn a bare server into JupyterLab behind Nginx, and test it.

    It changes only what differs from the desired state, so it may be run at any time.

    :param verify: test the result as a user would; `--no-verify` skips that.
    """
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


@task
def script(c):
    """Print the shell script that `full` would run as root."""
    settings = msgspec.structs.replace(load(c.config), password=None)
    host, items, _, changes = look(c, settings, STEPS)
    if any("PRIVATE KEY" in change.shell for change in changes):
        raise Exit(f"the script would hold a private key: first run fab -H {name_of(c)} tls")
    print(apply_script(replace(host, turn="any"), items, changes, "a script, run by hand"))
