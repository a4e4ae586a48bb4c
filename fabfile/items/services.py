"""Units that run with the current files, and the ports that they need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..script import call, look
from .base import Change, Item

RUNNING = ("running", "waiting", "listening")  # a timer waits, a socket listens


@dataclass(frozen=True, kw_only=True)
class Service(Item):
    """A unit that is enabled, runs, and has read the current files.

    :param reads: paths (`*` allowed): when one is newer than the process, `fix` is run.
    :param fix: the shell that checks and (re)starts or reloads it.
    :param since: the systemd property that says when it last read its files.
    """

    unit: str
    reads: tuple[str, ...]
    fix: str
    verb: str = "start"
    since: str = "ExecMainStartTimestamp"

    @property
    def places(self):
        return self.reads

    @property
    def units(self) -> tuple[str, ...]:
        """The units that `ask_systemd` gets, once for all items."""
        return (self.unit,)

    def read(self) -> str:
        return look("show_service", self.unit, *self.reads)

    def compare(self, lines, touched):
        state = dict(line.split("=", 1) for line in lines if "=" in line)
        running = state.get("ActiveState") == "active" and state.get("SubState") in RUNNING
        began = moment(state.get(self.since, ""))
        written = [line[8:].split(" ", 1) for line in lines if line.startswith("written=")]
        newer = [path for seconds, path in written if float(seconds) > began]
        if not running:
            say = f"start {self.unit}"
        elif touched & {self.unit, *self.reads}:
            say = f"{self.verb} {self.unit}: its files have changed"
        elif newer:
            say = f"{self.verb} {self.unit}: {newer[0]} is newer than the running process"
        elif state.get("UnitFileState") != "enabled":
            fix = call("enable_unit", self.unit)
            return Change(f"enable {self.unit}", fix, needs=self.needs)
        elif state.get("NeedDaemonReload") == "yes":
            say = f"{self.verb} {self.unit}: its unit file has changed"
        else:
            return None
        return Change(say, self.fix, (self.unit,), needs=self.needs)


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

    @staticmethod
    def rests(lines: list[str]) -> bool:
        """Check whether it is stopped, or stops now; its own lines come before its socket's."""
        state = next((line for line in lines if line.startswith("ActiveState=")), "")
        return state in ("ActiveState=inactive", "ActiveState=deactivating")

    def compare(self, lines, touched):
        at = lines.index("socket") if "socket" in lines else len(lines)
        mine, its = lines[:at], lines[at + 1 :]
        mended = self.socket.compare(its, touched)
        if mended:
            return replace(mended, touches=(self.unit, self.socket.unit))
        new = touched & {self.unit, *self.reads} or "NeedDaemonReload=yes" in mine
        if "UnitFileState=enabled" in mine and not new:  # it would start at every boot
            fix = call("systemctl", "disable", "-q", "--", self.unit)
            return Change(f"disable {self.unit} at boot: its socket starts it", fix)
        if self.rests(mine) and not new:
            return None
        return super().compare([*mine, "UnitFileState=enabled"], touched)

    def shown(self, lines):
        return "asleep: the next request wakes JupyterLab" if self.rests(lines) else ""


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

    def compare(self, lines, touched):
        if "taken" not in lines or self.unit not in touched:
            return None
        fix = call("refuse_port", self.port, self.unit)
        return Change(f"check that port {self.port} is free", fix, check=True)
