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
