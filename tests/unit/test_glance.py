"""What status and logs make of what a server told: lines for eyes."""

import importlib.util
import json
import time
from io import BytesIO
from types import SimpleNamespace

import pytest

from fabfile.engine import consent
from fabfile.items import Live, Service, Sleeper
from fabfile.manage import logs, upgrade
from fabfile.render import TEMPLATES
from fabfile.settings.names import Endpoint
from fabfile.status import collect, display
from fabfile.ui import console


def load(name: str):
    """A Python file of `templates/`, as a module."""
    spec = importlib.util.spec_from_file_location(name, TEMPLATES / "python" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "number, text",
    [(0, "0 bytes"), (84_051_968, "84.1 MB"), (9_999e6, "10.0 GB"), (20_221_198_336, "20.2 GB")],
)
def test_sizes(number, text):
    assert display.used({"memory": number, "cpu": 0}) == f"{text}, 0 % of one processor"


@pytest.mark.parametrize(
    "passed, text",
    [
        (-3, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (86400 * 3 + 3600 * 5, "3 d 5 h"),
        (86400, "1 d"),
    ],
)
def test_spans_of_time(passed, text):
    assert display.ago(passed) == text


@pytest.mark.parametrize(
    "there, newest, found",
    [
        ({"jupyterlab": "4.6.6"}, {"jupyterlab": "4.6.6"}, {}),
        ({"jupyterlab": "4.6.6"}, {"jupyterlab": "4.6.10"}, {"jupyterlab": "4.6.10"}),
        ({"jupyterlab": "4.7.0"}, {"jupyterlab": "4.6.10"}, {}),
        ({"jupyterlab": "4.6.6"}, {"jupyterlab": None}, {}),
        ({}, {"jupyterlab": "4.6.6"}, {}),
        ({"jupyterlab": "4.6.6"}, {"jupyterlab": "not a version"}, {}),
    ],
)
def test_newer_versions(there, newest, found):
    assert collect.newer(there, newest) == found


KERNEL = {"name": "python3", "memory": 64e6, "cpu": 99.6, "since": "1970-01-01T00:00:00.5Z"}


@pytest.mark.parametrize(
    "more, text",
    [
        ({"notebook": "a.ipynb", "state": "idle"}, "a.ipynb: idle for 2 min"),
        ({"notebook": None, "state": "busy"}, "python3: busy for 2 min"),
        ({"notebook": "a\x1b[2J", "state": None}, "a\x1b[2J: unknown for 2 min"),
    ],
)
def test_a_kernels_line(more, text):
    line = display.kernel(KERNEL | more, 121)
    assert line == f"{text}, 64.0 MB, 100 % of one processor"


def test_nothing_in_a_line_steers_the_terminal():
    assert console.printable("a\x1b[2J\r\nb\u202e\t\x9b") == "a\\x1b[2J\\r\nb\\u202e\t\\x9b"
    assert logs.row("at 0.5 jupyter \x1b[31mred\x1b[0m") == "1970-01-01T00:00:00Z jupyter red"


@pytest.mark.parametrize(
    "told, text",
    [
        ("at 60.000 jupyter [I 2026-11-24 12:26:41.123 ServerApp] up", "jupyter [I ServerApp] up"),
        ("at 60.000 nginx 1.1.1.1 \"GET /\" 200", "nginx   1.1.1.1 \"GET /\" 200"),
        ("at 60.000 error", "error   "),
    ],
)  # fmt: skip
def test_a_logs_line(told, text):
    assert logs.row(told) == f"1970-01-01T00:01:00Z {text}"


def test_what_ends_with_a_service():
    assert consent.ends([]) == ""
    kernels = [{"notebook": "a.ipynb", "state": "busy"}, {"notebook": None, "name": "ir"}]
    told = consent.ends([kernels[0], kernels[1] | {"state": None}])
    assert told == "2 kernels end with it: a.ipynb (busy), ir (unknown)"


@pytest.mark.parametrize(
    "there, before, forward",
    [
        ({"a": "2", "b": "1"}, {"a": "1", "b": "1"}, False),
        ({"a": "1", "b": "1"}, {"a": "2", "b": "1"}, True),
        ({"a": "1.10", "b": "1", "c": "2"}, {"a": "1.9", "b": "1.1", "c": "3"}, True),
        ({"a": "1"}, {"a": "1"}, False),
        ({"a": "1"}, {"a": "odd"}, False),
    ],
)
def test_a_second_roll_back_goes_forward(there, before, forward):
    assert upgrade.goes_forward(there, before) == forward


IR = {"id": "1", "name": "ir", "notebook": None, "state": "idle", "since": None}
WHOLE = {
    "now": 1.0,
    "service": {"memory": 1, "memory_limit": None, "cpu": 0.5, "tasks": 3},
    "server": {"memory": 1, "cpu": 0.5},
    "kernels": [IR | {"memory": 1, "cpu": 0.5}],
    "terminals": 0,
    "newest": {"jupyterlab": None},
}
WHOLE_TEXT = json.dumps(WHOLE)
LIVE = Live(endpoint=Endpoint("/s"), unit="u", token="~/t", project="~/p", venv="~/p/venv")


@pytest.mark.parametrize(
    "lines, disk, told",
    [
        ([], None, {}),
        (["5 10 /a b"], {"path": "/a b", "free": 5, "total": 10}, {}),
        (["5 10 /", "Traceback", WHOLE_TEXT], {"path": "/", "free": 5, "total": 10}, WHOLE),
        (["df: no", WHOLE_TEXT], None, WHOLE),
        (["", '{"now": 1}'], None, {}),
        (["", json.dumps(WHOLE | {"kernels": [IR | {"memory": 1, "cpu": {}}]})], None, {}),
        (["", json.dumps(WHOLE | {"kernels": [IR | {"name": [], "memory": 1}]})], None, {}),
    ],
)
def test_what_was_read(lines, disk, told):
    assert LIVE.parse(lines) == {"disk": disk} | told


# --- on the server -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, number", [("12", 12), ("[not set]", None), ("infinity", None), (f"{2**64 - 1}", None)]
)
def test_counts_of_systemd(text, number):
    assert load("status").number(text) == number


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b"  1  ", b"{}", b"half", b'{"MESSAGE": "x"}', b'["a"]']
)
def test_an_entry_of_the_journal_that_is_none_is_left_out(line):
    whole = b'{"__REALTIME_TIMESTAMP": "1000000", "__CURSOR": "c", "MESSAGE": "here"}'
    reading = SimpleNamespace(stdout=BytesIO(b"\n".join([whole, line, whole, b""])))
    assert list(load("logs").entries(reading)) == [(1.0, "here", "c")] * 2


