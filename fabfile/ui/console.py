"""Output for the operator: one line for each step, the same in a pipe and on a terminal.

On a terminal, a spinner by rich shows what runs and for how long. Each line goes through the sink
of its thread, so that the hosts of a fleet do not mix. The sink escapes control characters, so that
text from a server cannot control the terminal.
"""

from __future__ import annotations

import contextlib
import contextvars
import difflib
import getpass
import json
import re
import socket
import sys
import time

from .ending import reason

# Secrets that manual changes may have put into a file: the value after a name such as `password`,
# but not after one that ends in `_file`, whose value is a path.
SECRETS = re.compile(
    r"(?i)((?:password|token|secret)\w{0,40}(?<!_file)['\"]?\s{0,20}[=:]\s{0,20}|argon2:).+"
)
MASKED = r"\1***"
LARGE = 100_000  # characters; no diff of a file with more
WIDE = 2000  # characters; the rest of a line is not shown
NOTE = re.compile(r" *(?:note|warning:|hosts) +(.+)", re.DOTALL)  # lines that a program gets, too


class Sink:
    """A sink for lines: this one writes to standard output."""

    owns_terminal = True  # of one host alone: for questions and a spinner

    def __init__(self):
        self.changed = 0  # changes made
        self.differs = 0  # changes that a dry run would make

    def line(self, text: str, routine: bool = False) -> None:
        """Print a line.

        :param routine: progress only; a fleet may leave it out.
        """
        print(printable(text), flush=True)

    def note(self, **values) -> None:
        """Keep values for a program, if one reads this run."""

    def more(self, name: str, *values) -> None:
        """Add to a list of values for a program."""

    @contextlib.contextmanager
    def used(self):
        """Use the sink meanwhile."""
        former = SINK.set(self)
        try:
            yield
        finally:
            SINK.reset(former)

    def step(self, text: str) -> None:
        """Show which step runs now."""

    def end(self, state: str) -> None:
        """Show how the run ended."""


class Json(Sink):
    """A sink of `--json`: it prints one line at the end, whose keys are in docs/scripting.md."""

    owns_terminal = False

    def __init__(self, host: str | None, task: str):
        super().__init__()
        self.told = {"host": host, "task": task, "ok": True}

    def line(self, text, routine=False):
        if found := NOTE.fullmatch(text):
            self.more("notes", found[1])

    def note(self, **values):
        self.told |= values

    def more(self, name, *values):
        self.told.setdefault(name, []).extend(values)

    @contextlib.contextmanager
    def used(self):
        began = time.monotonic()
        try:
            with super().used():
                yield
        except Exception as problem:
            self.note(ok=False, error=reason(problem).strip())
            raise
        finally:
            self.note(seconds=round(time.monotonic() - began, 1))
            print(f"{json.dumps(self.told)}\n", end="", flush=True)  # in one piece


def printable(text: str) -> str:
    """Return the text with escaped control characters, such as `\\x1b`.

    Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text
    )


SINK: contextvars.ContextVar[Sink] = contextvars.ContextVar("sink", default=Sink())  # noqa: B039


def say(text: str = "", routine: bool = False) -> None:
    """Print one or more lines."""
    SINK.get().line(text, routine)


def note(**values) -> None:
    """Keep values for the line of JSON, if the run prints one."""
    SINK.get().note(**values)


def more(name: str, *values) -> None:
    """Add to a list in the line of JSON."""
    SINK.get().more(name, *values)


def headline(text: str) -> None:
    """Print a line that stands out: alone, and bold on a terminal."""
    if not SINK.get().owns_terminal:
        return
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{printable(text)}{plain}", flush=True)


def may_ask() -> bool:
    """Check whether questions can be asked on the terminal."""
    return SINK.get().owns_terminal and sys.stdin.isatty()


def operator() -> str:
    """Return the operator as USER@MACHINE."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


