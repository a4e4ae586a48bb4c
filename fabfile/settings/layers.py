"""The layers of settings: which files are read, and which layer each value comes from.

Invoke reads /etc/fabric.yaml, ~/.fabric.yaml and the fabric.yaml of the project's folder. Where
that folder has none, the one in ~/.config/jupyterlab-fab takes its place: Fabric's method that
reads it is replaced by one that looks there, too.
"""

from __future__ import annotations

import os
from pathlib import Path

from fabric import Config

FOLDER = "~/.config/jupyterlab-fab"
VARIABLE = "FABRIC_LAB_"
DEFAULT = "default"
PROJECT = ["."]  # the project's folder, as Invoke or our own program found it
read_project = Config.load_project


def load_project(config: Config, merge: bool = True) -> None:
    """Read the fabric.yaml of the project's folder; without one, the operator's own."""
    read_project(config, merge=merge)
    PROJECT[0] = config._project_prefix or "."
    path = config._project_path  # fabric.py where there is none: Invoke tries that last
    if path and not os.path.exists(path):
        config.set_project_location(os.path.expanduser(FOLDER))
        read_project(config, merge=merge)


def project_file() -> Path:
    """Return the path of the settings file in the project's folder, which may be missing."""
    return Path(PROJECT[0]).resolve() / "fabric.yaml"


def files(config: Config) -> list[str]:
    """Return the settings files that were read; a later one overrides those before it."""
    named = (getattr(config, f"_{kind}_path") for kind in ("system", "user", "project", "runtime"))
    return [path for path in named if path and os.path.exists(path)]


def layers(config: Config) -> list[tuple[str, dict]]:
    """Return the layers that set something, each with its values under `lab:`, the strongest last.

    Those of groups are in between; see `origins`.
    """
    found = [(getattr(config, f"_{kind}_path"), getattr(config, f"_{kind}"))
             for kind in ("system", "user", "project")]  # fmt: skip
    runtime = (getattr(config, "_runtime_path", None), getattr(config, "_runtime", None))
    variables = {name.removeprefix(VARIABLE).lower(): value
                 for name, value in os.environ.items() if name.startswith(VARIABLE)}  # fmt: skip
    groups = ("its group", getattr(config, "_modifications", None))
    return [
        *((path, lab(data)) for path, data in (*found, groups)),
        (VARIABLE, variables),
        (runtime[0], lab(runtime[1])),
    ]


def lab(data: dict | None) -> dict:
    """Return the settings of one source; those that are not set there are left out."""
    return {name: v for name, v in ((data or {}).get("lab") or {}).items() if v is not None}


def origins(config: Config, names) -> dict[str, str]:
    """Return the layer that each setting comes from: a file, a variable, or `default`."""
    found = dict.fromkeys(names, DEFAULT)
    for where, values in layers(config):
        for name in values.keys() & found.keys():
            found[name] = f"{VARIABLE}{name.upper()}" if where == VARIABLE else str(where)
    return found


Config.load_project = load_project
