"""What the operator sees: a line a step, the same in a pipe and on a terminal.

On a terminal a spinner shows what runs and for how long; rich draws it, imported only there.
"""

from __future__ import annotations

import difflib
import getpass
import socket
import sys
import time


class Report:
    """Plain lines, flushed one by one."""

    def __init__(self, where: str):
        self.where = where
        self.started: dict[int, float] = {}
        self.running: dict[int, str] = {}

    def line(self, text: str) -> None:
        """Print one line."""
        print(text, flush=True)

    def begin_host(self, host, changes: int, items: int) -> None:
        """Say what is ahead."""
        self.line(f"{self.where}: {host.name}; {changes} changes to make, {items} items looked at")

    def begin(self, number: int, say: str) -> None:
        """Begin a step; in a pipe it is told when it ends."""
        self.started[number] = time.monotonic()
        self.running[number] = say

    def end(self, number: int, say: str, well: bool) -> None:
        """End a step."""
        self.running.pop(number, None)
        seconds = time.monotonic() - self.started.get(number, time.monotonic())
        self.line(f"  {'done' if well else 'FAIL'} {seconds:5.1f} s  {say}")

    def note(self, text: str) -> None:
        """Tell something on the way."""
        self.line(f"  note          {text}")

    def words(self, lines: list[str]) -> None:
        """Show what the server itself said."""
        for line in lines[-25:]:
            self.line(f"  | {line}")

    def plan(self, host, changes, items: int, versions: dict[str, str]) -> None:
        """Show what would change: files as diffs, packages with all that comes along."""
        self.line(f"{self.where}: {host.name}; {len(changes)} of {items} items would change")
        for change in changes:
            self.line(f"  would {change.say}")
            for package in change.packages[:1] and sorted(versions):
                self.line(f"    {package} {versions.pop(package)}")
            if change.before != change.after:
                before, after = ((t or "").splitlines() for t in (change.before, change.after))
                for row in list(
                    difflib.unified_diff(before, after, "there", "wanted", "", "", 2, "")
                )[2:]:
                    self.line(f"    {row}")

    def shown(self, step: str, text: str) -> None:
        """Show what a step found, such as versions."""
        if text:
            self.line(f"  {step:<8} {text}")

    def end_host(self, done: int, items: int, seconds: float) -> None:
        """Sum up."""
        what = f"{done} changes made" if done else "nothing to change"
        self.line(f"{self.where}: {what}, {items} items as wanted ({seconds:.1f} s)")

    def stop(self) -> None:
        """Stop drawing."""


class Live(Report):
    """The same lines, and under them what runs right now."""

    def __init__(self, where: str):
        super().__init__(where)
        self.status = None

    def line(self, text):
        if self.status:
            self.status.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            super().line(text)

    def draw(self) -> None:
        """Show the running steps with rich's clock, or nothing."""
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        if self.status is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self.status = Progress(*columns, transient=True)
            self.status.start()

    def begin(self, number, say):
        super().begin(number, say)
        self.draw()
        short = say if len(say) <= 60 else say[:57] + "..."
        self.tasks = getattr(self, "tasks", {})
        self.tasks[number] = self.status.add_task(short.replace("[", r"\["), total=None)

    def end(self, number, say, well):
        self.status.remove_task(self.tasks.pop(number))
        super().end(number, say, well)

    def stop(self):
        if self.status:
            self.status.stop()
            self.status = None


def operator() -> str:
    """Who sits here, as another operator would recognise them."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def report(where: str) -> Report:
    """Choose the way of telling by where the lines go."""
    return Live(where) if sys.stdout.isatty() else Report(where)
