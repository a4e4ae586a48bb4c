"""Whatever bytes a user's files, names and links hold, an answer keeps its sections and facts."""

import base64
import contextlib
import os
import random
import subprocess
from pathlib import Path

import pytest
from dash import GROUP, ME, applying
from invoke import Exit
from states import compared

from fabfile import script
from fabfile.engine import plan
from fabfile.engine.consent import ends
from fabfile.items import (
    Directory,
    File,
    Kernelspec,
    Link,
    Live,
    NoOthers,
    Password,
    Service,
    Token,
    Venv,
)
from fabfile.kernels import offered
from fabfile.python import minimum_versions
from fabfile.settings import Settings
from fabfile.settings.credentials import Secret
from fabfile.settings.names import Endpoint
from fabfile.status import collect, display
from fabfile.ui.console import printable

PIECES = [b"@", b"\n", b" ", b"facts", b"end", b"theirs", b"0", b"3", b"group=shadow", b"\r", b"\t"]
PIECES += [
    b"\x00",
    b"\x1b[2J",
    b"\xff\xfe",
    b"|",
    b"'",
    b'"',
    b"$(id)",
    b"`id`",
    b"\\n",
    b"+",
    b"# ",
]
PIECES += [b"@0dd1a5a4-6b1a-4d0e-8f9e-0c5f2c1d7a10", b"regular file|root|root|644", b"absent", b"="]
PIECES += [b"# "]
MINE = {"owner": ME, "group": GROUP}
SEEDS = range(6)


def bytes_of(chance: random.Random, most: int = 20) -> bytes:
    """Some pieces that mean something to a reader, and some that mean nothing."""
    return b"".join(
        chance.choice(PIECES) if chance.random() < 0.8 else chance.randbytes(3)
        for _ in range(chance.randrange(1, most))
    )


def name_of(chance: random.Random) -> bytes:
    """The same as the name of a file."""
    return bytes_of(chance, 8).replace(b"/", b"").replace(b"\0", b"")[:200].strip(b".") or b"x"


def filled(home: Path, chance: random.Random) -> None:
    """A home in which everything that is read holds such bytes."""
    place = os.fsencode(home)
    site = home / "venv/lib/python3.11/site-packages"
    for folder in (site, home / "venv/bin", home / ".jupyter", home / "specs", home / "venvs"):
        folder.mkdir(parents=True)
    (home / "venv/bin/python").write_text("#!/bin/sh\n")
    (home / "venv/bin/python").chmod(0o755)
    (home / "venv/.converged").write_bytes(bytes_of(chance, 60))
    (home / ".jupyter/packages.txt").write_bytes(bytes_of(chance, 60))
    (home / ".jupyter/jupyter_lab_config.py").write_bytes(bytes_of(chance, 60))
    (home / ".jupyter/jupyter_server_config.json").write_bytes(bytes_of(chance, 60))
    (home / ".jupyter/jupyterlab_token").write_bytes(bytes_of(chance))
    os.symlink(name_of(chance) + b"/" + name_of(chance), place + b"/link")
    for _ in range(3):
        name = name_of(chance)
        for folder in (b"/venv/lib/python3.11/site-packages/" + name + b"-1.dist-info",
                       b"/specs/" + name, b"/venvs/" + name):  # fmt: skip
            os.makedirs(place + folder, exist_ok=True)
            for inner in (b"/RECORD", b"/kernel.json", b"/.converged"):
                Path(os.fsdecode(place + folder + inner)).write_bytes(
                    b' "jupyterlab_fab": "' + bytes_of(chance)
                )


