"""Folders, files and symbolic links."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

from invoke import Exit

from ..script import call, look
from .base import Change, Item, unpacked


@dataclass(frozen=True)
class PathState:
    """The state of a path.

    :param kind: file, link, absent, directory, or what else `stat` says.
    :param rights: owner, group and mode, but not of a link.
    :param content: that of a file in base64, `!` if it was not read; the target of a link.
    """

    kind: str
    rights: tuple[str, str, str]
    content: str = "!"

    @classmethod
    def parse(cls, lines: list[str]) -> PathState:
        """Parse what `show_path`, `show_folder` or `show_rights` printed."""
        kind, owner, group, mode = f"{lines[0]}|||".split("|")[:4]
        kind = "file" if kind.startswith("regular") else kind
        return cls(kind, (owner, group, mode.zfill(4)), *lines[1:2])

    @functools.cached_property
    def text(self) -> str | None:
        """The text of a file that was read; None for anything else.

        :raises Exit: when the answer is damaged.
        """
        unread = self.kind != "file" or self.content.startswith("!")
        return None if unread else unpacked(self.content)


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

    def parse(self, lines) -> PathState:
        return PathState.parse(lines)

    @property
    def rights(self) -> tuple[str, str, str]:
        """The owner, group and mode that it must have."""
        return self.owner, self.group, self.mode

    def set_rights(self) -> Change:
        """Return the change that sets them."""
        fix = call("put_rights", self.path, *self.rights)
        return Change(f"set permissions of {self.path}", fix, needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class Directory(PathItem):
    """A folder; its content is left alone.

    :param adopted: an existing one keeps its mode; one of another owner is refused.
    """

    mode: str = "0755"
    adopted: bool = False

    def read(self) -> str:
        return look("show_folder", self.path)

    def compare(self, state, touched):
        if state.kind == "file":
            raise Exit(f"{self.path} is a file, but a folder is needed: move it away first")
        if state.kind == "directory":
            owner = state.rights[0]
            if state.rights == self.rights or (self.adopted and owner == self.owner):
                return None
            if self.adopted:
                raise Exit(f"{self.path} belongs to {owner}: choose another lab.project, or "
                           "chown it")  # fmt: skip
        fix = call("put_directory", self.path, *self.rights)
        return Change(f"make the folder {self.path}", fix, (self.path,), needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class File(PathItem):
    """A file that is replaced as a whole.

    :param secret: its text is never shown.
    :param spare: it may be absent.
    :param loses: what people would miss after another content; the operator is asked first.
    """

    content: str
    secret: bool = False
    spare: bool = False
    loses: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        if not self.content.endswith("\n"):
            raise ValueError(f"{self.path}: the content must end with a newline")

    def compare(self, state, touched):
        if state.kind == "directory":
            raise Exit(f"{self.path} is a folder, but a file is needed: move it away first")
        if self.spare and state.kind == "absent":
            return None
        there = state.text
        if there == self.content:
            return None if state.rights == self.rights else self.set_rights()
        verb = "write" if there is None else "replace"
        fix = call("put_file", self.path, *self.rights, text=self.content)
        eyes = ("", "") if self.secret else (there or "", self.content)
        more = {"needs": self.needs, "loses": self.loses}
        return Change(f"{verb} {self.path}", fix, (self.path,), *eyes, **more)


@dataclass(frozen=True, kw_only=True)
class Link(PathItem):
    """A symbolic link to `target`."""

    target: str

    def compare(self, state, touched):
        if state.kind == "link" and state.content == self.target:
            return None
        if state.kind == "directory":
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

    def compare(self, state, touched):
        if state == "absent":
            raise Exit(f"{self.path} is missing: first run {self.command} {self.maker}")
