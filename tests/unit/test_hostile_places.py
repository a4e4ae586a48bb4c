"""Places that a user can turn into something else, and root's functions there: for real."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from dash import applying, dash, tree

from fabfile.render import shell
from fabfile.script import call

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
THEM = "nobody", "nogroup"


@pytest.fixture
def base():
    """A folder of root's that all can enter; in it `home` is nobody's, `theirs` is daemon's."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for inner, user in (("home", "nobody"), ("theirs", "daemon"), ("roots", "root")):
            (folder / inner).mkdir()
            shutil.chown(folder / inner, user)
        yield folder


@pytest.fixture
def run(tmp_path):
    """Give a function that runs lines as a step does."""

    def run(*lines: str):
        script = [applying(tmp_path), shell("lib/uninstall"), "set -e", *lines]
        return dash("\n".join(script))

    return run


def well(done) -> str:
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout.decode()


def ledger(tmp_path) -> str:
    return (tmp_path / "ledger/made").read_text()


# --- who could be in the way ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, hand, shared, true",
    [
        ("roots/x", "root", "", "roots/x"),
        ("roots/none/below", "root", "", "roots/none/below"),
        ("home", "root", "", "home"),
        ("home/x/y", "nobody", "", "home/x/y"),
        ("home/to_roots/x", "nobody", "", "home/to_roots/x"),  # as nobody, wherever it leads
        ("to_home/x", "nobody", "", "home/x"),
        ("to_roots/x", "root", "", "roots/x"),
        ("roots/back/x", "nobody", "", "home/x"),  # a link of root's that is relative
        ("of_nobody/x", "nobody", "", "of_nobody/x"),  # a link of nobody's in root's folder
        ("shared/x", "root", "shared", "shared/x"),
        ("shared/in/x", "root", "shared", "shared/in/x"),
        ("sticky/in/x", "root", "", "sticky/in/x"),
        ("sticky/new", "root", "sticky", "sticky/new"),
        ("gone/x", "12345", "", "gone/x"),
    ],
)
def test_whose_hand_could_be_in_the_way(base, run, path, hand, shared, true):
    (base / "home/to_roots").symlink_to(base / "roots")
    (base / "to_home").symlink_to(base / "home")
    (base / "to_roots").symlink_to(base / "roots")
    (base / "roots/back").symlink_to("../home")
    (base / "of_nobody").symlink_to(base / "roots")
    os.lchown(base / "of_nobody", os.stat(base / "home").st_uid, 0)
    for name, mode in (("shared", 0o775), ("sticky", 0o1777)):
        (base / name / "in").mkdir(parents=True)
        (base / name).chmod(mode)
    (base / "gone").mkdir()
    os.chown(base / "gone", 12345, 12345)
    told = well(run(f"walk {base / path}", 'echo "$way_hand|$way_shared|$way_true"'))
    assert told.strip() == f"{hand}|{base / shared if shared else ''}|{base / true}"
    alone = run(f"only_roots {base / path}").returncode == 0
    assert alone == (hand == "root" and not shared)


@pytest.mark.parametrize(
    "path, hand",
    [("roots/x", "root"), ("shared/x", "daemon"), ("shared/in/x", "daemon"),
     ("sticky/in/x", "root"), ("sticky/new", "daemon"), ("home/x", "nobody")],
)  # fmt: skip
def test_root_does_nothing_itself_where_others_may_write(base, run, path, hand):
    for name, mode in (("shared", 0o775), ("sticky", 0o1777)):
        (base / name / "in").mkdir(parents=True)
        (base / name).chmod(mode)
    assert well(run("account=daemon", f"whose {base / path}")).strip() == hand


def test_root_removes_nothing_that_another_put_in_the_way(base, run):
    """In a folder where its group may write, anybody of that group can move what is root's."""
    for inner in ("shared/tree", "secret"):
        (base / inner).mkdir(parents=True)
    (base / "secret/x").write_text("root's\n")
    (base / "shared").chmod(0o777)
    (base / "shared/tree").rmdir()
    (base / "secret").rename(base / "shared/tree")
    run("account=daemon", call("take_away", text=f"tree {base}/shared/tree\n"))
    assert (base / "shared/tree/x").read_text() == "root's\n"


