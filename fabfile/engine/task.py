"""Tasks, which run on the hosts of `-H` or fabric.yaml, never on the operator's own machine."""

from __future__ import annotations

import functools
import inspect
import re

import fabric
from fabric import Connection
from invoke import Exit

from ..settings.groups import personal
from ..ssh.errors import clear_errors
from ..ui.console import printable


def task(body):
    """Make a Fabric task that runs its body on each host, with clear errors."""

    @functools.wraps(body)
    def on_each_host(c, *args, **kwargs):
        each_host(c, lambda connection: body(connection, *args, **kwargs), body.__name__)

    return local_task(on_each_host)


def local_task(body):
    """Make a Fabric task that chooses its hosts, or needs none; `:param x:` becomes its help."""
    body = cleanly(body)
    text, *rest = re.split(r"^\s*:param (\w+):", inspect.getdoc(body), flags=re.MULTILINE)
    body.__doc__ = text.strip()
    words = (" ".join(part.split()) for part in rest[1::2])
    return fabric.task(body, help=dict(zip(rest[::2], words, strict=True)))


def cleanly(body):
    """Return the body with printable errors: a server may have written their text."""

    @functools.wraps(body)
    def in_text(*args, **kwargs):
        try:
            return body(*args, **kwargs)
        except Exit as problem:
            raise Exit(problem.message and printable(problem.message), problem.code) from None

    return in_text


def each_host(c, body, name: str) -> None:
    """Call the body with every host of `-H`, else of `hosts:` in fabric.yaml, else refuse.

    Without hosts, Fabric would run the task on the operator's own machine.
    """
    if isinstance(c, Connection):
        with clear_errors(c):
            return body(personal(c))
    hosts = c.config.get("hosts")
    if not hosts:
        raise Exit(f"no host given: fab -H user@server {name}, or `hosts:` in fabric.yaml")
    for host in hosts.split(",") if isinstance(hosts, str) else hosts:
        if not isinstance(host, str) or not host:
            raise Exit(f"hosts: {host!r} is not a host; write a list such as [david@1.1.1.1]")
        with Connection(host, config=c.config.clone()) as connection, clear_errors(connection):
            body(personal(connection))
    return None
