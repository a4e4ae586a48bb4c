"""The contents of a server's ledger, and which of our packages others need: no connection."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from invoke import Exit

from ..items import Item
from ..render import shell
from ..script import look

PLACES = "path", "tree", "replaced", "rights"
SUFFIX = re.compile(r"[\s(:\[<].*")  # a version, an architecture


@dataclass(frozen=True, kw_only=True)
class Seen(Item):
    """An item that reads the inventory."""

    project: str

    def read(self) -> str:
        asked = "show_inventory", look("show_work", self.project)
        return "\n".join([shell("lib/users"), shell("lib/inventory"), *asked])

    def parse(self, lines) -> Inventory:
        """Return the inventory.

        :raises Exit: for an entry of the ledger that this project never writes.
        """
        found = Inventory()
        for line in lines:
            kind, _, rest = line.partition(" ")
            word, _, value = rest.partition(" ")
            if kind == "ledger":
                found.ledger = True
            elif kind == "made":
                found.made.append(entry(word, value))
            elif kind in ("there", "present"):
                getattr(found, kind).add(rest)
            elif kind == "other":
                found.others.append(rest)
            elif kind == "uses":
                found.uses[word].append(value)
            elif kind == "work" and rest.isdecimal():
                found.work = int(rest[:9])
            elif kind == "package" and rest.count("\t") == 4:
                name, status, depends, recommends, provides = rest.split("\t")
                found.packages[name] = Package(
                    status, groups(depends), groups(recommends), sum(groups(provides), ())
                )
        return found


@dataclass(frozen=True)
class Package:
    """A package that dpkg knows; each dependency or recommendation is the names in `a | b`."""

    status: str
    depends: tuple[tuple[str, ...], ...] = ()
    recommends: tuple[tuple[str, ...], ...] = ()
    provides: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """True if more than its configuration files is there."""
        return self.status not in ("not-installed", "config-files")


@dataclass
class Inventory:
    """The parsed lines of show_inventory and show_work."""

    ledger: bool = False
    made: list[tuple[str, str]] = field(default_factory=list)  # kind, value
    there: set[str] = field(default_factory=set)  # the paths that exist
    present: set[str] = field(default_factory=set)  # packages that were there before
    uses: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    packages: dict[str, Package] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)  # further instances of the project here
    work: int = 0  # files of the user in lab.project

    def values(self, *kinds: str) -> list[str]:
        """Return the values of the entries of these kinds, each once."""
        return list(dict.fromkeys(value for kind, value in self.made if kind in kinds))


def entry(kind: str, value: str) -> tuple[str, str]:
    """Return an entry of the ledger, after a check, for root will act on it.

    :raises Exit: for an entry that this project never writes.
    """
    path = value.rsplit("|", 2)[0] if kind == "rights" else value
    names = path.split("/")
    odd = not path.startswith("/") or {"", ".", ".."} & set(names[1:])
    if not value.isprintable() or (kind in PLACES and odd):
        raise Exit(f"the ledger on the server lists {value!r}, a path that this project never "
                   "makes: find out who wrote that line, and remove it")  # fmt: skip
    return kind, value


def groups(text: str) -> tuple[tuple[str, ...], ...]:
    """Split a field such as `libc6 (>= 2.36), awk | mawk` into names (Debian Policy 7.1)."""
    wanted = (part.strip() for part in text.split(","))
    return tuple(
        tuple(SUFFIX.sub("", name.strip()) for name in part.split("|")) for part in wanted if part
    )


def needed(found: Inventory, ours: list[str]) -> dict[str, str]:
    """Return those of our packages that others need, and why.

    Others are packages that were there before, and those that somebody else installed later; of
    the latter the recommendations count, too. A service that others use stays as well.

    :returns: the name of a package -> the reason.
    """
    installed = {name: p for name, p in found.packages.items() if p.installed}
    mine = {name for name in ours if name in installed}
    providers = defaultdict(set)
    for name, package in installed.items():
        for provided in (name, *package.provides):
            providers[provided].add(name)
    reasons = {
        name: f"{where[0]} needs it" for name, where in found.uses.items() if name in mine and where
    }
    asking = [name for name in installed if name not in mine] + list(reasons)
    for name in asking:  # the loop adds to this list
        package = installed[name]
        wanted = package.depends
        if name not in mine and name not in found.present:
            wanted += package.recommends
        for group in wanted:
            fit = set().union(*(providers[alternative] for alternative in group))
            if fit and fit <= mine:
                new = fit - set(reasons)
                reasons |= dict.fromkeys(new, f"{name} needs it")
                asking += new
    return reasons
