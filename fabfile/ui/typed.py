"""The command line: an option that takes several words, hints for unknown ones, tasks in groups.

Invoke's parser takes one word for an option, and its list of tasks has no groups. It has no setting
for that; so three of its methods are replaced here.
"""

import re
import shlex
from itertools import groupby

from invoke import Program
from invoke.exceptions import ParseError
from invoke.parser.parser import ParseMachine
from invoke.util import helpline

from .command import FAB

SEVERAL = {("packages", "add"), ("packages", "remove")}  # (task, option)
handle_one = ParseMachine.handle
list_sorted = Program.list_flat


def handle(machine: ParseMachine, word: str) -> None:
    """Add a further word to the value of an option that takes several; else do as Invoke does."""
    task, option = machine.context, machine.flag
    if (
        option
        and (task.name, option.name) in SEVERAL
        and option.raw_value is not None
        and not word.startswith("-")
        and word not in machine.contexts
    ):
        option.set_value(f"{option.raw_value} {shlex.quote(word)}")
        return
    try:
        handle_one(machine, word)
    except ValueError:  # int() of a word
        machine.error(f"--{option.name} takes a number, not {word!r}")


def refuse(machine: ParseMachine, why: str) -> None:
    """Raise ParseError; for an unknown word with the nearest task or option."""
    if unknown := re.fullmatch(r"No idea what '(.+)' is!", why):
        from difflib import get_close_matches

        word, task = unknown[1], machine.context
        if word.startswith("-") and task and task.name:
            known, what = task.flags, f"{task.name} has no option {word}"
            all_of_them = f"{FAB} --help {task.name} shows its options"
        else:
            known, what = machine.contexts, f"no task is called {word}"
            all_of_them = f"{FAB} --list shows all tasks"
        near = get_close_matches(word, list(known), 1)
        why = f"{what}; {f'did you mean {near[0]}?' if near else all_of_them}"
    raise ParseError(why, machine.context)


def list_in_groups(program: Program) -> None:
    """List the tasks by their attribute `group`, in their order; else do as Invoke does."""
    found = program.scoped_collection.tasks
    if not all(hasattr(task, "group") for task in found.values()):
        list_sorted(program)
        return
    rows: list[tuple[str, str | None]] = []
    for group, named in groupby(found.items(), lambda pair: pair[1].group):
        rows += [*[("", None)] * bool(rows), (group, None)]
        rows += [(f"  {name}", helpline(task)) for name, task in named]
    program.display_with_columns(rows)


ParseMachine.handle, ParseMachine.error = handle, refuse
Program.list_flat = list_in_groups
