"""The task `init`: ask for what a first run needs, look at the server, and write fabric.yaml."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import msgspec
from fabric import Connection
from invoke import Exit

from ..certs import auto
from ..engine.consent import confirmed
from ..engine.converge import read
from ..engine.host import Host
from ..script import RemoteScript, call
from ..settings import DOMAIN, Settings, layers, load
from ..settings.credentials import ask
from ..ssh import channel, connection
from ..ssh.errors import clear_errors, name_of
from ..ui.command import FAB
from ..ui.console import may_ask, say

SUDO = {
    "root": "you log in as root",
    "free": "sudo needs no password",
    "password": "sudo asks for a password",
}
PORTS = 80, 443


@dataclass(frozen=True)
class Found:
    """A server, as it is before the first run.

    :param facts: those that survey.sh prints, by name.
    :param own: its addresses, with the one that SSH reached.
    """

    host: Host
    facts: dict[str, str]
    own: frozenset[str]


def init(c, user, domain, yes, full):
    path = layers.project_file()
    if path.exists():
        raise Exit(f"{path} is there already: change it there ({FAB} check shows what applies), or "
                   "move it away first")  # fmt: skip
    if not isinstance(c, Connection):
        if not may_ask():
            raise Exit(f"no host given: {FAB} -H user@server init, which writes fabric.yaml")
        c = Connection(answer("Server, as ssh takes it, such as david@1.1.1.1"), config=c.config)
    with clear_errors(c), c:
        found = look(c)
        tell(c, found)
        chosen, settings = questions(c, found, user, domain)
        later = settings.password or yes or not may_ask()
        if not later and confirmed("Set a password now? Otherwise a link with a token logs in."):
            settings = msgspec.structs.replace(settings, password=ask())
        text = as_text(c, chosen)
        say(f"\n{path}:\n\n{text}")
        if c.config.run.dry:
            return
        if may_ask() and not yes and not confirmed("Write this file?", usual=True):
            raise Exit("nothing was written")
        write(path, text)
        say(f"wrote {path}; {FAB} check shows all settings")
        if yes or (may_ask() and confirmed("Run full now?", usual=True)):
            full(c, settings, verbose=False, verify=True, yes=yes)
        else:
            say(f"next: {FAB} full")


def answer(question: str) -> str:
    """Ask a question on the terminal; the answer may be empty."""
    try:
        return input(f"{question}: ").strip()
    except EOFError:
        raise Exit("\nnothing was written") from None


def look(c: Connection) -> Found:
    """Connect, and read what the server tells before the first run.

    :raises Exit: for a server that is not supported, or has no sudo.
    """
    settings = msgspec.structs.replace(load(c.config), user="")
    connection.open_connection(c, settings)
    host = read(c, [], settings).host
    (replace(host, uid=1) if host.root else host).refuse_unfit()
    told = channel.ask(c, RemoteScript(("run/survey",), calls=call("survey", *PORTS)))
    rows = [line.partition("\t")[::2] for line in told if "\t" in line]
    own = {value for name, value in rows if name == "own"} | {connection.peer_address(c)}
    found = Found(host, dict(rows), frozenset(filter(None, own)))
    if found.facts.get("sudo") == "missing":
        raise Exit(f"{name_of(c)} has no sudo: log in as root, or install sudo there")
    return found


def tell(c: Connection, found: Found) -> None:
    """Print what was found, and who has the ports."""
    facts = found.facts
    say(
        f"{name_of(c)}: {found.host.name}, {facts.get('processors', '?')} processors, "
        f"{facts.get('memory', '?')} MB of memory; {SUDO.get(facts.get('sudo', ''), 'no sudo')}"
    )
    for port in PORTS:
        who = facts.get(f"port {port}", "")
        shared = "; other sites keep their names" if who == "nginx.service" else (
            f": stop it, or set lab.http{'s' * (port == 443)}_port to another")  # fmt: skip
        say(f"  port {port:<4}  {f'{who} listens{shared}' if who else 'free'}")
    for address in sorted(found.own):
        kind = "public" if ip_address(address).is_global else "private"
        say(f"  address    {address}, {kind}")
    for other in found.host.neighbours:
        where = f" at {other.domain}{other.path}" if other.domain else ""
        say(f"  note       {other.user or 'somebody'} has a JupyterLab here{where}")


def questions(
    c: Connection, found: Found, user: str, domain: str
) -> tuple[dict[str, tuple[str, str]], Settings]:
    """Ask for the settings that a first run needs, and put them into the connection.

    :param user: the answer to a question, if it was given as an option; so is `domain`.
    :returns: setting -> its value, and the reason for it; and the settings of this server.
    """

    def named(name: str) -> str:
        if not name:
            raise Exit("JupyterLab does not run as root: name its user, as in --user david")
        return put(c, "user", name)

    def at(name: str) -> Settings:
        put(c, "domain", name or DOMAIN)  # which stands for none
        settings = auto.decided(c, load(c.config))
        if settings.tls == "off":
            raise Exit(settings.auto)
        return settings

    chosen = {}
    if found.host.root:
        question = "User of JupyterLab, whom full creates if they are missing"
        chosen["user"] = asked(question, user, named), ""
    question = "Name that people type, such as lab.example.org; empty if there is none"
    put(c, "tls", "auto")
    settings = asked(question, domain, at)
    why = f"{settings.tls}: {settings.auto}" if settings.auto else f"{settings.tls}, as before"
    say(f"  HTTPS      {why}")
    return {**chosen, "domain": (settings.domain, ""), "tls": ("auto", why)}, settings


def asked(question: str, given: str, accept):
    """Return what `accept` makes of an answer; on a terminal, ask until it takes one.

    :param given: the answer, if it was given as an option.
    """
    while True:
        try:
            return accept(given or (answer(question) if may_ask() else ""))
        except Exit as problem:
            if given or not may_ask():
                raise
            say(f"  {problem.message}")


def put(c: Connection, name: str, value: str) -> str:
    """Put a setting into the connection, if there is a value; return the value.

    :raises Exit: when it is not accepted.
    """
    if value:
        former, c.config["lab"][name] = c.config["lab"][name], value
        try:
            load(c.config)
        except Exit:
            c.config["lab"][name] = former
            raise
    return value


def as_text(c: Connection, chosen: dict[str, tuple[str, str]]) -> str:
    """Return the text of the settings file."""
    lines = ["# Written by `fab init`. All settings: docs/settings.md", f"hosts: [{name_of(c)}]"]
    keys = [os.path.abspath(key) for key in c.config["connect_kwargs"].get("key_filename", ())]
    if keys:  # those of -i
        lines += ["connect_kwargs:", f"  key_filename: [{', '.join(keys)}]"]
    lines += ["", "lab:"]
    for name, (value, why) in chosen.items():
        lines += [f"  # {why}"] * bool(why) + [f"  {name}: {value}"]
    return "\n".join([*lines, ""])


def write(path: Path, text: str) -> None:
    """Write a new file, completely or not at all.

    :raises Exit: when it is there by now, or cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.link(name, path)  # unlike a rename, it replaces nothing
    except OSError as problem:
        raise Exit(f"{path}: {problem.strerror}: it was not written") from None
    finally:
        os.unlink(name)
