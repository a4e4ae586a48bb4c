"""A backup as both sides read it: what they refuse, and that GNU tar sees the same in the rest."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tarfile

import pytest
import zstandard
from invoke import Exit

from fabfile.backup import validate
from fabfile.render import TEMPLATES
from fabfile.settings import Settings

rules = validate.rules
MANIFEST = "format=1\nmade=x\nuser=david\njupyterlab=4.6.6\n"
ACME = Settings().acme_server
ACCOUNT = "letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/abc/meta.json"
CONF = f"""# renew_before_expiry = 30 days
version = 2.1.0
archive_dir = /etc/letsencrypt/archive/jupyterlab-fab
cert = /etc/letsencrypt/live/jupyterlab-fab/cert.pem
privkey = /etc/letsencrypt/live/jupyterlab-fab/privkey.pem
chain = /etc/letsencrypt/live/jupyterlab-fab/chain.pem
fullchain = /etc/letsencrypt/live/jupyterlab-fab/fullchain.pem

# Options used in the renewal process
[renewalparams]
account = abc
authenticator = webroot
webroot_path = /var/lib/jupyterlab-acme,
server = {ACME}
key_type = ecdsa
renew_hook = /usr/local/sbin/jupyterlab-certificate
[[webroot_map]]
lab.example.org = /var/lib/jupyterlab-acme
"""
RENEWAL = "letsencrypt/renewal/jupyterlab-fab.conf"
CERT = "letsencrypt/archive/jupyterlab-fab/cert1.pem"
ROOTS = {"manifest": MANIFEST, "lock.txt": "jupyterlab==4.6.6\n"}
USERS = {"jupyter/x": "x", "project/a b.ipynb": "{}", "project/é\n\x1b[2J": "x"}


def tar(files: dict[str, str | bytes], format=tarfile.GNU_FORMAT) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=format) as archive:
        for name, what in files.items():
            info = tarfile.TarInfo(name)
            data = what.encode() if isinstance(what, str) else what
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def looked(data: bytes, instance: str = "jupyterlab"):
    """What is in it, or why it is refused."""
    return rules.examine(io.BytesIO(data).read, instance, ACME)


def why(data: bytes) -> str:
    with pytest.raises(rules.Refused) as refusal:
        looked(data)
    return str(refusal.value)


def with_conf(text: str, **more: str) -> dict[str, str]:
    return {**ROOTS, RENEWAL: text, **more, **USERS}


def test_certbots_settings_are_written_anew():
    found = looked(tar(with_conf(CONF, **{CERT: "c", ACCOUNT: "{}"})))
    written = found.files[RENEWAL].decode()
    lines = [line for line in CONF.splitlines() if line and not line.startswith("#")]
    assert written.splitlines() == lines
    assert looked(tar(with_conf(written, **{CERT: "c", ACCOUNT: "{}"}))).files[RENEWAL] == (
        written.encode()
    )


@pytest.mark.parametrize(
    "old, new, word",
    [
        ("key_type = ecdsa", "pre_hook = touch x", "program of its own"),
        ("key_type = ecdsa", "post_hook = touch x", "program of its own"),
        ("key_type = ecdsa", "Deploy-Hook = touch x", "program of its own"),
        ("key_type = ecdsa", "manual_auth_hook = touch x", "program of its own"),
        ("key_type = ecdsa", "renew_hook = /usr/local/sbin/other-certificate", "its own"),
        ("renew_hook = /usr/local/sbin/jupyterlab-certificate", "renew_hook = x", "its own"),
        ("authenticator = webroot", "authenticator = manual", "program of its own"),
        ("authenticator = webroot", "authenticator = webroot\ninstaller = nginx", "installer"),
        ("key_type = ecdsa", "config_dir = /home/david/x", "config_dir"),
        ("key_type = ecdsa", "logs_dir = /etc/cron.d", "logs_dir"),
        ("key_type = ecdsa", 'key_type = """\npre_hook = x\n"""', "key_type"),
        ("key_type = ecdsa", "key_type = ecdsa\r", "key_type"),
        ("key_type = ecdsa", "key_type = ecdsa\u2028pre_hook = x", "key_type"),
        ("cert.pem", "../../../tmp/cert.pem", "cert does not"),
        ("archive/jupyterlab-fab", "archive/../x", "archive_dir"),
        ("account = abc", "account = ../x", "account"),
        (f"server = {ACME}", "server = http://x/", "server"),
        (f"server = {ACME}", "key = x", "key does not"),
        (f"server = {ACME}", "", "no server"),
        ("org = /var/lib/jupyterlab-acme", "org = /etc", "lab.example.org"),
        ("webroot_path = /var/lib/jupyterlab-acme", "webroot_path = /etc", "webroot_path"),
        ("[[webroot_map]]", "[[other]]", "[[other]]"),
        ("[renewalparams]", "[renewalparams]\n[acme]", "[acme]"),
    ],
)
def test_certbot_gets_nothing_that_is_not_known(old, new, word):
    assert old in CONF
    assert word in why(tar(with_conf(CONF.replace(old, new, 1))))


@pytest.mark.parametrize(
    "more",
    [
        {ACCOUNT.replace("abc", "def"): "{}"},
        {ACCOUNT.replace("acme-v02", "acme-v03"): "{}"},
        {ACCOUNT.replace("directory/", ""): "{}"},
        {CERT.replace("lab-fab", "lab-anna-fab"): "c"},
        {RENEWAL.replace("lab-fab", "lab-anna-fab"): CONF},
        {RENEWAL.replace("jupyterlab-fab", "other"): CONF},
    ],
)
def test_what_does_not_belong_to_the_certificate_is_refused(more):
    assert why(tar(with_conf(CONF, **more)))
    assert why(tar({**ROOTS, **more, **USERS}))


def test_a_certificate_of_another_name_or_server_is_left_out():
    other = CONF.replace("jupyterlab", "jupyterlab-anna")
    text = {RENEWAL.replace("lab-fab", "lab-anna-fab"): other}
    for files, instance in ((text, "jupyterlab"), ({RENEWAL: CONF}, "jupyterlab-anna")):
        found = looked(tar({**ROOTS, **files, **USERS}), instance)
        assert "another name" in found.notes[0] and set(found.files) == set(ROOTS)
    moved = CONF.replace(ACME, "https://pebble:14000/dir")
    found = looked(
        tar(with_conf(moved, **{"letsencrypt/accounts/pebble:14000/dir/abc/meta.json": ""}))
    )
    assert "pebble:14000" in found.notes[0] and set(found.files) == set(ROOTS)


@pytest.mark.parametrize(
    "files, word",
    [
        ({**ROOTS, "nginx/.pem": "x", **USERS}, "does not belong"),
        ({**ROOTS, "nginx/..pem": "x", **USERS}, "does not belong"),
        ({**ROOTS, "nginx/a\nb.pem": "x", **USERS}, "does not belong"),
        ({**ROOTS, "locks/r.txt\n": "x", **USERS}, "does not belong"),
        ({**ROOTS, "nginx/ü.pem": "x", **USERS}, "does not belong"),
        ({"manifest": MANIFEST + "user=root\n", "lock.txt": "", **USERS}, "manifest"),
        ({"manifest": MANIFEST + "\n", "lock.txt": "", **USERS}, "manifest"),
        ({"manifest": MANIFEST + "domain=a\u2028b\n", "lock.txt": "", **USERS}, "manifest"),
        ({"manifest": MANIFEST + "domain=\x1b[2J\n", "lock.txt": "", **USERS}, "manifest"),
        ({**ROOTS, "lock.txt": "x" * (rules.FILE_SIZE + 1), **USERS}, "larger than"),
        ({**ROOTS, **{f"nginx/{n}.pem": "" for n in range(1000)}, **USERS}, "too large"),
        ({**ROOTS, "project/" + "x" * 20000: ""}, "too long"),
        (ROOTS, "no notebooks"),
    ],
)
def test_what_no_backup_of_ours_has_is_refused(files, word):
    assert word in why(tar(files))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"x",
        lambda data: data + bytes(2 << 20),
        lambda data: data + tar({"nginx/x.pem": "x"}),
        lambda data: data.rstrip(b"\0") + bytes(100),
        lambda data: tar({**ROOTS, **USERS}, tarfile.PAX_FORMAT),  # é needs a header of its own
        lambda data: data.replace(b"ustar  ", b"ustar\0\0"),
        lambda data: data.replace(b"0000644", b"0000645"),
    ],
)
def test_what_tar_could_read_in_another_way_is_refused(change):
    assert why(change(tar({**ROOTS, **USERS})))


def test_a_name_without_end_takes_no_memory():
    """A header that says that eight gigabytes of a name follow."""
    import tracemalloc

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = b"L", 8 << 30
        archive.addfile(info)
    header = raw.getvalue()[:512]
    rest = iter([header])
    tracemalloc.start()
    with pytest.raises(rules.Refused, match="too long"):
        rules.examine(lambda size: next(rest, bytes(size)), "jupyterlab", ACME)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


# --- here, there, and GNU tar ---------------------------------------------------------------------


def there(data: bytes, folder) -> tuple[bool, str]:
    """Whether the server takes it, and what it says."""
    command = [
        sys.executable,
        "-I",
        TEMPLATES / "python" / "archive_rules.py",
        "jupyterlab",
        ACME,
        folder,
    ]
    done = subprocess.run(command, input=data, capture_output=True, timeout=30)
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode == 0, done.stdout.decode()


def here(data: bytes, folder) -> tuple[bool, str]:
    """The same of the operator's machine."""
    path = folder / "x"
    path.write_bytes(zstandard.ZstdCompressor().compress(data))
    try:
        validate.examine(path)
    except Exit as refusal:
        return False, refusal.message
    return True, ""


