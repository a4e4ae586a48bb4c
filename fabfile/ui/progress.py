"""How much has come or gone: a bar on a terminal, a fleet's row, now and then a line in a pipe."""

from __future__ import annotations

import contextlib
import sys
import time

from .console import SINK, say

EVERY = 10  # seconds between two lines


def size(count: float) -> str:
    """Say a number of bytes as people do."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000


class Meter:
    """Counts bytes, and tells how far it is."""

    def __init__(self, what: str):
        self.what, self.count, self.began = what, 0, time.monotonic()
        self.told = self.began

    def add(self, count: int) -> None:
        """So many more."""
        self.count += count
        now = time.monotonic()
        if now - self.told >= self.pause:
            self.told = now
            self.show()

    pause = EVERY

    @property
    def line(self) -> str:
        """How far it is."""
        seconds = max(time.monotonic() - self.began, 0.001)
        return f"{self.what}: {size(self.count)}, {size(self.count / seconds)}/s"

    def show(self) -> None:
        """Tell it."""
        SINK.get().step(self.line)
        say(f"  {self.line}", routine=True)


class Live(Meter):
    """The same on a terminal, in a line that goes when it is done."""

    pause = 0.2

    def show(self) -> None:
        sys.stderr.write(f"\r  {self.line}\x1b[K")
        sys.stderr.flush()


@contextlib.contextmanager
def meter(what: str):
    """Give a Meter, as it fits where the lines go."""
    live = SINK.get().alone and sys.stdout.isatty() and sys.stderr.isatty()
    made = (Live if live else Meter)(what)
    try:
        yield made
    finally:
        if live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
