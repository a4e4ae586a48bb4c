"""What a cluster gives and costs: one main host and three workers, from a kernel on the main host.

Waiting tasks on one, two and three workers, in turn: they need no processor, of which these hosts
share two, so what is left is what the cluster itself costs. Then the time from submitting to the
result. Then two more clusters on the same hosts, started by hand and alike but for TLS, in turn.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass, replace

from testbed.host import Host

from . import servers
from .bench import Measured, run, verdict
from .kernel import Door, Wire
from .pages import NAME
from .ways import Job, fab

COUNTS, LINEAR = (1, 2, 3), 0.9
TITLE = "waiting tasks a second, {} of 3 workers"
LATENCY = "from submitting to the result, ms"
PLAIN, SECURE = "tcp", "tls"
PORTS = {PLAIN: 9786, SECURE: 9796}
KINDS = ("connecting, ms", LATENCY, "tasks a second that do nothing", "between workers, MB/s")
FOLDERS = {"scheduler": "/home/david/project", "worker": "/home/david/jupyterlab-worker"}

# What every cell needs.
TOOLS = """
import json, time
from dask.distributed import Client
timed = time.perf_counter
def nothing(n):
    return n
def known(client):  # not client.scheduler_info(), in which an update of its own may leave no worker
    return client.sync(client.scheduler.identity, n_workers=-1)["workers"]
def waiting(client, names, seconds, rounds):
    there = known(client)
    chosen = [address for address, one in there.items() if one["name"] in names]
    count = rounds * sum(there[address]["nthreads"] for address in chosen)
    began = timed()
    client.gather(client.map(time.sleep, [seconds] * count, pure=False, workers=chosen))
    return count / (timed() - began)
def latencies(client, count):
    found = []
    for n in range(count):
        began = timed()
        client.submit(nothing, n, pure=False).result()
        found.append((timed() - began) * 1000)
    return found
def rate(client, count=1000):
    began = timed()
    client.gather(client.map(nothing, range(count), pure=False))
    return count / (timed() - began)
def carried(client, size=100_000_000):
    one, other = list(known(client))[:2]
    kept = client.submit(bytes, size, pure=False, workers=[one])
    client.submit(len, kept, pure=False, workers=[one]).result()
    began = timed()
    assert client.submit(len, kept, pure=False, workers=[other]).result() == size
    return size / 1e6 / (timed() - began)
def connecting(address):
    began = timed()
    Client(address, set_as_default=False).close()
    return (timed() - began) * 1000
