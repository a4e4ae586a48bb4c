"""Collect the state of a server as one value, for people and for programs."""

from __future__ import annotations

import re
import time

from .. import jupyter, tls
from ..engine.host import Host
from ..items import Certificate, Item, Live, Packages, Service, Sleeper, Venv, canonical, moment
from ..items.certificate import days_left, issuer, names, parsed
from ..items.files import decode
from ..python.minimum_versions import holes
from ..settings import Settings

ASKED = ("jupyterlab", "jupyter-server")  # packages whose newest versions are looked up
DEBIAN = ("python3", "python3-pip", "nodejs")  # packages that Debian provides


def live(settings: Settings, newest: bool = True) -> Live:
    """Return the item that reads what is running.

    :param newest: ask the package index for the newest versions.
    """
    return Live(
        endpoint=settings.endpoint,
        unit=settings.instance.unit,
        token=jupyter.TOKEN,
        project=settings.project,
        venv=settings.venv,
        newest=newest,
    )


def newer(there: dict[str, str], newest: dict[str, str | None]) -> dict[str, str]:
    """Return the packages that have a newer version, with that version."""
    from packaging.version import Version

    found = {}
    for name, version in newest.items():
        try:
            if version and Version(version) > Version(there[name]):
                found[name] = version
        except (KeyError, ValueError):  # not a version, or a number with too many digits for int()
            continue
    return found


def unit(name: str, items: list[Item], answers: list[list[str]]) -> dict:
    """Return the condition of a unit from the answer of its Service item."""
    pairs = zip(items, answers, strict=True)
    return next(
        condition(item, lines)
        for item, lines in pairs
        if isinstance(item, Service) and item.unit == name
    )


def condition(item: Service, lines: list[str]) -> dict:
    """Return the state of a unit: since when, whether it starts at boot, and systemd's ActiveState.

    Two more states are ours: `asleep` (its socket will wake it) and `absent`.
    """
    at = lines.index("socket") if "socket" in lines else len(lines)
    mine, door = (dict(row.split("=", 1) for row in part if "=" in row)
                  for part in (lines[:at], lines[at:]))  # fmt: skip
    state = mine.get("ActiveState", "unknown")
    if isinstance(item, Sleeper) and state == "inactive" and door.get("ActiveState") == "active":
        state = "asleep"
    there = mine.get("LoadState") not in (None, "not-found")
    since = moment(mine.get("StateChangeTimestamp", ""))
    return {
        "state": state if there else "absent",
        "since": iso(since) if there and since else None,
        "enabled": (door or mine).get("UnitFileState") == "enabled",
    }


def plain(version: str | None) -> str | None:
    """Return the upstream part of a Debian version (deb-version(7))."""
    return version and re.split("[-+~]", version)[0]


def iso(seconds: float) -> str:
    """Write seconds since 1970 in ISO 8601, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def certificate(items: list[Item], answers: list[list[str]]) -> dict | None:
    """Return issuer, names and end of the certificate on the server; None without one."""
    for item, lines in zip(items, answers, strict=True):
        if isinstance(item, Certificate):
            there = parsed(decode(lines) or "")
            return there and {
                "issuer": issuer(there),
                "names": names(there),
                "days_left": days_left(there),
                "until": iso(there.not_valid_after_utc.timestamp()),
            }
    return None


def whole(where: str, settings: Settings, host: Host, items, answers, changes) -> dict:
    """Return everything that `status` shows; docs/day-2.md describes the keys.

    :param where: the host, as people type it.
    """
    debian: dict[str, str] = {}
    python: dict[str, str] = {}
    seen, disk = {}, None
    for item, lines in zip(items, answers, strict=True):
        if isinstance(item, Packages):
            debian |= item.versions(lines)
        elif isinstance(item, Venv) and item.path == host.under(settings.venv):
            python = item.parse(lines)[1]
        elif isinstance(item, Live):
            seen, disk = item.told(lines), item.disk(lines)
    pending = tls.pending(items, answers)
    differs = [change.say for change in changes] + ([pending] if pending else [])
    nothing = {"memory": None, "memory_limit": None, "cpu": None, "tasks": None}
    newest = {canonical(name): version for name, version in seen.get("newest", {}).items()}
    return {
        "host": where,
        "system": host.name,
        "url": f"{settings.url}/lab",
        "versions": {name: plain(debian.get(name)) for name in DEBIAN}
        | {name: python.get(name) for name in jupyter.SHOW},
        "newest": {name: newest.get(name) for name in ASKED},
        "holes": holes(python),
        "service": unit(settings.instance.unit, items, answers) | seen.get("service", nothing),
        "server": seen.get("server"),
        "kernels": seen.get("kernels"),
        "terminals": seen.get("terminals"),
        "nginx": unit("nginx.service", items, answers) | {"version": plain(debian.get("nginx"))},
        "certificate": certificate(items, answers),
        "disk": disk,
        "drift": bool(differs),
        "differs": differs,
        "last_run": {"by": host.turn.removesuffix(", done"), "ended_well": not host.unsettled}
        if host.turn
        else None,
        "now": iso(seen.get("now") or time.time()),
    }
