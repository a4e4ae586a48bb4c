"""Tasks, which run on the hosts of `-H` or fabric.yaml, never on the operator's own machine."""

from __future__ import annotations

import functools
import importlib
import inspect
import re

import fabric
from fabric import Connection
from invoke import Exit

HOUSE = __name__.partition(".")[0]


def task(place: str, **handed: str):
    """Make a Fabric task of a function's signature and help; it runs on each host.

    What the task does is the function of the same name in a module, which is loaded when the task
    runs: so `fab --list`, `--help` and completion load none of them.

    :param place: that module, below this package, such as "manage.logs".
    :param handed: further arguments of it: functions of rooms above its own, by their places.
    """

    def made(signature):
        call = called(signature, place, handed)

        @functools.wraps(signature)
        def on_each_host(c, *args, **kwargs):
            each_host(c, lambda one: call(one, *args, **kwargs), signature.__name__)

        return fabric_task(on_each_host)

    return made


def local_task(place: str):
    """Make a Fabric task as `task` does, of a function that chooses its hosts, or needs none."""
    return lambda signature: fabric_task(
        functools.wraps(signature)(called(signature, place, {})),
    )


def called(signature, place: str, handed: dict[str, str]):
    """Return a function that loads what the task does, and calls it with all its arguments."""

    def call(*args, **kwargs):
        given = inspect.signature(signature).bind(*args, **kwargs)
        given.apply_defaults()
        more = {name: found(*where.rsplit(".", 1)) for name, where in handed.items()}
        found(place, signature.__name__)(**given.arguments, **more)

    return call


def found(place: str, name: str):
    """Load a module of this package, and return what it calls by a name."""
    return getattr(importlib.import_module(f"{HOUSE}.{place}"), name)


def fabric_task(body):
    """Hand a function to Fabric; each `:param x:` of its docstring is the help of an option."""
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
            from ..ui.console import printable

            raise Exit(problem.message and printable(problem.message), problem.code) from None

    return in_text


def each_host(c, body, name: str) -> None:
    """Call the body with every host of `-H`, else of `hosts:` in fabric.yaml, else refuse.

    Without hosts, Fabric would run the task on the operator's own machine.
    """
    from ..settings.groups import personal  # here, for the sake of `fab --list`
    from ..ssh.errors import clear_errors

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
