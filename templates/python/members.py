"""What may be in a backup: read in one way here and on the server, so that both refuse the same.

It reads a tar as backup.sh has GNU tar write it, and nothing that another program could take for
something else. Root's part comes out as values that were checked one by one; certbot's settings are
written anew from those that are known. What is written into a backup goes through here, too: so a
restore refuses nothing of it, and no byte of the user's can pass for one of root's members.

Usage, on the server, as root:
members.py INSTANCE SERVER FOLDER <tar     look through a backup, write root's part into a folder
members.py roots <tar >tar                 root's part, as far as a restore takes it
members.py theirs NAME MUST <tar >tar      the same of the user's NAME/...; MUST is `whole` where
                                           NAME itself may not be missing
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK = 512
PIECE = 1 << 20
NAME_SIZE = 1 << 12  # of a path, with the zero behind it: the kernel's limit
DEEPEST = 1 << 20  # of one that is not taken, but read
FILE_SIZE = 1 << 20  # of one of root's files
ROOT_FILES = 1000
ROOT_SIZE = 1 << 24
NOTES = 20  # about what was left out
MOST_GONE = 10000  # things that are left out
FORMAT = "1"
MAGICS = b"ustar\x0000", b"ustar  \x00"
KINDS = {b"0": "file", b"1": "hard link", b"2": "link", b"5": "folder", b"6": "pipe"}
DEVICES = dict.fromkeys((b"3", b"4"), "device")  # are read, and never taken
LONG = {b"L": "name", b"K": "target"}
USERS = re.compile(r"(project|jupyter|kernels)(/.*)?|cookie_secret", re.DOTALL)
LINEAGE = r"(?P<lineage>jupyterlab[a-z0-9-]*)-fab"
ROOTS = re.compile(
    r"manifest|lock\.txt|locks/[A-Za-z0-9_.-]+\.txt"
    r"|nginx/[A-Za-z0-9_-][A-Za-z0-9_.-]*\.(pem|key)"
    rf"|letsencrypt/(renewal/{LINEAGE}\.conf"
    rf"|archive/{LINEAGE.replace('lineage', 'archived')}/(cert|chain|fullchain|privkey)[0-9]+\.pem"
    r"|accounts/(?P<account>([A-Za-z0-9_.:-]+/)+)(meta|private_key|regr)\.json)"
)
FACTS = "format", "made", "host", "user", "home", "project", "domain", "by", "jupyterlab"
LINE = re.compile(r"([a-z_]+|\[\[?[a-z_]+\]\]?|[A-Za-z0-9.-]+)(?: = ([A-Za-z0-9_./:,@+~-]*))?")
HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
HOOKS = re.compile(r".*hook.*", re.IGNORECASE | re.DOTALL)


class Refused(ValueError):
    """No backup of ours, and why."""


@dataclass(frozen=True)
class Member:
    """One thing in a tar.

    :param at: the block where it begins.
    :param head: its headers, as they are.
    """

    name: str
    kind: str
    size: int
    at: int
    target: str
    head: bytes

    def fault(self) -> str:
        """Say why no backup has it; nothing of one that may be there."""
        if self.kind == "device":
            return "is no file, folder or link"
        if max(len(os.fsencode(text)) for text in (self.name, self.target)) >= NAME_SIZE:
            return "has a name that is too long"
        return ""


@dataclass
class Found:
    """What is in a backup. :param files: root's part; :param block: where the user's begins."""

    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    block: int = 0
    room: int = 0


class Tar:
    """A tar that is read once, from its beginning.

    :param read: gives at most so many bytes.
    :param longest: the size of a name at most.
    """

    def __init__(self, read: Callable[[int], bytes], longest: int = NAME_SIZE):
        self.source, self.block, self.left, self.longest = read, 0, 0, longest

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        taken = b""
        while len(taken) < size:
            piece = self.source(size - len(taken))
            if not piece:
                raise Refused("it is cut off")
            taken += piece
        return taken

    def padded(self, size: int) -> bytes:
        """A content, without what fills its last block."""
        blocks = -(-size // BLOCK)
        self.block += blocks
        return self.exactly(blocks * BLOCK)[:size]

    def content(self, member: Member, limit: int) -> bytes:
        """That of the member that was read last."""
        if member.size > limit:
            raise Refused(f"{member.name} is larger than {limit} bytes")
        self.left = 0
        return self.padded(member.size)

    def skip(self, write: Callable[[bytes], object] = len) -> None:
        """Go on behind the member that was read last.

        :param write: takes its content, with what fills the last block.
        """
        blocks = -(-self.left // BLOCK)
        self.block += blocks
        left, self.left = blocks * BLOCK, 0
        while left:
            piece = self.exactly(min(left, PIECE))
            left -= len(piece)
            write(piece)

    def members(self) -> Iterator[Member]:
        """All of them, up to its end, behind which nothing may be."""
        long: dict[str, str] = {}
        at, head = 0, b""
        while True:
            self.skip()
            at, head = (at, head) if long else (self.block, b"")
            header = self.exactly(BLOCK)
            head += header
            self.block += 1
            if header == bytes(BLOCK):
                self.end(bool(long))
                return
            kind, size = checked(header)
            if kind in LONG:
                if LONG[kind] in long or not 0 < size <= self.longest:
                    raise Refused("it has a name that is too long")
                raw = self.padded(size)
                head += filled(raw)
                long[LONG[kind]] = text(raw)
                continue
            name = long.get("name") or name_of(header)
            called = (KINDS | DEVICES).get(kind)
            if not called:
                raise Refused(f"{name} is no file, folder or link")
            if size and kind != b"0":
                raise Refused(f"{name} is a {called} with a content")
            target = long.get("target") or text(header[157:257])
            self.left, long = size, {}
            yield Member(name, called, size, at, target, head)

    def end(self, unfinished: bool) -> None:
        """See that only zeros follow."""
        count = 0
        while piece := self.source(PIECE):
            count += len(piece)
            if piece.strip(b"\0") or count > PIECE:
                raise Refused("something follows its end")
        if unfinished or not count:
            raise Refused("its end is missing")


def checked(header: bytes) -> tuple[bytes, int]:
    """The kind and the size of a member, from a header that is whole."""
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if header[257:265] not in MAGICS or number(header[148:156]) != total:
        raise Refused("it is no tar, or a damaged one")
    return header[156:157], number(header[124:136])


def number(raw: bytes) -> int:
    """A number in a header: octal digits, or what GNU tar writes where these are too few."""
    if raw[0] == 0x80:
        return int.from_bytes(raw[1:], "big")
    digits = raw.strip(b" \0")
    if not re.fullmatch(rb"[0-7]+", digits):
        raise Refused("it is no tar, or a damaged one")
    return int(digits, 8)


def text(raw: bytes) -> str:
    """A text that ends with a zero, or with its field."""
    return raw.partition(b"\0")[0].decode(errors="surrogateescape")


def name_of(header: bytes) -> str:
    """The name in a header; POSIX has the folders in a second field."""
    above = text(header[345:500]) if header[257:265] == MAGICS[0] else ""
    return f"{above}/{text(header[:100])}" if above else text(header[:100])


def examine(read: Callable[[int], bytes], instance: str, server: str) -> Found:
    """Look through the whole of a backup.

    :param read: gives at most so many bytes of the tar.
    :param instance: what the JupyterLab is called into whose place it goes.
    :param server: the URL of the ACME server of the settings.
    :raises Refused: when it holds what no backup of ours does.
    """
    tar, found, users = Tar(read), Found(), False
    for member in tar.members():
        name = plain(member)
        if member.fault():
            raise Refused(f"{name} {member.fault()}")
        if USERS.fullmatch(name):
            if not users:
                users, found.block = True, member.at
            found.room += member.size + 4096
            continue
        if users:
            raise Refused(f"{name} does not belong there")
        take(found, member, tar)
    judge(found)
    if not users:
        raise Refused("it has no notebooks")
    take_lineage(found, instance, server)
    return found


def filled(raw: bytes) -> bytes:
    """Fill up the last block, as a tar has it."""
    return raw.ljust(-(-len(raw) // BLOCK) * BLOCK, b"\0")


def plain(member: Member) -> str:
    """The name of a member, which leads nowhere else."""
    name = member.name.rstrip("/") if member.kind == "folder" else member.name
    if name.startswith("/") or ".." in name.split("/"):
        raise Refused(f"it names {name}")
    return name


def take(found: Found, member: Member, tar: Tar) -> None:
    """Take one of root's files, if a backup may have it."""
    name = member.name
    if member.kind != "file" or not ROOTS.fullmatch(name) or name in found.files:
        raise Refused(f"{name} does not belong there")
    taken = sum(map(len, found.files.values())) + member.size
    if len(found.files) >= ROOT_FILES or taken > ROOT_SIZE:
        raise Refused("its first part is too large")
    found.files[name] = tar.content(member, FILE_SIZE)


