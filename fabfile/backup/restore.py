"""A backup put back, onto the same host or a bare one: notebooks, configuration, login, sessions,
certificates, and the same packages in JupyterLab's venv.

It is looked through before anything is touched, here and there; what stood in its place stands
beside it afterwards, as NAME.before-DATE. Then `full` does the rest, and proves it.
"""

from __future__ import annotations

import itertools
import secrets
from pathlib import Path

import msgspec
from fabric import Connection
from invoke import Exit

from .. import deps, full, jupyter
from ..engine import hints
from ..engine.actions import carry_out
from ..engine.converge import converge, look
from ..engine.host import Host
from ..engine.task import task
from ..items import Change, Item, Packages, Venv, below, call, canonical
from ..python import minimum_versions, requirements
from ..render import shell
from ..settings import Settings, load
from ..ssh import channel
from ..ssh.errors import name_of
from ..ui import console
from ..ui.progress import meter, size
from . import archives, backup, validate
from .validate import Backup


def pinned(settings: Settings, lock: tuple[str, ...]) -> tuple[Settings, list[str]]:
    """The settings with the versions of the lock, and the requirements that these do not fit.

    The floors count more than the lock: what is below one has a known hole.
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
    """What a restore needs on the server: Python looks through the backup."""
    return [Packages(step="restore", names=("zstd", "python3"))]


def chosen_here(file: str, folder: Path, settings: Settings) -> Backup:
    """The backup that is meant, looked through to its end."""
    path = Path(file).expanduser()
    if file == "latest":
        path = next(iter(archives.found(folder)), None)
        if path is None:
            raise Exit(f"there is no backup in {folder}: name a file, or make one by fab backup")
    if not path.is_file():
        raise Exit(f"{path}: no such file; fab backup --list shows the backups")
    with meter("checking") as told:
        return validate.examine(path, told.add, settings)


def chosen_there(c: Connection, settings: Settings, host: Host, name: str) -> Backup:
    """The same of one on the server, which looks through it once more later."""
    rows = list(channel.apply(c, backup.script(settings, host, "list"), host.root))
    names = [row.split("|")[1] for row in rows if row.startswith("archive|")]
    names = list(filter(archives.NAME.fullmatch, names))
    if name == "latest" and names:
        name = names[0]
    if name not in names:
        raise Exit(f"{settings.archives} on the server has no {name}: fab -H {name_of(c)} "
                   "backup --list shows what there is")  # fmt: skip
    lines = list(channel.apply(c, backup.script(settings, host, f"show {name}"), host.root))[1:]
    refused = [line for line in lines if line.startswith("refused: ")]
    if refused:
        raise Exit(f"{name_of(c)}: {refused[0].removeprefix('refused: ')}: nothing was touched")
    manifest = list(itertools.takewhile(lambda line: "=" in line and "==" not in line, lines))
    facts = validate.facts_in("\n".join(manifest))
    lock, elsewhere = validate.locked("\n".join(lines[len(manifest) :]))
    return Backup(Path(settings.archives) / name, "", facts, lock, elsewhere, 0)


def send(c: Connection, settings: Settings, host: Host, chosen: Backup) -> str:
    """Bring it to the server; give its path there.

    :raises Exit: when it did not arrive whole.
    """
    count = chosen.path.stat().st_size
    name = f"{chosen.sum}-{secrets.token_hex(4)}"  # another run's may be on its way, too
    taking = call("receive", count, chosen.sum, name)
    functions = shell("lib/places") + shell("lib/restore")
    script = f"instance={host.instance}\n{functions}{taking}\n"
    with meter("sending") as told:

        def source():
            for piece in archives.pieces(chosen.path):
                yield piece
                told.add(len(piece))

        try:
            words = list(channel.apply(c, script, host.root, source=source()))
        except KeyboardInterrupt:
            raise Exit("stopped: nothing was touched", 130) from None
    if words[-1:] != ["received"]:
        raise Exit(hints.explain("send the backup", words or ["cut off"], backup.Silent(),
                                    name_of(c)))  # fmt: skip
    return f"{settings.instance.backups}/incoming/{name}"


def tell(c: Connection, chosen: Backup, settings: Settings, host: Host, odd: list[str]) -> None:
    """Say what this is a backup of, and where that differs from what will be."""
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
            console.say(f"  note          its {what} was {then}; here it is {now}")
    for text in odd:
        console.say(f"  note          its versions do not fit {text} of lab.packages, which comes "
                   "after them")  # fmt: skip
    for text in chosen.elsewhere:
        console.say(f"  note          {text} came from no package index: install it by hand")


def steps(chosen: Backup, path: str, settings: Settings, host: Host) -> list[Change]:
    """What is done on the server."""
    project, name = host.under(settings.project), chosen.path.name
    words = path, host.user, host.home, project
    return [
        Change(f"check {name}", call("check_backup", path, settings.acme_server)),
        Change("unpack it beside what is there", call("unpack_archive", *words)),
        Change(
            f"put it in place of {project}, ~/.jupyter and the certificates",
            call("place_archive", *words, host.under(jupyter.cookie_secret(settings, host))),
        ),
    ]


@task
def restore(c, file, there=False, to="backups"):
    """Put a backup back, onto the same host or a bare one.

    Afterwards there are the same notebooks, packages, password, token and sessions; what stood
    there stands beside them, as NAME.before-DATE.

    :param file: a backup on this machine, or `latest`: the newest of this host in backups/HOST.
    :param there: it is one on the server, in lab.backup_folder: its name, or `latest`.
    :param to: the folder on this machine where the backups are.
    """
    settings = load(c.config)
    folder = archives.folder_of(to, c.original_host, c.port, settings.instance)
    chosen = None if there else chosen_here(file, folder, settings)
    dry = c.config.run.dry
    host = look(c, settings, (tools,))[0] if dry else backup.ready(c, settings, tools)
    chosen = chosen or chosen_there(c, settings, host, file)
    with_lock, odd = pinned(settings, chosen.lock)
    tell(c, chosen, settings, host, odd)
    if dry or there:
        path = str(chosen.path)
    else:
        console.SINK.get().step("sending")
        path = send(c, settings, host, chosen)
        console.say(f"  sent          {size(chosen.path.stat().st_size)}", routine=True)
    carry_out(c, host, *steps(chosen, path, settings, host), whenever=True)
    try:
        converge(c, deps.items, jupyter.items, chosen=with_lock)
    except Exit as problem:  # another Python, or a version that the index has no more
        console.say(f"  note          its exact versions cannot be had: {problem.message}")
        console.say("  note          the newest that fit take their place")
    full.full(c)
