"""What the hosts of a cluster have: the same Python, a certificate each, a unit that listens."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Change, Item, call, look
from .certificate import Given


@dataclass(frozen=True, kw_only=True)
class Seat(Item):
    """A host as a place to compute at; only looked at.

    :param toward: the address of another host: which one it has on the way there.
    """

    toward: str
    venv: str
    theirs = True

    def read(self) -> str:
        return look("show_seat", self.toward, self.venv)

    def told(self, lines: list[str]) -> dict[str, str]:
        """What it said: name, machine, processors, memory, python, debian, address."""
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def compare(self, lines, touched):
        return None


@dataclass(frozen=True, kw_only=True)
class Interpreter(Item):
    """Debian's own Python, of this very version: where it has just come, it is asked then."""

    version: str

    def read(self) -> str:
        return "show_python"

    def compare(self, lines, touched):
        if lines == [self.version]:
            return None
        fix = call("refuse_python", self.version)
        return Change(f"see that it is Python {self.version}", fix, needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class Identity(Given):
    """A certificate by the CA of a cluster and its key, in a folder of a user's."""

    mode: str = "0600"

    def begin(self):
        return call("remove_as", self.owner, self.path)
