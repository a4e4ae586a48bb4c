"""Further kernels beside the one of JupyterLab's own venv: kernelspecs, interpreters and venvs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from invoke import Exit

from ..script import call, look
from .base import Change, Item
from .files import File

OURS = "jupyterlab_fab"  # in a kernelspec's metadata, with its name: a renamed copy is not ours


@dataclass(frozen=True, kw_only=True)
class Kernelspec(File):
    """The kernel.json of a kernel that we made; one that somebody else made is never replaced.

    :param python: that of its venv; it must be able to start the kernel before anybody sees that.
    """

    name: str
    home: str
    python: str

    def compare(self, state, touched):
        if state.kind != "absent" and maker(state.text) != self.name:
            raise Exit(f"lab.kernels.{self.name}: {self.path} was not made by fab: choose another "
                       f"name, or remove it: jupyter kernelspec remove {self.name}")  # fmt: skip
        change = super().compare(state, touched)
        if change is None or state.text == self.content:
            return change
        folder = PurePosixPath(self.path).parent
        tried = self.python, "-c", "import ipykernel.kernelapp"
        first = call("as_user", self.owner, self.home, *tried)
        first += "\n" + call("intend", "path", folder)
        first += "\n" + call("owner_does", self.owner, "mkdir", "-p", "--", folder)
        say = f"register the kernel {self.name}" if state.text is None else change.say
        return replace(change, say=say, shell=f"{first}\n{change.shell}")

    def shown(self, state):
        return self.name


def maker(text: str | None) -> str | None:
    """Return the name under which we wrote a kernelspec; None when somebody else did."""
    try:
        return json.loads(text or "")["metadata"][OURS]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


@dataclass(frozen=True, kw_only=True)
class Python(Item):
    """An interpreter that a kernel needs, and that must exist.

    :param setting: the setting that names it, for messages.
    :param hidden: the sandbox hides that place from JupyterLab.
    """

    path: str
    setting: str
    hidden: bool = False
    theirs = True

    def read(self) -> str:
        return look("show_interpreter", self.path)

    def refuse_hidden(self) -> None:
        """Refuse a path that an SSH session sees, but JupyterLab does not."""
        if self.hidden:
            raise Exit(f"{self.setting}: {self.path} is in a home that lab.sandbox: strict hides: "
                       "move it to /opt, or choose lab.sandbox: standard")  # fmt: skip

    def compare(self, state, touched):
        self.refuse_hidden()
        coming = self.path.startswith("/usr/") and "/var/lib/dpkg/status" in touched
        if state != "absent" or coming:  # a package may contain it
            return None
        raise Exit(f"{self.setting}: there is no Python at {self.path}: install it there first, or "
                   "correct that setting")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OwnVenv(Python):
    """A venv that the user made, with ipykernel; it is only read."""

    def read(self) -> str:
        return look("show_ipykernel", self.path)

    def compare(self, state, touched):
        self.refuse_hidden()
        if state == "absent":
            raise Exit(f"{self.setting}: there is no venv at {self.path}: make it there first "
                       f"(python3 -m venv {self.path}), or correct that setting")  # fmt: skip
        if state == "former":
            raise Exit(f"{self.setting}: {self.path} was made with a Python that is gone: make it "
                       f"again there (python3 -m venv --clear {self.path})")  # fmt: skip
        if state == "lacking":
            raise Exit(f"{self.setting}: {self.path} has no ipykernel: on the server, run "
                       f"{self.path}/bin/python -m pip install ipykernel first")  # fmt: skip
        return None


@dataclass(frozen=True, kw_only=True)
class NoOthers(Item):
    """Absence of kernels that we made, with their venvs, and that the setting names no longer.

    :param specs, venvs: the folders that contain them.
    :param registered, made: the names of those that stay.
    """

    specs: str
    venvs: str
    owner: str
    registered: frozenset[str]
    made: frozenset[str]
    theirs = True

    def read(self) -> str:
        return look("show_kernels", self.specs, self.venvs)

    def parse(self, lines) -> tuple[set[str], set[str]]:
        """Return the names of the kernelspecs, and of the venvs, that we made."""
        # `spec NAME MAKER` and `venv NAME`; a user may have given any name
        found = [line.split(" ") for line in lines if re.fullmatch(r"[a-z0-9_ -]+", line)]
        specs = {f[1] for f in found if f[0] == "spec" and f[1:2] == f[2:]}
        return specs, {f[1] for f in found if f[0] == "venv" and len(f) == 2}

    def compare(self, state, touched):
        specs, venvs = state[0] - self.registered, state[1] - self.made
        if not specs | venvs:
            return None
        gone = [f"{self.specs}/{n}" for n in sorted(specs)]  # first, so that nobody is offered it
        gone += [f"{self.venvs}/{n}" for n in sorted(venvs)]
        fix = call("drop_kernels", self.owner, *gone)
        what = [f"the kernel {n}" for n in sorted(specs)]
        what += [f"{self.venvs}/{n}" for n in sorted(venvs - specs)]
        return Change(f"remove {', '.join(what)}: not in lab.kernels any more", fix)
