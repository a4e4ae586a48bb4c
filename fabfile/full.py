"""Everything, in order: the server in one pass, then the operator's name for it, then the proof."""

from . import deps, jupyter, nginx, systemd
from .converge import converge
from .hosts import add
from .login import tell
from .remote import task
from .verify import prove


@task
def full(c, verify=True):
    """Turn a bare Debian server into JupyterLab behind Nginx, and prove that it works.

    :param verify: ask the finished thing as a user would; `--no-verify` leaves that out.
    """
    state = converge(c, deps.items, jupyter.items, systemd.items, nginx.items)
    if c.config.run.dry:
        return
    add(c)
    if verify:
        prove(c)
    tell(c, state)
