"""Files and symbolic links that must not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..script import call, look
from .base import Change
from .files import PathItem


@dataclass(frozen=True, kw_only=True)
class Absent(PathItem):
    """A path without a file or link; an existing one is removed, and kept as a backup.

    :param unit: the unit that reads it.
    :param before, then: shell to run before and afterwards, when no Service item handles the unit.
    """

    called: ClassVar[str] = ""  # its name for the operator, if that is not its path
    unit: str
    before: str = ""
    then: str = ""

    def parse(self, lines) -> bool:
        """Return whether it must go."""
        return lines[0] != "absent"

    def compare(self, state, touched):
        if not state:
            return None
        fix = "\n".join(filter(None, [self.before, call("put_absent", self.path), self.then]))
        return Change(f"remove {self.called or self.path}", fix, (self.unit,), needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class Welcome(Absent):
    """Absence of the page that Debian's Nginx shows for every name; a changed one is kept."""

    called = "Debian's welcome page from sites-enabled"

    def read(self) -> str:
        return look("show_welcome", self.path)

    def parse(self, lines) -> bool:
        return lines[0] != "other"  # Nginx, if it is not there yet, brings the page
