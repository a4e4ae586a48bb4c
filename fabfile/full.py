"""Everything, in order: the server in one pass, then the operator's name for it, then the proof."""

from dataclasses import replace

import msgspec

from . import deps, jupyter, nginx, remote, systemd
from .converge import converge, read
from .host import Host
from .hosts import add
from .login import tell
from .plan import apply_script, compare, gather, name
from .remote import task
from .settings import load
from .verify import prove

STEPS = (deps.items, jupyter.items, systemd.items, nginx.items)


@task
def full(c, verify=True):
    """Turn a bare Debian server into JupyterLab behind Nginx, and prove that it works.

    :param verify: ask the finished thing as a user would; `--no-verify` leaves that out.
    """
    state = converge(c, *STEPS)
    if c.config.run.dry:
        return
    add(c)
    if verify:
        prove(c)
    tell(c, state)


@task
def script(c):
    """Print the shell that `full` would run as root, to read, keep, or run by hand."""
    settings = msgspec.structs.replace(load(c.config), password=None)
    remote.open_connection(c, settings)
    host, answers = read(c, gather(STEPS, settings, Host()))
    host.refuse_unfit()
    items = gather(STEPS, settings, host)
    changes = compare(items, answers, {name(step) for step in STEPS})
    print(apply_script(replace(host, turn="any"), items, changes, "a script, run by hand"))
