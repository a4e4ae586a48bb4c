"""The contents of a backup, and the check that it is whole and has nothing foreign in it.

A backup is a tar file compressed by zstd: first the files of root (manifest, lock.txt, locks/ of
further kernels, nginx/, letsencrypt/), then those of the user (jupyter/, kernels/, cookie_secret,
project/). templates/files/backup/backup.sh writes it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from invoke import Exit

from ..render import TEMPLATES
from ..settings import Settings
from .archives import PIECE, beside, pieces

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*==[A-Za-z0-9_.!+-]+")
LOCK_SIZE = 1 << 20
DAMAGED = "{}: not a whole backup ({}): nothing was touched; choose another one"


def reader():
    """Return the module archive_rules.py, which also runs on the server and reads backups there."""
    path = TEMPLATES / "python" / "archive_rules.py"
    spec = importlib.util.spec_from_file_location("fabfile.archive_rules", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


rules = reader()


@dataclass(frozen=True)
class Backup:
    """A backup that was checked to its end, and is whole.

    :param facts: the manifest.
    :param lock: `name==version` of each package in the venv.
    :param elsewhere: those that are from no package index.
    :param room: bytes that it needs when unpacked.
    """

    path: Path
    sum: str
    facts: dict[str, str]
    lock: tuple[str, ...]
    elsewhere: tuple[str, ...]
    room: int


def slices(piece: bytes) -> Iterator[bytes]:
    """Yield slices of 1024 bytes: a single compressed byte may become 32 kB of zeros."""
    return (piece[at : at + 1024] for at in range(0, len(piece), 1024))


class Unpacked:
    """A reader of a zstd archive that needs little memory and checks the end of the file."""

    def __init__(self, path: Path, told: Callable[[int], None] = lambda count: None):
        import zstandard

        self.told, self.digest = told, hashlib.sha256()
        self.source = (s for piece in self.hashed(path) for s in slices(piece))
        self.one = zstandard.ZstdDecompressor().decompressobj()
        self.buffer = bytearray()

    def hashed(self, path: Path) -> Iterator[bytes]:
        """Yield the bytes of the file, and add each to the checksum."""
        for piece in pieces(path):
            self.digest.update(piece)
            self.told(len(piece))
            yield piece

    def read(self, size: int) -> bytes:
        while len(self.buffer) < size and (piece := next(self.source, None)):
            if self.one.eof:
                raise EOFError("data follows its end")
            self.buffer += self.one.decompress(piece)
            if self.one.unused_data:
                raise EOFError("data follows its end")
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def finish(self) -> str:
        """Read to the end, and return the checksum of the whole file."""
        while self.read(PIECE):
            pass
        if not self.one.eof:
            raise EOFError("its end is missing")
        return self.digest.hexdigest()


def facts_in(text: str) -> dict[str, str]:
    """Return the keys and values of a manifest; nothing for one that `backup` cannot have made."""
    try:
        return rules.facts(text.encode())
    except rules.Refused:
        return {}


def locked(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the `name==version` lines of a lock, and those of packages from no package index."""
    lines = text.split("\n")
    lock = tuple(line for line in lines if VERSION.fullmatch(line))
    elsewhere = (line[2:] for line in lines if line.startswith("# "))
    return lock, tuple(line for line in elsewhere if VERSION.fullmatch(line))


def version(path: Path) -> str:
    """Return the version of JupyterLab in a backup, from its beginning; "" if it is unreadable."""
    import zstandard

    try:
        tar = rules.Tar(Unpacked(path).read)
        first = next(tar.members())
        told = rules.facts(tar.content(first, LOCK_SIZE)) if first.name == "manifest" else {}
    except (OSError, EOFError, ValueError, StopIteration, zstandard.ZstdError):
        return ""
    return told.get("jupyterlab", "")


def examine(
    path: Path, told: Callable[[int], None] = lambda count: None, settings: Settings | None = None
) -> Backup:
    """Check a backup to its end.

    :param told: called with each number of bytes that were read.
    :param settings: those of the JupyterLab that it will replace.
    :raises Exit: when it is damaged, cut off, or has members that `backup` never writes.
    """
    import zstandard

    settings = settings or Settings()
    stream = Unpacked(path, told)
    try:
        found = rules.examine(stream.read, settings.instance.called, settings.acme_server)
        digest = stream.finish()
    except OSError as problem:
        raise Exit(f"{path}: {problem.strerror or problem}") from None
    except (EOFError, ValueError, zstandard.ZstdError) as problem:
        raise Exit(DAMAGED.format(path, rules.shown(problem))) from None
    if beside(path).exists() and beside(path).read_text(errors="replace").split()[:1] != [digest]:
        raise Exit(DAMAGED.format(path, f"its checksum differs from {beside(path).name}"))
    lock, elsewhere = locked(found.files["lock.txt"].decode(errors="replace"))
    facts = rules.facts(found.files["manifest"])
    return Backup(path, digest, facts, lock, elsewhere, found.room)
