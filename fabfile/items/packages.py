"""Debian packages, and Python packages in a virtual environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from invoke import Exit
from packaging.utils import canonicalize_name as canonical

from ..render import program
from ..script import call, look
from ..settings.fields import parsed_requirement
from .base import Change, Item, unpacked

FILLED = re.compile(r"\+[A-Za-z0-9._-]+")  # the name of a package that we installed
FORMER = re.compile(r"former [A-Za-z0-9._-]+")
DISTRIBUTION = re.compile(r"[A-Za-z0-9._-]+-[A-Za-z0-9._+!]+")  # as in NAME-VERSION.dist-info


@dataclass(frozen=True, kw_only=True)
class Packages(Item):
    """Debian packages that must be installed. :param show: those whose versions are shown."""

    names: tuple[str, ...]
    recommends: bool = False
    show: tuple[str, ...] = ()

    @property
    def packages(self):
        return self.names

    def read(self) -> str:
        return look("show_packages", *self.names)

    def parse(self, lines) -> dict[str, str]:
        """Return the names of those that are installed, and their upstream versions."""
        rows = (line.split("|") for line in lines if line.count("|") == 2)
        # deb-version(7)
        return {name: re.split("[-+~]", v)[0] for name, status, v in rows if status == "installed"}

    def compare(self, state, touched):
        missing = [name for name in self.names if name not in state]
        return self.install(missing) if missing else None

    def install(self, names: list[str]) -> Change:
        """Return the change that installs these in one transaction."""
        rest = str(self.recommends).lower(), *names
        return Change(
            f"install {', '.join(names)}",
            call("install_packages", *rest),
            touches=("/var/lib/dpkg/status",),
            packages=tuple(names),
            would=call("would_install", *rest),
            room=200,
        )

    def shown(self, state):
        return with_versions(self.show, state)


@dataclass(frozen=True)
class VenvState:
    """The state of a virtual environment.

    :param exists: whether there is one.
    :param record: what the last run recorded in it.
    :param versions: canonical names of its distributions -> versions.
    :param former: the Python that made it, if that is gone: its packages do not count.
    """

    exists: bool
    record: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    former: str = ""


@dataclass(frozen=True, kw_only=True)
class Venv(Item):
    """A virtual environment that satisfies pip requirements; what else is in it stays."""

    path: str
    owner: str
    home: str
    requirements: tuple[str, ...]
    python: str = "python3"  # the interpreter that creates it
    installer: str = "uv"
    core: tuple[str, ...] = ()  # paths (`*` allowed) that the service reads
    anew: str = ""  # a stamp: rebuild the venv, unless it has this one already
    floors: tuple[str, ...] = ()  # minimum versions, also of what nobody asked for
    show: tuple[str, ...] = ()
    theirs = True

    def read(self) -> str:
        return look("show_venv", self.path)

    def parse(self, lines) -> VenvState:
        if lines[0] == "absent":
            return VenvState(False)
        pairs = (row.rsplit("-", 1) for row in lines[1:] if DISTRIBUTION.fullmatch(row))
        versions = {canonical(name): version for name, version in pairs}
        former = next((row[7:] for row in lines[1:] if FORMER.fullmatch(row)), "")
        return VenvState(True, unpacked(lines[0]), versions, former)

    def lacking(self, there: dict[str, str], kept: list[str]) -> list[str]:
        """Return the requirements and the minimum versions that the distributions do not meet."""
        short = []
        for text in self.requirements:
            wanted = requirement(text)
            if wanted.marker and text in kept:  # the installer has evaluated its marker
                continue
            version = there.get(canonical(wanted.name))
            if version is None or not wanted.specifier.contains(version, prereleases=True):
                short.append(text)
        return [*short, *(text for text in below(there, self.floors) if text not in short)]

    def compare(self, state, touched):
        record = state.record.splitlines()
        kept = [row for row in record if not row.startswith(("# ", "+"))]
        filled = [row[1:] for row in record if FILLED.fullmatch(row)]
        short = self.lacking(state.versions, kept)
        broken = {"filling": "moved", "changing": "again"}.get("\n".join(kept), "")
        if not state.former and broken != "moved":
            short += [name for name in map(canonical, filled) if name not in state.versions]
        other = self.anew and f"# {self.anew}" not in record
        repair = "anew" if other else "moved" if state.former else broken
        if not repair and set(self.requirements) <= set(kept) and not short:
            return None
        stamp = [f"# {self.anew}"] if self.anew else []
        coming = tuple(dict.fromkeys((*self.requirements, *short)))  # and unmet minimum versions
        fix = self.filled(self.path, repair or "no", stamp, coming)
        why = ", from scratch" if repair == "anew" and state.exists else ""
        why = ", after an interrupted run" if broken else why
        if repair == "moved" and state.former:
            why = f", with what was installed by hand: {state.former}, which made it, is gone"
        what = f"{few(short or self.requirements)} into {self.path}"
        new_core = repair or any(text.startswith("jupyter") for text in short)
        return Change(
            f"install {what} ({self.installer}{why})",
            fix,
            touches=self.core if new_core else (),
            needs=self.needs,
            would=self.would("see", coming),
            room=400,
        )

    def filled(self, path: str, repair: str, stamp: list[str], coming) -> str:
        """Return the call that installs, and at the end records the requirements."""
        record = "\n".join([*self.requirements, *stamp])
        told = self.owner, self.home, self.python, repair, self.installer
        return call("fill_venv", path, *told, "\n".join(self.floors), record, *coming)

    def would(self, how: str, coming) -> str:
        """Return the call that prints `name version` of what would be installed.

        :param how: `see`, or `newer` to also replace versions that meet the requirements.
        """
        told = self.installer, how, "\n".join(self.floors), *coming
        return call("would_fill", self.path, *told, text=program("install"))

    def shown(self, state):
        return with_versions(self.show, state.versions)


def requirement(text: str):
    """Return a parsed pip requirement.

    :raises Exit: when it is not one.
    """
    found = parsed_requirement(text)
    if not found:
        raise Exit(f"{text!r} is not a pip requirement: correct lab.packages, or remove it from "
                   "~/.jupyter/packages.txt on the server")  # fmt: skip
    return found


def below(there: dict[str, str], floors) -> list[str]:
    """Return the minimum versions that the distributions do not meet.

    :param there: canonical names -> versions.
    """
    known = ((text, requirement(text)) for text in floors)
    return [
        text
        for text, floor in known
        if (version := there.get(canonical(floor.name)))
        and not floor.specifier.contains(version, prereleases=True)
    ]


def with_versions(names, versions: dict[str, str]) -> str:
    """Return those names that have a version, with their versions."""
    return ", ".join(f"{name} {versions[name]}" for name in names if name in versions)


def few(names) -> str:
    """Return the names in a line, or the first six of them."""
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
