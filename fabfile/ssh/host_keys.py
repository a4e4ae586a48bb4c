"""Host keys, checked before anything is sent to a server; Fabric itself accepts any key."""

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
    """Return the fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


class Unknown(MissingHostKeyPolicy):
    """A policy for host keys that known_hosts does not have."""

    def __init__(self, mode: str, known_hosts: Path):
        self.mode = mode
        self.known_hosts = known_hosts

    def missing_host_key(self, client, hostname: str, key: PKey) -> None:
        """Accept and remember the key, or refuse it, as the setting or the operator says."""
        if self.mode.startswith("SHA256:"):
            if self.mode != fingerprint(key):
                raise Exit(f"{hostname} shows {fingerprint(key)}, not the pinned {self.mode}")
            return
        name = f"{hostname} ({key.get_name()}, {fingerprint(key)})"
        if self.mode == "ask" and may_ask():
            answer = input(f"The host key of {name} is not known here. Trust it (yes/no)? ")
            if answer.strip().lower() != "yes":
                raise Exit("the host key is not trusted; nothing was sent")
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
    """Load the known hosts of the system and of the operator into the connection."""
    known_hosts = Path(settings.known_hosts).expanduser()
    if settings.host_key.startswith("SHA256:"):  # a pinned key overrides known_hosts
        c.client.set_missing_host_key_policy(Unknown(settings.host_key, known_hosts))
        return
    for path in (Path("/etc/ssh/ssh_known_hosts"), known_hosts):
        if path.is_file():
            c.client.load_system_host_keys(str(path))
    c.client.set_missing_host_key_policy(Unknown(settings.host_key, known_hosts))


def changed(c: Connection, problem: BadHostKeyException) -> str:
    """Return the message about a changed host key: what it may mean, and what to do."""
    name = c.host if c.port == 22 else f"[{c.host}]:{c.port}"
    name = c.ssh_config.get("hostkeyalias") or name
    return (
        f"THE HOST KEY OF {name} HAS CHANGED: it is {fingerprint(problem.key)}, known_hosts has "
        f"{fingerprint(problem.expected_key)}. The server is new, or somebody intercepts you: make "
        f"sure, then `ssh-keygen -R '{name}'` and run again. Nothing was sent to the server."
    )
