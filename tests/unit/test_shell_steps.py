"""Steps are announced as they begin and end; the first that fails ends the whole."""

import os
import pwd
import subprocess
import time
from dataclasses import replace

import pytest
from dash import GROUP, ME, applying, dash, said, tree

from fabfile.engine import plan
from fabfile.engine.host import Host
from fabfile.items import Change
from fabfile.script import call


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
    lines, status = apply("run_step 0\nrun_step 1", "echo noise; echo noise >&2", ":")
    assert lines == ["begin 0", "end 0 0", "begin 1", "end 1 0", "ended well"]
    assert status == 0


@pytest.mark.parametrize(
    "step, words, code",
    [
        ("echo why; return 5", ["| why"], 5),
        ("echo why >&2; exit 4", ["| why"], 4),
        ("echo one\nfalse\necho never", ["| one"], 1),
        ("x=$(false)\necho never", [], 1),
        ("printf 'no line end'; return 1", ["| no line end"], 1),
        ("echo $unset", ["unset"], 2),
    ],
    ids=["return", "exit", "a failing line", "a failing word", "no line end", "an unset variable"],
)
def test_a_step_that_fails_shows_why_and_ends_all(apply, tmp_path, step, words, code):
    lines, status = apply("run_step 0\nrun_step 1", step, "touch later")
    assert lines[:2] == ["begin 0", f"end 0 {code}"]
    assert len(lines) == 2 + len(words)
    assert all(word in line for word, line in zip(words, lines[2:], strict=True))
    assert status == 1
    assert not (tmp_path / "later").exists()


def test_why_a_run_stopped_is_known_to_the_next_one(apply, tmp_path):
    apply("run_step 0", "echo 'E: no such package'; echo more; return 1")
    (turn,) = (tmp_path / "run.turn").read_text().splitlines()
    assert turn.startswith("tester, since ") and turn.endswith("; it stopped: E: no such package")


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ("x" * 299 + " y", "x" * 299),
        ("a │ ╰─▶ b ", "a   b"),
        ("error: https://me:secret@host/simple", "error: https://host/simple"),
        ("well, done", "well"),
        (" ", None),
    ],
)
def test_why_a_run_stopped_is_plain_text_that_the_next_run_reads_alike(
    apply, tmp_path, words, known
):
    (tmp_path / "words").write_text(words)
    apply("run_step 0", f"cat {tmp_path}/words; return 1")
    turn = (tmp_path / "run.turn").read_text().removesuffix("\n")
    assert turn == turn.strip() and turn.isascii()
    assert turn.partition("; it stopped: ")[2] == (known or "")
    assert take_turn(tmp_path, turn)[-1] == "mine"  # which was read as one line


def test_a_refusal_that_changed_nothing_leaves_nothing_to_mend(apply, tmp_path):
    for code, ended in ((3, True), (4, False)):
        lines, status = apply("run_step 0\nrun_step 1", f"echo why; return {code}")
        assert status == 1 and lines[-1].endswith(", done") == ended


def test_only_the_tail_of_a_long_log_is_shown(apply):
    lines, _ = apply("run_step 0", "seq 100; return 1")
    assert lines[2:] == [f"| {n}" for n in range(61, 101)]


def test_a_step_reads_nothing_from_the_script(apply):
    lines, _ = apply("run_step 0", "cat; echo >&2")
    assert lines[-1] == "ended well"


def test_a_note_of_a_step_reaches_the_operator(apply):
    said = "note: uv could not be used (why); using pip"
    lines, _ = apply("run_step 0", f"note here it is; echo noise; echo '{said}'; echo '{said}'")
    noted = ["note here it is", "note uv could not be used (why); using pip"]
    assert lines[1:4] == [*noted, "end 0 0"]


def test_what_a_users_program_says_is_no_note_of_ours(apply):
    lines, status = apply(
        "run_step 0\nrun_step 1", "echo 'note: get a newer fab'", "echo 'note: it'; false"
    )
    assert [line for line in lines if line.startswith("note")] == [] and status == 1
    assert "| note: it" in lines


WAIT = "n=200; until [ -e ../{0} ] || [ -e {0} ]; do sleep 0.01; n=$((n-1)); [ $n -gt 0 ]; done"


