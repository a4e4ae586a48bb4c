"""Backups: notebooks, configuration, login, certificates, and the lock of the venv.

The venv itself is left out: a restore creates it from the lock. A backup is a tar file compressed
by zstd, in backups/HOST on this machine or in a folder on the server that root owns.
Owns nothing on the server but zstd and Python.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from pathlib import Path

from fabric import Connection
from invoke import Exit
from rich.filesize import decimal

from .. import jupyter
from ..engine import hints
from ..engine.converge import converge, look
from ..engine.host import Host
from ..engine.plan import Step
from ..items import Item, Needs, Packages
from ..render import file, program, shell
from ..script import assigned, here
from ..settings import Settings
from ..ssh import channel
from ..ssh.errors import name_of
from ..ui import console
from ..ui.progress import meter
from . import archives, validate
from .stream import Receiver

FULL = (errno.ENOSPC, errno.EDQUOT)


def tools(settings: Settings, host: Host) -> list[Item]:
    """Return the packages that backups need on the server."""
    return [Packages(step="backup", names=("zstd", "python3"))]


def source(settings: Settings, host: Host) -> list[Item]:
    """Return what a backup needs on the server: something to back up, and those packages."""
    return [Needs(path=host.under(jupyter.CONFIG), maker="full"), *tools(settings, host)]


def functions() -> str:
    """Return the shell functions that write backups, with the check that a restore accepts them."""
    reader = f"put_archive_rules() {{\ncat {here(program('archive_rules'))}\n}}\n"
    return shell("lib/places") + reader + file("backup/backup.sh")


def script(settings: Settings, host: Host, act: str) -> str:
    """Return the shell script that runs on the server, for these tasks and for the timer.

    :param act: a function of backup.sh, with its arguments.
    """
    values = {
        "instance": host.instance,
        "account": host.user,
        "home": host.home,
        "project": host.under(settings.project),
        "venv": host.under(settings.venv),
        "cookie": host.under(jupyter.cookie_secret(settings, host)),
        "domain": settings.domain,
        "folder": settings.archives,
        "keep": settings.backup_keep,
    }
    return f"{assigned(values)}\n{functions()}\n{act}\n"


def ready(c: Connection, settings: Settings, needed: Step = tools) -> Host:
    """Connect, and install on the server the packages that are needed."""
    seen, changes = look(c, settings, (needed,))
    if changes:
        converge(c, settings, needed)
    return seen.host


def fetch(c: Connection, settings: Settings, host: Host, folder: Path) -> None:
    """Stream a backup into a folder on this machine, whole or not at all."""
    with writable(c, folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / archives.new_name()
        part = path.with_name(f"{path.name}.part")
        try:
            with open(part, "xb", opener=private) as file, meter("backing up") as told:
                receiver = Receiver(file, told, room_for(folder))
                whole = script(settings, host, "stream")
                for _ in channel.apply(c, whole, host.root, sink=receiver):
                    pass
                digest, notes = receiver.finish()
                file.flush()
                os.fsync(file.fileno())
            archives.beside(path).write_text(f"{digest}  {path.name}\n")
            part.rename(path)
        except ValueError as problem:
            raise failed(c, [str(problem)]) from None
        except KeyboardInterrupt:
            raise Exit("stopped: no partial backup is kept", 130) from None
        finally:
            part.unlink(missing_ok=True)
        gone = archives.prune(folder, settings.backup_keep)
    tell(c, path, path.stat().st_size, notes)
    console.say(f"  note          it holds keys and the login: readers of {folder} can log in")
    for former in gone:
        console.say(f"  note          removed {former.name} (backup_keep: {settings.backup_keep})")


def room_for(folder: Path) -> int:
    """Return how many bytes a server may send: 2 % of the disk always stay free."""
    disk = shutil.disk_usage(folder)
    return disk.free - disk.total // 50


def private(path: str, flags: int) -> int:
    """Open a file that only this user may read and write."""
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def writable(c: Connection, folder: Path):
    """Raise Exit with the reason when the folder is not writable or the connection was cut."""
    try:
        yield
    except EOFError:
        raise failed(c, ["the connection was cut"]) from None
    except OSError as problem:
        if not problem.filename and problem.errno not in FULL:  # from the connection, not the disk
            raise failed(c, ["the connection was cut"]) from None
        place = problem.filename or folder
        raise Exit(f"{place}: {problem.strerror}: make room, or choose another folder with --to; "
                   "no partial backup is kept") from None  # fmt: skip


def store(c: Connection, settings: Settings, host: Host) -> None:
    """Write a backup on the server itself."""
    report, words, made = console.report(name_of(c)), [], ""
    say = f"back up into {settings.archives}"
    report.begin(0, say)
    talk = channel.apply(c, script(settings, host, "store"), host.root)
    try:
        for line in talk:
            if re.fullmatch(r"made \d{1,18} /.*", line):
                made = line[5:]
            else:
                words.append(line)
    finally:
        report.end(0, say, bool(made))
        report.stop()
    if not made:
        raise failed(c, words)
    count, _, path = made.partition(" ")
    tell(c, path, int(count), words)


def failed(c: Connection, words: list[str]) -> Exit:
    """Return the error for a backup that failed, in one line."""
    known = hints.explain("back up", words, name_of(c))
    if known.endswith(hints.UNKNOWN):
        known = f"{name_of(c)}: could not back up: {words[-1] if words else 'it was cut off'}"
    return Exit(known + "; no partial backup is kept" * ("partial backup" not in known))


def tell(c, path, count: int, notes: list[str]) -> None:
    """Print the path and size of the backup, and the notes about it."""
    console.SINK.get().changed += 1
    console.note(backup={"path": str(path), "size": count})
    for note in notes:
        console.say(f"  note          {note.removeprefix('note: ')}")
    console.say(f"{name_of(c)}: backed up: {path} ({decimal(count)})")


def listing(c: Connection, settings: Settings, host: Host, folder: Path) -> None:
    """Show the backups on this machine and on the server, the newest first."""
    rows = []
    for path in archives.found(folder):
        state = "sound" if archives.sound(path) else "damaged"
        rows.append(("here", path.name, path.stat().st_size, validate.version(path), state))
    timer = None
    for line in channel.apply(c, script(settings, host, "list"), host.root):
        kind, *words = line.split("|")
        if kind == "archive" and len(words) == 4 and re.fullmatch(r"\d{1,18}", words[1]):
            rows.append(("there", words[0], int(words[1]), words[2], words[3]))
        elif kind == "timer" and len(words) == 3:
            timer = words
    console.say(f"{name_of(c)}: {console.count(len(rows), 'backup')}; here: {folder}, "
               f"there: {settings.archives}")  # fmt: skip
    console.more("backups")  # also when there are none
    console.note(timer=None)
    for place, name, count, version, state in rows:
        one = {"where": place, "name": name, "size": count, "jupyterlab": version}
        console.more("backups", one | {"sound": state == "sound"})
        lab = f"jupyterlab {version or '?'}"
        console.say(f"  {place:<5}  {name}  {decimal(count):>9}  {lab:<18} {state}")
    if timer:
        coming, last, result = timer
        console.note(timer={"next": coming or None, "last": last or None, "result": result})
        ended = f"the last run ended {last}: {result}" if last else "it has not run yet"
        why = (
            "" if result == "success" else f"; see journalctl -u {settings.instance.called}-backup"
        )
        console.say(f"  timer  next run: {coming or 'not planned'}; {ended}{why}")


def backup(c, settings, there, to, list):
    if there and to != "backups":
        raise Exit("--there writes to lab.backup_folder on the server: leave out --to")
    folder = archives.folder_of(to, c.original_host, c.port, settings.instance)
    if list:
        listing(c, settings, look(c, settings, (tools,))[0].host, folder)
        return
    if c.config.run.dry:
        look(c, settings, (source,))
        place = settings.archives if there else folder
        console.say(f"{name_of(c)}: would back up into {place}")
        return
    host = ready(c, settings, source)
    if there:
        store(c, settings, host)
    else:
        fetch(c, settings, host, folder)
