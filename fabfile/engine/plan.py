"""Turn items into a plan: what to read, what differs, and the order of the changes. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from ..items import Change, Item
from ..render import program, shell
from ..script import RemoteScript, call, exported, here, look
from ..settings import Settings
from ..ui.console import printable
from .host import ADDED, Host

Step = Callable[[Settings, Host], list[Item]]
MARK = re.compile("@[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MORE = f"section added\n{look('show_added', ADDED)}\n"  # this fact is in a file of the user
# The files with the functions that change a server.
SHELL = tuple(
    f"lib/{name}"
    for name in (
        "users", "apply", "places", "ledger", "files", "packages", "services", "cluster",
        "upgrade", "restore",
    )
)  # fmt: skip
# Directives of JupyterLab's unit that a container may not allow.
ISOLATED = "PrivateTmp=yes", "PrivateMounts=yes", "ProtectProc=invisible"
# A tool on the server -> a pattern of what the shell of a change contains if it needs that tool.
TOOLS = {
    "read.sh": "fill_",
    "install.py": "fill_venv",
    "archive_rules.py": "check_backup",
    "dependencies.py": "drop_packages|fill_venv",
    "compress_assets.py": "fill_assets",
    "wait_ready.py": "start_service",
    "check_venv.py": "check_venv",
    "run_in_kernel.py": "check_venv",
    "exchange_paths.py": "start_service",
}


def name(step: Step) -> str:
    """Return a step's name: that of its module."""
    return step.__module__.rpartition(".")[2]


def gather(steps, chosen, host: Host) -> list[Item]:
    """Return all items of the steps, in order."""
    return [item for step in steps for item in step(chosen, host)]


def look_script(items: dict[int, Item]) -> str:
    """Return the calls that print the state of items, each in a section named by its number."""
    some = items.values()
    paths = dict.fromkeys(path for item in some for path in item.paths)
    units = dict.fromkeys(unit for item in some for unit in item.units)
    names = dict.fromkeys(name for item in some for name in item.packages)
    asked = {"look_at": paths, "ask_systemd": units, "ask_dpkg": names}
    first = "".join(f"{look(ask, *things)}\n" for ask, things in asked.items() if things)
    return first + "".join(f"section {n}\n{item.read()}\n" for n, item in items.items())


def look_as_root(items: list[Item], reader: RemoteScript, home: str, first: str = "") -> str:
    """Return the same calls for root; the user runs those that read the user's paths.

    :param reader: the script that the user runs, without its calls.
    :param home: the user's home, as it stands in the items' paths.
    :param first: what else that user reads.
    """
    numbered = dict(enumerate(items))
    theirs = {n: item for n, item in numbered.items() if item.is_theirs(home)}
    ours = {n: item for n, item in numbered.items() if n not in theirs}
    calls = f"answer\n{first}{look_script(theirs)}section end\n"
    return f"{look_script(ours)}theirs {here(str(replace(reader, calls=calls)))}\n"


def reading_script(items: list[Item], chosen: Settings, root: bool = False) -> RemoteScript:
    """Return the script that reads a host: its facts, then its items.

    :param root: True if root logs in.
    """
    reader = reading(chosen)
    look = (
        look_as_root(items, reader, "~", MORE)
        if root
        else MORE + look_script(dict(enumerate(items)))
    )
    calls = {"facts": "facts", "neighbours": "neighbours", "listens": "show_listens"}
    facts = "answer\n" + "".join(f"section {name}\n{each}\n" for name, each in calls.items())
    return replace(reader, calls=f"{facts}{look}section end\n")


def reading(chosen: Settings, calls: str = "") -> RemoteScript:
    """Return a script of functions that read, for the login user or the user of JupyterLab."""
    return RemoteScript(("lib/whose", "lib/read"), whose(chosen), calls=calls)


def whose(chosen: Settings) -> dict[str, str]:
    """Return the variables that say which JupyterLab it is, and whose; see lib/whose."""
    return {"instance": chosen.instance.called, "account": chosen.user}


