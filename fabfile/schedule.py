"""Backups by a timer of systemd on the server, if lab.backup_schedule is set.

Owns /usr/local/sbin/jupyterlab-backup and jupyterlab-backup.service and .timer; without the setting
they are removed. The backups themselves stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from invoke import Exit

from .engine.converge import converge
from .engine.host import Host
from .items import Absent, File, Item, Service
from .render import render
from .script import call
from .settings import Settings

WANTED = "/etc/systemd/system/timers.target.wants"
HEAD = "#!/bin/sh\n# Written by `fab schedule`; changes made here are replaced by the next run.\n"


@dataclass(frozen=True, kw_only=True)
class Calendar(Item):
    """A check that the server's systemd understands a time; changes nothing."""

    expression: str

    def read(self) -> str:
        return call("show_calendar", self.expression)

    def compare(self, state, touched):
        if state != "fits":
            raise Exit(f"lab.backup_schedule: {self.expression!r} is not a time for systemd: give "
                       "daily, or for example Mon *-*-* 03:00 (systemd.time(7))")  # fmt: skip


def items(settings: Settings, host: Host) -> list[Item]:
    """Return the program, its unit and its timer; or their absence."""
    ours, unit = settings.instance, f"{settings.instance.called}-backup.timer"
    if not settings.backup_schedule:
        stop, forget = call("systemctl", "stop", unit), call("systemctl", "daemon-reload")
        gone = {"unit": unit, "before": stop}  # of both: a killed run may have left either
        others = (Absent(path=path, unit=unit) for path in (ours.backup_unit, ours.backup_program))
        return [
            Absent(path=f"{WANTED}/{unit}", **gone),
            Absent(path=ours.backup_timer, then=forget, **gone),
            *others,
        ]
    from .backup import backup  # here: most servers have no timer

    program = HEAD + backup.script(settings, host, "store timer")
    return [
        Calendar(step="schedule", expression=settings.backup_schedule),
        *backup.tools(settings, host),
        File(path=ours.backup_program, content=program, mode="0755"),
        File(path=ours.backup_unit, content=render("backup/backup.service.j2", ours=ours)),
        File(path=ours.backup_timer, content=render("backup/backup.timer.j2", settings=settings)),
        Service(
            unit=unit,
            reads=(ours.backup_timer,),
            verb="restart",
            since="StateChangeTimestamp",
            fix=call("start_timer", unit),
        ),
    ]


def schedule(c, settings):
    converge(c, settings, items)
