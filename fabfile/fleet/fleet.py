"""The task `fleet`: one task on many hosts at once; a failed host does not stop the others."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import sys
import time

from fabric import Connection
from invoke import Exit

from .. import settings
from ..catalogue import FLEET
from ..engine.task import cleanly
from ..settings.groups import personal
from ..ui import console, ending
from ..ui.command import FAB
from .parallel import in_parallel
from .table import Prefixed, Result, Row, summary
from .targets import FAILED, choose, remember

TASKS = {task.name: task for task in FLEET}
OPTIONS = {"verify": "full", "drift": "status"}  # option of fleet -> the task that it belongs to


def parsed(what: str):
    """Parse a task with its options, such as `packages --add numpy`, with fab's own parser.

    :returns: its name, and the task as a function of a connection.
    :raises Exit: for an unknown task or option.
    """
    from invoke.exceptions import ParseError
    from invoke.parser import Parser, ParserContext

    name = what.partition(" ")[0]
    if name not in TASKS:
        raise Exit(f"fleet: no task is called {name}; it runs {', '.join(TASKS)}")
    known = ParserContext(name=name, args=TASKS[name].get_arguments())
    try:
        (given,) = Parser(contexts=[known]).parse_argv(shlex.split(what))
    except (ParseError, ValueError) as problem:
        raise Exit(f"fleet: {what}: {problem}; {FAB} --help {name} shows its options") from None
    return name, functools.partial(TASKS[name], in_fleet=True, **given.as_kwargs)


def run_on(config, target: str, task, sink: console.Sink) -> Result:
    """Run the task on one host; return any error as its result.

    :param target: the host, or USER/HOST.
    :param task: a function of a connection.
    """
    sink.step("connecting")
    result, began = Result(target), time.monotonic()
    user, _, host = target.rpartition("/")
    try:
        with sink.used(), cleanly(), Connection(host, config=config.clone()) as connection:
            task(personal(connection, user))
        result.state = "changed" if sink.changed else "differs" if sink.differs else "ok"
    except BrokenPipeError:  # nobody reads our output any more
        raise
    except Exception as problem:
        drifted = isinstance(problem, Exit) and problem.code == 2
        result.state, result.why = "drifted" if drifted else "failed", ending.reason(problem)
    result.seconds = time.monotonic() - began
    sink.end(result.state)
    return result


def fleet(c, what, on, limit, jobs, retry_failed, verify, drift):
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
    json = name if task.keywords.get("json") else ""
    results = run(c.config, chosen, functools.partial(task, **options), jobs, json)
    if not json:
        summary(results)
    failed = [result.host for result in results if result.state == "failed"]
    again = ""
    if not (c.config.run.dry or name == "status"):
        remember(failed, FAILED.read_text().split() if retry_failed else [], chosen)
        again = f"; retry with: {FAB} fleet {shlex.quote(what)} --retry-failed"
    if failed:
        raise Exit(f"{len(failed)} of {len(results)} failed{again}")
    if any(result.state == "drifted" for result in results):
        raise Exit(code=2)


def run(config, targets: list[str], task, jobs: int, json: str = "") -> list[Result]:
    """Run the task on `jobs` hosts at once; return the results in the order of the targets.

    The users of one host come one after another: the host has one lock.

    :param json: the name of the task, to print a line of JSON for each host.
    """
    hosts: dict[str, list[str]] = {}
    for target in targets:
        hosts.setdefault(target.rpartition("@")[2].rpartition("/")[2], []).append(target)

    results = {}

    def all_of_one(those: list[str]) -> None:
        for target in those:
            results[target] = run_on(config, target, task, sink[target])

    try:
        with sinks(targets, json) as sink:
            in_parallel(all_of_one, hosts.values(), jobs)
    except KeyboardInterrupt:
        print("\nstopped; run it again to continue", file=sys.stderr, flush=True)
        os._exit(ending.code())  # at once: Python would wait for the tasks that run on every host
    return [results[target] for target in targets]


@contextlib.contextmanager
def sinks(targets: list[str], json: str = ""):
    """Yield a sink for each target: of JSON if that is asked for, rows on a terminal, else lines.

    :param json: the name of the task.
    """
    if json:
        yield {target: console.Json(target, json) for target in targets}
        return
    if not sys.stdout.isatty():
        yield {target: Prefixed(target) for target in targets}
        return
    with console.running_rows(transient=False) as rows:
        yield {target: Row(target, rows) for target in targets}
