"""Check the members of a backup, on the operator's machine and on the server by the same rules.

It reads a tar as backup.sh has GNU tar write it, and refuses anything that another program could
read differently. The values in root's part are checked one by one; certbot's settings are rewritten
from the known ones. New backups pass through here, too, so that a restore refuses nothing in them
and no file of the user can pass for a member in root's part.

Its arguments on the server, as root:
INSTANCE SERVER FOLDER <tar     check a backup, write root's part into a folder
roots <tar >tar                 copy root's part without what a restore would refuse
theirs NAME MUST <tar >tar      do the same with the user's NAME/...; MUST is `whole` where NAME
                                itself must not be missing
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK = 512
PIECE = 1 << 20
NAME_SIZE = 1 << 12  # bytes of a path with its final zero: PATH_MAX of Linux
DEEPEST = 1 << 20  # bytes of a path that is read and left out
FILE_SIZE = 1 << 20  # bytes of a file in root's part
ROOT_FILES = 1000
ROOT_SIZE = 1 << 24
NOTES = 20  # at most, on what was left out
MOST_GONE = 10000  # files that are left out, at most
FORMAT = "1"
MAGICS = b"ustar\x0000", b"ustar  \x00"
KINDS = {b"0": "file", b"1": "hard link", b"2": "link", b"5": "folder", b"6": "pipe"}
DEVICES = dict.fromkeys((b"3", b"4"), "device")  # read, but never accepted
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
LINE = re.compile(r"([a-z0-9_]+|\[\[?[a-z_]+\]\]?|[A-Za-z0-9.-]+)(?: = ([A-Za-z0-9_./:,@+~-]*))?")
HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
DNS = (  # lab.tls_dns, the providers to whose API certbot speaks
    "rfc2136", "cloudflare", "digitalocean", "dnsimple", "gandi", "gehirn", "google", "linode",
    "ovh", "route53", "sakuracloud",
)  # fmt: skip
KEY = "nginx/dns.key"  # the credentials for that
PROGRAMS = re.compile(rb"credential_process|executable", re.IGNORECASE)
HOOKS = re.compile(r".*hook.*", re.IGNORECASE | re.DOTALL)


class Refused(ValueError):
    """The reason why a file is not a valid backup."""


@dataclass(frozen=True)
class Member:
    """A member of a tar.

    :param at: the block where it begins.
    :param head: its raw headers.
    """

    name: str
    kind: str
    size: int
    at: int
    target: str
    head: bytes

    def fault(self) -> str:
        """Return why no backup can hold this member, or an empty string."""
        if self.kind == "device":
            return "is not a file, folder or link"
        if max(len(os.fsencode(text)) for text in (self.name, self.target)) >= NAME_SIZE:
            return "has a name that is too long"
        return ""


@dataclass
class Found:
    """The content of a backup. :param files: root's part; :param block: where the user's begins."""

    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    block: int = 0
    room: int = 0


class Tar:
    """A tar that is read once, from the beginning.

    :param read: returns at most the given number of bytes.
    :param longest: the size limit of a name, in bytes.
    """

    def __init__(self, read: Callable[[int], bytes], longest: int = NAME_SIZE):
        self.source, self.block, self.left, self.longest = read, 0, 0, longest

    def exactly(self, size: int) -> bytes:
        """Return exactly this number of bytes."""
        taken = b""
        while len(taken) < size:
            piece = self.source(size - len(taken))
            if not piece:
                raise Refused("it is cut off")
            taken += piece
        return taken

    def padded(self, size: int) -> bytes:
        """Return a content of this size, without the padding of its last block."""
        blocks = -(-size // BLOCK)
        self.block += blocks
        return self.exactly(blocks * BLOCK)[:size]

    def content(self, member: Member, limit: int) -> bytes:
        """Return the content of the member that was read last."""
        if member.size > limit:
            raise Refused(f"{member.name} is larger than {limit} bytes")
        self.left = 0
        return self.padded(member.size)

    def skip(self, write: Callable[[bytes], object] = len) -> None:
        """Skip the content of the member that was read last.

        :param write: gets the content, with the padding of the last block.
        """
        blocks = -(-self.left // BLOCK)
        self.block += blocks
        left, self.left = blocks * BLOCK, 0
        while left:
            piece = self.exactly(min(left, PIECE))
            left -= len(piece)
            write(piece)

    def members(self) -> Iterator[Member]:
        """Yield all members up to the end of the tar, which nothing may follow."""
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
                raise Refused(f"{name} is not a file, folder or link")
            if size and kind != b"0":
                raise Refused(f"{name} is a {called} with content")
            target = long.get("target") or text(header[157:257])
            self.left, long = size, {}
            yield Member(name, called, size, at, target, head)

    def end(self, unfinished: bool) -> None:
        """Check that only zeros follow."""
        count = 0
        while piece := self.source(PIECE):
            count += len(piece)
            if piece.strip(b"\0") or count > PIECE:
                raise Refused("data follows its end")
        if unfinished or not count:
            raise Refused("its end is missing")


def checked(header: bytes) -> tuple[bytes, int]:
    """Check a header, and return the kind and the size of its member."""
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if header[257:265] not in MAGICS or number(header[148:156]) != total:
        raise Refused("it is not a tar, or it is damaged")
    return header[156:157], number(header[124:136])


def number(raw: bytes) -> int:
    """Return a number of a header: in octal, or in GNU tar's form for larger numbers."""
    if raw[0] == 0x80:
        return int.from_bytes(raw[1:], "big")
    digits = raw.strip(b" \0")
    if not re.fullmatch(rb"[0-7]+", digits):
        raise Refused("it is not a tar, or it is damaged")
    return int(digits, 8)


