"""Progress of a transfer: one line on a terminal, a fleet's row, a line now and then in a pipe."""

from __future__ import annotations

import contextlib
import sys
import time

from .console import SINK, say

EVERY = 10  # seconds between two lines


def size(count: float) -> str:
    """Return a number of bytes in units of 1000, such as `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000


class Meter:
    """A counter of bytes that shows the progress."""

    def __init__(self, what: str):
        self.what, self.count, self.began = what, 0, time.monotonic()
        self.told = self.began

    def add(self, count: int) -> None:
        """Count more bytes; show the progress when the last time is long enough ago."""
        self.count += count
        now = time.monotonic()
        if now - self.told >= self.pause:
            self.told = now
            self.show()

    pause = EVERY

    @property
    def line(self) -> str:
        """The progress as text: size and speed."""
        seconds = max(time.monotonic() - self.began, 0.001)
        return f"{self.what}: {size(self.count)}, {size(self.count / seconds)}/s"

    def show(self) -> None:
        """Show the progress."""
        SINK.get().step(self.line)
        say(f"  {self.line}", routine=True)


class Live(Meter):
    """A meter on a terminal: one line, which is erased at the end."""

    pause = 0.2

    def show(self) -> None:
        sys.stderr.write(f"\r  {self.line}\x1b[K")
        sys.stderr.flush()


@contextlib.contextmanager
def meter(what: str):
    """Yield the meter that fits the output."""
    live = SINK.get().alone and sys.stdout.isatty() and sys.stderr.isatty()
    made = (Live if live else Meter)(what)
    try:
        yield made
    finally:
        if live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
