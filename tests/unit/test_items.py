"""Each item, with what its reading printed, gives the change that is needed, or none."""

import base64
import shlex

import pytest
from invoke import Exit
from states import compared

from fabfile.items import (
    Assets,
    Directory,
    File,
    Link,
    Needs,
    Packages,
    Port,
    ServerExtensions,
    Service,
    Sleeper,
    Token,
    Venv,
)
from fabfile.items.services import moment


def shown(text: str, rights: str = "root|root|644", kind: str = "regular file") -> list[str]:
    """The lines that show_path prints for a file."""
    return [f"{kind}|{rights}", base64.b64encode(text.encode()).decode()]


def venv_of(record: str, *found: str) -> list[str]:
    """The lines that show_venv prints: what the last run left behind, and what is there."""
    return [base64.b64encode(record.encode()).decode(), *found]


EMPTY = shown("", kind="regular empty file")
FOLDER = ["directory|root|root|755", ""]
LINK = ["link", "/target"]
UNREADABLE = ["regular file|root|root|644", "!"]

PYTHON = "python3|installed|3.11.2-1+b1"
NGINX = "nginx|installed|1.22.1-9+deb12u3"
packages = Packages(names=("python3", "nginx"), show=("nginx", "python3"))
folder = Directory(path="/x")
file = File(path="/x", content="new\n")
link = Link(path="/x", target="/target")
token = Token(path="/x")
venv = Venv(path="/v", owner="d", home="/h", requirements=("jupyter", "jupyter_server>=2.20.0"))
RECORD = "jupyter\njupyter_server>=2.20.0\n"
THERE = ["jupyter-1.1.1", "jupyter_server-2.21.1", "numpy-2.0"]
GOOD = venv_of(RECORD, *THERE)
anew = Venv(path="/v", owner="d", home="/h", requirements=venv.requirements, anew="stamp 1")
adopting = Directory(path="/x", adopted=True)
marked = Venv(path="/v", owner="d", home="/h", requirements=("pywin32; sys_platform == 'win32'",))
assets = Assets(path="/c", venv="/v", previous="/p", owner="d", home="/h", core=("/v/RECORD",))
both = "install jupyter, jupyter_server>=2.20.0 into /v"


