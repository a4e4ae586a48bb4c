"""What is not to be there."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Change, call, look
from .files import PathItem


@dataclass(frozen=True, kw_only=True)
class Absent(PathItem):
    """No file and no link there; one that is, is kept aside.

    :param unit: the unit that reads it.
    :param before, then: what to do before and afterwards, when no service of ours sees to it.
    """

    unit: str
    before: str = ""
    then: str = ""

    def compare(self, lines, touched):
        if lines[0] == "absent":
            return None
        return self.removal(f"remove {self.path}")

    def removal(self, say: str) -> Change:
        """The change that takes it away."""
        fix = "\n".join(filter(None, [self.before, call("put_absent", self.path), self.then]))
        return Change(say, fix, (self.unit,), needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class Welcome(Absent):
    """The page that Debian's Nginx shows under every name: gone, unless somebody changed it."""

    def read(self) -> str:
        return look("show_welcome", self.path)

    def compare(self, lines, touched):
        if lines[0] == "other":
            return None
        return self.removal("take Debian's welcome page out of sites-enabled")
