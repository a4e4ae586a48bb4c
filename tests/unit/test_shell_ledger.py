"""The ledger, and taking away what it names: for real, in a folder of the test's own."""

import os
import pwd

import pytest
from dash import applying, dash, tree

from fabfile.render import shell
from fabfile.script import call

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")


@pytest.fixture
def run(tmp_path):
    """Give a function that runs lines after apply.sh and uninstall.sh; it gives the ledger."""
    (tmp_path / "etc").mkdir()

    def run(*lines: str) -> list[str]:
        script = [applying(tmp_path), shell("lib/uninstall"), "set -e", *lines]
        done = dash("\n".join(script))
        assert (done.returncode, done.stderr) == (0, b""), done
        return (tmp_path / "ledger/made").read_text().replace(f"{tmp_path}/etc", "").splitlines()

    return run


def put(path, text: str = "ours\n") -> str:
    me = pwd.getpwuid(os.geteuid()).pw_name
    return call("put_file", path, me, me, "0644", text=text)


def test_what_was_not_there_is_written_down_with_the_folders_above_it(run, tmp_path):
    new = tmp_path / "etc/a/b"
    assert run(call("intend", "path", new)) == ["path /a", "path /a/b"]
    new.parent.mkdir()
    new.touch()
    assert run(call("intend", "path", new)) == ["path /a", "path /a/b"]


def test_a_file_of_a_strangers_is_copied_once_and_comes_back(run, tmp_path):
    there = tmp_path / "etc/x"
    there.write_text("a stranger's\n")
    there.chmod(0o640)
    assert run(put(there)) == ["replaced /x"]
    assert run(put(there, "newer\n")) == ["replaced /x"]
    run(call("give_back", there))
    assert there.read_text() == "a stranger's\n"
    assert there.stat().st_mode & 0o777 == 0o640


def test_rights_are_remembered_as_they_were_first(run, tmp_path):
    there = tmp_path / "etc/d"
    there.mkdir(mode=0o755)
    me = pwd.getpwuid(os.geteuid()).pw_name
    run(call("put_directory", there, me, me, "0700"))
    made = run(call("put_directory", there, me, me, "0750"))
    assert made == [f"rights /d|755|{me}:{me}"]
    run(call("give_rights", there, "755", f"{me}:{me}"))
    assert there.stat().st_mode & 0o777 == 0o755


def test_removing_nothing_is_not_written_down(run, tmp_path):
    assert run(call("put_absent", tmp_path / "etc/none")) == []


def test_packages_are_written_down_before_dpkg_begins(run, tmp_path):
    files = "/var/cache/apt/archives/surely-new_1%3a2_all.deb\n/x/dpkg_1_amd64.deb\n"
    hook = 'write_packages_hook "$run/hook"; sh "$run/hook" "$made"'
    assert run(f"{{ {hook}; }} <<'END'\n{files}END") == ["package surely-new"]


def test_taking_away_keeps_what_is_in_a_folder_but_not_in_a_tree(run, tmp_path):
    etc = tmp_path / "etc"
    for folder in ("kept", "tree/below", "empty"):
        (etc / folder).mkdir(parents=True)
    (etc / "kept/mine").write_text("mine\n")
    (etc / "tree/below/x").touch()
    (etc / "file").touch()
    (etc / "link").symlink_to("kept")
    names = ["path file", "path link", "path kept", "tree tree", "path empty", "path never"]
    text = "\n".join(name.replace(" ", f" {etc}/") for name in names)
    run(call("take_away", text=text))
    assert tree(etc) == {"kept": "/", "kept/mine": "mine\n"}


@root_only
def test_a_link_that_a_user_put_in_the_way_leads_nobody_elsewhere(run, tmp_path):
    home, target = tmp_path / "etc/home", tmp_path / "etc/target"
    for folder in (home, target):
        folder.mkdir()
    (target / "x").write_text("root's\n")
    for folder in (tmp_path, *tmp_path.parents):  # so that the user gets here
        folder.chmod(folder.stat().st_mode | 0o055)
    os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
    (home / "way").symlink_to(target)
    script = [applying(tmp_path), shell("lib/uninstall"), "set -e"]
    done = dash("\n".join([*script, call("take_away", text=f"path {home}/way/x")]))
    assert done.returncode != 0 and b"Permission denied" in done.stderr
    assert (target / "x").read_text() == "root's\n"


