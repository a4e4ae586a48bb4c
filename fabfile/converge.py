"""Read the server once, show what differs, apply it at once, and read again whether it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fabric import Connection
from invoke import Exit

from . import output, remedies, remote, settings
from .host import Host
from .items import Change, Item, Needs, Packages, call
from .render import HOME, shell

Step = Callable[[settings.Settings, Host], list[Item]]
ROUNDS = 2  # a change may bring a second one about, such as a restart; more would be a loop


@dataclass(frozen=True)
class State:
    """What converged: the host, its items, and the lines that were read of each."""

    host: Host
    items: list[Item]
    answers: list[list[str]]

    def of(self, kind: type) -> tuple[Item, list[str]]:
        """The one item of a kind, with its lines."""
        pairs = zip(self.items, self.answers, strict=True)
        return next(pair for pair in pairs if isinstance(pair[0], kind))


def converge(c: Connection, *steps: Step, chosen: settings.Settings | None = None) -> State:
    """Bring the server to what the steps' items say.

    :param steps: the `items` functions of the step modules, in order.
    :param chosen: the settings, when they are not the ones of `c.config`.
    :raises Exit: for a host that is unfit, or a change that failed; the next run goes on.
    """
    chosen = chosen or settings.load(c.config)
    report = output.report(remote.name_of(c))
    began = time.monotonic()
    remote.open_connection(c, chosen)
    host, answers = read(c, gather(steps, chosen, Host()))
    host.refuse_unfit()
    items = gather(steps, chosen, host)
    done = 0
    for _ in range(ROUNDS):
        changes = compare(items, answers, {name(step) for step in steps})
        if not changes:
            break
        if c.config.run.dry:
            report.plan(host, changes, len(items))
            return State(host, items, answers)
        if not done:
            report.begin_host(host, len(changes), len(items))
            refuse_full_disk(host, changes)
        answers = apply(c, host, items, changes, report)
        done += len(changes)
    else:
        rest = compare(items, answers, set())
        if rest:
            raise Exit(
                f"this did not take: {rest[0].say}; look at it on the server, then run again"
            )
    for step in steps:
        report.shown(name(step), facts_of(items, answers, name(step)))
    report.end_host(done, len(items), time.monotonic() - began)
    return State(host, items, answers)


def name(step: Step) -> str:
    """A step's name: its module's."""
    return step.__module__.rpartition(".")[2]


def gather(steps, chosen, host: Host) -> list[Item]:
    """All items of the steps, in order."""
    return [item for step in steps for item in step(chosen, host)]


def facts_of(items, answers, step: str) -> str:
    """What a step's items want shown."""
    told = (i.shown(lines) for i, lines in zip(items, answers, strict=True) if i.step == step)
    return ", ".join(filter(None, told))


def read_script(items: list[Item]) -> str:
    """The calls that print every item's state, each under a line `@N`."""
    return "".join(f"echo @{n}\n{item.read()}\n" for n, item in enumerate(items))


def reading_script(items: list[Item]) -> str:
    """The whole of what reads a host: its facts, then its items."""
    return f"{shell('read.sh')}{HOME}\necho @facts\nfacts\n{read_script(items)}echo @end\n"


def read(c: Connection, items: list[Item]) -> tuple[Host, list[list[str]]]:
    """Read the host and all items in one command, as the login user."""
    lines, status = remote.ask(c, reading_script(items))
    sections = split(lines)
    if "end" not in sections:
        last = lines[-1] if lines else f"nothing, and exit status {status}"
        raise Exit(f"{remote.name_of(c)} could not be read; it said: {last}")
    return Host.parse(sections["facts"]), [sections[str(n)] for n in range(len(items))]


def split(lines: list[str]) -> dict[str, list[str]]:
    """Sort lines under the last `@name` line before them; what a login shell says first is lost."""
    sections: dict[str, list[str]] = {}
    here: list[str] = []
    for line in lines:
        if line.startswith("@"):
            here = sections.setdefault(line[1:], [])
        else:
            here.append(line)
    return sections


