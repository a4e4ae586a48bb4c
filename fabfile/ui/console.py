"""What the operator sees: a line a step, the same in a pipe and on a terminal.

On a terminal a spinner shows what runs and for how long; rich draws it, imported only there.
Every line goes through the sink of its thread, so that a fleet's hosts do not mix, and is cleaned
there: what comes from a server is text, whatever it holds, and steers no terminal.
"""

from __future__ import annotations

import contextvars
import difflib
import getpass
import re
import socket
import sys
import time

# What a hand edit may have put into a file that is shown: the value after a telling name, if that
# is not the name of a file's place.
SECRETS = re.compile(
    r"(?i)((?:password|token|secret)\w{0,40}(?<!_file)['\"]?\s{0,20}[=:]\s{0,20}|argon2:).+"
)
MASKED = r"\1***"
LARGE = 100_000  # characters of a file whose changes are not looked for
WIDE = 2000  # characters of a line that are shown


class Sink:
    """Where lines go: here, straight to standard output."""

    alone = True  # one host: it may ask on the terminal, and it is this operator's own

    def __init__(self):
        self.changed = 0  # how many changes were made
        self.differs = 0  # how many would be

    def line(self, text: str, routine: bool = False) -> None:
        """Take a line.

        :param routine: one that tells only how far it is, when all goes well.
        """
        print(printable(text), flush=True)

    def data(self, text: str) -> None:
        """Take a line for a program to read: as it is, also in a fleet."""
        print(text, flush=True)

    def step(self, text: str) -> None:
        """Learn what runs now."""

    def end(self, state: str) -> None:
        """Learn how it ended."""


def printable(text: str) -> str:
    """Return the text with each sign that is for no eyes written out, such as `\\x1b`.

    Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text
    )


SINK: contextvars.ContextVar[Sink] = contextvars.ContextVar("sink", default=Sink())  # noqa: B039


def say(text: str = "", routine: bool = False) -> None:
    """Print a line, or several."""
    SINK.get().line(text, routine)


def may_ask() -> bool:
    """Whether somebody sits here who can answer."""
    return SINK.get().alone and sys.stdin.isatty()


def operator() -> str:
    """Who sits here, as another operator would recognise them."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


class Report:
    """The lines of one host's run; in a fleet, its sink names the host."""

    def __init__(self, where: str):
        self.where = f"{where}: " if SINK.get().alone else ""
        self.started: dict[int, float] = {}

    def line(self, text: str, routine: bool = False) -> None:
        """Print one line."""
        say(text, routine)

    def begin_host(self, host, changes, items: int) -> None:
        """Say what is ahead; show what hand edits will be lost."""
        ahead = f"{count(len(changes))} to make, {count(items, 'item')}"
        self.line(f"{self.where}{host.name}; {ahead}", routine=True)
        for change in changes:
            if change.before:
                self.line(f"  will  {change.say}")
                self.diff(change)

    def begin(self, number: int, say: str) -> None:
        """Begin a step; in a pipe it is told when it ends."""
        self.started[number] = time.monotonic()
        SINK.get().step(say)

    def end(self, number: int, say: str, well: bool) -> None:
        """End a step."""
        seconds = time.monotonic() - self.started.get(number, time.monotonic())
        self.line(f"  {'done' if well else 'FAIL'} {seconds:5.1f} s  {say}", routine=well)

    def note(self, text: str) -> None:
        """Tell something on the way."""
        self.line(f"  note          {text}")

    def words(self, lines: list[str]) -> None:
        """Show what the server itself said."""
        for line in lines[-25:]:
            self.line(f"  | {line}")

    def plan(self, host, changes, items: int, versions: dict[int, list[str]]) -> None:
        """Show what would change: files as diffs, packages with all that comes along.

        :param versions: the number of a change -> `name version` of what would come with it.
        """
        SINK.get().differs += len(changes)
        self.line(f"{self.where}{host.name}; {len(changes)} of {items} items would change")
        for number, change in enumerate(changes):
            self.line(f"  would {change.say}")
            self.diff(change)
            for package in versions.get(number, []):
                self.line(f"    {package}")

    def diff(self, change) -> None:
        """Show a file's change as a unified diff."""
        texts = change.before or "", change.after or ""
        if max(map(len, texts)) > LARGE:
            self.line("    (too large to be shown)")
            return
        before, after = (text.splitlines() for text in texts)
        for row in list(difflib.unified_diff(before, after, "there", "wanted", "", "", 2, ""))[2:]:
            self.line(f"    {SECRETS.sub(MASKED, row[:WIDE])}")

    def shown(self, step: str, text: str) -> None:
        """Show what a step found, such as versions."""
        if text:
            self.line(f"  {step:<8} {text}")

    def end_host(self, done: int, items: int, seconds: float) -> None:
        """Sum up."""
        SINK.get().changed += done
        what = f"{count(done)} made" if done else "nothing to change"
        self.line(f"{self.where}{what}, {count(items, 'item')} as wanted ({seconds:.1f} s)")

    def stop(self) -> None:
        """Stop drawing."""


class Live(Report):
    """The same lines, and under them what runs right now."""

    def __init__(self, where: str):
        super().__init__(where)
        self.progress = None
        self.rows: dict[int, int] = {}

    def line(self, text, routine=False):
        if self.progress:
            self.progress.console.print(
                printable(text), markup=False, highlight=False, soft_wrap=True
            )
        else:
            super().line(text, routine)

    def begin(self, number, say):
        super().begin(number, say)
        if self.progress is None:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
            )
            self.progress = Progress(*columns, transient=True)
            self.progress.start()
        say = printable(say)
        short = say if len(say) <= 60 else f"{say[:57]}..."
        self.rows[number] = self.progress.add_task(short, total=None)

    def end(self, number, say, well):
        self.progress.remove_task(self.rows.pop(number))
        super().end(number, say, well)

    def stop(self):
        if self.progress:
            self.progress.stop()
            self.progress = None


def count(number: int, what: str = "change") -> str:
    """Say how many of them."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def report(where: str) -> Report:
    """Choose the way of telling by where the lines go."""
    return Live(where) if SINK.get().alone and sys.stdout.isatty() else Report(where)