def test_a_step_beside_runs_while_the_others_do(apply):
    slow = f"{WAIT.format('one')}; touch two"
    lines, status = apply(
        "begin 0\nrun_step 1\nfinish\nrun_step 2", slow, "touch one", "[ -e two ]"
    )
    told = ["begin 0", "begin 1", "end 1 0", "end 0 0", "begin 2", "end 2 0", "ended well"]
    assert (lines, status) == (told, 0)


def test_finish_without_a_step_beside_does_nothing(apply):
    assert apply("finish\nbegin 0\nfinish\nfinish", ":")[0] == ["begin 0", "end 0 0", "ended well"]


def test_a_step_beside_that_fails_ends_all_when_it_is_needed(apply, tmp_path):
    lines, status = apply(
        "begin 0\nrun_step 1\nfinish\nrun_step 2", "echo why; return 5", ":", "touch later"
    )
    assert lines[-2:] == ["end 0 5", "| why"]
    assert (status, (tmp_path / "later").exists()) == (1, False)


def test_a_failure_lets_dpkg_come_to_its_end(apply, tmp_path):
    slow = f'touch "$run/dpkg"; {WAIT.format("failing")}; sleep 0.1; touch whole'
    lines, status = apply("begin 0\nrun_step 1", slow, "sleep 0.1; touch failing; return 1")
    assert (lines[-1], status) == ("end 1 1", 1)
    assert (tmp_path / "whole").exists()


def test_a_failure_does_not_wait_for_a_download(apply, tmp_path):
    began = time.monotonic()
    lines, status = apply("begin 0\nrun_step 1", "sleep 15; touch whole", "sleep 0.1; return 1")
    assert (lines[-1], status) == ("end 1 1", 1)
    assert time.monotonic() - began < 10
    assert not (tmp_path / "whole").exists()


@pytest.mark.parametrize("steps", [[":"], ["return 1"]], ids=["well", "failed"])
def test_nothing_stays_of_a_run(apply, tmp_path, steps):
    apply("run_step 0", *steps)
    assert set(tree(tmp_path)) == {"run.lock", "run.turn"}


def test_the_schedule_of_a_plan_is_understood(apply):
    changes = [
        Change("one", "", packages=("a",)),
        Change("two", "", packages=("nginx",)),
        Change("three", ""),
        Change("four", "", needs=("nginx",)),
    ]
    lines, _ = apply(plan.schedule(changes), ":", WAIT.format("three"), "touch three", ":")
    assert [line for line in lines if line.startswith("end")] == [
        "end 0 0", "end 2 0", "end 1 0", "end 3 0", "ended well",
    ]  # fmt: skip


def whole(tmp_path, host: Host) -> list[str]:
    """The lines of a run of one step."""
    script = str(plan.apply_script(host, [], [Change("try it\\", "echo")], "me"))
    done = dash(script.replace(plan.applying(), applying(tmp_path, turn="")))
    return done.stdout.decode().splitlines()


OURS = Host(user=ME, group=GROUP, uid=os.geteuid(), home=pwd.getpwnam(ME).pw_dir)


def test_the_whole_of_a_run_tells_steps_and_then_what_is_there(tmp_path):
    turn, *told, mark, end = whole(tmp_path, OURS)
    assert turn.startswith("turn me, since ")
    assert told == ["begin 0", "end 0 0", f"{turn}, done"]
    assert plan.MARK.fullmatch(mark)
    assert end == f"{mark} end"


@pytest.mark.parametrize(
    "told", [{"group": "shadow"}, {"home": "/etc"}, {"uid": 4}, {"user": "nobody"}, {"user": "-x"}]
)
def test_nothing_is_begun_for_a_user_group_or_home_that_the_system_does_not_know(tmp_path, told):
    lines = whole(tmp_path, replace(OURS, **told))
    assert len(lines) == 1
    assert lines[0].startswith("refused the user ID, group or home that was read is not that of ")


def test_nothing_is_begun_for_a_home_that_root_may_not_enter(tmp_path):
    done = dash(f"{applying(tmp_path, turn='')}cd() {{ return 1; }}\n" + call(
        "confirm_user", OURS.user, OURS.uid, OURS.group, OURS.home
    ))  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.decode().startswith(f"refused root may not enter {OURS.home}, the home of ")


# --- one run at a time -------------------------------------------------------------------------