def split(lines: list[str]) -> dict[str, list[str]]:
    """Sort the lines of an answer by the names of its sections.

    Its first line is the mark, with which the first line of each section begins. Ignored are a
    repeated section, and what a login shell prints before the mark.

    :returns: name -> lines.
    """
    sections: dict[str, list[str]] = {}
    here: list[str] = []
    mark = ""
    for line in lines:
        if not mark:
            mark = f"{line} " if MARK.fullmatch(line) else ""
        elif line.startswith(mark):
            name, here = line.removeprefix(mark), []
            sections.setdefault(name, here)
        else:
            here.append(line)
    return sections


def sorted_out(lines: list[str]) -> dict[str, list[str]]:
    """Sort the lines of a whole answer, also those that root had the user read.

    :returns: as `split` does; nothing when the end is missing. What root itself read wins.
    """
    sections = split(lines)
    return split(sections.pop("theirs", [])) | sections if "end" in sections else {}


def hidden(lines: list[str]) -> bool:
    """Check whether `show_path` could not see a path, or not read a file, as the login user."""
    return lines[:1] == ["hidden"] or lines[1:2] == ["!unread"]


def compare(items: list[Item], states: list, running: set[str]) -> list[Change]:
    """Return the changes that are needed, in order; each item knows what earlier ones touch."""
    touched: set[str] = set()
    changes = []
    for item, state in zip(items, states, strict=True):
        if item.made_by(running):
            continue
        change = item.compare(state, touched)
        if change:
            touched |= set(change.touches)
            changes.append(change)
    return merge_packages(items, changes)


def merge_packages(items: list[Item], changes: list[Change]) -> list[Change]:
    """Merge package changes: those that the next change needs, then the rest. Checks come first."""
    checks = [change for change in changes if change.check]
    others = [change for change in changes if not change.packages and not change.check]
    missing = list(dict.fromkeys(n for change in changes for n in change.packages))
    if not missing:
        return checks + others
    waiting = (set(change.needs) & set(missing) for change in others)
    first = next(filter(None, waiting), set(missing))
    groups = [n for n in missing if n in first], [n for n in missing if n not in first]
    installer = next(item for item in items if item.packages)
    merged = [installer.install(names) for names in groups if names]
    merged[0] = replace(merged[0], would=installer.install(missing).would)  # apt is asked once
    merged[1:] = [replace(change, would="") for change in merged[1:]]
    return checks + merged + others


def schedule(changes: list[Change]) -> str:
    """Return the lines that run the steps; a second package transaction runs in parallel."""
    packages = [n for n, change in enumerate(changes) if change.packages]
    beside = packages[1] if len(packages) > 1 else None
    lines = []
    for n, change in enumerate(changes):
        if beside is not None and set(change.needs) & set(changes[beside].packages):
            lines.append("finish")
        lines.append(f"begin {n}" if n == beside else f"run_step {n}")
    return "\n".join([*lines, "finish"]) + "\n"


def applying() -> str:
    """Return the functions that change a server."""
    return "".join(map(shell, SHELL))


def apply_script(
    host: Host, items: list[Item], changes: list[Change], operator: str
) -> RemoteScript:
    """Return the script that runs as root: tools, steps, their order, and the second reading.

    :param operator: who runs it, for another run that waits.
    """
    values = {"instance": host.instance, "account": host.user, "home": host.home}
    called = "".join(change.shell for change in changes)
    more = ("lib/uninstall",) if "take_away" in called or "close_ledger" in called else ()
    lines = [
        exported(host.proxies),
        call("confirm_user", host.user, host.uid, host.group, host.home),
        *([call("confirm_isolation", *ISOLATED)] if "start_service" in called else []),
        call("take_turn", operator, host.turn),
    ]
    for tool, user in TOOLS.items():
        if re.search(user, called):
            text = shell("lib/read") if tool == "read.sh" else program(tool.removesuffix(".py"))
            lines.append(f'cat >"$run/{tool}" {here(text)}')
    for n, c in enumerate(changes):  # a comment must be one line, whatever a name in it contains
        lines.append(f"step_{n}() {{ # {' '.join(printable(c.say).split())}\n{c.shell}\n}}")
    lines.append(schedule(changes) + ("settle" if items else "settle_deed"))
    reader = RemoteScript(("lib/read",), values)
    again = look_as_root(items, reader, host.home) if items else ""
    lines.append(f"answer\n{again}section end\n")
    return RemoteScript(("lib/read", *SHELL, *more), values, calls="\n".join(lines))
