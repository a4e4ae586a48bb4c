"""Items of a cluster's hosts: their facts, the same Python, a copy of the venv, certificates."""

from __future__ import annotations

import re
from dataclasses import dataclass

from invoke import Exit

from ..script import call, look
from .base import Change, Item
from .certificate import Given

# The facts that a host reports: they name a folder here, and become lines of other hosts' units.
SAID = {
    "name": r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?",
    "machine": r"[0-9a-f]{32}",
    "processors": r"[1-9][0-9]{0,4}",
    "memory": r"[1-9][0-9]{0,8}",
    "python": r"([0-9]{1,3}(\.[0-9]{1,3}){2}[A-Za-z0-9.+~-]{0,20})?",
    "address": r"[0-9A-Fa-f:.]{0,45}",
}


@dataclass(frozen=True, kw_only=True)
class Seat(Item):
    """A host that computes for a cluster; it is only read.

    :param toward: the address of another host, which selects the address to report.
    """

    toward: str
    venv: str
    theirs = True

    def read(self) -> str:
        return look("show_seat", self.toward, self.venv)

    def parse(self, lines) -> dict[str, str]:
        """Return the facts: name, machine, processors, memory, python, address; each once.

        :raises Exit: for an invalid or repeated one.
        """
        told = {}
        for name, _, value in (line.partition("=") for line in lines):
            if name not in SAID:
                continue
            if name in told or not re.fullmatch(SAID[name], value):
                raise Exit(f"a host reports an invalid {name}: {value[:60]!r}; check that host, "
                           "then run again")  # fmt: skip
            told[name] = value
        return told


@dataclass(frozen=True, kw_only=True)
class Interpreter(Item):
    """Debian's Python in exactly one version; one that this run installs is checked afterwards."""

    version: str

    def read(self) -> str:
        return "show_python"

    def compare(self, state, touched):
        if state == self.version:
            return None
        fix = call("refuse_python", self.version)
        return Change(f"check that Python is {self.version}", fix, needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class VenvCopy(Item):
    """A copy of a venv outside the home, for a service that cannot see the home.

    :param path: root's folder that contains it.
    :param stamp: root's file that records which state of the venv was copied.
    """

    path: str
    stamp: str
    venv: str
    owner: str
    home: str
    theirs = True

    def read(self) -> str:
        return look("show_venv_copy", self.stamp, self.venv)

    def compare(self, state, touched):
        if state == "fresh":
            return None
        fix = call("fill_copy", self.path, self.stamp, self.venv, self.owner, self.home)
        say = "copy the venv for the scheduler, which cannot see the home"
        return Change(say, fix, (self.stamp,), needs=self.needs, room=400)


@dataclass(frozen=True, kw_only=True)
class Gone(Item):
    """Absence of our files or folders from a user's folder. :param names: of both."""

    folder: str
    names: tuple[str, ...]
    owner: str

    @property
    def paths(self):
        return tuple(f"{self.folder}/{name}" for name in self.names)

    def read(self) -> str:
        return "\n".join(look("show_rights", path) for path in self.paths)

    def parse(self, lines) -> list[bool]:
        """Return whether each of its paths exists."""
        return [line != "absent" for line in lines]

    def compare(self, state, touched):
        there = [path for path, exists in zip(self.paths, state, strict=True) if exists]
        if not there:
            return None
        return Change(f"remove {', '.join(there)}", call("remove_trees_as", self.owner, *there))


@dataclass(frozen=True, kw_only=True)
class Identity(Given):
    """A certificate by the CA of a cluster and its key, in a folder of a user or of root."""

    mode: str = "0600"

    def begin(self):
        return call("remove_as", self.owner, self.path)
