"""What goes into the venv: from the settings, from files of the operator's, from `fab packages`."""

from __future__ import annotations

import re
from pathlib import Path

from invoke import Exit

from ..engine.host import Host
from ..items import canonical
from ..items.packages import requirement
from ..settings import Settings
from . import minimum_versions

# What a cluster needs: arrays, dataframes, the dashboard, and its way through JupyterLab.
CLUSTER = "dask[dataframe,diagnostics,distributed]", "jupyter-server-proxy"
# jsonschema checks addresses with it. Without it, jsonschema makes a parser for that whenever
# JupyterLab starts, which takes more than half of the start.
QUICK = "rfc3987"
TOOLS = {"pip", "setuptools"}  # they install the others, and are nobody's wish
ANEW = "make it anew with fab -H david@1.1.1.1 upgrade --lock"


def wanted(settings: Settings, host: Host) -> tuple[str, ...]:
    """Every pip requirement, each once; never a server with a known hole, nor a slow start."""
    server, _ = minimum_versions.floors()[minimum_versions.SERVER]
    others = pins(settings) or (QUICK,)  # a lock is the whole of it
    return tuple(dict.fromkeys((*chosen(settings, host), *others, server)))


def chosen(settings: Settings, host: Host) -> tuple[str, ...]:
    """Those that somebody asked for by name."""
    return asked(settings, host) + (CLUSTER if members(settings, host) else ())


def asked(settings: Settings, host: Host) -> tuple[str, ...]:
    """The same without what a cluster needs."""
    return settings.packages + of_file(settings) + added(settings, host)


def proxied(settings: Settings, host: Host) -> bool:
    """Whether whatever listens there may be shown under our name: where somebody asked for that."""
    if not members(settings, host):
        return True
    return "jupyter-server-proxy" in map(name, asked(settings, host))


def members(settings: Settings, host: Host) -> tuple[str, ...]:
    """The workers that there are, or are to be: `HOST NAME` of each."""
    return host.cluster if settings.members is None else settings.members


def added(settings: Settings, host: Host) -> tuple[str, ...]:
    """What `fab packages --add` put there, or is to put there now."""
    return host.added if settings.added is None else settings.added


def text(requirements: tuple[str, ...]) -> str:
    """The file that keeps what was added."""
    return "\n".join(["# What `fab packages` added, a pip requirement a line.", *requirements, ""])


def of_file(settings: Settings) -> tuple[str, ...]:
    """The requirements of lab.requirements."""
    return tuple(lines("requirements", settings.requirements)) if settings.requirements else ()


def pins(settings: Settings) -> tuple[str, ...]:
    """The exact versions of lab.lock.

    :raises Exit: for a line that is not one, and for a version with a known hole.
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
            f"lab.lock: {settings.lock}: {hole}: make it anew with fab -H HOST upgrade --lock"
        )
    return tuple(rows)


def write_lock(path: Path, there: dict[str, str], when: str) -> int:
    """Write exact versions, whole or not at all; give their number.

    :param there: canonical names -> versions.
    :param when: when, and where from.
    """
    rows = [f"{name}=={there[name]}" for name in sorted(set(there) - TOOLS)]
    head = f"# By `fab upgrade --lock`, {when}; lab.lock names this file."
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
        new.replace(path)
    except OSError as problem:
        raise Exit(f"{path}: {problem.strerror}: the lock was not written") from None
    return len(rows)


def lines(setting: str, name: str) -> list[str]:
    """The requirements in a file of this machine, without comments.

    :raises Exit: when it cannot be read, or holds what is no requirement.
    """
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "is not a text"
        raise Exit(f"lab.{setting}: {name}: {why}") from None
    rows = (re.sub(r"(^|\s)#.*", "", row).strip() for row in text.splitlines())
    rows = [row for row in rows if row]
    for row in rows:
        if not is_requirement(row):
            raise Exit(f"lab.{setting}: {name}: {row!r} is not a pip requirement: leave it out")
    return rows


def is_requirement(text: str) -> bool:
    """Whether it is a name with versions, as pip has them (PEP 508)."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def name(text: str) -> str:
    """The canonical name of what a requirement asks for."""
    return canonical(requirement(text).name)
