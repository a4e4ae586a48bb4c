"""Several kernels on one server, each with packages and a Python of its own, really computing."""

import json
import time
from shlex import quote

import pytest
from notebook import Notebook
from outcomes import nothing_to_change, well
from refusals import refused

pytestmark = [pytest.mark.lifecycle, pytest.mark.debian("trixie")]

SPECS = "/home/david/.local/share/jupyter/kernels"
VENVS = "/home/david/project/.kernels"
# what differs from JupyterLab's own venv, where six and idna are the newest
DATA = "data: {packages: ['six<1.17', 'idna<3.7'], title: Data & more}"
EXACT = "exact: {python: PYTHON, packages: ['six<1.16', idna]}"  # the host's own, by its number
NEW = "new: {packages: [six, idna]}"
MINE = "mine: {venv: ~/envs/mine}"
LOOK = """import sys
from importlib.metadata import version
import six, idna
print(6*7, sys.prefix, sys.implementation.name, version("six"), version("idna"))
!python -c "import sys; print(sys.prefix)"
"""


class Lab:
    """A server, and settings files for it."""

    def __init__(self, site, folder):
        self.site, self.host, self.folder = site, site.host, folder
        self.python = self.host.exec("readlink -f /usr/bin/python3").strip()
        self.version = self.host.exec("python3 --version").strip()

    def fab(self, kernels: list[str], *task: str):
        """Run a task with these kernels in the setting."""
        named = self.folder / "kernels.yaml"
        text = "\n    ".join(["lab:\n  kernels:", *kernels, ""])
        named.write_text(text.replace("PYTHON", self.python))
        return self.site.fab("-f", str(named), *task)

    def seen(self, name: str) -> list[str]:
        """What a cell sees in a kernel of this name, in which `!python` is the same Python."""
        with Notebook(self.host).kernel(name) as kernel:
            answer, prefix, *more = kernel.run(LOOK).split()
        assert (answer, more.pop()) == ("42", prefix)
        return [prefix, *more]

    def offered(self) -> set[str]:
        """The kernels that JupyterLab offers."""
        return set(Notebook(self.host).ask("GET", "kernelspecs")["kernelspecs"])

    def state(self) -> str:
        """All that a refused run must leave alone."""
        return self.host.exec(
            "systemctl show jupyterlab -p MainPID -p ExecMainStartTimestamp; cd /home/david\n"
            "find .local/share/jupyter/kernels project/.kernels project/venv envs "
            r"-path '*/__pycache__*' -o -printf '%p %T@ %m %u\n' | sort"
        )


@pytest.fixture(scope="module")
def lab(servers, tmp_path_factory):
    """A server that has two kernels since its first `full`, whose Pythons came with it."""
    (site,) = servers("kernels", settled=True)
    lab = Lab(site, tmp_path_factory.mktemp("kernels"))
    well(lab.fab([DATA, EXACT], "full", "--no-verify"))
    return lab


def test_each_kernel_computes_with_packages_of_its_own(lab):
    prefix, python, six, idna = lab.seen("data")
    assert (prefix, python, six[:4]) == (f"{VENVS}/data", "cpython", "1.16")
    assert idna == "3.6"
    own = lab.seen("")  # JupyterLab's own
    assert own[0] == "/home/david/project/venv" and (own[2], own[3]) > ("1.17", "3.7")


def test_another_python_runs_a_kernel(lab):
    prefix, python, six, _ = lab.seen("exact")
    assert (prefix, python, six[:4]) == (f"{VENVS}/exact", "cpython", "1.15")
    cell = Notebook(lab.host)
    with cell.kernel("exact") as kernel:
        code = "import os, sys; print(os.path.realpath(sys.executable))"
        assert kernel.run(code).strip() == lab.python


def test_a_second_run_changes_nothing(lab):
    before = lab.state()
    nothing_to_change(lab.fab([DATA, EXACT], "full", "--no-verify"))
    assert lab.state() == before


def test_all_is_the_users_own(lab):
    assert lab.host.exec("find /home/david ! -user david -o ! -group david") == ""


BAD = {
    "a misspelt key": ("data: {pakages: [six]}", "lab.kernels.data.pakages", "packages?"),
    "no such Python": ("x: {python: /usr/bin/python3.99}", "lab.kernels.x.python", "install it"),
    "no such venv": ("x: {venv: ~/nowhere}", "lab.kernels.x.venv", "there is no venv"),
    "a venv without ipykernel": (
        "x: {venv: ~/envs/mine}",
        "x.venv",
        "has no ipykernel: on the server, run",
    ),
    "a kernel of the user's own": ("theirs: {}", "lab.kernels.theirs", "choose another name"),
}


