"""Checks that hosts can compute together: the same Python, different names. No side effects."""

from __future__ import annotations

from ..engine.host import Host

Seen = tuple[Host, dict[str, str]]  # the facts of a host, and what it reports of itself


def unlike(main: Seen, others: dict[str, Seen], where: str) -> list[str]:
    """Return a message for each host that cannot compute with main: why, and the remedy.

    :param others: name of each host, as the operator typed it -> what was seen of it.
    :param where: main's name, as the operator typed it.
    """
    host, seat = main
    wrong, called = [], {}
    for target, (other, its) in others.items():
        if its["machine"] == seat["machine"] and its["name"] == seat["name"]:
            wrong.append(f"{target} is {where} itself, the host of JupyterLab: name other hosts")
        elif its["name"] in called:
            first = called[its["name"]]
            wrong.append(f"{first} and {target} are both called {its['name']}: name each host "
                         "only once, and give each its own name with hostnamectl")  # fmt: skip
        elif its["python"] not in ("", seat["python"]):
            wrong.append(f"{target} has Python {its['python']}, but {where} has {seat['python']}: "
                         f"use a host with {host.name} and the same updates")  # fmt: skip
        elif not its["python"] and (other.system, other.version) != (host.system, host.version):
            wrong.append(f"{target} is {other.name}, but {where} is {host.name} with Python "
                         f"{seat['python']}: use a host with the same Debian")  # fmt: skip
        called.setdefault(its["name"], target)
    return wrong


def strangers(text: str, called: str) -> str:
    """Return the name of the other cluster that a worker unit belongs to; empty if it is ours.

    :param text: the text of the unit.
    :param called: the name of this cluster.
    """
    marks = [row for row in text.splitlines() if row.startswith("# Cluster: ")]
    whose = marks[0].removeprefix("# Cluster: ") if marks else ""
    return "" if whose == called or not text else whose or "somebody else"


def other_versions(differs: dict[str, list] | None, most: int = 3) -> str:
    """Return the versions that differ from main's, as text; empty when none do.

    :param differs: package -> version on the worker, on main; None when the worker did not say.
    """
    if differs is None:
        return "unknown"
    told = [f"{name} {there or 'none'}, not {here}" for name, (there, here) in differs.items()]
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return "; ".join(told[:most]) + more
