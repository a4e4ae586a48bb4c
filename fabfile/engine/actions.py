"""Actions that somebody asks for once, such as a restart; no item describes them."""

from __future__ import annotations

import time
from dataclasses import replace

from fabric import Connection
from invoke import Exit

from ..items import Change, Item
from ..settings import Settings
from ..ssh import connection
from ..ssh.errors import name_of
from ..ui import console
from .converge import apply, read, refuse_without_room
from .host import Host
from .other_instances import refuse_taken


def meet(c: Connection, settings: Settings, items: list[Item] | None = None) -> tuple[Host, list]:
    """Connect, and return the facts of the host with the states of some items.

    :raises Exit: for a host that is not supported.
    """
    connection.open_connection(c, settings)
    seen = read(c, items or [], settings)
    seen.host.refuse_unfit()
    refuse_taken(seen.host, settings)
    return seen.host, seen.states


def carry_out(c: Connection, host: Host, *changes: Change, whenever: bool = False) -> None:
    """Make changes in one command as root, reporting each as it ends; `--dry` only lists them.

    :param whenever: make them whatever another run has changed since the host was read.
    :raises Exit: for the first that fails, with the remedy; later ones are not begun. Also when
        another run has changed the server since.
    """
    where, began = name_of(c), time.monotonic()
    report = console.report(where)
    if c.config.run.dry:
        console.SINK.get().differs += len(changes)
        console.more("differs", *(change.say for change in changes))
        for change in changes:
            report.line(f"  would {change.say}")
        return
    refuse_without_room(host, changes)
    seen = replace(host, turn="any") if whenever else host
    if apply(c, seen, [], list(changes), report) is None:
        raise Exit(f"{where}: another run came first; this one changed nothing: run again")
    console.SINK.get().changed += len(changes)
    report.line(f"{report.where}done ({time.monotonic() - began:.1f} s)")
