"""Some more hosts beside the one of a task: connected to at once, each under its own name."""

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

JOBS = 16  # at once


def named(c: Connection, targets: list[str]) -> dict[str, Connection]:
    """Connections to be opened, each under its name with the user and port that it has."""
    made = (Connection(target, config=c.config.clone()) for target in targets)
    return {name_of(one): one for one in made}


def on_each(hosts: dict[str, Connection], body: Callable) -> tuple[dict, dict[str, str]]:
    """Call the body with each connection; whatever goes wrong with one does not stop the others.

    :returns: what came of each, and why the others failed.
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
    """The same, where none may fail.

    :param hint: what to add for the operator, by the name of a host that failed.
    :raises Exit: when one did.
    """
    done, failed = on_each(hosts, body)
    told = [f"{why}{hint(target)}" for target, why in failed.items()]
    for line in told[:-1]:
        say(line)
    if told:
        raise Exit(told[-1])
    return done


def reached(hosts: dict[str, Connection], settings: Settings, hint: Callable) -> dict[str, str]:
    """Open all connections; give the address that each leads to, or its name.

    :param hint: as for all_of.
    """
    for one in (
        hosts.values() if console.may_ask() else ()
    ):  # such as whether a key is the right one
        with contextlib.suppress(Exit), clear_errors(one):
            opened(settings)(one)
    return all_of(hosts, opened(settings), hint)


def opened(settings: Settings) -> Callable[[Connection], str]:
    """Give what opens a connection and tells where it leads: an address, or a name."""
    pinned = settings.host_key.startswith("SHA256:")  # that is main's, not that of the others
    theirs = msgspec.structs.replace(settings, host_key="strict") if pinned else settings

    def opening(c: Connection) -> str:
        connection.open_connection(c, theirs)
        return connection.peer_address(c) or c.host

    return opening
