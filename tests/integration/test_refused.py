"""Whatever cannot work is refused in one clear line, and nothing is changed anywhere."""

import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from refusals import HEARD, refused, state
from surgery import text_of
from terminal import converse

from testbed.host import keypair
from testbed.machine import ROOT

pytestmark = [pytest.mark.diagnosis, pytest.mark.core]

WATCH = Path(__file__).parent / "watch"


@pytest.fixture(scope="module")
def bare(server):
    return server("refused")


@pytest.fixture(scope="module")
def before(bare):
    return state(bare)


@pytest.fixture(autouse=True)
def untouched(before):
    """Take the state of the server before the first test."""


# --- no host -----------------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path):
    """An environment in which Python notes what it starts, and the notes."""
    notes = tmp_path / "notes"
    return {"PYTHONPATH": str(WATCH), "WATCH_NOTES": str(notes)}, notes


def test_the_watch_sees_a_process(watched):
    env, notes = watched
    subprocess.run([sys.executable, "-c", "import os; os.system('true')"], env=env, check=True)
    assert "os.system" in notes.read_text()


def test_without_a_host_nothing_runs_on_the_operators_machine(operator, watched):
    env, notes = watched  # of each task, in tests/unit/test_no_host.py
    hosts = [Path("/etc/hosts"), operator.home / "hosts"]
    texts = [path.read_bytes() for path in hosts]
    refused(operator.fab("full", env=env), "no host given", "fab -H user@server full")
    assert notes.read_text() == ""
    assert [path.read_bytes() for path in hosts] == texts


# --- a server that cannot be reached -----------------------------------------------------------


def test_an_unknown_name(operator):
    done = operator.fab("-H", "david@no-such-host.invalid", "full")
    refused(done, "no host is called no-such-host.invalid", "check the name after -H")


@pytest.fixture(scope="module")
def nobody(bare) -> str:
    """An address of the server's own network that nobody has."""
    return bare.host.address.rpartition(".")[0] + ".253"


def test_an_address_that_does_not_answer_in_time(operator, nobody):
    done = operator.fab("-t", "1", "-H", f"david@{nobody}", "full")
    refused(done, f"david@{nobody}", "does not answer", "is it on", "port 22")


def test_an_address_to_which_no_route_leads(operator, nobody):
    done = operator.fab("-H", f"david@{nobody}", "full")  # the kernel gives up before we do
    refused(done, f"david@{nobody}", "is it on")


def test_a_port_where_nobody_listens(bare, operator):
    done = operator.fab("-H", f"{bare.target}:2", "-i", str(operator.key), "full")
    refused(done, "refuses port 2", "does sshd run there")


def test_a_port_where_something_else_listens(bare, operator):
    bare.host.exec(
        "systemd-run -q --unit=mute systemd-socket-activate -l 2222 --inetd -a echo hello"
    )
    try:
        reach = ("-t", "3", "-H", f"{bare.target}:2222", "-i", str(operator.key))
        refused(operator.fab(*reach, "full"), f"{bare.target}:2222", "sshd")
    finally:
        bare.host.exec("systemctl stop mute")


# --- a server that does not let us in ----------------------------------------------------------


@contextmanager
def heard_by(bare):
    """Give a list, filled at the end with what the server's sshd heard meanwhile."""
    before, heard = bare.host.exec(HEARD), []
    yield heard
    deadline = time.monotonic() + 10
    while not heard and time.monotonic() < deadline:  # the journal is written a little later
        time.sleep(0.1)
        heard += bare.host.exec(HEARD).removeprefix(before).splitlines()
    assert heard, "sshd did not even hear of a connection"


def test_another_key(bare, operator, tmp_path):
    key, _ = keypair(tmp_path)
    with heard_by(bare) as heard:
        done = operator.fab("-H", bare.target, "-i", str(key), "full")
    refused(done, f"{bare.target} refuses the key", "-i", "--prompt-for-login-password")
    assert "user david" in "".join(heard)


def test_no_key(bare, operator):
    done = operator.fab("-H", bare.target, "full", env={"SSH_AUTH_SOCK": ""})
    refused(done, f"{bare.target} refuses the key", "-i", "--prompt-for-login-password")


def test_a_user_whom_the_server_does_not_know(bare, operator):
    reach = ("-H", f"nobody-here@{bare.host.address}", "-i", str(operator.key))
    refused(operator.fab(*reach, "full"), "refuses the key", "nobody-here", "-i")


def test_a_key_file_that_does_not_exist(bare, operator):
    done = operator.fab("-H", bare.target, "-i", "/nosuch/key", "full")
    refused(done, "/nosuch/key", "no such file")


def test_a_key_file_that_holds_no_key(bare, operator, tmp_path):
    (tmp_path / "key").write_text("not a key\n")
    done = operator.fab("-H", bare.target, "-i", str(tmp_path / "key"), "full")
    refused(done, str(tmp_path / "key"))


# --- a server that may be another one ----------------------------------------------------------


@pytest.fixture
def known(tmp_path):
    """The known hosts of somebody who has never been there."""
    path = tmp_path / "known_hosts"
    path.touch()
    return path


