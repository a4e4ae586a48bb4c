"""Files and symbolic links that must not exist."""

from __future__ import annotations

from dataclasses import dataclass

from ..script import call, look
from .base import Change
from .files import PathItem


@dataclass(frozen=True, kw_only=True)
class Absent(PathItem):
    """A path without a file or link; an existing one is removed, and kept as a backup.

    :param unit: the unit that reads it.
    :param before, then: shell to run before and afterwards, when no Service item handles the unit.
    """

    unit: str
    before: str = ""
    then: str = ""

    def compare(self, lines, touched):
        if lines[0] == "absent":
            return None
        return self.removal(f"remove {self.path}")

    def removal(self, say: str) -> Change:
        """Return the change that removes it."""
        fix = "\n".join(filter(None, [self.before, call("put_absent", self.path), self.then]))
        return Change(say, fix, (self.unit,), needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class Welcome(Absent):
    """Absence of the page that Debian's Nginx shows for every name; a changed one is kept."""

    def read(self) -> str:
        return look("show_welcome", self.path)

    def compare(self, lines, touched):
        if lines[0] == "other":
            return None
        return self.removal("remove Debian's welcome page from sites-enabled")
