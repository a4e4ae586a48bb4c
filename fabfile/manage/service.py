"""Tasks that stop, start and restart JupyterLab."""

from __future__ import annotations

from fabric import Connection
from invoke import Exit

from .. import systemd
from ..engine.actions import carry_out, meet
from ..engine.host import Host
from ..items import Change
from ..script import call
from ..settings import Settings
from ..ssh.errors import name_of
from ..status.collect import condition, live
from ..ui.console import count, may_ask, say


def seen(c: Connection, settings: Settings) -> tuple[Host, dict, list[dict]]:
    """Read the state of the unit and the running kernels.

    :returns: the host, the unit's state as from collect.condition(), and the running kernels.
    :raises Exit: when there is no such unit.
    """
    symbols = [systemd.service(settings, ()), systemd.needed(settings), live(settings, False)]
    host, (unit, file, running) = meet(c, settings, symbols)
    there = condition(unit)
    if there["state"] == "absent" or file.kind == "absent":
        raise Exit(f"{name_of(c)} has no {settings.instance.unit} that matches your settings: "
                   f"first run fab -H {name_of(c)} full")  # fmt: skip
    return host, there, running.get("kernels") or []


def ends(kernels: list[dict]) -> str:
    """Return a line about the kernels that will end; "" when none runs."""
    if not kernels:
        return ""
    names = [f"{one['notebook'] or one['name']} ({one['state'] or 'unknown'})" for one in kernels]
    end = "ends" if len(kernels) == 1 else "end"
    return f"{count(len(kernels), 'kernel')} {end} with it: {', '.join(names)}"


def consent(kernels: list[dict], yes: bool) -> None:
    """Print which kernels end; on a terminal, ask first when one of them is busy.

    :raises Exit: when the answer is no.
    """
    told = ends(kernels)
    if told:
        say(f"  note          {told}")
    busy = [one for one in kernels if one["state"] == "busy"]
    if busy and not yes and may_ask():
        answer = input(
            f"{count(len(busy), 'kernel')} busy: the running computation is lost. Go on? [y/N] "
        )
        if answer.strip().lower() not in ("y", "yes"):
            raise Exit("nothing was changed")


def restart(c, settings, yes):
    host, _, kernels = seen(c, settings)
    if not c.config.run.dry:
        consent(kernels, yes)
    carry_out(
        c, host, Change(f"restart {settings.instance.unit}", systemd.start(settings)), whenever=True
    )


def stop(c, settings, yes):
    host, _, kernels = seen(c, settings)
    if not c.config.run.dry:
        consent(kernels, yes)
    fix = call("stop_units", settings.instance.socket_unit, settings.instance.unit)
    carry_out(c, host, Change(f"stop {settings.instance.unit}", fix), whenever=True)
    if not c.config.run.dry:
        say(f"  it stays stopped until: fab -H {name_of(c)} start")


def start(c, settings):
    host, state, _ = seen(c, settings)
    if state["state"] == "active" and state["enabled"]:
        say(f"  {settings.instance.unit} runs already; to restart it: fab -H {name_of(c)} restart")
        return
    carry_out(
        c, host, Change(f"start {settings.instance.unit}", systemd.start(settings)), whenever=True
    )
