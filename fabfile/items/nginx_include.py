"""A site that somebody else made, and that is to bring in what is ours."""

from __future__ import annotations

from dataclasses import dataclass

from invoke import Exit

from .base import Item, call


@dataclass(frozen=True, kw_only=True)
class Included(Item):
    """A line in the server block of a name. It is not for us to write there, only to look for it.

    Their file may be written by another program, kept in git, or be one that certbot edits.

    :param line: which brings in what is ours.
    :param beside: the pattern by which a site of ours, of another user's, brings it in.
    """

    domain: str
    line: str
    beside: str

    def read(self) -> str:
        patterns = map(expression, (self.line[:-1].split()[1], self.beside))
        return call("show_including", f"({'|'.join(patterns)})", expression(self.domain))

    def compare(self, lines, touched):
        found = dict.fromkeys(line.partition(" ")[0] for line in lines)
        if "includes" in found or "unreadable" in found:  # then Nginx, asked by name, tells
            return None
        files = [line.partition(" ")[2] for line in lines if line.startswith("names ")]
        where = f", in {' or '.join(files)}" if files else ""
        raise Exit(f"lab.site: include: nothing was changed: add the line `{self.line}` to the "
                   f"server block of {self.domain}{where}; then run again")  # fmt: skip


def expression(text: str) -> str:
    """A name or a path, as a regular expression of grep's that is only this text."""
    return text.replace(".", r"\.").replace("*", r"\*")
