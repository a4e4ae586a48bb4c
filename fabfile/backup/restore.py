"""Restores onto the same host or a bare one: notebooks, configuration, login, sessions,
certificates, and the same packages in JupyterLab's venv.

A backup is checked here and on the server before anything is changed. The former files stay beside
the new ones, as NAME.before-DATE. In the end `full` does the rest, and verifies it.
"""

from __future__ import annotations

import itertools
import secrets
from pathlib import Path

import msgspec
from fabric import Connection
from invoke import Exit
from rich.filesize import decimal

from .. import deps, jupyter, nginx
from ..engine import consent, hints
from ..engine.actions import carry_out, meet
from ..engine.converge import converge, look
from ..engine.host import Host, Request
from ..items import Change, Item, Packages, PathItem, Venv
from ..items.packages import below, canonical
from ..python import minimum_versions, requirements
from ..script import RemoteScript, call
from ..settings import Settings
from ..ssh import channel
from ..ssh.errors import fab_on, name_of
from ..ui import console
from ..ui.command import FAB
from ..ui.progress import meter
from . import archives, backup, validate
from .validate import Backup


def pinned(settings: Settings, lock: tuple[str, ...]) -> tuple[Settings, list[str]]:
    """Return the settings with the versions of the lock, and the requirements that do not fit them.

    The minimum versions outrank the lock: older ones have a known vulnerability.
    """
    rows = (line.partition("==") for line in lock)
    there = {canonical(name): version for name, _, version in rows}

    def lacking(*wanted: str) -> list[str]:
        return Venv(path="/", owner="", home="", requirements=wanted).lacking(there, [])

    if not lock:
        return settings, []
    old = set(map(requirements.name, below(there, minimum_versions.texts())))
    lines = tuple(line for line in lock if canonical(line.partition("==")[0]) not in old)
    asked = settings.packages + requirements.of_file(settings)
    odd = lacking(*asked)
    fitting = tuple(text for text in asked if text not in odd)
    exact = {"packages": (*fitting, *lines), "requirements": "", "lock": ""}
    return msgspec.structs.replace(settings, **exact), odd


def tools(settings: Settings, host: Host) -> list[Item]:
    """Return the packages that a restore needs on the server: Python checks the backup."""
    return [Packages(step="restore", names=("zstd", "python3"))]


def chosen_here(file: str, folder: Path, settings: Settings) -> Backup:
    """Return the chosen backup on this machine, checked to its end."""
    path = Path(file).expanduser()
    if file == "latest":
        path = next(iter(archives.found(folder)), None)
        if path is None:
            raise Exit(
                f"there is no backup in {folder}: name a file, or make one with {FAB} backup"
            )
    if not path.is_file():
        raise Exit(f"{path}: no such file; {FAB} backup --list shows the backups")
    with meter("checking", path.stat().st_size) as told:
        return validate.examine(path, told, settings)


def chosen_there(c: Connection, settings: Settings, host: Host, name: str) -> Backup:
    """Return the chosen backup on the server, which checks it again before unpacking it."""
    rows = list(channel.apply(c, backup.script(settings, host, "list"), host.root))
    names = [row.split("|")[1] for row in rows if row.startswith("archive|")]
    names = list(filter(archives.NAME.fullmatch, names))
    if name == "latest" and names:
        name = names[0]
    if name not in names:
        raise Exit(f"{settings.archives} on the server has no {name}: {fab_on(c)} "
                   "backup --list shows the backups")  # fmt: skip
    lines = list(channel.apply(c, backup.script(settings, host, f"show {name}"), host.root))
    refused = [line for line in lines if line.startswith("refused: ")]
    if refused:
        raise Exit(f"{name_of(c)}: {refused[0].removeprefix('refused: ')}: nothing was touched")
    manifest = list(itertools.takewhile(lambda line: "=" in line and "==" not in line, lines))
    facts = validate.facts_in("\n".join(manifest))
    lock, elsewhere = validate.locked("\n".join(lines[len(manifest) :]))
    return Backup(Path(settings.archives) / name, "", facts, lock, elsewhere, 0)


