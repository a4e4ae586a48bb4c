"""A venv whose Python is gone or is another one now, as after an upgrade of Debian."""

import base64
import sys
from pathlib import Path

import pytest
from dash import ME, applying, dash, reading, said
from states import compared

from fabfile.doctor import check_jupyter
from fabfile.doctor.evidence import Evidence
from fabfile.doctor.probe import Url
from fabfile.items import Venv
from fabfile.script import call, look
from fabfile.settings import Settings
from testbed.machine import ROOT


def venv_of(place: Path, runs: str, made: str, record: str = "jupyter\n+jupyter\n") -> Path:
    """Make a venv with two packages of one Python that runs another one; without it if empty."""
    venv, usr = place / "venv", place / "usr"
    (venv / "bin").mkdir(parents=True)
    usr.mkdir()
    (venv / "bin/python").symlink_to(usr / (runs or made))
    if runs:
        (usr / runs).write_text("#!/bin/sh\n")
        (usr / runs).chmod(0o755)
    for name, mark in (("jupyter-1", "REQUESTED"), ("cowsay-6", "REQUESTED"), ("six-1", "WHEEL")):
        info = venv / f"lib/{made}/site-packages/{name}.dist-info"
        info.mkdir(parents=True)
        (info / mark).touch()
        needs = "Requires-Dist: six\n" if name == "jupyter-1" else ""
        (info / "METADATA").write_text(f"Name: {name[:-2]}\nVersion: 1\n{needs}")
    (venv / ".converged").write_text(record)
    return venv


def item(path: Path | str, **more) -> Venv:
    return Venv(path=str(path), owner="d", home="/h", requirements=("jupyter",), **more)


@pytest.mark.parametrize(
    "runs, made, told",
    [
        ("python3.11", "python3.11", ["jupyter-1", "cowsay-6", "six-1"]),
        ("python3.13", "python3.11", ["former python3.11"]),
        ("", "python3.11", ["former python3.11"]),
        ("pypy3.11", "python3.11", ["former python3.11"]),
        ("python", "python3.11", ["jupyter-1", "cowsay-6", "six-1"]),  # its name does not say it
    ],
)
def test_packages_of_another_python_are_not_installed(tmp_path, runs, made, told):
    shown = said(f"{reading()}{look('show_venv', str(venv_of(tmp_path, runs, made)))}")
    assert sorted(shown[1:]) == sorted(told)


def test_a_package_of_both_pythons_is_that_of_the_present_one(tmp_path):
    venv = venv_of(tmp_path, "python3.13", "python3.11")
    (venv / "lib/python3.13/site-packages/jupyter-2.dist-info").mkdir(parents=True)
    assert said(f"{reading()}{look('show_venv', str(venv))}")[1:] == ["jupyter-2"]


MOVED = ", with what was installed by hand: python3.11, which made it, is gone"


@pytest.mark.parametrize(
    "record, there, more, repair, why",
    [
        ("jupyter\n+jupyter\n+old", "former python3.11", {}, "moved", MOVED),
        ("filling\n+cowsay", "former python3.11", {}, "moved", MOVED),
        ("filling\n+cowsay", "jupyter-1", {}, "moved", ", after an interrupted run"),
        ("jupyter\n+jupyter", "former python3.11", {"anew": "x"}, "anew", ", from scratch"),
    ],
)
def test_such_a_venv_is_created_again(record, there, more, repair, why):
    lines = [base64.b64encode(record.encode()).decode(), there]
    change = compared(item("/v", core=("/v/RECORD",), **more), lines, set())
    assert change.say == f"install jupyter into /v (uv{why})"
    assert f"\npython3 {repair} uv " in change.shell.replace(" python3", "\npython3")
    assert change.touches == ("/v/RECORD",)


ALONE = """slowly() { "$@"; }
as_user() { shift 2; "$@"; }
looked() { shift; "$@"; }
remember_venv() { :; }
refuse_planted() { :; }
"""
INSTALLS = """cat >"$run/install.py" <<'END'
import pathlib, sys
venv, *_, last = sys.argv[1:]
if "cowsay" in sys.argv and "bad" in sys.argv or last == "bad":
    sys.exit(3)
for name in sys.argv[5:]:
    folder = pathlib.Path(venv, "lib/python3.13/site-packages", f"{name}-2.dist-info")
    folder.mkdir(parents=True, exist_ok=True)
END
cp "$1" "$run/dependencies.py"
"""


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_was_installed_by_hand_is_kept_as_far_as_it_fits(tmp_path, interrupted):
    venv = venv_of(tmp_path, "python3.13", "python3.11")
    for name, mark in (("bad-1", "REQUESTED"), ("local-1", "direct_url.json")):
        info = venv / f"lib/python3.11/site-packages/{name}.dist-info"
        info.mkdir()
        (info / mark).touch()
        (info / "METADATA").write_text(f"Name: {name[:-2]}\nVersion: 1\n")
    fill = call("fill_venv", venv, ME, "/h", "make_venv", "moved", "uv", "", "jupyter", "jupyter")
    python = f"make_venv() {{ {'exit 9' if interrupted else 'mkdir -p $5/bin'}; }}\n"
    script = f"{applying(tmp_path)}{ALONE}{INSTALLS}{python}"
    script += f"PATH={Path(sys.executable).parent}:$PATH\n"
    tool = str(ROOT / "templates/python/dependencies.py")
    done = dash(f'{script}(set -e; {fill}); code=$?; cat "$run/own/notes"; exit $code', tool)
    if interrupted:
        first, *names = (venv / ".converged").read_text().splitlines()
        assert (first, sorted(names)) == ("filling", ["+bad", "+cowsay", "+jupyter"])
        assert [path.name for path in venv.iterdir()] == [".converged"]
        return
    assert done.returncode == 0, done
    assert (venv / ".converged").read_text() == "jupyter\n+cowsay\n+jupyter\n"
    assert done.stdout.decode().splitlines()[-2:] == [
        "from no package index, install again by hand: local",
        "was installed by hand, but cannot be with this Python: bad",
    ]


FOLDER = "/home/d/venv/lib/python3.11/site-packages/jupyter_server"


@pytest.mark.parametrize(
    "lines, proof",
    [
        (["/usr/bin/python3.13", FOLDER],
         "its packages are of python3.11; the server has python3.13"),
        ([FOLDER], "its packages are of python3.11, which is gone"),
        (["/usr/bin/python3.11", FOLDER], ""),
        (["/opt/python", FOLDER], ""),
        (["/usr/bin/python3.13"], ""),
        (["/usr/bin/python3.13", FOLDER, FOLDER.replace("3.11", "3.13")], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_doctor_finds_it(lines, proof):
    e = Evidence(Settings(), Url("http", "lab", 80), said={"venv": lines})
    assert check_jupyter.other_python(e) == proof
