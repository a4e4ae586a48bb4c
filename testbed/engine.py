"""The Docker engine and its compose command, installed and started on a bare Debian machine."""

import contextlib
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from invoke import Exit

from testbed.machine import STATE, has, install, may_install, say

# command -> the Debian package it comes from
NEEDED = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
}
WATCHERS = 1024  # inotify instances; a server takes about six
DATA = Path("/var/lib/docker")
ENOUGH_MEMORY = 20 * 2**30  # bytes; the disks take 6 GB in a run of all tests
START_SECONDS = 60


@cache
def compose() -> list[str]:
    """Return the compose command, once a Docker engine answers.

    :raises Exit: when there is none and none can be installed here.
    """
    if not sys.platform.startswith("linux"):
        raise Exit("The testbed needs Docker on Linux: it reaches its servers by IP address.", 1)
    if complaint():
        provide()
    make_room()
    for command in (["docker", "compose"], ["docker-compose"]):
        if works([*command, "version"]):
            return command
    if not may_install():
        raise Exit("Docker compose is missing. Install the package docker-compose-plugin.", 1)
    install("docker-compose")
    return ["docker", "compose"] if works(["docker", "compose", "version"]) else ["docker-compose"]


def works(command: list[str]) -> bool:
    """Check whether a command exists and succeeds."""
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def complaint() -> str | None:
    """Return None when the engine answers, else the error message of the client."""
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True
        )
    except FileNotFoundError:
        return "there is no docker command"
    if asked.returncode == 0:
        return None
    return (asked.stderr.strip().splitlines() or ["no answer"])[-1]


def make_room() -> None:
    """Raise the limit of inotify instances for many servers at once: Linux allows 128."""
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    with contextlib.suppress(OSError, ValueError):
        if int(limit.read_text()) < WATCHERS:
            limit.write_text(f"{WATCHERS}\n")


def provide() -> None:
    """Install and start an engine on Debian as root; elsewhere raise Exit with what is missing."""
    if not may_install():
        raise Exit(
            f"No Docker engine answers: {complaint()}\n"
            "Install Docker Engine with compose, start it, and give your user access to it.",
            1,
        )
    missing = {package for command, package in NEEDED.items() if not has(command)}
    if missing:
        install(*sorted(missing))
    if complaint():
        start()


def keep_in_memory() -> None:
    """Keep the disks of servers in memory, which is faster: they are short-lived, with many files.

    Do so only with enough memory, and when no engine has data on disk.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if memory >= ENOUGH_MEMORY and not (DATA.is_dir() and any(DATA.iterdir())):
        DATA.mkdir(parents=True, exist_ok=True)
        if works(["mount", "-t", "tmpfs", "-o", "mode=711", "tmpfs", str(DATA)]):
            say(f"{DATA} is kept in memory, until a reboot")


def start() -> None:
    """Start the engine with systemd if that runs, else as a detached process, and wait for it."""
    STATE.mkdir(exist_ok=True)
    log = STATE / "dockerd.log"
    daemon = None
    if Path("/run/systemd/system").is_dir():
        say("starting the Docker engine: systemctl start docker")
        works(["systemctl", "start", "docker"])
    else:
        keep_in_memory()
        say(f"starting the Docker engine: dockerd, log in {log}")
        with log.open("wb") as out:
            daemon = subprocess.Popen(
                ["dockerd"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # it outlives this run, for the next one
                env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
            )
        (STATE / "dockerd.pid").write_text(f"{daemon.pid}\n")
    deadline = time.monotonic() + START_SECONDS
    while (wrong := complaint()) and time.monotonic() < deadline:
        if daemon and daemon.poll() is not None:
            ending = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise Exit(f"{ending}\ndockerd ended at once; its log is {log}", 1)
        time.sleep(0.3)
    if wrong:
        raise Exit(f"The Docker engine did not answer within {START_SECONDS} s: {wrong}", 1)
