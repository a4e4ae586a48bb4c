"""The task `check`: the settings as they are merged, each with its source; no server is asked."""

from __future__ import annotations

import re

import msgspec
from fabric import Connection
from invoke import Exit

from ..engine.host import Host
from ..engine.plan import gather
from ..settings import NAMES, Settings, layers, load
from ..settings.fields import as_yaml
from ..settings.groups import listed, members, personal
from ..ssh.errors import name_of
from ..steps import STEPS
from ..ui.console import note, say

LOGIN = re.compile(r"//[^/@]*@")  # of the proxy's URL


def check(c):
    if isinstance(c, Connection):
        settings = examined(personal(c).config)
    else:
        known = targets(c.config)
        for target in known:
            check_target(c.config, target)
        settings = (load if known else examined)(c.config)
    origins = layers.origins(c.config, NAMES)
    host = name_of(c) if isinstance(c, Connection) else None
    shown = {name: shown_value(settings, name) for name in NAMES}
    told = {name: {"value": shown[name], "source": origins[name]} for name in NAMES}
    note(files=layers.files(c.config), settings=told)
    chosen = [name for name in NAMES if origins[name] != layers.DEFAULT]
    others = [name for name in NAMES if origins[name] == layers.DEFAULT]
    say(f"{f'{host}: ' if host else ''}the settings are valid")
    nothing = f"no file; yours would be {layers.project_file()}"
    say(f"  read: {', '.join(layers.files(c.config)) or nothing}")
    for title, names in (("set", chosen), ("not set: the defaults", others)):
        if names:
            say(f"\n{title}")
        for name in names:
            source = "" if names is others else f"  from {origins[name]}"
            say(f"  {name:<16} {as_yaml(shown[name]):<30}{source}".rstrip())


def examined(config) -> Settings:
    """Check the settings, and the files of this machine that they name.

    :raises Exit: for the first fault.
    """
    settings = load(config)
    sample = settings
    if settings.tls == "auto":  # only a server can tell which of the others that is
        sample = msgspec.structs.replace(
            settings, tls="files" if settings.tls_certificate else "off"
        )
    gather(STEPS, sample, Host())
    return settings


def targets(config) -> list[str]:
    """Return all hosts of the settings; USER/HOST each where a group has users."""
    groups = config.get("groups") or {}
    grouped = [target for name in groups for target in members(config, name)]
    return list(dict.fromkeys([*listed(config.get("hosts")), *grouped]))


def check_target(config, target: str) -> None:
    """Check the settings that apply to one host of a group.

    :raises Exit: with the host, for the first fault.
    """
    user, _, host = target.rpartition("/")
    try:
        examined(personal(Connection(host, config=config.clone()), user).config)
    except Exit as problem:
        raise Exit(f"{target}: {problem.message}") from None


def shown_value(settings: Settings, name: str):
    """Return the value of a setting as JSON can have it, without the login of a proxy."""
    value = msgspec.to_builtins(getattr(settings, name))
    return LOGIN.sub("//***@", value) if name == "proxy" else value
