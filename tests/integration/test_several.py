"""Several people on one server: each has a JupyterLab, and nobody reaches or breaks another's."""

import json
import re

import httpx
import pytest
from notebook import Kernel, Notebook
from outcomes import nothing_to_change, well
from refusals import refused
from visitor import DOMAIN, Visitor

pytestmark = pytest.mark.several

ANNA = "anna.example.org"
HERS = {"FABRIC_LAB_NAME": "anna", "FABRIC_LAB_DOMAIN": ANNA}
# By root, for those who have no sudo: one on a domain of each, and one in a folder of david's.
CLASS = """
groups:
  class:
    hosts: [root@{address}]
    users: [ben, carl]
    lab: {{name: "{{user}}", domain: "{{user}}.example.org", memory_limit: 20%}}
  guests:
    hosts: [root@{address}]
    users: [eve]
    lab: {{name: "{{user}}", domain: {domain}, base_path: "/{{user}}", site: include}}
"""
SITES = {"anna": (ANNA, ""), "ben": ("ben.example.org", ""), "carl": ("carl.example.org", ""),
         "eve": (DOMAIN, "/eve"), "david": (DOMAIN, "")}  # fmt: skip
# All that is david's, or that his JupyterLab reads.
HIS = r"""
find /etc /var/lib /var/cache /usr/local/sbin /home/david/project/venv -xdev \
    \( -path '*/venv' -prune -o -path '/var/cache/jupyterlab/assets' -prune \
    -o -name 'jupyterlab*' -o -name '*-jupyterlab*' \) ! -path '*jupyterlab-*' \
    -printf '%p %i %m %U:%G %T@ %l\n' | sort
systemctl show jupyterlab -p MainPID -p ExecMainStartTimestamp
"""


@pytest.fixture(scope="module")
def site(server):
    """A server on which david's JupyterLab runs."""
    site = server("several", settled=True)
    for name in ("anna", "ben", "carl", "eve"):
        sudo = "nopasswd" if name == "anna" else "none"
        site.host.add_user(name, public_key=site.operator.public_key, sudo=sudo)
    site.host.add_user("root", public_key=site.operator.public_key, home="/root", sudo="none")
    well(site.fab("full", "--no-verify"))
    return site


@pytest.fixture(scope="module")
def anna(site):
    """What anna types."""

    def fab(*arguments, env=HERS):
        target = f"anna@{site.host.address}"
        return site.operator.fab("-H", target, "-i", str(site.operator.key), *arguments, env=env)

    return fab


@pytest.fixture(scope="module")
def root(site, tmp_path_factory):
    """What the server's owner types, with a file of groups."""
    path = tmp_path_factory.mktemp("class") / "class.yaml"
    path.write_text(CLASS.format(address=site.host.address, domain=DOMAIN))

    def fab(*arguments):
        return site.operator.fab("-f", str(path), "-i", str(site.operator.key), *arguments)

    return fab


@pytest.fixture(scope="module")
def his(site):
    """A kernel of david's, in the middle of his work, while others come."""
    notebook = Notebook(site.host)
    name = notebook.ask("POST", "kernels")["id"]
    with notebook.wire(f"api/kernels/{name}/channels") as wire:
        assert Kernel(wire, name).run("work = 6*7") == ""
    return name, site.host.exec(HIS)


@pytest.fixture(scope="module")
def all_there(site, anna, root, his):
    """Everybody's JupyterLab."""
    well(anna("full"))
    well(root("fleet", "full", "--on", "class,guests"))
    return site


def token(site, user: str) -> str:
    return site.host.exec(f"cat /home/{user}/.jupyter/jupyterlab_token").strip()


def test_the_first_ones_name_is_refused_to_the_second(site, anna):
    refused(anna("full", env={}), "lab.name: jupyterlab is david's", "lab.name: anna")
    assert "/home/anna/project" not in site.host.exec("ls -d /home/anna/*", check=False)


