"""Dask over one main host and three workers: right answers, whatever befalls them; and who gets in.

Computed in a kernel, reached through Nginx as by anybody; every answer is known beforehand.
"""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import websocket
from census import census, differences
from crew import (
    CLIENT,
    MAIN,
    PORT,
    SCHEDULER,
    SQUARES,
    WORKER,
    WORKERS,
    Crew,
    cut,
    kill,
    knock,
    listeners,
    reachable,
    shows,
    stranger,
)
from notebook import Notebook
from outcomes import nothing_to_change, well
from refusals import refused
from visitor import DOMAIN, Visitor

pytestmark = pytest.mark.cluster

W1, W2, W3 = WORKERS
KEYS = """
grep -rlE 'BEGIN (EC )?PRIVATE KEY' /etc /home /var/lib /run 2>/dev/null \\
    | grep -v -e /etc/ssh/ -e ssl-cert -e site-packages -e /.cache/ || true
"""


@pytest.fixture(scope="module")
def hosts(server):
    """A main host with JupyterLab, and three bare ones."""
    main, workers = server(MAIN, settled=True), server.several(*WORKERS)
    return Crew(main, dict(zip(WORKERS, workers, strict=True)))


@pytest.fixture(scope="module")
def before(hosts):
    """What was there, and who listened, before any of it."""
    counted = {MAIN: hosts.main, W1: hosts.workers[W1], W3: hosts.workers[W3]}
    with ThreadPoolExecutor(3) as pool:
        found = dict(zip(counted, pool.map(census, counted.values()), strict=True))
    ends = {server.target: listeners(server.host) for server in hosts.all}
    return found, ends


@pytest.fixture(scope="module")
def pair(hosts, before):
    """A cluster of two workers."""
    out = well(hosts.cluster("--workers", hosts.targets(W1, W2)))
    return hosts, out


@pytest.fixture(scope="module")
def crew(pair):
    """A cluster of three: the third joined later."""
    made, _ = pair
    well(made.cluster("--add", made.targets(W3)))
    return made


@pytest.fixture
def whole(crew):
    """All three are there when a test begins, and still when it has ended."""
    yield crew
    crew.here(*WORKERS)


# --- made with one command ---------------------------------------------------------------------


def test_one_command_makes_it_and_a_notebook_needs_no_address(pair):
    made, _ = pair
    made.here(W1, W2)


def test_another_joins(crew):
    crew.here(*WORKERS)


def test_a_converged_cluster_changes_nothing(crew):
    starts = [server.host.exec(f"systemctl show -p InvocationID {unit}")
              for server, unit in units(crew)]  # fmt: skip
    nothing_to_change(crew.cluster("--workers", crew.targets(*WORKERS)))
    assert starts == [server.host.exec(f"systemctl show -p InvocationID {unit}")
                      for server, unit in units(crew)]  # fmt: skip


def units(crew: Crew) -> list:
    """Each host with the unit that the cluster is there."""
    return [(crew.main, SCHEDULER), *((worker, WORKER) for worker in crew.workers.values())]


def test_full_and_a_cluster_leave_each_other_alone(crew):
    nothing_to_change(crew.main.fab("full", "--no-verify"))


def test_verify_names_every_worker(crew):
    out = well(crew.main.fab("verify"))
    assert all(re.search(rf"\b{name}\b", out) for name in WORKERS), out


def test_status_names_every_worker(crew):
    out = well(crew.cluster("--status"))
    assert all(worker.host.address in out for worker in crew.workers.values()), out


# --- right answers -----------------------------------------------------------------------------


def test_a_dataframe(whole):
    said = whole.cell("""
import pandas, dask.dataframe
frame = pandas.DataFrame({"key": [n % 3 for n in range(30_000)], "value": range(30_000)})
parts = dask.dataframe.from_pandas(frame, npartitions=12)
print(parts.groupby("key")["value"].sum().compute().sort_index().tolist())
""")
    assert said == f"{[sum(range(key, 30_000, 3)) for key in range(3)]}\n"


def test_an_array(whole):
    said = whole.cell("""
import dask.array
x = dask.array.arange(1_000_000, chunks=100_000).reshape(1000, 1000)
print(int((x @ x.T).trace().compute()))
""")
    assert said == f"{sum(n * n for n in range(1_000_000))}\n"


def test_all_of_them_work(whole):
    said = whole.cell("""
def where(n):
    time.sleep(0.2)
    return socket.gethostname()
print(*sorted(set(client.gather(client.map(where, range(48))))))
""")
    assert said.split() == list(WORKERS)


