"""Whether hosts can compute together: the same Python, names of their own; pure."""

from __future__ import annotations

from ..engine.host import Host

Seen = tuple[Host, dict[str, str]]  # the facts of a host, and what it said of itself as a place


def unlike(main: Seen, others: dict[str, Seen], where: str) -> list[str]:
    """A sentence on each host that cannot compute with main, and what to do about it.

    :param others: how the operator reaches each -> what was seen of it.
    :param where: how the operator reaches main.
    """
    host, seat = main
    wrong, called = [], {}
    for target, (other, its) in others.items():
        if its["machine"] == seat["machine"] and its["name"] == seat["name"]:
            wrong.append(f"{target} is {where} itself, where JupyterLab is: name other hosts")
        elif its["name"] in called:
            first = called[its["name"]]
            wrong.append(f"{first} and {target} are both called {its['name']}: name each host "
                         "once, and give it a name of its own with hostnamectl")  # fmt: skip
        elif its["python"] not in ("", seat["python"]):
            wrong.append(f"{target} has Python {its['python']}, but {where} has {seat['python']}: "
                         f"take a host with {host.name}, up to date as that one")  # fmt: skip
        elif not its["python"] and (other.system, other.version) != (host.system, host.version):
            wrong.append(f"{target} is {other.name}, but {where} is {host.name}, and has Python "
                         f"{seat['python']}: take a host with the same Debian")  # fmt: skip
        called.setdefault(its["name"], target)
    return wrong


def strangers(text: str, called: str) -> str:
    """Whose worker a unit is, if it is not this cluster's.

    :param text: of the unit that is there.
    :param called: what this cluster is called.
    """
    marks = [row for row in text.splitlines() if row.startswith("# Cluster: ")]
    whose = marks[0].removeprefix("# Cluster: ") if marks else ""
    return "" if whose == called or not text else whose or "somebody else"


def other_versions(differs: dict[str, list] | None, most: int = 3) -> str:
    """Say which versions are not those of main; nothing when all are.

    :param differs: name -> there, on main; None when they could not be asked for.
    """
    if differs is None:
        return "not known"
    told = [f"{name} {there or 'none'}, not {here}" for name, (there, here) in differs.items()]
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return "; ".join(told[:most]) + more
