"""Measure this project beside its peers: whole processes, in turn on the same servers.

Every way is run once before it counts; then they alternate, so that a busy machine harms all alike.
A server of the far kind is 50 ms away each way, at packet level (far.py).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from testbed.machine import ROOT

from . import servers
from .far import far
from .ways import FIRST, FIRST_FILE, IDLE, WAYS, Command, Job, idle, provide_peers

# scenario -> way -> at most / at least so many times that way's seconds
AT_MOST = {
    "no-op": {"ssh, one script": 1.5},
    "no-op, far": {"ssh, one script": 1.0},
    "template": {"ssh, one script": 2.2},
    "bare": {"ssh, one script": 1.1},
}
AT_LEAST = {
    "no-op": {"pyinfra": 4, "Ansible": 14},
    "no-op, far": {"pyinfra": 6, "Ansible": 12},
}
EIGHT_TO_ONE = 2.0  # eight servers take at most so many times what one takes
FAB = str(Path(sys.executable).parent / "fab")
STARTS = {  # what needs no server; Fabric's own import is the least
    "import fabric": [sys.executable, "-c", "import fabric"],
    "fab --list": [FAB, "--list"],
    "completion": [FAB, "--complete", "--", "fab ser"],
}
ASKING = 10  # `init` takes at most so many seconds longer than the `full` it ends with
START_UP = 1.25  # the others take at most so many times what that import takes


@dataclass
class Measured:
    """The runs of one way in one scenario."""

    seconds: list[float] = field(default_factory=list)
    megabytes: float = 0.0  # the control process at its peak

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self.seconds):.2f}-{max(self.seconds):.2f})"


def run(commands: list[Command], watched: bool = False) -> tuple[float, float, str]:
    """Run all of them at once to their end.

    :param watched: look at the memory of each first process while it runs; not for timing.
    :returns: the seconds that took, the peak memory of the largest in MB, all output.
    :raises SystemExit: when one fails, with its words.
    """
    with contextlib.ExitStack() as files:
        began = time.perf_counter()
        running = []
        for command in commands:
            source = files.enter_context(tempfile.TemporaryFile())
            out = files.enter_context(tempfile.TemporaryFile())
            source.write(command.stdin.encode())
            source.seek(0)
            running.append((start(command, source, out), out))
        peak = max(high_water(process) for process, _ in running) if watched else 0.0
        for process, _ in running:
            process.wait()
        took = time.perf_counter() - began
        output = ""
        for process, out in running:
            out.seek(0)
            text = out.read().decode(errors="replace")
            if process.returncode or "|FAIL|" in text:
                raise SystemExit(f"{' '.join(process.args)}:\n{text[-4000:]}")
            output += text
    return took, peak, output


def start(command: Command, source, out) -> subprocess.Popen:
    """Start one process, with a file for its input and one for all its output."""
    env = {**os.environ, **command.env}
    streams = {"stdin": source, "stdout": out, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command.words, cwd=ROOT, env=env, **streams)


def high_water(process: subprocess.Popen) -> float:
    """Give the most memory that a process ever held, in MB, by Linux's own mark (VmHWM)."""
    mark, status = 0.0, Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):
            mark = int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
        time.sleep(0.01)
    return mark


def alternate(
    title: str, ways: list[str], runs: int, make: Callable[[str], Job], quiet: bool, by=WAYS
):
    """Run the ways in turn, so many times each, and print every median as soon as it is known.

    :param by: way -> what it makes of a job.
    :param make: gives the next job for a way; what it takes to make it does not count.
    :param quiet: nothing may be left to do, and each must say so; before it counts, each is run
        once to see its memory.
    """
    found = {way: Measured() for way in ways}
    if quiet:
        for way, measured in found.items():
            run(by[way](make(way)))
            measured.megabytes = run(by[way](make(way)), watched=True)[1]
    for _, way in itertools.product(range(runs), ways):
        job = make(way)
        took, _, output = run(by[way](job))
        if quiet and not idle(way, output, job.servers):
            raise SystemExit(f"{title}: {way} did not say {IDLE[way]!r}:\n{output[-4000:]}")
        found[way].seconds.append(took)
    for way, measured in found.items():
        print(f"{title:<20} {way:<16} {measured} s", flush=True)
    return found


def start_up(runs: int) -> None:
    """Measure what a command needs before it reaches for a server; print it, with the verdicts."""
    found = {title: Measured() for title in STARTS}
    for _, title in itertools.product(range(runs + 1), STARTS):
        found[title].seconds.append(run([Command(STARTS[title])])[0])
    print("\n| start-up | seconds |\n|---|---|")
    for title, measured in found.items():
        del measured.seconds[0]  # it filled the caches
        print(f"| {title} | {measured} |")
    least, *others = found
    print("\n| against | ratio | to reach | |\n|---|---|---|---|")
    for title in others:
        verdict(f"{title} / {least}", found[title].median / found[least].median, START_UP)


