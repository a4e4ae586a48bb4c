"""Who the server is, and how it is named: the parts that need no connection."""

import shutil
import subprocess

import pytest
from fabric import Connection
from invoke import Exit
from paramiko import RSAKey, SSHClient

from fabfile.ssh import errors, host_keys, sudo


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate(2048)


def public(key) -> str:
    return f"{key.get_name()} {key.get_base64()}\n"


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs OpenSSH's ssh-keygen")
def test_a_fingerprint_is_the_one_that_openssh_shows(key, tmp_path):
    (tmp_path / "key.pub").write_text(public(key))
    command = ["ssh-keygen", "-lf", str(tmp_path / "key.pub")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert host_keys.fingerprint(key) == shown.split()[1]


@pytest.fixture
def known(tmp_path):
    """A known_hosts file in a folder that is yet to be made."""
    return tmp_path / ".ssh" / "known_hosts"


@pytest.mark.parametrize("before", ["", "# mine\n", "# mine without line end"])
def test_an_accepted_key_is_remembered_in_a_line_of_its_own(key, known, before):
    if before:
        known.parent.mkdir()
        known.write_text(before)
    host_keys.Unknown("accept-new", known).missing_host_key(SSHClient(), "[1.1.1.1]:2222", key)
    lines = known.read_text().splitlines()
    assert lines == [*before.splitlines(), f"[1.1.1.1]:2222 {public(key).strip()}"]
    client = SSHClient()
    client.load_system_host_keys(str(known))
    assert client._system_host_keys.check("[1.1.1.1]:2222", key)


@pytest.mark.parametrize("mode", ["strict", "ask"])  # no terminal to ask on here
def test_an_unknown_key_is_refused_with_its_fingerprint(key, known, monkeypatch, mode):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(Exit, match="FABRIC_LAB_HOST_KEY=accept-new") as caught:
        host_keys.Unknown(mode, known).missing_host_key(SSHClient(), "1.1.1.1", key)
    assert host_keys.fingerprint(key) in str(caught.value)
    assert not known.exists()


def test_a_pinned_key_is_the_only_one(key, known):
    host_keys.Unknown(host_keys.fingerprint(key), known).missing_host_key(SSHClient(), "h", key)
    with pytest.raises(Exit, match="not the pinned SHA256:other"):
        host_keys.Unknown("SHA256:other", known).missing_host_key(SSHClient(), "h", key)
    assert not known.exists()


@pytest.mark.parametrize(
    "host, name",
    [
        ("david@1.1.1.1", "david@1.1.1.1"),
        ("david@1.1.1.1:22", "david@1.1.1.1"),
        ("david@lab.example.org:2222", "david@lab.example.org:2222"),
    ],
)
def test_a_host_is_named_as_it_is_typed(host, name):
    assert errors.name_of(Connection(host)) == name


C = Connection("david@1.1.1.1")


@pytest.mark.parametrize(
    "line, lacking",
    [
        ("sudo: a password is required", "password"),
        ("sudo: interactive authentication is required", "password"),
        ("sudo-rs: interactive authentication is required", "password"),
        ("sudo: sorry, you must have a tty to run sudo", "tty"),
        ("sudo: a terminal is required to read the password", None),
        ("The file says: a password is required", None),
        ("begin 0", None),
        ("", None),
    ],
)
def test_what_sudo_lacks_is_recognised(line, lacking):
    assert sudo.refuses(C, line) == lacking


@pytest.mark.parametrize(
    "line, told",
    [
        ("sh: 1: sudo: not found", "has no sudo"),
        ("bash: line 1: sudo: command not found", "has no sudo"),
        ("env: 'sudo': No such file or directory", "has no sudo"),
        ("env: ‘sudo’: No such file or directory", "has no sudo"),  # noqa: RUF001, in UTF-8
        ("david is not in the sudoers file.  This incident will be reported.", "group sudo"),
        ("Sorry, user david is not allowed to execute '/bin/sh' as root on h.", "group sudo"),
        ("sudo: I'm sorry david. I'm afraid I can't do that", "group sudo"),
        ("sudo-rs: I'm sorry david. I'm afraid I can't do that", "group sudo"),
    ],
)
def test_a_user_without_sudo_is_told_what_to_do(line, told):
    with pytest.raises(Exit, match=told):
        sudo.refuses(C, line)


def test_a_sudo_password_is_given_once():
    answer = sudo.once("s3cret", C)
    assert answer() == "s3cret"
    with pytest.raises(Exit, match="refuses this password") as caught:
        answer()
    assert "s3cret" not in str(caught.value)
