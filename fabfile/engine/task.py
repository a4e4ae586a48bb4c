"""Tasks, which run on the hosts of `-H` or fabric.yaml, never on the operator's own machine."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import re

import fabric
from fabric import Connection
from invoke import Exit

from ..ui.command import FAB

HOUSE = __name__.partition(".")[0]


def task(place: str, **handed: str):
    """Make a Fabric task of a function's signature and help; it runs on each host.

    What the task does is its body: the function of the same name in a module, which is loaded when
    the task runs, so that `fab --list`, `--help` and completion load none of them. It gets the
    connection, the checked settings of that host, and the arguments. If it has a parameter
    `in_fleet`, it is told whether the host is one of several. The argument `json` is not its own:
    what it notes for a program (ui/console.py) is then printed as one line, and nothing else.

    :param place: that module, below this package, such as "manage.logs".
    :param handed: further arguments of it: functions of rooms above its own, by their places.
    """

    def made(signature):
        @functools.wraps(signature)
        def on_each_host(c, *args, in_fleet=False, **kwargs):
            given = arguments(signature, c, *args, **kwargs)
            del given["c"]
            json = given.pop("json", False) and not in_fleet  # a fleet has its own sinks

            def run(one, settings):
                body = found(place, signature.__name__)
                more = handed_over(handed)
                if "in_fleet" in inspect.signature(body).parameters:
                    more["in_fleet"] = in_fleet
                body(one, settings, **given, **more)

            each_host(c, run, signature.__name__, json)

        task = fabric_task(on_each_host)
        task.place, task.handed = place, handed
        return task

    return made


def local_task(place: str, **handed: str):
    """Make a Fabric task as `task` does, of a body that chooses its hosts, or needs none."""

    def made(signature):
        @functools.wraps(signature)
        def here(*args, **kwargs):
            given = arguments(signature, *args, **kwargs)
            with reported(given["c"], signature.__name__, given.pop("json", False)):
                found(place, signature.__name__)(**given, **handed_over(handed))

        task = fabric_task(here)
        task.place, task.handed = place, handed
        return task

    return made


def reported(c, name: str, json: bool):
    """Return a context in which a task's output is a line of JSON, if that is wanted."""
    if not json:
        return contextlib.nullcontext()
    from ..ssh.errors import name_of
    from ..ui.console import Json

    return Json(name_of(c) if isinstance(c, Connection) else None, name).used()


def handed_over(handed: dict[str, str]) -> dict:
    """Return the functions that a task is given, by the names of its parameters."""
    return {name: found(*where.rsplit(".", 1)) for name, where in handed.items()}


def arguments(signature, *args, **kwargs) -> dict:
    """Return the arguments of a call by their names, also those with default values."""
    given = inspect.signature(signature).bind(*args, **kwargs)
    given.apply_defaults()
    return given.arguments


def found(place: str, name: str):
    """Load a module of this package, and return what it calls by a name."""
    return getattr(importlib.import_module(f"{HOUSE}.{place}"), name)


def fabric_task(body):
    """Hand a function to Fabric; each `:param x:` of its docstring is the help of an option."""
    body = cleanly()(body)
    text, *rest = re.split(r"^\s*:param (\w+):", inspect.getdoc(body), flags=re.MULTILINE)
    body.__doc__ = re.sub(r"\bfab (?=[a-z-])", f"{FAB} ", text.strip())
    words = (" ".join(part.split()) for part in rest[1::2])
    return fabric.task(body, help=dict(zip(rest[::2], words, strict=True)))


@contextlib.contextmanager
def cleanly():
    """Make errors printable, also that of Ctrl-C: a server may have written their text."""
    try:
        yield
    except Exit as problem:
        from ..ui.console import printable

        raise Exit(problem.message and printable(problem.message), problem.code) from None
    except KeyboardInterrupt:
        from ..ui.console import SINK, count

        changed = SINK.get().changed
        made = f"{count(changed)} made" if changed else "nothing was changed"
        raise Exit(f"\nstopped: {made}; run again to continue", 130) from None


def each_host(c, body, name: str, json: bool = False) -> None:
    """Call the body with every host of `-H`, else of `hosts:` in fabric.yaml, else refuse.

    Without hosts, Fabric would run the task on the operator's own machine.

    :param body: gets a connection that is not open yet, and the checked settings of its host.
    :param json: print a line of JSON for each host.
    """
    from ..settings import load
    from ..settings.groups import listed, personal  # here, for the sake of `fab --list`
    from ..ssh.errors import clear_errors

    if isinstance(c, Connection):
        with reported(c, name, json), cleanly(), clear_errors(c):
            settings = load(personal(c).config)
            if settings.tls == "auto":
                settings = found("certs.auto", "decided")(c, settings)
            body(c, settings)
        return
    hosts = listed(c.config.get("hosts"))
    if not hosts:
        with reported(c, name, json):
            raise Exit(f"no host given: {FAB} -H user@server {name}, or `hosts:` in fabric.yaml")
    for host in hosts:
        with Connection(host, config=c.config.clone()) as connection:
            each_host(connection, body, name, json)
