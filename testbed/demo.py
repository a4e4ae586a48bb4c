"""The demo: one bare server, one user, and the command that an operator would type."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from shlex import join
from zlib import crc32

from testbed import engine, image
from testbed.host import Host, keypair
from testbed.machine import ROOT, say

PROJECT = f"jupyterlab-demo-{crc32(str(ROOT).encode()):08x}"  # each copy of this folder has its own
FOLDER = ROOT / ".demo"
USER = "david"
DOMAIN = "jupyterlab-demo.vmdomain.io"  # its line in /etc/hosts is no other server's
ENVIRONMENT = {
    "FABRIC_LAB_DOMAIN": DOMAIN,
    "FABRIC_LAB_KNOWN_HOSTS": str(FOLDER / "known_hosts"),
}


def up() -> Host:
    """Start the server, make its user, and keep the key and the host keys in .demo."""
    compose = engine.compose()
    name = image.ensure()
    say("starting a bare Debian server")
    run_compose(compose, "up", "-d", TESTBED_IMAGE=name)
    host = Host(run_compose(compose, "ps", "-q", "host").strip())
    host.wait_ready()
    _, public_key = keypair(FOLDER)
    host.add_user(USER, public_key=public_key)
    (FOLDER / "known_hosts").write_text(host.host_keys())
    return host


def down() -> int:
    """Remove the server, its network, .demo and the line in this machine's /etc/hosts.

    :returns: the exit code of the command that cleans /etc/hosts.
    """
    code = fab("hosts", "--remove")
    if engine.complaint() is None:
        say("removing the server and its network")
        run_compose(engine.compose(), "down", "--volumes")
    shutil.rmtree(FOLDER, ignore_errors=True)
    return code


def deploy(host: Host) -> int:
    """Run the deployment as an operator would and return its exit code."""
    return fab(*reach(host), "full")


def reach(host: Host) -> list[str]:
    """Return the options with which fab reaches the server."""
    key = (FOLDER / "key").relative_to(ROOT)
    return ["-H", f"{USER}@{host.address}", "-i", str(key)]


def fab(*arguments: str) -> int:
    """Show a Fabric command, run it in this terminal, and return its exit code."""
    print(f"\n$ {command_line(*arguments)}", flush=True)
    program = Path(sys.executable).parent / "fab"
    ran = subprocess.run([program, *arguments], cwd=ROOT, env={**os.environ, **ENVIRONMENT})
    return ran.returncode


def command_line(*arguments: str) -> str:
    """Return a Fabric command that can be pasted into a shell in the project's folder."""
    settings = [f"{name}={value.removeprefix(f'{ROOT}/')}" for name, value in ENVIRONMENT.items()]
    program = str(Path(sys.executable).parent / "fab").removeprefix(f"{ROOT}/")
    return join([*settings, program, *arguments])


def run_compose(
    compose: list[str], *arguments: str, project: str = PROJECT, **environment: str
) -> str:
    """Run compose on a project and return its output; its progress goes to standard error."""
    file = ROOT / "testbed" / "compose.yml"
    return subprocess.run(
        [*compose, "--file", str(file), "--project-name", project, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