def meet(bare, known, task="deps", mode=None, **options):
    """Run a task with those known hosts; a dry one, so that success changes nothing."""
    env = {"FABRIC_LAB_KNOWN_HOSTS": str(known)}
    env |= {"FABRIC_LAB_HOST_KEY": mode} if mode else {}
    return bare.fab("--dry", task, env=env, **options)


@pytest.mark.parametrize("mode", [None, "ask", "strict"])
def test_an_unknown_host_key_in_a_pipe(bare, known, mode):
    with heard_by(bare) as heard:
        done = meet(bare, known, mode=mode, stdin="yes\n")
    refused(
        done, bare.host.address, "SHA256:", "not known", "ssh", "FABRIC_LAB_HOST_KEY=accept-new"
    )
    assert known.read_text() == ""
    assert "david" not in "".join(heard)


def test_accept_new_remembers_the_key(bare, known):
    done = meet(bare, known, mode="accept-new")
    assert done.returncode == 0, done.stdout + done.stderr
    assert known.read_text() in bare.host.host_keys()
    assert known.read_text().count("\n") == 1
    done = meet(bare, known, mode="strict")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mode", [None, "accept-new", "strict"])
def test_a_changed_host_key(bare, known, tmp_path, mode):
    _, another = keypair(tmp_path)
    line = f"{bare.host.address} {another}\n"
    known.write_text(line)
    with heard_by(bare) as heard:
        done = meet(bare, known, mode=mode, stdin="yes\n")
    refused(done, "HAS CHANGED", "SHA256:", f"ssh-keygen -R '{bare.host.address}'")
    assert known.read_text() == line
    assert "david" not in "".join(heard)


def at_a_terminal(bare, known, answers, task="deps"):
    """Run a dry task on a terminal, with those known hosts."""
    env = {"FABRIC_LAB_KNOWN_HOSTS": str(known)}
    return converse(lambda **streams: bare.start("--dry", task, env=env, **streams), answers)