def test_a_name_of_ones_own_is_needed_for_a_site_too(anna):
    hers = {"FABRIC_LAB_NAME": "anna"}
    refused(anna("full", env=hers), f"lab.domain: {DOMAIN} is david's jupyterlab", "choose another")


def test_one_user_has_one(site):
    done = site.fab("full", env={"FABRIC_LAB_NAME": "second", "FABRIC_LAB_DOMAIN": ANNA})
    refused(done, "david has jupyterlab on this server", "lab.name: jupyterlab")


def test_others_come_and_his_goes_on(all_there, his):
    name, before = his
    with Notebook(all_there.host).wire(f"api/kernels/{name}/channels") as wire:
        assert Kernel(wire, name).run("print(work)") == "42\n"
    assert all_there.host.exec(HIS) == before


def test_a_second_run_changes_nothing_of_anybodys(all_there, anna, root):
    nothing_to_change(anna("full", "--no-verify"))
    nothing_to_change(all_there.fab("full", "--no-verify"))
    out = well(root("fleet", "full", "--on", "class,guests", "--no-verify"))
    assert out.count("nothing to change") == 3, out


def test_a_path_of_a_site_is_refused_when_it_is_somebodys(all_there, anna):
    path = {"FABRIC_LAB_SITE": "include", "FABRIC_LAB_BASE_PATH": "/eve"}
    done = anna("full", env={"FABRIC_LAB_NAME": "anna", **path})
    refused(done, f"lab.domain: {DOMAIN}/eve is eve's jupyterlab-eve", "another lab.base_path")


@pytest.mark.parametrize("user", SITES)
def test_each_computes_as_oneself(all_there, user):
    domain, base = SITES[user]
    notebook = Notebook(all_there.host, token(all_there, user), domain, base)
    assert notebook.cell("import getpass; print(getpass.getuser())") == f"{user}\n"


@pytest.mark.parametrize("user", SITES)
def test_nobodys_token_opens_anothers(all_there, user):
    domain, base = SITES[user]
    for other in SITES:
        visitor = Visitor(all_there, domain, base)
        assert visitor.log_in(token(all_there, other)) == (other == user), other


# What belongs to USER, and how another one goes about it.
REACHED = {
    "socket": "curl -s --max-time 5 --unix-socket /run/{called}/jupyter.sock http://x/api",
    "kernels": "cat /home/{user}/.local/share/jupyter/runtime/kernel-*.json",
    "token": "cat /home/{user}/.jupyter/jupyterlab_token",
    "hash": "cat /home/{user}/.jupyter/jupyter_server_config.json",
    "cookies": "cat /home/{user}/.local/share/jupyter/runtime/jupyter_cookie_secret",
    "history": "ls /home/{user}/.ipython /home/{user}/.jupyter",
    "notebook": "cat /home/{user}/project/mine.ipynb",
    "write": "touch /home/{user}/project/theirs.ipynb && echo written",
    "stop": "systemctl stop {called}.service && echo stopped",
    "signal": "pkill -KILL -u {user} && echo killed",
    "trace": "cat /proc/$(pgrep -u {user} -f jupyter-lab | head -n 1)/environ",
}


@pytest.mark.parametrize("way", REACHED)
@pytest.mark.parametrize("user, other", [("david", "ben"), ("ben", "david"), ("carl", "ben")])
def test_what_is_ones_own_is_closed_to_the_other(all_there, user, other, way):
    called = "jupyterlab" if user == "david" else f"jupyterlab-{user}"
    host, attempt = all_there.host, REACHED[way].format(user=user, called=called)
    host.exec(f"chmod 0755 /home/{user}; runuser -u {user} -- sh -c 'umask 077; cd ~/project && "
              "echo private >mine.ipynb'")  # fmt: skip
    as_other = f"setpriv --reuid {other} --regid {other} --init-groups --inh-caps=-all sh -c"
    assert host.exec(f"cd /; {as_other} '{attempt}' 2>/dev/null", check=False) == ""
    assert host.exec(f"systemctl is-active {called}") == "active\n"


