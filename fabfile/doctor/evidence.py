"""What was seen of a server, there and from here, as one value. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from ..items.base import unpacked
from ..items.certificate import parsed
from ..settings import Settings
from . import nginx_config
from .probe import Door, Gate

CHATTER = re.compile(  # what systemd says of any end
    r"Started|Stopped|Stopping|Starting|\S+\.service: (Scheduled|Consumed|Main process|Failed with"
    r"|Start request|Deactivated|Control process|Triggering|Unit process)"
)


@dataclass(frozen=True)
class Disk:
    """One file system: bytes and inodes, in all and free."""

    path: str
    size: int
    free: int
    inodes: int
    inodes_free: int

    @property
    def full(self) -> bool:
        """Whether nothing can be written: JupyterLab wants some MB at its start."""
        return self.free < 8 * 2**20 and self.free * 20 < self.size

    @property
    def low(self) -> bool:
        """Whether that is near."""
        few = self.inodes and self.inodes_free * 20 < self.inodes
        return (self.free * 20 < self.size and self.free < 2**31) or bool(few)


@dataclass(frozen=True)
class Arrival:
    """A visitor of ours, as Nginx has logged it; what it does not log is None.

    :param path: under which it asked, when it came here.
    """

    address: str
    path: str
    host: str | None = None
    upgrade: str | None = None


@dataclass(frozen=True)
class Evidence:
    """All of it.

    :param said: the sections that templates/shell/run/doctor.sh printed.
    :param offset: seconds that the server's clock is ahead of this machine's.
    :param doors: what answered from here; :param peer: the address that SSH goes to.
    :param refused: why nothing could be read as root there.
    """

    settings: Settings
    gate: Gate
    said: dict[str, list[str]] = field(default_factory=dict)
    offset: float = 0.0
    doors: tuple[Door, ...] = ()
    peer: str = ""
    refused: str = ""

    def lines(self, name: str) -> list[str]:
        """What is said under a name, without empty lines."""
        return [line.strip() for line in self.said.get(name, []) if line.strip()]

    def unit(self, name: str, key: str) -> str:
        """A property of a unit, as systemd names it."""
        pairs = dict(line.split("=", 1) for line in self.lines(name) if "=" in line)
        return pairs.get(key, "")

    def jupyter(self, key: str) -> str:
        """A property of JupyterLab's own."""
        return self.unit(self.jupyters, key)

    @property
    def jupyters(self) -> str:
        """The name of JupyterLab's own unit."""
        return self.settings.instance.unit

    @property
    def asleep(self) -> bool:
        """Whether it rests behind its socket."""
        door = self.unit(self.settings.instance.door, "ActiveState")
        return self.jupyter("ActiveState") == "inactive" and door == "active"

    @cached_property
    def disks(self) -> list[Disk]:
        """The file systems that matter."""
        found = []
        for line in self.lines("disks"):
            *numbers, path = line.split(None, 4)
            size, free, inodes, left = (int(n) if n.isdigit() else 0 for n in numbers)
            found.append(Disk(path, size, free, inodes, left))
        return found

    def biggest(self, path: str) -> str:
        """What of ours takes most on a file system, in words."""
        lines = (line.split(None, 2) for line in self.lines("biggest"))
        rows = (row for row in lines if len(row) == 3 and row[0].isdigit())
        found = [f"{int(kb) // 1024} MB in {one}" for kb, where, one in rows if where == path]
        return f"; most: {', '.join(found[:2])}" if found else ""

    @cached_property
    def failed(self) -> tuple[str, str] | None:
        """The first check of `verify` that failed, and its detail."""
        rows = (line.split("|", 4) for line in self.lines("proof") if line.count("|") >= 4)
        return next(((check, detail) for _, check, how, _, detail in rows if how != "ok"), None)

    @cached_property
    def last_words(self) -> str:
        """The last line of its journal that says something."""
        return next((w for w in reversed(self.lines("journal")) if not CHATTER.match(w)), "")

    @cached_property
    def site(self) -> nginx_config.Site | None:
        """How Nginx serves a kernel's websocket; None when its configuration could not be read."""
        text, settings = "\n".join(self.said.get("site", [])), self.settings
        if not text.strip():
            return None
        path = f"{settings.base_path}/api/kernels/1/channels"
        return nginx_config.site(text, settings.domain, settings.entrance, path)

    @cached_property
    def certificate(self):
        """The certificate that Nginx serves there; None without one."""
        told = "".join(self.lines("certificate"))
        return parsed(unpacked(told)) if told else None

    @cached_property
    def listening(self) -> dict[int, str]:
        """Port -> the program that listens there, empty where that was not told."""
        found = {}
        for line in self.lines("listening"):
            port = re.search(r":(\d+)\s", line)
            program = re.search(r'\(\("([^"]+)"', line)
            if port:
                found[int(port[1])] = program[1] if program else ""
        return found

    @cached_property
    def arrived(self) -> dict[int, Arrival]:
        """Number of a visitor -> how it arrived."""
        found = {}
        for line in self.lines("arrived"):
            row = re.match(r'(\S+) .*?"GET (\S*)jupyterlab-doctor-\w+-(\d+)', line)
            more = re.search(r' "([^"]*)" "([^"]*)"$', line) if " - - [" not in line else None
            if row:
                told = (more[1], more[2]) if more else (None, None)
                found[int(row[3])] = Arrival(row[1], row[2].rstrip("/"), *told)
        return found

    @cached_property
    def own(self) -> set[str]:
        """The server's addresses."""
        return {self.peer, self.settings.address, *self.lines("addresses")} - {""}

    @cached_property
    def fronts(self) -> list[tuple[Door, Arrival]]:
        """The doors of others that lead here, and how our visitors came through them."""
        there = ((door, self.arrived.get(door.number)) for door in self.doors)
        return [(d, a) for d, a in there if a and d.named and d.address not in self.own]

    @property
    def serving(self) -> bool:
        """Whether Nginx listens where people come."""
        program = self.listening.get(self.settings.entrance)
        return program is not None and program in ("nginx", "")
