"""Output of a fleet: lines with host names, rows on a terminal, a table at the end."""

from __future__ import annotations

from dataclasses import dataclass

from ..ui import console


@dataclass
class Result:
    """Result of the task on one host."""

    host: str
    state: str = "ok"
    seconds: float = 0.0
    why: str = ""


class Prefixed(console.Sink):
    """Lines of a host, each with its name: for a pipe."""

    owns_terminal = False

    def __init__(self, host: str):
        super().__init__()
        self.host = host

    def line(self, text, routine=False):
        print(self.prefixed(text), end="", flush=True)

    def prefixed(self, text: str) -> str:
        """Return the text with the host before each line."""
        return "".join(f"{self.host}: {row}\n" for row in console.printable(text).splitlines())


class Row(Prefixed):
    """Row of a host on a terminal, with its current step; other lines are above all rows."""

    def __init__(self, host: str, progress):
        super().__init__(host)
        self.progress = progress
        self.row = progress.add_task(f"{host}: waiting", total=None, start=False)

    def step(self, text):
        self.progress.start_task(self.row)
        self.progress.update(self.row, description=f"{self.host}: {console.printable(text)[:60]}")

    def line(self, text, routine=False):
        if routine:
            self.step(text.strip())
        else:
            console.print_above(self.progress, self.prefixed(text))

    def end(self, state):
        self.step(state)
        self.progress.update(self.row, total=1, completed=1)


def summary(results: list[Result]) -> None:
    """Print a line for each host: its state, its seconds, and why it failed."""
    width = max(len(result.host) for result in results)
    print(f"\n{'host':<{width}}  {'state':<8} seconds  why")
    for result in results:
        why = console.printable(result.why.splitlines()[0]) if result.why else ""
        print(f"{result.host:<{width}}  {result.state:<8} {result.seconds:7.1f}  {why}")
