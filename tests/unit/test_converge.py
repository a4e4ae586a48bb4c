"""Items become changes, changes a schedule: packages first, Python before all, the rest beside."""

import re
import subprocess

import pytest
from invoke import Exit

from fabfile import deps, jupyter, nginx, systemd
from fabfile.engine import plan
from fabfile.engine.host import Host
from fabfile.items import Change, Directory, Item, Needs, Packages, Service
from fabfile.script import call
from fabfile.settings import Settings
from fabfile.settings.credentials import Secret

STEPS = {step.__name__.rpartition(".")[2]: step.items for step in (deps, jupyter, systemd, nginx)}
HOST = Host(user="david", group="david", home="/home/o'neill")
PYTHON = ["python3", "python3-venv"]
ALL = [*deps.PACKAGES, "nginx"]


def state(item: Item, installed: list[str]):
    """The state of an item on a host that has these packages and nothing else."""
    if isinstance(item, Packages):
        return item.parse([f"{name}|installed|1" for name in installed])
    silent = item.read().startswith(("show_service", "show_listener"))
    return item.parse([] if silent else ["absent"])


def planned(*names: str, installed: list[str] = (), chosen: Settings | None = None):
    """The changes that these steps need, together with their items."""
    items = plan.gather([STEPS[name] for name in names], chosen or Settings(), HOST)
    states = [state(item, installed) for item in items]
    return plan.compare(items, states, set(names)), items


def order(changes: list[Change]) -> list[str]:
    """The schedule, each change by the last word of what it says."""
    rows = (line.split() for line in plan.schedule(changes).splitlines())
    return [f"{word} {changes[int(n[0])].say.split()[-1]}" if n else word for word, *n in rows]


def without(*names: str) -> list[str]:
    return [name for name in ALL if name not in names]


FULL = ("deps", "jupyter", "systemd", "nginx")


@pytest.mark.parametrize(
    "names, installed, groups",
    [
        (FULL, [], [PYTHON, [name for name in ALL if name not in PYTHON]]),
        (FULL, without("nginx"), [["nginx"]]),
        (FULL, without("python3-venv"), [["python3-venv"]]),
        (FULL, without("python3-venv", "nginx"), [["python3-venv"], ["nginx"]]),
        (FULL, ALL, []),
        (("deps",), [], [list(deps.PACKAGES)]),
        (("deps",), without("curl", "nodejs"), [["nodejs", "curl"]]),
        (("nginx",), [], [["nginx"]]),
    ],
    ids=["bare", "only nginx", "only venv", "venv and nginx", "all there", "deps", "rest", "nginx"],
)  # fmt: skip
def test_packages_are_installed_in_at_most_two_transactions(names, installed, groups):
    changes, _ = planned(*names, installed=installed)
    assert [list(change.packages) for change in changes if change.packages] == groups


def test_on_a_bare_host_python_comes_first_and_nginx_beside_the_venv():
    changes, _ = planned(*FULL)
    assert order(changes) == [
        "run_step python3-venv",
        "begin nginx",
        "run_step /home/o'neill/project",
        "run_step (uv)",
        "run_step /home/o'neill/.jupyter",
        "run_step /home/o'neill/.ipython",
        "run_step /home/o'neill/.jupyter/jupyter_lab_config.py",
        "run_step /home/o'neill/.jupyter/pages",
        "run_step /home/o'neill/.jupyter/pages/login.html",
        "run_step token",
        "run_step Nginx",  # its pages, for it
        "run_step /etc/tmpfiles.d/jupyterlab.conf",
        "run_step /etc/systemd/system/jupyterlab.service",
        "run_step /run/jupyterlab",
        "run_step jupyterlab.service",
        "finish",
        "run_step /etc/nginx/sites-available/jupyterlab",
        "finish",
        "run_step /etc/nginx/sites-available/jupyterlab",  # the link to it
        "finish",
        "run_step sites-enabled",  # without Debian's welcome page
        "finish",
        "run_step nginx.service",
        "finish",
    ]


def test_one_transaction_is_waited_for():
    assert order(planned("deps")[0]) == ["run_step ca-certificates", "finish"]


@pytest.mark.parametrize("installed", [[], ALL], ids=["bare", "all there"])
def test_a_check_comes_before_everything(installed):
    _, items = planned(*FULL, installed=installed)
    busy = [
        i.parse(["taken"]) if "show_listener" in i.read() else state(i, installed) for i in items
    ]
    changes = plan.compare(items, busy, set(FULL))
    assert [change.say for change in changes if change.check] == [changes[0].say]
    assert changes[0].say == "check that port 80 is free"


def test_recommends_hold_for_every_transaction():
    changes, _ = planned(*FULL, chosen=Settings(recommends=True))
    lines = [change.shell for change in changes if change.packages]
    assert [line.split()[1] for line in lines] == ["true", "true"]


