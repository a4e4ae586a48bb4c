"""Further hosts of one task, such as workers: connections in parallel, each with its name."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from fabric import Connection
from invoke import Exit

from ..settings import Settings
from ..ssh import connection
from ..ssh.errors import clear_errors, name_of
from ..ui import console
from ..ui.console import say
from .table import Prefixed

JOBS = 16  # hosts at once


def named(c: Connection, targets: list[str]) -> dict[str, Connection]:
    """Return connections that are not open yet, by their names with user and port."""
    made = (Connection(target, config=c.config.clone()) for target in targets)
    return {name_of(one): one for one in made}


def on_each(hosts: dict[str, Connection], body: Callable) -> tuple[dict, dict[str, str]]:
    """Call the body with each connection in parallel; one error does not stop the others.

    :returns: the result of each, and the reason for each that failed.
    """

    def one(target: str):
        console.SINK.set(Prefixed(target))
        with clear_errors(hosts[target]):
            return body(hosts[target])

    done, failed = {}, {}
    with ThreadPoolExecutor(max(min(JOBS, len(hosts)), 1)) as pool:
        calls = {t: pool.submit(contextvars.copy_context().run, one, t) for t in hosts}
        for target, begun in calls.items():
            try:
                done[target] = begun.result()
            except Exit as problem:
                failed[target] = problem.message or f"exit {problem.code}"
    return done, failed


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
    for one in (
        hosts.values() if console.may_ask() else ()
    ):  # one after another, as it may ask about a host key
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