@pytest.mark.parametrize(
    "way, planted",
    [("home/to/d", False), ("sticky/link", True), ("sticky/folder/d", True), ("sticky/mine", False),
     ("link/d", False), ("theirs/d", False)],
)  # fmt: skip
def test_a_project_leads_through_nothing_that_a_stranger_planted(base, run, way, planted):
    (base / "sticky").mkdir()
    (base / "sticky").chmod(0o1777)
    (base / "home/place").mkdir()
    (base / "sticky/folder").mkdir()
    (base / "sticky/mine").mkdir()
    (base / "theirs").chmod(0o777)
    (base / "sticky/folder").chmod(0o777)
    (base / "sticky/link").symlink_to(base / "home/place")
    (base / "link").symlink_to(base / "home")
    (base / "home/to").symlink_to(base / "home/place")
    for name, user in (("home/place", "nobody"), ("sticky/mine", "nobody"), ("home/to", "nobody"),
                       ("sticky/folder", "daemon"), ("sticky/link", "daemon")):  # fmt: skip
        os.lchown(base / name, pwd.getpwnam(user).pw_uid, -1)
    done = run(call("put_directory", base / way, *THEM, "0700"))
    assert (done.returncode != 0) == planted, done
    assert (b"belongs to daemon, who could put programs there" in done.stdout) == planted


def test_links_in_a_circle_are_no_place(base, run):
    (base / "one").symlink_to("two")
    (base / "two").symlink_to("one")
    assert run(f"only_roots {base}/one/x").returncode != 0


@pytest.mark.parametrize("odd", ["a\nb", "a\tb", "a\x1b[2Jb", "a\x7f", "a\rb"])
def test_nothing_with_a_control_character_gets_into_the_ledger(base, run, tmp_path, odd):
    path = base / "home" / f"{odd}tree"
    (path.parent).mkdir(exist_ok=True)
    for act in ("intend path", "remember", "keep"):
        done = run(f"{act} {call('', path).strip()}")
        assert done.returncode != 0 and b"line break or control character" in done.stdout
    assert all(
        line.endswith(str(base / "home")) or not line for line in ledger(tmp_path).split("\n")
    )


# --- what is kept, and comes back ----------------------------------------------------------------


def put(path: Path, text: str = "ours\n") -> str:
    return call("put_file", path, *THEM, "0600", text=text)


def test_what_a_link_shows_of_another_is_not_kept(base, run, tmp_path):
    (base / "theirs/x").write_text("secret\n")
    (base / "theirs").chmod(0o700)
    (base / "home/way").symlink_to(base / "theirs")
    done = run(put(base / "home/way/x"))
    assert done.returncode != 0
    found = [p for p in tmp_path.rglob("*") if p.is_file() and b"secret" in p.read_bytes()]
    assert found == []


def test_what_only_root_may_read_is_not_handed_over(base, run, tmp_path):
    (base / "home/x").write_text("of root\n")
    (base / "home/x").chmod(0o600)
    done = run(put(base / "home/x"))
    assert done.returncode != 0 and b"nobody may not read it" in done.stdout
    run(call("give_back", base / "home/x"))
    assert (base / "home/x").read_text() == "of root\n" and (base / "home/x").owner() == "root"


@pytest.mark.parametrize("kind", ["pipe", "large", "endless"])
def test_what_is_no_small_file_keeps_nobody_waiting(base, run, tmp_path, kind):
    path = base / "home/x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        path.write_bytes(b"x" * 1_000_001)
    else:
        path.symlink_to("/dev/zero")
    if path.is_symlink():
        os.lchown(path, os.stat(base / "home").st_uid, -1)
    else:
        shutil.chown(path, *THEM)
    done = run(put(path))
    if kind == "large":
        assert done.returncode != 0 and b"larger than 1 MB" in done.stdout
        assert path.stat().st_size == 1_000_001
    else:
        well(done)
        assert path.read_text() == "ours\n"
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) < 100_000


