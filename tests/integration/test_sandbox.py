"""What the service may do and what not, in either sandbox: tried from its kernels and terminals."""

import pytest
from notebook import Notebook
from outcomes import well

pytestmark = [pytest.mark.security, pytest.mark.debian]

UNIT = "/etc/systemd/system/jupyterlab.service"
PROJECT = "/srv/lab"  # outside the home: the harder case
VENV = f"{PROJECT}/venv"
SOCKET = "/run/jupyterlab/jupyter.sock"
CONFIG = "/home/david/.jupyter/jupyter_lab_config.py"
SETTINGS = {
    "FABRIC_LAB_PROJECT": PROJECT,
    "FABRIC_LAB_PACKAGES": "jupyter numpy numba matplotlib psutil",
    "FABRIC_LAB_SYSTEM_PACKAGES": "git openssh-client",
}
# what else a server has: another home, a file in /tmp, a repository by ssh, a device of root's
FURNITURE = f"""
useradd --create-home alice
echo of-the-host >/tmp/of-the-host
su - david -c 'git init -q --bare /home/david/notes.git && ssh-keygen -q -t ed25519 -N "" -f .ssh/id
    cat .ssh/id.pub >>.ssh/authorized_keys
    printf "Host *\\n IdentityFile ~/.ssh/id\\n StrictHostKeyChecking no\\n" >.ssh/config'
mknod -m 666 /srv/tun c 10 200
echo of-the-host >/dev/of-the-host
echo 'c.KernelManager.transport = "ipc"' >>{CONFIG}
"""


@pytest.fixture(scope="module")
def site(servers):
    """A server with all that the notebooks here need; the sandbox is then a matter of `systemd`."""
    (site,) = servers("sandbox", settled=True)
    well(site.fab("full", "--no-verify", env=SETTINGS))
    site.host.exec(FURNITURE)
    return site


def settle(site, **chosen: str) -> Notebook:
    """Run `systemd` with these settings on top, and give the notebook of the service then."""
    more = {f"FABRIC_LAB_{name.upper()}": value for name, value in chosen.items()}
    well(site.fab("systemd", env={**SETTINGS, **more}))
    return Notebook(site.host)


@pytest.fixture(scope="module", params=["standard", "strict"])
def profile(request, site):
    """The sandbox in which the service runs now."""
    settle(site, sandbox=request.param)
    return request.param


@pytest.fixture
def lab(profile, site):
    return Notebook(site.host)


def within(name: str):
    """Mark a test as one of this sandbox only."""
    return pytest.mark.parametrize("profile", [name], indirect=True, scope="module")


# --- in either sandbox -------------------------------------------------------------------------


def test_systemd_finds_no_fault_and_rates_it_as_promised(profile, site):
    assert site.host.exec(f"systemd-analyze verify {UNIT} 2>&1") == ""
    said = site.host.exec("systemd-analyze security --no-pager jupyterlab").rpartition("level for")
    score = float(said[2].split(": ")[1].split()[0])
    assert score <= {"standard": 6.6, "strict": 1.4}[profile]


def test_the_socket_has_its_folder_even_when_that_was_gone(lab, site):
    site.host.exec(
        "systemctl stop jupyterlab; rm -rf /run/jupyterlab; systemctl start jupyterlab\n"
        f"timeout 60 sh -c 'until curl -fso /dev/null --unix-socket {SOCKET} http://localhost/api\n"
        "do sleep 0.1; done'"  # it is there a moment before it has its rights
    )
    show = f"stat -c '%a %U %G' /run/jupyterlab {SOCKET}"
    assert site.host.exec(show).splitlines() == ["2750 david www-data", "660 david www-data"]
    assert "'ipc'" in lab.cell("get_ipython().kernel.parent.transport")


