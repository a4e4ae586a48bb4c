"""The plan of an uninstall: what goes, what stays, and why. It needs no connection."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from .. import nginx
from ..engine.host import Host
from ..settings import Settings
from ..ui.console import count
from .ledger import Inventory, needed

PAGE = "/var/www"  # made by the package nginx-common, which does not remove it
HOMES = ("/.jupyter", "/.ipython", "/.local/share/jupyter")
UNIT = re.compile(r"/etc/systemd/system/([^/]+\.(?:service|socket|timer|path))")


@dataclass
class Leaving:
    """A plan. Paths are pairs: a kind (see templates/shell/lib/uninstall.sh) and a path."""

    units: list[str] = field(default_factory=list)  # our units, to be stopped
    goes: list[tuple[str, str]] = field(default_factory=list)
    late: list[tuple[str, str]] = field(default_factory=list)  # removed after the packages
    back: list[str] = field(default_factory=list)  # former files to put back
    rights: list[list[str]] = field(default_factory=list)  # path, mode, owner
    states: list[list[str]] = field(default_factory=list)  # other units: name, enabled, active
    remove: list[str] = field(default_factory=list)  # packages
    purge: list[str] = field(default_factory=list)  # those of them that are purged
    downloads: list[str] = field(default_factory=list)
    index: bool = False
    heir: str = ""  # the instance that takes over ...
    handed: list[str] = field(default_factory=list)  # ... these shared entries of the ledger
    stays: dict[str, str] = field(default_factory=dict)  # path or package -> reason


def plan(found: Inventory, settings: Settings, host: Host, purge: bool) -> Leaving:
    """Decide what goes.

    :param purge: also the notebooks, and other files of the user in the folders that we made.
    """
    out = Leaving(index=bool(found.values("index")))
    backups = settings.instance.backups
    if found.others:
        out.heir = found.others[0]
        found, out.handed = hand_on(found, settings, host)
        out.index = False
        shared = sum(entry.startswith("package ") for entry in out.handed)
        if shared:
            out.stays[count(shared, "package")] = f"{out.heir} takes them over"
    paths = {path: kind for kind, path in found.made if kind in ("path", "tree")}
    before = found.values("replaced")
    plan_packages(out, found)
    nginx_is_new = "nginx-common" in found.values("package")
    out.back = [path for path in before if path != nginx.WELCOME or not nginx_is_new]
    out.rights = [value.rsplit("|", 2) for value in found.values("rights")]
    for unit in (value.split("|") for value in found.values("unit")):
        name = unit[0].partition(".")[0]
        ours = f"/etc/systemd/system/{unit[0]}" in paths or name in out.remove
        if not ours and unit[1:] != ["enabled", "active"] and not found.uses.get(name):
            out.states.append(unit)
    out.units = [m[1] for path in paths if (m := UNIT.fullmatch(path)) and path in found.there]
    for path in sorted(paths, reverse=True):  # the contents of a folder before the folder
        if f"{path}/".startswith(f"{backups}/"):
            continue
        if path.startswith("/etc/letsencrypt/") and found.uses.get("certbot"):
            continue
        if f"{path}/".startswith(f"{PAGE}/"):
            out.late += [("path", path)] if "nginx-common" in out.purge else []
        elif path.startswith("/var/cache/apt/"):
            out.late.append(("path", path))
        else:
            kind = "tree" if path.startswith("/run/") else paths[path]
            work = f"{path}/venv" in paths or path.endswith(HOMES)  # users have files there
            out.goes.append(("tree" if purge and work else kind, path))
            if path.endswith("/venv"):  # beside it: former venvs, and those of kernels
                made = (f"{path[:-4]}{beside}" for beside in (".venvs", ".kernels"))
                out.goes += [("tree", folder) for folder in made if folder in paths]
    stamps = (f"/var/lib/systemd/timers/stamp-{unit}" for unit in out.units)
    out.goes += [("path", stamp) for stamp in stamps if stamp.endswith(".timer")]
    out.goes.sort(key=lambda pair: pair[1], reverse=True)
    project = host.under(settings.project)
    if found.work and not (purge and project in paths):
        why = "--purge removes them, too" if project in paths else "the folder was there before"
        out.stays[project] = f"it has {count(found.work, 'file')} from you; {why}"
    return out


def hand_on(found: Inventory, settings: Settings, host: Host) -> tuple[Inventory, list[str]]:
    """Separate what only this instance needs from what others on the server need as well.

    :returns: the inventory with the former, and the entries of the ledger with the latter.
    """
    called = re.escape(settings.instance.called)
    named = re.compile(rf"(?:zz-|00-|stamp-)?{called}(?:[.-].*)?")
    homes = [f"{host.home}/", f"{host.under(settings.project)}/"]

    def alone(value: str) -> bool:
        path = value.partition("|")[0]
        at_home = any(f"{path}/".startswith(home) for home in homes)
        return at_home or any(map(named.fullmatch, path.split("/")))

    own = [entry for entry in found.made if alone(entry[1])]
    handed = [f"{kind} {value}" for kind, value in found.made if (kind, value) not in own]
    return replace(found, made=own), handed


def plan_packages(out: Leaving, found: Inventory) -> None:
    """Decide which packages go: ours, except those that others need."""
    ours = found.values("package", "remnant")
    why = needed(found, ours)
    out.stays |= dict(sorted(why.items()))
    there = [name for name in ours if name not in why and name in found.packages]
    out.remove = there  # the server leaves out those that are not installed
    out.purge = [name for name in there if name in found.values("package")]
    out.downloads = ours
