"""Groups of fabric.yaml: hosts, the users that have a JupyterLab there, and what they all share.

A group is a list of hosts, or `hosts:`, `users:` and `lab:`. With users each of them is one to run
on, written USER/HOST; without, those who log in. Settings of the group count more than `lab:` of
the whole file, and in them {user} and {host} are the ones that it is about.
"""

from __future__ import annotations

from fabric import Connection
from invoke import Exit

from . import NAMES, refuse_unknown

KEYS = ("hosts", "users", "lab")


def listed(names) -> list[str]:
    """Give the names of a list, or of comma-separated words."""
    words = names.split(",") if isinstance(names, str) else names or []
    return [word for word in (str(name).strip() for name in words) if word]


def parts(config, name: str) -> tuple[list[str], list[str], dict]:
    """The hosts, users and settings of a group.

    :raises Exit: for a group that has something else.
    """
    group = config["groups"][name]
    if not hasattr(group, "keys"):
        return listed(group), [], {}
    refuse_unknown(f"groups.{name}.", group, KEYS)
    lab = group.get("lab") or {}
    if not hasattr(lab, "keys"):
        raise Exit(f"groups.{name}.lab: {lab!r} is not a group of settings: write indented lines")
    refuse_unknown(f"groups.{name}.lab.", lab, [one for one in NAMES if one != "user"])
    return listed(group.get("hosts")), listed(group.get("users")), dict(lab.items())


def members(config, name: str) -> list[str]:
    """What a group is run on."""
    hosts, users, _ = parts(config, name)
    return [f"{user}/{host}" for host in hosts for user in users] if users else hosts


def personal(c: Connection, user: str = "") -> Connection:
    """Give a connection the settings of the groups that it belongs to.

    :param user: whose JupyterLab it is about, where a fleet runs for one.
    """
    lab, mine = c.config["lab"], {}
    if user:
        mine["user"] = user
    who = user or lab["user"] or c.user
    for name in c.config.get("groups") or {}:
        hosts, users, shared = parts(c.config, name)
        if shared and (not users or who in users) and any(same(c, host) for host in hosts):
            mine |= {key: filled(value, who, c.original_host) for key, value in shared.items()}
    heavier = (getattr(c.config, "_runtime", None) or {}).get("lab") or {}  # of the option -f
    for key, value in mine.items():
        if key not in heavier or key == "user":
            lab[key] = value
    return c


def same(c: Connection, host: str) -> bool:
    """Whether a host of a group is the one of a connection; without a user it is anybody's."""
    user, at, _ = host.rpartition("@")
    there = Connection(host, config=c.config)
    return (there.original_host, there.port) == (c.original_host, c.port) and (
        not at or user == c.user
    )


def filled(value, user: str, host: str):
    """A setting with {user} and {host} replaced."""
    if not isinstance(value, str):
        return value
    return value.replace("{user}", user).replace("{host}", host)
