"""The commands that the documents have people type: in console blocks, and in the running text."""

import re
import shlex

from fabfile import ns
from testbed.machine import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = re.compile(r"([A-Z_]+=\S+ )*(sudo )?(\./bootstrap|(\.venv/bin/)?(fab|invoke))\b")
SPAN = re.compile(r"`([^`]+)`")  # also over the end of a line
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^(?:\$|root@server:~#) (.+)$", re.MULTILINE)

HERE = ("check", "init")  # tasks that need no server


def commands_of(text: str) -> list[str]:
    """Every command on a page, as it is typed, without the remark behind it."""
    typed = [re.sub(r"\s+# .*", "", line) for line in PROMPT.findall(text)]
    spans = (" ".join(span.split()) for span in SPAN.findall(BLOCK.sub("", text)))
    return typed + [s for s in spans if PROGRAM.match(s) and s not in ("fab", ".venv/bin/fab")]


def all_commands() -> list[str]:
    """Every command of every page, once."""
    return list(dict.fromkeys(c for page in PAGES for c in commands_of(page.read_text())))


def parts(command: str) -> tuple[str, str, list[str]]:
    """Split a command of fab or invoke into its program, its task and the task's options."""
    words = shlex.split(PROGRAM.sub(lambda found: found[3], command, count=1))
    program = "fab" if words[0].endswith("fab") else "invoke"
    words = [word for word in words[1:] if word != "--dry"]
    if words[:1] == ["-H"]:
        words = words[2:]
    return program, words[0] if words else "", [w for w in words[1:] if w.startswith("--")]


def complete(command: str) -> bool:
    """Whether it can be typed as it stands; otherwise it names a task, as `fab token --rotate`."""
    program, task, options = parts(command)
    whole = program == "invoke" or " -H " in command or task.startswith("-") or task in HERE
    return whole or ((task == "fleet" and "--on" in command) or "--retry-failed" in options)


def told_by(mention: str, commands) -> bool:
    """Whether one of the commands is of the task that is mentioned, with the options, too."""
    program, task, options = parts(mention)
    if task not in ns.task_names:
        return False
    return any(
        PROGRAM.match(command)
        and parts(command)[:2] == (program, task)
        and set(options) <= set(parts(command)[2])
        for command in commands
    )