def compare(items: list[Item], answers: list[list[str]], running: set[str]) -> list[Change]:
    """The changes that are needed, in order; a later item knows what the earlier ones touch."""
    touched: set[str] = set()
    changes = []
    for item, lines in zip(items, answers, strict=True):
        if isinstance(item, Needs) and item.maker in running:
            continue
        change = item.compare(lines, touched)
        if change:
            touched |= set(change.touches)
            changes.append(change)
    return merge_packages(items, changes)


def merge_packages(items: list[Item], changes: list[Change]) -> list[Change]:
    """Packages first: at once what the next change waits for, the rest beside the others."""
    others = [change for change in changes if not change.packages]
    missing = list(dict.fromkeys(n for change in changes for n in change.packages))
    if not missing:
        return others
    waiting = (set(change.needs) & set(missing) for change in others)
    first = next(filter(None, waiting), set(missing))
    groups = [n for n in missing if n in first], [n for n in missing if n not in first]
    installer = next(item for item in items if isinstance(item, Packages))
    checks = [change for change in others if change.check]
    merged = [installer.install(names) for names in groups if names]
    return checks + merged + [change for change in others if not change.check]


def schedule(changes: list[Change]) -> str:
    """The lines that run the steps: a second package transaction goes on beside what follows."""
    packages = [n for n, change in enumerate(changes) if change.packages]
    beside = packages[1] if len(packages) > 1 else None
    lines = []
    for n, change in enumerate(changes):
        if beside is not None and set(change.needs) & set(changes[beside].packages):
            lines.append("finish")
        lines.append(f"begin {n}" if n == beside else f"run {n}")
    return "\n".join([*lines, "finish"]) + "\n"


def apply_script(host: Host, items: list[Item], changes: list[Change]) -> str:
    """The whole of what runs as root: tools, steps, their order, and the second look."""
    tools = [shell("read.sh"), shell("apply.sh")]
    calls = "".join(change.shell for change in changes)
    for tool, user in (("install.py", "fill_venv"), ("answers.py", "start_service")):
        if user in calls:
            tools.append(call(f'cat >"$run/{tool}"', text=shell(tool)) + "\n")
    steps = [f"step_{n}() {{ # {c.say}\n{c.shell}\n}}\n" for n, c in enumerate(changes)]
    look = f"home={call('', host.home).strip()}\n{read_script(items)}echo @end\n"
    return "".join([*tools, *steps, schedule(changes), "settle\n", look])


def apply(c, host: Host, items, changes: list[Change], report) -> list[list[str]]:
    """Apply the changes in one command, telling each step as it begins and ends; read again."""
    talk = remote.apply(c, apply_script(host, items, changes), root=host.uid == 0)
    last_words, lines, failed = [], [], None
    while True:
        try:
            line = next(talk)
        except StopIteration as end:
            status = end.value
            break
        word, _, rest = line.partition(" ")
        if lines or line.startswith("@"):
            lines.append(line)
        elif word == "begin":
            report.begin(int(rest), changes[int(rest)].say)
        elif word == "end":
            number, code = map(int, rest.split())
            report.end(number, changes[number].say, code == 0)
            failed = changes[number] if code else failed
        elif word == "note":
            report.note(rest)
        elif word == "|":
            last_words.append(rest)
        elif line != "go":
            last_words.append(line)
    report.stop()
    if failed:
        raise Exit(remedies.explain(failed.say, last_words, report, remote.name_of(c)))
    sections = split(lines)
    if status != 0 or "end" not in sections:
        last = last_words[-1] if last_words else "the connection was cut"
        raise Exit(
            f"{remote.name_of(c)}: stopped half-way: {last}; run again, it goes on from there"
        )
    return [sections[str(n)] for n in range(len(items))]


def refuse_full_disk(host: Host, changes: list[Change]) -> None:
    """Refuse before anything is written when what will be installed cannot fit."""
    room = sum(change.room for change in changes)
    if host.free < room:
        raise Exit(
            f"the disk is full: {host.free} MB free under {host.home}, {room} MB are needed; "
            "make room there, then run again"
        )
