"""What a server should look like, as values: each item says what it wants, how to read what is
there, and how to bring it about. No item has a connection; `converge` compares, prints and applies.

`read()` is a call of a function in templates/read.sh, `compare()` gets what it printed and returns
a Change (None when all is as wanted) whose shell calls a function of templates/apply.sh.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from invoke import Exit

from .credentials import Secret, fits, hash_password


def quote(path: str) -> str:
    """Quote for the shell, but let it expand a leading `~/` and every `*`."""
    start, rest = ('"$home"/', path[2:]) if path.startswith("~/") else ("", path)
    return start + "*".join(shlex.quote(part) if part else "" for part in rest.split("*")) or "''"


def look(function: str, *paths: str) -> str:
    """Write a call that reads: its paths may begin with `~/` and hold `*`."""
    return " ".join([function, *map(quote, paths)])


def call(function: str, *arguments: object, text: str | None = None) -> str:
    """Write a call that changes: every argument is literal; `text` becomes its standard input."""
    line = " ".join([function, *(shlex.quote(str(argument)) for argument in arguments)])
    return line if text is None else f"{line} {here(text)}"


def here(text: str) -> str:
    """Write a here-document; its end is a word that the text does not have as a line."""
    end = "END"
    while f"\n{end}\n" in f"\n{text}\n":
        end += "_"
    return f"<<'{end}'\n{text.removesuffix(chr(10))}\n{end}"


@dataclass(frozen=True)
class Change:
    """One step of the apply command.

    :param say: what it does, for the operator.
    :param shell: the lines that do it, as root.
    :param touches: the paths that are new afterwards; a service that reads one is restarted.
    :param before, after: a file's text, for the diff; None when it is not for eyes.
    :param needs: the packages that must be there first.
    """

    say: str
    shell: str
    touches: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()  # the Debian packages that it installs
    room: int = 0  # MB that it takes on the disk
    check: bool = False  # it changes nothing but may refuse, so it comes first


@dataclass(frozen=True, kw_only=True)
class Item:
    """The common part. `shown` turns the lines of a converged item into words, or nothing."""

    step: str = ""  # the task that owns it, named in errors
    needs: tuple[str, ...] = ()

    def read(self) -> str:
        raise NotImplementedError

    def compare(self, lines: list[str], touched: set[str]) -> Change | None:
        raise NotImplementedError

    def shown(self, lines: list[str]) -> str:
        return ""


@dataclass(frozen=True, kw_only=True)
class Packages(Item):
    """Debian packages, present. :param show: the ones whose versions the operator sees."""

    names: tuple[str, ...]
    recommends: bool = False
    show: tuple[str, ...] = ()

    def read(self) -> str:
        return look("show_packages", *self.names)

    def versions(self, lines: list[str]) -> dict[str, str]:
        """Name to version of what is installed."""
        rows = (line.split("|") for line in lines if line.count("|") == 2)
        return {name: version for name, status, version in rows if status == "installed"}

    def compare(self, lines, touched):
        missing = [name for name in self.names if name not in self.versions(lines)]
        if not missing:
            return None
        return self.install(missing)

    def install(self, names: list[str]) -> Change:
        """The change that installs these in one transaction."""
        line = call("install_packages", str(self.recommends).lower(), *names)
        return Change(f"install {', '.join(names)}", line, packages=tuple(names), room=200)

    def shown(self, lines):
        versions = self.versions(lines)
        return ", ".join(
            f"{n} {re.split('[-+~]', versions[n])[0]}" for n in self.show if n in versions
        )


@dataclass(frozen=True, kw_only=True)
class PathItem(Item):
    """Something at a path, with an owner, a group and a mode of four octal digits."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0644"

    def __post_init__(self):
        if not self.path.startswith(("/", "~/")):
            raise ValueError(f"{self.path!r}: a path must begin with / or ~/")
        if not re.fullmatch("[0-7]{4}", self.mode):
            raise ValueError(f"{self.path}: mode {self.mode!r} must be four octal digits")

    def read(self) -> str:
        return look("show_path", self.path)

    def rights_differ(self, lines: list[str]) -> bool:
        """Compare owner, group and mode with what `stat` printed."""
        _, owner, group, mode = lines[0].split("|")
        return (owner, group, mode.zfill(4)) != (self.owner, self.group, self.mode)


