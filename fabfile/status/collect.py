"""Collect the state of a server as one value, for people and for programs."""

from __future__ import annotations

import time
from dataclasses import replace

from .. import jupyter, tls
from ..certs import renewal
from ..engine.converge import Reading
from ..items import Certificate, Change, Live, Packages, Service, Venv
from ..items.certificate import described
from ..items.packages import canonical
from ..items.services import UnitState, moment
from ..python.minimum_versions import holes
from ..settings import Settings
from ..ui.command import FAB

ASKED = ("jupyterlab", "jupyter-server")  # packages whose newest versions are looked up
DEBIAN = ("python3", "python3-pip", "nodejs")  # packages that Debian provides


def live(settings: Settings, newest: bool) -> Live:
    """Return the item that reads what is running.

    :param newest: ask the package index for the newest versions.
    """
    return replace(jupyter.kernels_of(settings), what="newest" if newest else "use")


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


def unit(name: str, seen: Reading) -> dict:
    """Return the condition of a unit that a Service item reads."""
    return next(condition(state) for item, state in seen.of(Service) if item.unit == name)


def condition(unit: UnitState) -> dict:
    """Return the state of a unit: since when, whether it starts at boot, and systemd's ActiveState.

    Two more states are ours: `asleep` (its socket will wake it) and `absent`.
    """
    mine, socket = unit.properties, unit.socket.properties if unit.socket else {}
    state = mine.get("ActiveState", "unknown")
    if state == "inactive" and socket.get("ActiveState") == "active":
        state = "asleep"
    there = mine.get("LoadState") not in (None, "not-found")
    since = moment(mine.get("StateChangeTimestamp", ""))
    return {
        "state": state if there else "absent",
        "since": iso(since) if there and since else None,
        "enabled": (socket or mine).get("UnitFileState") == "enabled",
    }


def iso(seconds: float) -> str:
    """Write seconds since 1970 in ISO 8601, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def certificate(seen: Reading, warning: str) -> dict | None:
    """Return issuer, names and end of the certificate on the server; None without one.

    :param warning: why it may end without another one; "" while all is well.
    """
    there = next((state.certificate for _, state in seen.of(Certificate)), None)
    return there and {**described(there), "warning": warning or None}


def whole(where: str, settings: Settings, seen: Reading, changes: list[Change]) -> dict:
    """Return everything that `status` shows; docs/day-2.md describes the keys.

    :param where: the host, as people type it.
    """
    host, venv = seen.host, seen.host.under(settings.venv)
    debian = {name: text for _, there in seen.of(Packages) for name, text in there.items()}
    state = next(state for item, state in seen.of(Venv) if item.path == venv)
    python = state.versions
    ((_, told),) = seen.of(Live)
    pending = tls.pending(seen)
    differs = [change.say for change in changes] + ([pending] if pending else [])
    nothing = {"memory": None, "memory_limit": None, "cpu": None, "tasks": None}
    newest = {canonical(name): version for name, version in told.get("newest", {}).items()}
    return {
        "host": where,
        "system": host.name,
        "url": f"{settings.url}/lab",
        "versions": {name: debian.get(name) for name in DEBIAN}
        | {name: python.get(name) for name in jupyter.SHOW},
        "former_python": state.former or None,
        "newest": {name: newest.get(name) for name in ASKED},
        "holes": holes(python),
        "service": unit(settings.instance.unit, seen) | told.get("service", nothing),
        "server": told.get("server"),
        "kernels": told.get("kernels"),
        "terminals": told.get("terminals"),
        "nginx": unit("nginx.service", seen) | {"version": debian.get("nginx")},
        "certificate": certificate(seen, renewal.warning(seen, settings.tls, f"{FAB} -H {where}")),
        "disk": told["disk"],
        "drift": bool(differs),
        "differs": differs,
        "last_run": {"by": host.turn.removesuffix(", done"), "ended_well": not host.unsettled}
        if host.turn
        else None,
        "now": iso(told.get("now") or time.time()),
    }