def send(c: Connection, settings: Settings, host: Host, chosen: Backup) -> str:
    """Send a backup to the server; return its path there.

    :raises Exit: when it did not arrive whole.
    """
    count = chosen.path.stat().st_size
    name = f"{chosen.sum}-{secrets.token_hex(4)}"  # another run may send it, too
    taking = call("receive", count, chosen.sum, name)
    files = "lib/places", "lib/restore"
    script = RemoteScript(files, {"instance": host.instance}, calls=taking)
    with meter("sending", count) as told:

        def source():
            for piece in archives.pieces(chosen.path):
                yield piece
                told(len(piece))

        try:
            words = list(channel.apply(c, script, host.root, source=source()))
        except KeyboardInterrupt:
            raise Exit("stopped: nothing was touched", 130) from None
    if words[-1:] != ["received"]:
        raise Exit(hints.explain("send the backup", words or ["cut off"], name_of(c)))
    return f"{settings.instance.backups}/incoming/{name}"


def tell(c: Connection, chosen: Backup, settings: Settings, host: Host, odd: list[str]) -> None:
    """Print what the backup is of, and where that differs from the settings."""
    facts = chosen.facts
    console.say(f"{name_of(c)}: {chosen.path.name}, made {facts.get('made', '?')} of "
               f"{facts.get('user')}@{facts.get('host')}; jupyterlab {facts.get('jupyterlab')}, "
               f"{console.count(len(chosen.lock), 'package')}")  # fmt: skip
    project = host.under(settings.project)
    for what, then, now in (
        ("domain", facts.get("domain"), settings.domain),
        ("user", facts.get("user"), host.user),
        ("project", facts.get("project"), project),
    ):
        if then != now:
            console.say(f"  note          its {what} was {then}; now it is {now}")
    for text in odd:
        console.say(f"  note          its versions do not fit {text} of lab.packages, which is "
                   "installed after them")  # fmt: skip
    for text in chosen.elsewhere:
        console.say(f"  note          {text} is from no package index: install it by hand")


def steps(chosen: Backup, path: str, settings: Settings, host: Host) -> list[Change]:
    """Return the changes on the server: check, unpack, replace."""
    project, name = host.under(settings.project), chosen.path.name
    words = path, host.user, host.home, project
    return [
        Change(f"check {name}", call("check_backup", path, settings.acme_server)),
        Change("unpack it beside the current files", call("unpack_archive", *words)),
        Change(
            f"replace {project}, ~/.jupyter and the certificates",
            call("place_archive", *words, host.under(jupyter.cookie_secret(settings, host))),
        ),
    ]


def restore(c, settings, file, there, to, yes, full, in_fleet=False):
    folder = archives.folder_of(to, c.original_host, c.port, settings.instance)
    chosen = None if there else chosen_here(file, folder, settings)
    dry = c.config.run.dry
    host = look(c, settings, (tools,))[0].host if dry else backup.ready(c, settings, tools)
    chosen = chosen or chosen_there(c, settings, host, file)
    with_lock, odd = pinned(settings, chosen.lock)
    tell(c, chosen, settings, host, odd)
    _, (running, unit) = meet(
        c, settings, [jupyter.kernels_of(settings), PathItem(path=settings.instance.unit_file)]
    )
    kernels = [] if unit.kind == "absent" else running.get("kernels")
    consent.agree(c, yes, kernels, nginx.lost(settings, host))
    if dry or there:
        path = str(chosen.path)
    else:
        console.SINK.get().step("sending")
        path = send(c, settings, host, chosen)
        console.say(f"  sent          {decimal(chosen.path.stat().st_size)}", routine=True)
    carry_out(c, host, *steps(chosen, path, settings, host), whenever=True)
    try:
        converge(c, with_lock, deps.items, jupyter.items, request=Request(yes=True))
    except Exit as problem:  # another Python, or the index lacks a version
        console.say(f"  note          its exact versions cannot be installed: {problem.message}")
        console.say("  note          the newest versions that fit are installed instead")
    full(c, settings, verbose=False, verify=True, yes=True, in_fleet=in_fleet)
