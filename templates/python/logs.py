"""The last lines of JupyterLab's journal and of Nginx's logs, in the order of time; then new ones.

Usage: logs.py UNIT ACCESS-LOG LINES SINCE follow|no WHAT...     (runs on the server, as root)
SINCE is what systemd takes for a moment, or nothing; WHAT is jupyter, nginx or both.
Prints `at MOMENT WHAT TEXT`, MOMENT being seconds since 1970, or `unclear SINCE`. It ends when its
input does, or has been silent for too long: whoever asked is gone then.
"""

import contextlib
import gzip
import heapq
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from datetime import datetime
from pathlib import Path

SILENCE = 15  # seconds; a sign of life comes every five
PAUSE = 0.3  # seconds between two looks at a file
ACCESS = re.compile(r"^(\S+) \[(\d{4}-\d\d-\d\dT[^]]+)\] ")  # our log_format
ERROR = re.compile(r"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) ")  # Nginx's own
UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]")  # but tabs and colours
LARGEST, LONGEST = 1 << 20, 1 << 16  # of an entry of the journal, and of a line that is shown
TELLING = threading.Lock()


def watch() -> None:
    """End everything when nobody listens any more."""
    with contextlib.suppress(OSError):
        while select.select([0], [], [], SILENCE)[0] and os.read(0, 4096):
            pass
    os._exit(0)


def tell(when: float, what: str, text: str) -> None:
    """Print one line."""
    # one line, and not a long one, whatever it is
    text = UNSEEN.sub(lambda sign: ascii(sign[0])[1:-1], text[:LONGEST].rstrip("\n"))
    try:
        with TELLING:
            print(f"at {when:.3f} {what} {text}", flush=True)
    except BrokenPipeError:
        os._exit(0)


def moment(text: str) -> float:
    """Seconds since 1970 of what systemd understands, such as `1 hour ago`."""
    command = ["systemd-analyze", "timestamp", "--", text]
    told = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"UNIX seconds: @([0-9.]+)", told.stdout)
    if not found:
        print(f"unclear {text}", flush=True)
        sys.exit(1)
    return float(found[1])


def journal(unit: str, *options: str) -> subprocess.Popen:
    """Begin to read the journal of a unit; it ends with us, however we end."""
    reading = ["setpriv", "--pdeathsig", "KILL", "journalctl", "-q", "--all", "--no-pager"]
    reading += ["-o", "json"]
    return subprocess.Popen(
        [*reading, "-u", unit, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )


def entries(reading: subprocess.Popen):
    """What comes from the journal: moment, text and place of each entry."""
    for line in iter(lambda: reading.stdout.readline(LARGEST), b""):
        try:
            told = json.loads(line)
            when, place = int(told["__REALTIME_TIMESTAMP"]) / 1e6, told["__CURSOR"]
        except (ValueError, TypeError, KeyError, RecursionError):
            continue  # a piece of one that is too large
        text = told.get("MESSAGE") or ""
        if isinstance(text, list) and all(isinstance(one, int) for one in text):  # no text
            text = bytes(one & 255 for one in text).decode(errors="replace")
        text = " ".join(map(str, text)) if isinstance(text, list) else str(text)  # or several
        yield when, text, place


class Log:
    """A log of Nginx's, with those before it, and what is added to it from then on."""

    def __init__(self, path: Path):
        self.path, self.file, self.rest, self.when = path, None, "", 0.0

    def before(self, since: float, lines: int):
        """Moment and text of what is there: since then, or the last lines."""
        found = (row for row in self.whole(since) if row[0] >= since)
        return found if since else deque(found, lines)

    def whole(self, since: float):
        """What is there; of older files those that were written since then, or the last."""
        older = [one for one in self.path.parent.glob(f"{self.path.name}.*") if one.is_file()]
        older = sorted(older, key=lambda one: one.stat().st_mtime)
        for one in [o for o in older if o.stat().st_mtime >= since] if since else older[-1:]:
            with (gzip.open if one.suffix == ".gz" else open)(one, "rt", errors="replace") as file:
                yield from map(self.stamped, file)
        yield from self.new()

    def new(self):
        """What was added since; one that was rotated is followed by its successor."""
        yield from self.added()
        with contextlib.suppress(OSError):
            there = self.path.stat()
            ours = os.fstat(self.file.fileno()) if self.file else None
            if not ours or ours.st_ino != there.st_ino or there.st_size < self.file.tell():
                self.close()
                self.file = self.path.open(errors="replace")
        yield from self.added()

    def close(self) -> None:
        """Be done with the file."""
        if self.file:
            self.file.close()

    def added(self):
        """Whole lines that are in the file and were not told yet."""
        for line in self.file or ():
            self.rest += line
            if line.endswith("\n"):
                yield self.stamped(self.rest)
                self.rest = ""

    def stamped(self, line: str) -> tuple[float, str]:
        """Moment of a line, and its text without; a line with none has that of the one before."""
        line = line.rstrip("\n")
        with contextlib.suppress(ValueError):
            if found := ACCESS.match(line):
                self.when = datetime.fromisoformat(found[2]).timestamp()
                return self.when, f"{found[1]} {line[found.end() :]}"
            if found := ERROR.match(line):
                self.when = time.mktime(time.strptime(found[1], "%Y/%m/%d %H:%M:%S"))
                return self.when, line[found.end() :]
        return self.when, line


def main(unit: str, access: str, lines: str, since: str, follow: str, *what: str) -> None:
    """Print what is there; then, to follow, what comes."""
    for one in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(one, lambda *_: os._exit(0))
    threading.Thread(target=watch, daemon=True).start()
    begin, now, place = moment(since) if since else 0.0, time.time(), ""
    logs = {"nginx": Log(Path(access)), "error": Log(Path(access).with_name("error.log"))}
    logs = logs if "nginx" in what else {}

    def ours():
        nonlocal place
        some = f"--since=@{begin:.6f}" if since else f"--lines={lines}"
        with journal(unit, some) as reading:
            for when, text, place in entries(reading):  # noqa: B007
                yield when, "jupyter", text

    def theirs(name: str, log: Log):
        for when, text in log.before(begin, int(lines)):
            yield when, name, text

    given = [theirs(name, log) for name, log in logs.items()]
    given += [ours()] if "jupyter" in what else []
    for row in heapq.merge(*given, key=lambda row: row[0]):
        tell(*row)
    if follow != "follow":
        return
    if "jupyter" in what:
        after = f"--after-cursor={place}" if place else f"--since=@{now:.6f}"
        coming = entries(journal(unit, "--follow", "--lines=all", after))
        threading.Thread(target=lambda: [tell(w, "jupyter", t) for w, t, _ in coming]).start()
    while True:
        for name, log in logs.items():
            for when, text in log.new():
                tell(when, name, text)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
