"""Eight servers at once, one of them down, one with another key, one with a full disk."""

import re
import time
from contextlib import ExitStack

import pytest
from outcomes import well
from surgery import small_disk
from terminal import converse

from testbed.host import keypair

pytestmark = pytest.mark.several

NAMES = [f"f{n}" for n in range(1, 9)]
DOWN, KEYLESS, FULL = "f6", "f7", "f8"  # what is wrong with each
WHY = {DOWN: "refuses port 22", KEYLESS: "refuses the key", FULL: "the disk is full"}
ROW = re.compile(r"^(\S+) +(ok|changed|failed) +(\d+\.\d)(?:  (.*))?$", re.MULTILINE)
LINK = "/etc/nginx/sites-enabled/zz-jupyterlab"
GATE, LET_IN = "/tmp/gate", "/tmp/in"


@pytest.fixture(scope="module")
def ill(server, operator, tmp_path_factory):
    """Seven servers without a link to the site, and a bare one; three unfit; what mends these."""
    settled, bare = server.several(*NAMES[:-1], settled=True), server(FULL)
    for one in settled:
        one.host.exec(f"rm {LINK}")
    made = dict(zip(NAMES, [*settled, bare], strict=True))
    _, another = keypair(tmp_path_factory.mktemp("another"))
    made[DOWN].host.exec("systemctl stop ssh.socket ssh")
    made[KEYLESS].host.add_user("david", public_key=another)
    mends = ExitStack()
    mends.callback(made[KEYLESS].host.add_user, "david", public_key=operator.public_key)
    mends.callback(made[DOWN].host.exec, "systemctl start ssh")
    mends.enter_context(small_disk(made[FULL].host, "/mnt", "50m"))
    made[FULL].host.exec("cp -a /home/david /mnt/ && mount --bind /mnt /home")
    mends.callback(made[FULL].host.exec, "umount -l /home")
    return made, mends


@pytest.fixture(scope="module")
def fleet(ill, operator, tmp_path_factory):
    """Run `fab fleet` with these words; the hosts are in a group of a file, and in ssh_config."""
    folder, (made, _) = tmp_path_factory.mktemp("fleet"), ill
    hosts = ", ".join(server.target for server in made.values())
    (folder / "mine.yaml").write_text(f"groups: {{lab: [{hosts}]}}\n")
    (folder / "ssh_config").write_text("".join(
        f"Host {name}\n  HostName {server.host.address}\n  User david\n"
        for name, server in made.items()
    ))  # fmt: skip
    options = ["-f", str(folder / "mine.yaml"), "-S", str(folder / "ssh_config")]

    def run(*words: str, by=operator.fab, **how):
        how.setdefault("env", {})["FABRIC_LAB_BOOT_WAIT"] = "0"
        return by(*options, "-i", str(operator.key), "fleet", *words, **how)

    return run


def table(out: str) -> dict[str, tuple[str, str]]:
    """The summary: host -> its state, and why."""
    head, _, rows = out.rpartition("\nhost ")
    assert head and rows.split("\n")[0].split() == ["state", "seconds", "why"]
    return {host: (state, why) for host, state, _, why in ROW.findall(rows)}


@pytest.fixture(scope="module")
def hosts_before(operator):
    """The operator's hosts file, which a fleet leaves alone."""
    return (operator.home / "hosts").read_bytes()


@pytest.fixture(scope="module")
def first(hosts_before, fleet):
    """The fleet's first run."""
    return fleet("full", "--on", "lab")


def test_a_bad_host_fails_the_run_but_does_not_stop_the_others(ill, first):
    made, _ = ill
    assert first.returncode == 1 and "Traceback" not in first.stderr
    assert first.stderr.strip().startswith("3 of 8 failed")
    result = table(first.stdout)
    assert list(result) == [server.target for server in made.values()]
    states = [result[server.target][0] for server in made.values()]
    assert states == ["changed"] * 5 + ["failed"] * 3
    for name, why in WHY.items():
        assert why in result[made[name].target][1]


def test_the_others_work(ill, first):
    made, _ = ill
    for name in NAMES[:5]:
        target = made[name].target
        assert re.search(rf"^{target}: .*6\*7 over the websocket is 42", first.stdout, re.M)
        assert made[name].infra.service("jupyterlab").is_running
        assert made[name].infra.service("nginx").is_running


