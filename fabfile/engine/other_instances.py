"""The other JupyterLabs on a server, and the names and paths that they use: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath as Path
from typing import TYPE_CHECKING

from invoke import Exit

from ..settings.names import NICKNAME, PARTS

if TYPE_CHECKING:
    from ..settings import Settings
    from .host import Host

DEFAULT = re.compile(r"\s*listen (?:\S*:)?(\d+) .*default_server;")
SECURE = re.compile(r"\s*ssl_certificate\s.*")
PLACE = re.compile(r"# JupyterLab of (\S+) at ([^\s/]+)(/\S*?)?(, in a site that is there)?")


@dataclass(frozen=True)
class Neighbour:
    """A JupyterLab of the server, perhaps our own.

    :param shared: it is in another's site; :param secure: its own site has a certificate.
    :param default: the HTTPS port whose default its site is, as that of an address.
    """

    called: str
    user: str = ""
    domain: str = ""
    path: str = ""
    shared: bool = False
    secure: bool = False
    default: int = 0


def neighbours(lines: list[str]) -> tuple[Neighbour, ...]:
    """Parse the lines `FILE:LINE` from the units and sites of all JupyterLabs."""
    found: dict[str, dict] = {}
    for line in lines:
        file, _, text = line.partition(":")
        name = Path(file).name.removeprefix("00-")
        called = name.removesuffix(".service").removesuffix(".conf")
        if called.endswith(PARTS):
            continue
        if place := PLACE.fullmatch(text):
            user, domain, path, shared = place.groups()
            told = {"user": user, "domain": domain.lower(), "path": path or ""}
            found.setdefault(called, {}).update(told, shared=bool(shared))
        elif default := DEFAULT.fullmatch(text):
            found.setdefault(called, {})["default"] = int(default[1])
        elif SECURE.fullmatch(text):
            found.setdefault(called, {})["secure"] = True
        elif text.startswith("User="):
            user = text.removeprefix("User=").replace("%%", "%")
            found.setdefault(called, {}).setdefault("user", user)
    return tuple(Neighbour(called, **told) for called, told in found.items())


def refuse_taken(host: Host, settings: Settings) -> None:
    """Refuse a name, a user or a URL that another JupyterLab of this server has already.

    :raises Exit: with its owner, and what to choose instead.
    """
    ours, place = settings.instance.called, f"{settings.domain}{settings.base_path}"
    for other in host.neighbours:
        theirs = f"{other.user}'s {other.called}"
        if other.called == ours and other.user != host.user:
            raise Exit(f"lab.name: {ours} is {other.user}'s on this server: choose another "
                       f"for {host.user}, such as lab.name: {nickname(host.user)}")  # fmt: skip
        if other.called != ours and other.user == host.user:
            raise Exit(f"lab.name: {host.user} has {other.called} on this server, and each user "
                       f"only one: choose lab.name: {other.called}")  # fmt: skip
        if other.called == ours or other.domain != settings.domain.lower():
            continue
        if other.path == settings.base_path:
            raise Exit(f"lab.domain: {place} is {theirs} on this server: choose another name, or "
                       f"with lab.site: include another lab.base_path")  # fmt: skip
        if not other.shared and settings.site == "own":
            raise Exit(f"lab.domain: {settings.domain} is {theirs} on this server: choose another "
                       f"name, or lab.site: include for {place} in that site")  # fmt: skip


def nickname(user: str) -> str:
    """Return a name for a user's JupyterLab that lab.name accepts."""
    name = re.sub(r"[^a-z0-9-]", "-", user.lower()).strip("-0123456789")[:24].strip("-")
    return name if re.fullmatch(NICKNAME, name) else "mine"
