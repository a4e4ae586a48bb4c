"""The same tasks on many hosts at once: a bad host does not stop the others."""

from __future__ import annotations

import contextlib
import contextvars
import fnmatch
import functools
import json
import os
import shlex
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fabric import Connection
from invoke import Exit

from . import (
    audit,
    backup,
    deps,
    full,
    jupyter,
    kernels,
    login,
    logs,
    nginx,
    output,
    packages,
    remote,
    restore,
    schedule,
    service,
    settings,
    status,
    systemd,
    tls,
    uninstall,
    upgrade,
    verify,
)
from .rows import Prefixed, Result, Row, summary

TASKS = {
    "full": full.full,
    "deps": deps.deps,
    "jupyter": jupyter.jupyter,
    "kernels": kernels.kernels,
    "systemd": systemd.systemd,
    "nginx": nginx.nginx,
    "tls": tls.tls,
    "verify": verify.verify,
    "status": status.status,
    "audit": audit.audit,
    "packages": packages.packages,
    "upgrade": upgrade.upgrade,
    "rollback": upgrade.rollback,
    "uninstall": uninstall.uninstall,
    "backup": backup.backup,
    "restore": restore.restore,
    "schedule": schedule.schedule,
    "logs": logs.logs,
    "restart": service.restart,
    "stop": service.stop,
    "start": service.start,
    "token": login.token,
}
OPTIONS = {"verify": "full", "drift": "status"}  # those that may stand beside it -> its task
FAILED = Path("~/.cache/jupyterlab/failed").expanduser()  # the hosts for --retry-failed


def choose(config, wanted: str, limit: str, retry_failed: bool) -> list[str]:
    """Say which hosts: names, groups of fabric.yaml, patterns of ssh_config.

    :param wanted: comma-separated; empty means `hosts:` of fabric.yaml.
    :param limit: comma-separated patterns; only the hosts that match one are taken.
    :raises Exit: when nothing is left.
    """
    groups, known = config.get("groups") or {}, config.base_ssh_config.get_hostnames()
    if retry_failed:
        if wanted:
            raise Exit("--retry-failed takes the hosts that failed the last time: leave out --on")
        names = FAILED.read_text().split() if FAILED.exists() else []
        if not names:
            raise Exit("no host failed the last time: nothing to try again")
    else:
        names = listed(wanted or config.get("hosts") or [])
    hosts: list[str] = []
    for name in filter(None, (str(name).strip() for name in names)):
        if name in groups:
            hosts += listed(groups[name])
        elif "*" in name or "?" in name:
            hosts += sorted(h for h in fnmatch.filter(known, name) if not set(h) & set("*?"))
        else:
            hosts.append(name)
    patterns = [word for word in limit.split(",") if word]
    if patterns:
        hosts = [h for h in hosts if any(matches(h, pattern) for pattern in patterns)]
    if not hosts:
        raise Exit("no host left to run on: give --on a,b, or `hosts:` in fabric.yaml")
    return list(dict.fromkeys(hosts))


def listed(names) -> list[str]:
    """Give a list, of a list or of comma-separated words."""
    return names.split(",") if isinstance(names, str) else list(names)


def matches(host: str, pattern: str) -> bool:
    """Whether a pattern means this host, with or without its user and port."""
    bare = host.rpartition("@")[2].partition(":")[0]
    return fnmatch.fnmatch(host, pattern) or fnmatch.fnmatch(bare, pattern)


def parsed(what: str):
    """Read a task with its options, as `packages --add numpy`, as fab itself reads them.

    :returns: its name, and the task as a function of a connection.
    """
    from invoke.exceptions import ParseError
    from invoke.parser import Parser, ParserContext

    name = what.partition(" ")[0]
    if name not in TASKS:
        raise Exit(f"fleet: no task {name}; it runs {', '.join(TASKS)}")
    known = ParserContext(name=name, args=TASKS[name].get_arguments())
    try:
        (given,) = Parser(contexts=[known]).parse_argv(shlex.split(what))
    except (ParseError, ValueError) as problem:
        raise Exit(f"fleet: {what}: {problem}; fab --help {name} shows its options") from None
    return name, functools.partial(TASKS[name], **given.as_kwargs)


