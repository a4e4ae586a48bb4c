"""What is in a backup, and whether it is whole and one of ours.

It is a tar through zstd: first what is root's (manifest, lock.txt, locks/ of further kernels,
nginx/, letsencrypt/), then what is the user's (jupyter/, kernels/, cookie_secret, project/);
templates/files/backup/backup.sh writes it.
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
DAMAGED = "{}: not a whole backup ({}): nothing was touched; take another one"


def reader():
    """The reading of a backup that the server has, too: members.py, which is sent there."""
    spec = importlib.util.spec_from_file_location(
        "fabfile.members", TEMPLATES / "python" / "members.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


members = reader()


@dataclass(frozen=True)
class Backup:
    """A backup that was looked through to its end, and is whole.

    :param facts: the manifest.
    :param lock: `name==version` of all that was in the venv.
    :param elsewhere: those that came from no index.
    :param room: bytes that it takes once unpacked.
    """

    path: Path
    sum: str
    facts: dict[str, str]
    lock: tuple[str, ...]
    elsewhere: tuple[str, ...]
    room: int


def slices(piece: bytes) -> Iterator[bytes]:
    """Small ones: a byte of zeros, compressed, may become 32 kB of them."""
    return (piece[at : at + 1024] for at in range(0, len(piece), 1024))


class Unpacked:
    """A file that reads a zstd archive: flat in memory, and sure of its end."""

    def __init__(self, path: Path, told: Callable[[int], None] = lambda count: None):
        import zstandard

        self.told, self.digest = told, hashlib.sha256()
        self.source = (s for piece in self.hashed(path) for s in slices(piece))
        self.one = zstandard.ZstdDecompressor().decompressobj()
        self.buffer = bytearray()

    def hashed(self, path: Path) -> Iterator[bytes]:
        """The file's bytes, each counted into its checksum."""
        for piece in pieces(path):
            self.digest.update(piece)
            self.told(len(piece))
            yield piece

    def read(self, size: int) -> bytes:
        while len(self.buffer) < size and (piece := next(self.source, None)):
            if self.one.eof:
                raise EOFError("something follows its end")
            self.buffer += self.one.decompress(piece)
            if self.one.unused_data:
                raise EOFError("something follows its end")
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def finish(self) -> str:
        """Read to the end and give the checksum of the whole file."""
        while self.read(PIECE):
            pass
        if not self.one.eof:
            raise EOFError("its end is missing")
        return self.digest.hexdigest()


def facts_in(text: str) -> dict[str, str]:
    """The manifest's lines, as key and value; nothing of one that is not as `backup` writes it."""
    try:
        return members.facts(text.encode())
    except members.Refused:
        return {}


def locked(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The `name==version` lines of a lock, and those of what came from no index."""
    lines = text.split("\n")
    lock = tuple(line for line in lines if VERSION.fullmatch(line))
    elsewhere = (line[2:] for line in lines if line.startswith("# "))
    return lock, tuple(line for line in elsewhere if VERSION.fullmatch(line))


def version(path: Path) -> str:
    """The version of JupyterLab in it, from its beginning; nothing when it cannot be read."""
    import zstandard

    try:
        tar = members.Tar(Unpacked(path).read)
        first = next(tar.members())
        told = members.facts(tar.content(first, LOCK_SIZE)) if first.name == "manifest" else {}
    except (OSError, EOFError, ValueError, StopIteration, zstandard.ZstdError):
        return ""
    return told.get("jupyterlab", "")


def examine(
    path: Path, told: Callable[[int], None] = lambda count: None, settings: Settings | None = None
) -> Backup:
    """Look through the whole of it.

    :param told: is told each number of bytes that were read.
    :param settings: those of the JupyterLab into whose place it goes.
    :raises Exit: when it is damaged, cut off, or holds what no backup of ours does.
    """
    import zstandard

    settings = settings or Settings()
    stream = Unpacked(path, told)
    try:
        found = members.examine(stream.read, settings.instance.called, settings.acme_server)
        digest = stream.finish()
    except OSError as problem:
        raise Exit(f"{path}: {problem.strerror or problem}") from None
    except (EOFError, ValueError, zstandard.ZstdError) as problem:
        raise Exit(DAMAGED.format(path, members.shown(problem))) from None
    if beside(path).exists() and beside(path).read_text(errors="replace").split()[:1] != [digest]:
        raise Exit(DAMAGED.format(path, f"its checksum is not that in {beside(path).name}"))
    lock, elsewhere = locked(found.files["lock.txt"].decode(errors="replace"))
    facts = members.facts(found.files["manifest"])
    return Backup(path, digest, facts, lock, elsewhere, found.room)
