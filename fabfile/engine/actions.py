"""What is done once because somebody asked for it, such as a restart: no item wants it."""

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
from .converge import apply, read, refuse_full_disk
from .host import Host
from .other_instances import refuse_taken


def meet(
    c: Connection, settings: Settings, items: list[Item] | None = None
) -> tuple[Host, list[list[str]]]:
    """Connect and read: the facts of the host, and the lines of some items.

    :raises Exit: for a host that cannot be served.
    """
    connection.open_connection(c, settings)
    host, answers = read(c, items or [], settings)
    host.refuse_unfit()
    refuse_taken(host, settings)
    return host, answers


def carry_out(c: Connection, host: Host, *changes: Change, whenever: bool = False) -> None:
    """Do these in one command as root, one run at a time, each told as it ends; `--dry` only tells.

    :param whenever: they are right whatever another run has changed since the host was read.
    :raises Exit: for the first that fails, with the remedy; those after it are not begun. Also when
        another run came in between.
    """
    where, began = name_of(c), time.monotonic()
    report = console.report(where)
    if c.config.run.dry:
        console.SINK.get().differs += len(changes)
        for change in changes:
            report.line(f"  would {change.say}")
        return
    refuse_full_disk(host, changes)
    seen = replace(host, turn="any") if whenever else host
    if apply(c, seen, [], list(changes), report) is None:
        raise Exit(f"{where}: another run came in between; nothing was changed: run again")
    console.SINK.get().changed += len(changes)
    report.line(f"{report.where}done ({time.monotonic() - began:.1f} s)")