def run_on(config, host: str, task, sink: output.Sink) -> Result:
    """Run the task on one host; whatever goes wrong is its result.

    :param task: a function of a connection.
    """
    output.SINK.set(sink)
    sink.step("connecting")
    result, began = Result(host), time.monotonic()
    try:
        with Connection(host, config=config.clone()) as connection:
            task(connection)
        result.state = "changed" if sink.changed else "differs" if sink.differs else "ok"
    except Exit as problem:
        result.state, result.why = "failed", problem.message or f"exit {problem.code}"
        if problem.code == 2:
            result.state = "drifted"
    except Exception as problem:
        result.state, result.why = "failed", f"{type(problem).__name__}: {problem}"
    result.seconds = time.monotonic() - began
    sink.end(result.state)
    return result


@remote.local_task
def fleet(c, what, on="", limit="", jobs=16, retry_failed=False, verify=True, drift=False):
    """Run a task on many hosts at once, such as `fab fleet full --on a,b`; sum up at the end.

    :param what: the task, and in quotes with it its options: 'packages --add numpy'.
    :param on: comma-separated hosts, groups of fabric.yaml or patterns of ssh_config.
    :param limit: only the hosts that match one of these comma-separated patterns.
    :param jobs: how many at once.
    :param retry_failed: the hosts on which the last fleet failed.
    :param verify: with full: ask the finished thing as a user would; `--no-verify` leaves that out.
    :param drift: with status: exit with 2 when something differs anywhere, and nothing failed.
    """
    if isinstance(c, Connection):
        raise Exit("fleet takes its hosts from --on or fabric.yaml, not from -H")
    name, task = parsed(what)
    if not 1 <= jobs <= 256:
        raise Exit("fleet: --jobs takes a number from 1 to 256")
    options = {"verify": verify} if not verify else {}
    options |= {"drift": drift} if drift else {}
    for option in options:
        if name != OPTIONS[option]:
            raise Exit(f"fleet: --{'no-' * (not options[option])}{option} goes with "
                       f"{OPTIONS[option]}, not with {name}")  # fmt: skip
    settings.load(c.config)
    chosen = choose(c.config, on, limit, retry_failed)
    results = run(c.config, chosen, functools.partial(task, **options), jobs)
    if task.keywords.get("json"):
        for result in (r for r in results if r.state == "failed"):
            print(json.dumps({"host": result.host, "error": result.why}))
    else:
        summary(results)
    failed = [result.host for result in results if result.state == "failed"]
    again = ""
    if not (c.config.run.dry or name == "status"):
        remember(failed, FAILED.read_text().split() if retry_failed else [], chosen)
        again = f"; again with: fab fleet {shlex.quote(what)} --retry-failed"
    if failed:
        raise Exit(f"{len(failed)} of {len(results)} failed{again}")
    if any(result.state == "drifted" for result in results):
        raise Exit(code=2)


def remember(failed: list[str], before: list[str], run_on: list[str]) -> None:
    """Keep which hosts failed, for --retry-failed.

    :param before: those that had failed before, of which only some may have been run on.
    """
    with contextlib.suppress(OSError):  # a home that cannot be written
        FAILED.parent.mkdir(parents=True, exist_ok=True)
        FAILED.write_text("\n".join([*failed, *(h for h in before if h not in run_on)]))


def run(config, hosts: list[str], task, jobs: int) -> list[Result]:
    """Run the task on all hosts, so many at once; results in the order of the hosts."""
    with ThreadPoolExecutor(min(jobs, len(hosts))) as pool, stopped_at_once():

        def all_of(make) -> list[Result]:
            calls = [
                pool.submit(contextvars.copy_context().run, run_on, config, host, task, make(host))
                for host in hosts
            ]
            return [call.result() for call in calls]

        if not sys.stdout.isatty():
            return all_of(Prefixed)
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
        with Progress(*columns, TimeElapsedColumn()) as progress:
            return all_of(lambda host: Row(host, progress))


@contextlib.contextmanager
def stopped_at_once():
    """Let Ctrl-C end all connections, instead of waiting for what runs on every host."""
    try:
        yield
    except KeyboardInterrupt:
        print("\nstopped; the next run goes on from there", file=sys.stderr, flush=True)
        os._exit(130)