@dataclass(frozen=True, kw_only=True)
class Directory(PathItem):
    """A directory; what is in it is left alone."""

    mode: str = "0755"

    def compare(self, lines, touched):
        if lines[0].startswith("directory|") and not self.rights_differ(lines):
            return None
        if lines[0].startswith("regular"):
            raise Exit(f"{self.path} is a file, but a folder is needed: move it away first")
        fix = call("put_directory", self.path, self.owner, self.group, self.mode)
        return Change(f"make the folder {self.path}", fix, (self.path,))


def decode(lines: list[str]) -> str | None:
    """Take a file's text from what `show_path` printed; None when there is no readable file."""
    if not lines[0].startswith("regular") or len(lines) < 2 or lines[1].startswith("!"):
        return None
    return base64.b64decode(lines[1]).decode(errors="replace")


@dataclass(frozen=True, kw_only=True)
class File(PathItem):
    """A file, rendered whole and replaced at once. :param secret: its text is never shown."""

    content: str
    secret: bool = False

    def compare(self, lines, touched):
        if lines[0].startswith("directory"):
            raise Exit(f"{self.path} is a folder, but a file is needed: move it away first")
        there = decode(lines)
        if there == self.content and not self.rights_differ(lines):
            return None
        verb = "write" if there is None else "replace" if there != self.content else "set rights of"
        fix = call("put_file", self.path, self.owner, self.group, self.mode, text=self.content)
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
            raise Exit(f"{self.path} is a folder, but a link is needed: move it away first")
        fix = call("put_link", self.path, self.target)
        return Change(f"link {self.path} to {self.target}", fix, (self.path,), needs=self.needs)


@dataclass(frozen=True, kw_only=True)
class Token(PathItem):
    """A login token, made on the server once and then left alone."""

    mode: str = "0600"

    def compare(self, lines, touched):
        if self.value(lines) and not self.rights_differ(lines):
            return None
        if self.value(lines):
            text = self.value(lines)
            fix = call("put_file", self.path, self.owner, self.group, self.mode, text=text)
            return Change(f"set rights of {self.path}", fix)
        fix = call("put_token", self.path, self.owner, self.group)
        return Change("make a login token", fix, (self.path,))

    @staticmethod
    def value(lines: list[str]) -> str:
        """The token itself, or nothing."""
        return (decode(lines) or "").strip()


@dataclass(frozen=True, kw_only=True)
class Password(PathItem):
    """The password's hash, kept where the login page keeps it, so that there is one truth.

    :param password: the one to set; None leaves what is there.
    :param stamp: a file that the service reads, touched first: a run that dies in between leaves
        a service that is visibly older than it, and the next run restarts it.
    """

    mode: str = "0600"
    password: Secret | None = None
    stamp: str

    def compare(self, lines, touched):
        text = decode(lines) or "{}"
        try:
            config = json.loads(text)
            there = config.setdefault("IdentityProvider", {}).get("hashed_password", "")
        except (ValueError, AttributeError):
            raise Exit(f"{self.path} is not valid JSON: mend it or move it away first") from None
        if self.password is None or fits(self.password, there):
            return None
        config["IdentityProvider"]["hashed_password"] = hash_password(self.password)
        # The older name of the same setting would be heard, too.
        for older in ("ServerApp", "PasswordIdentityProvider"):
            config.get(older, {}).pop("hashed_password", None)
            config.get(older, {}).pop("password", None)
        text = json.dumps(config, indent=2) + "\n"
        fix = "\n".join(
            [
                call("touch", "--", self.stamp),
                call("put_file", self.path, self.owner, self.group, self.mode, text=text),
            ]
        )
        return Change("set the password", fix, (self.stamp,))

    def shown(self, lines):
        return "password" if "hashed_password" in (decode(lines) or "") else ""