# --- whatever befalls them ---------------------------------------------------------------------


def test_a_worker_is_killed_in_the_middle(whole):
    assert whole.midway(lambda: kill(whole.workers[W1])) == SQUARES


def test_a_worker_is_rebooted_in_the_middle_and_comes_back_by_itself(whole):
    worker = whole.workers[W2]
    address = worker.host.address
    assert whole.midway(worker.host.reboot) == SQUARES
    assert worker.host.address == address
    worker.operator.know(worker.host)


def test_the_network_to_a_worker_is_cut_and_comes_back(whole):
    worker = whole.workers[W3]

    def lose() -> None:
        """Long enough for both sides to notice."""
        with cut(worker.host):
            time.sleep(45)

    assert whole.midway(lose) == SQUARES


@pytest.mark.parametrize("how", ["restart", "kill --signal=KILL"])
def test_the_scheduler_is_started_again_and_the_workers_come_back(whole, how):
    whole.main.host.exec(f"systemctl {how} {SCHEDULER}")
    whole.here(*WORKERS)


def test_a_task_that_takes_too_much_memory_fails_alone(whole):
    said = whole.cell("""
def fine(n):
    time.sleep(0.1)
    return n
def greedy():
    held = []
    while True:
        held.append(bytearray(b"x" * 20_000_000))
        time.sleep(0.02)
good, bad = client.map(fine, range(200)), client.submit(greedy)
print(sum(client.gather(good)), type(bad.exception(timeout=150)).__name__)
""", patience=240)  # fmt: skip
    total, name = said.split()[-2:]
    assert (int(total), name in ("KilledWorker", "MemoryError")) == (sum(range(200)), True), said


# --- who gets in -------------------------------------------------------------------------------


def test_nothing_new_listens_but_for_dask(crew, before):
    _, earlier = before
    for server in crew.all:
        new = reachable(listeners(server.host) - earlier[server.target])
        assert {address for address, _ in new} == {server.host.address}, new
        assert len(new) <= 2 and (server is not crew.main or {p for _, p in new} == {PORT}), new


def doors(crew: Crew, earlier) -> list[tuple[str, int]]:
    """Every port that a cluster opened to others."""
    return sorted(
        (server.host.address, port)
        for server in crew.all
        for _, port in reachable(listeners(server.host) - earlier[server.target])
    )


def test_who_shows_a_certificate_of_ours_is_let_in_and_nobody_else(crew, before, tmp_path):
    mine = crew.certificates(tmp_path)
    ours = shows(mine["cert"], mine.get("key"))
    other = shows(*stranger(tmp_path / "other"))
    opened = doors(crew, before[1])
    assert len(opened) >= 4
    for address, port in opened:
        assert knock(address, port, ours), (address, port)
        assert knock(address, port, shows()) == b"", (address, port)
        assert knock(address, port, other) == b"", (address, port)
        assert knock(address, port) == b"", (address, port)


def test_a_client_of_dasks_own_with_another_certificate_or_none_is_refused(crew, tmp_path):
    chain, key = stranger(tmp_path)
    text, place = key.read_text() + chain.read_text(), "/home/david/other"
    crew.main.host.exec(f"echo '{text}' >{place}; chown david {place}")
    said = Notebook(crew.main.host).cell(f"""
import dask, distributed, logging
from distributed.security import Security
logging.disable(logging.CRITICAL)
address = dask.config.get("scheduler-address")
ca = dask.config.get("distributed.comm.tls.ca-file")
def comes(where, security, timeout=4):
    try:
        distributed.Client(where, security=security, timeout=timeout, set_as_default=False).close()
        return "in"
    except OSError:
        return "refused"
other = Security(tls_ca_file=ca, tls_client_cert={place!r}, tls_client_key={place!r})
print(comes(address, None, timeout=60), comes(address, other),
      comes(address.replace("tls://", "tcp://"), Security(require_encryption=False)))
""")
    crew.main.host.exec(f"rm {place}")
    assert said.split() == ["in", "refused", "refused"], said


def test_a_key_is_for_its_owner_alone(crew):
    for server in crew.all:
        found = server.host.exec(KEYS)
        assert found, server.target
        for path in found.split():
            mode = server.host.exec(f"stat -c '%a' {path}").strip()
            seen = server.host.exec(f"su nobody -s /bin/sh -c 'cat {path}' 2>&1 || true")
            assert mode in ("600", "640", "400") and "Permission denied" in seen, (path, mode)


