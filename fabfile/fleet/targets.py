"""Hosts of a fleet: names, groups, patterns, or the hosts that failed the last time."""

from __future__ import annotations

import contextlib
import fnmatch
from pathlib import Path

from invoke import Exit

from ..settings import ssh_config
from ..settings.groups import listed, members

FAILED = Path("~/.cache/jupyterlab/failed").expanduser()  # the hosts for --retry-failed


def choose(config, wanted: str, limit: str, retry_failed: bool) -> list[str]:
    """Return the hosts for names, groups of fabric.yaml and patterns of ssh_config.

    :param wanted: comma-separated; empty means `hosts:` of fabric.yaml.
    :param limit: comma-separated patterns; only the hosts that match one are taken.
    :raises Exit: when nothing is left.
    """
    groups, known = config.get("groups") or {}, ssh_config.hosts(config)
    if retry_failed:
        if wanted:
            raise Exit("--retry-failed takes the hosts that failed the last time: leave out --on")
        names = FAILED.read_text().split() if FAILED.exists() else []
        if not names:
            raise Exit("no host failed the last time: nothing to retry")
    else:
        names = listed(wanted or config.get("hosts") or [])
    hosts: list[str] = []
    for name in names:
        if name in groups:
            hosts += members(config, name)
        elif "*" in name or "?" in name:
            hosts += sorted(h for h in fnmatch.filter(known, name) if not set(h) & set("*?"))
        else:
            hosts.append(name)
    patterns = listed(limit)
    if patterns:
        hosts = [h for h in hosts if any(matches(h, pattern) for pattern in patterns)]
    if not hosts:
        raise Exit("no host left to run on: name some with --on a,b, or `hosts:` in fabric.yaml")
    return list(dict.fromkeys(hosts))


def matches(host: str, pattern: str) -> bool:
    """Check whether a pattern matches a host (with or without user and port), or USER/HOST."""
    owner, _, host = host.rpartition("/")
    if (owner and fnmatch.fnmatch(f"{owner}/{host}", pattern)) or owner == pattern:
        return True
    bare = host.rpartition("@")[2].partition(":")[0]
    return fnmatch.fnmatch(host, pattern) or fnmatch.fnmatch(bare, pattern)


def remember(failed: list[str], before: list[str], run_on: list[str]) -> None:
    """Save the hosts that failed, for --retry-failed.

    :param before: hosts that had failed earlier; those not in `run_on` stay on the list.
    """
    with contextlib.suppress(OSError):  # the home may not be writable
        FAILED.parent.mkdir(parents=True, exist_ok=True)
        FAILED.write_text("\n".join([*failed, *(h for h in before if h not in run_on)]))
