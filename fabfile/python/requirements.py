"""The requirements of the venv: from the settings, the operator's files, and `fab packages`."""

from __future__ import annotations

import re
from pathlib import Path

from invoke import Exit

from ..engine.host import Host
from ..items.packages import canonical, requirement
from ..settings import Settings
from ..settings.fields import parsed_requirement
from ..ui.command import FAB
from . import minimum_versions

# The requirements of a cluster: arrays, dataframes, the dashboard, and its way through JupyterLab.
CLUSTER = "dask[dataframe,diagnostics,distributed]", "jupyter-server-proxy"
# jsonschema checks addresses with it. Without it, jsonschema builds a parser at every start of
# JupyterLab, which takes more than half of that start.
QUICK = "rfc3987"
SERVERS = {"jupyter", "jupyterlab"}  # either brings JupyterLab
TOOLS = {"pip", "setuptools"}  # they install the others; nobody asks for them
ANEW = f"create it again with {FAB} -H david@1.1.1.1 upgrade --lock"


def wanted(settings: Settings, host: Host) -> tuple[str, ...]:
    """Return every pip requirement once, with JupyterLab, a safe server and a fast start."""
    server, _ = minimum_versions.floors()[minimum_versions.SERVER]
    asked_for = chosen(settings, host)
    lab = () if SERVERS & set(map(name, asked_for)) else ("jupyterlab",)
    others = pins(settings) or (QUICK,)  # a lock is complete
    return tuple(dict.fromkeys((*lab, *asked_for, *others, server)))


def chosen(settings: Settings, host: Host) -> tuple[str, ...]:
    """Return the requirements that somebody asked for, and those of a cluster."""
    return asked(settings, host) + (CLUSTER if host.cluster else ())


def asked(settings: Settings, host: Host) -> tuple[str, ...]:
    """Return the requirements that somebody asked for, without those of a cluster."""
    return settings.packages + of_file(settings) + host.added


def proxied(settings: Settings, host: Host) -> bool:
    """Check whether jupyter-server-proxy may show all ports: not if only a cluster needs it."""
    if not host.cluster:
        return True
    return "jupyter-server-proxy" in map(name, asked(settings, host))


def text(requirements: tuple[str, ...]) -> str:
    """Return the text of the file that records what was added."""
    return "\n".join(["# Added by `fab packages`, a pip requirement a line.", *requirements, ""])


def of_file(settings: Settings) -> tuple[str, ...]:
    """Return the requirements in the file lab.requirements."""
    return tuple(lines("requirements", settings.requirements)) if settings.requirements else ()


def pins(settings: Settings) -> tuple[str, ...]:
    """Return the exact versions of lab.lock.

    :raises Exit: for a line that is not one, and for a version with a vulnerability.
    """
    if not settings.lock:
        return ()
    rows = lines("lock", settings.lock)
    for row in rows:
        if not re.fullmatch(r"[A-Za-z0-9._-]+==[^\s=,;*]+", row):
            raise Exit(f"lab.lock: {settings.lock}: {row!r} is not NAME==VERSION: {ANEW}")
    there = {canonical(name): version for name, version in (row.split("==") for row in rows)}
    for hole in minimum_versions.holes(there):
        raise Exit(
            f"lab.lock: {settings.lock}: {hole}: create it again with {FAB} -H HOST upgrade --lock"
        )
    return tuple(rows)


def write_lock(path: Path, there: dict[str, str], when: str) -> int:
    """Write exact versions to a file, completely or not at all, and return their number.

    :param there: canonical names -> versions.
    :param when: the time, and the host that they are from.
    """
    rows = [f"{name}=={there[name]}" for name in sorted(set(there) - TOOLS)]
    head = f"# Written by `fab upgrade --lock`, {when}; lab.lock names this file."
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
        new.replace(path)
    except OSError as problem:
        raise Exit(f"{path}: {problem.strerror}: the lock was not written") from None
    return len(rows)


def lines(setting: str, name: str) -> list[str]:
    """Return the requirements in a file of this machine, without comments.

    :raises Exit: when it cannot be read, or a line is not a requirement.
    """
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "is not a text file"
        raise Exit(f"lab.{setting}: {name}: {why}") from None
    rows = (re.sub(r"(^|\s)#.*", "", row).strip() for row in text.splitlines())
    rows = [row for row in rows if row]
    for row in rows:
        if not parsed_requirement(row):
            raise Exit(f"lab.{setting}: {name}: {row!r} is not a pip requirement: remove it")
    return rows


def name(text: str) -> str:
    """Return the canonical name of the distribution that a requirement names."""
    return canonical(requirement(text).name)