def items(home: Path) -> list:
    """One of each that looks into a home."""
    site = f"{home}/venv/lib/python3*/site-packages"
    return [
        Venv(path=f"{home}/venv", owner=ME, home=str(home), requirements=("jupyter",)),
        File(path=f"{home}/.jupyter/jupyter_lab_config.py", content="x\n", **MINE),
        Token(path=f"{home}/.jupyter/jupyterlab_token", **MINE),
        Password(path=f"{home}/.jupyter/jupyter_server_config.json", stamp="/x", **MINE),
        Link(path=f"{home}/link", target="/x"),
        Directory(path=f"{home}/link", **MINE),
        NoOthers(specs=f"{home}/specs", venvs=f"{home}/venvs", owner=ME,
                 registered=frozenset(), made=frozenset()),
        Service(unit="u", reads=(f"{site}/*.dist-info/RECORD",), fix=""),
        Live(endpoint=Endpoint("/x"), unit="u", token="/x", project=str(home), venv=f"{home}/venv"),
    ]  # fmt: skip


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Give a function that reads a home in the folder of the test, by the very script."""
    home = tmp_path / "home"
    whose = {"lib/whose": f"me=1 account={ME} home={home} entry=::7\n"}
    shell = script.shell
    monkeypatch.setattr(script, "shell", lambda name: whose.get(name) or shell(name))

    def run(chosen=()) -> dict[str, list[str]]:
        text = str(plan.reading_script(list(chosen) or items(home), Settings()))
        done = subprocess.run(["sh", "-c", text], capture_output=True, timeout=60)
        return plan.sorted_out(done.stdout.decode(errors="replace").removesuffix("\n").split("\n"))

    return run


@pytest.mark.parametrize("seed", SEEDS)
def test_an_answer_keeps_its_sections_and_facts(read, tmp_path, seed):
    (tmp_path / "home").mkdir()
    plain = read()
    filled(tmp_path / "home", random.Random(seed))
    wanted = items(tmp_path / "home")
    found = read()
    assert list(found) == [
        "facts",
        "neighbours",
        "listens",
        "added",
        *map(str, range(len(wanted))),
        "end",
    ]
    facts = [
        [line for line in one["facts"] if not line.startswith(("free=", "memory="))]
        for one in (plain, found)
    ]
    assert facts[0] == facts[1]
    for number, item in enumerate(wanted):
        with contextlib.suppress(Exit):  # a refusal in words is well
            state = item.parse(found[str(number)])
            change = item.compare(state, set())
            assert change is None or not set("\n\r\x1b") & set(change.say), change.say
            item.shown(state)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_that_prints_anything_is_not_taken_for_another(tmp_path, seed):
    said = bytes_of(random.Random(seed), 60).replace(b"\0", b"")
    (tmp_path / "said").write_bytes(said)
    step = f"step_0() {{\ncat {tmp_path}/said; return 4\n}}\nrun_step 0\n"
    done = subprocess.run(
        ["sh", "-c", f"{applying(tmp_path)}{step}"], capture_output=True, cwd=tmp_path
    )
    begin, *rest = done.stdout.split(b"\n")
    noted = [line for line in rest if line.startswith(b"note ")]
    end, *words = [line for line in rest if line not in noted and line]
    assert (begin, end) == (b"begin 0", b"end 0 4")
    assert all(line.startswith(b"| ") for line in words)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_shown_steers_no_terminal(seed):
    text = bytes_of(random.Random(seed), 200).decode(errors="replace")
    shown = printable(text)
    assert all(sign.isprintable() or sign in "\n\t" for sign in shown)


DEEP = 100_000
SHAPES = {
    "list": "[]",
    "number": "7",
    "text": '"x"',
    "null": "null",
    "NaN": "NaN",
    "a long number": "9" * 400,
    "one that is too long": "9" * 5000,
    "half a sign": '"\\ud800"',
    "deep": "[" * DEEP + "]" * DEEP,
    "deep and open": '{"x":' * DEEP,
    "nested": "[" * 400 + "]" * 400,
    "date": '"0001-01-01T00:00:00+14:00"',
    "early": '"0001-01-01T00:00:00"',
    "1e308": "1e308",
    "long version": f'"{"9" * 5000}"',
}
PAGE = '{{"IdentityProvider": {0}, "IdentityProvider": {{"hashed_password": {0}}}, '
PAGE += '"ServerApp": {0}, "PasswordIdentityProvider": {0}}}'
SPEC = '{{"metadata": {{"jupyterlab_fab": {0}}}}}'
TOLD = (
    '{{"now": {now}, "service": {{"memory": {memory}, "memory_limit": {memory}, "cpu": {cpu}, '
    '"tasks": {tasks}}}, "server": {{"memory": {memory}, "cpu": {cpu}}}, "kernels": [{{"memory": '
    '{memory}, "cpu": {cpu}, "id": "1", "name": {text}, "notebook": {text}, "state": {text}, '
    '"since": {since}}}], "terminals": {tasks}, "newest": {{"jupyterlab": {version}}}, '
    '"more": {more}}}'
)
USUAL = {
    "now": "1", "memory": "1", "cpu": "1", "tasks": "1", "text": '"x"', "version": '"1"',
    "since": '"2026-01-01T00:00:00Z"', "more": "1",
}  # fmt: skip


def packed(text: str) -> list[str]:
    """A file as it is read."""
    return [f"regular file|{ME}|{GROUP}|600", base64.b64encode(text.encode()).decode()]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("around", ["{0}", '{{"IdentityProvider": {0}}}', PAGE])
@pytest.mark.parametrize("password", [None, Secret("long enough it is")])
def test_any_json_in_place_of_the_password_is_a_line(shape, around, password):
    item = Password(path="/x", stamp="/y", password=password, **MINE)
    with contextlib.suppress(Exit):
        change = compared(item, packed(around.format(shape)), set())
        assert change is None or "put_file" in change.shell


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("around", ["{0}", '{{"metadata": {0}}}', SPEC])
def test_any_json_in_place_of_a_kernel_is_nobodys(shape, around):
    spec = Kernelspec(path="/x", name="r", home="/h", python="/p", content="{}\n", **MINE)
    with pytest.raises(Exit, match="was not made by fab"):
        compared(spec, packed(around.format(shape)), set())
    assert offered(around.format(shape)) is None


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("field", [*USUAL, "all"])
def test_any_json_in_place_of_how_it_runs_is_shown_or_left_out(shape, field):
    line = shape if field == "all" else TOLD.format(**USUAL | {field: shape})
    live = Live(endpoint=Endpoint("/x"), unit="u", token="/x", project="/", venv="/v")
    told = live.parse(["", line])
    if told == {"disk": None}:
        return
    display.used({"memory": told["service"]["memory"] or 0, "cpu": 0})
    display.used(told["server"])
    for one in told["kernels"]:
        display.kernel(one, told["now"])
    ends(told["kernels"]).encode()
    collect.iso(told["now"])
    collect.newer({"jupyterlab": "4.0"}, told["newest"])


@pytest.mark.parametrize("version", ["banana", "1.x", "9" * 250, "1!2", "+"])
def test_a_distribution_of_no_version_is_below_every_floor(version):
    venv = Venv(
        path="/v",
        owner=ME,
        home="/h",
        requirements=("jupyterlab",),
        floors=minimum_versions.texts(),
    )
    lines = ["Cg==", f"jupyter_server-{version}", f"jupyterlab-{version}"]
    assert "put" not in compared(venv, lines, set()).say
    assert isinstance(minimum_versions.holes(venv.parse(lines).versions), list)
