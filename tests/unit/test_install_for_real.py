"""python/install.py run as on a server: what it starts, and when it takes pip instead of uv."""

import os
import re
import runpy
import socket
import sys
import threading
from types import SimpleNamespace

import pytest

from fabfile.render import TEMPLATES

NOTE = 'printf "%s\\n" "{0} $*" >>"$NOTES"\n'
ENSURE = "python -m ensurepip --default-pip"
PIP = (
    "python -m pip install --disable-pip-version-check --no-input --timeout 15 --retries 1 "
    "--constraint FLOORS"
)
FLOOR = "tornado>=6.5"
UV = "uv pip install --no-progress --python {0}/venv/bin/python --index-strategy unsafe-best-match"


@pytest.fixture
def server(tmp_path, monkeypatch, capfd):
    """A user's home with a uv and a venv whose programs only note how they were started."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name, value in {"HOME": tmp_path, "XDG_CONFIG_HOME": tmp_path, "no_proxy": "*"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setattr("sys.path", [*sys.path])  # it puts the system's pip before all

    def program(path, name: str, code: int, said: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"#!/bin/sh\n{NOTE.format(name)}env >{tmp_path}/env.{name}\n"
            f"cat $UV_CONSTRAINT >{tmp_path}/floors\necho '{said}'\nexit {code}\n"
        )
        path.chmod(0o755)

    def run(installer, repair="no", uv: int | None = 0, pip: int = 0, conf="", said="said"):
        program(tmp_path / "venv/bin/python", "python", pip, said)
        if uv is not None:
            program(tmp_path / ".cache/jupyterlab/uv", "uv", uv, said)
        (tmp_path / "pip").mkdir()
        (tmp_path / "pip/pip.conf").write_text(f"[global]\n{conf}\n")
        install = runpy.run_path(str(TEMPLATES / "python" / "install.py"), run_name="install")
        try:
            code = install["main"](str(tmp_path / "venv"), installer, repair, FLOOR, "a b", "-x")
        except SystemExit as end:
            code = end.code
        notes = re.sub("--constraint \\S+", "--constraint FLOORS", (tmp_path / "notes").read_text())
        started = notes.splitlines()
        said, errors = capfd.readouterr()
        return SimpleNamespace(code=code, said=said, errors=errors, started=started)

    return run


@pytest.mark.parametrize("repair, more", [("no", ""), ("anew", ""), ("again", " --reinstall")])
def test_uv_installs(server, tmp_path, repair, more):
    done = server("uv", repair)
    assert (done.code, done.said, done.errors) == (0, "said\n", "")
    assert (tmp_path / "floors").read_text().endswith(f"{FLOOR}\n")
    assert done.started == [f"{UV.format(tmp_path)}{more} -- pip a b -x"]


@pytest.mark.parametrize(
    "repair, more", [("no", ""), ("anew", ""), ("again", " --force-reinstall")]
)
def test_pip_installs_when_it_is_chosen(server, repair, more):
    done = server("pip", repair)
    assert (done.code, done.said.split()[-1]) == (0, "said")
    assert done.started == [ENSURE, f"{PIP}{more} -- a b -x"]


def test_uv_hears_what_pip_conf_says(server, tmp_path):
    server("uv", conf="index-url = https://index.example/simple")
    told = (tmp_path / "env.uv").read_text().splitlines()
    assert "UV_DEFAULT_INDEX=https://index.example/simple" in told


def test_an_option_without_a_word_in_uv_means_pip(server):
    done = server("uv", conf="require-hashes = true")
    assert done.said.startswith("note: uv could not be used (pip.conf sets require-hashes, which")
    assert (done.code, done.started) == (0, [ENSURE, f"{PIP} -- a b -x"])


@pytest.mark.parametrize(
    "said", ["error: No solution found when resolving", "No matching distribution"]
)
def test_what_does_not_fit_is_not_tried_with_another(server, said):
    done = server("uv", uv=1, said=said)
    assert done.code == 3 and len(done.started) == 1


@pytest.mark.parametrize("how, more", [("see", []), ("newer", ["--upgrade"])])
@pytest.mark.parametrize(
    "installer, said", [("uv", " + a==1.0\n - a==0.9"), ("pip", "Would install a-1.0")]
)
def test_to_look_prints_what_would_come(server, installer, said, how, more):
    done = server(installer, how, said=said)
    assert (done.code, done.said) == (0, "a 1.0\n")
    assert "--dry-run" in done.started[-1] and "ensurepip" not in done.started[0]
    assert [word for word in done.started[-1].split() if word == "--upgrade"] == more


def test_a_uv_that_fails_means_pip(server):
    done = server("uv", uv=2)
    assert "note: uv could not be used (said); using pip" in done.said
    assert [line.split()[0] for line in done.started] == ["uv", "python", "python"]
    assert done.code == 0


def test_the_status_of_pip_is_the_last_word(server):
    assert server("uv", uv=1, pip=3).code == 3


def test_without_an_index_it_is_pip(server):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = server("uv", uv=None, conf=f"index-url = http://127.0.0.1:{port}/simple")
    assert done.said.startswith("note: uv could not be used (")
    assert (done.code, len(done.started)) == (0, 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"nonsense\r\n\r\n",
        b"",
        b'HTTP/1.0 200 OK\r\n\r\n{"files": 5}',
    ],
    ids=["cut off", "no HTTP", "silent", "another shape"],
)
def test_whatever_is_wrong_with_the_index_it_is_pip(server, answer):
    with socket.create_server(("127.0.0.1", 0)) as wire:

        def serve():
            connection, _ = wire.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{wire.getsockname()[1]}/simple"
        done = server("uv", uv=None, conf=f"index-url = {url}")
    assert done.said.startswith("note: uv could not be used (")
    assert (done.code, len(done.started)) == (0, 2)


def test_a_password_in_the_address_of_the_index_is_not_shown(server):
    done = server("uv", uv=None, conf="index-url = http://me:s3cret@127.0.0.1/simple")
    assert "s3cret" not in done.said + done.errors
    assert (done.code, len(done.started)) == (0, 2)
