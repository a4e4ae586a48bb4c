"""Backups on the operator's machine: names, soundness, which ones stay, and what is refused."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
import zstandard
from invoke import Exit

from fabfile.backup import archives, restore, validate
from fabfile.backup.stream import Receiver
from fabfile.settings import Settings
from fabfile.settings.names import Instance

DAY = "jupyterlab-2026-11-{:02}T030000Z.tar.zst"
MANIFEST = "format=1\nmade=2026-11-24T03:00:00Z\nuser=david\njupyterlab=4.6.6\n"
LOCK = "jupyterlab==4.6.6\ntqdm==4.66.1\n# mine==0.1\n$(reboot)==1\n"
USUAL = {"manifest": MANIFEST, "lock.txt": LOCK, "jupyter/x": "x", "project/a.ipynb": "{}"}


def packed(members) -> bytes:
    """A backup: name -> text, or a kind of tarfile's for what is no file."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, what in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(what, bytes):
                info.type, info.linkname = what, "/etc/passwd"
                archive.addfile(info)
            else:
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what.encode()))
    return zstandard.ZstdCompressor(write_checksum=True).compress(raw.getvalue())


def put(path: Path, data: bytes = b"sound", digest: str = "") -> Path:
    """Write a file and its checksum beside it."""
    path.write_bytes(data)
    digest = digest or hashlib.sha256(data).hexdigest()
    archives.beside(path).write_text(f"{digest}  {path.name}\n")
    return path


@pytest.mark.parametrize(
    "host, port, name",
    [
        ("1.1.1.1", 22, "1.1.1.1"),
        ("lab", 2222, "lab-2222"),
        ("fd00::1", 22, "fd00__1"),
        ("../x", 22, "_x"),
        ("..", 22, "_"),
    ],
)
def test_each_host_has_a_folder(host, port, name):
    assert archives.folder_of("backups", host, port, Instance()) == Path("backups") / name


def test_each_of_several_on_a_host_has_a_folder():
    folders = {archives.folder_of("b", "lab", 22, Instance(name)) for name in ("anna", "ben")}
    assert folders == {Path("b/lab-jupyterlab-anna"), Path("b/lab-jupyterlab-ben")}


def test_a_new_name_is_one_of_ours():
    assert archives.NAME.fullmatch(archives.new_name())


def test_only_files_of_ours_are_backups_the_newest_first(tmp_path):
    for name in (DAY.format(2), DAY.format(9), DAY.format(9) + ".part", "x.tar.zst", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in archives.found(tmp_path)] == [DAY.format(9), DAY.format(2)]
    assert archives.found(tmp_path / "absent") == []


@pytest.mark.parametrize(
    "there, keep, stay",
    [
        ("sss", 7, "123"),
        ("sss", 2, "12"),
        ("dss", 2, "123"),  # a damaged one does not take the place of a sound one
        ("dsdss", 2, "1234"),
        ("ddd", 1, "123"),  # nothing sound: nothing goes
        ("ssd", 2, "12"),
        ("", 1, ""),
    ],
)
def test_the_newest_sound_ones_stay(tmp_path, there, keep, stay):
    names = [DAY.format(30 - n) for n, _ in enumerate(there)]
    for name, state in zip(names, there, strict=True):
        put(tmp_path / name, digest="" if state == "s" else "0" * 64)
    (tmp_path / "mine.txt").touch()
    archives.prune(tmp_path, keep)
    left = [names.index(path.name) + 1 for path in archives.found(tmp_path)]
    assert "".join(map(str, left)) == stay
    assert len(list(tmp_path.iterdir())) == 2 * len(stay) + 1


def test_a_backup_is_sound_by_its_checksum(tmp_path):
    path = put(tmp_path / "x")
    assert archives.sound(path)
    path.write_bytes(b"Sound")
    assert not archives.sound(path)
    archives.beside(path).unlink()
    assert not archives.sound(path)


def test_what_is_in_a_backup(tmp_path):
    path = put(tmp_path / "x", packed(USUAL))
    found = validate.examine(path)
    assert (found.facts["user"], found.facts["jupyterlab"]) == ("david", "4.6.6")
    assert found.lock == ("jupyterlab==4.6.6", "tqdm==4.66.1")
    assert found.elsewhere == ("mine==0.1",)
    assert found.sum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert validate.version(path) == "4.6.6"


def test_a_backup_without_its_checksum_is_looked_through_all_the_same(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(packed(USUAL))
    assert validate.examine(path).facts["format"] == "1"


@pytest.mark.parametrize(
    "more, words",
    [
        ({"/etc/passwd": "x"}, "it has the unsafe path /etc/passwd"),
        ({"project/../../x": "x"}, "it has the unsafe path project/../../x"),
        ({"project/disk": tarfile.BLKTYPE}, "not a file, folder or link"),
        ({"nginx/x.pem": "x"}, "does not belong there"),  # after what is the user's
        ({"etc/cron.d/x": "x"}, "does not belong there"),
    ],
)
def test_what_no_backup_of_ours_has_is_refused(tmp_path, more, words):
    with pytest.raises(Exit, match="nothing was touched") as refusal:
        validate.examine(put(tmp_path / "x", packed({**USUAL, **more})))
    assert words in refusal.value.message


@pytest.mark.parametrize(
    "first",
    [
        {"nginx/x.pem": tarfile.SYMTYPE},
        {"nginx/conf.d": "x"},
        {"letsencrypt/renewal/other.conf": "x"},
        {"letsencrypt/accounts/../x/meta.json": "x"},
        {"manifest": tarfile.LNKTYPE},
    ],
)
def test_root_gets_nothing_but_what_belongs_there(tmp_path, first):
    with pytest.raises(Exit, match="nothing was touched"):
        validate.examine(put(tmp_path / "x", packed({**first, **USUAL, **first})))


@pytest.mark.parametrize(
    "members, words",
    [
        ({"project/x": "x"}, "it has no manifest"),
        ({"manifest": MANIFEST, "project/x": "x"}, "it has no lock.txt"),
        ({**USUAL, "manifest": "format=2\n"}, "of format 2"),
    ],
)
def test_what_is_no_backup_is_refused(tmp_path, members, words):
    with pytest.raises(Exit, match=words):
        validate.examine(put(tmp_path / "x", packed(members)))


WHOLE = packed({**USUAL, "project/big": "0123456789" * 5000})


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        WHOLE[:-1],
        WHOLE[:-5],
        WHOLE[: len(WHOLE) // 2],
        WHOLE + b"x",
        bytes([*WHOLE[:200], WHOLE[200] ^ 1, *WHOLE[201:]]),
    ],
    ids=["empty", "text", "a byte short", "no checksum", "half", "a byte more", "a flipped bit"],
)
def test_what_is_not_whole_is_refused(tmp_path, data, checksum):
    path = put(tmp_path / "x", data)
    if not checksum:
        archives.beside(path).unlink()
    with pytest.raises(Exit, match="not a whole backup"):
        validate.examine(path)


