"""What the server says about itself: its user, its home, its system."""

from __future__ import annotations

import re
from dataclasses import dataclass

from invoke import Exit

from .other_instances import Neighbour, neighbours

ADDED = "~/.jupyter/packages.txt"  # of the user's: the pip requirements that `fab packages` added
NAME = re.compile(r"[^\x00-\x20\x7f/:-][^\x00-\x20\x7f/:]*")  # of a user or a group
PATH = re.compile(r"/[^\x00-\x1f\x7f:]*")
OTHERS = "instance", "uid", "root", "system", "like", "version", "name", "systemd", "free", "turn"
FACTS = {"user": NAME, "group": NAME, "home": PATH} | dict.fromkeys(
    (*OTHERS, "certificates", "restoring", "cluster")
)
OLDEST = {"debian": 12, "ubuntu": 24}


@dataclass(frozen=True)
class Host:
    """Facts of one server, read in the same command as the state of the items.

    Before the first answer they are symbols (`~` for the home), enough to say what to read.
    """

    instance: str = "jupyterlab"  # what this JupyterLab is called there
    user: str = "user"
    group: str = "group"
    home: str = "~"
    uid: int = 1000
    system: str = "debian"
    like: str = ""
    version: str = "12"
    name: str = "Debian GNU/Linux 12"
    systemd: bool = True
    root: bool = False  # whether the login user is root already
    free: int = 10**6
    certificates: str = ""  # the names of those that Nginx has for us
    added: tuple[str, ...] = ()  # pip requirements that `fab packages` added
    cluster: tuple[str, ...] = ()  # `HOST NAME` of each worker that `fab cluster` has
    restoring: bool = False  # whether a restore was cut off
    neighbours: tuple[Neighbour, ...] = ()  # who else has one here
    turn: str = ""  # who changed it last, since when, and `, done`; empty since the last boot

    @property
    def unsettled(self) -> bool:
        """Whether the last run failed, was cut off, or is at work right now."""
        ended = self.turn in ("", "any") or self.turn.endswith(", done")
        return self.restoring or not ended

    @classmethod
    def parse(cls, lines: list[str], others: list[str], added: list[str]) -> Host:
        """Read the `key=value` lines that `facts` printed, and those of `neighbours`.

        :param added: the pip requirements in the user's file.
        :raises ValueError: when these are no facts of a server.
        """
        told = dict(line.split("=", 1) for line in lines if "=" in line)
        values = {name: told.get(name, "") for name in FACTS}
        for name in ("user", "group", "home"):  # which become names of files, here and there
            if not FACTS[name].fullmatch(values[name]):
                raise ValueError(f"{name}={values[name]}")
        return cls(
            **{
                **values,
                "uid": int(values["uid"]),
                "systemd": values["systemd"] == "yes",
                "root": values["root"] == "yes",
                "restoring": values["restoring"] == "yes",
                "free": int(values["free"] or -1),
                "added": tuple(filter(None, added)),
                "neighbours": neighbours(others),
                "cluster": tuple(filter(None, values["cluster"].split("\t"))),
            }
        )

    def under(self, path: str) -> str:
        """Resolve a leading `~` to this user's home."""
        return self.home + path[1:] if path == "~" or path.startswith("~/") else path

    def refuse_unfit(self) -> None:
        """Refuse a system that this cannot serve: one clear line instead of a broken run."""
        family = {self.system, *self.like.split()}
        if "debian" not in family:
            raise Exit(f"this is {self.name}: only Debian 12 or newer, or a derivative, is served")
        oldest, major = OLDEST.get(self.system), self.version.split(".")[0]
        if oldest and major.isdigit() and int(major) < oldest:
            raise Exit(f"this is {self.name}: upgrade it to {self.system} {oldest} or newer first")
        if self.uid == 0:
            raise Exit("JupyterLab does not run as root: name its user in lab.user, or with -H")
        if self.free < 0:
            raise Exit(f"{self.home}, the home of {self.user}, is not there: make it first")
        if not self.systemd:
            raise Exit(f"this {self.name} does not run systemd, which JupyterLab's service needs")