CELLS = {
    "matplotlib plots": (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.savefig('plot.png')\n"
        "print(open('plot.png', 'rb').read(4))",
        ["PNG", "image/png"],
    ),
    "numba compiles": (
        "import numba\n@numba.njit(parallel=True)\ndef f(n):\n    s = 0\n"
        "    for i in numba.prange(n):\n        s += i\n    return s\nprint(f(1000))",
        ["499500"],
    ),
    "numpy reckons": ("import numpy\nprint(numpy.eye(300) @ numpy.ones(300))", ["[1. 1."]),
    "processes by fork": (
        "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p:\n"
        "    print(p.map(abs, [-1, -2]))",
        ["[1, 2]"],
    ),
    "processes by spawn": (
        "import multiprocessing as m\nwith m.get_context('spawn').Pool(2) as p:\n"
        "    print(p.map(abs, [-1, -2]))",
        ["[1, 2]"],
    ),
    "memory is shared": (
        "from multiprocessing.shared_memory import SharedMemory as M\nm = M(create=True, size=9)\n"
        "m.buf[0] = 42; n = M(m.name); print(n.buf[0])\nn.close(); m.close(); m.unlink()",
        ["42"],
    ),
    "psutil sees memory and processors": (
        "import psutil\nprint(psutil.virtual_memory().total > 0 < psutil.cpu_count())",
        ["True"],
    ),
    "files in home and project": (
        "from pathlib import Path\nfor p in (Path.home() / 'here', Path('here')):\n"
        "    p.write_text('x'); print(p.absolute()); p.unlink()",
        ["/home/david/here", f"{PROJECT}/here"],
    ),
    "pip from a notebook": (
        "%pip install --quiet --force-reinstall cowsay\nimport cowsay as cow\n"
        "print(_exit_code, cow.__file__)",
        [f"0 {VENV}/lib"],
    ),
    "node": ("!node -p 6*7", ["42"]),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_notebook_works(lab, name):
    code, expected = CELLS[name]
    told = lab.cell(code)
    assert [word for word in expected if word not in told] == [], told


@pytest.mark.parametrize(
    "command, expected",
    [
        ("echo $USER in $PWD", f"david in {PROJECT}"),
        (
            "pip install --quiet --force-reinstall cowsay && cowsay -t hi && command -v python",
            f"{VENV}/bin/python",
        ),
        ("rm -rf n && git clone -q ssh://david@localhost/~/notes.git n && ls -d n/.git", "n/.git"),
        ("cp -a /etc/hostname kept && tar -c kept | tar -x && nice -n 5 cat kept", "server"),
    ],
    ids=["a shell in the project", "pip", "git by ssh", "copies"],
)
def test_a_terminal_works(lab, command, expected):
    code, shown = lab.terminal(command)
    assert code == 0 and expected in shown, shown


def test_others_are_out_of_sight(lab, site):
    seen = site.host.exec("su david -c 'cat /proc/[0-9]*/comm' || true")  # some end meanwhile
    assert "sshd" in seen
    _, shown = lab.terminal("cat /proc/[0-9]*/comm")
    assert "jupyter-lab" in shown and "sshd" not in shown
    assert lab.terminal("cat /tmp/of-the-host")[0] == 1


# --- standard ----------------------------------------------------------------------------------


@within("standard")
def test_sudo_works_in_a_terminal(lab):
    assert lab.terminal("sudo id -u") == (0, "0\n")


@within("standard")
def test_sudo_installs_packages_and_asks_systemd(lab, site):
    assert not site.infra.package("tree").is_installed
    code, shown = lab.terminal("sudo apt-get install -y tree && tree --version")
    assert code == 0 and "tree v" in shown, shown
    assert site.infra.package("tree").is_installed
    site.host.exec("apt-get purge -y tree")
    code, shown = lab.terminal("sudo systemctl --no-pager status ssh")
    assert code == 0 and "active (running)" in shown, shown


@within("standard")
def test_a_root_without_these_bounds_is_one_command_away(lab, site):
    """What an administrator types when a terminal of JupyterLab is all they have."""
    bounds = site.host.exec("grep CapBnd /proc/1/status")
    asked = "grep CapBnd /proc/self/status"
    assert lab.terminal(f"sudo {asked}")[1] != bounds
    command = f"sudo systemd-run --quiet --pipe --wait {asked}"
    assert lab.terminal(command) == (0, bounds)


@within("standard")
def test_root_by_sudo_mounts_nothing_and_opens_no_strange_device(lab, site):
    outside = site.host.exec("mount -t tmpfs none /mnt && umount /mnt; cat /srv/tun 2>&1 || :")
    assert "not permitted" not in outside  # a device may be missing, but is not forbidden
    assert "permission denied" in lab.terminal("sudo mount -t tmpfs none /mnt")[1]
    assert "Operation not permitted" in lab.terminal("sudo cat /srv/tun")[1]


# --- strict ------------------------------------------------------------------------------------


REACH = """
import ctypes, os
pid = {pid}
for name in ("mem", "environ", "root/etc/passwd", "cwd", "fd/0"):
    for flags in (os.O_RDONLY, os.O_RDWR):
        try:
            os.close(os.open(f"/proc/{{pid}}/{{name}}", flags))
            print("reached", name)
        except OSError:
            pass
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, pid, 0, 0) == 0:
    print("reached by ptrace")
if os.path.exists(f"/proc/{{pid}}/root/home/david"):
    print("reached the home of outside")
print("tried")
"""


@within("strict")
def test_strict_reaches_no_program_that_its_user_runs_outside(lab, site):
    """Through such a program's root a notebook would write ~/.ssh, and leave the sandbox."""
    started = (
        "runuser -u david -- sleep 300 >/dev/null 2>&1 &\n"
        "timeout 30 sh -c 'until pgrep -u david -x sleep; do sleep 0.1; done'"
    )
    pid = site.host.exec(started).split()[-1]
    try:
        assert lab.cell(REACH.format(pid=pid)).split() == ["tried"]
    finally:
        site.host.exec(f"kill {pid}")


@within("strict")
@pytest.mark.parametrize(
    "command, told",
    [
        ("sudo id", "no new privileges"),
        ("touch /srv/beside", "Read-only file system"),
        ("touch /usr/local/bin/x", "Read-only file system"),
        ("ls -d /home/alice", "No such file"),
        ("unshare -U true", "Operation not permitted"),
        ("cp /bin/true t && chmod u+s t", "Operation not permitted"),
        ("cat /srv/tun", "Operation not permitted"),
        ("cat /dev/of-the-host", "No such file"),
    ],
)
def test_strict_refuses(lab, command, told):
    code, shown = lab.terminal(command)
    assert code != 0 and told in shown, shown


# --- limits ------------------------------------------------------------------------------------


def main_process(site) -> str:
    return site.host.exec("systemctl show jupyterlab -p MainPID,NRestarts")


def test_a_kernel_that_takes_all_memory_is_killed_alone_and_started_again(site):
    lab = settle(site, memory_limit="512M", cpu_limit="200%")
    before = main_process(site)
    shown = site.host.exec("systemctl show jupyterlab -p MemoryMax,CPUQuotaPerSecUSec,OOMPolicy")
    for line in ("MemoryMax=536870912", "CPUQuotaPerSecUSec=2s", "OOMPolicy=continue"):
        assert line in shown
    with lab.kernel() as kernel:
        assert "200" in kernel.run("kept = open('/proc/self/oom_score_adj').read(); kept")
        kernel.send("hoard = []\nwhile True:\n    hoard.append(bytearray(10**7))")
        states = (c.get("execution_state") for kind, c, _ in kernel.messages() if kind == "status")
        assert "restarting" in states  # what JupyterLab's dialog is made from
        assert kernel.run_when_up("'kept' in globals()").startswith("False")
    assert main_process(site) == before


def test_threads_without_end_meet_a_limit_and_leave_the_server_alive(site):
    lab = settle(site, tasks_limit="256")
    told = lab.cell(
        "import threading, time\nstop = threading.Event()\n"
        "try:\n    for n in range(1000):\n        threading.Thread(target=stop.wait).start()\n"
        "except RuntimeError as e:\n    print(n < 256, e)\nfinally:\n    stop.set()"
    )
    assert told == "True can't start new thread\n"
    assert lab.terminal("echo alive")[1] == "alive\n"