def judge(found: Found) -> None:
    """Refuse a root's part without what each has, or of another format."""
    for name in ("manifest", "lock.txt"):
        if name not in found.files:
            raise Refused(f"it has no {name}")
    written = facts(found.files["manifest"]).get("format")
    if written != FORMAT:
        raise Refused(f"it is of format {written}, and this program reads {FORMAT}: use the "
                      "version that made it")  # fmt: skip


def roots(read: Callable[[int], bytes], write: Callable[[bytes], object]) -> list[str]:
    """Pass on root's part, without its end, as far as a restore takes it.

    :returns: notes about what was left out.
    """
    tar, found, heads = Tar(read), Found(), {}
    for member in tar.members():
        take(found, member, tar)
        heads[member.name] = member.head
    judge(found)
    if problem := fault_of_lineage(found):
        found.notes.append(f"certbot's part is left out, for a restore would refuse it ({problem}):"
                           " a restore asks for a new certificate")  # fmt: skip
    for name, head in heads.items():
        content = found.files[name]
        if not (problem and name.startswith("letsencrypt/")):
            write(head + filled(content))
    return found.notes


def theirs(
    read: Callable[[int], bytes], write: Callable[[bytes], object], whose: str, must: str
) -> list[str]:
    """Pass on what is the user's, without its end, and without what a restore would refuse.

    :param whose: NAME, where all of it is: NAME itself, and NAME/...
    :param must: `whole` where NAME itself may not be missing.
    :returns: notes about what was left out.
    """
    tar, gone, notes, there = Tar(read, DEEPEST), set(), [], False
    for member in tar.members():
        name = plain(member)
        if name != whose and not name.startswith(f"{whose}/"):
            raise Refused(f"{name} does not belong there")
        why = member.fault()
        if member.kind == "hard link" and member.target in gone:
            why = "is a link to what is left out"
        if not why:
            there = there or (name == whose and member.kind == "folder")
            write(member.head)
            tar.skip(write)
            continue
        if len(notes) < NOTES:
            notes.append(f"left out: {name[:200]} {why}")
        if len(gone) >= MOST_GONE:
            raise Refused(f"there are more than {MOST_GONE} things in {whose} that no backup has")
        if len(name) < NAME_SIZE:
            gone.add(name)
    if must == "whole" and not there:
        raise Refused(f"there is no {whose} any more")
    return notes


