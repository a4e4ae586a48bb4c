"""The base of all items, and functions that write shell."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from invoke import Exit

if TYPE_CHECKING:
    from .runtime import Live

SYSTEM = "/etc/", "/usr/", "/run/"  # where only root can write


def unpacked(text: str) -> str:
    """Return the text that a server sent in base64; bytes that are not UTF-8 become U+FFFD.

    :raises Exit: when it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except ValueError:
        raise Exit("the server's answer is damaged: run again") from None


@dataclass(frozen=True)
class Change:
    """A step of the apply command.

    :param say: what it does, for the operator.
    :param shell: the lines that do it, as root.
    :param touches: the paths that it changes; a service that reads one is restarted.
    :param before, after: a file's text, for the diff; None when it must not be shown.
    :param needs: the packages that must be installed first.
    :param would: a call for a dry run that prints `name version` of what would be installed.
    :param ends: reads the kernels that it ends; the operator is asked first.
    :param loses: what else people would miss after it, a line each; the same.
    """

    say: str
    shell: str
    touches: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()  # the Debian packages that it installs
    room: int = 0  # MB of disk space that it needs
    would: str = ""
    check: bool = False  # it changes nothing but may refuse, so it runs first
    ends: Live | None = None
    loses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Item:
    """The base of all items.

    `parse` turns the lines that `read` printed into a state: of many items that is the only word.
    Only the kind of the item matters to it, so one with a symbolic path can parse, too. `shown`
    turns the state of a converged item into a text, or none.
    """

    step: str = ""  # the task that owns it, named in errors
    needs: tuple[str, ...] = ()

    theirs: ClassVar[bool] = False  # it reads the user's files, whatever its paths are
    paths: ClassVar[tuple[str, ...]] = ()  # `look_at` gets those of all items at once
    units: ClassVar[tuple[str, ...]] = ()  # `ask_systemd` gets those of all items at once
    packages: ClassVar[tuple[str, ...]] = ()  # `ask_dpkg` gets those of all items at once

    def is_theirs(self, home: str) -> bool:
        """Check whether it reads the user's files, which root has that user read.

        :param home: the user's home, as it is written in paths.
        """
        return self.theirs or any(
            not path.startswith(SYSTEM) or f"{path}/".startswith(f"{home}/") for path in self.places
        )

    @property
    def places(self) -> tuple[str, ...]:
        """The paths that it reads."""
        return self.paths

    def named(self, command: str) -> Item:
        """Return the item with the command that reaches its host, if it tells that in an error.

        :param command: `fab -H ...`
        """
        return self

    def made_by(self, steps: set[str]) -> bool:
        """Check whether one of the steps of this run creates what it only requires."""
        return False

    def read(self) -> str:
        raise NotImplementedError

    def parse(self, lines: list[str]) -> Any:
        return lines[0] if lines else ""

    def compare(self, state, touched: set[str]) -> Change | None:
        return None

    def shown(self, state) -> str:
        return ""
