"""Tasks that stop, start and restart JupyterLab."""

from __future__ import annotations

from fabric import Connection
from invoke import Exit

from .. import jupyter, systemd
from ..engine import consent
from ..engine.actions import carry_out, meet
from ..engine.host import Host
from ..items import Change
from ..script import call
from ..settings import Settings
from ..ssh.errors import fab_on, name_of
from ..status.collect import condition
from ..ui.console import say


def seen(c: Connection, settings: Settings) -> tuple[Host, dict, list[dict] | None]:
    """Read the state of the unit and the running kernels.

    :returns: the host, the unit's state as from collect.condition(), and the running kernels,
        None when JupyterLab does not tell them.
    :raises Exit: when there is no such unit.
    """
    symbols = [systemd.service(settings, ()), systemd.needed(settings)]
    symbols.append(jupyter.kernels_of(settings))
    host, (unit, file, running) = meet(c, settings, symbols)
    there = condition(unit)
    if there["state"] == "absent" or file.kind == "absent":
        raise Exit(f"{name_of(c)} has no {settings.instance.unit} that matches your settings: "
                   f"first run {fab_on(c)} full")  # fmt: skip
    return host, there, running.get("kernels")


def restart(c, settings, yes):
    host, _, kernels = seen(c, settings)
    consent.agree(c, yes, kernels)
    carry_out(
        c, host, Change(f"restart {settings.instance.unit}", systemd.start(settings)), whenever=True
    )


def stop(c, settings, yes):
    host, _, kernels = seen(c, settings)
    consent.agree(c, yes, kernels)
    fix = call("stop_units", settings.instance.socket_unit, settings.instance.unit)
    carry_out(c, host, Change(f"stop {settings.instance.unit}", fix), whenever=True)
    if not c.config.run.dry:
        say(f"  it stays stopped until: {fab_on(c)} start")


def start(c, settings):
    host, state, _ = seen(c, settings)
    if state["state"] == "active" and state["enabled"]:
        say(f"  {settings.instance.unit} runs already; to restart it: {fab_on(c)} restart")
        return
    fix = systemd.start(settings)
    if state["state"] == "active":  # it must not end kernels
        unit = settings.instance.socket_unit if settings.sleep_after else settings.instance.unit
        fix = call("enable_unit", unit, "--now")
    carry_out(c, host, Change(f"start {settings.instance.unit}", fix), whenever=True)
