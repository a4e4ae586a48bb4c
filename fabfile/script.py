"""Shell for a server: words and calls, quoted, and whole scripts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from .render import shell


@dataclass(frozen=True)
class RemoteScript:
    """A shell script for a server: values, functions, and calls of them.

    :param files: files of `templates/shell/` in order, by their names without `.sh`; `lib/whose`
        comes first, if at all, and needs the values `instance` and `account`.
    :param values: variables with literal values.
    :param paths: variables with paths, in which a leading `~/` and each `*` are expanded: `~` is
        the home that `lib/whose` finds.
    :param calls: what the script runs at its end.
    """

    files: tuple[str, ...]
    values: Mapping[str, object] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    calls: str = ""

    def __str__(self) -> str:
        whose, others = [], list(self.files)
        if others[:1] == ["lib/whose"]:
            whose = [shell(others.pop(0))]
        paths = [f"{name}={quote(path)}\n" for name, path in self.paths.items()]
        functions = map(shell, others)
        return "".join([assigned(self.values), *whose, *paths, *functions, self.calls, "\n"])


def quote(path: str) -> str:
    """Quote a path for the shell, but let it expand a leading `~/` and every `*`."""
    if path == "~":
        return '"$home"'
    start, rest = ('"$home"/', path[2:]) if path.startswith("~/") else ("", path)
    return start + "*".join(shlex.quote(part) if part else "" for part in rest.split("*")) or "''"


def look(function: str, *paths: str) -> str:
    """Return a call that reads; its paths may begin with `~/` and contain `*`."""
    return " ".join([function, *map(quote, paths)])


def call(function: str, *arguments: object, text: str | None = None) -> str:
    """Return a call that changes; its arguments are literal, `text` is its standard input."""
    line = " ".join([function, *(shlex.quote(str(argument)) for argument in arguments)])
    return line if text is None else f"{line} {here(text)}"


def assigned(values: dict[str, object]) -> str:
    """Return the lines that assign literal values to shell variables."""
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items())


def exported(pairs) -> str:
    """Return the lines that export variables, given with their values."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in pairs)


def here(text: str) -> str:
    """Return a here-document; its delimiter is a word that equals no line of the text."""
    end = "END"
    while f"\n{end}\n" in f"\n{text}\n":
        end += "_"
    return f"<<'{end}'\n{text.removesuffix(chr(10))}\n{end}"
