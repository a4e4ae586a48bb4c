"""Newer packages without a risk: another venv is built beside the one that serves, tried, and put
in its place at once; the one before is kept, so that the way back takes seconds.

Owns ~/project/.venvs; ~/project/venv is a link into it after the first upgrade.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import msgspec
from invoke import Exit

from .. import jupyter, systemd
from ..engine import actions
from ..engine.converge import ask_user, read
from ..engine.host import Host
from ..engine.task import task
from ..items import Change, Venv, call, canonical, few, here, quote
from ..python import minimum_versions, requirements
from ..render import program
from ..settings import Settings, load
from ..ssh.errors import name_of
from ..status.collect import live
from ..ui import console
from ..ui.console import say
from . import service

LOCK = "jupyterlab.lock"


def stamped() -> str:
    """The name of a new venv: when it was begun."""
    return time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())


@task
def upgrade(c, lock=False, yes=False):
    """Take the newest versions: built beside, tried, then swapped in.

    Whatever fails on the way leaves the old ones serving. JupyterLab starts again with the
    new ones; it says which kernels end, and asks when one is computing.

    :param lock: leave lab.lock aside, and write the exact versions there, for a fleet to install.
    :param yes: do not ask.
    """
    settings = load(c.config)
    if lock and not console.SINK.get().alone:
        raise Exit("upgrade --lock is for one host: the others then install what it wrote")
    file = settings.lock or LOCK
    if lock:
        settings = msgspec.structs.replace(settings, lock="")
    venv, host, there, kernels = meet(c, settings)
    by_name, elsewhere = roots(c, settings)
    by_hand = sorted(by_name - set(map(requirements.name, venv.requirements)) - requirements.TOOLS)
    venv = replace(venv, requirements=(*venv.requirements, *by_hand))
    coming = newer(c, settings, venv)
    if (
        coming is not None
        and not set(coming) - requirements.TOOLS
        and not minimum_versions.holes(there)
    ):
        say(f"{name_of(c)}: nothing newer than {versions(there)}")
    else:
        if coming:
            say(f"{name_of(c)}: {few([arrow(name, there, coming) for name in chief(coming)])}")
        if by_hand:
            say(f"  installed by hand, and coming along: {few(by_hand)}")
        if elsewhere:
            say(f"  from no index, to be installed by hand again: {few(sorted(elsewhere))}")
        agree(c, kernels, yes)
        actions.carry_out(c, host, *steps(settings, host, venv))
        if c.config.run.dry:
            return
        there = now(c, settings, venv)
        say(f"  jupyter  {versions(there)}")
        say(f"  what was before is kept: fab -H {name_of(c)} rollback")
        if host.cluster:
            say(f"  its workers still have the versions before: fab -H {name_of(c)} cluster")
    if lock and not c.config.run.dry:
        exact = {name: there[name] for name in there if name not in elsewhere}
        count = requirements.write_lock(
            Path(file).expanduser(), exact, f"{stamped()}, on {host.name}"
        )
        say(f"  lock     {file}: {console.count(count, 'exact version')}; "
            f"a fleet installs them with lab.lock: {file}")  # fmt: skip
        say(f"  note     it holds what is in the venv of {host.user}, who could have put anything "
            "there: read it before others install it")  # fmt: skip


@task
def rollback(c, anyway=False, yes=False):
    """Serve from the venv before the last upgrade again.

    A second time, it serves from the newer one again.

    :param anyway: also when a version in it has a known hole.
    :param yes: do not ask, even when a kernel is computing.
    """
    settings = load(c.config)
    venv, host, there, kernels = meet(c, settings)
    before = now(c, settings, replace(venv, path=host.under(jupyter.previous(settings))))
    if not before:
        raise Exit(
            f"there is none before: {jupyter.previous(settings)} is made by "
            f"fab -H {name_of(c)} upgrade"
        )
    for hole in () if anyway else minimum_versions.holes(before):
        raise Exit(f"the one before would be worse: {hole}; --anyway takes it all the same")
    say(f"{name_of(c)}: {arrow('jupyterlab', there, before)}")
    agree(c, kernels, yes)
    back = call("roll_back", host.user, host.under(settings.project))
    change = Change("serve from the venv before", f"{back} {systemd.start(settings)}")
    actions.carry_out(c, host, change, jupyter.assets(settings, host).change())


def agree(c, kernels: list[dict], yes: bool) -> None:
    """Say which kernels end, and ask if need be."""
    if not c.config.run.dry:
        service.consent(kernels, yes)


def meet(c, settings: Settings) -> tuple[Venv, Host, dict[str, str], list[dict]]:
    """Read the host, its venv, what is in that, and the kernels that run.

    :raises Exit: when there is none yet, or no service that runs with it.
    """
    running = live(settings, newest=False)
    symbols = [jupyter.venv(settings, Host()), systemd.needed(settings), running]
    host, (lines, unit, told) = actions.meet(c, settings, symbols)
    venv = jupyter.venv(settings, host)
    record, there = venv.parse(lines)
    if record == "absent" or unit[0] == "absent":
        raise Exit(f"it is not yet as your settings have it: first run fab -H {name_of(c)} full")
    return venv, host, there, running.told(told).get("kernels") or []


def now(c, settings: Settings, venv: Venv) -> dict[str, str]:
    """What is in a venv now: canonical names and versions."""
    _, (lines,) = read(c, [venv], settings)
    return venv.parse(lines)[1]


def newer(c, settings: Settings, venv: Venv) -> dict[str, str] | None:
    """Ask the installer what would come, without root and without writing.

    :returns: canonical names and versions; None when it could not tell.
    """
    asked = venv.would("see" if settings.lock else "newer", venv.requirements)
    lines = ask_user(c, settings, asked)
    pairs = [line.split(" ") for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        return None
    return {canonical(name): version for name, version in pairs}


def roots(c, settings: Settings) -> tuple[set[str], set[str]]:
    """Ask for what somebody installed by name, by our hand or their own, and what from no index."""
    python = f"{quote(settings.venv)}/bin/python - roots 2>/dev/null"
    lines = ask_user(c, settings, f"{python} {here(program('needs'))}")
    rows = [line.split() for line in lines if line.count(" ") == 1]
    named = {kind: {row[1] for row in rows if row[0] == kind} for kind in ("root", "elsewhere")}
    return named["root"], named["elsewhere"]


def steps(settings: Settings, host: Host, venv: Venv) -> list[Change]:
    """Build, try, swap."""
    project = host.under(settings.project)
    new = f"{host.under(settings.venvs)}/{stamped()}"
    named = map(requirements.name, requirements.chosen(settings, host))
    config = host.under(jupyter.CONFIG)
    told = host.user, host.home, config, settings.start_timeout, "jupyterlab", *named
    ours = host.user, project
    undo = call("or_clear", *ours)
    first = (call("intend", "path", host.under(settings.venvs)), call("same_disk", *ours),
             call("clear_venvs", *ours))  # fmt: skip
    build = venv.filled(new, "no", [], venv.requirements)
    what = "packages, imports, a JupyterLab of its own, a kernel"
    swap = call("swap_venv", *ours, new)
    return [
        Change(f"build another venv, {new} ({settings.installer})",
               "\n".join([*first, undo, build]), room=400),
        Change(f"try it: {what}", "\n".join([undo, call("check_venv", new, *told)])),
        Change("serve from it", f"{swap} {systemd.start(settings)}"),
        jupyter.assets(settings, host).change(),
    ]  # fmt: skip


def chief(coming: dict[str, str]) -> list[str]:
    """The names, those that people know first."""
    return sorted(coming, key=lambda name: (not name.startswith("jupyter"), name))


def arrow(name: str, there: dict[str, str], coming: dict[str, str]) -> str:
    """Say from which version to which."""
    return f"{name} {there.get(name, 'none')} -> {coming.get(name, 'none')}"


def versions(there: dict[str, str]) -> str:
    """The versions that people know."""
    return ", ".join(f"{name} {there[name]}" for name in jupyter.SHOW if name in there)