class Report:
    """A report on one host's run; in a fleet, the sink adds the host's name."""

    def __init__(self, where: str):
        self.where = f"{where}: " if SINK.get().owns_terminal else ""
        self.started: dict[int, float] = {}

    def line(self, text: str, routine: bool = False) -> None:
        """Print one line."""
        say(text, routine)

    def begin_host(self, host, changes, items: int) -> None:
        """Print the number of changes, and the diffs of files that will be replaced."""
        ahead = f"{count(len(changes))} to make, {count(items, 'item')}"
        self.line(f"{self.where}{host.name}; {ahead}", routine=True)
        for change in changes:
            if change.before:
                self.line(f"  will  {change.say}")
                self.diff(change)

    def begin(self, number: int, say: str) -> None:
        """Begin a step; a pipe gets its line when it ends."""
        self.started[number] = time.monotonic()
        SINK.get().step(say)

    def end(self, number: int, say: str, well: bool) -> None:
        """Print how a step ended, and how long it took."""
        seconds = time.monotonic() - self.started.get(number, time.monotonic())
        more("changes", {"change": say, "ok": well, "seconds": round(seconds, 1)})
        self.line(f"  {'done' if well else 'FAIL'} {seconds:5.1f} s  {say}", routine=well)

    def note(self, text: str) -> None:
        """Print a note."""
        self.line(f"  note          {text}")

    def words(self, lines: list[str]) -> None:
        """Print the last lines of the server's own output."""
        for line in lines[-25:]:
            self.line(f"  | {line}")

    def plan(
        self, host, changes, items: int, versions: dict[int, list[str]], whole: bool = False
    ) -> None:
        """Print what would change: replaced files as diffs, packages with their dependencies.

        :param versions: the number of a change -> `name version` of each new package.
        :param whole: also print the text of new files.
        """
        SINK.get().differs += len(changes)
        self.line(f"{self.where}{host.name}; {len(changes)} of {items} items would change")
        for number, change in enumerate(changes):
            self.line(f"  would {change.say}")
            if change.before or whole:
                self.diff(change)
            for package in versions.get(number, []):
                self.line(f"    {package}")

    def diff(self, change) -> None:
        """Print a file's change as a unified diff."""
        texts = change.before or "", change.after or ""
        if max(map(len, texts)) > LARGE:
            self.line("    (too large for a diff)")
            return
        before, after = (text.splitlines() for text in texts)
        for row in list(difflib.unified_diff(before, after, "there", "wanted", "", "", 2, ""))[2:]:
            self.line(f"    {SECRETS.sub(MASKED, row[:WIDE])}")

    def shown(self, step: str, text: str) -> None:
        """Print what a step found, such as versions."""
        if text:
            self.line(f"  {step:<8} {text}")

    def end_host(self, done: int, items: int, seconds: float) -> None:
        """Print the summary."""
        SINK.get().changed += done
        what = f"{count(done)} made" if done else "nothing to change"
        self.line(f"{self.where}{what}, {count(items, 'item')} up to date ({seconds:.1f} s)")

    def stop(self) -> None:
        """Stop the spinner."""


class Live(Report):
    """A report on a terminal, with a spinner for each step that runs."""

    def __init__(self, where: str):
        super().__init__(where)
        self.progress = None
        self.rows: dict[int, int] = {}

    def line(self, text, routine=False):
        if self.progress:
            print_above(self.progress, f"{printable(text)}\n")
        else:
            super().line(text, routine)

    def begin(self, number, say):
        super().begin(number, say)
        if self.progress is None:
            self.progress = running_rows()
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


def running_rows(*columns, transient: bool = True):
    """Return rich's display of what runs, a row each: a spinner, a text, and the time it takes.

    :param columns: further columns, before the time.
    :param transient: erase the rows at the end.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    return Progress(SpinnerColumn(), text, *columns, TimeElapsedColumn(), transient=transient)


def print_above(rows, text: str) -> None:
    """Print a text, line ends included, above the rows of what runs."""
    rows.console.print(text, end="", markup=False, highlight=False, soft_wrap=True)


def count(number: int, what: str = "change") -> str:
    """Return a number with its noun, such as `2 changes`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def report(where: str) -> Report:
    """Return the report that fits the output: a terminal, a pipe or a fleet."""
    return Live(where) if SINK.get().owns_terminal and sys.stdout.isatty() else Report(where)
