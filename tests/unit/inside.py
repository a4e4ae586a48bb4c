"""Fab within this process: the program of a collection of tasks."""

from fabric import Config, Executor
from fabric.main import Fab
from invoke import Collection

from fabfile import ns


def fab(monkeypatch, namespace: Collection = ns) -> Fab:
    """Return the program; afterwards options have their help again, which Invoke takes away."""
    for task in namespace.tasks.values():
        monkeypatch.setattr(task, "help", {**task.help})
    return Fab(namespace=namespace, executor_class=Executor, config_class=Config)
