"""Attacks by somebody on the server: a second user, a log's reader, code in a notebook.

Each takes a server, however it was set up, and returns what it got: nothing when it failed.
"""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

import laboratory as lab

from testbed.host import docker

OTHER = "other"  # has an account, and no right beyond it
SECRET = "attack-at-dawn"
PROGRAM = Path(__file__).parent / "local_user.py"


def prepare(server) -> None:
    """Give the second user an account; let the owner's home be entered, as on a cloud's image."""
    server.host.add_user(OTHER, public_key=server.operator.public_key, sudo="none")
    docker("cp", str(PROGRAM), f"{server.host.container}:/usr/local/bin/local_user.py")
    server.host.exec("chmod 0755 /home/david /usr/local/bin/local_user.py")


def as_other(server, command: str, groups: str = OTHER) -> str:
    """What a command prints for the second user."""
    who = f"setpriv --reuid {OTHER} --regid {OTHER} --groups {groups} --inh-caps=-all"
    return server.host.exec(f"cd /; {who} sh -c {quote(command)} 2>&1", check=False)


@contextmanager
def at_work(server, *arguments: str):
    """The second user's program, from its first line on; gives that and the process."""
    command = ["docker", "exec", "-u", OTHER, server.host.container]
    command += ["python3", "/usr/local/bin/local_user.py", *arguments]
    with subprocess.Popen(command, text=True, stdout=-1, stderr=subprocess.STDOUT) as running:
        yield running.stdout.readline(), running
        running.stdout.read()  # it ends by itself


def reaches_jupyterlab_beside_nginx(server) -> list[str]:
    """Past whatever Nginx limits, logs and checks."""
    return as_other(server, "python3 /usr/local/bin/local_user.py jupyter").splitlines()


def harvests_a_password_in_the_place_of_the_service(server) -> list[str]:
    """Take its address while it is stopped: it starts elsewhere, and Nginx does not notice."""
    server.host.exec("systemctl stop jupyterlab")
    try:
        with at_work(server, "squat", "60", SECRET) as (first, thief):
            server.host.exec("systemctl start jupyterlab")
            if not first.startswith("bound"):
                lab.wait_up(server)
            answer = lab.client(server).post("/login", data={"password": SECRET})
            heard = thief.stdout.read()
    finally:
        lab.restart(server)
    assert answer.status_code in (200, 403), answer.status_code
    return re.findall(f"password={SECRET}", heard)


def hears_what_a_kernel_computes(server) -> list[str]:
    """Code and output go to whoever subscribes: that socket asks for no key."""
    with lab.kernel(server) as compute:
        compute("1")
        with at_work(server, "iopub", "60", f"{SECRET}-42") as (_, ear):
            assert f"{SECRET}-42" in compute(f"print('{SECRET}-' + str(6*7)) # {SECRET}")
            heard = ear.stdout.read()
    return re.findall(rf"[^\"]*# {SECRET}|{SECRET}-42", heard)


def leave_something_to_read(server) -> None:
    """A notebook made by the owner in the browser, a line of code run, and a command in mind."""
    note = {"type": "file", "format": "text", "content": SECRET}
    assert lab.owner(server).put("/api/contents/secret.ipynb", json=note).is_success
    with lab.kernel(server) as compute:
        compute(f"open('written.txt', 'w').write('{SECRET}')")


def reads_the_notebooks_and_their_history(server) -> list[str]:
    """Files that JupyterLab and its kernels made."""
    leave_something_to_read(server)
    grep = f"grep -rlas {SECRET} /home/david /run/jupyter* --exclude-dir=venv"
    return as_other(server, grep).splitlines()


def reads_a_hash_a_token_or_a_key(server) -> list[str]:
    """Wherever they lie."""
    secrets = rf"argon2:\$|{lab.token(server)}"
    places = "/home/david /etc /run /tmp /var/tmp /var/backups /var/log /var/lib/jupyter*"
    grep = f"grep -rlaEs --exclude-dir=venv --exclude-dir=.cache {quote(secrets)} {places}"
    names = "-name '*cookie_secret' -o -name 'kernel-*-*.json' -o -name 'jpserver-*'"
    find = f"find /home/david /run \\( {names} \\) -readable 2>/dev/null"
    with lab.kernel(server):
        return as_other(server, f"{grep}; {find}").splitlines()


def sees_a_secret_in_the_process_list(server) -> list[str]:
    """Arguments and environments, as far as others may see them."""
    with lab.kernel(server) as compute:
        compute("1")
        look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
        lines = as_other(server, look)
    assert "local" in lines or "jupyter" in lines
    return re.findall(rf"argon2:\S+|{lab.token(server)}", lines)


def finds_the_token_in_the_logs(server) -> list[str]:
    """Who may read logs only (group adm), after the owner opened the URL with the token."""
    token = lab.token(server)
    url = f"/lab?token={token}"
    assert lab.client(server).get(url).status_code == 200
    lab.client(server).get("/api/status", headers={"Referer": f"http://{lab.DOMAIN}{url}"})
    lab.client(server).get(f"/not-there?token={token}")
    look = "grep -ras '' /var/log/nginx; journalctl -q --no-pager -b -o short"
    lines, deadline = [], time.monotonic() + lab.PATIENCE
    while not any("/not-there" in line for line in lines):  # Nginx answers, and then writes it
        assert time.monotonic() < deadline, "this attack does not see any log"
        lines = as_other(server, look, "adm,systemd-journal").splitlines()
    return [line.replace(token, "TOKEN")[:150] for line in lines if token in line]


# --- code in a notebook: a stolen session, or a package that is not what it seems ---------------


def shell_in_a_kernel(server, command: str) -> str:
    """What a shell command prints in a notebook."""
    with lab.kernel(server) as compute:
        return compute(f"import subprocess as s; print(s.getoutput({command!r}))")


def becomes_root_from_a_notebook(server) -> str:
    """The owner may use sudo without a password, as on a cloud's image."""
    printed = shell_in_a_kernel(server, "sudo -n id -u")
    return printed.strip() if printed.strip() == "0" else ""


def plants_an_ssh_key_from_a_notebook(server) -> str:
    """A way back in that outlives the session, the password and the service."""
    keys = ".ssh/authorized_keys"
    printed = shell_in_a_kernel(server, f"cd; echo '# {SECRET}' >>{keys}; tail -n 1 {keys}")
    server.host.exec(f"sed -i '/{SECRET}/d' /home/david/{keys}")
    return printed.strip() if SECRET in printed else ""


def shares_files_in_tmp_with_others(server) -> str:
    """A name in /tmp is anybody's: another user plants it, the notebook reads it."""
    as_other(server, f"echo {SECRET} >/tmp/model.pickle")
    printed = shell_in_a_kernel(server, "cat /tmp/model.pickle")
    return printed.strip() if SECRET in printed else ""


def may_take_all_memory(server) -> list[str]:
    """Not tried, only read: what bounds a kernel that allocates."""
    asked = "systemctl show jupyterlab -p MemoryMax,TasksMax"
    return re.findall("MemoryMax=infinity", server.host.exec(asked))


def is_as_exposed_as_a_unit_can_be(server) -> str:
    """Systemd's own mark for the unit: 10 is the worst, above 7 it says EXPOSED or UNSAFE."""
    told = server.host.exec("systemd-analyze security --no-pager jupyterlab", check=False)
    mark = re.search(r"exposure level[^:]*: ([\d.]+)", told)[1]
    return mark if float(mark) > 7 else ""
