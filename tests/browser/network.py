"""The network of a browser: quiet where others come and go, and lost for a while where wanted."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.host import Host, docker


def entering(container: str) -> list[str]:
    """Return the words that run a program of this machine in a container's network, as root."""
    process = docker("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
    return ["nsenter", "--net", f"--target={process}", "--"]


def within(host: Host, *command: str) -> None:
    """Run a program of this machine in the server's network; needs root."""
    subprocess.run([*entering(host.container), *command], check=True)


def this_machine(host: Host) -> str:
    """Return the address of this machine in the server's network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as chosen:
        chosen.connect((host.address, 9))  # sends nothing
        return chosen.getsockname()[0]


@contextmanager
def neighbour(host: Host, program: Path, folder: Path) -> Iterator[Path]:
    """Give a program that runs another one on a machine of its own in the server's network.

    A browser that sees the networks of this machine gives up requests (ERR_NETWORK_CHANGED)
    whenever another test starts or removes a server. Without root it has to live with that.
    """
    if os.geteuid() != 0:
        yield program
        return
    network = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}"
    asked = "inspect", "--format", "{{.Config.Image}} " + network, host.container
    image, joined = docker(*asked).stdout.split()
    # the image of a settled server says that it belongs to docker-compose, which would recreate it
    run = "run", "--detach", "--rm", "--network", joined, "--label", "com.docker.compose.project="
    run += "--entrypoint", "sleep"
    machine = docker(*run, image, "infinity").stdout.strip()
    try:
        script = folder / "browser"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(entering(machine))} {program} "$@"\n')
        script.chmod(0o755)
        yield script
    finally:
        docker("rm", "--force", machine)


@contextmanager
def lost(host: Host, port: int, reset: bool) -> Iterator[None]:
    """Lose every packet from and to a port.

    :param reset: also tell both ends of every connection that it is gone, as a firewall may, or
        an Nginx that is started anew.
    """
    to = ("INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
    fro = ("OUTPUT", "-p", "tcp", "--sport", str(port), "-j", "DROP")
    within(host, "iptables", "-I", *to)
    if reset:  # while it is told, but a browser, which comes back at once, no longer gets there
        within(host, "ss", "-K", "-tn", "state", "established", f"sport = :{port}")
    within(host, "iptables", "-I", *fro)
    try:
        yield
    finally:
        for rule in (to, fro):
            within(host, "iptables", "-D", *rule)
