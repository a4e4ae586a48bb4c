"""Many hosts at once: of a fleet, or further hosts of one task, such as workers."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import msgspec
from fabric import Connection
from invoke import Exit

from ..settings import Settings
from ..ssh import connection
from ..ssh.errors import clear_errors, name_of
from ..ui import console
from ..ui.console import say
from ..ui.ending import reason
from .table import Prefixed

JOBS = 16  # hosts at once


def named(c: Connection, targets: list[str]) -> dict[str, Connection]:
    """Return connections that are not open yet, by their names with user and port."""
    made = (Connection(target, config=c.config.clone()) for target in targets)
    return {name_of(one): one for one in made}


def in_parallel(body: Callable, things: Iterable, jobs: int = JOBS) -> list:
    """Call the body with each thing in parallel; return the results in the order of the things.

    Each call may set its own sink. Ctrl-C is raised at once; the calls that run go on meanwhile.
    """
    pool = ThreadPoolExecutor(jobs)
    try:
        calls = [pool.submit(contextvars.copy_context().run, body, thing) for thing in things]
        return [result(call) for call in calls]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def result(call: Future):
    """Wait for the call; return its result.

    A Ctrl-C that comes just when Python begins to wait is noticed only after that wait, so each is
    short.
    """
    while not call.done():
        wait([call], timeout=1)
    return call.result()


def on_each(hosts: dict[str, Connection], body: Callable) -> tuple[dict, dict[str, str]]:
    """Call the body with each connection in parallel; one error does not stop the others.

    :returns: the result of each, and the reason for each that failed.
    """

    def one(target: str):
        console.SINK.set(Prefixed(target))
        try:
            with clear_errors(hosts[target]):
                return body(hosts[target]), ""
        except Exit as problem:
            return None, reason(problem)

    found = dict(zip(hosts, in_parallel(one, hosts), strict=True))
    done = {target: result for target, (result, why) in found.items() if not why}
    return done, {target: why for target, (_, why) in found.items() if why}


def all_of(hosts: dict[str, Connection], body: Callable, hint: Callable = lambda _: "") -> dict:
    """Call the body with each connection in parallel; return the results.

    :param hint: gives the text to add to an error, by the name of the host.
    :raises Exit: when a host failed.
    """
    done, failed = on_each(hosts, body)
    told = [f"{why}{hint(target)}" for target, why in failed.items()]
    for line in told[:-1]:
        say(line)
    if told:
        raise Exit(told[-1])
    return done


def reached(hosts: dict[str, Connection], settings: Settings, hint: Callable) -> dict[str, str]:
    """Open all connections; return the address of each, or its name.

    :param hint: as for all_of.
    """
    if console.may_ask():  # about host keys, one after another
        for one in hosts.values():
            with contextlib.suppress(Exit), clear_errors(one):
                opened(settings)(one)
    return all_of(hosts, opened(settings), hint)


def opened(settings: Settings) -> Callable[[Connection], str]:
    """Return a function that opens a connection, and returns its address or name."""
    pinned = settings.host_key.startswith("SHA256:")  # the host key of main only
    theirs = msgspec.structs.replace(settings, host_key="strict") if pinned else settings

    def opening(c: Connection) -> str:
        connection.open_connection(c, theirs)
        return connection.peer_address(c) or c.host

    return opening