def take_turn(tmp_path, seen: str, more: str = "echo mine") -> list[str]:
    turn = call("take_turn", "it's me", seen) + "\n"
    return dash(applying(tmp_path, turn) + more).stdout.decode().splitlines()


def test_whoever_read_the_last_state_has_the_turn(tmp_path):
    first, mine = take_turn(tmp_path, "")
    word, _, seen = first.partition(" ")
    assert (word, mine) == ("turn", "mine")
    assert seen.startswith("it's me, since ")
    assert take_turn(tmp_path, seen)[-1] == "mine"


@pytest.mark.parametrize("seen", ["", "somebody, since 2026-01-05 10:00:00 UTC, process 7"])
def test_whoever_read_an_older_state_reads_again(tmp_path, seen):
    take_turn(tmp_path, "")
    assert take_turn(tmp_path, seen) == ["again"]


def test_a_run_that_comes_in_between_waits_and_reads_again(tmp_path):
    held = f"echo they >{tmp_path}/run.turn; flock {tmp_path}/run.lock sh -c 'echo x; sleep 0.3'"
    with subprocess.Popen(["sh", "-c", held], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        lines = take_turn(tmp_path, "they")
    assert lines == ["note another run holds the lock: they; waiting for it", "again"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / "run.abcdef").mkdir()
    take_turn(tmp_path, "")
    assert set(tree(tmp_path)) == {"run.lock", "run.turn"}


def test_a_step_that_says_more_than_any_goes_on_and_fills_nothing(apply, tmp_path):
    said = "head -c 20000000 /dev/zero | tr '\\0' x; echo"
    lines, status = apply("run_step 0", f'{said}; du -b "$run/0.log" >size')
    assert (lines, status) == (["begin 0", "end 0 0", "ended well"], 0)
    assert int((tmp_path / "size").read_text().split()[0]) <= 8 * 2**20


def test_notes_of_a_step_have_an_end(apply):
    lines, _ = apply("run_step 0", "for n in $(seq 1000); do note again; done")
    assert lines.count("note again") == 20


def test_who_holds_the_log_of_a_step_is_not_waited_for(apply):
    began = time.monotonic()
    _, status = apply("run_step 0", "setsid sleep 17 & echo done")
    assert time.monotonic() - began < 12 and status == 0


def test_a_run_whose_programs_were_late_twice_stops(apply):
    late = "is_late 'rm, run as ben, did not end within 60 s'"
    lines, status = apply("run_step 0\nrun_step 1\nrun_step 2", late, late, ":")
    assert "note rm, run as ben, did not end within 60 s" in lines and status == 1
    assert lines[-1] == "| rm, run as ben, did not end within 60 s" and "begin 2" not in lines


@pytest.mark.parametrize(
    ("code", "there", "refused"),
    [(226, "", True), (0, "", False), (1, "", False), (226, "x", False)],
)
def test_a_host_that_cannot_isolate_the_service_is_refused_first(tmp_path, code, there, refused):
    units = tmp_path / "units"
    units.mkdir()
    if there:
        (units / "jupyterlab.service").touch()
    text = applying(tmp_path, turn="").replace("/etc/systemd/system", str(units))
    asked = tmp_path / "asked"
    program = tmp_path / "systemd-run"
    program.write_text(f'#!/bin/sh\necho "$@" >{asked}\nexit {code}\n')
    program.chmod(0o755)
    done = dash(f"{text}PATH={tmp_path}:$PATH\nconfirm_isolation A=yes B=yes\necho goes on\n")
    assert (b"refused systemd may not isolate" in done.stdout) == refused
    assert (done.returncode, b"goes on" in done.stdout) == (int(refused), not refused)
    assert there or "-p A=yes -p B=yes true" in asked.read_text()


@pytest.mark.parametrize(
    ("took", "limit"), [(None, 60), ("19", 60), ("50", 150), ("damaged", 60), ("", 60)]
)
def test_a_start_may_take_three_times_as_long_as_the_last_one(tmp_path, took, limit):
    text = applying(tmp_path)
    if took is not None:
        (tmp_path / "ledger").mkdir()
        (tmp_path / "ledger" / "start_seconds").write_text(f"{took}\n")
    assert said(f"{text}start_limit 60") == [str(limit)]
