"""What one server holds: memory, descriptors and connections of what people have open there.

On one server, settled, with nobody else on it. Memory is PSS, which counts once what processes
share; what a kernel or a tab costs is the difference that one more of them makes.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from dataclasses import dataclass, replace
from shlex import quote

from testbed import browser
from testbed.host import Host

from . import servers
from .bench import Measured, run
from .footprint import may_open, memory, opened, processes, text
from .kernel import Door
from .pages import NAME, OURS, Reader
from .ways import Job, fab

ASLEEP = {"FABRIC_LAB_SLEEP_AFTER": "3600"}  # its socket wakes it; not before the hour is over
LIBRARIES = "numpy pandas"
CONNECTIONS, DESCRIPTORS = "connections of Nginx", "descriptors of JupyterLab"
LAB, NGINX = "jupyterlab.service", "nginx.service"
RESTS = 4.0  # seconds until nothing of what was started is still at work
FORGETS = 80.0  # Nginx keeps a browser's unused connections for 75 s
KERNELS = 4
TABS = 4
EMPTY = (
    '{"nbformat": 4, "nbformat_minor": 5, "cells": [], "metadata": '
    '{"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}}'
)
IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'


def prepare() -> tuple[Host, Door]:
    """Set up a server that may sleep, with two libraries that many use."""
    made = servers.fresh()
    (host,), (address,) = made.hosts, made.addresses
    (full,) = fab(Job(made))
    full = replace(full, env={**full.env, **ASLEEP})
    run([full])
    words = [*full.words[: full.words.index("full")], "packages", "--add", LIBRARIES]
    run([replace(full, words=words)])
    return host, Door(NAME, address, host.exec("cat /home/david/.jupyter/jupyterlab_token").strip())


def again(host: Host, door: Door) -> float:
    """Put JupyterLab to sleep, and wake it; seconds until /lab is there."""
    host.exec(f"systemctl stop {LAB}")
    began = time.perf_counter()
    door.cookies()  # which asks for /lab, with the token
    return time.perf_counter() - began


def started(door: Door) -> str:
    """Start a kernel, and wait for its first answer; give its name."""
    name = door.ask("POST", "kernels")["id"]
    with door.wire(name) as wire:
        wire.round_trip()
    return name


def kernels(host: Host, door: Door, found: dict[str, Measured]) -> None:
    """One kernel after the other, then what they import; the server before, with and after."""

    def note(title: str, value: float) -> None:
        found.setdefault(title, Measured()).seconds.append(value)

    def weigh() -> float:
        time.sleep(RESTS)
        return memory(host, LAB)

    again(host, door)
    note("JupyterLab, just woken, MB", weigh())
    names = [started(door)]  # the first has the server itself load what it needs for any
    last = weigh()
    for _ in range(KERNELS):
        names.append(started(door))
        note("one more kernel, MB", (now := weigh()) - last)
        last = now
    for name in names[1:]:
        with door.wire(name) as wire:
            wire.run(f"import {', '.join(LIBRARIES.split())}")
        note(f"what {LIBRARIES} add to a kernel, MB", (now := weigh()) - last)
        last = now
    for name in names:
        door.ask("DELETE", f"kernels/{name}")
    note("JupyterLab, idle, after kernels have come and gone, MB", weigh())


def show(reader: Reader, door: Door, number: int):
    """Open JupyterLab with a notebook in a window of its own, until its kernel is idle."""
    window = reader.browser.new_context()
    window.add_cookies(door.cookies())
    page = window.new_page()
    page.goto(f"{door.url}/lab/workspaces/tab{number}/tree/tab{number}.ipynb")
    page.wait_for_selector(IDLE, timeout=120_000)
    page.wait_for_timeout(RESTS * 1000)
    return window


def tabs(host: Host, reader: Reader, door: Door, found: dict[str, Measured]) -> None:
    """Open JupyterLab with a notebook, for one person after the other; what each takes.

    Each has a browser's window of their own, which shares no connection with the others.
    """

    def counts() -> dict[str, int]:
        nginx, sockets = opened(host, NGINX)
        lab, _ = opened(host, LAB)
        return {
            CONNECTIONS: sockets,
            "descriptors of Nginx": nginx,
            DESCRIPTORS: lab,
        }

    def note(title: str, before: dict[str, int], after: dict[str, int], count: int) -> None:
        for what, value in after.items():
            measured = found.setdefault(f"{what} per tab, {title}", Measured())
            measured.seconds.append((value - before[what]) / count)

    for number in range(2 * TABS):
        path = f"/home/david/project/tab{number}.ipynb"
        host.exec(f"echo {quote(EMPTY)} >{path}; chown david: {path}")
    for number in range(TABS):  # each alone
        before = counts()
        with contextlib.closing(show(reader, door, number)):
            note("just opened", before, counts(), 1)
        time.sleep(RESTS)
    time.sleep(FORGETS)
    before = counts()
    with contextlib.ExitStack() as windows:
        for number in range(TABS):  # all together
            windows.enter_context(contextlib.closing(show(reader, door, TABS + number)))
        reader.browser.contexts[0].pages[0].wait_for_timeout(FORGETS * 1000)
        note("at rest", before, counts(), TABS)
        found[f"Nginx, with {TABS} tabs, MB"] = Measured([memory(host, NGINX)])
    for name in door.ask("GET", "kernels"):
        door.ask("DELETE", f"kernels/{name['id']}")


@dataclass(frozen=True)
class Limits:
    """What the server's own settings allow.

    :param workers: of Nginx.
    :param each: connections of each of them.
    :param files: descriptors of each of them.
    :param lab: descriptors of JupyterLab's server.
    """

    workers: int
    each: int
    files: int
    lab: int


def limits(host: Host) -> Limits:
    """Read them where they are in force."""
    said = host.exec("nginx -T 2>/dev/null")
    each = int(re.search(r"^\s*worker_connections\s+(\d+)", said, re.M)[1])
    workers = [f for f in processes(host, NGINX) if "worker process" in text(f / "cmdline")]
    return Limits(len(workers), each, may_open(host, NGINX), may_open(host, LAB))


def shown(measured: Measured, digits: int) -> str:
    """A median with its extremes."""
    least, most = min(measured.seconds), max(measured.seconds)
    words = [f"{value:.{digits}f}" for value in (measured.median, least, most)]
    return words[0] if words[1] == words[2] else f"{words[0]} ({words[1]}-{words[2]})"


def table(found: dict[str, Measured], limit: Limits) -> None:
    """Print it all, and how many tabs the limits leave room for; Markdown."""
    print("\n| what | median (least-most) |\n|---|---|")
    for title, measured in found.items():
        print(f"| {title} | {shown(measured, 1)} |")
    print(f"| Nginx: workers, worker_connections of each | {limit.workers}, {limit.each} |")
    print(f"| Nginx: descriptors that a worker may have | {limit.files} |")
    print(f"| JupyterLab: descriptors that it may have | {limit.lab} |")

    def fit(room: int, what: str) -> str:
        counts = (found[f"{what} per tab, {when}"].median for when in ("just opened", "at rest"))
        return ", ".join(f"{room / count:.0f}" for count in counts)

    room = limit.workers * min(limit.each, limit.files)
    print(f"| tabs that fit, for Nginx: just opened, at rest | {fit(room, CONNECTIONS)} |")
    print(f"| for JupyterLab: the same | {fit(limit.lab, DESCRIPTORS)} |")


def main(runs: int = 5) -> None:
    """Run all of it.

    :param runs: how often a sleeping server is woken, and kernels are started on it.
    """
    from playwright.sync_api import sync_playwright

    browser.ensure()
    found: dict[str, Measured] = {}
    try:
        host, door = prepare()
        again(host, door)
        found["from asleep to /lab, s"] = Measured([again(host, door) for _ in range(2 * runs)])
        for _ in range(runs):
            kernels(host, door, found)
            print(".", end="", flush=True)
        time.sleep(FORGETS)
        found["Nginx, with nobody there, MB"] = Measured([memory(host, NGINX)])
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
            reader = Reader(playwright, {OURS: door}, folder, ())
            tabs(host, reader, door, found)
            reader.browser.close()
        limit = limits(host)
    finally:
        with contextlib.suppress(Exception):
            servers.remove()
    table(found, limit)