def test_in_a_pipe_each_line_has_its_host(ill, first):
    made, _ = ill
    lines = first.stdout.rpartition("\nhost ")[0].strip().splitlines()
    targets = [server.target for server in made.values()]
    assert {line.partition(": ")[0] for line in lines} >= set(targets[:5])
    assert [line for line in lines if not line.startswith(tuple(f"{t}: " for t in targets))] == []


def test_nothing_was_written_where_it_failed(ill, first):
    made, _ = ill
    assert made["f1"].infra.file(LINK).exists
    for name in WHY:
        assert not made[name].infra.file(LINK).exists
    assert not made[FULL].infra.package("nodejs").is_installed
    assert not made[FULL].infra.file("/var/backups/jupyterlab").exists


def test_no_token_and_no_name_of_one_of_them(operator, ill, hosts_before, first):
    assert "changes made" in first.stdout and "token=" not in first.stdout
    assert (operator.home / "hosts").read_bytes() == hosts_before


def test_a_host_is_named_once_a_line(ill, first):
    target = ill[0]["f1"].target
    lines = [line for line in first.stdout.splitlines() if line.startswith(f"{target}: ")]
    assert lines and [line for line in lines if line.count(target) > 1] == []


@pytest.fixture(scope="module")
def mended(ill, first, fleet):
    """The second run, of those that had failed, which are fit by now."""
    ill[1].close()
    return table(well(fleet("full", "--retry-failed")))


def test_retry_failed_runs_only_those_and_succeeds_when_they_are_mended(ill, mended):
    made, _ = ill
    assert mended == {made[name].target: ("changed", "") for name in WHY}


def test_retry_failed_with_nothing_failed_runs_nowhere(ill, mended, fleet):
    done = fleet("full", "--retry-failed")
    assert done.returncode == 1 and "no host failed the last time" in done.stderr


def test_a_second_run_finds_all_as_wanted(ill, mended, fleet):
    made, _ = ill
    result = table(well(fleet("full", "--on", "lab")))
    assert result == {server.target: ("ok", "") for server in made.values()}


@pytest.mark.parametrize(("limit", "names"), [("ends", ["f1", "f8"]), ("user", NAMES)])
def test_limit_takes_only_those(ill, mended, fleet, limit, names):
    made, _ = ill
    words = {"ends": f"{made['f1'].host.address},{made['f8'].target}", "user": "david@*"}
    result = table(well(fleet("status", "--on", "lab", "--limit", words[limit])))
    assert list(result) == [made[name].target for name in names]


def test_a_limit_that_fits_nothing(fleet):
    done = fleet("status", "--on", "lab", "--limit", "nowhere*")
    assert done.returncode == 1 and "no host left" in done.stderr


def test_patterns_of_ssh_config(ill, mended, fleet):
    assert list(table(well(fleet("status", "--on", "f*")))) == NAMES
    assert list(table(well(fleet("status", "--on", "f?,f1", "--limit", "f[1-3]")))) == NAMES[:3]


@pytest.fixture
def gated(ill, mended):
    """Have each login on each server wait at a gate; give those servers."""
    made, _ = ill
    waits = f"touch {LET_IN}; while [ -e {GATE} ]; do sleep 0.1; done"
    for server in made.values():
        server.host.exec(
            f"touch {GATE}; cd /home/david; cp -a .bashrc /root/; sed -i '1i {waits}' .bashrc"
        )
    yield list(made.values())
    for server in made.values():
        server.host.exec(f"mv /root/.bashrc /home/david/.bashrc; rm {LET_IN}")


@pytest.mark.parametrize("jobs", [2, 8])
def test_jobs_bounds_how_many_run_at_once(gated, fleet, operator, jobs):
    def logins() -> int:
        return sum("in" in server.host.exec(f"ls {LET_IN}", False) for server in gated)

    running = fleet("status", "--on", "lab", "--jobs", str(jobs), by=operator.start)
    try:
        deadline = time.monotonic() + 60
        while logins() < jobs and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2)  # for one too many
        assert logins() == jobs
    finally:
        for server in gated:
            server.host.exec(f"rm {GATE}")
        _, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    assert logins() == 8