def test_a_whole_one_with_anothers_checksum_is_refused(tmp_path):
    with pytest.raises(Exit, match="its checksum differs from"):
        validate.examine(put(tmp_path / "x", WHOLE, "0" * 64))


def test_a_large_hole_takes_little_memory(tmp_path):
    import tracemalloc

    path = put(tmp_path / "x", packed({**USUAL, "project/hole": "\0" * 100_000_000}))
    tracemalloc.start()
    validate.examine(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80_000_000


# --- on its way here ---------------------------------------------------------------------------


def received(tmp_path, data: bytes, size: int = 999) -> tuple[bytes, str, list[str]]:
    """What a Receiver makes of it."""
    with (tmp_path / "got").open("wb") as file:
        receiver = Receiver(file, lambda count: None)
        for at in range(0, len(data), size):
            receiver(data[at : at + size])
        digest, notes = receiver.finish()
    return (tmp_path / "got").read_bytes(), digest, notes


def sent(data: bytes, notes: bytes = b"", ended: int = 0, digest: str = "") -> bytes:
    digest = digest or hashlib.sha256(data).hexdigest()
    return data + notes + f"\n@end {ended} {digest} {len(notes)}\n".encode()


BYTES = bytes(range(256)) * 1000


@pytest.mark.parametrize("size", [1, 999, 10**6])
@pytest.mark.parametrize("notes", [b"", b"note: one\nnote: two\n"])
@pytest.mark.parametrize("data", [b"", b"x", BYTES, BYTES + b"\n@end 0 ", b"\n" * 70000])
def test_an_archive_is_taken_out_of_what_came(tmp_path, data, notes, size):
    if size == 1 and len(data) > 10**5:
        data = data[-40000:]
    got, digest, told = received(tmp_path, sent(data, notes), size)
    assert (got, told) == (data, notes.decode().splitlines())
    assert digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "data, why",
    [
        (sent(BYTES)[:-1], "the connection was cut"),
        (BYTES, "the connection was cut"),
        (b"sh: 1: head: not found\n", "head: not found"),
        (sent(b"x", b"No space left on device\n", ended=1), "No space left"),
        (sent(BYTES, digest="0" * 64), "damaged on the way"),
        (sent(BYTES)[1:], "damaged on the way"),
    ],
)
def test_what_did_not_come_whole_is_told(tmp_path, data, why):
    with pytest.raises(ValueError, match=why):
        received(tmp_path, data)


def test_a_stream_without_end_does_not_fill_the_disk(tmp_path):
    with (tmp_path / "got").open("wb") as file:
        receiver = Receiver(file, lambda count: None, room=200_000)
        with pytest.raises(OSError, match="No space left"):
            for _ in range(1000):
                receiver(bytes(10_000))
    assert (tmp_path / "got").stat().st_size <= 200_000


@pytest.mark.parametrize("count", [b"9" * 5000, b"99999"])
def test_a_last_line_that_cannot_be_is_told(tmp_path, count):
    digest = hashlib.sha256(b"").hexdigest().encode()
    with pytest.raises(ValueError):
        received(tmp_path, b"x\n@end 0 " + digest + b" " + count + b"\n")


@pytest.mark.parametrize(
    "lock",
    ["a==1\u2028b==2\n", "a==1\x1b[2J\n", "é==1\n", "a==1 --index-url=x\n", "--index-url=x\n"],
)
def test_only_names_and_versions_of_a_lock_count(tmp_path, lock):
    found = validate.examine(put(tmp_path / "x", packed({**USUAL, "lock.txt": lock + f"# {lock}"})))
    assert (found.lock, found.elsewhere) == ((), ())


# --- packages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted, lock, packages, odd",
    [
        (("jupyter",), ("jupyter==1.1.1", "a_b==2"), ("jupyter", "jupyter==1.1.1", "a_b==2"), []),
        (("a-b>=1",), ("A.b==2",), ("a-b>=1", "A.b==2"), []),
        (("a>=3", "b"), ("a==2",), ("a==2",), ["a>=3", "b"]),
        (("jupyter",), (), ("jupyter",), []),
        (("a",), ("a==1", "jupyter_server==2.19.0"), ("a", "a==1"), []),
    ],
)
def test_the_versions_of_the_lock_count(wanted, lock, packages, odd):
    chosen, told = restore.pinned(Settings(packages=wanted), lock)
    assert (chosen.packages, told) == (packages, odd)