def test_at_a_terminal_the_question_shows_the_fingerprint_and_yes_is_remembered(bare, known):
    done = at_a_terminal(bare, known, {"(yes/no)?": "yes"})
    assert done.returncode == 0, done.stderr
    shown = bare.host.exec("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert shown in done.stderr
    assert known.read_text() in bare.host.host_keys()
    assert known.read_text().count("\n") == 1


@pytest.mark.parametrize("answer", ["no", "", "y", "YES!"])
def test_at_a_terminal_anything_but_yes_is_no(bare, known, answer):
    with heard_by(bare) as heard:
        done = at_a_terminal(bare, known, {"(yes/no)?": answer})
    assert done.returncode == 1, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "the host key is not trusted; nothing was sent"
    assert known.read_text() == ""
    assert "david" not in "".join(heard)


def test_strict_does_not_ask_at_a_terminal(bare, known):
    env = {"FABRIC_LAB_KNOWN_HOSTS": str(known), "FABRIC_LAB_HOST_KEY": "strict"}
    done = converse(lambda **streams: bare.start("deps", env=env, **streams), {"?": "yes"})
    assert done.returncode == 1
    assert "(yes/no)" not in done.stderr
    assert "not known" in done.stderr.strip().splitlines()[-1]


# --- settings ----------------------------------------------------------------------------------

UNREACHED = ("-H", "david@no-such-host.invalid")  # settings are checked before anything is asked

# All that is refused is in tests/unit/test_settings.py; here, how it is told.
VARIABLES = {
    "a domain with a space": ("DOMAIN", "my lab", "lab.domain: 'my lab'", "lab.example.org"),
    "a misspelt name": ("DOMIAN", "x", "FABRIC_LAB_DOMIAN", "did you mean FABRIC_LAB_DOMAIN?"),
}


@pytest.mark.parametrize(("name", "value", "words"), [
    pytest.param(name, value, words, id=case) for case, (name, value, *words) in VARIABLES.items()
])  # fmt: skip
def test_a_bad_setting_in_the_environment(operator, name, value, words):
    done = operator.fab(*UNREACHED, "full", env={f"FABRIC_LAB_{name}": value})
    refused(done, *words)


FILES = {
    "a misspelt name": ("lab: {domian: x}", "lab.domian", "did you mean domain?"),
    "a text for a list": ("lab: {packages: {a: b}}", "cannot be used", "a value"),
    "a list at the top": ("- lab", "cannot be used"),
    "no YAML": ("lab: {domain: [}", "line 1", "expected"),
    "a tab": ("lab:\n\tdomain: x", "line 2", "character"),
}


@pytest.mark.parametrize(("text", "words"), [
    pytest.param(text, words, id=case) for case, (text, *words) in FILES.items()
])  # fmt: skip
def test_a_bad_setting_in_a_file_of_ones_own(operator, tmp_path, text, words):
    (tmp_path / "mine.yaml").write_text(text + "\n")
    done = operator.fab("-f", str(tmp_path / "mine.yaml"), *UNREACHED, "full")
    refused(done, *words)


def test_a_file_of_ones_own_that_is_not_there(operator):
    done = operator.fab("-f", "/nosuch.yaml", *UNREACHED, "full")
    refused(done, "/nosuch.yaml", "no such file")


def test_a_secret_from_a_file_is_not_repeated(operator, tmp_path):
    (tmp_path / "mine.yaml").write_text("lab: {password: s3cret}\n")
    done = operator.fab("-f", str(tmp_path / "mine.yaml"), *UNREACHED, "full")
    assert "s3cret" not in done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, to have a fabric.yaml of its own."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("fabfile", "templates"):
        shutil.copytree(ROOT / part, folder / part)
    return folder


PROJECT_FILES = ("a misspelt name", "no YAML")


@pytest.mark.parametrize("case", PROJECT_FILES)
def test_a_bad_setting_in_the_projects_fabric_yaml(operator, project, case):
    text, *words = FILES[case]
    (project / "fabric.yaml").write_text(text + "\n")
    refused(operator.fab(*UNREACHED, "full", folder=project), *words)


HOSTS = {
    "a number": ("hosts: [5]", "hosts: 5", "[david@1.1.1.1]"),
    "a group": ("hosts: {a: b}", "cannot be used", "a value"),
    "nothing": ("hosts: []", "no host given", "fab -H"),
}


@pytest.mark.parametrize(("text", "words"), [
    pytest.param(text, words, id=case) for case, (text, *words) in HOSTS.items()
])  # fmt: skip
def test_bad_hosts_in_the_projects_fabric_yaml(operator, project, text, words):
    (project / "fabric.yaml").write_text(text + "\n")
    refused(operator.fab("full", folder=project), *words)


def test_a_password_that_nobody_could_type(operator):
    done = operator.fab(*UNREACHED, "full", env={"LAB_PASSWORD": "two\nlines"})
    refused(done, "password", "line break")
    assert "two" not in done.stdout + done.stderr


def test_no_terminal_to_ask_for_a_password_on(bare):
    refused(bare.fab("password"), "no terminal", "LAB_PASSWORD")


# --- a server that is unfit --------------------------------------------------------------------


SYSTEMS = {
    "Fedora": ("ID=fedora", "VERSION_ID=40", "PRETTY_NAME='Fedora Linux 40'"),
    "Debian GNU/Linux 11": ("ID=debian", "VERSION_ID=11", "PRETTY_NAME='Debian GNU/Linux 11'"),
    "Ubuntu 20": ("ID=ubuntu", "ID_LIKE=debian", "VERSION_ID=20.04", "PRETTY_NAME='Ubuntu 20'"),
    "arch": ("ID=arch",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "name"), [*(("full", name) for name in SYSTEMS), ("deps", "Fedora")]
)
def test_another_system(bare, name, task):
    with text_of(bare.host, "/usr/lib/os-release", "\n".join(SYSTEMS[name])):
        done = bare.fab(task)
    refused(done, f"this is {name}", "24" if name == "Ubuntu 20" else "12", "newer")


STEPS = {"jupyter": "deps", "systemd": "jupyter", "password": "deps", "token": "full"}


@pytest.mark.parametrize(("task", "first"), STEPS.items())
def test_a_step_before_its_turn(bare, task, first):
    refused(bare.fab(task, env={"LAB_PASSWORD": "correct horse"}), first)


def test_a_proof_of_nothing(bare):
    refused(bare.fab("verify"), "fab -H", bare.target)


def test_nothing_of_all_this_changed_the_server(bare, before):
    assert state(bare) == before


SUDO = {
    "asks": ({"sudo": "password", "password": "right"}, {}, "--prompt-for-sudo-password"),
    "wrong": (
        {"sudo": "password", "password": "right"},
        {"FABRIC_SUDO_PASSWORD": "wr0ng"},
        "refuses this password",
    ),
    "not allowed": ({"sudo": "none"}, {}, "sudo"),
    "not allowed with a password": (
        {"sudo": "none", "password": "right"},
        {"FABRIC_SUDO_PASSWORD": "right"},
        "may not use sudo",
    ),
}


@pytest.mark.parametrize(("how", "env", "words"), [
    pytest.param(how, env, words, id=case) for case, (how, env, *words) in SUDO.items()
])  # fmt: skip
def test_sudo_that_does_not_let_us(server, how, env, words):
    eve = server("refused", "eve", **how)
    before = state(eve)
    done = eve.fab("deps", env=env)
    refused(done, *words, "eve")
    assert state(eve) == before
    assert "wr0ng" not in done.stdout + done.stderr


def test_a_wrong_sudo_password_at_a_terminal(server):
    eve = server("refused", "eve", sudo="password", password="right")
    before = state(eve)
    done = converse(lambda **streams: eve.start("deps", **streams), {f"{eve.target}:": "wr0ng"})
    assert done.returncode == 1, done.stderr
    assert "refuses this password" in done.stderr.strip().splitlines()[-1]
    assert "wr0ng" not in done.stderr
    assert state(eve) == before
