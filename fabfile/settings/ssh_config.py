"""The operator's ssh_config with its `Include` lines, which Paramiko does not know.

The text of the included files is put in their place, and Fabric's method that reads a file is
replaced by one that does so. In an included file a `Host` line counts only where the block with the
`Include` does, as in ssh: there it becomes a `Match` line with the conditions of both.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from glob import glob
from io import StringIO

from fabric import Config
from invoke import Exit

SYSTEM = "/etc/ssh"
DEPTH = 16  # of files that include each other, as in ssh
LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.+)")
KNOWN = {"all", "canonical", "final", "host", "originalhost", "user", "localuser", "exec"}  # Match
ALONE = {"all", "canonical", "final"}  # these have no value
NEVER = "originalhost !*"


def load(config: Config, path: str) -> None:
    """Read an ssh_config file, if there is one, into Fabric's configuration.

    :raises Exit: for a line that is none.
    """
    if not os.path.isfile(path):
        return
    from paramiko.ssh_exception import ConfigParseError

    text = text_of(path)
    if re.search(r"(?im)^\s*(include|match)\b", text):
        folder = SYSTEM if path.startswith(f"{SYSTEM}/") else os.path.expanduser("~/.ssh")
        text = "\n".join(expanded(text, path, folder))
    try:
        config.base_ssh_config.parse(StringIO(text))
    except ConfigParseError as problem:
        raise Exit(f"{path}: {problem}") from None


def text_of(path: str) -> str:
    """Return the text of a file, whatever its bytes are."""
    with open(path, errors="surrogateescape") as file:
        return file.read()


def expanded(text: str, path: str, folder: str, outer: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the lines of a file, with those of the files that it includes.

    :param folder: where relative paths begin.
    :param outer: the conditions, as of a `Match` line, under which the file counts; "" for all.
    """
    block = outer
    for line in text.splitlines():
        found = LINE.fullmatch(line)
        keyword, value = (found[1].lower(), found[2].strip()) if found else ("", "")
        if keyword in ("host", "match"):
            own = conditions(keyword, value, path)
            block = " ".join(filter(None, (outer, own)))
            yield line.strip() if keyword == "host" and not outer else header(block)
        elif keyword == "include":
            for other in included(value, path, folder, depth):
                yield from expanded(text_of(other), other, folder, block, depth + 1)
                yield header(block)  # which goes on
        else:
            yield line


def header(block: str) -> str:
    """Return the line that begins a block with these conditions."""
    return f"Match {block}" if block else "Host *"


def conditions(keyword: str, value: str, path: str) -> str:
    """Return the conditions of a Host or Match line as those of a Match line; "" for every host."""
    words = split(keyword, value, path)
    if keyword == "host":
        return "" if words == ["*"] else f"originalhost {shlex.quote(','.join(words))}"
    kept, left = [], list(words)
    while left:
        kind = left.pop(0)
        bare = kind.removeprefix("!").lower()
        if bare not in KNOWN or (bare not in ALONE and not left):
            warn(f"{path}: `Match {value}` is not understood here: its lines are left out")
            return NEVER
        if bare != "all":
            kept += [kind.lower(), *([] if bare in ALONE else [shlex.quote(left.pop(0))])]
    return " ".join(kept)


def split(keyword: str, value: str, path: str) -> list[str]:
    """Return the words of a line.

    :raises Exit: for a quote without its end.
    """
    try:
        return shlex.split(value)
    except ValueError as problem:
        raise Exit(f"{path}: {keyword} {value}: {problem}") from None


def included(value: str, path: str, folder: str, depth: int) -> list[str]:
    """Return the files of an Include line that can be read, in order."""
    files = []
    for word in split("include", value, path):
        pattern = os.path.join(folder, os.path.expanduser(os.path.expandvars(word)))
        files += [file for file in sorted(glob(pattern)) if os.path.isfile(file)]
    if files and depth == DEPTH:
        warn(f"{path}: more than {DEPTH} files include each other: the rest is left out")
        return []
    readable = [file for file in files if os.access(file, os.R_OK)]
    for file in files:
        if file not in readable:
            warn(f"{path}: {file} cannot be read, and is left out")
    return readable


def warn(text: str) -> None:
    """Print a warning, beside the output that programs read."""
    print(f"warning: {text}", file=sys.stderr)


def hosts(config: Config) -> set[str]:
    """Return the names and patterns of all Host lines."""
    blocks = config.base_ssh_config._config
    return {name for block in blocks for name in block.get("host", ())}


Config._load_ssh_file = load
