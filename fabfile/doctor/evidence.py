"""Everything that was observed of a server, on it and from this machine, as one value. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from rich.filesize import decimal

from ..items.base import unpacked
from ..items.certificate import parsed
from ..settings import Settings
from . import nginx_config
from .probe import Probe, Url

CHATTER = re.compile(  # routine messages of systemd
    r"Started|Stopped|Stopping|Starting|\S+\.service: (Scheduled|Consumed|Main process|Failed with"
    r"|Start request|Deactivated|Control process|Triggering|Unit process)"
)


@dataclass(frozen=True)
class Disk:
    """A file system: total and free bytes, total and free inodes."""

    path: str
    size: int
    free: int
    inodes: int
    inodes_free: int

    @property
    def full(self) -> bool:
        """True if JupyterLab cannot write: it needs some MB to start."""
        return self.free < 8 * 2**20 and self.free * 20 < self.size

    @property
    def low(self) -> bool:
        """True if less than 5 % are free: of the bytes (and less than 2 GB), or of the inodes."""
        few = self.inodes and self.inodes_free * 20 < self.inodes
        return (self.free * 20 < self.size and self.free < 2**31) or bool(few)


@dataclass(frozen=True)
class Arrival:
    """A probe that reached Nginx, as it was logged; None for what the log does not contain.

    :param path: the path prefix with which it arrived.
    """

    address: str
    path: str
    host: str | None = None
    upgrade: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that was observed.

    :param said: section -> lines, as templates/shell/run/doctor.sh printed them.
    :param offset: seconds that the server's clock is ahead of this machine's.
    :param probes: the answers to the probes; :param peer: the address that SSH connects to.
    :param refused: why nothing could be read as root; "" if it could.
    """

    settings: Settings
    url: Url
    said: dict[str, list[str]] = field(default_factory=dict)
    offset: float = 0.0
    probes: tuple[Probe, ...] = ()
    peer: str = ""
    refused: str = ""

    def lines(self, name: str) -> list[str]:
        """Return the lines of a section, without empty ones."""
        return [line.strip() for line in self.said.get(name, []) if line.strip()]

    def unit(self, name: str, key: str) -> str:
        """Return a property of a unit; "" if systemd did not show it."""
        pairs = dict(line.split("=", 1) for line in self.lines(name) if "=" in line)
        return pairs.get(key, "")

    def jupyter(self, key: str) -> str:
        """Return a property of JupyterLab's unit."""
        return self.unit(self.jupyters, key)

    @property
    def jupyters(self) -> str:
        """The name of JupyterLab's unit."""
        return self.settings.instance.unit

    @property
    def asleep(self) -> bool:
        """True if JupyterLab sleeps and its socket unit will wake it."""
        socket = self.unit(self.settings.instance.socket_unit, "ActiveState")
        return self.jupyter("ActiveState") == "inactive" and socket == "active"

    @cached_property
    def disks(self) -> list[Disk]:
        """The file systems that JupyterLab, Nginx and backups write to."""
        found = []
        for line in self.lines("disks"):
            *numbers, path = line.split(None, 4)
            size, free, inodes, left = (int(n) if n.isdigit() else 0 for n in numbers)
            found.append(Disk(path, size, free, inodes, left))
        return found

    def biggest(self, path: str) -> str:
        """Describe our largest folders on a file system; "" if none was measured."""
        lines = (line.split(None, 2) for line in self.lines("biggest"))
        rows = (row for row in lines if len(row) == 3 and row[0].isdigit())
        found = [f"{decimal(int(kb) * 1024)} in {one}" for kb, where, one in rows if where == path]
        return f"; largest: {', '.join(found[:2])}" if found else ""

    @cached_property
    def failed(self) -> tuple[str, str] | None:
        """The first check of `verify` that failed, and its detail."""
        rows = (line.split("|", 4) for line in self.lines("proof") if line.count("|") >= 4)
        return next(((check, detail) for _, check, how, _, detail in rows if how != "ok"), None)

    @cached_property
    def last_words(self) -> str:
        """The last line of the unit's journal, without systemd's routine messages."""
        return next((w for w in reversed(self.lines("journal")) if not CHATTER.match(w)), "")

    @cached_property
    def site(self) -> nginx_config.Site | None:
        """The site that serves a kernel's websocket; None if the configuration is unreadable."""
        text, settings = "\n".join(self.said.get("site", [])), self.settings
        if not text.strip():
            return None
        path = f"{settings.base_path}/api/kernels/1/channels"
        return nginx_config.site(text, settings.url_name, settings.entrance, path)

    @cached_property
    def certificate(self):
        """The certificate that Nginx serves; None without one."""
        return parsed(unpacked("".join(self.lines("certificate"))))

    @cached_property
    def listening(self) -> dict[int, str]:
        """Port -> the program that listens on it, "" if its name was not shown."""
        found = {}
        for line in self.lines("listening"):
            port = re.search(r":(\d+)\s", line)
            program = re.search(r'\(\("([^"]+)"', line)
            if port:
                found[int(port[1])] = program[1] if program else ""
        return found

    @cached_property
    def arrived(self) -> dict[int, Arrival]:
        """Number of a probe -> how it arrived."""
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
    def fronts(self) -> list[tuple[Probe, Arrival]]:
        """Other hosts that forwarded a probe to this server, and how it arrived."""
        there = ((probe, self.arrived.get(probe.number)) for probe in self.probes)
        return [(d, a) for d, a in there if a and d.named and d.address not in self.own]

    @property
    def serving(self) -> bool:
        """True if Nginx listens on the port that people use."""
        program = self.listening.get(self.settings.entrance)
        return program is not None and program in ("nginx", "")
