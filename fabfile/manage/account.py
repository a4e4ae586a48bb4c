"""The user of JupyterLab on a server that has only root, such as a new rented one."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from fabric import Connection

from ..engine import actions, consent
from ..engine.converge import read
from ..items import Change
from ..script import call
from ..settings import Settings
from ..ui.command import FAB
from ..ui.console import say


def create(c: Connection, settings: Settings, yes: bool) -> None:
    """Create the user that the settings name, with root's SSH keys and sudo, after asking.

    :raises Exit: when the operator says no, or cannot be asked and has not typed `--yes`.
    """
    user = settings.user
    root = read(c, [], msgspec.structs.replace(settings, user="")).host
    replace(root, uid=1).refuse_unfit()  # of any user, before one is created
    new = f"there is no user {user}: full creates them, with root's SSH keys and sudo"
    consent.agree(c, yes, [], (new,))
    actions.carry_out(c, root, Change(f"create the user {user}", call("create_user", user)))
    if not c.config.run.dry:
        say(f"  note          you can log in as that user now: {FAB} -H {user}@{c.original_host}")
