"""A script travels whole or not at all, and its answer is known when it has come whole."""

import gzip
import subprocess

import pytest
from invoke import Exit
from paramiko import ChannelException

from fabfile.ssh import channel


def sh(command: str, stdin: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command as sshd would give it to the shell, in the locale that it is written for."""
    command = f"LC_ALL=C sh -c '{command}'"
    return subprocess.run(["sh", "-c", command], input=stdin.encode(), capture_output=True)


SCRIPTS = ["echo one", "echo 'it''s'; echo \"$HOME\"", "echo Müller\necho two"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_taken_from_the_input_and_run(script):
    plain = subprocess.run(["sh", "-c", script], capture_output=True)
    assert sh(channel.take(script), script).stdout == plain.stdout


def test_what_follows_the_script_is_its_own_input():
    script = "read -r secret; echo got $secret"
    assert sh(channel.take(script), f"{script}it is 42\n").stdout == b"got it is 42\n"


@pytest.mark.parametrize("missing", [1, 5, 16])
def test_a_script_that_did_not_come_whole_is_not_begun(missing):
    script = "echo begun; echo Müller"
    done = sh(channel.take(script), script[:-missing])
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize("noise", [b"", b"Welcome!\r\n", b"\x1f\x8b but no archive \xff\n"])
@pytest.mark.parametrize("text", [b"", b"x\n", b"many lines\n" * 9999])
def test_an_answer_is_known_when_it_came_whole(noise, text):
    told = noise + gzip.compress(text)
    for size in (0, len(noise), len(told) // 2, len(told) - 1, len(told)):
        answer = channel.Answer()
        for start in range(0, size, 7):
            answer.take(told[start : min(start + 7, size)])
        assert answer.whole == (size == len(told))
    assert (bytes(answer.text), answer.before) == (text, noise)


def test_an_answer_is_not_taken_when_it_is_larger_than_any(monkeypatch):
    monkeypatch.setattr(channel, "ANSWER", 1000)
    for told in (gzip.compress(b"x" * 1001), b"x" * 1001):
        answer = channel.Answer()
        answer.take(told)
        assert answer.too_long and len(answer.text) <= 1001
    answer = channel.Answer()
    answer.take(gzip.compress(b"x" * 1000))
    assert answer.whole and not answer.too_long


class Full:
    """A connection to an sshd that refuses so many sessions, because of its MaxSessions."""

    user, original_host, port = "david", "1.1.1.1", 22

    def __init__(self, refusals: int):
        self.refusals, self.transport = refusals, self

    def open_session(self) -> str:
        self.refusals -= 1
        if self.refusals >= 0:
            raise ChannelException(2, "Connect failed")
        return "a session"


def test_a_session_that_has_just_ended_may_count_for_a_moment(monkeypatch):
    monkeypatch.setattr(channel.time, "sleep", lambda seconds: None)
    assert channel.session(Full(3)) == "a session"
    with pytest.raises(Exit, match="MaxSessions 10"):
        channel.session(Full(99))
