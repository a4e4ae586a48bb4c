"""What all items have in common, and how they write shell."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from typing import ClassVar

from invoke import Exit

SYSTEM = "/etc/", "/usr/", "/run/"  # where only root writes


def quote(path: str) -> str:
    """Quote for the shell, but let it expand a leading `~/` and every `*`."""
    if path == "~":
        return '"$home"'
    start, rest = ('"$home"/', path[2:]) if path.startswith("~/") else ("", path)
    return start + "*".join(shlex.quote(part) if part else "" for part in rest.split("*")) or "''"


def look(function: str, *paths: str) -> str:
    """Write a call that reads: its paths may begin with `~/` and hold `*`."""
    return " ".join([function, *map(quote, paths)])


def call(function: str, *arguments: object, text: str | None = None) -> str:
    """Write a call that changes: every argument is literal; `text` becomes its standard input."""
    line = " ".join([function, *(shlex.quote(str(argument)) for argument in arguments)])
    return line if text is None else f"{line} {here(text)}"


def assigned(values: dict[str, object]) -> str:
    """Write the lines that give literal values to the shell's variables."""
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items())


def here(text: str) -> str:
    """Write a here-document; its end is a word that the text does not have as a line."""
    end = "END"
    while f"\n{end}\n" in f"\n{text}\n":
        end += "_"
    return f"<<'{end}'\n{text.removesuffix(chr(10))}\n{end}"


def unpacked(text: str) -> str:
    """Return what a server sent in base64; what is no text in it becomes U+FFFD.

    :raises Exit: when it is no base64.
    """
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except ValueError:
        raise Exit("the server's answer is damaged: run again") from None


@dataclass(frozen=True)
class Change:
    """One step of the apply command.

    :param say: what it does, for the operator.
    :param shell: the lines that do it, as root.
    :param touches: the paths that are new afterwards; a service that reads one is restarted.
    :param before, after: a file's text, for the diff; None when it is not for eyes.
    :param needs: the packages that must be there first.
    :param would: a call that prints `name version` of all that would come, for a dry run.
    """

    say: str
    shell: str
    touches: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()  # the Debian packages that it installs
    room: int = 0  # MB that it takes on the disk
    would: str = ""
    check: bool = False  # it changes nothing but may refuse, so it comes first


@dataclass(frozen=True, kw_only=True)
class Item:
    """The common part. `shown` turns the lines of a converged item into words, or nothing."""

    step: str = ""  # the task that owns it, named in errors
    needs: tuple[str, ...] = ()

    theirs: ClassVar[bool] = False  # it looks into the user's places, whatever its paths are

    def is_theirs(self, home: str) -> bool:
        """Return whether it looks into places that are the user's: root has that user read them.

        :param home: the user's home, as it stands in paths.
        """
        return self.theirs or any(
            not path.startswith(SYSTEM) or f"{path}/".startswith(f"{home}/") for path in self.places
        )

    @property
    def places(self) -> tuple[str, ...]:
        """The paths that it looks at."""
        return self.paths

    @property
    def paths(self) -> tuple[str, ...]:
        """What is looked at, all items' at once."""
        return ()

    def read(self) -> str:
        raise NotImplementedError

    def compare(self, lines: list[str], touched: set[str]) -> Change | None:
        raise NotImplementedError

    def shown(self, lines: list[str]) -> str:
        return ""
