"""Four ways to the same server, as the command lines that their users type.

`ssh` is the ideal: one plain script through one session, which knows beforehand what to do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import venv
from dataclasses import dataclass, field, replace
from pathlib import Path

from fabfile.doctor.proof import script as checks
from fabfile.engine import plan
from fabfile.settings import Settings
from testbed.machine import ROOT

from .servers import FACTS, FOLDER, KEY, KNOWN_HOSTS, STEPS, Servers, rendered

PEERS, TOOLS = Path(__file__).parent / "peers", FOLDER / "peers"
FIRST_FILE = ROOT / "fabric.yaml"
SSH = f"-F none -o UserKnownHostsFile={KNOWN_HOSTS} -i {KEY}"


@dataclass(frozen=True)
class Job:
    """What is to be done.

    :param prefix: the words before every command: where it runs.
    :param limit: the upload limit, which stands in one template.
    :param bare: whether the servers are bare, and verified at the end by those who can.
    """

    servers: Servers
    prefix: tuple[str, ...] = ()
    limit: str = "64m"
    bare: bool = False


@dataclass(frozen=True)
class Command:
    """One process: its words, its input, and what it finds in its environment."""

    words: list[str]
    stdin: str = ""
    env: dict[str, str] = field(default_factory=dict)


def fab(job: Job) -> list[Command]:
    """This project."""
    names = {"KNOWN_HOSTS": KNOWN_HOSTS, "HOSTS_FILE": FOLDER / "hosts", "UPLOAD_LIMIT": job.limit}
    env = {f"FABRIC_LAB_{name}": str(value) for name, value in names.items()}
    program = [*job.prefix, str(Path(sys.executable).parent / "fab"), "-i", str(KEY)]
    proof = [] if job.bare else ["--no-verify"]
    targets = ",".join(job.servers.targets)
    one = len(job.servers.hosts) == 1
    words = ["-H", targets, "full"] if one else ["fleet", "full", "--on", targets]
    return [Command([*program, *words, *proof], env=env)]


def by_auto(job: Job, *words: str) -> list[Command]:
    """A first run that chooses HTTPS by itself, with a private CA of its own."""
    FIRST_FILE.unlink(missing_ok=True)  # that of the former server
    (command,) = fab(job)
    env = {"FABRIC_LAB_TLS": "auto", "FABRIC_LAB_CA_FOLDER": f"{FOLDER}/ca-{time.monotonic_ns()}"}
    return [replace(command, words=[*command.words[:-1], *words], env={**command.env, **env})]


def full(job: Job) -> list[Command]:
    """The run alone."""
    return by_auto(job, "full")


def init(job: Job) -> list[Command]:
    """The questions, answered by options, then the same run; it writes a fabric.yaml."""
    return by_auto(job, "init", "--yes")


def ssh(job: Job) -> list[Command]:
    """One script, one session a server, all at once; the script is fab's own, made beforehand."""
    return [
        Command([*job.prefix, "ssh", *SSH.split(), target, "sh"], script(job, host))
        for host, target in zip(job.servers.hosts, job.servers.targets, strict=True)
    ]


def script(job: Job, host) -> str:
    """The least that does the job: it looks, makes the changes that are needed, and looks again."""
    settings = Settings(upload_limit=job.limit)
    items = plan.gather(STEPS, settings, FACTS)
    reading = str(plan.reading_script(items, Settings()))
    lines = host.exec(f"su david -c sh <<'EOF'\n{reading}EOF").splitlines()
    sections = plan.split(lines)
    states = [item.parse(sections[str(n)]) for n, item in enumerate(items)]
    changes = plan.compare(items, states, {plan.name(step) for step in STEPS})
    if not changes:
        return reading
    applying = str(plan.apply_script(FACTS, items, changes, "bench"))
    proof = str(checks(settings)) if job.bare else ""
    return f"sudo sh -c 'eval \"$(cat)\"' <<'APPLY'\n{applying}APPLY\n{proof}"


def ansible(job: Job) -> list[Command]:
    """Ansible, with pipelining, a fork for each server, and one connection kept through the run.

    Each run makes its own, as those of the others do: the operator has been away for a while.
    """
    inventory = FOLDER / "inventory.ini"
    inventory.write_text("\n".join(job.servers.addresses) + "\n")
    env = {
        "ANSIBLE_CONFIG": str(PEERS / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/bench-{time.monotonic_ns()}",
        "ANSIBLE_LOCAL_TEMP": str(FOLDER / "ansible"),
        "PATH": f"{TOOLS / 'bin'}:{os.environ['PATH']}",
    }
    words = [str(TOOLS / "bin/ansible-playbook"), "-i", str(inventory), "-u", "david"]
    words += ["--ssh-common-args", SSH, "-e", f"files={rendered(job.limit)}"]
    return [Command([*job.prefix, *words, str(PEERS / "playbook.yml")], env=env)]


def pyinfra(job: Job) -> list[Command]:
    """pyinfra, which speaks to all servers at once by itself."""
    data = {
        "files": rendered(job.limit),
        "ssh_user": "david",
        "ssh_key": KEY,
        "ssh_known_hosts_file": KNOWN_HOSTS,
    }
    words = [str(TOOLS / "bin/pyinfra"), "-y", ",".join(job.servers.addresses)]
    words += [str(PEERS / "deploy.py")]
    words += [word for name, value in data.items() for word in ("--data", f"{name}={value}")]
    return [Command([*job.prefix, *words])]


FIRST = {"full": full, "init": init}
WAYS = {"fab": fab, "ssh, one script": ssh, "pyinfra": pyinfra, "Ansible": ansible}
# What each says when it found nothing to do, and whether it says so of every server.
IDLE = {
    "fab": ("nothing to change", True),
    "ssh, one script": (r"(?m)^@\S+ end$", True),
    "pyinfra": (r"Grand total +\d+ +- +- ", False),
    "Ansible": ("changed=0 .*failed=0", True),
}


def idle(way: str, output: str, servers: Servers) -> bool:
    """Whether it said so."""
    pattern, of_each = IDLE[way]
    return len(re.findall(pattern, output)) >= (len(servers.hosts) if of_each else 1)


def provide_peers() -> None:
    """Put the peers into a virtual environment of their own, unless they are there."""
    wanted = (PEERS / "requirements.txt").read_text()
    stamp = TOOLS / "stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    venv.create(TOOLS, clear=True, with_pip=True)
    pip = [str(TOOLS / "bin/python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "-r", str(PEERS / "requirements.txt")], check=True)
    stamp.write_text(wanted)
