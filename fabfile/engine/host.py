"""The facts that a server reports: its user, its home, its system."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from invoke import Exit

from ..ui.command import FAB
from .listening import Listen, listens
from .other_instances import Neighbour, neighbours

ADDED = "~/.jupyter/packages.txt"  # the pip requirements that `fab packages` added
NAME = re.compile(r"[^\x00-\x20\x7f/:-][^\x00-\x20\x7f/:]*")  # of a user or a group
PATH = re.compile(r"/[^\x00-\x1f\x7f:]*")
OTHERS = (
    "instance", "uid", "root", "system", "like", "version", "name", "systemd", "free", "memory",
    "turn", "certificates", "restoring", "cluster", "ipv6", "reads_sites", "nginx_user", "proxies",
)  # fmt: skip
FACTS = {"user": NAME, "group": NAME, "home": PATH} | dict.fromkeys(OTHERS)
PROXIES = "http_proxy", "https_proxy", "no_proxy"  # variables; sudo and systemd drop them
PROXY = re.compile(r"""[^\s"'\\$`]+""")
LOCAL = "localhost,127.0.0.1,::1"
OLDEST = {"debian": 12, "ubuntu": 24}


@dataclass(frozen=True)
class Host:
    """The facts of a server, read in the same command as the state of the items.

    Before the first answer they are symbols (`~` for the home), enough to know what to read.
    """

    instance: str = "jupyterlab"  # the name of this JupyterLab on the server
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
    free: int = 10**6  # MB of disk space
    memory: int = 10**6  # MB that are free, with swap
    certificates: str = ""  # the names of those that Nginx has for our site
    added: tuple[str, ...] = ()  # pip requirements that `fab packages` added
    cluster: tuple[str, ...] = ()  # `HOST NAME` of each worker of the cluster
    restoring: bool = False  # whether a restore was interrupted
    neighbours: tuple[Neighbour, ...] = ()  # all JupyterLabs of this server
    ipv6: bool = True  # whether programs can have sockets of IPv6
    listens: tuple[Listen, ...] = ()  # of the sites of others in Nginx
    reads_sites: bool = True  # whether Nginx reads sites-enabled
    nginx_user: str = ""  # the one as whom Nginx runs, if not in the group www-data
    proxies: tuple[tuple[str, str], ...] = ()  # variables of the way to the network -> values
    turn: str = ""  # who changed it last, since when, `, done` at its end; empty after a boot
    anew: str = ""  # not a fact but a request: see Request

    @property
    def unsettled(self) -> bool:
        """True when the last run failed, was interrupted, or still runs."""
        ended = self.turn in ("", "any") or self.turn.endswith(", done")
        return self.restoring or not ended

    @classmethod
    def parse(
        cls, lines: list[str], others: list[str], added: list[str], sites: list[str] | None = None
    ) -> Host:
        """Parse the `key=value` lines that `facts` printed, and the lines of `neighbours`.

        :param added: the pip requirements in the user's file.
        :param sites: the lines of `show_listens`.
        :raises ValueError: when a fact is malformed.
        """
        told = dict(line.split("=", 1) for line in lines if "=" in line)
        values = {name: told.get(name, "") for name in FACTS}
        for name in ("user", "group", "home"):  # they become file names, here and on the server
            if not FACTS[name].fullmatch(values[name]):
                raise ValueError(f"{name}={values[name]}")
        return cls(
            **{
                **values,
                "uid": int(values["uid"]),
                "systemd": values["systemd"] == "yes",
                "root": values["root"] == "yes",
                "restoring": values["restoring"] == "yes",
                "ipv6": values["ipv6"] == "yes",
                "proxies": proxies(*values["proxies"].split("\t")),
                "listens": listens(sites or []),
                "reads_sites": values["reads_sites"] != "no",
                "free": int(values["free"] or -1),
                "memory": int(values["memory"] or -1),
                "added": tuple(filter(None, added)),
                "neighbours": neighbours(others),
                "cluster": tuple(filter(None, values["cluster"].split("\t"))),
            }
        )

    def under(self, path: str) -> str:
        """Replace a leading `~` by the user's home."""
        return self.home + path[1:] if path == "~" or path.startswith("~/") else path

    def refuse_unfit(self) -> None:
        """Raise Exit for a system that is not supported."""
        family = {self.system, *self.like.split()}
        if "debian" not in family:
            raise Exit(f"this is {self.name}: only Debian 12 or newer or a derivative is supported")
        oldest, major = OLDEST.get(self.system), self.version.split(".")[0]
        if oldest and major.isdigit() and int(major) < oldest:
            raise Exit(f"this is {self.name}: upgrade it to {self.system} {oldest} or newer first")
        if self.uid == 0:
            raise Exit(
                "JupyterLab does not run as root: name its user, whom full creates if needed, such "
                f"as: FABRIC_LAB_USER=david {FAB} -H root@1.1.1.1 full"
            )
        for kind, name, rename in (
            ("user", self.user, "usermod --login"),
            ("group", self.group, "groupmod --new-name"),
        ):
            if name.isdigit():  # systemd.exec(5), User=
                raise Exit(
                    f"the name of the {kind} {name} has only digits, which systemd takes for an "
                    f"ID: choose another user, or on the server: sudo {rename} NAME {name}"
                )
        if self.free < 0:
            shut = ", or root may not enter it" if self.root else ""
            raise Exit(
                f"{self.home}, the home of {self.user}, does not exist{shut}: create it first"
            )
        if not self.systemd:
            raise Exit(f"this {self.name} does not run systemd, which JupyterLab's service needs")


def proxies(*values: str) -> tuple[tuple[str, str], ...]:
    """Return the variables of proxies that have a proper value, if there is a proxy."""
    tight = ("".join(value.split()) for value in values)  # no_proxy may have blanks
    found = {name: v for name, v in zip(PROXIES, tight, strict=False) if PROXY.fullmatch(v)}
    return tuple(({"no_proxy": LOCAL} | found).items()) if {*found} - {"no_proxy"} else ()


@dataclass(frozen=True)
class Request:
    """The wishes of a task beyond the settings; None leaves what the host has.

    :param anew: a stamp: create the venv again, unless that was done under this stamp.
    :param added: the pip requirements of `fab packages`.
    :param cluster: `HOST NAME` of each worker.
    :param yes: do not ask before kernels end, or something else goes.
    :param diff: a dry run shows the text of new files, too.
    """

    anew: str = ""
    added: tuple[str, ...] | None = None
    cluster: tuple[str, ...] | None = None
    yes: bool = False
    diff: bool = False

    def upon(self, host: Host) -> Host:
        """Return the facts of a host as they should be after this request."""
        return replace(
            host,
            anew=self.anew,
            added=host.added if self.added is None else self.added,
            cluster=host.cluster if self.cluster is None else self.cluster,
        )
