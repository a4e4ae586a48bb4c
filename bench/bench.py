"""Measure `full` against the very script that it sends, piped through plain ssh: the ideal.

Runs alternate, so that a busy machine harms both alike; each figure is the median of the runs.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fabfile import deps, jupyter, nginx, plan, systemd, verify
from fabfile.host import Host as Facts
from fabfile.settings import Settings
from testbed import engine, image
from testbed.demo import run_compose
from testbed.host import Host, keypair
from testbed.machine import ROOT

from .far import far

PROJECT, FOLDER = "jupyterlab-bench", ROOT / ".bench"
STEPS = (deps.items, jupyter.items, systemd.items, nginx.items)


@dataclass
class Bench:
    """One bare server, and the two ways to it."""

    host: Host
    key: Path

    @property
    def target(self) -> str:
        return f"david@{self.host.address}"

    def fab(self, prefix: list[str], *arguments: str) -> list[str]:
        """The command that an operator types."""
        program = str(Path(sys.executable).parent / "fab")
        return [*prefix, program, "-H", self.target, "-i", str(self.key), *arguments]

    def ssh(self, prefix: list[str]) -> list[str]:
        """One ssh session that runs what it is piped."""
        known = f"UserKnownHostsFile={FOLDER}/known_hosts"
        return [*prefix, "ssh", "-F", "none", "-o", known, "-i", str(self.key), self.target, "sh"]


def fresh() -> Bench:
    """Make a bare server, in place of the one before."""
    os.environ["TESTBED_IMAGE"] = image.ensure()
    run_compose(engine.compose(), "up", "-d", "--force-recreate", project=PROJECT)
    host = Host(run_compose(engine.compose(), "ps", "-q", "host", project=PROJECT).strip())
    host.wait_ready()
    key, public = keypair(FOLDER)
    host.add_user("david", public_key=public)
    (FOLDER / "known_hosts").write_text(host.host_keys())
    (FOLDER / "hosts").write_text("127.0.0.1\tlocalhost\n")
    return Bench(host, key)


def seconds(command: list[str], script: str | None = None) -> float:
    """Time one whole process; it must succeed."""
    ours = {"KNOWN_HOSTS": FOLDER / "known_hosts", "HOSTS_FILE": FOLDER / "hosts"}
    environment = {**os.environ, **{f"FABRIC_LAB_{n}": str(path) for n, path in ours.items()}}
    began = time.perf_counter()
    done = subprocess.run(
        command, input=script or "", env=environment, cwd=ROOT, capture_output=True, text=True
    )
    took = time.perf_counter() - began
    if done.returncode or "|FAIL|" in done.stdout:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def reading() -> str:
    """The script that `full` sends to a converged host."""
    items = plan.gather(STEPS, Settings(), Facts())
    return plan.reading_script(items)


def applying(bench: Bench) -> str:
    """The script that brings a bare host to the same end state, and then proves it."""
    facts = Facts(user="david", group="david", home="/home/david", turn="any")
    items = plan.gather(STEPS, Settings(), facts)
    lines = bench.host.exec(f"su david -c sh <<'EOF'\n{plan.reading_script(items)}EOF")
    sections = plan.split(lines.splitlines())
    answers = [sections[str(n)] for n in range(len(items))]
    changes = plan.compare(items, answers, {plan.name(step) for step in STEPS})
    script = plan.apply_script(facts, items, changes, "bench")
    return f"sudo sh -c 'eval \"$(cat)\"' <<'APPLY'\n{script}APPLY\n{verify.script(Settings())}"


def compare(title: str, runs: int, ours, ideal, limit: float) -> None:
    """Run both in turn and print medians, extremes, the ratio and what it should be at most."""
    pairs = [(ours(), ideal()) for _ in range(runs)]
    mine, best = zip(*pairs, strict=True)
    ratio = statistics.median(mine) / statistics.median(best)
    for name, times in (("fab", mine), ("ssh, one script", best)):
        low, high = min(times), max(times)
        print(f"{title:<24} {name:<16} {statistics.median(times):6.2f} s  ({low:.2f}-{high:.2f})")
    verdict = "reached" if ratio <= limit else "MISSED"
    print(f"{title:<24} {'ratio':<16} {ratio:6.2f}    at most {limit}: {verdict}", flush=True)


def no_op(bench: Bench, title: str, prefix: list[str], limit: float, runs: int) -> None:
    """A converged host, without verify: nothing may be written."""
    command = bench.fab(prefix, "full", "--no-verify")
    script = reading()
    seconds(command)
    compare(
        title, runs, lambda: seconds(command), lambda: seconds(bench.ssh(prefix), script), limit
    )


def from_bare(runs: int) -> None:
    """A bare host each time, verified at the end."""

    def ours() -> float:
        bench = fresh()
        return seconds(bench.fab([], "full"))

    def ideal() -> float:
        bench = fresh()
        script = applying(bench)
        return seconds(bench.ssh([]), script)

    compare("bare host, verified", runs, ours, ideal, 1.1)


def main(runs: int = 5) -> None:
    """Run all of it; about five minutes."""
    try:
        from_bare(max(3, runs // 2))
        bench = fresh()
        seconds(bench.fab([], "full"))
        no_op(bench, "no-op, LAN", [], 2.2, runs)
        with far() as prefix:
            no_op(bench, "no-op, 100 ms away", prefix, 1.15, runs)
    finally:
        with contextlib.suppress(Exception):
            run_compose(engine.compose(), "down", "--volumes", project=PROJECT)
