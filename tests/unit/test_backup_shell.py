"""The shell that writes a backup and the one that puts it in place, on this machine's own files."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from dash import GROUP, ME, applying, dash, tree

from fabfile.backup import archives, backup, validate
from fabfile.backup.stream import Receiver
from fabfile.render import file, program
from fabfile.script import assigned, call, here

pytestmark = pytest.mark.skipif(not shutil.which("zstd"), reason="needs zstd")
NOTEBOOKS = {
    "a b.ipynb": "{}\n",
    "-dash": "x\n",
    "new\nline": "x\n",
    "Übung/deep/x": "x\n",
    "__pycache__x": "x\n",
    ".ipynb_checkpoints/a": "x\n",
    "sub/venv/x": "x\n",
}
UNCHECKED = "passed() { head -c -1024; }"  # as one that others have written
LEFT_OUT = ("venv/big", ".venvs/1/big", ".kernels/r/big", "Übung/__pycache__/x.pyc")
ACME = "https://s/directory"
CERTIFICATES = {"lab.example.org.pem": "chain\n", "lab.example.org.key": "key\n"}
# Every command that changes something, which dies with its shell the N-th time that one is called.
DIES = """#!/bin/sh
echo x >>{count}
[ "$(wc -l <{count})" != {number} ] || kill -9 $(cat {shell})
exec /bin/{command} "$@"
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


class Place:
    """A server in a folder: its user's home and project, what is root's, and backups."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.home, self.project = folder / "home", folder / "srv" / "project"
        self.cookie = self.home / ".local/share/jupyter/runtime/jupyter_cookie_secret"
        self.kernels = self.home / ".local/share/jupyter/kernels"
        self.backups = folder / "archives"
        for path in (self.home, self.project.parent, folder / "etc/nginx"):
            path.mkdir(parents=True)

    def fill(self, mark: str = "") -> None:
        """Let there be a JupyterLab."""
        write(self.project, {name: text + mark for name, text in NOTEBOOKS.items()})
        write(self.project, dict.fromkeys(LEFT_OUT, f"left out{mark}\n"))
        (self.project / "hard").hardlink_to(self.project / "a b.ipynb")
        (self.project / "out").symlink_to("/etc/passwd")
        packages = self.project / "venv/lib/python3.11/site-packages"
        for name in ("jupyterlab-4.6.6", "a_b-1.0", "mine-0.1"):
            (packages / f"{name}.dist-info").mkdir(parents=True)
        (packages / "mine-0.1.dist-info/direct_url.json").touch()
        (self.project / ".kernels/r/lib/python3.12/site-packages/ipykernel-7.4.0.dist-info").mkdir(
            parents=True
        )
        write(self.home / ".jupyter", {"token": f"t{mark}\n", "lab/user-settings/x": "x\n"})
        write(self.kernels, {"r/kernel.json": f"{mark}\n"})
        write(self.cookie.parent, {self.cookie.name: f"cookie{mark}\n"})
        write(self.folder / "etc/nginx/jupyterlab", CERTIFICATES)

    def own(self, text: str) -> str:
        """The shell with what is the machine's in this folder."""
        for theirs in ("/run/$instance-backup", "/etc/nginx/$instance", "/etc/letsencrypt"):
            assert theirs in text, theirs
            text = text.replace(theirs, str(self.folder / theirs[1:]))
        return text

    def script_of_backup(self, act: str, keep: int = 7, before: str = "") -> str:
        """The shell that runs a function of backup.sh."""
        values = {"instance": "jupyterlab", "account": ME, "home": self.home,
                  "project": self.project, "keep": keep, "venv": self.project / "venv",
                  "cookie": self.cookie, "domain": "lab.example.org",
                  "folder": self.backups}  # fmt: skip
        (self.folder / "run").mkdir(exist_ok=True)
        ours = file("backup/backup.sh")
        text = (
            backup.functions()
            .replace(ours, self.own(ours))
            .replace("/run/jupyterlab-fab", f"{self.folder}/run/fab")
        )
        return f"{assigned(values)}{text}\n{before}\n{act}\n"

    def backup(self, act: str, keep: int = 7, before: str = ""):
        """Run it."""
        return dash(self.script_of_backup(act, keep, before), timeout=30)

    def archive(self) -> Path:
        """Write a backup into the folder of the server."""
        done = self.backup("store")
        assert done.returncode == 0, done
        return archives.found(self.backups)[0]

    def script(self, act: str, before: str = "") -> str:
        """The shell that puts a backup in place."""
        functions = applying(self.folder)
        for theirs in ("/etc/nginx/$instance", "/etc/letsencrypt"):
            functions = functions.replace(theirs, str(self.folder / theirs[1:]))
        return (
            f"systemctl() {{ :; }}\nmkdir -p {self.folder}/kept\n{functions}"
            f'cat >"$run/archive_rules.py" {here(program("archive_rules"))}\n'
            f"{before}set -e\n{act}\n"
        )

    def restoring(self, file: Path) -> str:
        words = file, ME, self.home, self.project
        return "\n".join(
            [
                call("check_archive", file, ACME),
                call("unpack_archive", *words),
                call("place_archive", *words, self.cookie),
            ]
        )

    def restore(self, file: Path):
        """Put a backup in place."""
        return dash(self.script(self.restoring(file)), timeout=30)

    def whole(self, mark: str = "") -> bool:
        """Whether all is as `fill` made it, for what a backup holds."""
        token, cookie = self.home / ".jupyter/token", self.cookie
        return (
            {n: (self.project / n).read_text() for n in NOTEBOOKS}
            == {n: text + mark for n, text in NOTEBOOKS.items()}
            and (token.read_text(), cookie.read_text()) == (f"t{mark}\n", f"cookie{mark}\n")
            and (self.kernels / "r/kernel.json").read_text() == f"{mark}\n"
        )

    def leftovers(self) -> list[Path]:
        """What no run leaves behind."""
        found = self.folder.rglob("*")
        return [
            p for p in found if p.name.endswith((".restoring", ".part")) or p.name == "restoring"
        ]


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "one")
    made.fill()
    return made


