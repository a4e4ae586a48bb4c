"""Your own machine may be Linux, macOS, or Linux within Windows: what differs has a fallback."""

import errno
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fabric import Config, Connection
from invoke import Exit

from fabfile import hosts, web
from fabfile.certs import private_ca
from fabfile.manage import open as opening
from fabfile.settings import Settings
from fabfile.ssh import connection, errors, keepalive
from fabfile.ui import machine
from testbed.machine import ROOT

WSL = "5.15.167.4-microsoft-standard-WSL2"


@pytest.fixture
def windows(monkeypatch):
    """Pretend that Windows is around this Linux."""
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=WSL))


# --- what nobody reads any more ----------------------------------------------------------------


class Poll:
    """A poll() with a fixed answer."""

    def __init__(self, *events: int):
        self.events = events

    def register(self, number, mask):
        pass

    def poll(self, timeout):
        return [(1, event) for event in self.events]


@pytest.mark.parametrize(
    "event, heard",
    [
        ((), True),
        ((select.POLLERR,), False),  # Linux: the reader of the pipe is gone
        ((select.POLLHUP,), False),  # macOS
        ((select.POLLNVAL,), True),  # macOS, of a device such as /dev/null
    ],
)
def test_a_pipe_without_a_reader_is_noticed(monkeypatch, event, heard):
    monkeypatch.setattr(os, "isatty", lambda number: False)
    monkeypatch.setattr(select, "poll", lambda: Poll(*event))
    assert keepalive.heard() is heard


def test_a_terminal_is_not_polled_which_macos_cannot(monkeypatch):
    monkeypatch.setattr(select, "poll", lambda: Poll(select.POLLNVAL | select.POLLERR))
    monkeypatch.setattr(os, "isatty", lambda number: True)
    assert keepalive.heard()
    monkeypatch.setattr(os, "isatty", lambda number: False)
    monkeypatch.delattr(select, "poll")  # as Python has it on some macOS
    assert keepalive.heard()


def test_a_real_pipe_is_heard_until_its_reader_is_gone():
    code = "from fabfile.ssh.keepalive import heard; import sys; sys.exit(10 + heard())"
    read, write = os.pipe()
    ends = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=write)
        ends.append(done.returncode)
        if not ends[1:]:
            os.close(read)
    os.close(write)
    assert ends == [11, 10]


# --- the connection ----------------------------------------------------------------------------


@pytest.fixture
def options(monkeypatch):
    """Give a function that connects on a system with these options of TCP; it returns the set."""

    def connect(system: str, *names: str, refused: bool = False) -> list[tuple[int, int]]:
        found = []

        def setsockopt(self, level, option, value):
            if refused:
                raise OSError(errno.ENOPROTOOPT, "Protocol not available")
            found.append((option, value))

        for name in ("TCP_USER_TIMEOUT", "TCP_QUICKACK"):
            if name not in names:
                monkeypatch.delattr(socket, name, raising=False)
        monkeypatch.setattr(sys, "platform", system)
        with socket.create_server(("127.0.0.1", 0)) as server:
            monkeypatch.setattr(connection.Wire, "setsockopt", setsockopt)
            host = f"david@127.0.0.1:{server.getsockname()[1]}"
            with connection.dial(Connection(host), 5) as wire, server.accept()[0] as far:
                far.sendall(b"x")
                assert wire.recv(1) == b"x"
        return found

    return connect


NODELAY = (socket.TCP_NODELAY, 1)


def test_a_dead_peer_is_noticed_on_macos_too(options):
    assert options("darwin") == [NODELAY, (0x80, connection.SILENCE)]  # <netinet/tcp.h>


def test_a_system_without_such_options_connects_as_well(options):
    assert options("freebsd14") == [NODELAY]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has them")
def test_options_that_are_refused_are_left_out(options):
    names = "TCP_USER_TIMEOUT", "TCP_QUICKACK"
    assert options("linux", *names, refused=True) == []
    assert len(options("linux", *names)) == 3


MACOS = """
Include /etc/ssh/ssh_config.d/*
Host *
    SendEnv LANG LC_*
    UseKeychain yes
    AddKeysToAgent yes
Host lab
    HostName 192.0.2.7
"""