def text(raw: bytes) -> str:
    """Return the text in a field, which ends with a zero or with the field."""
    return raw.partition(b"\0")[0].decode(errors="surrogateescape")


def name_of(header: bytes) -> str:
    """Return the name in a header; POSIX has the folders in a second field."""
    above = text(header[345:500]) if header[257:265] == MAGICS[0] else ""
    return f"{above}/{text(header[:100])}" if above else text(header[:100])


def examine(read: Callable[[int], bytes], instance: str, server: str) -> Found:
    """Check a whole backup.

    :param read: returns at most the given number of bytes of the tar.
    :param instance: name of the JupyterLab that it replaces.
    :param server: URL of the ACME server in the settings.
    :raises Refused: when it holds something that no backup has.
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
    take_credentials(found)
    return found


def filled(raw: bytes) -> bytes:
    """Fill up the last block with zeros, as in a tar."""
    return raw.ljust(-(-len(raw) // BLOCK) * BLOCK, b"\0")


def plain(member: Member) -> str:
    """Return the name of a member; refuse a path that leads out of the backup."""
    name = member.name.rstrip("/") if member.kind == "folder" else member.name
    if name.startswith("/") or ".." in name.split("/"):
        raise Refused(f"it has the unsafe path {name}")
    return name


def take(found: Found, member: Member, tar: Tar) -> None:
    """Take a file into root's part; refuse one that no backup has."""
    name = member.name
    if member.kind != "file" or not ROOTS.fullmatch(name) or name in found.files:
        raise Refused(f"{name} does not belong there")
    taken = sum(map(len, found.files.values())) + member.size
    if len(found.files) >= ROOT_FILES or taken > ROOT_SIZE:
        raise Refused("root's part is too large")
    found.files[name] = tar.content(member, FILE_SIZE)


def judge(found: Found) -> None:
    """Refuse root's part without a manifest or lock.txt, or of another format."""
    for name in ("manifest", "lock.txt"):
        if name not in found.files:
            raise Refused(f"it has no {name}")
    written = facts(found.files["manifest"]).get("format")
    if written != FORMAT:
        raise Refused(f"it is of format {written}, but this program reads {FORMAT}: use the "
                      "version that made it")  # fmt: skip


def roots(read: Callable[[int], bytes], write: Callable[[bytes], object]) -> list[str]:
    """Copy root's part, without its end and without what a restore would refuse.

    :returns: notes about what was left out.
    """
    tar, found, heads = Tar(read), Found(), {}
    for member in tar.members():
        take(found, member, tar)
        heads[member.name] = member.head
    judge(found)
    if problem := fault_of_lineage(found):
        found.notes.append(f"certbot's part is left out, as a restore would refuse it ({problem}):"
                           " a restore requests a new certificate")  # fmt: skip
    for name, head in heads.items():
        content = found.files[name]
        if not (problem and name.startswith("letsencrypt/")):
            write(head + filled(content))
    return found.notes


def theirs(
    read: Callable[[int], bytes], write: Callable[[bytes], object], whose: str, must: str
) -> list[str]:
    """Copy the user's part, without its end and without what a restore would refuse.

    :param whose: NAME; only NAME itself and NAME/... may be there.
    :param must: `whole` where NAME itself must not be missing.
    :returns: notes about what was left out.
    """
    tar, gone, notes, there = Tar(read, DEEPEST), set(), [], False
    for member in tar.members():
        name = plain(member)
        if name != whose and not name.startswith(f"{whose}/"):
            raise Refused(f"{name} does not belong there")
        why = member.fault()
        if member.kind == "hard link" and member.target in gone:
            why = "is a hard link to a file that is left out"
        if not why:
            there = there or (name == whose and member.kind == "folder")
            write(member.head)
            tar.skip(write)
            continue
        if len(notes) < NOTES:
            notes.append(f"left out: {name[:200]} {why}")
        if len(gone) >= MOST_GONE:
            raise Refused(f"{whose} has more than {MOST_GONE} files that no backup can hold")
        if len(name) < NAME_SIZE:
            gone.add(name)
    if must == "whole" and not there:
        raise Refused(f"{whose} no longer exists")
    return notes


