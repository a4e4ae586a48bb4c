"""One main host and three workers, who computes on them from a notebook, and what befalls them."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection
from subprocess import CompletedProcess

from notebook import Notebook
from servers import Server

from fabfile.certs import private_ca
from testbed.host import Host, docker

MAIN, WORKERS = "main", ("w1", "w2", "w3")
SCHEDULER, WORKER = "jupyterlab-scheduler.service", "jupyterlab-worker.service"
PORT = 8786
PATIENCE = 90  # seconds in which a worker that was away is to be back
HALF = "/home/david/project/half"
# No address: Dask finds it in its own configuration. A scheduler may just be starting.
CLIENT = """import pathlib, socket, time
from dask.distributed import Client
client = Client(timeout=90)
"""
# Some is done, all is under way: the moment for whatever happens.
MIDWAY = """
def square(n):
    time.sleep(0.5)
    return n * n
futures = client.map(square, range(48), pure=False)
while sum(future.status == "finished" for future in futures) < 8:
    time.sleep(0.05)
half = pathlib.Path("half")
half.touch()
print(sum(client.gather(futures)))
half.unlink()
"""
SQUARES = f"{sum(n * n for n in range(48))}\n"
# The workers that the scheduler knows, when they are those and all answer.
HERE = """
names, deadline = [], time.monotonic() + {patience}
while names != {names} and time.monotonic() < deadline:
    time.sleep(0.2)
    try:
        names = sorted(set(client.run(socket.gethostname, on_error="ignore").values()))
    except Exception:  # one of them has just gone
        pass
print(*names)
"""
LISTENERS = "ss -Htlnp | awk '{ print $4, $6 }' | sed 's/pid=[0-9]*,fd=[0-9]*//g'"
CONFIGURED = """
import dask, distributed, json
print(json.dumps(dask.config.get("distributed.comm.tls")))
"""


@dataclass
class Crew:
    """The hosts by name, each with a user david, and the operator who has a key to all."""

    main: Server
    workers: dict[str, Server]

    @property
    def all(self) -> list[Server]:
        """Every host."""
        return [self.main, *self.workers.values()]

    def targets(self, *names: str) -> str:
        """Workers as one types them."""
        return ",".join(self.workers[name].target for name in names)

    def cluster(self, *words: str, **options) -> CompletedProcess[str]:
        """Run `fab -H david@main cluster` with these words."""
        return self.main.fab("cluster", *words, **options)

    def cell(self, code: str, patience: float = 180) -> str:
        """Run a cell in a kernel of its own, which has a client of the cluster."""
        with Notebook(self.main.host).kernel() as kernel:
            return kernel.run(CLIENT + code, patience=patience, warnings=False)

    def here(self, *names: str, patience: float = PATIENCE) -> float:
        """Assert that these workers, and no others, are there in time; give the seconds it took."""
        began, wanted = time.monotonic(), sorted(names)
        said = self.cell(HERE.format(names=wanted, patience=patience), patience=patience + PATIENCE)
        assert said.split() == wanted, said
        return time.monotonic() - began

    def midway(self, deed: Callable[[], object]) -> str:
        """Compute, and do something to a host when some of it is done; give what is printed."""
        self.main.host.exec(f"rm -f {HALF}")
        with ThreadPoolExecutor(1) as pool:
            computing = pool.submit(self.cell, MIDWAY)
            wait = f"until test -e {HALF}; do sleep 0.05; done"
            self.main.host.exec(f"timeout 60 sh -c '{wait}'", check=False)
            assert not computing.done(), computing.result()
            deed()
            return computing.result()

    def certificates(self, folder: Path) -> dict[str, Path]:
        """Bring here what a client on the main host shows: its key, its certificate and the CA."""
        with Notebook(self.main.host).kernel() as kernel:
            said = json.loads(kernel.run(CONFIGURED))
        paths = {"ca": said["ca-file"], **said["client"]}
        found = {}
        for name in ("ca", "cert", "key"):
            if paths.get(name):
                found[name] = folder / name
                found[name].write_text(self.main.host.exec(f"cat {paths[name]}"))
        return found


def stranger(folder: Path) -> tuple[Path, Path]:
    """A certificate and a key of a CA that nobody here knows."""
    folder.mkdir(exist_ok=True)
    certificate, key = private_ca.make(folder, "another").admit("client", (), listens=True)
    (folder / "cert.pem").write_text(certificate)
    (folder / "key.pem").write_text(key)
    return folder / "cert.pem", folder / "key.pem"


def shows(certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """TLS as a client has it who believes anybody, and shows a certificate or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def knock(address: str, port: int, context: ssl.SSLContext | None = None) -> bytes:
    """What Dask says first to who comes: nothing when it lets them not in.

    :param context: how TLS is spoken; without it, plain TCP.
    """
    with suppress(ssl.SSLError, ConnectionError, TimeoutError):
        plain = create_connection((address, port), timeout=20)
        with context.wrap_socket(plain) if context else plain as wire:
            if not context:
                wire.sendall(bytes(64))
            return wire.recv(64)
    return b""


def listeners(host: Host) -> set[tuple[str, int]]:
    """Where TCP is listened to: address and port."""
    ends = (line.split()[0].rpartition(":") for line in host.exec(LISTENERS).splitlines())
    return {(address, int(port)) for address, _, port in ends}


def reachable(ends: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those of them that somebody can reach, another user of the host too: all but Docker's DNS."""
    return {end for end in ends if end[0] != "127.0.0.11"}


def kill(worker: Server) -> None:
    """Kill all that runs there for Dask, without a word."""
    worker.host.exec(f"systemctl kill --signal=KILL {WORKER}")


@contextmanager
def cut(host: Host) -> Iterator[None]:
    """Lose every packet from and to a host; needs root on this machine."""
    process = docker("inspect", "--format", "{{.State.Pid}}", host.container).stdout.strip()
    rules = [("INPUT", "-i"), ("OUTPUT", "-o")]

    def iptables(act: str) -> None:
        for chain, side in rules:
            rule = ["iptables", act, chain, side, "eth0", "-j", "DROP"]
            subprocess.run(["nsenter", "--net", f"--target={process}", *rule], check=True)

    iptables("-I")
    try:
        yield
    finally:
        iptables("-D")