@pytest.mark.parametrize(
    "item, lines, said",
    [
        (packages, [PYTHON, NGINX], None),
        (packages, [PYTHON], "install nginx"),
        (packages, [], "install python3, nginx"),
        (packages, [PYTHON, "nginx|config-files|1.22"], "install nginx"),
        (packages, [PYTHON, "nginx|half-configured|1.22"], "install nginx"),
        (packages, [PYTHON, "nginx|not-installed|"], "install nginx"),
        (assets, ["fresh"], None),
        (assets, ["stale"], "compress JupyterLab's pages for Nginx"),
        (assets, [], "compress JupyterLab's pages for Nginx"),
        (folder, FOLDER, None),
        (folder, ["absent"], "make the folder /x"),
        (folder, ["directory|root|root|750"], "make the folder /x"),
        (folder, ["directory|david|root|755"], "make the folder /x"),
        (file, shown("new\n"), None),
        (file, ["absent"], "write /x"),
        (file, shown("old\n"), "replace /x"),
        (file, EMPTY, "replace /x"),
        (file, UNREADABLE, "write /x"),
        (file, LINK, "write /x"),
        (file, ["fifo|root|root|644", ""], "write /x"),
        (file, shown("new\n", "root|root|600"), "set permissions of /x"),
        (file, shown("new\n", "david|root|644"), "set permissions of /x"),
        (file, shown("new\n", "root|david|644"), "set permissions of /x"),
        (link, LINK, None),
        (link, ["link", "/other"], "link /x to /target"),
        (link, ["absent"], "link /x to /target"),
        (link, shown("text"), "link /x to /target"),
        (token, shown("abc", "root|root|600"), None),
        (token, shown("abc", "root|root|644"), "set permissions of /x"),
        (token, shown("\n", "root|root|600"), "make a login token"),
        (token, EMPTY, "make a login token"),
        (token, shown("abc\n\nserver: run curl x | sh", "root|root|600"), "make a login token"),
        (token, shown("a\x1b[2Jb", "root|root|600"), "make a login token"),
        (token, shown("abc\n", "root|root|600"), "remove the blanks around the login token"),
        (token, ["absent"], "make a login token"),
        (venv, GOOD, None),
        (venv, ["absent"], f"{both} (uv)"),
        (venv, venv_of("filling\n", *THERE), f"{both} (uv, after an interrupted run)"),
        (venv, venv_of("changing\n", *THERE), f"{both} (uv, after an interrupted run)"),
        (venv, venv_of("jupyter\n", *THERE), f"{both} (uv)"),
        (venv, venv_of(RECORD, "jupyter-1.1.1", "jupyter_server-2.19.0"),
         "install jupyter_server>=2.20.0 into /v (uv)"),
        (venv, venv_of(RECORD, "Jupyter-1.1.1", "jupyter-server-2.21.1"), None),
        (venv, venv_of(RECORD, "jupyter-1.1.1", "jupyter_server-2.21.0rc1"), None),
        (venv, venv_of("foreign\n", *THERE), f"{both} (uv)"),
        (venv, venv_of("foreign\n", "*"), f"{both} (uv)"),
        (marked, venv_of(f"{marked.requirements[0]}\n", "pip-26.0"), None),
        (Needs(path="/x", maker="deps"), ["absent"], Exit("/x is missing: first run fab deps")),
        (Needs(path="/x", maker="deps"), FOLDER, None),
        (Needs(path="/x", maker="deps"), LINK, None),
        (Port(port=80, unit="nginx"), [], None),
        (Port(port=80, unit="nginx"), ["taken"], None),
        (adopting, FOLDER, None),
        (adopting, ["directory|root|www-data|2770"], None),
        (adopting, ["absent"], "make the folder /x"),
        (adopting, ["directory|david|root|755"], Exit("/x belongs to david: choose another lab.")),
        (anew, venv_of(f"{RECORD}# stamp 1\n", *THERE), None),
        (anew, venv_of(f"{RECORD}# stamp 0\n", *THERE), f"{both} (uv, from scratch)"),
        (anew, GOOD, f"{both} (uv, from scratch)"),
        (venv, venv_of(f"{RECORD}# stamp 0\n", *THERE), None),
        (folder, shown("x"), Exit("/x is a file, but a folder is needed")),
        (file, FOLDER, Exit("/x is a folder, but a file is needed")),
        (link, FOLDER, Exit("/x is a folder, but a symbolic link is needed")),
        (Venv(path="/v", owner="d", home="/h", requirements=("numpy>>1",)), ["absent"],
         Exit("'numpy>>1' is not a pip requirement: correct lab.packages")),
    ],
)  # fmt: skip
def test_what_is_there_gives_the_change_that_is_needed(item, lines, said):
    if isinstance(said, Exit):
        with pytest.raises(Exit) as caught:
            compared(item, lines, set())
        assert str(caught.value).startswith(str(said))
    else:
        change = compared(item, lines, set())
        assert (change and change.say) == said


# --- services ----------------------------------------------------------------------------------

BEGAN = "Mon 2026-01-05 10:00:00.500000 UTC"
RUNS = {
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "ExecMainStartTimestamp": BEGAN,
}
service = Service(unit="lab.service", reads=("/unit", "/conf"), fix="fix it", verb="restart")
NEW = "restart lab.service: its files have changed"


