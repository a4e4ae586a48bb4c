"""What the hosts of a cluster have: the same Python, a certificate each, a unit that listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .base import Change, Item, call, look
from .certificate import Certificate
from .paths import decode


@dataclass(frozen=True, kw_only=True)
class Seat(Item):
    """A host as a place to compute at; only looked at.

    :param toward: the address of another host: which one it has on the way there.
    """

    toward: str
    venv: str

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
class Identity(Certificate):
    """A certificate by the CA of a cluster and its key, in a folder of a user's.

    :param fits: whether the text that is there will do.
    :param make: gives the certificate and the key, when they are needed.
    """

    mode: str = "0600"
    fits: Callable[[str], bool]
    make: Callable[[], tuple[str, str]]

    @property
    def paths(self):
        return self.path, self.key

    def read(self):
        return f"{look('show_path', self.path)}\n{look('show_rights', self.key)}"

    def compare(self, lines, touched):
        *shown, key = lines
        well = self.fits(decode(shown) or "") and not self.rights_differ(shown)
        if well and key.endswith(f"|{self.owner}|{self.group}|600"):
            return None
        certificate, secret = self.make()
        rights = self.owner, self.group, "0600"
        fix = "\n".join(
            [
                call("remove_as", self.owner, self.path),  # no half of it is taken for the whole
                call("put_file", self.key, *rights, text=secret),
                call("put_file", self.path, *rights, text=certificate),
            ]
        )
        say = f"put a certificate for {self.domain} into {self.path}"
        return Change(say, fix, (self.path,), needs=self.needs)
