"""The bench tells what it reached and what it missed."""

import subprocess
import sys

import pytest

from bench import cluster, footprint, pages, sizing
from bench.bench import Measured, high_water, run, table
from bench.ways import WAYS, Command, idle


def results(fab: float, others: float) -> dict:
    found = {way: Measured([others], 50) for way in WAYS}
    return {"no-op": {**found, "fab": Measured([fab], 40)}}


@pytest.mark.parametrize(
    "fab, others, verdicts",
    [
        (0.5, 10.0, ["reached", "reached", "reached"]),
        (1.0, 10.0, ["reached", "reached", "MISSED"]),
        (5.0, 1.0, ["MISSED", "MISSED", "MISSED"]),
    ],
)
def test_each_ratio_has_its_verdict(capsys, fab, others, verdicts):
    table(results(fab, others), [*WAYS])
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("| no-op: ")]
    assert [row.split(" | ")[-1].strip(" |") for row in rows] == verdicts


def test_a_median_is_shown_with_its_extremes():
    assert str(Measured([3.0, 1.0, 2.0])) == "2.00 (1.00-3.00)"


def test_a_process_that_fails_ends_the_bench_with_its_words():
    with pytest.raises(SystemExit, match="why it failed"):
        run([Command(["sh", "-c", "echo why it failed; exit 3"])])


def test_all_processes_run_at_once():
    took, _, output = run([Command(["sh", "-c", "cat; sleep 0.5"], f"{n}\n") for n in range(4)])
    assert took < 1.5
    assert output.split() == ["0", "1", "2", "3"]


def test_the_most_memory_is_seen():
    script = "x = bytearray(120 * 2**20); del x; import time; time.sleep(0.2)"
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        assert 120 < high_water(process) < 200


class Two:
    hosts = (1, 2)


def test_idle_is_said_of_every_server():
    assert idle("fab", "nothing to change\nnothing to change", Two)
    assert not idle("fab", "nothing to change\n2 changes made", Two)
    assert idle("pyinfra", "Grand total    18    -    -    18", Two)
    assert not idle("pyinfra", "Grand total    18    1    -    17", Two)


@pytest.mark.parametrize("better, word", [(True, "reached"), (False, "MISSED")])
def test_pages_have_their_verdicts(capsys, better, word):
    ours, other = (3.0, 4.0) if better else (9.0, 4.0)
    lower = ("cold, s", "cold, s, 10 Mbit/s and 50 ms", "cold, MB", "round trip, ms")
    found = {
        title: {pages.DIRECT: Measured([other * 2.0]), pages.OURS: Measured([ours])}
        for title in lower
    }
    found["messages/s"] = {pages.DIRECT: Measured([ours]), pages.OURS: Measured([other])}
    pages.table(found)
    rows = [line for line in capsys.readouterr().out.splitlines() if "at " in line]
    assert len(rows) == 5 and all(row.endswith(f"| {word} |") for row in rows)


def test_tabs_that_fit_are_counted_by_the_limits_in_force(capsys):
    found = {
        "connections of Nginx per tab, just opened": Measured([12.0, 16.0, 14.0]),
        "connections of Nginx per tab, at rest": Measured([4.0]),
        "descriptors of JupyterLab per tab, just opened": Measured([80.0]),
        "descriptors of JupyterLab per tab, at rest": Measured([40.0]),
    }
    sizing.table(found, sizing.Limits(workers=2, each=768, files=700, lab=4000))
    out = capsys.readouterr().out
    assert "| connections of Nginx per tab, just opened | 14.0 (12.0-16.0) |" in out
    assert "| connections of Nginx per tab, at rest | 4.0 |" in out
    assert "| tabs that fit, for Nginx: just opened, at rest | 100, 350 |" in out
    assert "| for JupyterLab: the same | 50, 100 |" in out


def test_a_process_that_has_just_ended_says_nothing(tmp_path):
    assert footprint.text(tmp_path / "smaps_rollup") == ""


@pytest.mark.parametrize("three, word", [(28.0, "reached"), (24.0, "MISSED")])
def test_a_cluster_that_does_not_grow_with_its_workers_has_missed_it(capsys, three, word):
    found = {
        cluster.TITLE.format(1): Measured([10.0]),
        cluster.TITLE.format(2): Measured([20.0]),
        cluster.TITLE.format(3): Measured([three]),
    }
    costs = {cluster.LATENCY: {"tcp": Measured([4.0]), "tls": Measured([5.0])}}
    cluster.table(found, costs)
    out = capsys.readouterr().out
    assert f"| 3 workers / 3 times one | {three / 30:.2f} | at least 0.9 | {word} |" in out
    assert "| 4.00 (4.00-4.00) | 5.00 (5.00-5.00) | 1.25 |" in out
