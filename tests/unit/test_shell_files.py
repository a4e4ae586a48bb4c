"""The shell that reads, writes and puts back files, run for real in a folder of the test's own."""

import base64
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from dash import GROUP, ME, applying, dash, reading, said, tree

from fabfile.script import call, look, quote

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def etc(tmp_path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


@pytest.fixture
def apply(tmp_path):
    """Give a function that runs a script after apply.sh, with set -e as a step."""

    def run(*lines: str):
        return dash("\n".join([applying(tmp_path), "set -e", *lines]), timeout=60)

    return run


def well(done) -> str:
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout.decode()


# --- bring_to_now ------------------------------------------------------------------------------


def test_only_times_in_the_future_are_brought_to_now(etc, apply):
    old, ahead, odd = etc / "old", etc / "a b", etc / "lib3/RECORD"
    odd.parent.mkdir()
    for path, moment in ((old, 10**9), (ahead, time.time() + 7200), (odd, 4070908800)):  # in 2099
        path.touch()
        os.utime(path, (moment, moment))
    words = " ".join(map(quote, (str(old), str(ahead), f"{etc}/lib*/RECORD", f"{etc}/absent")))
    well(apply(f"account={ME}", call("bring_to_now", "user", words)))
    assert old.stat().st_mtime == 10**9
    assert all(time.time() - 30 < path.stat().st_mtime <= time.time() for path in (ahead, odd))


# --- other_configuration ----------------------------------------------------------------------


def test_other_files_of_settings_are_told_and_ours_are_not(tmp_path):
    own = tmp_path / ".jupyter"
    own.mkdir()
    for name in ("lab_config.py", "server_config.json", "lab_config.json", "notebook_config.py"):
        (own / f"jupyter_{name}").touch()
    (tmp_path / "venv/etc/jupyter").mkdir(parents=True)
    (tmp_path / "venv/etc/jupyter/jupyter_config.py").touch()
    values = f"home='{tmp_path}' venv='{tmp_path}/venv'\n"
    found = said(reading() + values + "other_configuration")
    assert [line for line in found if line.startswith(str(tmp_path))] == [
        f"{own}/jupyter_lab_config.json",
        f"{own}/jupyter_notebook_config.py",
        f"{tmp_path}/venv/etc/jupyter/jupyter_config.py",
    ]


# --- show_path ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "two words", "it's", "-dash", "$HOME", "ümlaut", "a\\b"])
def test_a_file_is_shown_with_rights_and_content(etc, name):
    path = etc / name
    path.write_bytes(b"a\nb\x00\xff")
    path.chmod(0o640)
    assert said(reading() + call("show_path", path)) == [
        f"regular file|{ME}|{GROUP}|640",
        base64.b64encode(b"a\nb\x00\xff").decode(),
    ]


def test_an_empty_file_has_an_empty_content(etc):
    (etc / "x").touch(mode=0o600)
    shown = said(reading() + call("show_path", etc / "x"))
    assert shown == [f"regular empty file|{ME}|{GROUP}|600", ""]


@pytest.mark.parametrize("target", ["there", "nowhere/at all", "-x", "/etc"])
def test_a_link_is_shown_with_its_target_and_not_followed(etc, target):
    (etc / "there").mkdir()
    (etc / "link").symlink_to(target)
    assert said(reading() + call("show_path", etc / "link")) == ["link", target]


def test_a_folder_is_shown_with_its_rights(etc):
    etc.chmod(0o2750)
    assert said(reading() + call("show_path", etc))[0] == f"directory|{ME}|{GROUP}|2750"


def test_nothing_is_shown_as_absent(etc):
    (etc / "file").touch()
    for path in (etc / "none", etc / "file" / "below"):
        assert said(reading() + call("show_path", path)) == ["absent"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_what_is_below_a_closed_folder_is_hidden_and_not_absent(tmp_path):
    closed = tmp_path / "closed"
    (closed / "in").mkdir(parents=True)
    for folder in (*tmp_path.parents, tmp_path):
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    closed.chmod(0o700)
    paths = closed / "x", closed / "in" / "y", tmp_path / "z", tmp_path / "no" / "z"
    script = reading() + "\n".join(call("show_path", path) for path in paths)
    nobody = "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script
    shown = subprocess.run(nobody, capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["hidden", "hidden", "absent", "absent"]


def test_the_home_is_where_a_tilde_looks(etc):
    (etc / "x").touch(mode=0o600)
    shown = said(reading() + look("show_path", "~/x"), home=etc)
    assert shown[0].startswith("regular empty file|")


# --- put_file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, "old\n"])
@pytest.mark.parametrize("name", ["plain", "two words", "-dash", "it's $x"])
def test_a_file_is_put_with_owner_group_and_mode(etc, apply, name, before):
    path = etc / name
    if before:
        path.write_text(before)
        path.chmod(0o777)
    well(apply(call("put_file", path, ME, GROUP, "0604", text="new $x\n")))
    assert tree(etc) == {name: "new $x\n"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert (path.owner(), path.group()) == (ME, GROUP)


@root_only
def test_a_file_is_written_by_its_owner(apply):
    with theirs() as folder:
        well(apply(call("put_file", folder / "x", "nobody", "nogroup", "0600", text="x")))
        assert ((folder / "x").owner(), (folder / "x").group()) == ("nobody", "nogroup")


@contextmanager
def theirs():
    """A folder of somebody else's, who can reach it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        shutil.chown(name, "nobody", "nogroup")
        yield Path(name)


LURE = """
import os, sys
folder, secret = sys.argv[1:]
while os.path.isdir(folder):
    for name in os.listdir(folder):
        if name.startswith(".new."):
            try:
                os.unlink(f"{folder}/{name}")
                os.symlink(secret, f"{folder}/{name}")
            except OSError:
                pass
"""


@root_only
def test_a_link_in_a_folder_of_somebodys_leads_root_nowhere(apply, tmp_path):
    secret = Path(tempfile.mkstemp(dir="/var/tmp")[1])
    with theirs() as folder:
        as_nobody = "runuser", "-u", "nobody", "--", "python3", "-c", LURE, folder, secret
        lure = subprocess.Popen(as_nobody)
        try:
            put = call("put_file", folder / "x", "nobody", "nogroup", "0600", text="evil")
            apply(*[f"{{\n{put}\n}} || true"] * 60)  # one that is lost to the lure is no matter
        finally:
            lure.terminate()  # runuser hands it on
            lure.wait()
    assert (secret.read_text(), secret.owner()) == ("", "root")
    secret.unlink()


@root_only
def test_who_keeps_what_they_were_given_to_write_keeps_nobody_waiting(apply):
    keeps = "owner_does() { setsid sleep 17 <&0 >/dev/null 2>&1 & return 1; }"
    began = time.monotonic()
    with theirs() as folder:
        large = "$(head -c 300000 /dev/zero | tr '\\0' x)"
        put = f"put_file {folder}/x nobody nogroup 0600 <<END\n{large}\nEND"
        assert apply(keeps, put).returncode
    assert time.monotonic() - began < 10


@root_only
def test_rights_and_times_are_the_owners_own_doing(apply, tmp_path):
    (tmp_path / "roots").write_text("")
    (tmp_path / "roots").chmod(0o600)
    with theirs() as folder:
        (folder / "x").symlink_to(tmp_path / "roots")
        apply(call("put_rights", folder / "x", "nobody", "nogroup", "0666"))
        apply(call("put_directory", folder / "x", "nobody", "nogroup", "0777"))
        (folder / "y").symlink_to(tmp_path / "none")
        apply(call("touch_as", "nobody", folder / "y"))
    assert (tmp_path / "roots").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "roots").owner() == "root"
    assert not (tmp_path / "none").exists()


def test_whoever_reads_meanwhile_has_the_old_file_whole(etc, apply):
    (etc / "x").write_text("old\n")
    with (etc / "x").open() as reader:
        well(apply(call("put_file", etc / "x", ME, GROUP, "0644", text="new\n")))
        assert reader.read() == "old\n"


def test_a_link_in_the_way_is_replaced_and_its_target_left_alone(etc, apply):
    (etc / "target").write_text("mine\n")
    (etc / "x").symlink_to("target")
    well(apply(call("put_file", etc / "x", ME, GROUP, "0644", text="new\n")))
    assert tree(etc) == {"target": "mine\n", "x": "new\n"}


@pytest.mark.parametrize(
    "name, owner, mode",
    [
        pytest.param("none/x", ME, "0644", id="no folder"),
        pytest.param("x", "no-such-user", "0644", id="no such owner"),
        pytest.param("x", ME, "rw", id="bad mode"),
        pytest.param("folder", ME, "0644", id="a folder in the way"),
    ],
)
def test_a_write_that_fails_leaves_everything_as_it_was(etc, apply, name, owner, mode):
    (etc / "x").write_text("old\n")
    (etc / "folder").mkdir()
    before = tree(etc)
    done = apply(call("put_file", etc / name, owner, GROUP, mode, text="new\n"), "echo went on")
    assert done.returncode != 0
    assert done.stdout == b""
    assert tree(etc) == before


# --- the others --------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, "file", "link"])
def test_a_link_is_put_whatever_was_there(etc, apply, before):
    if before == "file":
        (etc / "x").write_text("old\n")
    elif before == "link":
        (etc / "x").symlink_to(etc)  # a link to a folder is replaced, not entered
    well(apply(call("put_link", etc / "x", "/the target")))
    assert tree(etc) == {"x": "-> /the target"}


def test_a_folder_is_made_with_its_rights_and_what_is_in_it_stays(etc, apply):
    put = call("put_directory", etc / "a b", ME, GROUP, "2750")
    well(apply(put))
    (etc / "a b" / "x").write_text("mine\n")
    (etc / "a b").chmod(0o700)
    well(apply(put))
    assert tree(etc) == {"a b": "/", "a b/x": "mine\n"}
    assert stat.S_IMODE((etc / "a b").stat().st_mode) == 0o2750


def test_a_token_is_long_fresh_and_private(etc, apply):
    texts = set()
    for name in ("one", "two"):
        assert well(apply(call("put_token", etc / name, ME, GROUP))) == ""
        assert stat.S_IMODE((etc / name).stat().st_mode) == 0o600
        texts.add((etc / name).read_text())
    assert len(texts) == 2
    for text in texts:
        assert re.fullmatch("[0-9a-f]{48}", text)


# --- what fails while it writes ----------------------------------------------------------------


@pytest.mark.parametrize("words", ["", "printf ' 00 11'; "], ids=["nothing", "half"])
def test_no_token_is_written_without_random_bits(etc, apply, words):
    done = apply(f"od() {{ {words}return 1; }}", call("put_token", etc / "x", ME, GROUP))
    assert (done.returncode, tree(etc)) == (1, {})


def test_a_token_that_cannot_be_trimmed_stays(etc, apply):
    (etc / "x").write_text(" abc \n")
    half = "tr() { case $2 in '[:space:]') printf ab; return 1 ;; esac; command tr \"$@\"; }"
    done = apply(half, call("trim_token", etc / "x", ME, GROUP))
    assert (done.returncode, tree(etc)) == (1, {"x": " abc \n"})
    well(apply(call("trim_token", etc / "x", ME, GROUP)))
    assert tree(etc) == {"x": "abc"}


@root_only
def test_a_copy_is_made_of_what_root_has_taken_over_or_not_at_all(apply, tmp_path):
    fails = 'head() { [ "$2" != 1000100 ] || return 1; command head "$@"; }'
    with theirs() as folder:
        (folder / "x").write_text("theirs\n")
        copy = call("copy_as", "nobody", folder / "x", tmp_path / "copy")
        assert apply(fails, copy).returncode == 1
        assert not (tmp_path / "copy").exists()
        well(apply(copy))
    assert (tmp_path / "copy").read_text() == "theirs\n"


def test_a_venv_that_cannot_be_listed_is_not_recorded_as_done(etc, apply):
    (etc / "bin").mkdir()
    (etc / "bin/python").symlink_to("/bin/true")
    alone = "slowly() { :; }", 'as_user() { shift 2; "$@"; }', "looked() { :; }"
    fill = call(
        "fill_venv", etc, ME, "/nowhere", "python3", "", "pip", "", "the record", "jupyterlab"
    )
    assert apply(*alone, fill).returncode == 1
    assert (etc / ".converged").read_text() == "changing\n"
    well(apply(*alone[:2], "looked() { echo jupyterlab-4; }", fill))
    assert (etc / ".converged").read_text() == "the record\n+jupyterlab\n"