@pytest.mark.parametrize("wrong, path, remedy", BAD.values(), ids=BAD.keys())
def test_a_bad_setting_is_refused_before_anything_is_changed(lab, wrong, path, remedy):
    lab.host.exec(
        "su david -c 'cd; [ -e envs ] || python3 -m venv envs/mine\n"
        f"cp -r {SPECS}/data {SPECS}/theirs'"
    )
    before = lab.state()
    refused(lab.fab([wrong, NEW], "kernels"), path, remedy)
    assert lab.state() == before
    lab.host.exec(f"rm -r {SPECS}/theirs")


def test_packages_that_do_not_fit_are_told_with_the_kernels_name_and_leave_the_rest(lab):
    before = lab.seen("data")
    done = lab.fab([DATA, EXACT, "bad: {packages: ['six>99']}"], "kernels")
    assert done.returncode == 1
    assert "correct lab.kernels.bad.packages" in done.stderr
    assert lab.offered() == {"python3", "data", "exact"}
    assert lab.seen("data") == before


def test_a_kernel_that_cannot_start_is_not_offered(lab):
    empty = "/home/david/envs/mine/lib/python3*/site-packages"
    lab.host.exec(f"cd {empty}; su david -c 'mkdir ipykernel'")
    done = lab.fab([DATA, EXACT, MINE], "kernels")
    assert done.returncode == 1 and "a kernel cannot start with these packages" in done.stderr
    assert lab.offered() == {"python3", "data", "exact"}
    lab.host.exec(f"rmdir {empty}/ipykernel")


def test_a_venv_of_ones_own_is_registered_and_left_alone(lab):
    install = "envs/mine/bin/pip install -q --no-compile ipykernel six==1.15 idna==3.6"
    lab.host.exec(f"su david -c 'cd; {install}' 2>&1")
    files = "find /home/david/envs -name __pycache__ -prune -o -type f -printf '%p %T@\\n' | sort"
    before = lab.host.exec(files)
    well(lab.fab([DATA, EXACT, MINE], "kernels"))
    assert lab.seen("mine")[:3] == ["/home/david/envs/mine", "cpython", "1.15.0"]
    assert lab.host.exec(files) == before


def test_the_list_shows_each_with_its_python_and_venv(lab):
    out = well(lab.fab([DATA], "kernels", "--list"))
    assert f"Data & more: {lab.version} in {VENVS}/data, " in out
    assert f"exact: {lab.version} in {VENVS}/exact, " in out
    assert f"mine: {lab.version} in /home/david/envs/mine, " in out
    assert f"Python 3 (ipykernel): {lab.version} in /home/david/project/venv, " in out


ONLY_TCP = """
import json, sys
from ipykernel import kernelapp
assert json.load(open(sys.argv[2]))["transport"] == "tcp", "unix sockets"
kernelapp.launch_new_instance()
"""
SERVE = """
import http.server, threading
server = http.server.HTTPServer(("127.0.0.1", 8050), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever).start()
"""
SPEC = {
    "argv": [
        "/home/david/project/venv/bin/python",
        "/home/david/tcp.py",
        "-f",
        "{connection_file}",
    ],
    "display_name": "Only TCP",
    "language": "python",
}


def test_a_kernel_that_needs_tcp_computes_and_the_audit_names_it(lab):
    folder = f"{SPECS}/onlytcp"
    put = f'cd; mkdir -p {folder}; printf %s "$1" >tcp.py; printf %s "$2" >{folder}/kernel.json'
    lab.host.exec(f"su david -c {quote(put)} sh {quote(ONLY_TCP)} {quote(json.dumps(SPEC))}")
    with Notebook(lab.host).kernel("onlytcp") as kernel:
        assert kernel.run("print(6*7)").strip() == "42"
        kernel.run(SERVE)
        told = lab.site.fab("audit").stdout
        assert (
            "          8050 (" in told and told.count(" (/home/david/project/venv/bin/python") == 1
        )
        assert "a port publishes what a kernel computes: onlytcp" in told
    told = well(lab.fab([DATA], "kernels", "--list"))
    assert [line.split()[0] for line in told.splitlines() if "; over TCP" in line] == ["onlytcp"]
    lab.host.exec(f"rm -r {folder} /home/david/tcp.py")


def test_what_leaves_the_setting_goes_and_nothing_of_the_users(lab):
    lab.host.exec(f"su david -c 'cp -r {SPECS}/data {SPECS}/copied; mkdir {VENVS}/by-hand'")
    running = lab.host.exec("systemctl show jupyterlab -p MainPID")
    began = time.monotonic()
    well(lab.fab([NEW], "kernels"))
    assert lab.offered() == {"python3", "new", "copied"}
    assert time.monotonic() - began < 30
    assert lab.host.exec(f"ls {VENVS}").split() == ["by-hand", "new"]
    assert lab.host.exec("ls -d /home/david/envs/mine") and lab.seen("new")[2] > "1.16"
    assert lab.host.exec("systemctl show jupyterlab -p MainPID") == running
    nothing_to_change(lab.fab([NEW], "kernels"))
