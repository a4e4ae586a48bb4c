"""An item that was applied is as wanted: read, changed and read again by the shell itself."""

import stat
from pathlib import Path

import pytest
from dash import GROUP, ME, applying, dash, reading, said, tree
from states import compared

from fabfile.engine.plan import reading_script, sorted_out
from fabfile.items import Directory, File, Item, Link, Password, Token
from fabfile.settings import Settings

MINE = {"owner": ME, "group": GROUP}


def lines_of(item: Item) -> list[str]:
    return said(f"{reading()}{item.read()}")


def converge(item: Item, place: Path) -> bool:
    """Bring an item about; give whether that took a change."""
    change = compared(item, lines_of(item), set())
    if change:
        done = dash(f"{applying(place)}set -e\n{change.shell}\n")
        assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"")
    assert compared(item, lines_of(item), set()) is None, "it did not take"
    return change is not None


@pytest.fixture
def path(tmp_path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc" / "it's $x"


ITEMS = {
    "folder": lambda path: Directory(path=str(path), mode="0750", **MINE),
    "file": lambda path: File(path=str(path), content="END\n$x\n", mode="0640", **MINE),
    "link": lambda path: Link(path=str(path), target="/some where/it's"),
    "token": lambda path: Token(path=str(path), **MINE),
}


def folder_elsewhere(path):
    (path.parent / "real").mkdir()
    path.symlink_to("real")


THERE = {
    "nothing": lambda path: None,
    "text": lambda path: path.write_text("old\n"),
    "empty file": lambda path: path.touch(),
    "folder": lambda path: path.mkdir(),
    "link to a folder": folder_elsewhere,
    "dangling link": lambda path: path.symlink_to("nowhere"),
}
REFUSED = {("folder", "text"), ("folder", "empty file"), ("folder", "dangling link"), *(
    (item, "folder") for item in ITEMS if item != "folder"
)}  # fmt: skip


@pytest.mark.parametrize(
    "item, there", [(i, t) for i in ITEMS for t in THERE if (i, t) not in REFUSED]
)
def test_an_applied_item_is_as_wanted(tmp_path, path, item, there):
    THERE[there](path)
    wanted = ITEMS[item](path)
    converge(wanted, tmp_path)
    before = tree(tmp_path)
    assert not converge(wanted, tmp_path)
    assert tree(tmp_path) == before


def test_a_token_stays_when_its_rights_are_mended(tmp_path, path):
    token = Token(path=str(path), **MINE)
    converge(token, tmp_path)
    text = path.read_text()
    path.chmod(0o644)
    assert converge(token, tmp_path)
    assert path.read_text().strip() == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_password_file_is_private_and_its_stamp_is_new(tmp_path, path):
    from fabfile.settings.credentials import Secret

    stamp = tmp_path / "etc" / "token"
    stamp.write_text("abc")
    login = Password(path=str(path), password=Secret("it's $x"), stamp=str(stamp), **MINE)
    assert converge(login, tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "it's" not in path.read_text()
    assert stamp.read_text() == "abc"


def test_items_are_read_at_once_and_sorted_out_again(tmp_path, path):
    path.write_text("x")
    items = [ITEMS["file"](path), ITEMS["link"](tmp_path / "none")]
    found = sorted_out(said(str(reading_script(items, Settings()))))
    assert list(found) == ["facts", "neighbours", "listens", "added", "0", "1", "end"]
    assert found["0"][0] == f"regular file|{ME}|{GROUP}|644"
    assert found["1"] == ["absent"]
