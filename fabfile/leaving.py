"""What goes when JupyterLab leaves a server, what stays, and why: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath as Path

from . import certificates, fail2ban, jupyter, nginx, systemd, tls
from .host import Host
from .inventory import Inventory, needed
from .output import count
from .settings import Settings

BACKUPS = "/var/backups/jupyterlab"
PAGE = "/var/www"  # made by the package nginx-common, which forgets it
HOMES = ("/.jupyter", "/.ipython", "/.local/share/jupyter")
UNIT = re.compile(r"/etc/systemd/system/([^/]+\.(?:service|socket|timer|path))")


@dataclass
class Leaving:
    """A plan. Paths are pairs of a kind, as templates/uninstall.sh knows them, and a path."""

    units: list[str] = field(default_factory=list)  # ours, to be stopped
    goes: list[tuple[str, str]] = field(default_factory=list)
    late: list[tuple[str, str]] = field(default_factory=list)  # after the packages
    back: list[str] = field(default_factory=list)  # what stood there before us
    rights: list[list[str]] = field(default_factory=list)  # path, mode, owner
    states: list[list[str]] = field(default_factory=list)  # others' units: name, enabled, active
    remove: list[str] = field(default_factory=list)  # packages
    purge: list[str] = field(default_factory=list)  # those of them with all that they made
    downloads: list[str] = field(default_factory=list)
    index: bool = False
    stays: dict[str, str] = field(default_factory=dict)  # what -> why


def known(settings: Settings, host: Host) -> list[tuple[str, str]]:
    """What a version without a ledger made."""
    named = [
        ("path", settings.project),
        ("tree", settings.venv),
        ("tree", "~/.cache/jupyterlab"),
        ("tree", jupyter.USUAL),
        ("path", "~/.jupyter/migrated"),
        *(("path", f"~{folder}") for folder in HOMES),
        *(("path", path) for path in (jupyter.CONFIG, jupyter.TOKEN, jupyter.LOGIN)),
        ("path", systemd.TMPFILES),
        ("path", systemd.UNIT),
        ("tree", str(Path(jupyter.SOCKET).parent)),
        ("tree", certificates.FOLDER),
        ("tree", certificates.WEBROOT),
        ("path", tls.HOOK),
        ("path", nginx.SITE),
        ("path", nginx.ENABLED),
        *(("path", path) for path in (fail2ban.FILTER, fail2ban.SSHD, fail2ban.JAIL)),
    ]
    return [(kind, host.under(path)) for kind, path in named]


def plan(found: Inventory, settings: Settings, host: Host, purge: bool) -> Leaving:
    """Decide what goes.

    :param purge: also the notebooks, and what a person left in the folders that we made.
    """
    out = Leaving(index=bool(found.values("index")))
    paths = {path: kind for kind, path in found.made if kind in ("path", "tree")}
    before = found.values("replaced")
    if found.older:
        paths = {path: kind for kind, path in known(settings, host)} | paths
        before = [path for path in before if path not in paths]
    plan_packages(out, found)
    nginx_is_new = "nginx-common" in found.values("package")
    out.back = [path for path in before if path != nginx.WELCOME or not nginx_is_new]
    out.rights = [value.split("|") for value in found.values("rights")]
    for unit in (value.split("|") for value in found.values("unit")):
        name = unit[0].partition(".")[0]
        ours = f"/etc/systemd/system/{unit[0]}" in paths or name in out.remove
        if not ours and unit[1:] != ["enabled", "active"] and not found.uses.get(name):
            out.states.append(unit)
    out.units = [m[1] for path in paths if (m := UNIT.fullmatch(path)) and path in found.there]
    for path in sorted(paths, reverse=True):  # what is in a folder before the folder
        if path == BACKUPS or path.startswith(f"{BACKUPS}/"):
            continue
        if path.startswith("/etc/letsencrypt/") and found.uses.get("certbot"):
            continue
        if f"{path}/".startswith(f"{PAGE}/"):
            out.late += [("path", path)] if "nginx-common" in out.purge else []
        elif path.startswith("/var/cache/apt/"):
            out.late.append(("path", path))
        else:
            kind = "tree" if path.startswith("/run/") else paths[path]
            work = f"{path}/venv" in paths or path.endswith(HOMES)  # where people leave theirs
            out.goes.append(("tree" if purge and work else kind, path))
            if path.endswith("/venv"):  # beside it are former ones, and those of further kernels
                made = (f"{path[:-4]}{beside}" for beside in (".venvs", ".kernels"))
                out.goes += [("tree", folder) for folder in made if folder in paths]
    stamps = (f"/var/lib/systemd/timers/stamp-{unit}" for unit in out.units)
    out.goes += [("path", stamp) for stamp in stamps if stamp.endswith(".timer")]
    out.goes.sort(key=lambda pair: pair[1], reverse=True)
    project = host.under(settings.project)
    if found.work and not (purge and project in paths):
        why = "--purge takes them, too" if project in paths else "the folder was there before"
        out.stays[project] = f"{count(found.work, 'file')} of yours in it; {why}"
    return out


def plan_packages(out: Leaving, found: Inventory) -> None:
    """Say which packages go: ours, but for those that others need."""
    ours = found.values("package", "remnant")
    why = needed(found, ours)
    out.stays |= dict(sorted(why.items()))
    there = [name for name in ours if name not in why and name in found.packages]
    out.remove = there  # the server itself knows which of them are whole
    out.purge = [name for name in there if name in found.values("package")]
    out.downloads = ours
