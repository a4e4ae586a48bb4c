"""Tasks on your own machine: demo, tests, style, documents and measurements."""

import subprocess
import sys

from invoke import Exit

from fabfile.engine.task import fabric_task as task
from testbed import browser, engine, image
from testbed import demo as demonstration
from testbed.areas import AREAS
from testbed.machine import ROOT, add_tools, has, install, may_install

WORKERS = "4"  # more than processors, as a test waits for its server half of the time


def run(*command: str) -> int:
    """Run a tool of the virtual environment in this terminal and return its exit code."""
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode


def style(fix: bool = False) -> int:
    """Check the style of all code, and return the exit code."""
    check = run("ruff", "check", *(["--fix"] if fix else []), ".")
    return check or run("ruff", "format", *([] if fix else ["--check"]), ".")


@task
def demo(c, down=False):
    """Deploy to a fresh server in a container, and leave it running.

    :param down: remove the server and everything else the demo made.
    """
    if down:
        raise Exit(code=demonstration.down())
    host = demonstration.up()
    code = demonstration.deploy(host)
    other = demonstration.command_line(*demonstration.reach(host), "status")
    clean = demonstration.command_line("hosts", "--remove")
    print(f"\nAny other task, like this one: {other}")
    print("To remove all of this again:  ./bootstrap demo --down")
    print(f"Only the name in /etc/hosts:  {clean}")
    raise Exit(code=code)


@task
def test(c, all=False, area="", unit=False, matrix=False, debian="", k=""):
    """Run the tests; without options, those of the main job.

    Those take seven minutes on two processors once Docker and the images are there, and under ten
    from a bare Debian machine.

    :param all: all tests, on both Debian releases where that matters: about 55 minutes.
    :param area: only tests on servers of one area: https, network, security, sites, lifecycle,
        diagnosis, several, cluster, browser or docs.
    :param unit: only tests that need no server.
    :param matrix: only interruptions of `full`, at every step in every way: half an hour.
    :param debian: only on servers of this release: bookworm (12) or trixie (13).
    :param k: only tests whose names match, as in pytest -k.
    """
    if debian and debian not in image.BASES:
        raise Exit(f"--debian: {debian!r} is not one of {', '.join(image.BASES)}")
    if area and area not in AREAS:
        raise Exit(f"--area: {area!r} is not one of {', '.join(AREAS)}")
    chosen, missing = ["--debian", debian] if debian else [], []
    if matrix:
        chosen += ["--matrix", "tests/integration/test_interrupted.py"]
    elif unit:
        chosen += ["-m", "not integration"]
    elif area:
        chosen += ["-m", area]
    elif not (all or k):
        chosen += ["-m", "core or not integration"]
    if k:
        chosen += ["-k", k]
    add_tools()
    if not has("shellcheck") and may_install():
        install("shellcheck")
    if not unit:
        engine.compose()
        browser.ensure()
        releases = [debian] if debian else list(image.BASES)
        if missing := [r for r in releases if not image.inspect(image.name_of(r), "{{.Id}}")]:
            # built while pytest runs the tests that need no server
            making = subprocess.Popen([sys.executable, "-m", "testbed.image", *missing], cwd=ROOT)
            chosen += ["--units-first"]
    workers = ["-n", WORKERS, "--dist", "loadscope", "--no-loadscope-reorder"]
    code = 0 if area or unit or matrix or k else style()
    code = run("pytest", *workers, "--durations", "25", *chosen) or code
    if missing:
        making.wait()
    raise Exit(code=code)


@task
def lint(c, fix=False):
    """Check style with ruff.

    :param fix: fix what can be fixed.
    """
    add_tools()
    raise Exit(code=style(fix))


@task
def docs(c, recording=False):
    """Write fabric.example.yaml and the pages generated from the code.

    :param recording: also record `fab init` on a fresh server in Docker, for docs/first-hour.md.
    """
    from docs import generate

    print("\n".join(generate.write(ROOT)))
    if recording:
        import tempfile
        from pathlib import Path

        from docs import record

        with tempfile.TemporaryDirectory() as folder:
            record.main(Path(folder))


@task
def bench(c, runs=5, peers=True, only="", pages=False, sizing=False, cluster=False):
    """Measure against plain ssh, pyinfra and Ansible; needs root.

    :param runs: runs of each command, fewer of the long ones; medians are compared.
    :param peers: `--no-peers` leaves pyinfra and Ansible out.
    :param only: only these, separated by commas: start-up, init, bare, no-op, template,
        8 servers, far.
    :param pages: instead, measure a page in Chromium and a kernel's WebSocket: on Jupyter's own
        port, behind the how-to's Nginx, behind ours.
    :param sizing: instead, measure what JupyterLab, a kernel and a tab need, and waking up.
    :param cluster: instead, measure one to three workers: waiting tasks, latency, cost of TLS.
    """
    add_tools()
    if pages:
        from bench.pages import main as measure

        measure(runs)
    elif sizing:
        from bench.sizing import main as measure

        measure(runs)
    elif cluster:
        from bench.cluster import main as measure

        measure(runs)
    else:
        from bench.bench import main

        main(runs, peers, only)