@pytest.fixture
def bare(tmp_path):
    return Place(tmp_path / "two")


def names(file: Path) -> list[str]:
    """What Debian's own tools list."""
    listed = ["tar", "--zstd", "--quoting-style=literal", "-tf", file]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\n")


def test_a_backup_is_a_plain_tar_with_plain_names(place):
    file = place.archive()
    there = set(names(file))
    assert {"manifest", "lock.txt", "jupyter/token", "cookie_secret", "kernels/r/kernel.json",
            "nginx/lab.example.org.key", "project/a b.ipynb", "project/out"} <= there  # fmt: skip
    kernel = ["tar", "--zstd", "-xOf", file, "locks/r.txt"]
    assert subprocess.run(kernel, capture_output=True).stdout == b"ipykernel==7.4.0\n"
    assert not [n for n in there if "big" in n or n.endswith(".pyc")]
    found = validate.examine(file)
    assert found.lock == ("a_b==1.0", "jupyterlab==4.6.6")
    assert found.elsewhere == ("mine==0.1",)
    assert found.facts["project"] == str(place.project)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    subprocess.run(
        ["sha256sum", "-c", "--quiet", f"{file.name}.sha256"], cwd=place.backups, check=True
    )


ODD = [
    "a\nuser=root-1", "a\n--index-url=x-1", "a\x1b[2J-1", "-r x-1", "jupyterlab-9", ".hidden-1",
    "a-1 --index-url=x",
]  # fmt: skip


def test_the_name_of_a_folder_forges_no_line(place):
    packages = place.project / "venv/lib/python3.11/site-packages"
    for name in ODD:
        (packages / f"{name}.dist-info").mkdir()
    (place.project / ".kernels/a\nb").mkdir()
    found = validate.examine(place.archive())
    assert found.lock == ("a_b==1.0", "jupyterlab==4.6.6", "jupyterlab==9")
    assert (found.facts["user"], found.facts["jupyterlab"]) == (ME, "4.6.6")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_a_users_process_gets_nothing_of_roots(place):
    """No lock that it could keep, no variable, no terminal; what it complains has an end."""
    asked = (
        "begin_backup; exec 9>>/dev/null; account=nobody SECRET=x; export SECRET\n"
        "as_them sh -c 'ls /proc/self/fd; env; ps -o tty=,sid=,pid= -p $$'"
    )
    said = place.backup(asked).stdout.decode()
    assert "SECRET" not in said and "HOME=" in said
    numbers = {line for line in said.splitlines() if line.isdigit()}
    assert numbers <= {"0", "1", "2", "3"}
    assert said.split()[-3] == "?"


