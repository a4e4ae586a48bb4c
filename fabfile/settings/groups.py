"""Groups of fabric.yaml: hosts, the users with a JupyterLab there, and the settings they share.

A group is a list of hosts, or has `hosts:`, `users:` and `lab:`. With users, a task runs for each
user on each host, written USER/HOST; without, for the user who logs in. Settings of a group
override `lab:` of the whole file; {user} and {host} in them are replaced for each target.
"""

from __future__ import annotations

from fabric import Connection
from invoke import Exit

from . import NAMES, refuse_unknown

KEYS = ("hosts", "users", "lab")
EXAMPLES = {"host": "[david@1.1.1.1]", "user": "[anna, ben]"}


def listed(names, where: str = "hosts", kind: str = "host") -> list[str]:
    """Return the names of a list, or of comma-separated words.

    :param where: the key of fabric.yaml with the names; :param kind: "host" or "user".
    :raises Exit: when one is not a text.
    """
    words = names.split(",") if isinstance(names, str) else names or []
    for word in words if isinstance(words, (list, tuple)) else [words]:
        if not isinstance(word, str):
            raise Exit(f"{where}: {word!r} is not a {kind}; write a list such as {EXAMPLES[kind]}")
    return [word.strip() for word in words if word.strip()]


def parts(config, name: str) -> tuple[list[str], list[str], dict]:
    """Return the hosts, users and settings of a group.

    :raises Exit: for a group with other keys.
    """
    group = config["groups"][name]
    if not hasattr(group, "keys"):
        return listed(group, f"groups.{name}"), [], {}
    refuse_unknown(f"groups.{name}.", group, KEYS)
    lab = group.get("lab") or {}
    if not hasattr(lab, "keys"):
        raise Exit(f"groups.{name}.lab: {lab!r} is not a group of settings: write indented lines")
    refuse_unknown(f"groups.{name}.lab.", lab, [one for one in NAMES if one != "user"])
    hosts = listed(group.get("hosts"), f"groups.{name}.hosts")
    users = listed(group.get("users"), f"groups.{name}.users", "user")
    return hosts, users, dict(lab.items())


def members(config, name: str) -> list[str]:
    """Return the targets of a group: USER/HOST each, or HOST when it has no users."""
    hosts, users, _ = parts(config, name)
    return [f"{user}/{host}" for host in hosts for user in users] if users else hosts


def personal(c: Connection, user: str = "") -> Connection:
    """Put the settings of its groups into a connection, and return the connection.

    :param user: the owner of the JupyterLab, when a fleet runs for one user.
    """
    lab, mine = c.config["lab"], {}
    if user:
        mine["user"] = user
    who = user or lab["user"] or c.user
    for name in c.config.get("groups") or {}:
        hosts, users, shared = parts(c.config, name)
        if shared and (not users or who in users) and any(same(c, host) for host in hosts):
            mine |= {key: filled(value, who, c.original_host) for key, value in shared.items()}
    heavier = (getattr(c.config, "_runtime", None) or {}).get("lab") or {}  # -f FILE
    for key, value in mine.items():
        if key not in heavier or key == "user":
            lab[key] = value
    return c


def same(c: Connection, host: str) -> bool:
    """Check whether a host of a group is that of a connection; without a user, any user fits."""
    user, at, _ = host.rpartition("@")
    there = Connection(host, config=c.config)
    return (there.original_host, there.port) == (c.original_host, c.port) and (
        not at or user == c.user
    )


def filled(value, user: str, host: str):
    """Return a setting with {user} and {host} replaced."""
    if not isinstance(value, str):
        return value
    return value.replace("{user}", user).replace("{host}", host)