@pytest.mark.parametrize(
    ("kept", "stays"),
    [
        ({"D/etc/ours": "1"}, False),
        ({"D/since/etc/ours": "1", "D/etc/ours.absent": ""}, False),
        ({"D/etc/ours": "1", "D/etc/theirs": "2"}, True),
        ({"archives/1.tar": "1"}, True),
    ],
)
def test_backups_stay_when_more_than_ours_is_there(run, tmp_path, kept, stays):
    for name, text in kept.items():
        path = tmp_path / "kept" / name.replace("/etc", f"{tmp_path}/etc")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    run(f"record path {tmp_path}/etc/ours", "clear_backups")
    assert (tmp_path / "kept").exists() is stays


def test_a_folder_for_backups_may_be_empty(run, tmp_path):
    (tmp_path / "kept").mkdir(exist_ok=True)
    run(f"record path {tmp_path}/etc/ours", "clear_backups")
    assert not (tmp_path / "kept").exists()


def test_nothing_of_ours_is_left_in_the_end(tmp_path):
    lines = [applying(tmp_path), shell("lib/uninstall"), "close_ledger", "settle"]
    assert dash("\n".join(lines)).returncode == 0
    assert list(tmp_path.iterdir()) == []


# --- what fails while it is written down -------------------------------------------------------


def programs(folder, **texts: str) -> str:
    """The shell that puts programs of the test's before those of the system."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    return f"PATH={folder}:$PATH\n"


@pytest.mark.parametrize("code", [0, 1])
def test_half_a_list_of_packages_is_none(tmp_path, code):
    fake = programs(tmp_path / "bin", dpkg_query=f"echo one installed\nexit {code}")
    dash(applying(tmp_path, f"{fake}take_turn tester any\n"))
    there = sorted(path.name for path in (tmp_path / "ledger").iterdir())
    assert there == (["made"] if code else ["made", "present"])


def test_no_half_of_a_path_is_recorded_on_a_full_disk(tmp_path):
    made = tmp_path / "ledger/made"
    full = f"printf '%499s\\n' x >{made}; trap '' XFSZ; ulimit -f 1"  # 512 bytes
    lines = applying(tmp_path), "set -e", full, call("record", "tree", "/home/ben/lab/venv")
    assert dash("\n".join(lines)).returncode == 1
    assert made.read_text() == f"{'x':>499}\n"


def test_no_rights_are_recorded_of_what_cannot_be_looked_at(tmp_path):
    lines = applying(tmp_path), "set -e", call("remember_rights", tmp_path / "none")
    assert dash("\n".join(lines)).returncode == 1
    assert (tmp_path / "ledger/made").read_text() == ""


def test_backups_that_cannot_be_listed_stay(tmp_path):
    (tmp_path / "kept/now").mkdir(parents=True)
    lines = [applying(tmp_path), shell("lib/uninstall"), "set -e", "find() { return 1; }"]
    assert dash("\n".join([*lines, "clear_backups"])).returncode == 1
    assert (tmp_path / "kept/now").exists()


@pytest.mark.parametrize("code", [0, 1])
def test_no_package_is_removed_when_apt_cannot_say_what_goes_with_it(tmp_path, code):
    would = f'case " $* " in *" -s "*) echo Remv nginx; exit {code} ;; esac'
    query, gone = "echo installed nginx", f"touch {tmp_path}/gone"
    fake = programs(tmp_path / "bin", dpkg=":", dpkg_query=query, apt_get=f"{would}; {gone}")
    lines = [applying(tmp_path), shell("lib/uninstall"), "set -e", fake, "remove_packages nginx"]
    assert dash("\n".join(lines)).returncode == code
    assert (tmp_path / "gone").exists() is (code == 0)
