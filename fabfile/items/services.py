"""Units that run with the current files, and the ports that they need."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from ..script import call, look, quote
from .base import SYSTEM, Change, Item
from .runtime import Live

RUNNING = ("running", "waiting", "listening")  # a timer waits, a socket listens
WRITTEN = re.compile(r"written=(-?[0-9]+\.[0-9]+) (.+)")


@dataclass(frozen=True)
class UnitState:
    """The state of a unit.

    :param properties: as systemd names them.
    :param written: when its files were written, in seconds since 1970, with their paths.
    :param socket: the state of the socket that starts it, if one does.
    """

    properties: dict[str, str]
    written: list[tuple[float, str]]
    socket: UnitState | None = None

    @property
    def rests(self) -> bool:
        """True if it is stopped, or stops now."""
        return self.properties.get("ActiveState") in ("inactive", "deactivating")


@dataclass(frozen=True, kw_only=True)
class Service(Item):
    """A unit that is enabled, runs, and has read the current files.

    :param reads: paths (`*` allowed): when one is newer than the process, `fix` is run.
    :param fix: the shell that checks and (re)starts or reloads it.
    :param since: the systemd property that says when it last read its files.
    :param kernels: reads the kernels that end with it, if it has any.
    """

    unit: str
    reads: tuple[str, ...]
    fix: str
    verb: str = "start"
    since: str = "ExecMainStartTimestamp"
    kernels: Live | None = None

    @property
    def places(self):
        return self.reads

    @property
    def units(self):
        return (self.unit,)

    def read(self) -> str:
        return look("show_service", self.unit, *self.reads)

    def parse(self, lines) -> UnitState:
        properties = dict(line.split("=", 1) for line in lines if "=" in line)
        written = filter(None, map(WRITTEN.fullmatch, lines))
        return UnitState(properties, [(float(row[1]), row[2]) for row in written])

    def compare(self, state, touched):
        told = state.properties
        running = told.get("ActiveState") == "active" and told.get("SubState") in RUNNING
        began = moment(told.get(self.since, ""))
        newer = [path for seconds, path in state.written if seconds > began]
        if not running:
            say = f"start {self.unit}"
        elif touched & {self.unit, *self.reads}:
            say = f"{self.verb} {self.unit}: its files have changed"
        elif newer:
            say = f"{self.verb} {self.unit}: {newer[0]} is newer than the running process"
        elif told.get("UnitFileState") != "enabled":
            fix = call("enable_unit", self.unit)
            return Change(f"enable {self.unit}", fix, needs=self.needs)
        elif told.get("NeedDaemonReload") == "yes":
            say = f"{self.verb} {self.unit}: its unit file has changed"
        else:
            return None
        ends = self.kernels if running else None
        fix = self.in_time() + self.fix
        return Change(say, fix, (self.unit,), needs=self.needs, ends=ends)

    def in_time(self) -> str:
        """Return the calls that set to now what lies in the future, and so would stay newer."""
        roots = [path for path in self.reads if path.startswith(SYSTEM)]
        others = [path for path in self.reads if path not in roots]
        calls = {"root": roots, "user": others}
        words = {who: " ".join(map(quote, paths)) for who, paths in calls.items() if paths}
        return "".join(call("bring_to_now", *pair) + "\n" for pair in words.items())


@dataclass(frozen=True, kw_only=True)
class Sleeper(Service):
    """A unit that its socket starts on the first request; it may run or be stopped.

    :param socket: the unit of that socket, which must always listen; one `fix` serves both.
    """

    socket: Service

    @property
    def units(self):
        return self.unit, self.socket.unit

    def read(self) -> str:
        return f"{super().read()}\necho socket\n{self.socket.read()}"

    def parse(self, lines) -> UnitState:
        at = lines.index("socket") if "socket" in lines else len(lines)
        return replace(super().parse(lines[:at]), socket=self.socket.parse(lines[at + 1 :]))

    def compare(self, state, touched):
        mended = self.socket.compare(state.socket, touched)
        if mended:
            ends = None if state.rests or not mended.shell.endswith(self.fix) else self.kernels
            return replace(mended, touches=(self.unit, self.socket.unit), ends=ends)
        told = state.properties
        new = touched & {self.unit, *self.reads} or told.get("NeedDaemonReload") == "yes"
        if told.get("UnitFileState") == "enabled" and not new:  # it would start at every boot
            fix = call("systemctl", "disable", "-q", "--", self.unit)
            return Change(f"disable {self.unit} at boot: its socket starts it", fix)
        if state.rests and not new:
            return None
        enabled = told | {"UnitFileState": "enabled"}  # its socket is: it must not be itself
        return super().compare(replace(state, properties=enabled), touched)

    def shown(self, state):
        return "asleep: the next request wakes JupyterLab" if state.rests else ""


@dataclass(frozen=True, kw_only=True)
class ServerExtensions(Item):
    """The server halves of JupyterLab's extensions, which it loads when it starts.

    :param folder: contains a JSON file for each.
    """

    unit: str
    folder: str
    theirs = True

    @property
    def units(self):
        return (self.unit,)

    def read(self) -> str:
        return look("show_service", self.unit, self.folder, f"{self.folder}/*.json")

    def parse(self, lines) -> tuple[set[str], bool]:
        """Return their names, and whether JupyterLab has been running since before the last one."""
        state = Service(unit=self.unit, reads=(), fix="").parse(lines)
        names = {PurePosixPath(path).stem for _, path in state.written if path.endswith(".json")}
        began = moment(state.properties.get("ExecMainStartTimestamp", ""))
        newer = any(seconds > began for seconds, _ in state.written)
        return names, newer and state.properties.get("ActiveState") == "active"


def moment(text: str) -> float:
    """Turn systemd's `Mon 2026-01-05 10:00:00.123456 UTC` into seconds since 1970; 0 if unset."""
    words = text.split()
    if len(words) != 4:
        return 0.0
    fraction = "%H:%M:%S.%f" if "." in words[2] else "%H:%M:%S"
    parsed = datetime.strptime(f"{words[1]} {words[2]}", f"%Y-%m-%d {fraction}")
    return parsed.replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, kw_only=True)
class Port(Item):
    """A TCP port that is free or already the unit's, which is checked when the unit starts.

    It follows its Service in the list, to see that start; the check itself runs before all changes.
    """

    port: int
    unit: str

    def read(self) -> str:
        return look("show_listener", str(self.port))

    def compare(self, state, touched):
        if state != "taken" or self.unit not in touched:
            return None
        fix = call("refuse_port", self.port, self.unit)
        return Change(f"check that port {self.port} is free", fix, check=True)
