"""How a transfer's progress is shown: a row on a terminal, lines in a pipe."""

import contextvars
import io
import re
import sys

import pytest

from fabfile.fleet.table import Prefixed, Row
from fabfile.ui import console, progress


class Terminal(io.StringIO):
    """A terminal that keeps what was written."""

    def isatty(self):
        return True


def transfer(monkeypatch, out, err, total=None, sink=None) -> str:
    """Let 2 MB through, with those outputs; return what was written to the first one."""
    monkeypatch.setattr(progress, "EVERY", 0)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")

    def body():
        if sink:
            console.SINK.set(sink)
        with progress.meter("sending", total) as told:
            assert out.getvalue() == ""  # nothing yet: sudo may ask
            told(1_500_000)
            told(500_000)

    contextvars.copy_context().run(body)
    return out.getvalue()


@pytest.mark.parametrize("total, text", [(None, r"2\.0 MB"), (4_000_000, r"2\.0/4\.0 MB")])
def test_on_a_terminal_a_row_is_shown_and_erased(monkeypatch, total, text):
    seen = transfer(monkeypatch, Terminal(), Terminal(), total)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert re.search(rf"sending {text}", plain) and "/s" in plain
    assert seen.rpartition("sending")[2].count("\x1b[2K") >= 1  # erased after it was shown
    assert "\x1b[?25h" in seen  # the cursor is back


@pytest.mark.parametrize("total, text", [(None, "2.0 MB"), (4_000_000, "2.0 MB of 4.0 MB")])
@pytest.mark.parametrize(
    "streams", [(io.StringIO, Terminal), (Terminal, io.StringIO)], ids=["stdout", "stderr"]
)
def test_a_pipe_gets_lines_without_escape_codes(monkeypatch, streams, total, text):
    out, err = (stream() for stream in streams)
    seen = transfer(monkeypatch, out, err, total)
    assert f"  sending: {text}, " in seen and "\x1b" not in seen and err.getvalue() == ""


def test_a_fleet_names_the_host(monkeypatch):
    seen = transfer(monkeypatch, Terminal(), Terminal(), sink=Prefixed("lab1"))
    assert seen.startswith("lab1:   sending: 1.5 MB, ") and "\x1b" not in seen


def test_a_fleets_row_says_it(monkeypatch):
    rows = console.running_rows(transient=False)
    transfer(monkeypatch, Terminal(), Terminal(), sink=Row("lab1", rows))
    assert rows.tasks[0].description.startswith("lab1: sending: 2.0 MB, ")


def test_a_short_transfer_says_nothing_in_a_pipe(capsys):
    with progress.meter("sending") as told:
        told(10)
    assert capsys.readouterr() == ("", "")
