"""Progress of a transfer: a row on a terminal, a fleet's row, a line now and then in a pipe."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

from rich.filesize import decimal

from .console import SINK, running_rows, say

EVERY = 10  # seconds between two lines


@contextlib.contextmanager
def meter(what: str, total: int | None = None):
    """Yield a function that takes each number of bytes that went through, and shows the progress.

    :param total: the sum of them, if it is known.
    """
    if not (SINK.get().owns_terminal and sys.stdout.isatty() and sys.stderr.isatty()):
        yield lines(what, total)
        return
    from rich.progress import DownloadColumn, FileSizeColumn, TransferSpeedColumn

    size = DownloadColumn() if total else FileSizeColumn()
    rows = running_rows(size, TransferSpeedColumn())
    row = rows.add_task(what, total=total)

    def add(count: int) -> None:
        rows.start()  # not before the first bytes: sudo may ask for its password
        rows.advance(row, count)

    try:
        yield add
    finally:
        rows.stop()


def lines(what: str, total: int | None) -> Callable[[int], None]:
    """Return a function that counts bytes, and says now and then how many there were."""
    count, began = 0, time.monotonic()
    told, of = began, f" of {decimal(total)}" if total else ""

    def add(more: int) -> None:
        nonlocal count, told
        count, now = count + more, time.monotonic()
        if now - told >= EVERY:
            told = now
            speed = decimal(int(count / (now - began)))
            say(f"  {what}: {decimal(count)}{of}, {speed}/s", routine=True)

    return add
