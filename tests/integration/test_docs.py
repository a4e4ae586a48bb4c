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
from commands import PROGRAM, all_commands, complete, told_by
from servers import ELSEWHERE
from terminal import converse

from testbed.host import keypair
from testbed.machine import ROOT

pytestmark = pytest.mark.docs

FAB = "fab -H david@1.1.1.1"
README = (ROOT / "README.md").read_text()
ASKS = f"{FAB} password"  # types a password
LASTING = {f"{FAB} logs --follow": "", f"{FAB} open --tunnel": "until Ctrl-C"}  # -> what it says
PARTLY = "fab fleet full --on a,b,c"  # c is not there yet

# What is typed, in this order; a command that leaves what the next ones need stands before them.
DAY = [
    f".venv/bin/{FAB} full",
    ". .venv/bin/activate",
    'eval "$(fab --print-completion-script bash)"',
    "fab --list",
    "fab --help upgrade",
    "fab --dry -H david@1.1.1.1 full",
    f"{FAB} full",
    f"{FAB} script",
    *(f"{FAB} {step}" for step in (
        "deps", "jupyter", "systemd", "tls", "nginx", "fail2ban", "schedule", "kernels",
        "kernels --list", "hosts", "doctor", "verify", "status", "status --json", "status --drift",
        "audit", "open", "token",
    )),
    f"{FAB} open --tunnel",
    "LAB_PASSWORD='correct horse' fab -H david@1.1.1.1 full",
    ASKS,
    "LAB_PASSWORD='battery staple' fab -H david@1.1.1.1 password",
    f"{FAB} token --rotate",
    "FABRIC_LAB_USER=david fab -H root@1.1.1.1 full",
    "FABRIC_LAB_DOMAIN=lab.example.org fab --dry -H david@1.1.1.1 full",
    "FABRIC_LAB_TLS=self-signed fab -H david@1.1.1.1 full",
    "FABRIC_LAB_TLS=self-signed fab -H david@1.1.1.1 tls --status",
    "FABRIC_LAB_TLS=self-signed fab -H david@1.1.1.1 tls --new-ca",
    f"{FAB} tls --status",
    f"{FAB} stop",
    f"{FAB} start",
    f"{FAB} restart",
    PARTLY,
    "fab fleet full --retry-failed",
    "fab fleet status --on a,b,c --drift",
    f"{FAB} packages --add numpy",
    f'{FAB} packages --add "numpy pandas>=2"',
    "fab fleet 'packages --add numpy' --on 'web*'",
    f"{FAB} packages --remove pandas",
    f"{FAB} packages --list",
    f"{FAB} upgrade --lock",
    f"{FAB} upgrade",
    "fab fleet upgrade --on a,b,c",
    f"{FAB} rollback",
    f"{FAB} jupyter --anew",
    f"{FAB} logs",
    f"{FAB} logs --since '1 hour ago'",
    f"{FAB} logs --jupyter",
    f"{FAB} logs --follow",
    f"{FAB} backup",
    'tar --zstd -xf "$(ls -t backups/1.1.1.1/*.tar.zst | head -n 1)" project lock.txt',
    f"{FAB} backup --there",
    f"{FAB} backup --list",
    f"{FAB} restore latest",
    "fab --dry -H david@1.1.1.1 uninstall",
    f"{FAB} uninstall",
]  # fmt: skip

# What is typed nowhere here, and where it is run instead.
RUN_ELSEWHERE = {
    **dict.fromkeys(
        [
            f"{FAB} cluster",
            *(
                f"{FAB} cluster {option}"
                for option in (
                    "--workers david@w1,david@w2",
                    "--add david@w3",
                    "--status",
                    "--remove david@w3",
                )
            ),
        ],
        "it takes four hosts: test_cluster.py",
    ),
    "./bootstrap": "how every run of this suite begins (.ci/run)",
    "./bootstrap test": "a part of this very suite (.ci/run)",
    "./bootstrap test --all": "this very suite",
    "./bootstrap test --matrix": "half an hour: eight of its points are in test_interrupted.py",
    "./bootstrap demo": "test_the_demo_shows_a_server_and_takes_it_away, below",
    "./bootstrap demo --down": "the same",
    **dict.fromkeys(
        (
            "fab -H anna@1.1.1.1 full",
            "fab -H anna@1.1.1.1 status",
            "fab fleet full --on class",
            "fab fleet token --on class",
            "fab fleet status --on class",
            "fab fleet restart --on ben/root@1.1.1.1",
            "fab fleet full --on class --limit carl",
        ),
        "by several people on one server: test_several.py",
    ),
    "invoke docs": "what it writes is in tests/unit/test_reference.py",
    "sudo .venv/bin/invoke bench": "half an hour: its parts are in tests/unit/test_bench.py",
    "sudo .venv/bin/invoke bench --pages": "ten minutes, on a machine with nothing else to do",
    "sudo .venv/bin/invoke bench --sizing": "as long, on such a one",
    "sudo .venv/bin/invoke bench --cluster": "the same; answers, not seconds: test_cluster.py",
    "for n in 1 2 3 4 5 6 7 8 9; do": "a measurement: test_idle.py wakes one that sleeps",
}
BEFORE = {  # what the documents suppose
    f"{FAB} tls --status": lambda desk: desk.sets("tls: self-signed"),
    "fab fleet full --retry-failed": lambda desk: desk.leads(c=desk.host.address),
    f"{FAB} upgrade --lock": lambda desk: desk.host.exec(OUTDATED),  # or nothing would be newer
}
OUTDATED = "su david -c '~/project/venv/bin/pip install -q --no-deps idna==3.6'"


def test_every_command_of_the_documents_is_run():
    whole = [c for c in all_commands() if not PROGRAM.match(c) or complete(c)]
    assert sorted({*DAY, *RUN_ELSEWHERE}) == sorted(whole)


def test_every_mention_of_a_task_is_of_one_that_is_run():
    mentions = [c for c in all_commands() if c not in DAY and c not in RUN_ELSEWHERE]
    assert [mention for mention in mentions if not told_by(mention, [*DAY, *RUN_ELSEWHERE])] == []


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
        shutil.copy(ROOT / "fabric.yaml", self.checkout)
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
        with (self.checkout / "fabric.yaml").open("a") as file:
            file.write(f"  {setting}\n")

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
    """What was done and asked, without the times; a line may be cut off by `...`."""
    return re.findall(r"^  (?:done|ok) +[\d.]+ s  (.+?)(?:\.\.\.)?$", text, re.MULTILINE)


def test_the_output_in_the_readme_is_that_of_a_bare_server(day):
    shown, real = steps(README), steps(day(DAY[0]).stdout)
    assert len(shown) == len(real) > 20
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
