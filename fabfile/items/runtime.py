"""The running JupyterLab, its kernels and the disk: only read, never changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from ..render import program
from ..script import here, look
from ..settings.names import Endpoint
from .base import Item

# A server may report any number; these can be shown.
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Percent = Annotated[float, msgspec.Meta(ge=0, lt=1e9)]
Moment = Annotated[float, msgspec.Meta(ge=0, lt=2**33)]  # seconds since 1970: until the year 2242
Since = Annotated[datetime, msgspec.Meta(tz=True)]


class Use(msgspec.Struct):
    """The use of some processes: memory in bytes, and percent of one processor."""

    memory: Count
    cpu: Percent


class Unit(msgspec.Struct):
    """The use of the whole unit, as systemd counts it, with its limit."""

    memory: Count | None
    memory_limit: Count | None
    cpu: Percent | None
    tasks: Count | None


class Running(Use, kw_only=True):
    """A kernel, as JupyterLab reports it; a notebook may have written any of its strings."""

    id: str
    name: str
    notebook: str | None
    state: str | None
    since: Since | None


class Told(msgspec.Struct):
    """The JSON that status.py prints."""

    now: Moment
    service: Unit
    server: Use | None
    kernels: list[Running] | None
    terminals: Count | None
    newest: dict[str, str | None]


DISK = re.compile(r"\s*([0-9]{1,18})\s+([0-9]{1,18})\s+(\S.*)")  # free, total, path
# Created at import: msgspec crashes when several threads are the first to decode into one class.
TOLD = msgspec.json.Decoder(Told)


@dataclass(frozen=True, kw_only=True)
class Live(Item):
    """The running JupyterLab, its kernels, and the disk, as the server's Python reports them.

    :param endpoint: where it listens.
    :param token: the file with the token for JupyterLab's API.
    :param what: `kernels` alone; `use`, also what they and the server use, which takes half a
        second; or `newest`, also the newest versions in the package index.
    """

    endpoint: Endpoint
    unit: str
    token: str
    project: str
    venv: str
    what: str = "kernels"
    theirs = True

    def read(self) -> str:
        told = str(self.endpoint), self.unit, self.token, self.venv
        asked = f"{look('show_live', *told, self.what)} {here(program('status'))}"
        return f"{look('show_disk', self.project)}\n{asked}"

    def parse(self, lines) -> dict:
        """Return Told, as far as there is a Python that tells, and `disk`: its path and bytes."""
        space = DISK.fullmatch(lines[0]) if lines else None
        disk = space and {"path": space[3], "free": int(space[1]), "total": int(space[2])}
        answer = next((line for line in lines[1:] if line.startswith("{")), "")
        try:
            return {"disk": disk} | msgspec.to_builtins(TOLD.decode(answer))
        except (msgspec.DecodeError, RecursionError):
            return {"disk": disk}
