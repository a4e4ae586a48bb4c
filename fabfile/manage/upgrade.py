"""Upgrades without risk: a new venv is built beside the current one, tested, and swapped in.

The previous venv is kept, so that a roll back takes seconds.
Owns ~/project/.venvs; ~/project/venv is a symbolic link into it after the first upgrade.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import msgspec
from invoke import Exit

from .. import jupyter, systemd, tls
from ..engine import actions, consent
from ..engine.converge import ask_user, converge, read
from ..engine.host import Host, Request
from ..items import Change, Venv
from ..items.packages import VenvState, canonical, few, with_versions
from ..python import minimum_versions, requirements
from ..render import program
from ..script import call, here, quote
from ..settings import Settings
from ..ssh.errors import fab_on, name_of
from ..status import collect
from ..ui import console
from ..ui.console import say

LOCK = "jupyterlab.lock"


def stamped() -> str:
    """Return the current time (UTC), which is the name of a new venv."""
    return time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())


def upgrade(c, settings, lock, yes, in_fleet=False):
    if lock and in_fleet:
        raise Exit("upgrade --lock is for one host: run it there, then set lab.lock for the others")
    file = settings.lock or LOCK
    if lock:
        settings = msgspec.structs.replace(settings, lock="")
    venv, host, seen, kernels = meet(c, settings)
    if settings.tls == "letsencrypt" and settings.numeric:
        converge(c, settings, tls.items)  # its certbot, in the versions of this release
    if seen.former:
        renew(c, settings, seen.former, yes)
        if c.config.run.dry:
            return
        venv, host, seen, kernels = meet(c, settings)
    there = seen.versions
    by_name, elsewhere = roots(c, settings)
    by_hand = sorted(by_name - set(map(requirements.name, venv.requirements)) - requirements.TOOLS)
    venv = replace(venv, requirements=(*venv.requirements, *by_hand))
    coming = newer(c, settings, venv)
    if (
        coming is not None
        and not set(coming) - requirements.TOOLS
        and not minimum_versions.holes(there)
    ):
        say(f"{name_of(c)}: nothing newer than {with_versions(jupyter.SHOW, there)}")
    else:
        if coming:
            say(f"{name_of(c)}: {few([arrow(name, there, coming) for name in chief(coming)])}")
        if by_hand:
            say(f"  installed by hand, and kept: {few(by_hand)}")
        if elsewhere:
            say(f"  from no package index; install again by hand: {few(sorted(elsewhere))}")
        consent.agree(c, yes, kernels)
        actions.carry_out(c, host, *steps(settings, host, venv))
        if c.config.run.dry:
            return
        there = now(c, settings, venv)
        say(f"  jupyter  {with_versions(jupyter.SHOW, there)}")
        say(f"  to roll back to the previous versions: {fab_on(c)} rollback")
        if host.cluster:
            say(f"  its workers have old versions; to upgrade them: {fab_on(c)} cluster")
    if lock and not c.config.run.dry:
        exact = {name: there[name] for name in there if name not in elsewhere}
        count = requirements.write_lock(
            Path(file).expanduser(), exact, f"{stamped()}, on {host.name}"
        )
        say(f"  lock     {file}: {console.count(count, 'exact version')}; "
            f"a fleet installs them with lab.lock: {file}")  # fmt: skip
        say(f"  note     it lists the venv of {host.user}, who could have put anything there: "
            "read it before others install it")  # fmt: skip


def renew(c, settings: Settings, former: str, yes: bool) -> None:
    """Create again the venv whose Python is gone, in place."""
    say(f"{name_of(c)}: {former}, which made the venv, is gone: it is created again, with what "
        "was installed by hand")  # fmt: skip
    converge(c, settings, jupyter.items, systemd.items, request=Request(yes=yes))


def rollback(c, settings, anyway, yes):
    venv, host, seen, kernels = meet(c, settings)
    previous = replace(venv, path=host.under(jupyter.previous(settings)))
    (state,) = read(c, [previous], settings).states
    if state.former:
        raise Exit(f"rollback refused: {state.former}, which made the previous venv, is gone")
    before = state.versions
    if not before:
        raise Exit(
            f"there is no previous venv: {jupyter.previous(settings)} is made by "
            f"{fab_on(c)} upgrade"
        )
    for why in () if anyway else minimum_versions.holes(before):
        raise Exit(f"rollback refused: {why}; to use that version all the same: --anyway")
    say(f"{name_of(c)}: {arrow('jupyterlab', seen.versions, before)}")
    again = goes_forward(seen.versions, before)
    if again:
        say("  note          the previous venv is the newer one: this goes forward again")
    consent.agree(c, yes, kernels)
    back = call("roll_back", host.user, host.under(settings.project))
    change = Change("serve from the previous venv", f"{back} {systemd.start(settings)}")
    actions.carry_out(c, host, change, jupyter.assets(settings, host).change())
    if not again and not c.config.run.dry:
        say(f"  to go forward again, to the newer versions: {fab_on(c)} rollback")


def goes_forward(there: dict[str, str], before: dict[str, str]) -> bool:
    """Check whether a roll back installs newer versions: it undoes another one.

    :param there: what is installed; :param before: what the previous venv has.
    """
    return len(collect.newer(there, before)) > len(collect.newer(before, there))


def meet(c, settings: Settings) -> tuple[Venv, Host, VenvState, list[dict] | None]:
    """Read the host, its venv, the state of that, and the running kernels.

    :raises Exit: when there is no venv yet, or no service that uses it.
    """
    symbols = [jupyter.venv(settings, Host()), systemd.needed(settings)]
    symbols.append(jupyter.kernels_of(settings))
    host, (seen, unit, running) = actions.meet(c, settings, symbols)
    if not seen.exists or unit.kind == "absent":
        raise Exit(f"the server does not match your settings: first run {fab_on(c)} full")
    return jupyter.venv(settings, host), host, seen, running.get("kernels")


def now(c, settings: Settings, venv: Venv) -> dict[str, str]:
    """Return the packages that are in a venv now: canonical names and versions."""
    (state,) = read(c, [venv], settings).states
    return state.versions


def newer(c, settings: Settings, venv: Venv) -> dict[str, str] | None:
    """Ask the installer what it would install, without root and without writing.

    :returns: canonical names and versions; None when it could not tell.
    """
    asked = venv.would("see" if settings.lock else "newer", venv.requirements)
    lines = ask_user(c, settings, asked)
    pairs = [line.split(" ") for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        return None
    return {canonical(name): version for name, version in pairs}


def roots(c, settings: Settings) -> tuple[set[str], set[str]]:
    """Return the packages that were installed by name, and those from no package index."""
    python = f"{quote(settings.venv)}/bin/python - roots 2>/dev/null"
    lines = ask_user(c, settings, f"{python} {here(program('dependencies'))}")
    rows = [line.split() for line in lines if line.count(" ") == 1]
    named = {kind: {row[1] for row in rows if row[0] == kind} for kind in ("root", "elsewhere")}
    return named["root"], named["elsewhere"]


def steps(settings: Settings, host: Host, venv: Venv) -> list[Change]:
    """Return the changes that build a venv, test it, and swap it in."""
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
    what = "packages, imports, JupyterLab, a kernel"
    swap = call("swap_venv", *ours, new)
    return [
        Change(f"build a new venv, {new} ({settings.installer})",
               "\n".join([*first, undo, build]), room=400),
        Change(f"test it: {what}", "\n".join([undo, call("check_venv", new, *told)])),
        Change("serve from it", f"{swap} {systemd.start(settings)}"),
        jupyter.assets(settings, host).change(),
    ]  # fmt: skip


def chief(coming: dict[str, str]) -> list[str]:
    """Return the names in order, those of Jupyter first."""
    return sorted(coming, key=lambda name: (not name.startswith("jupyter"), name))


def arrow(name: str, there: dict[str, str], coming: dict[str, str]) -> str:
    """Return a package with its old and new version."""
    return f"{name} {there.get(name, 'none')} -> {coming.get(name, 'none')}"
