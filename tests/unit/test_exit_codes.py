"""Each exit code of docs/scripting.md is that of a real run, which tells its reason in one line."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fabric import Connection
from inside import fab
from invoke import Exit

from fabfile.ssh import errors
from fabfile.status import status
from testbed.machine import ROOT

FAB = Path(sys.executable).parent / "fab"
PAGE = (ROOT / "docs/scripting.md").read_text()
CODES = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
PROVED = {0, 1, 2, 130, 141, 143}  # below


def test_every_code_of_the_page_is_proved_here():
    assert CODES == PROVED


@pytest.fixture
def silent():
    """A port of this machine where somebody takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def start(*words: str, **how) -> subprocess.Popen:
    """Start fab as a script would."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("FABRIC_", "PYTHON"))}
    how = {"stdin": -3, "stdout": -1, "stderr": -1, "env": clean, **how}
    return subprocess.Popen([FAB, *words], cwd=ROOT, text=True, **how)


def run(*words: str, **how) -> tuple[int, str, str]:
    """Run fab; return its exit code, its output and its errors."""
    with start(*words, **how) as running:
        out, errors = running.communicate(timeout=120)
    return running.returncode, out, errors


@pytest.mark.parametrize("words", [("--list",), ("--version",), ("--help", "upgrade"), ()])
def test_what_only_tells_exits_with_0(words):
    code, out, errors = run(*words)
    assert (code, errors) == (0, "") and out


@pytest.mark.parametrize(
    "words, why",
    [
        ("full", "no host given"),
        ("ful", "no task is called ful; did you mean full?"),
        ("full --no", "full has no option --no"),
        ("logs --lines x", "--lines takes a number, not 'x'"),
        ("--list --list-format x", "--list-format takes flat, nested or json"),
        ("--help ful", "No idea what 'ful' is!"),
        ("-H david@nowhere.invalid full", "no host is called nowhere.invalid"),
        ("-H david@127.0.0.1:x full", "-H: not a host"),
        ("fleet full --on david@127.0.0.1:x", "1 of 1 failed"),
        ("-S /none -H david@127.0.0.1 full", "-S /none: no such file"),
        ("-f /none.yaml -H david@127.0.0.1 full", "-f /none.yaml: no such file"),
        ("fleet nothing", "fleet: no task is called nothing"),
        ("--prompt-for-sudo-password -H david@127.0.0.1 full", "no terminal to ask"),
    ],
)
def test_what_fails_or_is_refused_exits_with_1_and_one_line(words, why):
    code, out, errors = run(*words.split(), start_new_session=True)
    assert code == 1 and why in errors.splitlines()[-1]
    assert "Traceback" not in errors and (out == "" or words.startswith("fleet"))


@pytest.mark.parametrize("drifted", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_drift_exits_with_2_where_that_is_asked_for(monkeypatch, tmp_path, drifted, asked):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(status, "look", lambda *a: (None, []))
    monkeypatch.setattr(status, "whole", lambda *a: {"drift": drifted, "differs": ["a"]})
    monkeypatch.setattr(status, "show", lambda *a, **k: None)
    program = fab(monkeypatch)
    command = ["fab", "-H", "david@1.1.1.1", "status", *["--drift"] * asked]
    if not (drifted and asked):
        assert program.run(command) is None  # Python then exits with 0
        return
    with pytest.raises(SystemExit) as ended:
        program.run(command)
    assert ended.value.code == 2


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("fleet", [False, True])
def test_a_run_that_is_stopped_says_so(silent, number, code, fleet):
    host = f"david@127.0.0.1:{silent.getsockname()[1]}"
    words = ("fleet", "full", "--on", host) if fleet else ("-H", host, "full")
    with start(*words) as running, silent.accept()[0]:  # it connects: the run has begun
        running.send_signal(number)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == code
    assert errors.startswith("\nstopped") and errors.count("\n") == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_without_a_reader_it_ends_as_other_programs_do(unbuffered):
    read, write = os.pipe()
    os.close(read)
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    code, _, errors = run("--list", stdout=write, env=env)
    os.close(write)
    assert (code, errors) == (-signal.SIGPIPE, "")  # a shell says 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has that device")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_an_error(unbuffered):
    with open("/dev/full", "w") as full:
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        code, _, errors = run("--list", stdout=full, env=env)
    assert code == 1
    assert re.fullmatch(r"the output cannot be written: No space left on device\n", errors)


@pytest.mark.parametrize("line", ["Port x", "ConnectTimeout soon"])
def test_a_number_of_ssh_config_that_is_none_is_named(tmp_path, line):
    (tmp_path / "config").write_text(f"Host a\n{line}\n")
    code, _, errors = run("-S", str(tmp_path / "config"), "-H", "a", "full")
    assert code == 1
    assert re.fullmatch(r"your ssh_config: Port and ConnectTimeout take a number: .*\n", errors)


@pytest.mark.parametrize("heard", [True, False])
def test_a_broken_pipe_is_ours_or_that_of_the_connection(monkeypatch, heard):
    monkeypatch.setattr(errors, "heard", lambda: heard)
    with pytest.raises((Exit, BrokenPipeError)) as told, errors.clear_errors(Connection("d@h")):
        raise BrokenPipeError
    assert (told.type is Exit) is heard
    assert not heard or told.value.message == "d@h: the connection failed: cut off; run again"


def test_a_full_disk_of_this_machine_is_no_error_of_the_connection():
    with pytest.raises(Exit, match="a disk of this machine is full") as told:  # noqa: SIM117
        with errors.clear_errors(Connection("d@h")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert told.value.code == 1