def test_on_a_terminal_there_are_rows_and_the_table(ill, mended, operator, fleet):
    made, _ = ill
    start = operator.start
    done = converse(lambda **streams: fleet("status", "--on", "lab", by=start, **streams), {})
    assert done.returncode == 0, done.stderr
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stderr).replace("\r", "")
    assert f"{made['f1'].target}: connecting" in plain
    assert list(table(plain)) == [server.target for server in made.values()]


def test_a_task_it_does_not_have_and_a_host_of_fabs_own(fleet, operator, ill):
    assert "it runs full" in fleet("password", "--on", "lab").stderr
    done = operator.fab("-H", ill[0]["f1"].target, "fleet", "status")
    assert done.returncode == 1 and "--on" in done.stderr


def test_hosts_written_as_one_text(ill, mended, operator, tmp_path):
    made, _ = ill
    two = f"{made['f1'].target},{made['f2'].target}"
    (tmp_path / "mine.yaml").write_text(f"hosts: {two}\ngroups: {{two: '{two}'}}\n")
    options = ("-f", str(tmp_path / "mine.yaml"), "-i", str(operator.key), "fleet", "status")
    assert list(table(well(operator.fab(*options)))) == two.split(",")
    assert list(table(well(operator.fab(*options, "--on", "two")))) == two.split(",")


def test_fleets_drift_has_an_exit_code_of_its_own(ill, mended, fleet):
    made, _ = ill
    assert fleet("status", "--on", "f1,f2", "--drift").returncode == 0
    made["f2"].host.exec("chmod 0640 /etc/nginx/sites-available/jupyterlab")
    done = fleet("status", "--on", "f1,f2", "--drift")
    made["f2"].host.exec("chmod 0644 /etc/nginx/sites-available/jupyterlab")
    assert done.returncode == 2, done.stderr
    rows = dict(re.findall(r"^(f\d) +(ok|drifted) ", done.stdout, re.MULTILINE))
    assert rows == {"f1": "ok", "f2": "drifted"}


def test_the_options_go_with_their_tasks(ill, mended, fleet):
    out = well(fleet("full", "--on", "f1", "--no-verify"))
    assert "nothing to change" in out and "websocket" not in out
    for words, why in ((("nginx", "--no-verify"), "full"), (("full", "--drift"), "status")):
        done = fleet(*words, "--on", "f1")
        assert done.returncode == 1 and f"goes with {why}" in done.stderr


LISTED = "su david -c '/home/david/project/venv/bin/python -m pip list --format=freeze' 2>/dev/null"


def test_a_task_of_a_fleet_takes_its_own_options(ill, mended, fleet):
    made, _ = ill
    well(fleet("packages --add 'colorama>=0.4'", "--on", "f1,f2"))
    assert all("colorama==" in made[name].host.exec(LISTED) for name in ("f1", "f2"))
    done = fleet("packages --ad colorama", "--on", "f1")
    assert done.returncode == 1 and "fab --help packages shows its options" in done.stderr


def test_a_lock_gives_every_host_the_same(ill, mended, fleet, operator, tmp_path):
    made, _ = ill
    lock = tmp_path / "fleet.lock"
    rows = made["f1"].host.exec(LISTED).splitlines()
    lock.write_text("\n".join(row for row in rows if not row.startswith(("pip=", "setuptools="))))
    env = {"FABRIC_LAB_LOCK": str(lock)}
    made["f2"].host.exec("su - david -c 'project/venv/bin/pip install -q idna==3.6'")
    assert "idna==3.6" in made["f2"].host.exec(LISTED)
    well(fleet("full", "--on", "f1,f2", env=env))
    one, other = (made[name].host.exec(LISTED) for name in ("f1", "f2"))
    assert one == other and "idna==3.6" not in one
    assert fleet("upgrade --lock", "--on", "f1,f2", env=env).returncode == 1


def test_a_fleet_is_backed_up_to_a_folder_a_host(ill, mended, fleet, tmp_path):
    well(fleet(f"backup --to {tmp_path}", "--on", "f1,f2"))
    assert [len(list((tmp_path / name).glob("*.tar.zst"))) for name in ("f1", "f2")] == [1, 1]