def facts(manifest: bytes) -> dict[str, str]:
    """The lines of a manifest, as key and value: known keys, and no control characters."""
    lines = manifest.decode(errors="replace").removesuffix("\n").split("\n")
    told: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if key not in FACTS or key in told or not equals or not value.isprintable():
            raise Refused("its manifest is not as backup writes it")
        told[key] = value
    return told


def take_lineage(found: Found, instance: str, server: str) -> None:
    """Leave certbot's part in when it is of this JupyterLab and this server, else none of it."""
    whose, given = lineage(found)
    if not given:
        return
    if whose != instance or given["server"] != server:
        what = "another name on its server" if whose != instance else f"{given['server']}"
        found.notes.append(
            f"its certificate of an ACME server was of {what}: a new one is asked for"
        )
        for name in certbots(found):
            del found.files[name]
        return
    found.files[f"letsencrypt/renewal/{whose}-fab.conf"] = renewal(given, instance)


def certbots(found: Found) -> list[str]:
    """The names of certbot's files."""
    return [name for name in found.files if name.startswith("letsencrypt/")]


def lineage(found: Found) -> tuple[str, dict[str, object] | None]:
    """Check certbot's part; return which JupyterLab it is of, and its settings. Nothing of none."""
    names = certbots(found)
    if not names:
        return "", None
    fits = [ROOTS.fullmatch(name).groupdict() for name in names]
    called = {fit["lineage"] or fit["archived"] for fit in fits} - {None}
    if len(called) > 1:
        raise Refused("it has certificates of several servers")
    whose = next(iter(called), "")
    conf = f"letsencrypt/renewal/{whose}-fab.conf"
    given = settings(found.files[conf], conf, whose) if conf in found.files else None
    where = {fit["account"] for fit in fits} - {None}
    own = given and f"{given['server'].partition('://')[2].strip('/')}/{given.get('account')}/"
    if not given or not where <= {own}:
        raise Refused(
            "it has accounts or certificates of an ACME server that do not belong together"
        )
    return whose, given


