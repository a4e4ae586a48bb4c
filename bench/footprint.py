"""What the units of a server hold; this machine's /proc shows its containers, too."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from testbed.host import Host, docker

KERNEL = "ipykernel"  # what a kernel's command line has in it


def processes(host: Host, unit: str) -> list[Path]:
    """The folders in /proc of all that a unit has started."""
    pids = docker("top", host.container, "-eo", "pid").stdout.split()[1:]
    folders = [Path("/proc") / pid for pid in pids]
    return [folder for folder in folders if f"/{unit}" in text(folder / "cgroup")]


def servers_of(host: Host, unit: str) -> list[Path]:
    """The same without kernels: those that people connect to."""
    folders = processes(host, unit)
    return [folder for folder in folders if KERNEL not in text(folder / "cmdline")]


def text(path: Path) -> str:
    """What a file says; nothing when its process has just ended."""
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def memory(host: Host, unit: str) -> float:
    """PSS of a unit with all that it started, in MB."""
    rolled = [text(folder / "smaps_rollup") for folder in processes(host, unit)]
    return sum(int(n) for part in rolled for n in re.findall(r"^Pss: +(\d+)", part, re.M)) / 1024


def opened(host: Host, unit: str) -> tuple[int, int]:
    """How many file descriptors a unit's servers have open, and how many of them are sockets."""
    links = []
    for folder in servers_of(host, unit):
        for entry in list((folder / "fd").iterdir()):
            with contextlib.suppress(OSError):
                links.append(entry.readlink().name)
    return len(links), sum(link.startswith("socket:") for link in links)


def may_open(host: Host, unit: str) -> int:
    """How many descriptors one process of a unit may have open."""
    (*_, last) = servers_of(host, unit)
    return int(re.search(r"Max open files +(\d+)", text(last / "limits"))[1])
