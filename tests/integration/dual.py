"""A server of the testbed by IPv6, which Docker gives it only where somebody set that up."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from testbed.host import Host, docker


@contextmanager
def by_ipv6(host: Host):
    """Give the server an IPv6 address that this machine reaches; undone at the end."""
    (detail,) = json.loads(docker("inspect", host.container).stdout)
    (network,) = detail["NetworkSettings"]["Networks"].values()
    name, pid = network["NetworkID"], detail["State"]["Pid"]
    # each of Docker's networks has its own addresses: tests run beside each other
    bridge, prefix = f"br-{name[:12]}", f"fd00:{name[:4]}:{name[4:8]}"
    theirs, ours = (str(ip_address(f"{prefix}::{number}")) for number in (2, 1))
    inside = ["nsenter", "-t", str(pid), "-n"]
    commands = [
        [*inside, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0"],
        [*inside, "ip", "-6", "addr", "replace", f"{theirs}/64", "dev", "eth0", "nodad"],
        ["sysctl", "-qw", f"net.ipv6.conf.{bridge}.disable_ipv6=0"],
        ["ip", "-6", "addr", "add", f"{ours}/64", "dev", bridge, "nodad"],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no IPv6 here: {' '.join(command)}: {done.stderr.strip()}")
    try:
        yield theirs
    finally:
        subprocess.run(["ip", "-6", "addr", "del", f"{ours}/64", "dev", bridge], check=True)
