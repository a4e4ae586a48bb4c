"""Steps are announced as they begin and end; the first that fails ends the whole."""

import pytest
from dash import applying, dash, tree

from fabfile import converge
from fabfile.host import Host
from fabfile.items import Change
from fabfile.render import shell


@pytest.fixture
def apply(tmp_path):
    """Give a function that runs steps in a schedule; it gives the lines and the exit status."""

    def run(schedule: str, *steps: str) -> tuple[list[str], int]:
        functions = "".join(f"step_{n}() {{\n{step}\n}}\n" for n, step in enumerate(steps))
        done = dash(f"{applying(tmp_path)}{functions}{schedule}\necho ended well\n", cwd=tmp_path)
        assert done.stderr == b""
        return done.stdout.decode().splitlines(), done.returncode

    return run


def test_steps_are_told_in_order_and_silent_else(apply):
    lines, status = apply("run 0\nrun 1", "echo noise; echo noise >&2", ":")
    assert lines == ["begin 0", "end 0 0", "begin 1", "end 1 0", "ended well"]
    assert status == 0


@pytest.mark.parametrize(
    "step, words, code",
    [
        ("echo why; return 3", ["| why"], 3),
        ("echo why >&2; exit 4", ["| why"], 4),
        ("echo one\nfalse\necho never", ["| one"], 1),
        ("x=$(false)\necho never", [], 1),
        ("printf 'no line end'; return 1", ["| no line end"], 1),
        ("echo $unset", ["unset"], 2),
    ],
    ids=["return", "exit", "a failing line", "a failing word", "no line end", "an unset variable"],
)
def test_a_step_that_fails_shows_why_and_ends_all(apply, tmp_path, step, words, code):
    lines, status = apply("run 0\nrun 1", step, "touch later")
    assert lines[:2] == ["begin 0", f"end 0 {code}"]
    assert len(lines) == 2 + len(words)
    assert all(word in line for word, line in zip(words, lines[2:], strict=True))
    assert status == 1
    assert not (tmp_path / "later").exists()


def test_only_the_tail_of_a_long_log_is_shown(apply):
    lines, _ = apply("run 0", "seq 100; return 1")
    assert lines[2:] == [f"| {n}" for n in range(61, 101)]


def test_a_step_reads_nothing_from_the_script(apply):
    lines, _ = apply("run 0", "cat; echo >&2")
    assert lines[-1] == "ended well"


def test_a_note_of_a_step_reaches_the_operator(apply):
    lines, _ = apply("run 0", "echo noise; echo 'note: uv could not be used; using pip'")
    assert "note uv could not be used; using pip" in [x.replace("note:", "note") for x in lines]


WAIT = "n=200; until [ -e ../{0} ] || [ -e {0} ]; do sleep 0.01; n=$((n-1)); [ $n -gt 0 ]; done"


def test_a_step_beside_runs_while_the_others_do(apply):
    slow = f"{WAIT.format('one')}; touch two"
    lines, status = apply("begin 0\nrun 1\nfinish\nrun 2", slow, "touch one", "[ -e two ]")
    told = ["begin 0", "begin 1", "end 1 0", "end 0 0", "begin 2", "end 2 0", "ended well"]
    assert (lines, status) == (told, 0)


def test_finish_without_a_step_beside_does_nothing(apply):
    assert apply("finish\nbegin 0\nfinish\nfinish", ":")[0] == ["begin 0", "end 0 0", "ended well"]


def test_a_step_beside_that_fails_ends_all_when_it_is_needed(apply, tmp_path):
    lines, status = apply("begin 0\nrun 1\nfinish\nrun 2", "echo why; return 5", ":", "touch later")
    assert lines[-2:] == ["end 0 5", "| why"]
    assert (status, (tmp_path / "later").exists()) == (1, False)


def test_a_failure_lets_the_step_beside_come_to_its_end(apply, tmp_path):
    slow = f"{WAIT.format('failing')}; sleep 0.1; touch whole"
    lines, status = apply("begin 0\nrun 1", slow, "touch failing; return 1")
    assert (lines[-1], status) == ("end 1 1", 1)
    assert (tmp_path / "whole").exists()


@pytest.mark.parametrize("steps", [[":"], ["return 1"]], ids=["well", "failed"])
def test_nothing_stays_of_a_run(apply, tmp_path, steps):
    apply("run 0", *steps)
    assert tree(tmp_path) == {}


def test_the_schedule_of_converge_is_understood(apply):
    changes = [
        Change("one", "", packages=("a",)),
        Change("two", "", packages=("nginx",)),
        Change("three", ""),
        Change("four", "", needs=("nginx",)),
    ]
    lines, _ = apply(converge.schedule(changes), ":", WAIT.format("three"), "touch three", ":")
    assert [line for line in lines if line.startswith("end")] == [
        "end 0 0", "end 2 0", "end 1 0", "end 3 0", "ended well",
    ]  # fmt: skip


def test_the_whole_of_a_run_tells_steps_and_then_what_is_there(tmp_path):
    script = converge.apply_script(Host(home=str(tmp_path)), [], [Change("try it\\", "echo")])
    done = dash(script.replace(shell("apply.sh"), applying(tmp_path)))
    assert done.stdout.decode().splitlines() == ["begin 0", "end 0 0", "@end"]
