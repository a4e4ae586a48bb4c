"""Consent to what a run ends or takes away: one question for all tasks."""

from __future__ import annotations

from fabric import Connection
from invoke import Exit

from ..items import Change
from ..settings import Settings
from ..ssh.errors import name_of
from ..ui.console import count, may_ask, say

UNREAD = "JupyterLab does not say which kernels run; those that do end with it"
UNCHANGED = "nothing was changed"


def losses(
    c: Connection, settings: Settings, changes: list[Change], read
) -> tuple[list[dict] | None, tuple[str, ...]]:
    """Return the kernels that end with changes, and what else these take away.

    The server is asked for its kernels only when a change ends them.

    :param read: reads items of the server.
    """
    lost = tuple(line for change in changes for line in change.loses)
    reader = next((change.ends for change in changes if change.ends), None)
    if not reader:
        return [], lost
    (state,) = read(c, [reader], settings).states
    return state.get("kernels"), lost


def ends(kernels: list[dict] | None) -> str:
    """Return a line about the kernels that will end; "" when none runs.

    :param kernels: None when JupyterLab runs, but does not tell them.
    """
    if not kernels:
        return UNREAD if kernels is None else ""
    names = [f"{one['notebook'] or one['name']} ({one['state'] or 'unknown'})" for one in kernels]
    end = "ends" if len(kernels) == 1 else "end"
    return f"{count(len(kernels), 'kernel')} {end} with it: {', '.join(names)}"


def agree(
    c: Connection,
    yes: bool,
    kernels: list[dict] | None,
    lost: tuple[str, ...] = (),
    so_far: str = UNCHANGED,
) -> bool:
    """Print what ends or goes; on a terminal, ask first.

    Elsewhere `--yes` is needed where a kernel computes, or something of `lost` goes. A dry run
    only prints.

    :param yes: do not ask.
    :param kernels: those that would end; None when JupyterLab does not tell them.
    :param lost: what else would go, a line each.
    :param so_far: what has been changed, for the refusal.
    :returns: whether the operator knows and agrees, so that a second round need not ask.
    :raises Exit: when the answer is no, or `--yes` is needed.
    """
    told = [*lost, *filter(None, [ends(kernels)])]
    for line in told:
        say(f"  note          {line}")
    if not told or yes or c.config.run.dry:
        return yes
    busy = [one for one in kernels or [] if one["state"] == "busy"]
    computes = f"{count(len(busy), 'kernel')} busy: the running computation is lost"
    if may_ask():
        ask(f"{computes}. " if busy else "", so_far)
    elif busy or lost:
        why = "; ".join([*lost, *[computes] * bool(busy)])
        first = "correct the settings, or " if lost else ""
        raise Exit(f"{name_of(c)}: {so_far}: {why}; {first}to go on all the same, add --yes")
    return True


def ask(why: str, so_far: str = UNCHANGED) -> None:
    """Ask on the terminal whether to go on.

    :raises Exit: for every answer but yes.
    """
    if not confirmed(f"{why}Go on?"):
        raise Exit(so_far)


def confirmed(question: str, usual: bool = False) -> bool:
    """Ask a question on the terminal.

    :param usual: what an empty answer means.
    """
    choices = "[Y/n]" if usual else "[y/N]"
    try:
        return input(f"{question} {choices} ").strip().lower() in ("y", "yes", *[""] * usual)
    except EOFError:
        say()
        return False