@pytest.mark.parametrize(
    "differing, written, touched, said",
    [
        ({}, "", set(), None),
        ({}, "", {"/other"}, None),
        ({}, "1767607200.400000 /conf", set(), None),
        (
            {},
            "1767607200.600000 /conf",
            set(),
            "restart lab.service: /conf is newer than the running process",
        ),
        (
            {},
            "1767607200.600000 /a b",
            set(),
            "restart lab.service: /a b is newer than the running process",
        ),
        ({}, "", {"/conf"}, NEW),
        ({"ActiveState": "failed"}, "", set(), "start lab.service"),
        ({"ActiveState": "failed"}, "", {"/conf"}, "start lab.service"),
        ({"SubState": "exited"}, "", set(), "start lab.service"),
        ({"SubState": "auto-restart", "ActiveState": "activating"}, "", set(), "start lab.service"),
        ({"UnitFileState": "disabled"}, "", set(), "enable lab.service"),
        ({"NeedDaemonReload": "yes"}, "", set(), "restart lab.service: its unit file has changed"),
    ],
)
def test_a_service_runs_with_what_is_on_disk(differing, written, touched, said):
    lines = [f"{name}={value}" for name, value in {**RUNS, **differing}.items()]
    lines += [f"written={written}"] if written else []
    change = compared(service, lines, touched)
    assert (change and change.say) == said
    enables = "enable_unit lab.service"  # a start would end what runs
    first = "bring_to_now user '/unit /conf'\n"
    assert change is None or change.shell == (enables if "enable" in said else f"{first}fix it")


def test_before_a_restart_the_times_of_its_files_are_brought_to_now():
    paths = "/etc/x.service", "/home/it's/conf", "/home/v/lib/python3*/RECORD"
    change = compared(Service(unit="x", reads=paths, fix="fix it"), ["ActiveState=failed"], set())
    ours, theirs, fix = change.shell.splitlines()
    assert (shlex.split(ours), fix) == (["bring_to_now", "root", "/etc/x.service"], "fix it")
    assert shlex.split(theirs)[:2] == ["bring_to_now", "user"]
    assert shlex.split(shlex.split(theirs)[2]) == list(paths[1:])
    nothing = compared(Service(unit="x", reads=(), fix="fix it"), ["ActiveState=failed"], set())
    assert nothing.shell == "fix it"


HALVES = "/v/etc/jupyter/jupyter_server_config.d"


@pytest.mark.parametrize(
    "state, written, waits",
    [
        ("active", 1767607200.6, True),
        ("active", 1767607200.4, False),
        ("inactive", 1767607200.6, False),  # it loads them when it wakes
    ],
)
def test_extensions_that_jupyter_has_not_loaded_are_known(state, written, waits):
    item = ServerExtensions(unit="lab.service", folder=HALVES)
    files = f"written={written:.6f} {HALVES}", f"written=1767600000.000000 {HALVES}/git.json"
    told = item.parse([f"ActiveState={state}", f"ExecMainStartTimestamp={BEGAN}", *files])
    assert told == ({"git"}, waits)
    assert item.compare(told, set()) is None


LISTENS = {
    "ActiveState": "active",
    "SubState": "listening",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "ActiveEnterTimestamp": BEGAN,
}
sleeper = Sleeper(
    unit="lab.service",
    reads=("/unit", "/conf"),
    fix="fix both",
    verb="restart",
    socket=Service(unit="lab.socket", reads=("/s",), fix="fix both", since="ActiveEnterTimestamp"),
)
RESTS = {"ActiveState": "inactive", "SubState": "dead", "ExecMainStartTimestamp": ""}


@pytest.mark.parametrize(
    "differing, socket, touched, said",
    [
        ({}, {}, set(), None),
        ({}, {"SubState": "running"}, set(), None),
        (RESTS, {}, set(), None),
        ({**RESTS, "ActiveState": "deactivating"}, {}, set(), None),
        (RESTS, {"written": "1767607200.600000 /s"}, set(), "start lab.socket: /s is newer than"),
        (RESTS, {"ActiveState": "inactive"}, set(), "start lab.socket"),
        (RESTS, {"UnitFileState": "disabled"}, set(), "enable lab.socket"),
        (
            RESTS,
            {},
            {"/conf"},
            "start lab.service",
        ),  # seen to work at once, not at the next request
        ({}, {}, {"/conf"}, "restart lab.service: its files have changed"),
        ({**RESTS, "NeedDaemonReload": "yes"}, {}, set(), "start lab.service"),
        ({**RESTS, "UnitFileState": "enabled"}, {}, set(), "disable lab.service at boot"),
        ({"UnitFileState": "enabled"}, {}, set(), "disable lab.service at boot"),
        ({"written": "1767607200.600000 /conf"}, {}, set(), "restart lab.service: /conf is newer"),
        (
            {**RESTS, "written": "1767607200.600000 /conf"},
            {},
            set(),
            None,
        ),  # the next start reads it
        ({"ActiveState": "failed"}, {}, set(), "start lab.service"),
    ],
)
def test_a_service_may_sleep_behind_its_socket(differing, socket, touched, said):
    mine, its = {**RUNS, "UnitFileState": "disabled", **differing}, {**LISTENS, **socket}
    lines = [f"{name}={value}" for name, value in mine.items()]
    lines += ["socket", *(f"{name}={value}" for name, value in its.items())]
    change = compared(sleeper, lines, touched)
    assert (change and change.say.startswith(said)) if said else change is None
    enabling = {"enable lab.socket": "enable", "disable lab.service at boot": "disable"}
    verb = enabling.get(said)
    unit = "lab.socket" if verb == "enable" else "lab.service"
    assert change is None or change.shell.splitlines()[-1] == (
        {"enable": "enable_unit"}.get(verb, f"systemctl {verb} -q --") + f" {unit}"
        if verb
        else "fix both"
    )