def test_where_others_may_write_there_is_no_backup(place):
    place.backups.mkdir()
    place.backups.chmod(0o775)
    for act in ("store", "list", "show x"):
        done = place.backup(act)
        assert done.returncode == 1 and b"choose another lab.backup_folder" in done.stderr
    assert list(place.backups.iterdir()) == []


def test_a_stream_is_the_same_with_a_last_line(place, tmp_path):
    done = place.backup("stream")
    with (tmp_path / "got").open("wb") as file:
        receiver = Receiver(file, lambda count: None)
        receiver(done.stdout)
        _, notes = receiver.finish()
    assert (notes, done.stderr) == ([], b"")
    assert validate.examine(tmp_path / "got").facts["by"] == "fab"


def test_what_changes_while_it_is_read_is_read_again(place):
    # tar is told so by a wrapper, the first time; the second time the file is as it stays
    tells = (
        'tar() { command tar "$@"; case "$*" in *project*--anchored*)'
        ' echo "tar: ./a b.ipynb: file changed as we read it" >&2;'
        f' echo "later" >"{place.project}/a b.ipynb"; return 1 ;; esac; }}'
    )
    done = place.backup("store", before=tells)
    assert (done.returncode, b"note" in done.stdout) == (0, False), done
    file = archives.found(place.backups)[0]
    assert names(file).count("project/a b.ipynb") == 2
    text = ["tar", "--zstd", "-xOf", file, "project/a b.ipynb"]
    assert subprocess.run(text, capture_output=True).stdout.endswith(b"later\n")


@pytest.mark.parametrize(
    "before, words",
    [
        ("tar() { command tar \"$@\"; echo 'tar: -: Read error' >&2; return 2; }", "Read error"),
        ("zstd() { head -c 100; return 1; }", "could not be written"),
        ("tar() { return 137; }", "could not be written"),
        ("project=/nowhere", "there is no /nowhere on this server"),
        ("patience=0; exec 7>>$lock; flock -x 7", "another run on this server is in progress"),
    ],
    ids=["unreadable", "zstd fails", "tar is killed", "no project", "somebody is at work"],
)  # fmt: skip
def test_what_could_not_be_read_is_no_backup(place, before, words):
    done = place.backup("store", before=before)
    assert done.returncode == 1
    assert words in (done.stdout + done.stderr).decode()
    assert list(place.backups.iterdir()) == []


def test_the_newest_sound_ones_stay_on_the_server(place):
    place.backups.mkdir()
    old = [place.backups / f"jupyterlab-2020-01-0{n}T000000Z.tar.zst" for n in (1, 2, 3)]
    for path in old:
        path.write_text("x")
        subprocess.run(f"sha256sum {path.name} >{path.name}.sha256", cwd=path.parent, shell=True)
    old[2].write_text("damaged")
    (place.backups / "jupyterlab-mine.tar.zst").touch()
    assert place.backup("store", keep=2).returncode == 0
    left = sorted(path.name for path in place.backups.glob("*.zst"))
    assert left[:2] == [old[1].name, old[2].name]
    assert len(left) == 4 and left[3] == "jupyterlab-mine.tar.zst"
    told = place.backup("list").stdout.decode().splitlines()
    assert [row.split("|")[4] for row in told] == ["sound", "damaged", "sound"]


def test_a_backup_put_onto_a_bare_host(place, bare):
    done = bare.restore(place.archive())
    assert done.returncode == 0, done
    assert bare.whole() and bare.leftovers() == []
    assert os.stat(bare.project / "hard").st_ino == os.stat(bare.project / "a b.ipynb").st_ino
    assert os.readlink(bare.project / "out") == "/etc/passwd"
    served = bare.folder / "etc/nginx/jupyterlab"
    assert tree(served) == CERTIFICATES
    modes = {p.suffix: stat.S_IMODE(p.stat().st_mode) for p in served.iterdir()}
    assert modes == {".pem": 0o644, ".key": 0o600}
    assert not list(bare.folder.rglob("*.before-*"))


