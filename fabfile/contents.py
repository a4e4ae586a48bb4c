"""What is in a backup, and whether it is whole and one of ours.

It is a tar through zstd: first what is root's (manifest, lock.txt, locks/ of further kernels,
nginx/, letsencrypt/), then what is the user's (jupyter/, kernels/, cookie_secret, project/);
templates/backup.sh writes it.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from invoke import Exit

from .archives import PIECE, beside, pieces

FORMAT = "1"
ROOTS = re.compile(
    r"manifest|lock\.txt|locks/[\w.-]+\.txt|nginx/[\w.-]+\.(pem|key)"
    r"|letsencrypt/(renewal/jupyterlab[a-z0-9-]*-fab\.conf"
    r"|archive/jupyterlab[a-z0-9-]*-fab/(cert|chain|fullchain|privkey)\d+\.pem"
    r"|accounts/([\w.-]+/)+(meta|private_key|regr)\.json)"
)
USERS = re.compile(r"(project|jupyter|kernels)(/.*)?|cookie_secret", re.DOTALL)
VERSION = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.!+-]+")
DAMAGED = "{}: not a whole backup ({}): nothing was touched; take another one"


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
    """The manifest's lines, as key and value."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def version(path: Path) -> str:
    """The version of JupyterLab in it, from its beginning; nothing when it cannot be read."""
    import zstandard

    try:
        with tarfile.open(fileobj=Unpacked(path), mode="r|") as archive:
            first = archive.next()
            text = archive.extractfile(first).read(PIECE).decode()
    except (OSError, EOFError, ValueError, AttributeError, tarfile.TarError, zstandard.ZstdError):
        return ""
    return facts_in(text).get("jupyterlab", "")


def refuse_member(member: tarfile.TarInfo, users: bool) -> None:
    """Refuse what a backup of ours does not have.

    :param users: whether something of the user's came before.
    """
    name = member.name
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"it names {name}")
    if USERS.fullmatch(name):
        if not (
            member.isreg() or member.isdir() or member.issym() or member.islnk() or member.isfifo()
        ):
            raise ValueError(f"{name} is no file, folder or link")
    elif users or not member.isreg() or not ROOTS.fullmatch(name):
        raise ValueError(f"{name} does not belong there")


def examine(path: Path, told: Callable[[int], None] = lambda count: None) -> Backup:
    """Look through the whole of it.

    :param told: is told each number of bytes that were read.
    :raises Exit: when it is damaged, cut off, or holds what no backup of ours does.
    """
    import zstandard

    stream = Unpacked(path, told)
    texts, room, users = {}, 0, False
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # it would remember them all
                refuse_member(member, users)
                users = users or bool(USERS.fullmatch(member.name))
                room += member.size + 4096
                if member.name in ("manifest", "lock.txt") and member.size < PIECE:
                    texts[member.name] = archive.extractfile(member).read().decode()
        digest = stream.finish()
        facts = facts_in(texts["manifest"])
        lines = texts["lock.txt"].splitlines()
    except KeyError as missing:
        raise Exit(DAMAGED.format(path, f"it has no {missing.args[0]}")) from None
    except OSError as problem:
        raise Exit(f"{path}: {problem.strerror or problem}") from None
    except (EOFError, ValueError, tarfile.TarError, zstandard.ZstdError) as problem:
        raise Exit(DAMAGED.format(path, problem)) from None
    if beside(path).exists() and beside(path).read_text(errors="replace").split()[:1] != [digest]:
        raise Exit(DAMAGED.format(path, f"its checksum is not that in {beside(path).name}"))
    if facts.get("format") != FORMAT:
        raise Exit(f"{path}: of format {facts.get('format')}, and this program reads {FORMAT}: "
                   "use the version that made it")  # fmt: skip
    lock = tuple(line for line in lines if VERSION.fullmatch(line))
    elsewhere = tuple(line[2:] for line in lines if line.startswith("# "))
    return Backup(path, digest, facts, lock, elsewhere, room)
