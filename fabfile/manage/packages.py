"""Python packages beside those of the settings: added, removed, listed; kept by every later run.

Owns ~/.jupyter/packages.txt, which says what was added.
"""

from __future__ import annotations

import shlex

import msgspec
from invoke import Exit

from .. import jupyter
from ..engine import actions
from ..engine.converge import converge
from ..engine.host import Host
from ..engine.task import task
from ..items import Change, Venv, call, canonical
from ..python import minimum_versions, requirements
from ..python.requirements import name
from ..settings import Settings, load
from ..ssh.errors import name_of
from ..ui.console import count, say


def given(text: str) -> list[str]:
    """Split what is typed, as "numpy pandas>=2".

    :raises Exit: for a word that is no pip requirement.
    """
    try:
        words = [text] if requirements.is_requirement(text) else shlex.split(text)
    except ValueError as problem:
        raise Exit(f"packages: {text}: {problem}") from None
    for word in words:
        if not requirements.is_requirement(word):
            raise Exit(f"packages: {word!r} is not a pip requirement, such as numpy or 'pandas>=2'")
        known, _, version = word.partition("==")
        for hole in minimum_versions.holes({canonical(known): version}) if version else ():
            raise Exit(f"packages: {hole}")
    if not words:
        raise Exit("packages: name at least one, such as --add numpy")
    return words


def with_more(added: tuple[str, ...], more: list[str]) -> tuple[str, ...]:
    """What was added, and more: the newer word on a package counts."""
    names = set(map(name, more))
    return (*(text for text in added if name(text) not in names), *more)


@task
def packages(c, add="", remove="", list=False):
    """Add, remove or list Python packages; every later run keeps them.

    :param add: pip requirements, as "numpy pandas>=2"; when they do not fit nothing changes.
    :param remove: names of packages; refused when another one needs them.
    :param list: show everything that is installed, not only what was asked for.
    """
    settings = load(c.config)
    if add and remove:
        raise Exit("packages: --add or --remove, one after the other")
    more, fewer = given(add) if add else [], given(remove) if remove else []
    host, (lines,) = actions.meet(c, settings, [jupyter.venv(settings, Host())])
    venv = jupyter.venv(settings, host)
    record, there = venv.parse(lines)
    if record == "absent":
        raise Exit(f"{venv.path} is missing: first run fab -H {name_of(c)} full")
    if more:
        chosen = msgspec.structs.replace(settings, added=with_more(host.added, more))
        converge(c, jupyter.items, chosen=chosen)
        if not set(more) <= set(host.added):
            say(f"  new extensions of JupyterLab show after: fab -H {name_of(c)} restart")
    elif fewer:
        drop(c, settings, host, venv, there, fewer)
    else:
        show(settings, host, there, all=list)


def drop(c, settings: Settings, host: Host, venv: Venv, there: dict[str, str], fewer) -> None:
    """Uninstall, and forget that they were added.

    :raises Exit: for what is not there, or what the settings ask for.
    """
    going = {name(word): word for word in fewer}
    asked = {name(text): text for text in requirements.wanted(settings, Host(cluster=host.cluster))}
    for canonical_name, word in going.items():
        if canonical_name in ("pip", "setuptools"):
            raise Exit(f"packages: {word} stays: everything else is installed with it")
        if canonical_name in asked:
            raise Exit(f"packages: {word} is asked for by your settings, or a cluster: "
                       "take it out there first")  # fmt: skip
        if canonical_name not in there:
            raise Exit(f"packages: {word} is not installed there")
    kept = requirements.text(tuple(text for text in host.added if name(text) not in going))
    change = call("drop_packages", venv.path, host.user, host.home, host.under(jupyter.ADDED),
                  kept.removesuffix("\n"), *going)  # fmt: skip
    actions.carry_out(c, host, Change(f"remove {', '.join(going)} from {venv.path}", change))


def show(settings: Settings, host: Host, there: dict[str, str], all: bool) -> None:
    """Print what was asked for, with its version, and by whom; then what came along."""
    asked = dict.fromkeys(requirements.CLUSTER, "cluster") if host.cluster else {}
    asked |= dict.fromkeys(requirements.wanted(settings, Host()), "settings")
    asked |= dict.fromkeys(host.added, "added")
    for text, who in asked.items():
        say(f"  {who:<8}  {text:<30}  {there.get(name(text), 'not installed')}")
    others = sorted(set(there) - set(map(name, asked)))
    for other in others if all else ():
        say(f"  with it   {other:<30}  {there[other]}")
    if not all:
        say(f"  with it   {count(len(others), 'other')}, which --list shows")
    for hole in minimum_versions.holes(there):
        say(f"  careful:  {hole}")