@pytest.fixture
def log(tmp_path):
    """A log of Nginx's in the test's folder."""
    log = load("logs").Log(tmp_path / "a.log")
    yield log
    log.close()


def test_a_log_is_read_with_the_one_before_and_followed_over_a_rotation(log):
    path, begin = log.path, 1795514400.0
    line = '1.1.1.1 [2026-11-24T10:00:00+00:00] "GET /0" 200\n'
    path.with_name("a.log.1").write_text(line)
    path.write_text(line.replace("/0", "/1") + "no stamp\nhal")
    assert list(log.before(0, 10)) == [
        (begin, '1.1.1.1 "GET /0" 200'), (begin, '1.1.1.1 "GET /1" 200'), (begin, "no stamp"),
    ]  # fmt: skip
    with path.open("a") as file:
        file.write("f\n")
    assert list(log.new()) == [(begin, "half")]
    path.rename(path.with_name("a.log.2"))
    assert list(log.new()) == []
    path.write_text("2026/11/24 10:00:01 [notice] up\n")
    stamp = time.mktime((2026, 11, 24, 10, 0, 1, 0, 0, -1))
    assert list(log.new()) == [(stamp, "[notice] up")]


@pytest.mark.parametrize(
    "since, lines, count", [(0, 1, 1), (0, 9, 3), (0, 0, 0), (1795514401, 9, 1), (1795514402, 9, 0)]
)
def test_since_a_moment_or_the_last_lines(log, since, lines, count):
    stamp = "1.1.1.1 [2026-11-24T10:00:0{}+00:00] x\n"
    log.path.write_text(stamp.format(0) * 2 + stamp.format(1))
    assert len(list(log.before(since, lines))) == count


def test_a_log_that_is_not_there_is_empty(log):
    assert list(log.before(0, 10)) == list(log.new()) == []


# --- the state of a unit -----------------------------------------------------------------------

SERVICE = Service(unit="u", reads=(), fix="")
SLEEPER = Sleeper(unit="u", reads=(), fix="", socket=SERVICE)
THERE = ["LoadState=loaded", "StateChangeTimestamp=Tue 2026-11-24 10:00:00.5 UTC"]
DOOR = ["socket", "ActiveState=active", "UnitFileState=enabled"]


@pytest.mark.parametrize(
    "item, lines, state, enabled",
    [
        (SERVICE, [*THERE, "ActiveState=active", "UnitFileState=enabled"], "active", True),
        (SERVICE, [*THERE, "ActiveState=inactive", "UnitFileState=disabled"], "inactive", False),
        (SERVICE, ["LoadState=not-found", "ActiveState=inactive"], "absent", False),
        (SLEEPER, [*THERE, "ActiveState=active", *DOOR], "active", True),
        (SLEEPER, [*THERE, "ActiveState=inactive", *DOOR], "asleep", True),
        (SLEEPER, [*THERE, "ActiveState=inactive", "socket"], "inactive", False),
        (SLEEPER, [*THERE, "ActiveState=failed", *DOOR], "failed", True),
    ],
)
def test_the_state_of_a_unit(item, lines, state, enabled):
    told = collect.condition(item.parse(lines))
    assert (told["state"], told["enabled"]) == (state, enabled)
    assert told["since"] == (None if state == "absent" else "2026-11-24T10:00:00Z")
