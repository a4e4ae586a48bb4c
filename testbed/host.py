"""A server of the testbed, seen from its console."""

import re
import socket
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from testbed import shells

READY_SECONDS = 60
SUDOERS = {"nopasswd": "NOPASSWD: ALL", "password": "ALL"}


class HostError(RuntimeError):
    """A command on a server of the testbed failed, or the server did not come up."""


@dataclass(frozen=True)
class Host:
    """A running container with systemd and sshd, by its name or id."""

    container: str

    @property
    def address(self) -> str:
        """The IP address of the server."""
        return address_of(self.container)

    def exec(self, script: str, check: bool = True) -> str:
        """Run a shell script as root and return what it prints.

        :raises HostError: when it fails and `check` is true.
        """
        done = shells.run(self.container, script)
        if check and done.returncode:
            raise HostError(f"docker exec: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def add_user(
        self,
        name: str,
        *,
        home: str | None = None,
        group: str | None = None,
        public_key: str,
        sudo: Literal["nopasswd", "password", "none"] = "nopasswd",
        password: str | None = None,
    ) -> None:
        """Create a user who can log in with a key; of an existing one, set key, sudo and password.

        :param home: home directory, default /home/NAME.
        :param group: primary group, default one named like the user.
        :param public_key: the line for authorized_keys.
        :param sudo: whether it can become root without a password, with it, or not at all.
        :param password: None leaves the user without a password.
        """
        home = home or f"/home/{name}"
        belongs = f"--gid {quote(group)}" if group else "--user-group"
        sudoers = quote("/etc/sudoers.d/" + re.sub(r"\W", "_", name))  # sudo skips names with a dot
        lines = [
            f"groupadd --force {quote(group)}" if group else "",
            f"mkdir -p -- {quote(str(Path(home).parent))}",
            f"id -u -- {quote(name)} >/dev/null 2>&1 || useradd --create-home {belongs} "
            f"--home-dir {quote(home)} --shell /bin/bash -- {quote(name)}",
            f"own=$(id -u -- {quote(name)}):$(id -g -- {quote(name)})",
            f"cd -- {quote(home)} && chmod 0700 . && mkdir -p -m 0700 .ssh",
            f"printf '%s\\n' {quote(public_key.strip())} >.ssh/authorized_keys",
            'chmod 0600 .ssh/authorized_keys && chown -R -- "$own" .ssh',
            f"rm -f {sudoers}",
        ]
        if password is not None:
            lines.append(f"printf '%s\\n' {quote(f'{name}:{password}')} | chpasswd")
        if sudo != "none":
            rule = f"ALL=(ALL:ALL) {SUDOERS[sudo]}"
            lines.append(f"printf '#%s %s\\n' \"${{own%:*}}\" {quote(rule)} >{sudoers}")
            lines.append(f"chmod 0440 {sudoers} && visudo -cqf {sudoers}")
        self.exec("\n".join(lines))

    def host_keys(self) -> str:
        """Return lines for known_hosts, read on the server itself and not over the network."""
        address = self.address
        keys = self.exec("cat /etc/ssh/ssh_host_*_key.pub").splitlines()
        return "".join(f"{address} {' '.join(key.split()[:2])}\n" for key in keys)

    def wait_ready(self) -> None:
        """Wait until systemd has started everything and sshd answers.

        :raises HostError: after 60 s, with the units that failed.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not (self.state() in ("running", "degraded") and greets(self.address)):
            if time.monotonic() > deadline:
                failed = self.exec("systemctl --failed --no-legend", check=False)
                raise HostError(
                    f"{self.container}: not ready after {READY_SECONDS} s: {self.state()}\n{failed}"
                )
            time.sleep(0.1)

    def state(self) -> str:
        """Return systemd's state of the whole system: starting, running, degraded, ..."""
        return self.exec("systemctl is-system-running 2>/dev/null", check=False).strip()

    def reboot(self) -> None:
        """Stop and start the server and wait until it is ready."""
        self.stop()
        self.start()
        self.wait_ready()

    def stop(self) -> None:
        """Stop the server."""
        shells.close(self.container)
        docker("stop", "--time", "20", self.container)

    def start(self) -> None:
        """Start the server again; it may have another address now."""
        docker("start", self.container)
        address_of.cache_clear()

    def commit(self, image: str) -> str:
        """Stop the server, make an image of what is on its disk, and return the image's name."""
        self.stop()
        docker("commit", self.container, image)
        return image


@cache
def address_of(container: str) -> str:
    """Return the IP address of a running container; cached, as the engine takes a moment."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", "--format", template, container).stdout.strip()


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the docker client."""
    done = subprocess.run(
        ["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if check and done.returncode:
        raise HostError(f"docker {arguments[0]}: exit {done.returncode}: {done.stderr.strip()}")
    return done


def greets(address: str, port: int = 22) -> bool:
    """Check whether an SSH server answers at this address."""
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def keypair(folder: Path) -> tuple[Path, str]:
    """Create an SSH key in a folder, or load the one that exists.

    :returns: the path of the private key, and the line for authorized_keys.
    """
    path = Path(folder) / "key"
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding, private = serialization.Encoding, serialization.PrivateFormat.OpenSSH
    if path.exists():
        key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    else:
        key = Ed25519PrivateKey.generate()
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(encoding.PEM, private, serialization.NoEncryption()))
    public = key.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return path, f"{public.decode()} testbed"