def test_what_stood_there_stands_beside_it_and_its_venvs_come_over(place):
    file = place.archive()
    shutil.rmtree(place.project)
    shutil.rmtree(place.home / ".jupyter")
    place.cookie.unlink()
    place.fill("later")
    done = place.restore(file)
    assert done.returncode == 0, done
    assert place.whole()
    (former,) = place.project.parent.glob("project.before-*")
    assert (former / "a b.ipynb").read_text() == "{}\nlater"
    for name in LEFT_OUT[:3]:
        assert (place.project / name).read_text() == "left outlater\n"
        assert not (former / name).exists()


def test_certbot_goes_on_with_its_lineage(place, bare):
    kinds = ("cert", "chain", "fullchain", "privkey")
    lineage = {f"archive/jupyterlab-fab/{k}{n}.pem": f"{k}{n}\n" for k in kinds for n in (9, 10)}
    conf = (
        f"account = abc\n[renewalparams]\nserver = {ACME}\n"
        "renew_hook = /usr/local/sbin/jupyterlab-certificate\n"
    )
    others = {"archive/other/cert1.pem": "x\n", "accounts/s/directory/def/meta.json": "x\n"}
    ours = {"renewal/jupyterlab-fab.conf": conf, "accounts/s/directory/abc/meta.json": "{}\n"}
    write(place.folder / "etc/letsencrypt", {**lineage, **ours, **others})
    assert bare.restore(place.archive()).returncode == 0
    there = bare.folder / "etc/letsencrypt"
    found = {str(p.relative_to(there)) for p in there.rglob("*") if p.is_file()}
    live = {f"live/jupyterlab-fab/{kind}.pem" for kind in kinds}
    assert found == {*lineage, *ours, *live}
    assert (there / "live/jupyterlab-fab/privkey.pem").read_text() == "privkey10\n"
    assert stat.S_IMODE((there / "archive/jupyterlab-fab/privkey9.pem").stat().st_mode) == 0o600


def test_the_key_of_a_dns_comes_back_and_the_hash_of_another_goes(place, bare):
    write(place.folder / "etc/nginx/jupyterlab", {"dns.key": "dns_x_token = 1\n"})
    write(bare.folder / "etc/nginx/jupyterlab", {"dns.key": "2\n", "dns.key.hash": "of 2\n"})
    assert bare.restore(place.archive()).returncode == 0
    there = bare.folder / "etc/nginx/jupyterlab"
    assert (there / "dns.key").read_text() == "dns_x_token = 1\n"
    assert stat.S_IMODE((there / "dns.key").stat().st_mode) == 0o600
    assert not (there / "dns.key.hash").exists()


def test_a_hook_of_somebody_elses_is_refused(place, bare):
    conf = "account = abc\npre_hook = touch /tmp/x\n"
    write(place.folder / "etc/letsencrypt/renewal", {"jupyterlab-fab.conf": conf})
    place.backup("store", before=UNCHECKED)
    done = bare.restore(archives.found(place.backups)[0])
    assert done.returncode == 1
    assert b"refused: it would have certbot run a program of its own" in done.stdout
    assert not bare.project.exists()


# --- a restore refuses nothing of what a backup writes --------------------------------------------


def test_the_writers_limits_are_within_the_readers():
    told = {word: int(number) for word, number in re.findall(
        r"^(packages|kernels|locked)=(\d+)", file("backup/backup.sh"), re.MULTILINE)}  # fmt: skip
    line = len("# ==\n") + 255  # the longest that the name of a folder gives
    size = told["packages"] * line
    assert size <= validate.rules.FILE_SIZE
    room = validate.rules.ROOT_SIZE - size - told["locked"]
    assert room > 6 << 20  # for certificates, which are root's
    certbots = 4 * 100 + 4
    assert validate.rules.ROOT_FILES - told["kernels"] - certbots - 2 > 300  # for Nginx's


def test_locks_without_end_are_cut_and_told(place):
    packages = place.project / "venv/lib/python3.11/site-packages"
    for n in range(6000):
        (packages / f"z{n}{'x' * 180}-1.dist-info").mkdir()
    for n in range(203):
        write(place.project, {f".kernels/k{n}/lib/python3/site-packages/a-1.dist-info/x": ""})
    (place.project / f".kernels/{'k' * 253}").mkdir()
    done = place.backup("store")
    assert done.returncode == 0, done
    assert b"note: only the first 2000 packages of " in done.stdout
    assert b"note: only the locks of the first kernels in " in done.stdout
    assert len(validate.examine(archives.found(place.backups)[0]).lock) > 1900


