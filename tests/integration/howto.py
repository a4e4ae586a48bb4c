"""The how-to that this project replaces, followed to the letter."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from testbed.host import docker

FILES = Path(__file__).parent / "howto"
LITTLE = 'APT::Install-Recommends "false";'  # else pip brings a compiler, which nobody needs here
PASSWORD = "what the how-to has one type"


def follow(server) -> None:
    """Type the how-to's commands on a bare server, and wait until Nginx reaches JupyterLab."""
    docker("cp", f"{FILES}/.", f"{server.host.container}:/root/howto")
    server.host.exec(f"echo '{LITTLE}' >/etc/apt/apt.conf.d/90little")
    server.host.exec(
        f"sh /root/howto/install.sh /root/howto {quote(PASSWORD)} >/root/howto/log 2>&1"
    )
    server.host.exec("timeout 60 sh -c 'until ss -Hltn | grep -q :8888; do sleep 0.2; done'")
