"""The operator's ssh_config with Include and Match: as ssh itself reads it, for the same host."""

import os
import shutil
import subprocess

import pytest
from fabric import Config, Connection
from invoke import Exit

from fabfile.fleet import targets
from fabfile.settings import ssh_config

FILES = """
== config
Include HEREconfig.d/*
Include HERElate
Host mylab
  User never
Host far* !farthest
  Port 2200
  Include HEREconfig.d/nested/far
  ConnectTimeout 7
Host *
  User somebody
== config.d/10-lab
Host mylab
  HostName 10.0.0.7
  User david
  Port 2222
Host other
  Port 1
== config.d/20-more
include = HEREconfig.d/nested/*.conf
Match originalhost bylab
  HostName 10.0.0.8
== config.d/nested/deep.conf
Host "deep" deeper
  HostName 10.0.0.9
  Include "/nowhere/*"
  User dave
== config.d/nested/far
HostName 10.9.9.9
Host farm mylab
  User farmer
Match all
  IdentitiesOnly yes
== late
Host mylab late
  HostName 10.0.0.1
  User late
Match host 10.0.0.1 user late
  Port 77
"""
NAMES = ["mylab", "other", "bylab", "deep", "deeper", "late", "far", "farm", "farthest", "none"]


def write(home, here: str) -> None:
    """Write these files into ~/.ssh; paths of Include begin with `here`."""
    for part in FILES.replace("HERE", here).split("== ")[1:]:
        name, _, text = part.partition("\n")
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A ~/.ssh with that configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / ".ssh", "")
    return tmp_path / ".ssh"


def found(name: str) -> dict[str, str]:
    """What a connection to a name is made with."""
    c = Connection(name, config=Config(system_ssh_path="/none"))
    told = {"hostname": c.host, "user": c.user, "port": str(c.port)}
    return told | {"connecttimeout": str(c.connect_timeout or "none")}


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh here to compare with")
@pytest.mark.parametrize("name", NAMES)
def test_a_host_is_found_as_ssh_finds_it(home, name):
    write(home, f"{home}/")  # ssh takes the home from the password file
    asked = ["ssh", "-F", str(home / "config"), "-G", name]
    rows = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    told = dict(row.split(" ", 1) for row in rows if " " in row)
    mine = found(name)
    assert mine == {key: told.get(key, "none") for key in mine}


def test_relative_paths_begin_in_the_folder_of_ssh(home):
    assert found("mylab") == {
        "hostname": "10.0.0.7", "user": "david", "port": "2222", "connecttimeout": "none",
    }  # fmt: skip
    assert found("deeper")["user"] == "dave"
    assert Connection("root@mylab", config=Config()).user == "root"


def test_a_fleet_knows_the_names(home):
    config = Config(system_ssh_path="/none", overrides={"groups": {}})
    assert targets.choose(config, "*lab,dee*", "", False) == ["mylab", "deep", "deeper"]


@pytest.mark.parametrize("line", ["Match localnetwork 10.0.0.0/8", "Match tagged x", "Match host"])
def test_what_cannot_be_honoured_is_said_and_left_out(home, capsys, line):
    (home / "late").write_text(f"{line}\n  Port 99\nHost *\n  ConnectTimeout 3\n")
    assert found("none")["port"] == "22" and found("none")["connecttimeout"] == "3"
    assert f"late: `{line}` is not understood here" in capsys.readouterr().err


def test_files_that_include_each_other_end(home, capsys):
    (home / "late").write_text("Include late\nHost none\n  Port 99\n")
    assert found("none")["port"] == "99"
    assert "include each other" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_said(home, capsys):
    (home / "late").chmod(0)
    assert found("mylab")["user"] == "david"
    assert "late cannot be read" in capsys.readouterr().err


def test_a_line_that_is_none_is_told_with_its_file(home):
    (home / "config").write_text("Host\n")
    with pytest.raises(Exit, match=r"\.ssh/config: Unparsable line Host"):
        found("mylab")


def test_without_these_words_the_text_is_read_as_it_is(home, monkeypatch):
    monkeypatch.setattr(ssh_config, "expanded", None)
    (home / "config").write_text("Host mylab # include\n  HostName 10.0.0.5\n")
    assert found("mylab")["hostname"] == "10.0.0.5"
