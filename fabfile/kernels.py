"""Further kernels of lab.kernels: each with its own packages and, if set, its own Python.

Owns ~/project/.kernels/NAME and ~/.local/share/jupyter/kernels/NAME for each kernel of the setting.
A kernel that leaves the setting is removed; kernels that somebody else registered are left alone.
"""

import json

import msgspec
from invoke import Exit

from . import jupyter
from .engine.actions import meet
from .engine.converge import converge
from .engine.host import Host
from .items import Item, Kernelspec, Needs, NoOthers, OwnVenv, Python, Venv
from .items.kernels import OURS
from .render import program
from .script import call
from .settings import Settings
from .ssh import channel
from .ssh.errors import fab_on
from .ui.console import more, say

SPECS = "~/.local/share/jupyter/kernels"  # Jupyter reads it at each request: no restart


def items(settings: Settings, host: Host) -> list[Item]:
    """Return a venv and a kernelspec for each kernel, and the removal of our other kernels."""
    wanted: list[Item] = []
    if settings.kernels:
        wanted += [
            Needs(path="/usr/share/python-wheels", maker="deps"),
            Needs(path=f"{host.under(settings.venv)}/bin/jupyter", maker="jupyter"),
        ]
    for name in settings.kernels:
        wanted += one(settings, host, name)
    others = NoOthers(
        specs=host.under(SPECS),
        venvs=host.under(f"{settings.project}/.kernels"),
        owner=host.user,
        registered=frozenset(settings.kernels),
        made=frozenset(name for name, kernel in settings.kernels.items() if not kernel.venv),
    )
    return [*wanted, others]


def one(settings: Settings, host: Host, name: str) -> list[Item]:
    """Return the venv of one kernel, our own or the user's, and its kernelspec."""
    kernel, venv = settings.kernels[name], host.under(settings.kernel_venv(name))
    python, where = host.under(kernel.python), f"lab.kernels.{name}"
    spec = Kernelspec(
        step="kernels",
        name=name,
        path=f"{host.under(SPECS)}/{name}/kernel.json",
        content=kernelspec(name, kernel.title or name, venv),
        owner=host.user,
        group=host.group,
        home=host.home,
        python=f"{venv}/bin/python",
    )
    if kernel.venv:
        unseen = hidden(settings, host, venv)
        return [OwnVenv(path=venv, setting=f"{where}.venv", hidden=unseen), spec]
    made = Venv(
        path=venv,
        owner=host.user,
        home=host.home,
        requirements=("ipykernel", *kernel.packages),
        python=python,
        installer=settings.installer,
        anew=f"made from {python}",
        needs=("python3", "python3-venv", *settings.system_packages),  # its Python, a compiler
    )
    if kernel.python == "python3":
        return [made, spec]
    unseen = hidden(settings, host, python)
    return [Python(path=python, setting=f"{where}.python", hidden=unseen), made, spec]


def hidden(settings: Settings, host: Host, path: str) -> bool:
    """Check whether the sandbox hides a path: the strict one shows no home but the user's."""
    shown = f"{host.home}/", f"{host.under(settings.project)}/"
    elsewhere = path.startswith(("/home/", "/root/")) and not path.startswith(shown)
    return settings.sandbox == "strict" and elsewhere


def kernelspec(name: str, title: str, venv: str) -> str:
    """Return the text of a kernel.json; PATH makes `!pip` in a notebook that of the kernel."""
    literal = venv.replace("$", "$$")  # Jupyter expands variables in it
    spec = {
        "argv": [f"{venv}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": title,
        "language": "python",
        "env": {"PATH": f"{literal}/bin:${{PATH}}", "VIRTUAL_ENV": literal},
        "metadata": {"debugger": True, OURS: name},
    }
    return json.dumps(spec, indent=2) + "\n"


def kernels(c, settings, list):
    if list:
        show(c, settings)
    else:
        converge(c, settings, items)


def show(c, settings: Settings) -> None:
    """Print every kernel that JupyterLab offers.

    :raises Exit: when there is no JupyterLab.
    """
    host, _ = meet(c, settings)
    python = f"{host.under(settings.venv)}/bin/python"
    how = f"HOME={host.home}", python, "-", *jupyter.OVER_SOCKETS
    asked = call("env", *how, text=program("list_kernels"))
    told = channel.ask(c, f"cd /\n{asked}\n", user=settings.user, seconds=600)
    rows = list(filter(None, map(offered, told)))
    if not rows:
        raise Exit(f"no JupyterLab on the server yet: first run {fab_on(c)} jupyter")
    wide = max(len(row.name) for row in rows)
    for row in rows:
        more("kernels", msgspec.to_builtins(row))
        say(f"  {row.name:<{wide}}  {row.title}: {row.what}")


class Offered(msgspec.Struct):
    """A kernel that JupyterLab offers: its name, its title, and what it runs with."""

    name: str
    title: str
    what: str


OFFERED = msgspec.json.Decoder(Offered)  # made at import: see items/runtime.py


def offered(line: str) -> Offered | None:
    """Return the kernel on a line of list_kernels.py; None for another line."""
    try:
        return OFFERED.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
