"""What a run replaces is kept until it has ended well, and put back when it was rejected."""

import stat

import pytest
from dash import GROUP, ME, applying, dash, tree

from fabfile.script import call


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


@pytest.fixture
def apply(tmp_path):
    """Give a function that runs lines as one run does, `settle` only if it is said."""

    def run(*lines: str) -> str:
        done = dash("\n".join([applying(tmp_path), *lines]))
        assert (done.returncode, done.stderr) == (0, b""), done
        return done.stdout.decode()

    return run


def put(path, text: str) -> str:
    return call("put_file", path, ME, GROUP, "0644", text=text)


def backups(tmp_path) -> dict[str, str]:
    """What is kept, by its path on the server, under `now` or a date."""
    kept = tmp_path / "kept"
    return {name: text for name, text in tree(kept).items() if text != "/"} if kept.exists() else {}


BEFORE = {"file": "old\n", "link": "-> target", "nothing": None}


@pytest.fixture(params=BEFORE)
def before(request, etc):
    """Make what stood in our place; give what `tree` says of it."""
    (etc / "dir").mkdir()
    path, kind = etc / "dir" / "a b", request.param
    if kind == "file":
        path.write_text("old\n")
        path.chmod(0o640)
    elif kind == "link":
        path.symlink_to("target")
    return tree(etc)


def test_what_was_put_is_put_back(etc, apply, before):
    path = etc / "dir" / "a b"
    apply(put(path, "new\n"), call("put_back", path))
    assert tree(etc) == before
    if path.is_file():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_run_that_died_left_the_good_one(etc, apply, before):
    path = etc / "dir" / "a b"
    apply(put(path, "bad\n"))  # and no settle: it died
    apply(put(path, "worse\n"), call("put_back", path))
    assert tree(etc) == before


def test_what_was_not_touched_is_not_put_back(etc, apply, tmp_path):
    (etc / "x").write_text("mine\n")
    apply(call("put_back", etc / "x", etc / "none"))
    assert tree(etc) == {"x": "mine\n"}
    assert backups(tmp_path) == {}


@pytest.mark.parametrize("left", [".new.abcdef", ".new.linked"])
def test_what_a_killed_run_left_beside_is_cleared_away(etc, apply, left):
    (etc / left).write_text("half of a secr")
    (etc / ".new.mine-and-longer").write_text("mine\n")
    apply(put(etc / "x", "new\n"))
    (etc / left).symlink_to("nowhere")
    apply(call("put_link", etc / "y", etc / "x"))
    assert {path.name for path in etc.iterdir()} == {"x", "y", ".new.mine-and-longer"}


def test_several_are_put_back_at_once(etc, apply):
    (etc / "site").write_text("old\n")
    new = [put(etc / "site", "new\n"), call("put_link", etc / "enabled", etc / "site")]
    apply(*new, call("put_back", etc / "enabled", etc / "site"))
    assert tree(etc) == {"site": "old\n"}


def test_a_run_that_ended_well_keeps_the_old_under_its_date(etc, apply, tmp_path):
    (etc / "x").write_text("old\n")
    apply(put(etc / "x", "new\n"), put(etc / "y", "made\n"), "settle")
    ((name, text),) = backups(tmp_path).items()
    date, _, rest = name.partition("/")
    assert date.startswith("20")
    assert (f"/{rest}", text) == (str(etc / "x"), "old\n")


def test_the_next_run_keeps_anew(etc, apply, tmp_path):
    for text in ("one\n", "two\n", "three\n"):
        apply(put(etc / "x", text), "settle")
    apply(put(etc / "x", "bad\n"), call("put_back", etc / "x"), "settle")
    assert (etc / "x").read_text() == "three\n"
    assert list(backups(tmp_path).values()) == ["one\n", "two\n"]


def test_what_was_accepted_is_not_gone_back_behind(etc, apply, tmp_path):
    """A later step of the first run failed: the next goes back to what it made and proved."""
    (etc / "site").write_text("old\n")
    made = [put(etc / "site", "good\n"), put(etc / "unit", "good\n")]
    apply(*made, call("accept", etc / "site", etc / "unit"))
    worse = [put(etc / "site", "worse\n"), put(etc / "unit", "worse\n")]
    apply(*worse, call("put_back", etc / "site", etc / "unit"))
    assert tree(etc) == {"site": "good\n", "unit": "good\n"}
    assert list(backups(tmp_path).values()) == ["old\n"]


def test_the_next_run_says_that_the_last_did_not_end_well(etc, tmp_path):
    def turn(*lines: str) -> str:
        script = applying(tmp_path, turn="take_turn tester any\n")
        return dash("\n".join([script, *lines])).stdout.decode()

    assert "note" not in turn(put(etc / "x", "new\n"))
    told = turn("settle")
    assert "note the last run did not finish (tester, since " in told
    assert "note" not in turn()


@pytest.mark.parametrize("lines", [[], ["settle"], ["settle", "settle"]])
def test_a_run_without_changes_leaves_nothing(apply, tmp_path, lines):
    (tmp_path / "etc").mkdir()
    assert all(line.startswith("turn tester, since ") for line in apply(*lines).splitlines())
    assert set(tree(tmp_path)) == {"etc", "run.lock", "run.turn"}


def test_only_root_looks_into_what_is_kept(etc, apply, tmp_path):
    (etc / "x").write_text("a secret\n")
    apply(put(etc / "x", "new\n"))
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