def test_the_ssh_config_of_macos_is_understood(tmp_path, capsys):
    (tmp_path / "config").write_text(MACOS)
    c = Connection("david@lab", config=Config(runtime_ssh_path=str(tmp_path / "config")))
    assert c.host == "192.0.2.7" and capsys.readouterr().err == ""


def test_a_host_that_is_down_is_told_in_the_words_of_macos(monkeypatch):
    problem = OSError(errno.EHOSTDOWN, "Host is down")
    assert connection.booting(problem)
    with pytest.raises(Exit, match="does not answer"), errors.clear_errors(Connection("d@h")):
        raise problem


# --- the hosts file ----------------------------------------------------------------------------


@pytest.fixture
def etc(tmp_path):
    """The hosts file of macOS: /etc is a link to private/etc."""
    (tmp_path / "private/etc").mkdir(parents=True)
    (tmp_path / "etc").symlink_to("private/etc")
    (tmp_path / "private/etc/hosts").write_text("127.0.0.1 localhost\n")
    return tmp_path / "etc/hosts"


@pytest.mark.parametrize("tools", ["as they are", "of BSD"])
def test_a_hosts_file_in_a_linked_folder_is_written(etc, monkeypatch, tools, capsys):
    if tools == "of BSD":
        folder = etc.parents[1] / "bin"
        folder.mkdir()
        bsd(folder)
        monkeypatch.setenv("PATH", str(folder))
    settings = Settings(hosts_file=str(etc), domain="x.example.org")
    assert hosts.update(settings, "10.0.0.1")
    text = (etc.parents[1] / "private/etc/hosts").read_text()
    assert text.endswith("127.0.0.1 localhost\n") and "10.0.0.1\tx.example.org\n" in text
    assert etc.parent.is_symlink() and os.listdir(etc.parent) == ["hosts"]
    assert hosts.led_to(text, "x.example.org") == "10.0.0.1"
    assert hosts.update(settings, None)
    assert etc.read_text() == "127.0.0.1 localhost\n"
    assert "Windows" not in capsys.readouterr().out


def test_the_hosts_file_of_windows_is_named(etc, windows, capsys):
    settings = Settings(hosts_file=str(etc), domain="x.example.org")
    assert hosts.update(settings, "10.0.0.1") and hosts.update(settings, None)
    notes = [row for row in capsys.readouterr().out.splitlines() if " note " in row]
    assert len(notes) == 2 and all(machine.WINDOWS_HOSTS in row for row in notes)
    assert "add 10.0.0.1  x.example.org" in notes[0] and "remove the line" in notes[1]


# --- a browser ---------------------------------------------------------------------------------


@pytest.fixture
def browsers(monkeypatch):
    """Give a function that shows a URL, where these browsers open it; it returns who was asked."""

    def show(*there: str, capsys) -> tuple[list[str], str]:
        asked = []

        def start(command):
            asked.append(command)
            if "windows" not in there:
                raise FileNotFoundError(command[0])
            return subprocess.CompletedProcess(command, 0)

        monkeypatch.setattr(subprocess, "run", start)
        monkeypatch.setattr("webbrowser.open", lambda url: asked.append(url) or "own" in there)
        opening.show("http://x/?token=a&b")
        return asked, capsys.readouterr().out

    monkeypatch.delenv("BROWSER", raising=False)
    return show


def test_on_linux_and_macos_the_default_browser_is_asked(browsers, capsys):
    assert browsers("own", "windows", capsys=capsys)[0] == ["http://x/?token=a&b"]


def test_within_windows_its_browser_is_asked_first(browsers, windows, capsys, monkeypatch):
    ours = [*machine.WINDOWS_BROWSER, "http://x/?token=a&b"]
    assert browsers("own", "windows", capsys=capsys)[0] == [ours]
    asked, said = browsers("own", capsys=capsys)
    assert asked == [ours, ours[-1]] and "no browser" not in said
    assert "no browser found here" in browsers(capsys=capsys)[1]
    monkeypatch.setenv("BROWSER", "lynx")
    assert browsers("own", "windows", capsys=capsys)[0] == [ours[-1]]


# --- certificates ------------------------------------------------------------------------------


def test_a_disk_without_permissions_gets_no_ca(tmp_path, monkeypatch):
    def written(path: Path, text: str, mode: int) -> None:
        path.write_text(text)
        path.chmod(0o777)  # as on a disk of Windows, whatever was asked for

    monkeypatch.setattr(private_ca, "write", written)
    with pytest.raises(Exit, match="its disk keeps no permissions"):
        private_ca.make(tmp_path / "ca").save()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("none", [True, False])
