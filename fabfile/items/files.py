"""Folders, files and symbolic links."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from invoke import Exit

from ..script import call, look
from .base import Change, Item, unpacked


@dataclass(frozen=True, kw_only=True)
class PathItem(Item):
    """A path with an owner, a group and a mode of four octal digits."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0644"

    def __post_init__(self):
        if not self.path.startswith(("/", "~/")):
            raise ValueError(f"{self.path!r}: a path must begin with / or ~/")
        if not re.fullmatch("[0-7]{4}", self.mode):
            raise ValueError(f"{self.path}: mode {self.mode!r} must be four octal digits")

    @property
    def paths(self):
        return (self.path,)

    def read(self) -> str:
        return look("show_path", self.path)

    def is_theirs(self, home):
        return self.owner != "root" or super().is_theirs(home)

    def rights_differ(self, lines: list[str]) -> bool:
        """Check whether owner, group or mode differ from what `stat` printed."""
        _, owner, group, mode = lines[0].split("|")
        return (owner, group, mode.zfill(4)) != (self.owner, self.group, self.mode)


@dataclass(frozen=True, kw_only=True)
class Directory(PathItem):
    """A folder; its content is left alone.

    :param adopted: an existing one keeps its mode; one of another owner is refused.
    """

    mode: str = "0755"
    adopted: bool = False

    def read(self) -> str:
        return look("show_folder", self.path)

    def compare(self, lines, touched):
        if lines[0].startswith("directory|") and not self.rights_differ(lines):
            return None
        if lines[0].startswith("regular"):
            raise Exit(f"{self.path} is a file, but a folder is needed: move it away first")
        if lines[0].startswith("directory|") and self.adopted:
            owner = lines[0].split("|")[1]
            if owner == self.owner:
                return None
            raise Exit(f"{self.path} belongs to {owner}: choose another lab.project, or chown it")
        fix = call("put_directory", self.path, self.owner, self.group, self.mode)
        return Change(f"make the folder {self.path}", fix, (self.path,), needs=self.needs)


def decode(lines: list[str]) -> str | None:
    """Return a file's text from what `show_path` printed; None when there is no readable file."""
    if not lines[0].startswith("regular") or len(lines) < 2 or lines[1].startswith("!"):
        return None
    return unpacked(lines[1])


@dataclass(frozen=True, kw_only=True)
class File(PathItem):
    """A file that is replaced as a whole.

    :param secret: its text is never shown.
    :param spare: it may be absent.
    """

    content: str
    secret: bool = False
    spare: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not self.content.endswith("\n"):
            raise ValueError(f"{self.path}: the content must end with a newline")

    def compare(self, lines, touched):
        if lines[0].startswith("directory"):
            raise Exit(f"{self.path} is a folder, but a file is needed: move it away first")
        if self.spare and lines[0] == "absent":
            return None
        there = decode(lines)
        if there == self.content and not self.rights_differ(lines):
            return None
        rights = self.owner, self.group, self.mode
        if there == self.content:
            fix = call("put_rights", self.path, *rights)
            return Change(f"set permissions of {self.path}", fix, needs=self.needs)
        verb = "write" if there is None else "replace"
        fix = call("put_file", self.path, *rights, text=self.content)
        eyes = ("", "") if self.secret else (there or "", self.content)
        return Change(f"{verb} {self.path}", fix, (self.path,), *eyes, needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class Link(PathItem):
    """A symbolic link to `target`."""

    target: str

    def compare(self, lines, touched):
        if lines[0] == "link" and lines[1] == self.target:
            return None
        if lines[0].startswith("directory"):
            raise Exit(f"{self.path} is a folder, but a symbolic link is needed: move it away")
        fix = call("put_link", self.path, self.target)
        return Change(f"link {self.path} to {self.target}", fix, (self.path,), needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class Needs(Item):
    """A path that an earlier step creates; when it is absent, the run is refused."""

    path: str
    maker: str
    command: str = "fab"  # how the operator runs a task on this host
    theirs = True

    @property
    def paths(self):
        return (self.path,)

    def named(self, command):
        return replace(self, command=command)

    def made_by(self, steps):
        return self.maker in steps

    def read(self) -> str:
        return look("show_path", self.path)

    def compare(self, lines, touched):
        if lines[0] == "absent":
            raise Exit(f"{self.path} is missing: first run {self.command} {self.maker}")
        return None
