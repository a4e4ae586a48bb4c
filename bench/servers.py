"""Bare servers to measure on, and what the operator has: a key, known hosts, rendered files."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from fabfile import deps, jupyter, nginx, systemd
from fabfile.engine import plan
from fabfile.engine.host import Host as Facts
from fabfile.items import File
from fabfile.settings import Settings
from testbed import engine, image
from testbed.demo import run_compose
from testbed.host import Host, keypair
from testbed.machine import ROOT

PROJECT, FOLDER = "jupyterlab-bench", ROOT / ".bench"
KNOWN_HOSTS, KEY = FOLDER / "known_hosts", FOLDER / "key"
STEPS = (deps.items, jupyter.items, systemd.items, nginx.items)
FACTS = Facts(user="david", group="david", home="/home/david", turn="any")
# where a rendered file goes -> what the peers call it
NAMES = {
    "/home/david/.jupyter/jupyter_lab_config.py": "jupyter_lab_config.py",
    "/etc/tmpfiles.d/jupyterlab.conf": "tmpfiles.conf",
    "/etc/systemd/system/jupyterlab.service": "jupyterlab.service",
    "/etc/nginx/sites-available/jupyterlab": "site.conf",
}


@dataclass(frozen=True)
class Servers:
    """Some servers, each with a user david who may use sudo."""

    hosts: tuple[Host, ...]
    addresses: tuple[str, ...]

    @property
    def targets(self) -> list[str]:
        """What follows -H."""
        return [f"david@{address}" for address in self.addresses]


def fresh(count: int = 1) -> Servers:
    """Make so many bare servers, in place of the ones before."""
    os.environ["TESTBED_IMAGE"] = image.ensure()
    compose = engine.compose()
    remove()
    run_compose(compose, "up", "-d", "--scale", f"host={count}", project=PROJECT)
    ids = run_compose(compose, "ps", "-q", "host", project=PROJECT).split()
    hosts = tuple(Host(container) for container in ids)
    _, public = keypair(FOLDER)
    for host in hosts:
        host.wait_ready()
        host.add_user("david", public_key=public)
    KNOWN_HOSTS.write_text("".join(host.host_keys() for host in hosts))
    (FOLDER / "hosts").write_text("127.0.0.1\tlocalhost\n")
    return Servers(hosts, tuple(host.address for host in hosts))


def remove() -> None:
    """Remove the servers and their network."""
    run_compose(engine.compose(), "down", "--volumes", project=PROJECT)


def rendered(limit: str) -> Path:
    """Render what lands on a server into a folder, for the peers, who have no renderer of ours."""
    folder = FOLDER / f"files-{limit}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for item in plan.gather(STEPS, Settings(upload_limit=limit), FACTS):
        if isinstance(item, File) and not item.spare:  # a spare one may be missing
            (folder / NAMES[item.path]).write_text(item.content)
    return folder