def test_the_locks_of_all_kernels_have_an_end(place):
    for n in range(9):
        write(place.project, {f".kernels/k{n}/lib/python3/site-packages/a-1.dist-info/x": ""})
    done = place.backup("store", before="locked=20")
    assert (done.returncode, b"only the locks of the first kernels" in done.stdout) == (0, True)
    there = [name for name in names(archives.found(place.backups)[0]) if "locks/" in name]
    assert 1 <= len(there) < 4


@pytest.mark.skipif(os.geteuid() != 0, reason="who may make such a thing differs")
def test_what_no_restore_takes_is_left_out_and_told(place, bare):
    """A device, which anybody may make since Linux 5.8; a name for it; a path without end."""
    os.mknod(place.project / "whiteout", stat.S_IFCHR | 0o600, os.makedev(0, 0))
    (place.project / "zz").hardlink_to(place.project / "whiteout")
    deep = 'mkdir $1 && cd -P $1 || exit; [ $2 = 0 ] || exec sh -c "$0" "$0" $1 $(($2 - 1))'
    subprocess.run(["sh", "-c", deep, deep, "d" * 200, "25"], cwd=place.project, check=True)
    done = place.backup("store")
    assert done.returncode == 0, done
    for words in (b"whiteout is not a file", b"zz is ", b"has a name that is too long"):
        assert b"note: left out: project/" in done.stdout and words in done.stdout, done.stdout
    assert bare.restore(archives.found(place.backups)[0]).returncode == 0
    assert bare.whole()


def test_no_name_of_a_file_has_another_one_read(place):
    odd = place.project / "x\ntar: /etc/hostname: file changed as we read it\ny"
    odd.parent.mkdir(parents=True)
    subprocess.run(["truncate", "-s", "30M", odd], check=True)
    loop = 'while [ -e "$0" ]; do touch "$0"; sleep 0.01; done'
    with subprocess.Popen(["sh", "-c", loop, odd]) as touching:
        done = place.backup("store")
        touching.kill()
    assert b"note: it kept changing while read: project/x\\ntar: /etc" in done.stdout, done.stdout
    validate.examine(archives.found(place.backups)[0])
    assert "etc/hostname" not in names(archives.found(place.backups)[0])


@pytest.mark.parametrize("name", ["nginx/evil.pem", "manifest", "project/x"])
def test_a_tar_of_the_users_that_is_another_gives_nothing_of_roots(place, tmp_path, name):
    """Who runs as the user may stop their tar, and write in its stead."""
    write(tmp_path / "in", {name: "evil\n"})
    told = f'case "$*" in *,jupyter,S*) command tar -b1 -c -C {tmp_path}/in {name} ;;'
    done = place.backup("store", before=f'tar() {{ {told} *) command tar "$@" ;; esac; }}')
    assert (done.returncode, archives.found(place.backups)) == (1, []), done
    assert f"could not be written: {name} does not belong there" in done.stdout.decode()


def test_certbots_part_that_a_restore_would_refuse_is_left_out(place, bare):
    conf = "account = abc\npre_hook = touch /tmp/x\n"
    write(place.folder / "etc/letsencrypt/renewal", {"jupyterlab-fab.conf": conf})
    done = place.backup("store")
    assert (done.returncode, b"note: certbot's part is left out" in done.stdout) == (0, True), done
    assert bare.restore(archives.found(place.backups)[0]).returncode == 0
    assert not (bare.folder / "etc/letsencrypt").exists()


def test_many_certificates_odd_names_and_hard_links_are_no_matter(place):
    nginx, kinds = place.folder / "etc/nginx/jupyterlab", ("cert", "chain", "fullchain", "privkey")
    write(nginx, {"..pem": "x", ".pem": "x", "a b.pem": "x"})
    (nginx / "other.pem").hardlink_to(nginx / "lab.example.org.pem")
    lineage = {f"archive/jupyterlab-fab/{k}{n}.pem": "x" for k in kinds for n in range(1, 261)}
    conf = {"renewal/jupyterlab-fab.conf": f"account = abc\n[renewalparams]\nserver = {ACME}\n"}
    other = {"accounts/another/directory/abc/meta.json": "{}\n"}  # by the same account's number
    write(place.folder / "etc/letsencrypt", lineage | conf | other)
    there = validate.examine(place.archive()).room and names(place.archive())
    assert {"nginx/other.pem", "letsencrypt/archive/jupyterlab-fab/privkey260.pem"} <= set(there)
    assert "letsencrypt/archive/jupyterlab-fab/privkey160.pem" not in there


