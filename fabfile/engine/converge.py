"""Read the server once, show the changes, apply them at once, and read again to check them."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from fabric import Connection
from invoke import Exit

from ..items import Change, Item
from ..script import exported
from ..settings import Settings
from ..ssh import channel, connection
from ..ssh.errors import fab_on, name_of
from ..ui import console
from ..ui.command import FAB
from . import consent, hints
from .host import Host, Request, proxies
from .other_instances import refuse_taken
from .plan import (
    MARK,
    Step,
    apply_script,
    compare,
    gather,
    hidden,
    name,
    reading,
    reading_script,
    sorted_out,
    split,
)

INDEX = 600  # seconds that a package index may take to answer a dry run
NOTHING = Request()
FIRST = 500  # MB of disk space: only a first installation needs more
MEMORY = 112  # MB; docs/sizing.md has measured it
TURNS = 10  # other runs that come first, until this one gives up
ROUNDS = 2  # a change may cause a second one, such as a restart; more would be a loop


@dataclass(frozen=True)
class Reading:
    """A host and its items, as they were read. :param answers: the lines of each item."""

    host: Host
    items: list[Item]
    answers: list[list[str]]

    @functools.cached_property
    def states(self) -> list:
        """The state of each item; parsed at first use, when an unsupported host was refused."""
        return [item.parse(lines) for item, lines in zip(self.items, self.answers, strict=True)]

    def of(self, kind: type) -> list[tuple[Any, Any]]:
        """Return the items of a kind, each with its state."""
        pairs = zip(self.items, self.states, strict=True)
        return [pair for pair in pairs if isinstance(pair[0], kind)]

    def changes(self, steps: tuple[Step, ...]) -> list[Change]:
        """Return the changes that are needed, in order, when these steps run."""
        return compare(self.items, self.states, {name(step) for step in steps})


def converge(c: Connection, chosen: Settings, *steps: Step, request: Request = NOTHING) -> Reading:
    """Bring the server to the desired state of the steps' items.

    :param steps: the `items` functions of the step modules, in order.
    :param request: what is asked for beyond them.
    :raises Exit: for an unsupported host, or a change that failed; the next run continues.
    """
    report = console.report(name_of(c))
    began = time.monotonic()
    seen, changes = look(c, chosen, steps, request)
    done = rounds = lost = 0
    agreed = request.yes
    if c.config.run.dry:
        console.more("differs", *(change.say for change in changes))
    while changes or seen.host.unsettled:
        if c.config.run.dry:
            coming = versions(c, changes, chosen)
            report.plan(seen.host, changes, len(seen.items), coming, whole=request.diff)
            consent.agree(c, True, *consent.losses(c, chosen, changes, read))
            return seen
        if changes and rounds == ROUNDS:
            raise Exit(f"'{changes[0].say}' is still not applied after two rounds: check the "
                       "server, then run again")  # fmt: skip
        if changes and not rounds:
            report.begin_host(seen.host, changes, len(seen.items))
            refuse_without_room(seen.host, changes)
        so_far = f"{console.count(done)} made, the rest was not" if done else consent.UNCHANGED
        gone = consent.losses(c, chosen, changes, read)
        agreed = consent.agree(c, agreed, *gone, so_far=so_far)
        after = apply(c, seen.host, seen.items, changes, report)
        if after is None:  # another run had the lock
            lost += 1
            if lost == TURNS:
                raise Exit(f"{name_of(c)}: other runs keep changing this server; {so_far}: wait "
                           "for them, then run again")  # fmt: skip
            seen, changes = look(c, chosen, steps, request)
            continue
        seen, done, rounds = after, done + len(changes), rounds + 1
        changes = seen.changes(steps)
    for step in map(name, steps):
        told = (item.shown(state) for item, state in seen.of(Item) if item.step == step)
        report.shown(step, ", ".join(filter(None, told)))
    console.more("changes")  # also when there are none
    console.note(system=seen.host.name, items=len(seen.items))
    report.end_host(done, len(seen.items), time.monotonic() - began)
    return seen


def look(
    c: Connection, chosen: Settings, steps, request: Request = NOTHING
) -> tuple[Reading, list[Change]]:
    """Connect, read and compare.

    :returns: what was read, and the changes that are needed.
    """
    with ThreadPoolExecutor(1) as beside:  # render while the connection opens
        first = beside.submit(gather, steps, chosen, request.upon(Host()))
        connection.open_connection(c, chosen)
    seen = read(c, first.result(), chosen)
    seen.host.refuse_unfit()
    refuse_taken(seen.host, chosen)
    where = fab_on(c)
    items = [item.named(where) for item in gather(steps, chosen, request.upon(seen.host))]
    seen = replace(seen, items=items)
    return seen, seen.changes(steps)


class NoUser(Exit):
    """The settings name a user whom the server does not have; root could create them."""


def read(c: Connection, items: list[Item], chosen: Settings) -> Reading:
    """Read the host and all items in one command, as the login user.

    What that user may not read is not taken for absent: then root reads all, by sudo.
    """
    lines = channel.ask(c, reading_script(items, chosen, root=c.user == "root"))
    sections = sorted_out(lines)
    seen = understood(c, items, chosen, lines, sections)
    if c.user == "root" or not any(map(hidden, sections.values())):
        return seen
    script = reading_script(items, msgspec.structs.replace(chosen, user=c.user), root=True)
    lines = [*channel.apply(c, script, root=False)]
    whole = understood(c, items, chosen, lines, sorted_out(lines))
    return replace(whole, host=replace(whole.host, root=False, proxies=seen.host.proxies))


def understood(
    c: Connection, items: list[Item], chosen: Settings, lines: list[str], sections: dict
) -> Reading:
    """Parse the answer of a host to the script that reads it.

    :param sections: those of the lines.
    :raises Exit: when it is none, or that of a user whom the settings do not mean.
    """
    user = chosen.user
    if "user=" in sections.get("facts", []):
        raise NoUser(
            f"there is no user {user or c.user} on {c.original_host}: create it, correct lab.user, "
            f"or log in as root: FABRIC_LAB_USER={user} {FAB} -H root@{c.original_host} full"
        )
    if "end" not in sections:
        raise Exit(hints.unanswered(lines, name_of(c), c.user, c.host))
    try:
        others, sites = sections["neighbours"], sections["listens"]
        host = Host.parse(sections["facts"], others, sections.get("added", []), sites)
        host = replace(host, proxies=wanted_proxies(chosen) or host.proxies)
    except (KeyError, ValueError) as problem:
        raise Exit(f"{name_of(c)} sent incomplete facts ({problem})") from None
    if user not in ("", c.user) and not host.root:
        raise Exit(f"lab.user is {user}: log in as that user or as root, not as {c.user}")
    return in_order(c, host, items, sections)


def in_order(c: Connection, host: Host, items: list[Item], sections) -> Reading:
    """Return what was read, with the lines of each item.

    :raises Exit: when the user's own files could not all be read.
    """
    if any(str(n) not in sections for n in range(len(items))):
        raise Exit(f"{name_of(c)}: {host.home} could not be read as {host.user}: check "
                   "whether a disk there hangs, then run again")  # fmt: skip
    answers = (sections[str(n)] for n in range(len(items)))
    return Reading(host, items, [["absent"] if one == ["hidden"] else one for one in answers])


def apply(c, host: Host, items, changes: list[Change], report) -> Reading | None:
    """Apply the changes in one command, reporting each step as it begins and ends; read again.

    :returns: what was read afterwards; None when another run had the lock.
    :raises Exit: when a step failed or the connection was lost.
    """
    script = apply_script(host, items, changes, console.operator())
    talk = channel.apply(c, script, root=host.root)
    words: list[str] = []
    lines: list[str] = []
    failed, well = None, 0
    try:
        while True:
            word, _, rest = (line := next(talk)).partition(" ")
            if lines or MARK.fullmatch(line):
                lines.append(line)
            elif word == "begin":
                report.begin(int(rest), changes[int(rest)].say)
            elif word == "end":
                number, code = map(int, rest.split())
                report.end(number, changes[number].say, code == 0)
                failed, well = changes[number] if code else failed, well + (code == 0)
            elif word == "turn":
                host = replace(host, turn=rest)
            elif word == "held":
                raise Exit(f"{name_of(c)}: nothing was changed: the lock is held by "
                           f"{rest}; wait for that run to end, then run again")  # fmt: skip
            elif word == "note":
                report.note(rest)
            elif word == "refused":
                raise Exit(f"{name_of(c)}: nothing was changed: {rest}")
            else:
                words.append(rest if word == "|" else line)
    except StopIteration as end:
        status = end.value
    except KeyboardInterrupt:
        raise Exit(f"\n{name_of(c)}: stopped: {well} of {console.count(len(changes))} made; run "
                   "again to continue", 130) from None  # fmt: skip
    finally:
        report.stop()
    where = name_of(c)
    if failed:
        raise Exit(hints.explain(failed.say, words, where, report.words))
    if words[-1:] == ["again"]:
        return None
    sections = sorted_out(lines)
    if status != 0 or "end" not in sections:
        last = words[-1] if words else "the connection was cut"
        raise Exit(f"{where}: stopped half-way: {last}; run again to continue")
    return in_order(c, host, items, sections)


def versions(c, changes: list[Change], chosen: Settings) -> dict[int, list[str]]:
    """Ask apt, uv or pip, without root and without writing, what they would install.

    :returns: the number of a change -> `name version` of all that it would install.
    """
    asked = "".join(f"section {n}\n{change.would}\n" for n, change in enumerate(changes))
    if not any(change.would for change in changes):
        return {}
    told = split(ask_user(c, chosen, f"answer\n{asked}"))
    return {n: sorted(told.get(str(n), [])) for n in range(len(changes))}


def ask_user(c: Connection, chosen: Settings, calls: str) -> list[str]:
    """Call functions that read, as the user whose files and programs they need."""
    calls = exported(wanted_proxies(chosen)) + calls
    return channel.ask(c, reading(chosen, calls), user=chosen.user, seconds=INDEX)


def wanted_proxies(chosen: Settings) -> tuple[tuple[str, str], ...]:
    """Return the variables of the proxy that the settings name; none without one."""
    return proxies(chosen.proxy, chosen.proxy)


def refuse_without_room(host: Host, changes: list[Change]) -> None:
    """Raise Exit, before anything is written, without the disk space or memory for the changes."""
    room = sum(change.room for change in changes)
    if host.free < room:
        raise Exit(
            f"the disk is full: {host.free} MB free under {host.home}, {room} MB are needed; "
            "make room there, then run again"
        )
    if room > FIRST and -1 < host.memory < MEMORY:  # a JupyterLab that runs has its memory
        raise Exit(f"{host.memory} MB of memory and swap are free, and JupyterLab with one kernel "
                   f"needs {MEMORY} MB: add memory or swap there, then run again")  # fmt: skip
