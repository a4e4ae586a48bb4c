"""Check who the server is before anything is said to it; Fabric by itself accepts any key."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from fabric import Connection
from invoke import Exit
from paramiko import BadHostKeyException, MissingHostKeyPolicy, PKey

from ..settings import Settings
from ..ui.console import may_ask


def fingerprint(key: PKey) -> str:
    """Give the fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


class Unknown(MissingHostKeyPolicy):
    """What to do with a server that known_hosts does not name."""

    def __init__(self, mode: str, known_hosts: Path):
        self.mode = mode
        self.known_hosts = known_hosts

    def missing_host_key(self, client, hostname: str, key: PKey) -> None:
        """Accept and remember, or refuse, by the setting and the operator's own word."""
        if self.mode.startswith("SHA256:"):
            if self.mode != fingerprint(key):
                raise Exit(f"{hostname} shows {fingerprint(key)}, pinned is {self.mode}: refused")
            return
        name = f"{hostname} ({key.get_name()}, {fingerprint(key)})"
        if self.mode == "ask" and may_ask():
            answer = input(f"The host key of {name} is not known here. Trust it (yes/no)? ")
            if answer.strip().lower() != "yes":
                raise Exit("not trusted; nothing was sent to it")
        elif self.mode != "accept-new":
            raise Exit(
                f"the host key of {name} is not known here: log in once with ssh, or set "
                "FABRIC_LAB_HOST_KEY=accept-new"
            )
        self.known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self.known_hosts.read_bytes() if self.known_hosts.exists() else b""
        start = "" if known[-1:] in (b"", b"\n") else "\n"
        with self.known_hosts.open("a") as file:
            file.write(start + f"{hostname} {key.get_name()} {key.get_base64()}\n")


def check_with(c: Connection, settings: Settings) -> None:
    """Let the connection know the known hosts, the system's and the operator's."""
    known_hosts = Path(settings.known_hosts).expanduser()
    if settings.host_key.startswith("SHA256:"):  # what is pinned counts more than what is known
        c.client.set_missing_host_key_policy(Unknown(settings.host_key, known_hosts))
        return
    for path in (Path("/etc/ssh/ssh_known_hosts"), known_hosts):
        if path.is_file():
            c.client.load_system_host_keys(str(path))
    c.client.set_missing_host_key_policy(Unknown(settings.host_key, known_hosts))


def changed(c: Connection, problem: BadHostKeyException) -> str:
    """Say what a changed key may mean and what to do, as OpenSSH does."""
    name = c.host if c.port == 22 else f"[{c.host}]:{c.port}"
    name = c.ssh_config.get("hostkeyalias") or name
    return (
        f"THE HOST KEY OF {name} HAS CHANGED: it shows {fingerprint(problem.key)}, known is "
        f"{fingerprint(problem.expected_key)}. Someone may be in between, or the server is new: "
        f"make sure, then `ssh-keygen -R '{name}'` and run again. Nothing was sent to it."
    )
