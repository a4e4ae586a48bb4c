"""Backups on this machine: their names, their checksums, and how many are kept.

Beside each backup is NAME.sha256, in the format of sha256sum.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

from ..settings.names import FIRST, Instance

NAME = re.compile(r"jupyterlab-(\d{4}-\d\d-\d\dT\d{6}Z)\.tar\.zst")
PIECE = 1 << 20


def folder_of(to: str, host: str, port: int, whose: Instance) -> Path:
    """Return the folder on this machine for the backups of one JupyterLab on a host."""
    name = re.sub(r"[^\w.-]", "_", host if port == 22 else f"{host}-{port}")
    name += "" if whose.called == FIRST else f"-{whose.called}"
    return Path(to).expanduser() / (name.lstrip(".") or "_")


def new_name() -> str:
    """Return the name of a backup that is made now."""
    return time.strftime("jupyterlab-%Y-%m-%dT%H%M%SZ.tar.zst", time.gmtime())


def found(folder: Path) -> list[Path]:
    """Return the backups in a folder, the newest first."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in there if NAME.fullmatch(path.name)), reverse=True)


def beside(path: Path) -> Path:
    """Return the path of the file with its checksum."""
    return path.with_name(f"{path.name}.sha256")


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def sound(path: Path) -> bool:
    """Check whether a backup matches the checksum beside it."""
    try:
        written = beside(path).read_text().split()[:1]
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except (OSError, UnicodeDecodeError):
        return False
    return written == [digest.hexdigest()]


def prune(folder: Path, keep: int) -> list[Path]:
    """Remove the backups that are older than the newest `keep` sound ones; return the removed."""
    there, gone = 0, []
    for path in found(folder):
        if there >= keep:
            path.unlink()
            beside(path).unlink(missing_ok=True)
            gone.append(path)
        else:
            there += sound(path)
    for part in folder.glob("jupyterlab-*.part"):  # left by a run that was killed
        if time.time() - part.stat().st_mtime > 3600:
            part.unlink()
    return gone
