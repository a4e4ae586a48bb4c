"""The block in the operator's hosts file: put on top, and taken out to the byte."""

import os
import subprocess
import sys

import pytest
from fabric import Connection
from invoke import Exit

from fabfile import hosts
from fabfile.settings import Settings

NAME = "lab.example.org"
BLOCK = f"# >>> {NAME}, by `fab hosts`\n10.0.0.1\t{NAME}\n# <<< {NAME}\n"
OTHER = BLOCK.replace(NAME, "my.lab.example.org")
LONGER = BLOCK.replace(NAME, "lab.example.organic")

FILES = {
    "usual": b"127.0.0.1\tlocalhost\n::1 localhost\n",
    "no line end": b"127.0.0.1 localhost",
    "empty": b"",
    "only a line end": b"\n",
    "CRLF": b"127.0.0.1 localhost\r\n\r\n# x\r\n",
    "latin-1": b"# B\xfccher\n127.0.0.1 localhost\n",
    "umlaut": "# Bücher\n".encode(),
    "other blocks": (OTHER + LONGER + "127.0.0.1 localhost\n").encode(),
    "name in a line of theirs": f"10.0.0.9 {NAME} # >>> {NAME}\n".encode(),
    "control characters": b"a\x00\x0b\x0c\x85\n",
}


def with_line(data: bytes, address: str | None, name: str = NAME) -> bytes:
    text = hosts.with_line(data.decode(errors="surrogateescape"), name, address)
    return text.encode(errors="surrogateescape")


@pytest.fixture(params=[pytest.param(data, id=name) for name, data in FILES.items()])
def data(request) -> bytes:
    return request.param


def test_a_line_is_put_on_top(data):
    assert with_line(data, "10.0.0.1") == BLOCK.encode() + data


def test_a_second_time_changes_nothing(data):
    once = with_line(data, "10.0.0.1")
    assert with_line(once, "10.0.0.1") == once


def test_another_address_replaces_the_first(data):
    assert with_line(with_line(data, "::7"), "10.0.0.1") == BLOCK.encode() + data


def test_taking_it_out_restores_every_byte(data):
    assert with_line(with_line(data, "10.0.0.1"), None) == data


def test_without_our_line_there_is_nothing_to_take_out(data):
    assert with_line(data, None) == data


def test_each_name_has_a_block_of_its_own(data):
    both = with_line(with_line(data, "10.0.0.1"), "10.0.0.2", "second.example")
    assert with_line(with_line(both, None), None, "second.example") == data
    assert BLOCK.encode() in both


def test_a_block_that_somebody_moved_down_is_found(data):
    assert with_line(b"# mine\n" + BLOCK.encode() + data, None) == b"# mine\n" + data


@pytest.mark.parametrize("address", ["10.0.0.1", None])
@pytest.mark.parametrize("text", [BLOCK.splitlines(keepends=True)[0], BLOCK.rpartition("#")[0]])
def test_a_block_without_end_is_refused(text, address):
    with pytest.raises(Exit, match="has no end: repair the hosts file by hand"):
        hosts.with_line(text + "127.0.0.1 localhost\n", NAME, address)


# --- another server that has the name already --------------------------------------------------


@pytest.mark.parametrize(
    "there, here, address, taken",
    [
        ("10.0.0.1", "10.0.0.1", "", False),
        ("10.0.0.1", "10.0.0.2", "", True),
        ("10.0.0.1", "10.0.0.2", "10.0.0.1", False),
        ("10.0.0.1", "10.0.0.1", "10.0.0.2", True),
        ("fd00::1", "10.0.0.2", "", False),  # perhaps the same server
        ("fd00::1", "fd00:0::2", "", True),
        ("fd00::2", "fd00:0::2", "", False),
        ("", "10.0.0.2", "", False),
        ("localhost", "10.0.0.2", "", False),
        ("10.0.0.1", "nowhere.invalid", "", False),  # connecting tells that
    ],
)
def test_a_name_that_leads_to_another_server_is_refused(tmp_path, there, here, address, taken):
    path = tmp_path / "hosts"
    path.write_text(hosts.with_line("127.0.0.1 localhost\n", NAME, there) if there else "")
    chosen = Settings(domain=NAME, hosts_file=str(path), address=address)
    c = Connection(here, user="david", port=22)
    if taken:
        with pytest.raises(Exit, match=f"{NAME} leads to {there} in {path}, .*: choose another"):
            hosts.refuse_taken(c, chosen)
    else:
        hosts.refuse_taken(c, chosen)


# --- a real file -------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "hosts"
    file.write_bytes(FILES["latin-1"])
    file.chmod(0o664)
    return file


def settings(path) -> Settings:
    return Settings(domain=NAME, hosts_file=str(path))


def test_a_file_is_written_and_keeps_its_mode(path, capsys):
    assert hosts.update(settings(path), "10.0.0.1")
    assert path.read_bytes() == BLOCK.encode() + FILES["latin-1"]
    assert path.stat().st_mode & 0o777 == 0o664
    assert os.listdir(path.parent) == ["hosts"]
    assert f"{path} now has 10.0.0.1  {NAME}" in capsys.readouterr().out
    assert hosts.update(settings(path), None)
    assert path.read_bytes() == FILES["latin-1"]


def test_a_file_that_has_it_is_not_written_again(path, capsys):
    hosts.update(settings(path), "10.0.0.1")
    before = path.stat()
    assert hosts.update(settings(path), "10.0.0.1")
    assert path.stat() == before
    assert "already" in capsys.readouterr().out


