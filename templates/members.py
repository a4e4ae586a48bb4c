"""What may be in a backup: read in one way here and on the server, so that both refuse the same.

It reads a tar as backup.sh has GNU tar write it, and nothing that another program could take for
something else. Root's part comes out as values that were checked one by one; certbot's settings are
written anew from those that are known.

Usage: members.py INSTANCE SERVER FOLDER <tar     (runs on the server, as root)
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK = 512
PIECE = 1 << 20
NAME_SIZE = 1 << 14  # a path has 4096 bytes at most
FILE_SIZE = 1 << 20  # of one of root's files
ROOT_FILES = 1000
ROOT_SIZE = 1 << 24
FORMAT = "1"
MAGICS = b"ustar\x0000", b"ustar  \x00"
KINDS = {b"0": "file", b"1": "hard link", b"2": "link", b"5": "folder", b"6": "pipe"}
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
    """One thing in a tar. :param at: the block where it begins."""

    name: str
    kind: str
    size: int
    at: int


@dataclass
class Found:
    """What is in a backup. :param files: root's part; :param block: where the user's begins."""

    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    block: int = 0
    room: int = 0


class Tar:
    """A tar that is read once, from its beginning. :param read: gives at most so many bytes."""

    def __init__(self, read: Callable[[int], bytes]):
        self.source, self.block, self.left = read, 0, 0

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

    def skip(self) -> None:
        """Go on behind the member that was read last."""
        blocks = -(-self.left // BLOCK)
        self.block += blocks
        left, self.left = blocks * BLOCK, 0
        while left:
            left -= len(self.exactly(min(left, PIECE)))

    def members(self) -> Iterator[Member]:
        """All of them, up to its end, behind which nothing may be."""
        long: dict[str, str] = {}
        at = 0
        while True:
            self.skip()
            at = at if long else self.block
            header = self.exactly(BLOCK)
            self.block += 1
            if header == bytes(BLOCK):
                self.end(bool(long))
                return
            kind, size = checked(header)
            if kind in LONG:
                if LONG[kind] in long or not 0 < size <= NAME_SIZE:
                    raise Refused("it has a name that is too long")
                long[LONG[kind]] = text(self.padded(size))
                continue
            name = long.get("name") or name_of(header)
            if kind not in KINDS:
                raise Refused(f"{name} is no file, folder or link")
            if size and kind != b"0":
                raise Refused(f"{name} is a {KINDS[kind]} with a content")
            self.left, long = size, {}
            yield Member(name, KINDS[kind], size, at)

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
    tar, found, users, taken = Tar(read), Found(), False, 0
    for member in tar.members():
        name = member.name.rstrip("/") if member.kind == "folder" else member.name
        if name.startswith("/") or ".." in name.split("/"):
            raise Refused(f"it names {name}")
        if USERS.fullmatch(name):
            if not users:
                users, found.block = True, member.at
            found.room += member.size + 4096
            continue
        if users or member.kind != "file" or not ROOTS.fullmatch(name) or name in found.files:
            raise Refused(f"{name} does not belong there")
        taken += member.size
        if len(found.files) >= ROOT_FILES or taken > ROOT_SIZE:
            raise Refused("its first part is too large")
        found.files[name] = tar.content(member, FILE_SIZE)
    for name in ("manifest", "lock.txt"):
        if name not in found.files:
            raise Refused(f"it has no {name}")
    if not users:
        raise Refused("it has no notebooks")
    written = facts(found.files["manifest"]).get("format")
    if written != FORMAT:
        raise Refused(f"it is of format {written}, and this program reads {FORMAT}: use the "
                      "version that made it")  # fmt: skip
    take_lineage(found, instance, server)
    return found


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
    certbots = [name for name in found.files if name.startswith("letsencrypt/")]
    if not certbots:
        return
    fits = [ROOTS.fullmatch(name).groupdict() for name in certbots]
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
    if whose != instance or given["server"] != server:
        what = "another name on its server" if whose != instance else f"{given['server']}"
        found.notes.append(
            f"its certificate of an ACME server was of {what}: a new one is asked for"
        )
        for name in certbots:
            del found.files[name]
        return
    found.files[conf] = renewal(given, instance)


def settings(raw: bytes, name: str, whose: str) -> dict[str, object]:
    """Certbot's settings of a certificate, each known and checked.

    :param whose: the JupyterLab that it is called after.
    """
    place, webroot = "/etc/letsencrypt", f"/var/lib/{whose}-acme"
    lineage = f"{whose}-fab"
    right = {
        "version": r"[0-9][0-9.a-z]*",
        "archive_dir": rf"{place}/archive/{lineage}",
        **{kind: rf"{place}/live/{lineage}/{kind}\.pem"
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
    lineage = f"{instance}-fab"
    first = {"version": told.get("version"), "archive_dir": f"{place}/archive/{lineage}"}
    first |= {
        kind: f"{place}/live/{lineage}/{kind}.pem"
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


def main(instance: str, server: str, folder: str) -> int:
    """Write root's part into a folder; print where the user's begins, and how many bytes it has."""
    try:
        found = examine(sys.stdin.buffer.read, instance, server)
    except Refused as problem:
        print(f"refused: {shown(problem)}")
        return 1
    for name, content in found.files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(path, "xb") as file:
            file.write(content)
    print(found.block, found.room)
    for note in found.notes:
        print(f"note: {shown(note)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