@dataclass(frozen=True, kw_only=True)
class Venv(Item):
    """A virtual environment that satisfies pip requirements; what else is in it stays."""

    path: str
    owner: str
    home: str
    requirements: tuple[str, ...]
    installer: str = "uv"
    core: tuple[str, ...] = ()  # paths (`*` allowed) that the service reads
    show: tuple[str, ...] = ()

    def read(self) -> str:
        return look("show_venv", self.path)

    def parse(self, lines: list[str]) -> tuple[str, dict[str, str]]:
        """Split into how far the last run came, and distribution names with versions."""
        if lines[0] == "absent":
            return "absent", {}
        record, _, rest = "\n".join(lines).partition("\n\n")
        pairs = (row.rsplit("-", 1) for row in rest.splitlines() if "-" in row)
        return record, {re.sub("[-_.]+", "-", name).lower(): version for name, version in pairs}

    def lacking(self, there: dict[str, str]) -> list[str]:
        """The requirements that the distributions do not satisfy."""
        from packaging.requirements import InvalidRequirement, Requirement

        short = []
        for text in self.requirements:
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                raise Exit(f"lab.packages: {text!r} is not a pip requirement") from None
            version = there.get(re.sub("[-_.]+", "-", wanted.name).lower())
            if version is None or not wanted.specifier.contains(version, prereleases=True):
                short.append(text)
        return short

    def compare(self, lines, touched):
        record, there = self.parse(lines)
        short = self.lacking(there)
        repair = {"filling": "anew", "changing": "again"}.get(record.strip(), "")
        if record.strip() == "\n".join(self.requirements) and not short:
            return None
        if record.strip() == "foreign" and not short:
            short = ["(adopt what is there)"]
        fix = call(
            "fill_venv", self.path, self.owner, self.home, repair or "no", self.installer,
            *self.requirements,
        )  # fmt: skip
        say = f"install {', '.join(short or self.requirements)} into {self.path}"
        say += f" ({self.installer}{', after a run that was cut off' if repair else ''})"
        new_core = repair or any(text.startswith("jupyter") for text in short)
        return Change(say, fix, self.core if new_core else (), needs=self.needs, room=400)

    def shown(self, lines):
        _, there = self.parse(lines)
        return ", ".join(f"{name} {there[name]}" for name in self.show if name in there)


@dataclass(frozen=True, kw_only=True)
class Service(Item):
    """A unit that is enabled, runs, and runs with what is on disk now.

    :param reads: paths (`*` allowed): when one is newer than the process, it is started again.
    :param fix: the shell that checks and (re)starts or reloads it.
    :param since: the property of systemd that says when it last read its files.
    """

    unit: str
    reads: tuple[str, ...]
    fix: str
    verb: str = "start"
    since: str = "ExecMainStartTimestamp"

    def read(self) -> str:
        return look("show_service", self.unit, *self.reads)

    def compare(self, lines, touched):
        state = dict(line.split("=", 1) for line in lines if "=" in line)
        running = state.get("ActiveState") == "active" and state.get("SubState") == "running"
        began = moment(state.get(self.since, ""))
        written = [line[8:].split(" ", 1) for line in lines if line.startswith("written=")]
        newer = [path for seconds, path in written if float(seconds) > began]
        if not running:
            say = f"start {self.unit}"
        elif touched & set(self.reads):
            say = f"{self.verb} {self.unit}: what it reads is new"
        elif newer:
            say = f"{self.verb} {self.unit}: {newer[0]} is newer than what runs"
        elif state.get("UnitFileState") != "enabled":
            say = f"enable {self.unit}"
        elif state.get("NeedDaemonReload") == "yes":
            say = f"{self.verb} {self.unit}: its unit changed"
        else:
            return None
        return Change(say, self.fix, (self.unit,), needs=self.needs)


def moment(text: str) -> float:
    """Turn systemd's `Mon 2026-01-05 10:00:00.123456 UTC` into seconds since 1970; 0 if unset."""
    words = text.split()
    if len(words) != 4:
        return 0.0
    fraction = "%H:%M:%S.%f" if "." in words[2] else "%H:%M:%S"
    parsed = datetime.strptime(f"{words[1]} {words[2]}", f"%Y-%m-%d {fraction}")
    return parsed.replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, kw_only=True)
class Port(Item):
    """A TCP port that is free, or already the unit's own."""

    port: int
    unit: str

    def read(self) -> str:
        return look("show_listener", str(self.port), self.unit)

    def compare(self, lines, touched):
        if "taken" not in lines or "ActiveState=active" in lines:
            return None
        return Change(f"check port {self.port}", call("refuse_port", self.port), check=True)


@dataclass(frozen=True, kw_only=True)
class Needs(Item):
    """Something that an earlier step makes; refused, naming that step, when it is absent."""

    path: str
    maker: str

    def read(self) -> str:
        return look("show_path", self.path)

    def compare(self, lines, touched):
        if lines[0] == "absent":
            raise Exit(f"{self.path} is missing: run the step `{self.maker}` first")
        return None