@pytest.mark.parametrize("address", ["10.0.0.1", None])
def test_a_dry_run_writes_nothing(path, capsys, address):
    if address is None:
        hosts.update(settings(path), "10.0.0.1")
    before = path.read_bytes(), path.stat()
    capsys.readouterr()
    assert hosts.update(settings(path), address, dry=True)
    assert (path.read_bytes(), path.stat()) == before
    assert capsys.readouterr().out.startswith("  would ")


def test_a_link_to_the_file_stays_a_link(path, tmp_path):
    (tmp_path / "link").symlink_to("hosts")
    hosts.update(settings(tmp_path / "link"), "10.0.0.1")
    assert (tmp_path / "link").is_symlink()
    assert path.read_bytes().startswith(BLOCK.encode())


def test_a_file_that_is_not_there_is_told_by_its_setting(tmp_path):
    with pytest.raises(Exit, match=r"^lab.hosts_file: .*/none: No such file or directory$"):
        hosts.update(settings(tmp_path / "none"), "10.0.0.1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("mode", [0o666, 0o444])
def test_in_a_folder_that_is_not_ours_nothing_is_written(tmp_path_factory, mode):
    folder = tmp_path_factory.mktemp("etc")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    (folder / "new").write_text("new\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    (folder / "hosts").chmod(mode)
    command = ["sh", "-c", hosts.REPLACE, "sh", folder / "new", folder / "hosts"]
    done = subprocess.run(command, user="nobody", capture_output=True)
    assert done.returncode != 0
    assert (folder / "hosts").read_text() == "127.0.0.1 localhost\n"
    assert sorted(os.listdir(folder)) == ["hosts", "new"]


@pytest.fixture
def mounted(tmp_path):
    """Give a function that mounts something for the test, or skips it where that is refused."""
    done = []

    def mount(*arguments) -> None:
        if subprocess.run(["mount", *arguments], capture_output=True).returncode:
            pytest.skip("may not mount here")
        done.append(arguments[-1])

    yield mount
    for place in done:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_file_that_is_a_mount_is_written_in_place(path, tmp_path, mounted):
    place = tmp_path / "mounted"  # as /etc/hosts in a container
    place.touch()
    mounted("--bind", str(path), str(place))
    assert hosts.update(settings(place), "10.0.0.1")
    assert path.read_bytes() == BLOCK.encode() + FILES["latin-1"]
    assert sorted(os.listdir(tmp_path)) == ["hosts", "mounted"]


def test_on_a_full_disk_the_file_stays_whole(tmp_path, mounted, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted("-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk))
    (disk / "hosts").write_bytes(b"x" * 4096)  # a page to the byte: one line more is a page more
    with (disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"x" * 4096) == 4096 and filler.tell() < 12288:
            pass
    assert not hosts.update(settings(disk / "hosts"), "10.0.0.1")
    assert (disk / "hosts").read_bytes() == b"x" * 4096
    assert f"10.0.0.1  {NAME}" in capsys.readouterr().out


# --- sudo on this machine ----------------------------------------------------------------------

SUDO = """#!/bin/sh
printf '%%s\\n' "$1" >>"$0.asked"
case $1 in
    -n) [ -e "$0.open" ] || exit 1; shift ;;
    *) %s; echo "$2" >>"$0.asked"; shift 2 ;;
esac
exec "$@"
"""


@pytest.fixture
def sudo(tmp_path, monkeypatch):
    """Give a function: the file is root's, and sudo asks, which ends like this."""
    program = tmp_path / "sudo"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    def asks(answered: str, terminal: bool = True):
        program.write_text(SUDO % answered)
        program.chmod(0o755)
        monkeypatch.setattr(hosts, "may_ask", lambda: terminal)
        return program

    return asks


def asked(program) -> list[str]:
    """What sudo was called with first, in order, and its prompt."""
    return program.with_name("sudo.asked").read_text().splitlines()


def test_the_question_of_sudo_says_whose_it_is_and_is_put_off_until_the_end(path, sudo, capsys):
    program = sudo("true")
    assert not hosts.update(settings(path), "10.0.0.1", ask=False)
    assert capsys.readouterr().out == "" and asked(program) == ["-n"]
    assert hosts.update(settings(path), "10.0.0.1")
    assert asked(program) == ["-n", "-n", "-p", "sudo password of %u on this machine: "]
    said = capsys.readouterr().out
    assert "sudo on THIS machine" in said and f"{path} now has 10.0.0.1  {NAME}" in said


def test_sudo_that_does_not_ask_is_used_at_once(path, sudo):
    sudo("false").with_name("sudo.open").touch()
    assert hosts.update(settings(path), "10.0.0.1", ask=False)
    assert BLOCK.encode() in path.read_bytes()


def test_without_a_terminal_the_line_is_told_at_once(path, sudo, capsys):
    sudo("true", terminal=False)
    assert not hosts.update(settings(path), "10.0.0.1", ask=False)
    assert "add this line to it:\n\n10.0.0.1" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["exit 1", "kill -INT $PPID; exit 1"])
def test_a_question_that_is_not_answered_leaves_the_file_and_tells_the_line(
    path, sudo, capsys, ending
):
    sudo(ending)
    assert not hosts.update(settings(path), "10.0.0.1")
    assert path.read_bytes() == FILES["latin-1"]
    assert "add this line to it:\n\n10.0.0.1" in capsys.readouterr().out
