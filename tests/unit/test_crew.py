"""A cluster: who fits together, whose certificates are taken, and what a worker gets."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from invoke import Exit
from states import compared

from fabfile.certs import private_ca
from fabfile.cluster import compatibility, dask, members, scheduler, worker
from fabfile.cluster.cluster import exact, usable
from fabfile.engine.host import Host, Request
from fabfile.items import Directory, File, Gone, Identity, Interpreter, Seat, Venv
from fabfile.items.certificate import parsed
from fabfile.python import requirements
from fabfile.settings import Settings

MAIN = Host(user="david", group="david", home="/home/david", name="Debian GNU/Linux 12 (bookworm)")
TRIXIE = replace(MAIN, version="13", name="Debian GNU/Linux 13 (trixie)")
SEAT = {"name": "main", "machine": "m0", "python": "3.11.2"}
PLACE = worker.Place("w1", "10.0.0.2", 4, 8000)
PINS = "dask==2026.8.0", "numpy==2.4.6"


def seat(name: str, python: str = "3.11.2", machine: str = "") -> dict[str, str]:
    return {"name": name, "machine": machine or name, "python": python}


@pytest.fixture
def ca(tmp_path):
    private_ca.FOUND.clear()
    return members.own(Settings(ca_folder=f"{tmp_path}/ca"), "david-m0")


@pytest.fixture
def cluster(ca):
    return members.Cluster("david-m0", "10.0.0.1", ca, ("david@w1 w1", "david@w2:2222 w2"))


@pytest.mark.parametrize(
    "others, words",
    [
        ({"a": (MAIN, seat("w1")), "b": (MAIN, seat("w2"))}, []),
        ({"a": (MAIN, seat("w1", ""))}, []),  # bare, of the same Debian
        ({"a": (TRIXIE, seat("w1", "3.13.5"))}, ["a has Python 3.13.5, but m has 3.11.2"]),
        ({"a": (TRIXIE, seat("w1", ""))}, ["a is Debian GNU/Linux 13 (trixie), but m is"]),
        ({"a": (MAIN, seat("w1", "3.11.9"))}, ["a has Python 3.11.9, but m has 3.11.2"]),
        ({"a": (MAIN, seat("main", machine="m0"))}, ["a is m itself"]),
        ({"a": (MAIN, seat("w")), "b": (MAIN, seat("w"))}, ["a and b are both called w"]),
        ({"a": (TRIXIE, seat("w", "3.13.5")), "b": (MAIN, seat("w"))}, ["a has", "a and b"]),
    ],
)
def test_hosts_that_cannot_compute_together_are_named(others, words):
    told = compatibility.unlike((MAIN, SEAT), others, "m")
    assert len(told) == len(words)
    assert all(line.startswith(word) for line, word in zip(told, words, strict=True))


def test_a_worker_of_another_cluster_is_a_strangers(cluster):
    text = worker.unit_text(Settings(), MAIN, cluster, PLACE)
    assert compatibility.strangers(text, "david-m0") == ""
    assert compatibility.strangers(text, "anna-m1") == "david-m0"
    assert compatibility.strangers("[Unit]\n", "david-m0") == "somebody else"
    assert compatibility.strangers("", "david-m0") == ""


@pytest.mark.parametrize(
    "differs, words",
    [
        ({}, ""),
        (None, "unknown"),
        ({"numpy": ["2.0", "2.4"], "dask": [None, "1"]}, "numpy 2.0, not 2.4; dask none, not 1"),
        ({n: ["1", "2"] for n in "abcd"}, "a 1, not 2; b 1, not 2; c 1, not 2 and 1 more"),
    ],
)
def test_other_versions_are_named(differs, words):
    assert compatibility.other_versions(differs) == words


def test_a_cluster_has_a_ca_of_its_own_beside_the_one_of_browsers(tmp_path, ca):
    other = members.own(Settings(ca_folder=f"{tmp_path}/ca"), "anna-m0")
    browsers = private_ca.find(tmp_path / "ca")
    assert ca.folder == tmp_path / "cluster-ca" / "david-m0"
    assert len({ca.pem, other.pem, browsers.pem}) == 3
    certificate, _ = other.admit("client", (), listens=False)
    assert not members.fits(ca, certificate, "client", ())


@pytest.mark.parametrize("listens", [True, False])
def test_a_member_can_be_a_client_and_listens_only_if_it_must(ca, listens):
    addresses = ("10.0.0.1",) if listens else ()
    there = parsed(ca.admit("w1", addresses, listens)[0])
    uses = there.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.CLIENT_AUTH in uses
    assert (ExtendedKeyUsageOID.SERVER_AUTH in uses) == listens
    told = there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert told.get_values_for_type(x509.IPAddress) == [ip_address(one) for one in addresses]
    assert not there.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_certificate_is_renewed_when_it_is_due_or_not_ours(ca, monkeypatch):
    text, _ = ca.admit("w1", ("10.0.0.2",), True)
    assert members.fits(ca, text, "w1", ("10.0.0.2",))
    assert not members.fits(ca, text, "w1", ("10.0.0.3",))
    assert not members.fits(ca, text, "w2", ("10.0.0.2",))
    assert not members.fits(ca, "", "w1", ("10.0.0.2",))
    monkeypatch.setattr(members, "RENEWED", timedelta(days=private_ca.DAYS))
    assert not members.fits(ca, text, "w1", ("10.0.0.2",))


def test_an_identity_comes_with_its_key_and_is_left_alone_when_well(cluster):
    import base64

    item = cluster.identity("/x/worker.pem", "w1", ("10.0.0.2",), MAIN)
    change = compared(item, ["absent", "absent"], set())
    assert change.say == "put the certificate of w1 into /x/worker.pem"
    assert change.shell.index("/x/worker.key") < change.shell.index("put_file /x/worker.pem")
    assert (change.before, change.after) == (None, None)
    text, _ = item.make()
    there = ["regular file|david|david|600", base64.b64encode(text.encode()).decode()]
    assert compared(item, [*there, "regular file|david|david|600"], set()) is None
    assert compared(item, [*there, "regular file|david|david|644"], set())
    assert compared(item, [*there, "absent"], set())


def items_of(step, settings, host=MAIN, kind=object):
    return [item for item in step(settings, host) if isinstance(item, kind)]


def test_a_worker_has_mains_very_versions_and_is_limited_by_its_own_size(cluster):
    settings = Settings(worker_memory=50, worker_cpu=50)
    step = worker.step(cluster, PLACE, "3.11.2", PINS)
    (venv,) = items_of(step, settings, kind=Venv)
    assert venv.requirements == PINS
    assert venv.path == "/home/david/jupyterlab-worker/venv"
    assert items_of(step, settings, kind=Interpreter)[0].version == "3.11.2"
    unit = worker.unit_text(settings, MAIN, cluster, PLACE)
    for row in (
        "MemoryMax=4000M", "CPUQuota=200%", "--nthreads 2", "--memory-limit 3400MiB",
        "tls://10.0.0.1:8786", "--host 10.0.0.2 --worker-port 8788 --nanny-port 8789",
        "Restart=always", "NoNewPrivileges=yes", "--no-dashboard",
    ):  # fmt: skip
        assert row in unit, row


def test_no_key_is_for_eyes_and_each_is_its_owners_alone(cluster):
    own = "/etc/jupyterlab-scheduler/scheduler.pem"  # root's: the scheduler is nobody's
    for step in (scheduler.step(cluster), worker.step(cluster, PLACE, "3.11.2", PINS)):
        for item in items_of(step, Settings(), kind=Identity):
            there = item.owner, item.mode
            assert there == (("root", "0644") if item.path == own else ("david", "0600"))
            key = compared(item, ["absent", "absent"], set()).shell
            assert f"put_file {item.key} {item.owner} {item.group} 0600" in key


def test_in_the_strict_sandbox_a_worker_has_an_ssh_folder_to_close(cluster):
    settings = Settings(sandbox="strict")
    step = worker.step(cluster, PLACE, "3.11.2", PINS)
    assert f"{MAIN.home}/.ssh" in [d.path for d in items_of(step, settings, kind=Directory)]


def test_the_scheduler_listens_by_tls_at_one_address_and_shows_itself_on_a_socket(cluster):
    files = {f.path: f.content for f in items_of(scheduler.step(cluster), Settings(), kind=File)}
    unit = files["/etc/systemd/system/jupyterlab-scheduler.service"]
    assert "--protocol tls --host 10.0.0.1 --port 8786" in unit
    door = files["/etc/systemd/system/jupyterlab-scheduler.socket"].splitlines()
    assert "ListenStream=/run/jupyterlab-scheduler/dashboard.sock" in door
    assert "SocketUser=david" in door and "SocketMode=0600" in door
    known = files["/home/david/.config/dask/jupyterlab-cluster.yaml"]
    assert "\nscheduler-address: tls://10.0.0.1:8786\n" in known
    assert "/dask/status\n" in known
    assert files["/var/lib/jupyterlab-fab/cluster"].endswith("david@w1 w1\ndavid@w2:2222 w2\n")


@pytest.mark.parametrize("sandbox", ["standard", "strict"])
def test_the_scheduler_is_nobodys_and_sees_no_home(cluster, sandbox):
    settings = Settings(sandbox=sandbox)
    files = {f.path: f.content for f in items_of(scheduler.step(cluster), settings, kind=File)}
    unit = files["/etc/systemd/system/jupyterlab-scheduler.service"].splitlines()
    own = {line.partition("=")[0]: line.partition("=")[2] for line in unit if "=" in line}
    assert own["DynamicUser"] == own["NoNewPrivileges"] == "yes"
    assert not {"User", "Group", "BindPaths", "SupplementaryGroups"} & set(own)
    assert (own["ProtectSystem"], own["ProtectHome"]) == ("strict", "tmpfs")
    assert own["InaccessiblePaths"] == '"-/home/david" "-/home/david/project"'
    text = "\n".join(line for line in unit if not line.startswith(("#", "Inacc", "Descr")))
    assert "/home/david" not in text and "david" not in text


def test_what_the_scheduler_had_in_the_home_goes(cluster):
    (item,) = items_of(scheduler.step(cluster), Settings(), kind=Gone)
    assert compared(item, ["absent"] * 5, set()) is None
    change = compared(item, ["regular file|david|david|600", *["absent"] * 4], set())
    own = "/home/david/.config/jupyterlab-cluster/scheduler.pem"
    assert change.shell == f"remove_trees_as david {own}"


def test_an_address_of_ipv6_is_bracketed(ca):
    assert members.Cluster("c", "fd00::1", ca, ()).scheduler == "tls://[fd00::1]:8786"


def test_what_a_cluster_needs_stays_as_long_as_it_is_there():
    settings, there = Settings(), replace(MAIN, cluster=("david@w1 w1",))
    assert set(requirements.CLUSTER) <= set(requirements.wanted(settings, there))
    assert not set(requirements.CLUSTER) & set(requirements.wanted(settings, MAIN))
    gone = Request(cluster=()).upon(there)
    assert not set(requirements.CLUSTER) & set(requirements.wanted(settings, gone))


def test_any_port_is_shown_only_to_who_asked_for_that():
    there = replace(MAIN, cluster=("david@w1 w1",))
    asked = Settings(packages=("jupyter", "jupyter_server_proxy"))
    assert not requirements.proxied(Settings(), there)
    assert requirements.proxied(Settings(), MAIN)
    assert requirements.proxied(asked, there)


def test_the_last_worker_takes_the_scheduler_along_and_what_shows_any_port():
    change = scheduler.dissolved(Settings(), replace(MAIN, cluster=("david@w1 w1",)))
    for word in ("stop_units jupyterlab-scheduler.service", "tree /home/david/.config/jupyterlab",
                 "path /var/lib/jupyterlab-fab/cluster", "jupyter-server-proxy"):  # fmt: skip
        assert word in change.shell
    kept = scheduler.dissolved(Settings(packages=("jupyter", "jupyter-server-proxy")), MAIN)
    assert "drop_packages_alone" not in kept.shell


def test_exact_versions_leave_out_the_tools_and_what_came_from_no_index():
    there = {"numpy": "2.4.6", "pip": "26", "mine": "1", "dask": "2026.8.0"}
    assert exact(there, {"mine"}) == ("dask==2026.8.0", "numpy==2.4.6")


@pytest.mark.parametrize(
    "address, use", [("10.0.0.1", "10.0.0.1"), ("127.0.0.1", ""), ("::1", ""), ("", ""), ("w1", "")]
)
def test_an_address_that_others_cannot_reach_is_none(address, use):
    assert usable(address) == use


def test_a_seat_tells_what_it_is():
    item = Seat(toward="10.0.0.1", venv="~/jupyterlab-worker/venv")
    assert item.parse(["name=w1", "python=", "address=10.0.0.2"])["python"] == ""
    assert compared(item, ["name=w1"], set()) is None


@pytest.mark.parametrize(
    "one, words, well",
    [
        (None, "missing", False),
        ({}, "running  2 threads  1.0 of 4.0 GiB  versions equal", True),
        ({"state": "paused"}, "paused  2 threads  1.0 of 4.0 GiB  versions equal", False),
        (
            {"differs": {"numpy": ["1", "2"]}},
            "running  2 threads  1.0 of 4.0 GiB  versions numpy 1, not 2",
            False,
        ),
    ],
)
def test_a_worker_is_described(one, words, well):
    whole = {"state": "running", "threads": 2, "used": 2**30, "limit": 2**32, "differs": {}}
    assert dask.described(None if one is None else whole | one) == (words, well)


def test_a_cluster_address_is_an_address():
    from fabric import Config

    from fabfile.settings import DEFAULTS, load

    config = Config(overrides={**DEFAULTS, "lab": {**DEFAULTS["lab"], "cluster_address": "1.2.3"}})
    with pytest.raises(Exit, match=r"lab\.cluster_address: '1.2.3' is not accepted"):
        load(config)


# --- what a hostile host says ------------------------------------------------------------------

MACHINE = "0123456789abcdef" * 2
GOOD = {
    "name": "w1", "machine": MACHINE, "processors": "4", "memory": "8000", "python": "3.11.2",
    "address": "10.0.0.2",
}  # fmt: skip


def lines_of(**changed: str) -> list[str]:
    """What a host says of itself, with some of it changed."""
    return [f"{name}={value}" for name, value in (GOOD | changed).items()]


@pytest.mark.parametrize(
    "changed",
    [
        {"machine": "../../../../.ssh/x"},
        {"machine": ""},
        {"machine": MACHINE.upper()},
        {"name": "w1 --preload /tmp/x.py"},
        {"name": "-w1"},
        {"name": "../w1"},
        {"name": "w\u0131"},
        {"name": "w1\x1b]0;x\x07"},
        {"name": "w1\r"},
        {"processors": "9" * 5000},
        {"processors": "-4"},
        {"memory": "many"},
        {"memory": "\u0664"},
        {"python": "3.11.2 --preload"},
        {"address": "fe80::1% --preload http://x/"},
        {"address": "10.0.0.2 "},
        {"address": "w1"},
    ],
    ids=repr,
)
def test_what_a_host_says_of_itself_is_of_its_kind_or_refused(changed):
    item = Seat(toward="10.0.0.1", venv="~/venv")
    assert item.parse(lines_of()) == GOOD
    with pytest.raises(Exit) as told:
        item.parse(lines_of(**changed))
    assert "\n" not in told.value.message and "\x1b" not in told.value.message


def test_it_says_it_once_and_nothing_else():
    item = Seat(toward="10.0.0.1", venv="~/venv")
    with pytest.raises(Exit, match="invalid name: 'w2'"):
        item.parse([*lines_of(), "name=w2"])
    assert "way" not in item.parse([*lines_of(), "way=10.6.6.6"])


@pytest.mark.parametrize("called", ["../../x", "a/b", ".ssh", "", "a\nb", "david-m0/..", "x" * 200])
def test_no_name_of_a_cluster_leads_out_of_its_folder(tmp_path, called):
    with pytest.raises(Exit, match="not a valid name"):
        members.own(Settings(ca_folder=f"{tmp_path}/ca"), called)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name, version",
    [("--index-url", "1"), ("x @ http://evil/x", "1"), ("x", "1; y"), ("x", ""), ("x\ny", "1")],
)
def test_no_version_of_mains_is_a_word_of_an_installers(name, version):
    with pytest.raises(Exit, match="is not a valid name and version"):
        exact({name: version, "dask": "1"}, set())
    pins = "dask==2026.8.0", "typing-extensions==4.15.0", "x==1!2.0.post1+local"
    assert exact(dict(pin.split("==") for pin in pins), set()) == pins


@pytest.mark.parametrize(
    "answer",
    [
        "nonsense", "[", "[" * 100_000, "[1]", '[{"name": 1}]', "{}", '{"a": []}', "[null]",
        '[{"name": "w1", "state": "running", "threads": [], "limit": 1, "used": 1, "differs": 1}]',
        '["' + "x" * 5_000_000 + '"]', "[1e999]", "", "\x1b[2J[",
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
@pytest.mark.parametrize("what", ["look", "wait"])
def test_an_answer_of_any_shape_is_one_line(monkeypatch, answer, what):
    from fabric import Connection

    monkeypatch.setattr("fabfile.ssh.channel.ask", lambda *_, **__: ["a warning", answer])
    with pytest.raises(Exit) as told:
        dask.ask(Connection("david@m"), Settings(), MAIN, what)
    assert "does not answer" in told.value.message and len(told.value.message) < 600


class Wire:
    """A connection to a main host with this key."""

    user, original_host, port = "david", "m", 22

    def __init__(self, key: bytes = b"m", name: str = "m"):
        self.original_host, self.transport, self.key = name, self, key

    def get_remote_server_key(self):
        return self

    def asbytes(self) -> bytes:
        return self.key


def test_a_server_leads_nobody_to_hosts_that_it_was_not_given(tmp_path):
    settings, main = Settings(ca_folder=f"{tmp_path}/ca"), Wire()
    host = replace(MAIN, cluster=("david@w1 w1", "root@bank w2"))
    for named in ([], ["david@w1"]):
        with pytest.raises(Exit, match=r"root@bank.*cluster --workers david@w1,root@bank"):
            members.refuse_unvouched(main, settings, host, named)
    members.refuse_unvouched(main, settings, host, ["david@w1", "root@bank"])
    members.vouch(main, settings, "david-m0", ("david@w1", "root@bank"))
    for same in (main, Wire(b"m", "other.name"), Wire(b"another key, known to ssh", "m")):
        members.refuse_unvouched(same, settings, host, [])
    with pytest.raises(Exit, match="david@w1, root@bank"):
        members.refuse_unvouched(Wire(b"x", "x"), settings, host, [])
    members.vouch(main, settings, "david-m0", ("david@w1",))
    assert members.vouched(main, settings) == {"david@w1"}


def test_a_server_that_only_says_it_is_another_gets_no_certificate_of_its_cluster(tmp_path):
    settings = Settings(ca_folder=f"{tmp_path}/ca")
    members.vouch(Wire(), settings, "david-m0", ("david@w1",))
    with pytest.raises(Exit, match=r"reports that it is david@m, .* but its host key differs"):
        members.vouch(Wire(b"x", "x"), settings, "david-m0", ("david@w9",))
    members.vouch(Wire(b"x", "x"), settings, "david-m1", ("david@w9",))
    assert members.vouched(Wire(), settings) == {"david@w1"}


def test_uninstall_goes_to_no_host_that_only_the_server_names(tmp_path, monkeypatch, capsys):
    from fabfile.cluster import leave

    settings, led = Settings(ca_folder=f"{tmp_path}/ca"), []
    members.vouch(Wire(), settings, "david-m0", ("david@w1",))
    monkeypatch.setattr(
        "fabfile.fleet.parallel.named", lambda _, targets: led.extend(targets) or {}
    )
    leave.dismiss(Wire(), settings, ("david@w1", "root@bank"))
    assert led == ["david@w1"]
    assert "fab -H root@bank uninstall" in capsys.readouterr().out
