"""Print the last lines of JupyterLab's journal and of Nginx's logs by time, then new ones.

Usage: logs.py UNIT ACCESS-LOG LINES SINCE follow|no WHAT...     (runs on the server, as root)
SINCE is a time that systemd understands, or empty; WHAT is jupyter, nginx or both.
It prints `at MOMENT WHAT TEXT`, MOMENT in seconds since 1970, or `unclear SINCE`. It ends when its
input ends or is silent for too long: the operator is gone then.
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
PAUSE = 0.3  # seconds between two reads of a file
ACCESS = re.compile(r"^(\S+) \[(\d{4}-\d\d-\d\dT[^]]+)\] ")  # our log_format
ERROR = re.compile(r"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) ")  # Nginx's own
UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]")  # all controls but tab, escape
LARGEST, LONGEST = 1 << 20, 1 << 16  # bytes of a journal entry, characters of a printed line
TELLING = threading.Lock()


def watch() -> None:
    """Exit when nobody reads the output any more."""
    with contextlib.suppress(OSError):
        while select.select([0], [], [], SILENCE)[0] and os.read(0, 4096):
            pass
    os._exit(0)


def tell(when: float, what: str, text: str) -> None:
    """Print one line."""
    # whatever is logged must stay one line of limited length
    text = UNSEEN.sub(lambda sign: ascii(sign[0])[1:-1], text[:LONGEST].rstrip("\n"))
    try:
        with TELLING:
            print(f"at {when:.3f} {what} {text}", flush=True)
    except BrokenPipeError:
        os._exit(0)


def moment(text: str) -> float:
    """Return a time that systemd understands, such as `1 hour ago`, in seconds since 1970."""
    command = ["systemd-analyze", "timestamp", "--", text]
    told = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"UNIX seconds: @([0-9.]+)", told.stdout)
    if not found:
        print(f"unclear {text}", flush=True)
        sys.exit(1)
    return float(found[1])


def journal(unit: str, *options: str) -> subprocess.Popen:
    """Start to read the journal of a unit; the reader ends with this process in any case."""
    reading = ["setpriv", "--pdeathsig", "KILL", "journalctl", "-q", "--all", "--no-pager"]
    # -u leaves out why a program cannot be started, if that process was gone too soon
    its = [f"_SYSTEMD_UNIT={unit}", "+", "_UID=0", f"UNIT={unit}"]
    return subprocess.Popen(
        [*reading, "-o", "json", *options, *its], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )


def entries(reading: subprocess.Popen):
    """Yield time, text and cursor of each entry of the journal."""
    for line in iter(lambda: reading.stdout.readline(LARGEST), b""):
        try:
            told = json.loads(line)
            when, place = int(told["__REALTIME_TIMESTAMP"]) / 1e6, told["__CURSOR"]
        except (ValueError, TypeError, KeyError, RecursionError):
            continue  # a part of an entry that is too large
        text = told.get("MESSAGE") or ""
        if isinstance(text, list) and all(isinstance(one, int) for one in text):  # bytes
            text = bytes(one & 255 for one in text).decode(errors="replace")
        text = " ".join(map(str, text)) if isinstance(text, list) else str(text)  # several
        yield when, text, place


class Log:
    """A log of Nginx with its rotated files, and the lines that are added to it."""

    def __init__(self, path: Path):
        self.path, self.file, self.rest, self.when = path, None, "", 0.0

    def before(self, since: float, lines: int):
        """Return time and text of the lines since then, or of the last ones."""
        found = (row for row in self.whole(since) if row[0] >= since)
        return found if since else deque(found, lines)

    def whole(self, since: float):
        """Yield all lines; of rotated files those written since then, or the newest."""
        older = [one for one in self.path.parent.glob(f"{self.path.name}.*") if one.is_file()]
        older = sorted(older, key=lambda one: one.stat().st_mtime)
        for one in [o for o in older if o.stat().st_mtime >= since] if since else older[-1:]:
            with (gzip.open if one.suffix == ".gz" else open)(one, "rt", errors="replace") as file:
                yield from map(self.stamped, file)
        yield from self.new()

    def new(self):
        """Yield lines that were added since the last call, also by a new file after rotation."""
        yield from self.added()
        with contextlib.suppress(OSError):
            there = self.path.stat()
            ours = os.fstat(self.file.fileno()) if self.file else None
            if not ours or ours.st_ino != there.st_ino or there.st_size < self.file.tell():
                self.close()
                self.file = self.path.open(errors="replace")
        yield from self.added()

    def close(self) -> None:
        """Close the file."""
        if self.file:
            self.file.close()

    def added(self):
        """Yield complete lines of the file that were not read yet."""
        for line in self.file or ():
            self.rest += line
            if line.endswith("\n"):
                yield self.stamped(self.rest)
                self.rest = ""

    def stamped(self, line: str) -> tuple[float, str]:
        """Return a line's time, or that of the line before, and its text without the time."""
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
    """Print the lines that exist; then, to follow, the new ones."""
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
