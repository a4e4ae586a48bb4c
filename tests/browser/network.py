"""A server that nobody reaches for a while: packets are lost, or connections are reset, too."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.host import Host, docker


def within(host: Host, *command: str) -> None:
    """Run a program of this machine in the server's network; needs root."""
    process = docker("inspect", "--format", "{{.State.Pid}}", host.container).stdout.strip()
    subprocess.run(["nsenter", "--net", f"--target={process}", *command], check=True)


@contextmanager
def lost(host: Host, port: int, reset: bool) -> Iterator[None]:
    """Lose every packet from and to a port.

    :param reset: first tell both ends of every connection that it is gone, as a firewall may, or
        an Nginx that is started anew.
    """
    rules = [
        ("INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP"),
        ("OUTPUT", "-p", "tcp", "--sport", str(port), "-j", "DROP"),
    ]
    if reset:
        within(host, "ss", "-K", "-tn", "state", "established", f"sport = :{port}")
    for rule in rules:
        within(host, "iptables", "-I", *rule)
    try:
        yield
    finally:
        for rule in rules:
            within(host, "iptables", "-D", *rule)
