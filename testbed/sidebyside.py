"""The test suite on several Debians at once: each in a pytest of its own."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

from testbed.machine import ROOT, STATE, say


def pytest(runs: Mapping[str, Sequence[str]]) -> int:
    """Run pytest once for each, all at the same time, and return the worst exit code.

    The first is seen while it runs; what the others say is shown when they have ended.

    :param runs: name of a Debian release -> pytest's arguments.
    """
    STATE.mkdir(exist_ok=True)
    first, *others = runs
    logs = {name: STATE / f"tests-{name}.log" for name in others}
    started = {name: start(runs[name], log) for name, log in logs.items()}
    for name, log in logs.items():
        say(f"the tests run on {name}, too, beside these: {log}")
    codes = [start(runs[first]).wait()]
    for name, log in logs.items():
        codes.append(started[name].wait())
        say(f"this is what the tests on {name} said:")
        print(log.read_text(errors="replace"), end="", flush=True)
    return max(codes)


def start(arguments: Sequence[str], log=None) -> subprocess.Popen:
    """Start pytest in this terminal, or into a file."""
    command = [sys.executable, "-m", "pytest", *arguments]
    if log is None:
        return subprocess.Popen(command, cwd=ROOT)
    with log.open("wb") as out:
        return subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