def test_a_package_is_installed_once_however_many_steps_want_it():
    changes, _ = planned(*FULL, chosen=Settings(system_packages=("git", "nginx", "curl")))
    installed = [name for change in changes for name in change.packages]
    assert sorted(installed) == sorted({*ALL, "git"})


# --- compare -----------------------------------------------------------------------------------


def test_what_a_running_step_makes_is_not_missed():
    wanted = Needs(path="/venv", maker="jupyter")
    states = [wanted.parse(["absent"])]
    assert plan.compare([wanted], states, {"jupyter"}) == []
    with pytest.raises(Exit, match="first run fab jupyter"):
        plan.compare([wanted], states, {"systemd"})


RUNNING = ["ActiveState=active", "SubState=running", "UnitFileState=enabled"]


@pytest.mark.parametrize(
    "first, changes",
    [
        ("directory", ["make the folder /x", "restart u: its files have changed"]),
        ("service", ["make the folder /x"]),
    ],
)
def test_a_later_item_knows_what_an_earlier_one_touches(first, changes):
    pair = [
        (Directory(path="/x"), ["absent"]),
        (Service(unit="u", reads=("/x",), fix="", verb="restart"), RUNNING),
    ]
    items, answers = zip(*(pair if first == "directory" else pair[::-1]), strict=True)
    states = [item.parse(lines) for item, lines in zip(items, answers, strict=True)]
    assert [change.say for change in plan.compare(items, states, set())] == changes


MARK, OTHER = "@0dd1a5a4-6b1a-4d0e-8f9e-0c5f2c1d7a10", "@7c0a5a4d-6b1a-4d0e-8f9e-0c5f2c1d7a10"


@pytest.mark.parametrize(
    "lines, sections",
    [
        ([], {}),
        (["Welcome!", MARK, f"{MARK} facts", "user=d", f"{MARK} 0", f"{MARK} 1", "a", "",
          f"{MARK} end"],
         {"facts": ["user=d"], "0": [], "1": ["a", ""], "end": []}),
        (["no marks"], {}),
        (["@facts", MARK, f"{MARK} 0", "@3", "@facts", "group=shadow", f"{OTHER} facts", OTHER],
         {"0": ["@3", "@facts", "group=shadow", f"{OTHER} facts", OTHER]}),
        ([MARK, f"{MARK} facts", "user=d", f"{MARK} 0", f"{MARK} facts", "user=e"],
         {"facts": ["user=d"], "0": []}),
    ],
)  # fmt: skip
def test_answers_are_sorted_by_their_marks(lines, sections):
    assert plan.split(lines) == sections


def test_what_root_read_counts_more_than_what_the_user_says():
    inner = [OTHER, f"{OTHER} 1", "theirs", f"{OTHER} facts", "group=shadow", f"{OTHER} 0", "no"]
    lines = [MARK, f"{MARK} facts", "group=d", f"{MARK} theirs", *inner, f"{MARK} 0", "ours"]
    assert plan.sorted_out(lines) == {}  # it was cut off
    assert plan.sorted_out([*lines, f"{MARK} end"]) == {
        "facts": ["group=d"], "0": ["ours"], "1": ["theirs"], "end": [],
    }  # fmt: skip


# --- the scripts -------------------------------------------------------------------------------


ODD = ("pandas; python_version<'4'", 'x; os_name != "nt"')


@pytest.mark.parametrize(
    "chosen",
    [Settings(), Settings(port=8888, packages=ODD, password=Secret("x"))],
    ids=["defaults", "odd"],
)
def test_the_scripts_are_good_shell(chosen):
    changes, items = planned(*FULL, chosen=chosen)
    reading = str(plan.reading_script(items, chosen))
    for script in (reading, str(plan.apply_script(HOST, items, changes, "it's me"))):
        done = subprocess.run(["sh", "-n"], input=script.encode(), capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")


def test_only_the_tools_that_are_used_travel():
    changes, items = planned("deps")
    travels = re.compile(r'cat >"\$run/[\w.]+" <<')
    assert not travels.search(str(plan.apply_script(HOST, items, changes, "it's me")))
    changes, items = planned(*FULL)
    script = str(plan.apply_script(HOST, items, changes, "it's me"))
    assert all(f'cat >"$run/{tool}" <<' in script for tool in ("install.py", "wait_ready.py"))


def test_what_a_step_says_is_no_shell():
    change = Change("install x\ngotcha\x1b[2J\r\u2028gotcha", ":")
    script = str(plan.apply_script(HOST, [], [change], "me"))
    (line,) = [line for line in script.splitlines() if "gotcha" in line]
    assert line.startswith("step_0() { # install x gotcha")


@pytest.mark.parametrize("function", re.findall(r"(\w+)\(\) \{(?:(?!\n\}).)*looked ",
                                                plan.applying(), re.DOTALL))  # fmt: skip
def test_what_a_user_looks_with_travels_along(function):
    assert function.startswith("fill_")
    script = str(plan.apply_script(HOST, [], [Change("x", call(function, "/x"))], "me"))
    assert 'cat >"$run/read.sh" <<' in script