def mutations(seed: int) -> bytes:
    """A backup in which some bytes are others: most of them in headers, with a right checksum."""
    luck = random.Random(seed)
    files = with_conf(CONF, **{CERT: "c", ACCOUNT: "{}", "locks/r.txt": "a==1\n"})
    if luck.random() < 0.3:
        files["project/" + "long/" * 30] = "x"
    data = bytearray(tar(files))
    for _ in range(luck.randint(1, 3)):
        at = luck.randrange(0, len(data) - 10240, 512)
        odd = luck.choice(
            [b"\0", b"\n", b"/", b"..", b"5", b"2", b"g", b"x", b"S", b"L", b"\xff", b"7"]
        )
        where = luck.choice([0, 1, 99, 124, 134, 135, 136, 156, 157, 257, 263, 265, 345, 482, 500])
        data[at + where : at + where + len(odd)] = odd
        if luck.random() < 0.8:
            header = data[at : at + 512]
            total = sum(header) - sum(header[148:156]) + 8 * 32
            data[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(data)


@pytest.mark.parametrize("seed", range(80))
def test_both_sides_take_the_same_and_tar_sees_the_same_in_it(tmp_path, seed):
    data = mutations(seed)
    (tmp_path / "there").mkdir()
    taken, said = there(data, tmp_path / "there")
    taken_here, said_here = here(data, tmp_path)
    assert taken == taken_here, (said, said_here)
    if not taken:
        reason = said.removeprefix("refused: ").strip()
        assert said.startswith("refused: ") and reason in said_here and said.count("\n") == 1
        return
    listed = subprocess.run(
        ["tar", "-tR", "--quoting-style=escape", "--null"], input=data, capture_output=True
    )
    assert (listed.returncode, listed.stderr) == (0, b"")
    rows = listed.stdout.decode().splitlines()
    names = [row.partition(": ")[2] for row in rows if "Block of NULs" not in row]
    seen = rules.Tar(io.BytesIO(data).read)
    escaped = str.maketrans({"\n": "\\n", "\x1b": "\\033", "\\": "\\\\"})
    ours = []
    for member in seen.members():
        ours.append(member.name.encode(errors="surrogateescape").decode().translate(escaped))
    assert ours == names
    (tmp_path / "tar").mkdir()
    block = int(said.split()[0])
    subprocess.run(["tar", "-x", "-C", tmp_path / "tar"], input=data[: block * 512], check=False)
    for path in (tmp_path / "there").rglob("*"):
        if path.is_file() and path.suffix != ".conf":
            twin = tmp_path / "tar" / path.relative_to(tmp_path / "there")
            assert path.read_bytes() == twin.read_bytes()


def test_some_of_these_are_taken_and_most_are_not(tmp_path):
    results = [there(mutations(seed), tmp_path / str(seed))[0] for seed in range(80)]
    assert 3 < sum(results) < 60


# --- what is written goes through the same reading ----------------------------------------------


def passed(data: bytes, *words: str) -> tuple[io.BytesIO, list[str]]:
    """What of a tar gets into a backup, and the notes about the rest."""
    written = io.BytesIO()
    part = rules.theirs if words else rules.roots
    return written, part(io.BytesIO(data).read, written.write, *words)


FIRST = passed(tar({**ROOTS, RENEWAL: CONF, CERT: "c"}))[0].getvalue()


def backup_with(piece: bytes) -> bytes:
    """A backup in which that is the user's part."""
    return FIRST + piece + bytes(1024)


def bare(files: dict[str, str | bytes]) -> bytes:
    """Members alone, as they stand in a tar."""
    whole = tar(files)
    end = max(rules.Tar(io.BytesIO(whole).read).members(), key=lambda member: member.at)
    return whole[: (end.at + len(end.head) // 512 + -(-end.size // 512)) * 512]


@pytest.mark.parametrize("name", [*ROOTS, RENEWAL, CERT, ACCOUNT, "nginx/x.key", "locks/r.txt"])
@pytest.mark.parametrize("place", ["instead", "before", "behind", "after its end", "in a content"])
def test_no_byte_of_the_users_passes_for_one_of_roots(name, place):
    """Whoever runs as the user may write in their tar's stead. In a content it is content."""
    evil, own = bare({name: "evil"}), bare({"project/": "", "project/x": "x"})
    data = {
        "instead": evil + bytes(1024),
        "before": evil + own + bytes(1024),
        "behind": own + evil + bytes(1024),
        "after its end": own + bytes(1024) + evil + bytes(1024),
        "in a content": tar({"project/x": evil + bytes(1024) + evil}),
    }[place]
    if place == "in a content":
        found = looked(backup_with(passed(data, "project", "some")[0].getvalue()))
        assert found.files == looked(backup_with(own)).files
    else:
        with pytest.raises(rules.Refused, match=r"does not belong there|follows its end"):
            passed(data, "project", "some")


def test_one_that_ends_early_swallows_nothing_that_follows():
    """A size that is larger than what comes, in the last member."""
    own = bytearray(bare({"project/x": "x"}))
    for cut in range(0, len(own), 100):
        with pytest.raises(rules.Refused, match="cut off"):
            passed(bytes(own[:cut]), "project", "some")
    own[124:136] = b"00000100000\0"
    own[148:156] = b"%06o\0 " % (sum(own[:512]) - sum(own[148:156]) + 8 * 32)
    for data in (own, own + bytes(1024)):
        with pytest.raises(rules.Refused, match="cut off"):
            passed(bytes(data), "project", "some")


@pytest.mark.parametrize("seed", range(300))
def test_a_restore_takes_whatever_was_let_through(seed):
    """Any bytes in the place of a part: it is let through, or there is no backup."""
    data = mutations(seed)
    luck = random.Random(seed)
    try:
        piece = passed(data, luck.choice(["project", "jupyter", "kernels"]), "some")[0].getvalue()
        assert looked(backup_with(piece)).files == looked(backup_with(bare(USERS))).files
    except rules.Refused:
        pass
    own = bare({"project/a": "a", "project/b": b"b" * 2000})
    at = luck.randrange(len(own))
    odd = own[:at] + luck.randbytes(luck.choice([1, 600])) + own[at + luck.choice([0, 1, 512]) :]
    for part in (own, odd):
        try:
            piece = passed(part + bytes(1024), "project", "some")[0].getvalue()
        except rules.Refused:
            assert part == odd
        else:
            assert looked(backup_with(piece)).files == looked(backup_with(own)).files
    try:
        first = passed(data[: data.index(b"jupyter/x") // 512 * 512] + bytes(1024))[0].getvalue()
    except (rules.Refused, ValueError):
        return
    assert looked(first + own + bytes(1024)).files


def test_a_device_a_link_to_it_and_a_path_without_end_are_left_out():
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, target in (
            ("project", tarfile.DIRTYPE, ""),
            ("project/device", tarfile.CHRTYPE, ""),
            ("project/disk\n", tarfile.BLKTYPE, ""),
            ("project/zz", tarfile.LNKTYPE, "project/device"),
            ("project/" + "d/" * 2044, tarfile.DIRTYPE, ""),
            ("project/" + "d/" * 2043 + "e", tarfile.REGTYPE, ""),
            ("project/" + "d/" * 9000, tarfile.DIRTYPE, ""),
            ("project/link", tarfile.SYMTYPE, "/etc/passwd"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    written, notes = passed(raw.getvalue(), "project", "whole")
    names = [m.name for m in rules.Tar(io.BytesIO(written.getvalue() + bytes(1024)).read).members()]
    assert [len(name) for name in names] == [len("project/"), 4095, len("project/link")]
    assert [rules.shown(note) for note in notes[:3]] == [
        "left out: project/device is not a file, folder or link",
        "left out: project/disk? is not a file, folder or link",
        "left out: project/zz is a hard link to a file that is left out",
    ]
    assert [note[-27:] for note in notes[3:]] == [" has a name that is too long"[-27:]] * 2
    assert looked(backup_with(written.getvalue()))


def test_notebooks_that_went_meanwhile_are_no_backup():
    gone = {"jupyter/x": "x"}
    assert passed(bytes(1024), "jupyter", "some")[0].getvalue() == b""
    for data in (bytes(1024), tar({"project/x": "x"})):
        with pytest.raises(rules.Refused, match="project no longer exists"):
            passed(data, "project", "whole")
    with pytest.raises(rules.Refused, match="does not belong"):
        passed(tar(gone), "project", "whole")


@pytest.mark.parametrize(
    "files, word",
    [
        ({"manifest": MANIFEST}, "no lock.txt"),
        ({**ROOTS, "lock.txt": "x" * (rules.FILE_SIZE + 1)}, "larger than"),
        ({**ROOTS, **{f"nginx/{n}.pem": "" for n in range(1000)}}, "too large"),
        ({**ROOTS, **{f"locks/{n}.txt": "x" * 900000 for n in range(19)}}, "too large"),
        ({**ROOTS, "nginx/..pem": "x"}, "does not belong"),
        ({**ROOTS, "manifest": "format=1\nuser=\x1b\n"}, "manifest"),
        ({**ROOTS, **USERS}, "does not belong"),
    ],
)
def test_what_a_restore_would_refuse_of_roots_is_not_written(files, word):
    with pytest.raises(rules.Refused, match=word):
        passed(tar(files))


def test_certbots_part_that_would_be_refused_is_left_out_and_told():
    for conf in (CONF + "pre_hook = x\n", CONF.replace("account = abc", "account = def")):
        written, notes = passed(tar({**ROOTS, RENEWAL: conf, CERT: "c", ACCOUNT: "{}"}))
        assert "certbot's part is left out" in notes[0]
        found = looked(written.getvalue() + bare(USERS) + bytes(1024))
        assert found.files.keys() == ROOTS.keys()
