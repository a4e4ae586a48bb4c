"""The bench tells what it reached and what it missed."""

import subprocess
import sys

import pytest

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
