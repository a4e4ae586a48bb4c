"""A fresh server on which one thing after another goes wrong; each run picks up the last one."""

import re
import time
from contextlib import contextmanager

import pytest
from outcomes import well
from refusals import refused, state
from surgery import listener, small_disk, text_of

pytestmark = pytest.mark.diagnosis

PACKAGES = ["python3", "python3-pip", "python3-venv", "nodejs", "curl"]
VENV = "/home/david/project/venv"
NO_DNS = "nameserver 127.0.0.1\noptions attempts:1 timeout:1"
NO_INDEX = "[global]\nindex-url = http://127.0.0.1:9/simple\nretries = 1"


@pytest.fixture(scope="module")
def broken(server):
    return server("broken")


# --- nothing is installed yet ------------------------------------------------------------------


def test_the_web_port_taken_by_another_program(broken):
    before = state(broken)
    with listener(broken.host, 80):
        done = broken.fab("full")
    refused(done, "port 80 is taken by systemd-socket", "stop that program", "lab.http_port")
    assert state(broken) == before


def test_the_jupyter_port_taken_by_another_program(broken):
    before = state(broken)
    with listener(broken.host, 8888):
        done = broken.fab("full", env={"FABRIC_LAB_PORT": "8888"})
    refused(done, "port 8888 is taken by systemd-socket", "stop that program", "lab.port")
    assert state(broken) == before


def test_a_home_too_small(server, broken):
    before = state(broken)
    with small_disk(broken.host, "/mnt/small", "50m"):
        done = server("broken", "small", home="/mnt/small/home").fab("full")
    refused(done, "the disk is full", "MB free under /mnt/small/home", "make room")
    packages = broken.host.exec("dpkg-query -W")
    assert before.startswith(packages)
    broken.host.exec("userdel small")


def test_no_way_to_the_package_index(broken):
    with text_of(broken.host, "/etc/resolv.conf", NO_DNS):
        done = broken.fab("deps")
    refused(done, "does not reach its package index", "DNS", "sources.list", "run again")
    assert not broken.infra.package("python3").is_installed


HOLD = """
use Fcntl;
for ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock") {
    open(my $file, ">>", $_) or die;
    my $all = pack("ssqql", F_WRLCK, 0, 0, 0, 0);
    fcntl($file, F_SETLK, $all) or die;
    push @kept, $file;
}
open(my $held, ">", "/run/held");
sleep 5;
"""


@contextmanager
def package_locks_held(host):
    """Hold the locks of dpkg and apt for five seconds, as an unattended upgrade does."""
    host.exec(f"cat >/run/hold.pl <<'END'\n{HOLD}\nEND")
    host.exec("systemd-run -q --collect --unit=upgrade perl /run/hold.pl")
    host.exec("timeout 5 sh -c 'until [ -e /run/held ]; do sleep 0.05; done'; rm /run/held")
    yield
    host.exec("systemctl stop upgrade 2>/dev/null", check=False)


def test_deps_wait_for_another_package_run_and_pick_up(broken):
    with package_locks_held(broken.host):
        began = time.monotonic()
        done = broken.fab("deps")
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began > 4
    assert [name for name in PACKAGES if not broken.infra.package(name).is_installed] == []


# --- the packages are there --------------------------------------------------------------------


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_no_way_to_the_python_index(broken, installer):
    well(broken.fab("deps"))
    with text_of(broken.host, "/etc/pip.conf", NO_INDEX):
        done = broken.fab("jupyter", env={"FABRIC_LAB_INSTALLER": installer})
    refused(done, "does not reach its package index", "pip.conf", "run again")
    assert ("using pip" in done.stdout) == (installer == "uv")
    assert not broken.infra.file(f"{VENV}/bin/jupyter").exists


def test_packages_that_do_not_exist(broken):
    done = broken.fab("jupyter", env={"FABRIC_LAB_PACKAGES": "jupyter==0.0.99"})
    refused(done, "no versions fit together", "lab.packages", "run again")


def test_a_debian_package_that_does_not_exist(broken):
    done = broken.fab("deps", env={"FABRIC_LAB_SYSTEM_PACKAGES": "no-such-package"})
    refused(done, "no-such-package", "lab.system_packages")


@pytest.fixture
def small(server, broken):
    """Give another user of the server, whose projects are on a disk of their own: 100 MB."""
    with small_disk(broken.host, "/mnt/disk", "100m"):
        user = server("broken", "small")
        broken.host.exec("install -d -o small -g small /mnt/disk/project")
        yield user
        broken.host.exec("userdel -r small")


def test_a_disk_that_fills_meanwhile(small):
    env = {"FABRIC_LAB_PROJECT": "/mnt/disk/project"}
    refused(small.fab("jupyter", env=env), "the disk is full", "make room", "run again")
    converged = small.infra.file("/mnt/disk/project/venv/.converged")
    assert not converged.exists or converged.content_string.strip() in ("filling", "")
    small.host.exec("mount -o remount,size=1500m /mnt/disk")
    done = small.fab("jupyter", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    small.host.exec("/mnt/disk/project/venv/bin/jupyter lab --version")


def test_an_interrupted_dpkg(broken):
    broken.host.exec("dpkg-query -s curl >/var/lib/dpkg/updates/0000")
    asked = broken.host.exec("apt-get install -y jq 2>&1", check=False)
    assert "dpkg was interrupted" in asked  # else this test would test nothing
    done = broken.fab("deps", env={"FABRIC_LAB_SYSTEM_PACKAGES": "tree"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert broken.infra.package("tree").is_installed


# --- runs that are cut off ---------------------------------------------------------------------


@contextmanager
def full_in_the_middle(broken):
    """Start a full without a venv, and wait until it fills one."""
    broken.host.exec(f"rm -rf {VENV}")
    filled = f"[ $(ls {VENV}/lib/python3*/site-packages | wc -l) -gt 5 ] && echo yes"
    with broken.start("full") as running:
        deadline = time.monotonic() + 120
        while running.poll() is None and time.monotonic() < deadline:
            if broken.host.exec(filled, check=False):
                break
            time.sleep(0.05)
        assert running.poll() is None, running.communicate()
        yield running
        running.kill()


def completes(broken) -> None:
    """Assert that a full, begun at once and beside whatever still runs there, ends well."""
    done = broken.fab("full")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6*7 over the websocket is 42" in done.stdout
    assert "nothing to change" in broken.fab("full").stdout


def test_a_full_whose_operator_is_gone(broken):
    with full_in_the_middle(broken) as running:
        running.kill()
    completes(broken)


def test_a_full_whose_shell_on_the_server_is_gone(broken):
    with full_in_the_middle(broken) as running:
        broken.host.exec("kill -9 $(pgrep -f '^sh -c cd / && echo go')")
        out, errors = running.communicate(timeout=60)
    assert running.returncode == 1
    assert re.search(r"stopped half-way.*run again", errors.strip().splitlines()[-1]), out + errors
    completes(broken)


def test_nothing_is_left_of_the_runs_that_were_cut_off(broken):
    left = "find /etc /home/david /run -xdev -name '.new.*' -o -name 'jupyterlab-fab.??????'"
    assert broken.host.exec(left) == ""
