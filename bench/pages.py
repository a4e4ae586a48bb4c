"""How long a page takes, and what comes through a websocket: the same JupyterLab by three doors.

In turn: the port of Jupyter itself; Nginx as the how-to has it that this project replaces; ours.
A browser on the LAN, and one behind a line of 10 Mbit/s and 50 ms, at packet level (far.py).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import time
from pathlib import Path

from testbed import browser
from testbed.machine import ROOT

from . import servers
from .bench import Measured, run, verdict
from .far import far
from .kernel import Door
from .ways import Job, fab

PORT, TITLE = 8888, "JupyterLab by"
DIRECT, HOWTO, OURS = "its own port", "the how-to's Nginx", "ours"
SITE = ROOT / "tests/integration/howto/jupyterlab.nginx"
OTHER = "howto.vmdomain.io"  # the how-to's site beside ours
NAME = "jupyterlab.vmdomain.io"
# the same venv, configuration and token, but a port of its own
SECOND = f"""
systemd-run -q --unit=second --uid=david --setenv=HOME=/home/david \\
    --setenv=JUPYTER_TOKEN_FILE=/home/david/.jupyter/jupyterlab_token \\
    /home/david/project/venv/bin/jupyter lab --config=/home/david/.jupyter/jupyter_lab_config.py \\
    --ServerApp.sock= --ServerApp.ip=0.0.0.0 --ServerApp.port={PORT}
timeout 60 sh -c 'until curl -s -o /dev/null http://127.0.0.1:{PORT}/login; do sleep 0.2; done'
"""
SLOW = {"round_trip": 0.05, "rate": 10e6}
CHROMIUM = "/usr/bin/chromium"
LAUNCHER = ".jp-Launcher-body"
SETTLED = 2.0  # seconds until what a page asks for after it is usable has come, too


def prepare() -> dict[str, Door]:
    """Set up a server as ever, and beside it the how-to's: the same JupyterLab at a TCP port."""
    made = servers.fresh()
    (host,), (address,) = made.hosts, made.addresses
    run(fab(Job(made)))
    host.exec(SECOND)
    site = SITE.read_text().replace(NAME, OTHER)
    host.exec(f"cat >/etc/nginx/sites-enabled/howto <<'END'\n{site}END\nnginx -s reload")
    token = host.exec("cat /home/david/.jupyter/jupyterlab_token").strip()
    return {
        DIRECT: Door(address, address, token, PORT),
        HOWTO: Door(OTHER, address, token),
        OURS: Door(NAME, address, token),
    }


class Reader:
    """Somebody with Chromium.

    :param prefix: the words before the browser's command: where it runs.
    """

    def __init__(self, playwright, doors: dict[str, Door], folder: str, prefix):
        rules = ",".join(f"MAP {door.name} {door.address}" for door in doors.values())
        program = Path(folder) / "chromium"
        program.write_text(f'#!/bin/sh\nexec {" ".join(prefix)} {CHROMIUM} "$@"\n')
        program.chmod(0o755)
        self.browser = playwright.chromium.launch(
            executable_path=program,
            args=[f"--host-resolver-rules={rules}", "--no-proxy-server"],
            chromium_sandbox=False,  # root has none
            env={**os.environ, "HOME": folder},
        )

    def load(self, door: Door) -> tuple[tuple[float, float], tuple[float, float]]:
        """Open JupyterLab twice, first with nothing in the cache: seconds and megabytes of each."""
        with contextlib.closing(self.browser.new_context()) as window:
            window.add_cookies(door.cookies())
            return self.open(window, door), self.open(window, door)

    def open(self, window, door: Door) -> tuple[float, float]:
        """Open a page until its launcher is there; and the bytes of all that came."""
        page, came = window.new_page(), []
        wire = window.new_cdp_session(page)
        wire.on("Network.loadingFinished", lambda event: came.append(event["encodedDataLength"]))
        wire.send("Network.enable")
        began = time.perf_counter()
        page.goto(f"{door.url}/lab", wait_until="commit")
        page.wait_for_selector(LAUNCHER, timeout=120_000)
        took = time.perf_counter() - began
        page.wait_for_timeout(SETTLED * 1000)
        page.close()
        return took, sum(came) / 1e6