ATTACK = """
import asyncio, os, pathlib, json
from distributed import Client
from distributed.security import Security
own = "/home/david/jupyterlab-worker/"
security = Security(tls_ca_file=own + "ca.pem", tls_client_cert=own + "worker.pem",
                    tls_client_key=own + "worker.key", require_encryption=True)
def tried():
    import getpass, os, pathlib
    said = {{"uid": os.getuid(), "groups": os.getgroups(), "gid": os.getgid()}}
    home = pathlib.Path("/home/david")
    deeds = {{
        "token": lambda: (home / ".jupyter/jupyterlab_token").read_text(),
        "home": lambda: os.listdir(home),
        "notebooks": lambda: os.listdir(home / "project"),
        "by mounts": lambda: os.listdir("/proc/1/root/home/david"),
        "key": lambda: (home / ".config/jupyterlab-cluster/client.key").read_text(),
        "written": lambda: (home / "project/planted").write_text("x"),
        "shadow": lambda: pathlib.Path("/etc/shadow").read_text(),
        "venv": lambda: pathlib.Path(os.__file__).with_name("planted.py").write_text("x"),
        "packages": lambda: pathlib.Path(__import__("dask").__file__).write_text("x"),
        "unit": lambda: pathlib.Path("/etc/jupyterlab-scheduler/dask-http.py").write_text("x"),
        "jupyter": lambda: __import__("socket").socket(1).connect("/run/jupyterlab/jupyter.sock"),
    }}
    for name, deed in deeds.items():
        try:
            said[name] = f"DONE: {{deed()}}"
        except OSError as problem:
            said[name] = type(problem).__name__
    return said
with Client("tls://{address}:8786", security=security, timeout=20) as client:
    print(json.dumps(client.run_on_scheduler(tried)))
"""


def test_a_workers_certificate_gets_nobody_into_mains_home(crew):
    worker, main = crew.workers[W1], crew.main
    code = ATTACK.format(address=main.host.address)
    python = "/home/david/jupyterlab-worker/venv/bin/python"
    out = worker.host.exec(f"cat >/tmp/attack.py <<'END'\n{code}\nEND\n"
                           f"su david -c 'cd /tmp && {python} attack.py 2>/tmp/attack.err' "
                           "|| cat /tmp/attack.err; rm -f /tmp/attack.*")  # fmt: skip
    said = json.loads(out.strip().splitlines()[-1])
    who = said.pop("uid"), said.pop("gid"), said.pop("groups")
    done = {name: words for name, words in said.items() if words.startswith("DONE")}
    assert done == {} and len(said) == 11, done
    david, group = map(int, main.host.exec("id -u david; id -g david").split())
    assert david != who[0] and group not in (who[1], *who[2]), who
    assert not main.infra.file("/home/david/project/planted").exists


# --- the dashboard -----------------------------------------------------------------------------


def test_the_dashboard_is_behind_the_login(crew):
    visitor = Visitor(crew.main)
    away = visitor.client.get("/dask/status")
    assert away.status_code == 302 and "/login" in away.headers["location"]
    assert visitor.log_in(Notebook(crew.main.host).token)
    page = visitor.client.get("/dask/status")
    assert page.status_code == 200 and "Dask" in page.text


def test_what_shows_the_dashboard_shows_no_port_of_the_hosts(crew):
    visitor = Visitor(crew.main)
    assert visitor.log_in(Notebook(crew.main.host).token)
    worker = crew.workers[W1].host.address
    for path in ("22/", f"{PORT}/", f"absolute/{PORT}/", f"{worker}:22/"):
        assert visitor.client.get(f"/proxy/{path}").status_code in (403, 404), path


UNGUARD = r"""
sed -i -e '/+proxy(/d' -e '/_crooked {/,/^}/{/%2e/d}' -e '/location ~ \^\/proxy/,/}/d' \
    /etc/nginx/sites-available/jupyterlab
nginx -t 2>&1 && systemctl reload nginx && sleep 1
"""


def test_the_audit_tries_another_users_server_under_our_name(crew):
    told = "another user's server is shown under JupyterLab's name"
    assert f"closed  {told}" in crew.main.fab("audit").stdout
    crew.main.host.exec(UNGUARD)
    shown = crew.main.fab("audit").stdout
    well(crew.main.fab("full", "--no-verify"))
    assert f"OPEN    {told}" in shown and "proxy" in shown