def bare(ways: list[str], runs: int):
    """Bare servers, each new; fab and the script prove at the end that all works."""
    return alternate("bare", ways, runs, lambda _: Job(servers.fresh(), bare=True), False)


def first(runs: int) -> None:
    """Measure the first command of somebody new on bare servers, beside what it ends with."""
    if FIRST_FILE.exists():
        raise SystemExit(f"{FIRST_FILE} is yours: move it away first")
    try:
        found = alternate("init", [*FIRST], runs, lambda _: Job(servers.fresh(), bare=True), False,
                          by=FIRST)  # fmt: skip
    finally:
        FIRST_FILE.unlink(missing_ok=True)
        servers.remove()
    more = found["init"].median - found["full"].median
    print("\n| against | seconds | to reach | |\n|---|---|---|---|")
    verdict("init - full", more, ASKING)


def no_op(title: str, ways: list[str], runs: int, job: Job):
    """Converged servers: nothing may be written."""
    return alternate(title, ways, runs, lambda _: job, True)


def template(title: str, ways: list[str], runs: int, job: Job):
    """One template has changed: its file is replaced and its service reloaded."""
    limits = itertools.cycle(("65m", "64m", "63m"))
    return alternate(title, ways, runs, lambda _: replace(job, limit=next(limits)), False)


def table(results: dict[str, dict[str, Measured]], ways: list[str]) -> None:
    """Print the medians with the extremes, and then what was aimed at; Markdown."""
    print(f"\n| seconds | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    for title, found in results.items():
        print(f"| {title} | {' | '.join(str(found[way]) for way in ways)} |")
    peaks = {way: max(found[way].megabytes for found in results.values()) for way in ways}
    print(f"| peak memory, MB | {' | '.join(f'{peaks[way]:.0f}' for way in ways)} |\n")
    print("| against | ratio | to reach | |\n|---|---|---|---|")
    for title, found in results.items():
        for way, most in AT_MOST.get(title, {}).items():
            verdict(f"{title}: fab / {way}", found["fab"].median / found[way].median, most)
        for way, least in AT_LEAST.get(title, {}).items():
            if way in ways:
                ratio = found[way].median / found["fab"].median
                verdict(f"{title}: {way} / fab", ratio, least, least=True)
    for eight, one in (("8 servers", "no-op"), ("8 servers, far", "no-op, far")):
        if eight in results and one in results:
            ratio = results[eight]["fab"].median / results[one]["fab"].median
            verdict(f"{eight} / {one}: fab", ratio, EIGHT_TO_ONE)
    for way in ("pyinfra", "Ansible"):
        if way in ways and peaks[way]:
            verdict(f"peak memory: fab / {way}", peaks["fab"] / peaks[way], 1.0)


def verdict(what: str, ratio: float, bound: float, least: bool = False) -> None:
    """Print one ratio and whether it is what was aimed at."""
    reached = ratio >= bound if least else ratio <= bound
    word = "at least" if least else "at most"
    print(f"| {what} | {ratio:.2f} | {word} {bound} | {'reached' if reached else 'MISSED'} |")


def main(runs: int = 5, peers: bool = True, only: str = "") -> None:
    """Run all of it.

    :param runs: how often each counts; of the long ones fewer.
    :param peers: also pyinfra and Ansible.
    :param only: comma-separated words; only what has one of them in its title.
    """
    ways = [way for way in WAYS if peers or way in ("fab", "ssh, one script")]
    few, results = max(3, runs // 2), {}
    words = [word.strip() for word in only.split(",") if word.strip()]

    def wanted(*titles: str) -> list[str]:
        return [title for title in titles if not words or any(word in title for word in words)]

    chosen = wanted("start-up", "init", "bare", "no-op, far", "template, far", "8 servers, far")
    if not chosen:
        raise SystemExit(f"nothing is called {only!r}: start-up, init, bare, no-op, template, "
                         "8 servers, far")  # fmt: skip
    if "start-up" in chosen:
        start_up(2 * runs)
    if "init" in chosen:
        first(few)
    if not set(chosen) - {"start-up", "init"}:
        return
    if peers:
        provide_peers()
    try:
        if wanted("bare"):
            results["bare"] = bare(ways, few)
        for count, kinds, often in ((1, ("no-op", "template"), runs), (8, ("8 servers",), few)):
            titles = wanted(*kinds, *(f"{kind}, far" for kind in kinds))
            if not titles:
                continue
            job = Job(servers.fresh(count))
            run(WAYS["fab"](job))
            for title in titles:
                with far() if title.endswith("far") else contextlib.nullcontext(()) as prefix:
                    body = template if title.startswith("template") else no_op
                    there = replace(job, prefix=tuple(prefix))
                    results[title] = body(title, ways, often, there)
    finally:
        with contextlib.suppress(Exception):
            servers.remove()
    table(results, ways)
