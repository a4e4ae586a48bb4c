"""Every command of README.md and docs/, typed literally, on a real server, as one long day.

The operator has what the documents suppose: a ~/.ssh/config, through which 1.1.1.1 and the names
a, b, c and web1 lead to the one server here, a known_hosts, and an /etc/hosts of their own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from documented import ASKS, DAY, FAB, PARTLY
from servers import ELSEWHERE
from terminal import converse

from testbed.host import keypair
from testbed.machine import ROOT

pytestmark = pytest.mark.docs

README = (ROOT / "README.md").read_text()
LASTING = {f"{FAB} logs --follow": "", f"{FAB} open --tunnel": "until Ctrl-C"}  # -> what it says
BEFORE = {  # what the documents suppose
    f"{FAB} tls --status": lambda desk: desk.sets("tls: self-signed"),
    "fab fleet full --retry-failed": lambda desk: desk.leads(c=desk.host.address),
    f"{FAB} upgrade --lock": lambda desk: desk.host.exec(OUTDATED),  # or nothing would be newer
}
OUTDATED = "su david -c '~/project/venv/bin/pip install -q --no-deps idna==3.6'"


class Desk:
    """Where the operator sits: a checkout, a home, an /etc/hosts, and a shell."""

    def __init__(self, host, folder: Path):
        self.host, self.home, self.checkout = host, folder / "home", folder / "checkout"
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1\tlocalhost\n")
        _, public = keypair(self.home / ".ssh")
        host.add_user("david", public_key=public)
        host.exec("install -d -m 0700 /root/.ssh; cp ~david/.ssh/authorized_keys /root/.ssh/")
        (self.home / ".ssh" / "known_hosts").write_text(host.host_keys())
        self.leads(c="127.0.0.1\n  Port 9")  # nobody is there
        for part in ("fabfile", "templates", "docs"):
            shutil.copytree(ROOT / part, self.checkout / part)
        programs = self.checkout / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name in ("activate", "fab", "invoke"):
            (programs / name).symlink_to(Path(sys.executable).parent / name)

    def leads(self, c: str) -> None:
        """Write ~/.ssh/config.

        :param c: where the name c leads.
        """
        there, key = self.host.address, self.home / ".ssh" / "key"
        text = f"Host 1.1.1.1 a b web1\n  HostName {there}\nHost c\n  HostName {c}\n"
        text += f"Host *\n  User david\n  IdentityFile {key}\n"
        (self.home / ".ssh" / "config").write_text(text)

    def sets(self, setting: str) -> None:
        """Write a line into fabric.yaml."""
        path = self.checkout / "fabric.yaml"
        text = path.read_text() if path.exists() else "lab:\n"
        path.write_text(f"{text}  {setting}\n")

    def start(
        self,
        command: str,
        stdin: int = subprocess.DEVNULL,
        out: int = subprocess.PIPE,
        errors: int = subprocess.STDOUT,
    ) -> subprocess.Popen[str]:
        """Type a command, in a shell that has the virtual environment."""
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("FABRIC_", "LAB_"))}
        shell = f"cd {self.checkout} && . .venv/bin/activate && {command}"
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", ELSEWHERE, "sh", self.hosts, "bash", "-c", shell],
            env={**clean, "HOME": str(self.home), "BROWSER": "true"},
            stdin=stdin,
            stdout=out,
            stderr=errors,
            start_new_session=True,
            text=True,
        )

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Type it, and wait for its end; one that lasts is ended by Ctrl-C, as soon as it works."""
        with self.start(command) as running:
            if command in LASTING:
                said = ""
                while LASTING[command] not in said or not said:
                    said += running.stdout.readline()
                time.sleep(0.5)
                os.killpg(running.pid, signal.SIGINT)
            out, _ = running.communicate(timeout=300)
        return subprocess.CompletedProcess(command, running.returncode, out)


@pytest.fixture(scope="module")
def desk(server, tmp_path_factory):
    return Desk(server("documented").host, tmp_path_factory.mktemp("desk"))


def typed(desk: Desk, command: str) -> subprocess.CompletedProcess[str]:
    """Do what comes before a command, and type it."""
    BEFORE.get(command, lambda desk: None)(desk)
    if command != ASKS:
        return desk.run(command)
    questions = {"for JupyterLab:": "a longer one", "Once more:": "a longer one"}
    return converse(lambda **streams: desk.start(command, **streams), questions)


@pytest.fixture(scope="module")
def day(desk):
    """Give a function that types a command, after all that come before it in the day."""
    done = {}

    def at(command: str) -> subprocess.CompletedProcess[str]:
        for each in DAY[: DAY.index(command) + 1]:
            if each not in done:
                done[each] = typed(desk, each)
        return done[command]

    return at


@pytest.mark.parametrize("command", DAY)
def test_a_command_of_the_documents_does_its_work(day, command):
    done = day(command)
    assert done.returncode == (1 if command == PARTLY else 0), done.stdout + (done.stderr or "")


def steps(text: str) -> list[str]:
    """What was done, and what was proved, without the times; a line may be cut off by `...`."""
    told = r"^  (?:done +[\d.]+ s|verify ) +(.+?)(?:\.\.\.)?$"
    return re.findall(told, text, re.MULTILINE)


def test_the_output_in_the_readme_is_that_of_a_bare_server(day):
    shown, real = steps(README), steps(day(DAY[0]).stdout)
    assert len(shown) == len(real) > 15
    assert [pair for pair in zip(shown, real, strict=True) if not pair[1].startswith(pair[0])] == []


def test_the_demo_shows_a_server_and_takes_it_away(desk):
    if (ROOT / ".demo").exists():
        pytest.skip("somebody looks at a demo of their own")
    there = f"cd {ROOT} && {sys.executable} -m invoke"
    try:
        done = desk.run(f"{there} demo")
        assert done.returncode == 0 and "JupyterLab is at http" in done.stdout, done.stdout
        (other,) = re.findall(r"^Any other task, like this one: (.+)", done.stdout, re.MULTILINE)
        seen = desk.run(f"cd {ROOT} && {other}")
        assert seen.returncode == 0 and "nothing to change" in seen.stdout, seen.stdout
    finally:
        gone = desk.run(f"{there} demo --down")
    assert gone.returncode == 0 and not (ROOT / ".demo").exists(), gone.stdout
