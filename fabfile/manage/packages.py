"""Python packages that are added to those of the settings; every later run keeps them.

Owns ~/.jupyter/packages.txt, the list of added packages.
"""

from __future__ import annotations

import shlex

from invoke import Exit

from .. import jupyter, systemd
from ..engine import actions, consent
from ..engine.converge import Reading, converge
from ..engine.host import Host, Request
from ..items import Change, Item, Live, ServerExtensions, Venv
from ..items.packages import canonical
from ..python import minimum_versions, requirements
from ..python.requirements import name
from ..script import call
from ..settings import Settings
from ..settings.fields import parsed_requirement
from ..ssh.errors import fab_on
from ..ui.console import count, may_ask, more, say


def given(text: str) -> list[str]:
    """Split a list that was typed, such as "numpy pandas>=2".

    :raises Exit: for a word that is no pip requirement, or a version with a known vulnerability.
    """
    try:
        words = [text] if parsed_requirement(text) else shlex.split(text)
    except ValueError as problem:
        raise Exit(f"packages: {text}: {problem}") from None
    for word in words:
        if not parsed_requirement(word):
            raise Exit(f"packages: {word!r} is not a pip requirement, such as numpy or 'pandas>=2'")
        known, _, version = word.partition("==")
        for why in minimum_versions.holes({canonical(known): version}) if version else ():
            raise Exit(f"packages: {why}")
    if not words:
        raise Exit("packages: name at least one, such as --add numpy")
    return words


def with_more(added: tuple[str, ...], more: list[str]) -> tuple[str, ...]:
    """Return the added requirements and more; for the same package the newer one counts."""
    names = set(map(name, more))
    return (*(text for text in added if name(text) not in names), *more)


def packages(c, settings, add, remove, list):
    if add and remove:
        raise Exit("packages: --add and --remove exclude each other: run one after the other")
    more, fewer = given(add) if add else [], given(remove) if remove else []
    symbols = [jupyter.venv(settings, Host()), *running(settings, Host())[:1]]
    host, (seen, (extensions, _)) = actions.meet(c, settings, symbols)
    venv, there = jupyter.venv(settings, host), seen.versions
    if not seen.exists:
        raise Exit(f"{venv.path} is missing: first run {fab_on(c)} full")
    if seen.former and not more:
        raise Exit(f"{venv.path} was made with {seen.former}, which is gone: first run "
                   f"{fab_on(c)} full")  # fmt: skip
    if more:
        request = Request(added=with_more(host.added, more))
        after = converge(c, settings, jupyter.items, running, request=request)
        if not c.config.run.dry:
            offer_restart(c, settings, host, extensions, after)
    elif fewer:
        drop(c, settings, host, venv, there, fewer)
    else:
        show(settings, host, there, all=list)


def running(settings: Settings, host: Host) -> list[Item]:
    """Return items that read which extensions have a server half, and which kernels run."""
    folder = host.under(f"{settings.venv}/etc/jupyter/jupyter_server_config.d")
    extensions = ServerExtensions(unit=settings.instance.unit, folder=folder)
    return [extensions, jupyter.kernels_of(settings)]


def offer_restart(c, settings: Settings, host: Host, before: set[str], after: Reading) -> None:
    """Say which extensions the running JupyterLab lacks a part of; on a terminal, offer a restart.

    :param before: the extensions with a server half, before the packages were added.
    """
    ((_, (there, waits)),) = after.of(ServerExtensions)
    if not waits:
        return
    ((_, live),) = after.of(Live)
    names = ", ".join(sorted(there - before)) or "an extension"
    say(f"  note          {names} works after a restart: JupyterLab loads its server half at the "
        "start, until then its pages get 404")  # fmt: skip
    ends = consent.ends(live.get("kernels"))
    if ends:
        say(f"  note          {ends}")
    if may_ask() and consent.confirmed("Restart JupyterLab now?"):
        change = Change(f"restart {settings.instance.unit}", systemd.start(settings))
        actions.carry_out(c, host, change, whenever=True)
    else:
        say(f"  to restart it: {fab_on(c)} restart")


def drop(c, settings: Settings, host: Host, venv: Venv, there: dict[str, str], fewer) -> None:
    """Uninstall packages, and remove them from the list of added ones.

    :raises Exit: for a package that is not installed, or that the settings ask for.
    """
    going = {name(word): word for word in fewer}
    asked = {name(text): text for text in requirements.wanted(settings, Host(cluster=host.cluster))}
    for canonical_name, word in going.items():
        if canonical_name in ("pip", "setuptools"):
            raise Exit(f"packages: {word} cannot be removed: it installs all others")
        if canonical_name in asked:
            raise Exit(f"packages: {word} is needed by your settings or the cluster: "
                       "remove it there first")  # fmt: skip
        if canonical_name not in there:
            raise Exit(f"packages: {word} is not installed on the server")
    kept = requirements.text(tuple(text for text in host.added if name(text) not in going))
    change = call("drop_packages", venv.path, host.user, host.home, host.under(jupyter.ADDED),
                  kept.removesuffix("\n"), *going)  # fmt: skip
    actions.carry_out(c, host, Change(f"remove {', '.join(going)} from {venv.path}", change))


def show(settings: Settings, host: Host, there: dict[str, str], all: bool) -> None:
    """Print the requested packages with their source and version; then the others."""
    asked = dict.fromkeys(requirements.CLUSTER, "cluster") if host.cluster else {}
    asked |= dict.fromkeys(requirements.wanted(settings, Host()), "settings")
    asked |= dict.fromkeys(host.added, "added")
    for text, who in asked.items():
        one = {"name": name(text), "version": there.get(name(text))}
        more("packages", one | {"requirement": text, "by": who})
        say(f"  {who:<8}  {text:<30}  {there.get(name(text), 'not installed')}")
    others = sorted(set(there) - set(map(name, asked)))
    more("packages", *({"name": other, "version": there[other]} for other in others))
    for other in others if all else ():
        say(f"  also      {other:<30}  {there[other]}")
    if not all:
        say(f"  also      {count(len(others), 'other')}, which --list shows")
    for why in minimum_versions.holes(there):
        say(f"  warning:  {why}")