"""


@dataclass(frozen=True)
class Cluster:
    """The hosts, and a kernel on the main one."""

    main: Host
    workers: tuple[Host, ...]
    door: Door


def prepare() -> Cluster:
    """Set all of it up, as its users do."""
    made = servers.fresh(1 + max(COUNTS))
    for number, host in enumerate(made.hosts):
        host.exec(f"hostname host{number}")  # they are copies, and a cluster tells them apart
    one = servers.Servers(made.hosts[:1], made.addresses[:1])
    (full,) = fab(Job(one))
    run([full])
    words = [*full.words[: full.words.index("full")], "cluster", "--workers"]
    run([replace(full, words=[*words, ",".join(made.targets[1:])])])
    token = made.hosts[0].exec("cat /home/david/.jupyter/jupyterlab_token").strip()
    return Cluster(made.hosts[0], made.hosts[1:], Door(NAME, made.addresses[0], token))


def by_hand(cluster: Cluster, way: str) -> str:
    """Start one more cluster on these hosts, with TLS or without; give its address."""
    address = f"{way}://{cluster.main.address}:{PORTS[way]}"
    start(cluster.main, way, "scheduler", f"--port {PORTS[way]} --no-dashboard")
    for number, host in enumerate(cluster.workers):
        more = f"{address} --name {number} --nworkers 1 --nthreads 2 --no-dashboard"
        start(host, way, "worker", more)
    return address


def start(host: Host, way: str, what: str, words: str) -> None:
    """Start a scheduler or a worker, with the venv and the certificate of the one that is there."""
    folder = FOLDERS[what]
    unit = f"jupyterlab-{what}.service"
    shown = host.exec(f"systemctl show -p ExecStart --value {unit}")
    given = shown.split(" argv[]=")[1].split(" ; ")[0].replace('"', "").split()
    tls = [f"{word} {given[at + 1]}" for at, word in enumerate(given) if word.startswith("--tls-")]
    host.exec(
        f"systemd-run -q --unit=bench-{way}-{what} --uid=david --working-directory={folder} "
        f"--setenv=HOME=/home/david {given[0]} -m distributed.cli.dask_{what} {words} "
        f"--protocol {way} --host {host.address} {' '.join(tls) if way == SECURE else ''}"
    )


def ask(wire: Wire, code: str):
    """Run an expression in the kernel, and give what it is."""
    return json.loads(wire.run(f"print(json.dumps({code}))"))


def grows(wire: Wire, runs: int, found: dict[str, Measured]) -> None:
    """Waiting tasks on some of the workers, in turn, and then how long one task takes."""
    wire.run("client = Client()\nclient.wait_for_workers(3, timeout=60)")
    names = ask(wire, '[one["name"] for one in known(client).values()]')
    for turn, count in itertools.product(range(runs + 1), COUNTS):
        rate = ask(wire, f"waiting(client, {names[:count]}, 0.2, 20)")
        if turn:  # the first does not count
            found.setdefault(TITLE.format(count), Measured()).seconds.append(rate)
    ask(wire, "latencies(client, 50)")
    found[LATENCY] = Measured(ask(wire, f"latencies(client, {200 * runs})"))


def compare(wire: Wire, runs: int, cluster: Cluster) -> dict[str, dict[str, Measured]]:
    """The same by TLS and without, in turn."""
    addresses = {way: by_hand(cluster, way) for way in PORTS}
    for way, address in addresses.items():
        wire.run(f"{way} = Client({address!r}, set_as_default=False)\n"
                 f"{way}.wait_for_workers(3, timeout=60)")  # fmt: skip
    found = {kind: {way: Measured() for way in PORTS} for kind in KINDS}
    for turn, way in itertools.product(range(2 * runs + 1), PORTS):
        said = [
            [ask(wire, f"connecting({addresses[way]!r})")],
            ask(wire, f"latencies({way}, 100)"),
            [ask(wire, f"rate({way})")],
            [ask(wire, f"carried({way})")],
        ]
        for kind, values in zip(KINDS, said, strict=True):
            found[kind][way].seconds += values if turn else []
    return found


def table(found: dict[str, Measured], costs: dict[str, dict[str, Measured]]) -> None:
    """Print the medians with the extremes, and then what was aimed at; Markdown."""
    print("\n| cluster | median (least-most) |\n|---|---|")
    for title, measured in found.items():
        print(f"| {title} | {measured} |")
    print(f"\n| what TLS costs | {PLAIN} | {SECURE} | ratio |\n|---|---|---|---|")
    for title, ways in costs.items():
        ratio = ways[SECURE].median / ways[PLAIN].median
        print(f"| {title} | {ways[PLAIN]} | {ways[SECURE]} | {ratio:.2f} |")
    print("\n| against | | to reach | |\n|---|---|---|---|")
    alone = found[TITLE.format(1)].median
    for count in COUNTS[1:]:
        ratio = found[TITLE.format(count)].median / (count * alone)
        verdict(f"{count} workers / {count} times one", ratio, LINEAR, least=True)


def main(runs: int = 5) -> None:
    """Run all of it.

    :param runs: how often each number of workers counts, and half of how often each way.
    """
    found: dict[str, Measured] = {}
    try:
        cluster = prepare()
        kernel = cluster.door.ask("POST", "kernels")["id"]
        with cluster.door.wire(kernel) as wire:
            wire.round_trip()
            wire.run(TOOLS)
            grows(wire, runs, found)
            costs = compare(wire, runs, cluster)
    finally:
        with contextlib.suppress(Exception):
            servers.remove()
    table(found, costs)
