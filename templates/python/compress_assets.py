"""Compress the static files of JupyterLab's pages once, so that Nginx can serve them from disk.

Only files with a hash of their content in the name are taken, as these can never be out of date.
It runs as the owner of the venv, so that a symbolic link there leads only to files that this user
can read.
"""

import contextlib
import glob
import gzip
import os
import re
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HASHED = re.compile(r"([^/]+\.)?[0-9a-f]{16,64}\.(js|css|svg|png|jpg|gif|woff2?)")
# folder in a URL -> folder in a venv
FOLDERS = {
    "static/lab": "share/jupyter/lab/static",
    "static/notebook": "lib/python3*/site-packages/notebook/static",
    "lab/extensions/{}/static": "share/jupyter/labextensions/{}/static",
}
LARGEST = 32 * 1024 * 1024
SECONDS = 60  # JupyterLab serves the files that are not done by then


def found(venv: str) -> dict[str, str]:
    """Return the files to compress: path in a URL -> file."""
    files = {}
    for address, folder in FOLDERS.items():
        for extension in ("*", "@*/*") if "{}" in folder else ("",):
            start = glob.escape(venv) + "/" + folder.format(extension)
            for path in glob.glob(start + "/*"):
                place, name = os.path.split(path)
                if HASHED.fullmatch(name):
                    own = place.rpartition("/labextensions/")[2].removesuffix("/static")
                    files[address.format(own) + "/" + name] = path
    return files


def unread(source: str, target: str) -> tuple[bytes, int]:
    """Return the content and time of a file that is not in the target yet, else nothing."""
    with contextlib.suppress(OSError):
        facts = os.stat(source)
        known = os.path.exists(target) and os.stat(target).st_mtime_ns == facts.st_mtime_ns
        if stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST and not known:
            with open(source, "rb") as file:
                return file.read(LARGEST), facts.st_mtime_ns
    return b"", 0


def compress(source: str, target: str, end: float) -> None:
    """Write a compressed copy in one step, with the time of the original, if there is none yet."""
    text, written = unread(source, target)
    if not text or time.monotonic() > end:
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target + ".new", "wb") as file:
        file.write(gzip.compress(text, 9, mtime=0))
    os.utime(target + ".new", ns=(written, written))
    os.replace(target + ".new", target)


def prune(cache: str, kept: set[str]) -> None:
    """Remove all other files and empty folders."""
    for folder, folders, names in os.walk(cache, topdown=False):
        for name in names:
            if os.path.join(folder, name) not in kept:
                os.remove(os.path.join(folder, name))
        for name in folders:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.remove(path)
            elif not os.listdir(path):
                os.rmdir(path)


def main(cache: str, venv: str, previous: str) -> None:
    """Fill the folder for one venv, and keep the files of the previous one there."""
    os.umask(0o022)
    end = time.monotonic() + SECONDS
    files = {f"{cache}/{address}.gz": source for address, source in found(venv).items()}
    prune(cache, {*files, *(f"{cache}/{address}.gz" for address in found(previous))})
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # zlib releases the interpreter's lock
        list(threads.map(lambda pair: compress(pair[1], pair[0], end), files.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