def test_the_same_attempts_succeed_for_oneself(all_there):
    """They are no attempts at nothing."""
    host = all_there.host
    with Notebook(host, token(all_there, "ben"), *SITES["ben"]).kernel():
        for way in ("socket", "kernels", "token", "cookies", "history", "notebook", "trace"):
            attempt = REACHED[way].format(user="ben", called="jupyterlab-ben")
            assert host.exec(f"cd /; runuser -u ben -- sh -c '{attempt}'"), way


def test_status_and_restart_are_of_one(all_there, anna):
    told = json.loads(well(anna("status", "--json")))
    assert told["url"] == f"http://{ANNA}/lab" and told["service"]["state"] == "active"
    before = all_there.host.exec(HIS)
    pid = all_there.host.exec("systemctl show -P MainPID jupyterlab-anna")
    well(anna("restart", "--yes"))
    assert all_there.host.exec("systemctl show -P MainPID jupyterlab-anna") != pid
    assert all_there.host.exec(HIS) == before


def test_an_upgrade_is_of_one(all_there, anna):
    outdated = "runuser -u anna -- ~anna/project/venv/bin/pip install -q --no-deps idna==3.6"
    all_there.host.exec(outdated)
    before = all_there.host.exec(HIS)
    assert "idna 3.6 ->" in well(anna("upgrade", "--yes"))
    assert all_there.host.exec("readlink ~anna/project/venv").startswith(
        "/home/anna/project/.venvs/"
    )
    assert all_there.host.exec(HIS) == before
    nothing_to_change(anna("full", "--no-verify"))


def test_logs_are_of_one(all_there, anna):
    Visitor(all_there, ANNA).client.get("/of-anna")
    Visitor(all_there).client.get("/of-david")
    out = well(anna("logs", "--nginx"))
    assert "/of-anna" in out and "/of-david" not in out


def test_a_backup_is_of_one_and_comes_back(all_there, anna, tmp_path):
    out = well(anna("backup", "--to", str(tmp_path)))
    name = f"{all_there.host.address}-jupyterlab-anna"
    assert re.search(rf"backed up: \S+/{re.escape(name)}/jupyterlab-\S+", out), out
    before = all_there.host.exec(HIS)
    well(anna("restore", "latest", "--to", str(tmp_path)))
    assert all_there.host.exec(HIS) == before
    all_there.host.exec("rm -rf /home/anna/project.before-* /home/anna/.jupyter.before-*")


def test_doctor_finds_nothing_wrong_with_any(all_there, anna, root):
    well(anna("doctor"))
    well(root("fleet", "doctor", "--on", "class"))


def test_the_audit_of_one_is_of_that_one(all_there, anna):
    assert "closed" in well(anna("audit"))


def test_the_first_leaves_and_the_others_go_on(all_there, anna, root):
    host = all_there.host
    out = well(all_there.fab("uninstall"))
    assert re.search(r"stays +\d+ packages: jupyterlab-\w+ takes them over", out), out
    assert (
        host.exec("ls -d /run/jupyterlab /etc/systemd/system/jupyterlab.service", check=False) == ""
    )
    nothing_to_change(anna("full", "--no-verify"))
    well(root("fleet", "verify", "--on", "class"))


def test_the_last_one_takes_all_away(all_there, anna, root):
    host = all_there.host
    well(root("fleet", "uninstall", "--on", "class,guests"))
    assert httpx.get(f"http://{host.address}/", headers={"Host": ANNA}, trust_env=False).is_redirect
    well(anna("uninstall"))
    assert host.exec("dpkg-query -W -f '${db:Status-Status}' nginx 2>/dev/null", check=False) == ""
    left = host.exec("find / -xdev -name '*jupyterlab*' ! -path '/proc/*' ! -path '/var/log/*'")
    assert left == ""