def bokeh(crew: Crew, token: str, cookies: httpx.Cookies | None) -> websocket.WebSocket:
    """Open the websocket by which a page of the dashboard gets its news."""
    held = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
    return websocket.create_connection(
        f"ws://{crew.main.host.address}/dask/status/ws",
        host=DOMAIN,
        origin=f"http://{DOMAIN}",
        subprotocols=["bokeh", token],
        cookie=held,
        timeout=20,
        http_no_proxy=["*"],
    )


def test_the_dashboard_is_live_and_its_websocket_is_behind_the_login_too(crew):
    visitor = Visitor(crew.main)
    assert visitor.log_in(Notebook(crew.main.host).token)
    token = re.search(r'"token":"([^"]+)"', visitor.client.get("/dask/status").text)[1]
    wire = bokeh(crew, token, visitor.client.cookies)
    assert "ACK" in wire.recv()
    wire.close()
    with pytest.raises(websocket.WebSocketBadStatusException) as away:
        bokeh(crew, token, None)
    assert away.value.status_code in (302, 403)


def test_another_user_of_the_main_host_does_not_reach_the_dashboard(crew):
    sockets = crew.main.host.exec("ss -Hxl | grep -oE '/[^ ]*(dask|dash|schedul)[^ ]*' || true")
    for path in sockets.split():
        ask = f"curl -sS --max-time 5 --unix-socket {path} http://localhost/status"
        said = crew.main.host.exec(f"su nobody -s /bin/sh -c '{ask}' 2>&1 || true")
        assert said.startswith("curl: (7)"), (path, said)


# --- the same versions everywhere --------------------------------------------------------------


def test_another_version_is_named_and_mended(whole):
    worker = whole.workers[W3]
    pip = "~/jupyterlab-worker/venv/bin/python -m pip"
    former = worker.host.exec(f"su - david -c '{pip} list --format=freeze' 2>/dev/null")
    version = re.search(r"^click==(.*)$", former, re.M)[1]
    worker.host.exec(f"su - david -c '{pip} install -q --no-deps click==8.1.3' 2>&1")
    done = whole.cluster("--status")
    line = next(line for line in (done.stdout + done.stderr).splitlines() if "click" in line)
    assert all(word in line for word in ("click", "8.1.3", version, worker.host.address)), line
    well(whole.cluster("--workers", whole.targets(*WORKERS)))
    assert f"click=={version}" in worker.host.exec(
        f"su - david -c '{pip} list --format=freeze' 2>/dev/null"
    )


# --- refusals ----------------------------------------------------------------------------------


def test_bad_words_change_nothing(crew):
    refused(crew.cluster("--remove", "david@192.0.2.1"), "192.0.2.1")
    refused(crew.cluster("--add", crew.main.target), crew.main.target)
    refused(crew.cluster("--add", "david@192.0.2.1", "--status"), "one of")
    nothing_to_change(crew.cluster())


# --- and away ----------------------------------------------------------------------------------


def test_what_a_removed_worker_held_is_not_lost_and_it_is_as_bare_as_before(crew, before):
    leaving = crew.workers[W3]
    with Notebook(crew.main.host).kernel() as kernel:
        kernel.run(f"""{CLIENT}
def held(n):
    return [n] * 1000, socket.gethostname()
client.wait_for_workers(3)
there = [address for address, name in client.run(socket.gethostname).items() if name == "w3"]
kept = [client.submit(held, n, workers=there) for n in range(20)]
print({{client.submit(lambda x: x[1], one).result() for one in kept}})
""")
        out = well(crew.cluster("--remove", leaving.target))
        said = kernel.run("got = client.gather(kept)\nprint(sum(sum(n) for n, _ in got), "
                          "{name for _, name in got})")  # fmt: skip
    assert said == f"{1000 * sum(range(20))} {{'w3'}}\n", (said, out)
    crew.here(W1, W2)
    assert differences(before[0][W3], census(leaving)) == []
    assert reachable(listeners(leaving.host)) == reachable(before[1][leaving.target])


def test_uninstall_leaves_nothing_on_the_main_host_nor_on_its_workers(crew, before):
    well(crew.main.fab("uninstall"))
    project = r"path \./home/david/project (d .*)?"
    changed = differences(before[0][MAIN], census(crew.main), project)
    # what `full` made before goes, too, and Debian's own lists change with it; nothing has come
    assert [row for row in changed if row[0] == "+" and not row.startswith("+ content")] == []
    assert differences(before[0][W1], census(crew.workers[W1]), project) == []
    for name in (W1, W2):
        said = well(crew.workers[name].fab("uninstall"))
        assert "nothing of this project is there" in said