def pages(playwright, doors: dict[str, Door], runs: int, prefix) -> dict[str, dict[str, Measured]]:
    """Load by all doors in turn; cold and warm, seconds and megabytes."""
    kinds = ("cold, s", "warm, s", "cold, MB", "warm, MB")
    found = {kind: {way: Measured() for way in doors} for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        reader = Reader(playwright, doors, folder, prefix)
        for turn, way in itertools.product(range(runs + 1), doors):
            (cold, much), (warm, little) = reader.load(doors[way])
            for kind, value in zip(kinds, (cold, warm, much, little), strict=True):
                if turn:  # the first does not count
                    found[kind][way].seconds.append(value)
            print(f"{way:<20} {cold:.2f} s, {much:.2f} MB; again {warm:.2f} s", flush=True)
        reader.browser.close()
    return found


def wires(doors: dict[str, Door], runs: int) -> dict[str, dict[str, Measured]]:
    """Ask one kernel of each JupyterLab over its websocket, in turn."""
    kinds = ("round trip, ms", "messages/s")
    found = {kind: {way: Measured() for way in doors} for kind in kinds}
    kernels = {way: door.ask("POST", "kernels")["id"] for way, door in doors.items()}
    for turn, way in itertools.product(range(4 * runs + 1), doors):
        with doors[way].wire(kernels[way]) as wire:
            trips = [wire.round_trip() * 1000 for _ in range(60)][10:]
            found[kinds[0]][way].seconds += trips if turn else []
            if turn % 4 == 1:
                found[kinds[1]][way].seconds.append(wire.rate())
    for way, kernel in kernels.items():
        doors[way].ask("DELETE", f"kernels/{kernel}")
    return found


def table(results: dict[str, dict[str, Measured]]) -> None:
    """Print the medians with the extremes, and then what was aimed at; Markdown."""
    print(f"\n| {TITLE} | {DIRECT} | {HOWTO} | {OURS} |\n|---|---|---|---|")
    for title, found in results.items():
        print(f"| {title} | {' | '.join(str(found[way]) for way in found)} |")
    print("\n| against | | to reach | |\n|---|---|---|---|")

    def median(title: str, way: str = OURS) -> float:
        return results[title][way].median

    verdict("cold, MB: ours", median("cold, MB"), 3.8)
    verdict("cold, LAN: ours / direct", median("cold, s") / median("cold, s", DIRECT), 1.0)
    slow = "cold, s, 10 Mbit/s and 50 ms"
    verdict("cold, 10 Mbit/s: direct / ours", median(slow, DIRECT) / median(slow), 2, least=True)
    trip = median("round trip, ms") - median("round trip, ms", DIRECT)
    verdict("round trip, ms: ours - direct", trip, 0.5)
    through = median("messages/s") / median("messages/s", DIRECT)
    verdict("messages/s: ours / direct", through, 0.95, least=True)


def main(runs: int = 5) -> None:
    """Run all of it.

    :param runs: how often each page is loaded by each door, in both places.
    """
    from playwright.sync_api import sync_playwright

    browser.ensure()
    try:
        doors = prepare()
        with sync_playwright() as playwright:
            results = pages(playwright, doors, runs, ())
            with far(**SLOW) as prefix:
                there = pages(playwright, doors, runs, prefix)
        results |= {f"{kind}, 10 Mbit/s and 50 ms": there[kind] for kind in ("cold, s", "warm, s")}
        results |= wires(doors, runs)
    finally:
        with contextlib.suppress(Exception):
            servers.remove()
    table(results)