def facts(manifest: bytes) -> dict[str, str]:
    """Return a manifest's keys and values; refuse unknown keys and control characters."""
    lines = manifest.decode(errors="replace").removesuffix("\n").split("\n")
    told: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if key not in FACTS or key in told or not equals or not value.isprintable():
            raise Refused("its manifest is not one that `fab backup` writes")
        told[key] = value
    return told


def take_lineage(found: Found, instance: str, server: str) -> None:
    """Keep certbot's part only if it is of this JupyterLab and this ACME server."""
    whose, given = lineage(found)
    if not given:
        return
    if whose != instance or given["server"] != server:
        what = "for another name on its server" if whose != instance else f"from {given['server']}"
        found.notes.append(
            f"its ACME certificate is left out, as it is {what}: a new one is requested"
        )
        for name in certbots(found):
            del found.files[name]
        return
    found.files[f"letsencrypt/renewal/{whose}-fab.conf"] = renewal(given, instance)


def take_credentials(found: Found) -> None:
    """Leave out credentials for the DNS that name a program, which root would run."""
    if PROGRAMS.search(found.files.get(KEY, b"")):
        found.notes.append("its credentials for the DNS are left out, as they name a program")
        del found.files[KEY]


def certbots(found: Found) -> list[str]:
    """Return the names of certbot's files."""
    return [name for name in found.files if name.startswith("letsencrypt/")]


def lineage(found: Found) -> tuple[str, dict[str, object] | None]:
    """Check certbot's part; return the name of its JupyterLab, and its settings if any."""
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
    """Return why a restore would refuse certbot's part, or an empty string."""
    try:
        lineage(found)
    except Refused as problem:
        return str(problem)
    return ""


def settings(raw: bytes, name: str, whose: str) -> dict[str, object]:
    """Return certbot's settings of a certificate; refuse unknown and wrong ones.

    :param whose: name of the JupyterLab that it belongs to.
    """
    place, webroot = "/etc/letsencrypt", f"/var/lib/{whose}-acme"
    called = f"{whose}-fab"
    right = {
        "version": r"[0-9][0-9.a-z]*",
        "archive_dir": rf"{place}/archive/{called}",
        **{kind: rf"{place}/live/{called}/{kind}\.pem"
           for kind in ("cert", "privkey", "chain", "fullchain")},
        "account": r"[0-9a-f]+",
        "authenticator": "|".join(["webroot", *(f"dns-{name}" for name in DNS)]),
        **{f"dns_{name}_credentials": rf"/etc/nginx/{whose}/dns\.key" for name in DNS},
        **dict.fromkeys((f"dns_{name}_propagation_seconds" for name in DNS), "[0-9]{1,4}"),
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
        raise Refused(f"{name} names no server")
    return told


def renewal(told: dict[str, object], instance: str) -> bytes:
    """Return the text of certbot's settings of our certificate, as certbot writes it."""
    place, webroot = "/etc/letsencrypt", f"/var/lib/{instance}-acme"
    called = f"{instance}-fab"
    first = {"version": told.get("version"), "archive_dir": f"{place}/archive/{called}"}
    first |= {
        kind: f"{place}/live/{called}/{kind}.pem"
        for kind in ("cert", "privkey", "chain", "fullchain")
    }
    way = told.get("authenticator", "webroot")
    option = f"{str(way).replace('-', '_')}_credentials"
    proof = {"webroot_path": f"{webroot},"} if way == "webroot" else {option: told.get(option)}
    then = {
        "account": told.get("account"),
        "authenticator": way,
        **proof,
        "server": told["server"],
        **{key: told.get(key) for key in ("key_type", "elliptic_curve", "rsa_key_size")},
        "renew_hook": f"/usr/local/sbin/{instance}-certificate",
    }

    def lines(values: dict[str, object]) -> list[str]:
        return [f"{key} = {value}" for key, value in values.items() if value is not None]

    text = [*lines(first), "[renewalparams]", *lines(then)]
    if way == "webroot":
        text += ["[[webroot_map]]", *(f"{domain} = {webroot}" for domain in told["domains"])]
    return "\n".join([*text, ""]).encode()


def shown(words: object) -> str:
    """Return a text without characters that control a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(words))


def look(instance: str, server: str, folder: str) -> None:
    """Write root's part into a folder; print start and size of the user's part."""
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
    """Run a command; notes go to stderr when the tar goes to stdout."""
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
        os._exit(1)  # the reader has said why
    except Refused as problem:
        print(f"refused: {shown(problem)}", file=told)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