@pytest.mark.parametrize("mode", [0o640, 0o4755, 0o7, 0o600])
@pytest.mark.parametrize("text", ["", "no line end", "link\n", "two\nlines.\n", "a\0b\xff"])
def test_a_users_file_comes_back_as_it_was(base, run, tmp_path, text, mode):
    path = base / "home/x"
    path.write_text(text)
    shutil.chown(path, *THEM)
    path.chmod(mode | 0o400)
    well(run(put(path)))
    for copy in tmp_path.rglob("x"):
        assert copy.owner() == "root" and stat.S_IMODE(copy.stat().st_mode) < 0o1000
    well(run(call("give_back", path)))
    assert path.read_text() == text and path.owner() == "nobody"
    assert stat.S_IMODE(path.stat().st_mode) == (mode | 0o400) & 0o777


def test_a_users_link_comes_back_as_it_was(base, run):
    (base / "home/x").symlink_to("/etc/shadow")
    well(run(put(base / "home/x")))
    assert (base / "home/x").read_text() == "ours\n"
    well(run(call("give_back", base / "home/x")))
    assert os.readlink(base / "home/x") == "/etc/shadow"


def test_what_comes_back_is_written_through_no_link(base, run):
    """A name that root would write to in a user's folder, as a link of that user's."""
    (base / "roots/aim").write_text("root's\n")
    (base / "home/x").write_text("old\n")
    shutil.chown(base / "home/x", *THEM)
    (base / "home/.new.former").symlink_to(base / "roots/aim")
    well(run(put(base / "home/x"), call("put_back", base / "home/x")))
    assert (base / "roots/aim").read_text() == "root's\n"
    assert ((base / "home/x").read_text(), (base / "home/x").owner()) == ("old\n", "nobody")


# --- rights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode, owner", [(0o644, "nobody"), (0o600, "root")])
def test_root_gives_no_file_away_in_a_users_folder(base, run, mode, owner):
    """What they may read becomes theirs as a copy; what they may not does not."""
    (base / "home/x").write_text("text\n")
    (base / "home/x").chmod(mode)
    (base / "roots/same").hardlink_to(base / "home/x")
    run(call("put_rights", base / "home/x", *THEM, "0600"))
    assert (base / "home/x").owner() == owner
    assert (base / "roots/same").owner() == "root"
    assert stat.S_IMODE((base / "roots/same").stat().st_mode) == mode


def test_a_wrong_group_is_mended_by_its_owner(base, run):
    (base / "home/d").mkdir()
    shutil.chown(base / "home/d", "nobody", "shadow")
    well(run(call("put_directory", base / "home/d", *THEM, "0700")))
    assert (base / "home/d").group() == "nogroup"


@pytest.mark.parametrize("group", ["shadow", "nogroup"])
def test_no_folder_of_roots_in_a_users_is_given_away(base, run, group):
    (base / "home/d").mkdir(mode=0o700)
    done = run(call("put_directory", base / "home/d", "nobody", group, "0700"))
    assert done.returncode != 0 and b"fix it by hand" in done.stdout
    assert ((base / "home/d").owner(), (base / "home/d").group()) == ("root", "root")


def test_no_folder_is_made_where_others_may_write(base, run):
    (base / "shared").mkdir()
    (base / "shared").chmod(0o777)
    shutil.chown(base / "shared", "root", "daemon")
    done = run(call("put_directory", base / "home/to/x", "daemon", "daemon", "0755"))
    assert done.returncode != 0 and not (base / "home/to").exists()
    (base / "shared").chmod(0o775)
    done = run(call("put_directory", base / "shared/x", *THEM, "0755"))
    assert done.returncode != 0 and b"others may write in" in done.stdout


def test_a_folder_of_root_alone_is_made_for_a_user(base, run):
    well(run(call("put_directory", base / "roots/a/b", "nobody", "shadow", "2750")))
    made = base / "roots/a/b"
    assert (made.owner(), made.group(), stat.S_IMODE(made.stat().st_mode)) == (
        "nobody", "shadow", 0o2750,
    )  # fmt: skip


def test_rights_come_back_as_far_as_the_user_may(base, run):
    (base / "home/x").symlink_to(base / "roots")
    (base / "home/d").mkdir()
    shutil.chown(base / "home/d", *THEM)
    given = call("give_rights", base / "home/x", "777", "a:b")
    assert b"the permissions of" in run(f'{given}\ncat "$run/own/notes"').stdout
    assert stat.S_IMODE((base / "roots").stat().st_mode) == 0o755
    well(run(call("give_rights", base / "home/d", "750", "nobody:nogroup")))
    assert stat.S_IMODE((base / "home/d").stat().st_mode) == 0o750