def fault_of_lineage(found: Found) -> str:
    """Why a restore would refuse certbot's part; nothing when it would not."""
    try:
        lineage(found)
    except Refused as problem:
        return str(problem)
    return ""


def settings(raw: bytes, name: str, whose: str) -> dict[str, object]:
    """Certbot's settings of a certificate, each known and checked.

    :param whose: the JupyterLab that it is called after.
    """
    place, webroot = "/etc/letsencrypt", f"/var/lib/{whose}-acme"
    called = f"{whose}-fab"
    right = {
        "version": r"[0-9][0-9.a-z]*",
        "archive_dir": rf"{place}/archive/{called}",
        **{kind: rf"{place}/live/{called}/{kind}\.pem"
           for kind in ("cert", "privkey", "chain", "fullchain")},
        "account": r"[0-9a-f]+",
        "authenticator": "webroot",
        "server": r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9_.~-]+)*/?",
        "key_type": "ecdsa|rsa",
        "elliptic_curve": "secp[0-9]+r1",
        "rsa_key_size": "[0-9]+",
        "webroot_path": rf"{webroot},?",
        "renew_hook": f"/usr/local/sbin/{whose}-certificate",
    }  # fmt: skip
    told: dict[str, object] = {"domains": []}
    section = ""
    for line in raw.decode(errors="replace").split("\n"):
        line = line.strip(" ")
        if not line or line.startswith("#"):
            continue
        fit = LINE.fullmatch(line)
        key, value = fit.groups() if fit else (line.partition("=")[0].strip(), None)
        if line in ("[renewalparams]", "[[webroot_map]]"):
            section = line
        elif value is not None and section == "[[webroot_map]]":
            if not HOST.fullmatch(key) or value != webroot:
                raise Refused(f"{name}: {key} does not belong there")
            told["domains"].append(key)
        elif (
            value is not None
            and key in right
            and key not in told
            and re.fullmatch(right[key], value)
        ):
            told[key] = value
        elif HOOKS.fullmatch(key) or key == "authenticator":
            raise Refused("it would have certbot run a program of its own")
        else:
            raise Refused(f"{name}: {key} does not belong there")
    if "server" not in told:
        raise Refused(f"{name}: it names no server")
    return told


def renewal(told: dict[str, object], instance: str) -> bytes:
    """Write certbot's settings of our certificate, as certbot does."""
    place, webroot = "/etc/letsencrypt", f"/var/lib/{instance}-acme"
    called = f"{instance}-fab"
    first = {"version": told.get("version"), "archive_dir": f"{place}/archive/{called}"}
    first |= {
        kind: f"{place}/live/{called}/{kind}.pem"
        for kind in ("cert", "privkey", "chain", "fullchain")
    }
    then = {
        "account": told.get("account"),
        "authenticator": "webroot",
        "webroot_path": f"{webroot},",
        "server": told["server"],
        **{key: told.get(key) for key in ("key_type", "elliptic_curve", "rsa_key_size")},
        "renew_hook": f"/usr/local/sbin/{instance}-certificate",
    }

    def lines(values: dict[str, object]) -> list[str]:
        return [f"{key} = {value}" for key, value in values.items() if value is not None]

    text = [*lines(first), "[renewalparams]", *lines(then), "[[webroot_map]]"]
    text += [f"{domain} = {webroot}" for domain in told["domains"]]
    return "\n".join([*text, ""]).encode()


def shown(words: object) -> str:
    """A text without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(words))


def look(instance: str, server: str, folder: str) -> None:
    """Write root's part into a folder; print where the user's begins, and how many bytes it has."""
    found = examine(sys.stdin.buffer.read, instance, server)
    for name, content in found.files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(path, "xb") as file:
            file.write(content)
    print(found.block, found.room)
    for note in found.notes:
        print(f"note: {shown(note)}")


def main(*words: str) -> int:
    """Do what is asked for; what a backup is made of goes on, and words about it to stderr."""
    part = {"roots": roots, "theirs": theirs}.get(words[0])
    told = sys.stderr if part else sys.stdout
    try:
        if part is None:
            look(*words)
        else:
            notes = part(sys.stdin.buffer.read, sys.stdout.buffer.write, *words[1:])
            sys.stdout.buffer.flush()
            for note in notes:
                print(f"note: {shown(note)}", file=told)
    except BrokenPipeError:
        os._exit(1)  # whoever reads it has said why
    except Refused as problem:
        print(f"refused: {shown(problem)}", file=told)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
