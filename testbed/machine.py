"""The operator's own machine: what it is, and what may be installed on it."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from invoke import Exit

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".testbed"


def say(text: str) -> None:
    """Print a line for the operator on what happens now."""
    print(f"testbed: {text}", flush=True)


def codename() -> str | None:
    """Return the codename of this machine's Debian release, None where it is not Debian."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    return release.get("VERSION_CODENAME") if release["ID"] == "debian" else None


def may_install() -> bool:
    """Check whether this is Debian and we are root: only then are packages installed."""
    return codename() is not None and os.geteuid() == 0


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run a command quietly and return its output.

    :raises Exit: when it fails, with the last lines of its output.
    """
    done = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise Exit(f"{tail}\n`{' '.join(command[:3])} ...` failed, exit {done.returncode}", 1)
    return done.stdout


def install(*packages: str) -> None:
    """Install Debian packages, without their recommendations."""
    say(f"installing {', '.join(packages)} with apt-get")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], quiet)
    if "docker.io" in packages and known("docker-cli"):
        packages += ("docker-cli",)  # since Debian 13 the client is a separate package
    run(["apt-get", "install", "-y", "--no-install-recommends", *packages], quiet)


def add_tools() -> None:
    """Install what the tests need into our virtual environment, unless it is there."""
    file, stamp = ROOT / "requirements.txt", Path(sys.prefix) / "tools"
    wanted = file.read_text()
    if sys.prefix == sys.base_prefix or (stamp.exists() and stamp.read_text() == wanted):
        return
    say("installing the tools of the tests into the virtual environment")
    quiet = "-qq", "--disable-pip-version-check"
    run([sys.executable, "-m", "pip", "install", *quiet, "-r", str(file)])
    stamp.write_text(wanted)


def known(package: str) -> bool:
    """Check whether apt knows this package."""
    shown = subprocess.run(["apt-cache", "show", package], capture_output=True)
    return shown.returncode == 0


def has(command: str) -> bool:
    """Check whether a command exists, also in sbin where PATH leaves that out."""
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