def full(folder: Path, act: str):
    """Run something while folder/run is a disk of one megabyte."""
    (folder / "run").mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "t", folder / "run"])
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        return dash(act, timeout=30)
    finally:
        subprocess.run(["umount", folder / "run"], check=True)


@pytest.mark.parametrize("when", ["before", "after the first tar"])
@pytest.mark.parametrize("act", ["store", "stream"])
def test_where_run_is_full_there_is_no_backup(place, when, act):
    fill = f"head -c 2000000 /dev/zero >{place.folder}/run/fill 2>/dev/null"
    before = fill if when == "before" else f'tar() {{ command tar "$@"; {fill}; return 0; }}'
    done = full(place.folder, place.script_of_backup(act, before=before))
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert "room in /run" in said, said
    if act == "store":
        assert done.returncode == 1 and not list(place.backups.glob("*"))
    else:
        assert done.returncode or "\n@end 1 " in said


@pytest.fixture
def nobodys(tmp_path):
    """A server in a folder, whose user is somebody else than root."""
    if os.geteuid():
        pytest.skip("only root can act as somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        made = Place(Path(folder))
        made.fill()
        subprocess.run(f"chmod 711 {folder}; chown -R nobody {folder}/*", shell=True, check=True)
        yield made


def test_who_waits_for_the_small_parts_does_not_wait_for_long(nobodys):
    """A file without end among them, that nobody made slow in one look alone."""
    subprocess.run(["truncate", "-s", "8T", nobodys.home / ".jupyter/endless"], check=True)
    began = time.monotonic()
    done = nobodys.backup("store", before="account=nobody short=3")
    assert time.monotonic() - began < 20
    assert done.returncode == 1, done
    assert done.stdout.decode().count("\n") == 1
    assert "takes nobody more than 3 s" in done.stdout.decode(), done


def test_somebody_elses_backup_is_put_onto_a_bare_host(nobodys, bare):
    (nobodys.project / "secret").touch(0o600)
    os.chown(nobodys.project / "secret", 0, 0)
    done = nobodys.backup("store", before="account=nobody")
    assert done.stdout.startswith(b"note: nobody may not read it, so it is left out: ./secret\n")
    assert done.returncode == 0, done
    assert bare.restore(archives.found(nobodys.backups)[0]).returncode == 0
    assert bare.whole()


def evil(folder: Path, members: str) -> Path:
    """A sound archive of other members, as tar itself writes them."""
    write(folder / "in", {"manifest": "format=1\n", "lock.txt": "", "x": "x\n"})
    (folder / "in/project").mkdir()
    script = f"cd in; exec >../x; tar -cP {members} | zstd -q"
    subprocess.run(["sh", "-c", script], cwd=folder, check=True)
    return folder / "x"


@pytest.mark.parametrize(
    "members",
    [
        "manifest lock.txt x project",
        "manifest project x",
        "manifest project lock.txt",
        "manifest --transform s,^x,/etc/cron.d/x, x project",
        "manifest --transform s,^x,project/../../x, x project",
        "manifest project --transform s,^null,project/null, -C /dev null",
        "manifest --transform s,^x,nginx/a/b.pem, x project",
        "manifest",
        "lock.txt project",
    ],
)
def test_what_does_not_belong_there_is_refused_on_the_server(bare, tmp_path, members):
    done = bare.restore(evil(tmp_path, members))
    assert done.returncode == 1, done
    assert b"refused: " in done.stdout or b"grep: " in done.stderr
    assert not bare.project.exists() and list(bare.home.iterdir()) == []


@pytest.mark.parametrize("act", ["head -c -1", "head -c 200", "cat README.md"])
def test_a_damaged_one_is_refused_on_the_server(place, bare, act):
    file = place.archive()
    with (place.folder / "cut").open("wb") as cut:
        subprocess.run([*act.split(), *([] if "README" in act else [file])], stdout=cut, check=True)
    done = bare.restore(place.folder / "cut")
    assert (done.returncode, b"refused: " in done.stdout) == (1, True), done
    assert not bare.project.exists()


@pytest.mark.parametrize("size, why", [(5, b"received"), (4, b"did not arrive completely")])
def test_what_is_sent_arrives_whole_or_not_at_all(bare, size, why):
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of hello
    done = dash(bare.script(call("receive", size, digest, "name")), input=b"hello and more")
    assert why in done.stdout
    there = [path.name for path in (bare.folder / "kept/incoming").iterdir()]
    assert there == (["name"] if size == 5 else [])


def test_what_a_users_program_takes_has_an_end(bare):
    if ME != "root":
        pytest.skip("the shell of a server is root's")
    began = time.monotonic()
    done = dash(bare.script("longest=1; owner_does nobody sleep 15 || echo ended $?"))
    assert done.stdout.endswith(b"ended 124\n") and time.monotonic() - began < 10, done.stdout


def test_nobody_else_reads_what_a_restore_writes_down(place, bare):
    look = 'find "$run" -path "$run/own" -prune -o -type f -perm /077 -print; stat -c %a "$run/own"'
    done = dash(bare.script(f"{bare.restoring(place.archive())}\n{look}; ls $run/own"), timeout=30)
    said = done.stdout.decode().splitlines()
    assert {"700", "found", "place", "root", "ours"} <= set(said), done
    assert {Path(line).name for line in said if line.startswith("/")} <= {"archive_rules.py"}


def test_one_that_cannot_be_completed_stays_to_be_completed(place):
    file = place.archive()
    stuck = 'mv() { case "$*" in *restoring/project*) return 1 ;; esac; command mv "$@"; }\n'
    pending = place.folder / "ledger/restoring"
    for act in (place.restoring(file), ":"):  # the restore itself, and whoever comes next
        done = dash(stuck + place.script(act), timeout=30)
        assert (done.returncode, pending.exists()) == (1, True), done
    assert dash(place.script(":"), timeout=30).returncode == 0
    assert place.whole() and place.leftovers() == []


@pytest.mark.parametrize("command", ["mv", "rm", "mkdir", "tar"])
def test_whoever_is_killed_anywhere_it_is_the_old_state_or_the_new(tmp_path, command):
    """Stopped at the N-th call of a command, for each N; then the next run does the rest."""
    if ME != "root" or GROUP != "root":
        pytest.skip("the shell of a server is root's")
    source = Place(tmp_path / "source")
    source.fill()
    file = source.archive()
    for number in range(1, 99):
        place = Place(tmp_path / f"at{number}")
        place.fill("old")
        tools = place.folder / "bin"
        values = {"count": tools / "count", "shell": tools / "shell", "number": number}
        write(tools, {command: DIES.format(command=command, **values), "count": ""})
        (tools / command).chmod(0o755)
        before = f"export PATH={tools}:$PATH\necho $$ >{tools}/shell\n"
        done = dash(place.script(place.restoring(file), before), timeout=30)
        (tools / command).unlink()
        pending = (place.folder / "ledger/restoring").exists()
        if done.returncode == 0:
            break
        assert done.returncode == -9, done
        assert pending or place.whole("old") or place.whole(), f"half, at {command} {number}"
        if pending:  # the next run, whichever it is, completes it
            done = dash(place.script(":"), timeout=30)
            assert place.whole() and place.leftovers() == [], done
        else:
            assert place.restore(file).returncode == 0
            assert place.whole() and place.leftovers() == []
    assert number > 1


def test_half_of_a_backup_is_not_put_in_place(place):
    file = place.archive()
    fails = 'timeout() { shift; "$@"; [ "$1" != zstd ]; }\n'
    done = dash(place.script(place.restoring(file), fails), timeout=30)
    assert done.returncode != 0 and b"could not be read to its end" in done.stdout
    assert place.whole() and not place.leftovers()


def test_certificates_that_cannot_be_listed_are_not_taken_for_none(place):
    (place.folder / "root/nginx").mkdir(parents=True)
    fails = 'find() { [ "$1" != nginx ] || return 1; command find "$@"; }\n'
    done = dash(place.script(call("place_ours", place.folder / "root"), fails))
    assert done.returncode == 1