# --- taking away ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tree", "path"])
@pytest.mark.parametrize("where", ["roots", "theirs"])
def test_what_is_behind_a_link_of_a_users_stays(base, run, kind, where):
    """As ~/.ipython/profile_default -> /var, and ~/project -> another's project."""
    (base / where / "log").mkdir()
    (base / where / "log/x").write_text("x\n")
    (base / where / "file").write_text("x\n")
    for path in (base / where).rglob("*"):
        shutil.chown(path, (base / where).owner())
    (base / "home/way").symlink_to(base / where)
    before = tree(base / where)
    for name in ("log", "file"):
        run(call("take_away", text=f"{kind} {base}/home/way/{name}"))
    assert tree(base / where) == before


def test_what_a_user_who_is_gone_left_goes(base, run):
    (base / "gone/d").mkdir(parents=True)
    (base / "gone/way").symlink_to(base / "roots")
    (base / "roots/x").write_text("root's\n")
    for path in (base / "gone", base / "gone/d"):
        os.chown(path, 12345, 12345)
    run(call("take_away", text=f"tree {base}/gone/way/x"))
    assert (base / "roots/x").exists()
    well(run(call("take_away", text=f"tree {base}/gone/d\ntree {base}/gone")))
    assert not (base / "gone").exists()


def test_nobody_who_takes_away_reads_the_list(base, run, tmp_path):
    """A user's process has no end of it in its hand."""
    for name in ("one", "two"):
        (base / "roots" / name).mkdir()
        (base / "roots" / name / "x").touch()
        for path in (base / "roots" / name, base / "roots" / name / "x"):
            shutil.chown(path, "nobody")
    reads = 'owner_does() { shift; case $1 in find) cat >/dev/null ;; esac; "$@"; }'
    text = f"tree {base}/roots/one\ntree {base}/roots/two"
    well(run(reads, call("take_away", text=text)))
    assert list((base / "roots").iterdir()) == []


# --- where a restore is led ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, by, place",
    [
        ("home/project", "nobody", "home/project"),
        ("roots/project", "root", "roots/project"),
        ("named", "root", "roots/project"),  # a link of the operator's own
        ("home/to_home", "nobody", "home/elsewhere"),
        ("home/to_roots", None, None),
        ("home/to_theirs", None, None),
        ("home/way/x/project", None, None),
        ("shared/project", None, None),
        ("home/line", None, None),
    ],
)
def test_root_goes_by_the_name_of_the_settings_alone(base, run, path, by, place):
    (base / "named").symlink_to("roots/project")
    (base / "home/to_home").symlink_to("elsewhere")
    (base / "home/to_roots").symlink_to(base / "roots/new")
    (base / "home/to_theirs").symlink_to(base / "theirs/new")
    (base / "home/way").symlink_to(base / "roots")
    (base / "home/line").symlink_to(base / "home/a\ntree")
    (base / "shared").mkdir()
    (base / "shared").chmod(0o770)
    done = run("account=nobody", f"find_place {base / path}", 'printf "%s\\n" "$by" "$project"')
    if by is None:
        assert done.returncode != 0 and b"refused: " in done.stdout + done.stderr, done
    else:
        assert well(done).split() == [by, str(base / place)]


def test_an_archive_that_others_may_write_is_refused(base, run):
    (base / "home/x").write_bytes(b"")
    done = run(call("check_backup", base / "home/x", "https://x"))
    assert done.returncode == 3 and b"refused: " in done.stdout


# --- the inventory -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "endless", "large"])
def test_the_inventory_waits_for_no_file_of_a_users(base, kind):
    path = base / "home/x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 10**9)
    asked = (
        f"instance=x\nme=0 account=nobody\n{shell('lib/inventory')}{call('show_inventory', path)}"
    )
    done = subprocess.run(["dash", "-c", asked], capture_output=True, timeout=15)
    assert b"written" not in done.stdout