def test_a_python_without_cas_trusts_those_of_macos(tmp_path, monkeypatch, none):
    file = tmp_path / "cert.pem"
    file.write_text(private_ca.make(tmp_path / "ca").pem)
    monkeypatch.setattr(web, "MACOS_CAS", str(file))
    there = ssl.DefaultVerifyPaths(None if none else "x", None, "", "", "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: there)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *a: None)
    assert web.system_trust().cert_store_stats()["x509_ca"] == none


def test_a_python_without_cas_elsewhere_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(web, "MACOS_CAS", str(tmp_path / "none"))
    monkeypatch.setattr(
        ssl, "get_default_verify_paths", lambda: ssl.DefaultVerifyPaths(*[None] * 6)
    )
    assert web.system_trust().verify_mode == ssl.CERT_REQUIRED


# --- Windows without WSL -----------------------------------------------------------------------


def test_windows_itself_is_refused_with_what_helps():
    code = "import sys, subprocess, signal, fabric.main\nsys.platform = 'win32'\nimport fabfile"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "WSL" in done.stderr and "docs/own-server.md" in done.stderr
    assert "## Your own machine" in (ROOT / "docs/own-server.md").read_text()


# --- bootstrap ---------------------------------------------------------------------------------

STRICT = """#!/bin/sh
for word; do
    case $word in %s) ;; -*) echo "$0: illegal option $word" >&2; exit 64 ;; esac
done
exec %s "$@"
"""
# tool -> the options that BSD has as well
BSD = {"cat": "", "cksum": "", "cp": "-p", "dirname": "", "mktemp": "-d", "mv": "-f",
       "rm": "-f|-rf", "sed": "", "mkdir": "-p", "chmod": "", "sh": "-c"}  # fmt: skip
PYTHON = """#!/bin/sh
echo "$(basename "$0") $*" >>"$NOTES"
case "$*" in
*version_info*) exit %d ;;
*"-m venv"*)
    for folder; do :; done
    mkdir -p "$folder/bin"
    for name in python pip uv; do cp -p "$0" "$folder/bin/$name"; done ;;
*"venv --quiet"*)
    mkdir -p .venv/bin
    cp -p "$0" .venv/bin/python ;;
--version) echo Python 3.9.6 ;;
esac
"""


def bsd(folder: Path) -> None:
    """Fill a folder with tools that know only what BSD and POSIX have."""
    for tool, options in BSD.items():
        program = folder / tool
        program.write_text(STRICT % (options or "-", shutil.which(tool)))
        program.chmod(0o755)


SHELLS = ["sh"], ["dash"], ["bash", "--posix"]  # /bin/sh of macOS is one of the last two


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("old", [False, True], ids=["Python is new", "Python is Apple's"])
def test_bootstrap_uses_nothing_that_macos_lacks(tmp_path, shell, old):
    program = shutil.which(shell[0])
    if not program:
        pytest.skip(f"no {shell[0]} here")
    place, tools = tmp_path / "clone", tmp_path / "bin"
    for folder in (place, tools):
        folder.mkdir()
    for name in ("bootstrap", "requirements.txt"):
        shutil.copy(ROOT / name, place)
    bsd(tools)
    (tools / "basename").symlink_to(shutil.which("basename"))
    for name, text in (("python3", PYTHON % old), ("id", "#!/bin/sh\necho 501\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    env = {"PATH": str(tools), "NOTES": str(tmp_path / "notes"), "TMPDIR": str(tmp_path)}
    command = [program, *shell[1:], "./bootstrap"]
    for _ in range(2):
        done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        first, then = done.stdout.splitlines()
        assert first.startswith(".venv/bin/fab init ")
        assert then == ".venv/bin/fab -H david@1.1.1.1 full"
    assert "illegal" not in done.stderr and "not found" not in done.stderr
    notes = (tmp_path / "notes").read_text()
    assert ("uv venv --quiet --seed --python 3.13" in notes) is old
    assert notes.count("pip install -qq --disable-pip-version-check -r .venv/deploying.txt") == 1
    deploying = (place / ".venv/deploying.txt").read_text()
    assert "fabric" in deploying and "pytest" not in deploying
    assert not list(tmp_path.glob("tmp*"))
