"""Prompts and refusals of sudo on a server."""

from __future__ import annotations

import getpass
import re

from fabric import Connection
from invoke import Exit

from ..ui.console import may_ask
from .errors import name_of


def ask_password(c: Connection) -> str:
    """Ask for sudo's password, without showing it."""
    if not may_ask():
        raise Exit(
            f"sudo on {name_of(c)} asks for a password: add --prompt-for-sudo-password, or set "
            "FABRIC_SUDO_PASSWORD"
        )
    return getpass.getpass(f"sudo password of {name_of(c)}: ")


def once(password: str, c: Connection):
    """Return a function that answers sudo's first prompt; a second means a wrong password."""
    answers = iter([password])

    def answer() -> str:
        for known in answers:
            return known
        raise Exit(f"sudo on {name_of(c)} refuses this password: run again and retype it")

    return answer


def refuses(c: Connection, line: str) -> str | None:
    """Return what sudo lacks, `password` or `tty`, if any.

    :raises Exit: for every other refusal.
    """
    # sudo-rs calls itself sudo or sudo-rs, and has words of its own
    if re.match("sudo(-rs)?: (a password|interactive authentication) is required", line):
        return "password"
    if re.match("sudo(-rs)?: .*you must have a tty", line):
        return "tty"
    if re.search("sudo: (command )?not found|env: ['\u2018]sudo['\u2019]", line):
        raise Exit(f"{name_of(c)} has no sudo: log in as root, or install sudo there")
    if re.search("not in the sudoers file|is not allowed to execute|sudo(-rs)?: I'm sorry ", line):
        raise Exit(f"{c.user} may not use sudo on {c.original_host}: add the user to group sudo")
    return None