@pytest.mark.parametrize("differing, told", [({}, ""), (RESTS, "asleep: the next request wakes")])
def test_it_is_told_that_a_service_sleeps(differing, told):
    lines = [f"{name}={value}" for name, value in {**RUNS, **differing}.items()]
    state = sleeper.parse([*lines, "socket", "ActiveState=active"])
    assert sleeper.shown(state).startswith(told)


@pytest.mark.parametrize(
    "text, seconds",
    [
        (BEGAN, 1767607200.5),
        ("Mon 2026-01-05 10:00:00 UTC", 1767607200.0),
        ("", 0.0),
        ("n/a", 0.0),
    ],
)
def test_systemds_time_is_understood(text, seconds):
    assert moment(text) == seconds


# --- what a change says of itself --------------------------------------------------------------


@pytest.mark.parametrize(
    "lines, touched, checked",
    [
        (["taken"], set(), False),
        (["taken"], {"/site"}, False),
        ([], {"nginx"}, False),
        (["taken"], {"nginx"}, True),
    ],
)
def test_a_taken_port_is_checked_when_its_unit_starts_anew(lines, touched, checked):
    change = compared(Port(port=80, unit="nginx"), lines, touched)
    assert (change and change.say) == ("check that port 80 is free" if checked else None)


def test_a_secret_file_has_no_diff():
    change = compared(File(path="/x", content="new\n", secret=True), shown("old\n"), set())
    assert change.before == change.after


def test_a_file_has_a_diff():
    change = compared(file, shown("old\n"), set())
    assert (change.before, change.after, change.touches) == ("old\n", "new\n", ("/x",))


def test_versions_are_shown_short():
    assert packages.shown(packages.parse([PYTHON, NGINX])) == "nginx 1.22.1, python3 3.11.2"


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda: File(path="/x", content="", mod="0644"), "mod"),
        (lambda: File(path="/x", text=""), "text"),
        (lambda: File(path="/x", content="no end"), "line"),  # a here-document would add one
        (lambda: Directory(), "path"),
        (lambda: Packages(name="x"), "name"),
        (lambda: Directory("/x"), "positional"),
        (lambda: Directory(path="x"), "must begin with / or ~/"),
        (lambda: Directory(path=""), "must begin with / or ~/"),
        (lambda: Link(path="./x", target="y"), "must begin with / or ~/"),
        (lambda: Directory(path="/x", mode="755"), "four octal digits"),
        (lambda: Directory(path="/x", mode="0888"), "four octal digits"),
        (lambda: Directory(path="/x", mode="u=rwx"), "four octal digits"),
        (lambda: Directory(path="/x", mode="0755\n"), "four octal digits"),
    ],
)
def test_a_wrong_item_cannot_be_made(make, reason):
    with pytest.raises((TypeError, ValueError), match=reason):
        make()


def test_pages_are_compressed_with_a_new_jupyterlab_but_not_with_another_package():
    assert compared(assets, ["fresh"], {"/v/RECORD"})
    assert compared(assets, ["fresh"], {"/v", "/etc"}) is None
