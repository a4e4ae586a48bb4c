"""Print the present state of JupyterLab as a line of JSON; change nothing, and need no root.

Usage: status.py SOCKET-OR-PORT UNIT TOKEN-FILE VENV kernels|use|newest
(runs on the server, as the user)
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
LARGEST = 1 << 22  # bytes of an answer
SECONDS = 30  # for all of it: the operator waits
SAMPLE = 0.5  # seconds over which processor use is measured
PATIENCE = 10  # seconds that pip may take; a silent index has --timeout
INDEX = ["--disable-pip-version-check", "--no-cache-dir", "--no-input"]  # it writes nothing
INDEX += ["--retries", "0", "--timeout", "4"]
ASKED = ("jupyterlab", "jupyter_server")


class Local(http.client.HTTPConnection):
    """An HTTP connection to JupyterLab itself, on its socket or its local port."""

    def __init__(self, target: str):
        super().__init__("localhost", None if target.startswith("/") else int(target), timeout=3)
        self.target = target

    def connect(self):
        if not self.target.startswith("/"):
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        return self.sock.connect(self.target)


def text_of(path: Path) -> str:
    """Return the text of a small regular file; a pipe or a missing file is an OSError."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileNotFoundError(path)
        return file.read(65536).decode(errors="replace")


def base_of(server: int, unit: str) -> str:
    """Return the path prefix that JupyterLab has written down, or an empty string."""
    short = Path("/run", unit.partition(".")[0], "runtime")  # where the usual path is too long
    for folder in (Path("~/.local/share/jupyter/runtime").expanduser(), short):
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads(text_of(folder / f"jpserver-{server}.json"))
            return told["base_url"].rstrip("/")
    return ""


def ask(target: str, token: str, path: str):
    """Return an answer of the REST API, or None; the request does not count as activity."""
    wire = Local(target)
    try:
        headers = {"Authorization": f"token {token}"}
        wire.request("GET", f"{path}?no_track_activity=1", headers=headers)
        answer = wire.getresponse()
        return json.loads(answer.read(LARGEST)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        wire.close()


def shown(unit: str) -> dict[str, str]:
    """Return what systemd counts for a unit."""
    names = "MainPID,MemoryCurrent,MemoryMax,TasksCurrent"
    told = subprocess.run(["systemctl", "show", "-p", names, unit], capture_output=True, text=True)
    return dict(line.split("=", 1) for line in told.stdout.splitlines() if "=" in line)


def number(text: str) -> int | None:
    """Return a count of systemd, None where it counts nothing or sets no limit."""
    return int(text) if text.isdigit() and int(text) < 2**63 else None


class Process:
    """A process of the unit, as in /proc; its time includes children that have ended."""

    def __init__(self, folder: Path):
        self.pid = int(folder.name)
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        self.parent = int(fields[1])
        self.seconds = sum(map(int, fields[11:15])) / TICK
        self.command = (folder / "cmdline").read_bytes().decode(errors="replace")

    def memory(self) -> int:
        """Return its memory in bytes; of shared memory its part (PSS), where that can be read."""
        with contextlib.suppress(OSError, ValueError, StopIteration):
            rows = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
            return next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) * 1024
        with contextlib.suppress(OSError, ValueError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        return 0


def processes(unit: str) -> dict[int, Process]:
    """Return all processes of a unit, by id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
            if f"/{unit}\n" in (folder / "cgroup").read_text():
                found[int(folder.name)] = Process(folder)
    return found


def below(pid: int, there: dict[int, Process]) -> set[int]:
    """Return a process and all its descendants."""
    family, more = set(), {pid}
    while more:
        family |= more
        more = {p.pid for p in there.values() if p.parent in family} - family
    return family


def use(family: set[int], before: dict, after: dict, seconds: float) -> dict:
    """Return the memory in bytes and the percentage of one processor that processes use."""
    spent = sum(after[p].seconds - before[p].seconds for p in family if p in before and p in after)
    memory = sum(after[p].memory() for p in family if p in after)
    return {"memory": memory, "cpu": round(max(spent, 0) / seconds * 100, 1)}


def asking(venv: str) -> dict:
    """Start asking the package index of pip.conf for the newest versions."""
    own = f"{venv}/bin/python"
    has_pip = any(Path(venv).glob("lib/python3*/site-packages/pip"))
    python = own if has_pip else "python3"
    return {
        name: subprocess.Popen(
            [python, "-m", "pip", "index", "versions", *INDEX, name],
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )
        for name in ASKED
    }  # fmt: skip


def told(running: dict, deadline: float) -> dict[str, str | None]:
    """Return the newest versions, None for one that did not arrive in time."""
    newest = {}
    for name, process in running.items():
        try:
            out, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
        first = out.partition("\n")[0]  # jupyterlab (4.6.6)
        newest[name] = first.partition("(")[2].rstrip(")") or None if "(" in first else None
    return newest


def main(target: str, unit: str, token_file: str, venv: str, what: str) -> None:
    """Ask the index, JupyterLab, systemd and /proc, and print the answers.

    With `kernels` only JupyterLab is asked, for those; there are none where its unit does not run.
    """
    signal.alarm(SECONDS)
    began = time.monotonic()
    running = asking(venv) if what == "newest" else {}
    measured = processes if what != "kernels" else lambda unit: {}
    state = shown(unit)
    server = int(state.get("MainPID") or 0)
    token = ""
    with contextlib.suppress(OSError):
        token = text_of(Path(token_file)).strip()
    api = f"{base_of(server, unit)}/api"
    kernels = ask(target, token, f"{api}/kernels") if server else None
    if what == "kernels" and not server:
        kernels = []
    sessions = ask(target, token, f"{api}/sessions") or [] if kernels else []
    counted = server and what != "kernels"
    terminals = ask(target, token, f"{api}/terminals") if counted else None
    paths = {s["kernel"]["id"]: s["path"] for s in sessions if s.get("kernel")}
    sampled, before = time.monotonic(), measured(unit)
    versions = told(running, began + PATIENCE)
    if before:
        time.sleep(max(sampled + SAMPLE - time.monotonic(), 0))
    seconds, after = max(time.monotonic() - sampled, 0.001), measured(unit)

    def kernel(one: dict) -> dict:
        roots = [p.pid for p in after.values() if f"kernel-{one['id']}.json" in p.command]
        family = set().union(*(below(pid, after) for pid in roots))
        told = {"id": one["id"], "name": one["name"], "notebook": paths.get(one["id"])}
        told |= {"state": one.get("execution_state"), "since": one.get("last_activity")}
        return told | use(family, before, after, seconds)

    service = {"memory": number(state.get("MemoryCurrent", ""))}
    service["memory_limit"] = number(state.get("MemoryMax", ""))
    service["cpu"] = use(set(after), before, after, seconds)["cpu"] if after else None
    service["tasks"] = number(state.get("TasksCurrent", ""))
    whole = {
        "now": time.time(),
        "service": service,
        "server": use({server}, before, after, seconds) if server in after else None,
        "kernels": None if kernels is None else [kernel(one) for one in kernels],
        "terminals": None if terminals is None else len(terminals),
        "newest": {name: versions.get(name) for name in ASKED},
    }
    print(json.dumps(whole))


if __name__ == "__main__":
    main(*sys.argv[1:])
