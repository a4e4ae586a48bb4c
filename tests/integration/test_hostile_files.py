"""What a user leaves in places where root puts, keeps, reads or removes something.

The user has no sudo, and the operator logs in as root for them.
"""

from __future__ import annotations

import subprocess
from shlex import quote

import pytest
from outcomes import well
from refusals import refused

pytestmark = [pytest.mark.security, pytest.mark.debian("trixie")]

FOR_DAVID = {"FABRIC_LAB_USER": "david"}
HOME, PROJECT = "/home/david", "/home/david/project"
TOKEN, CONFIG = f"{HOME}/.jupyter/jupyterlab_token", f"{HOME}/.jupyter/jupyter_lab_config.py"
LEDGER, ARCHIVES = "/var/lib/jupyterlab-fab/made", "/var/backups/jupyterlab/archives"
CRON = "/etc/cron.d"
SYSTEM = "/etc/systemd/system/nginx.service.d"
CONF = """# renew_before_expiry = 30 days
version = 2.1.0
archive_dir = /etc/letsencrypt/archive/{name}-fab
[renewalparams]
account = 0123abc
server = https://acme-v02.api.letsencrypt.org/directory
authenticator = {authenticator}
{more}
"""


@pytest.fixture(scope="module")
def host(servers, server):
    """A server on which david's JupyterLab runs; he has no sudo, and anna works there, too."""
    (made,) = servers("hostile", settled=True)
    key = made.operator.public_key
    made.host.add_user("david", public_key=key, sudo="none")
    made.host.add_user("anna", public_key=key, sudo="none")
    return made.host


@pytest.fixture(scope="module")
def root(server, host):
    """What the operator types, who logs in as root."""
    made = server("hostile", "root", home="/root", sudo="none")

    def fab(*arguments, env=None):
        return made.fab(*arguments, env=FOR_DAVID | (env or {}))

    fab.start = lambda *arguments, **more: made.start(*arguments, env=FOR_DAVID, **more)
    return fab


@pytest.fixture(scope="module")
def archive(host, root):
    """The name of a backup on the server."""
    well(root("backup", "--there"))
    return host.exec(f"ls {ARCHIVES}").split()[0]


@pytest.fixture
def as_david(host):
    """Run a script as he does, in a notebook or anywhere."""

    def run(script: str) -> str:
        return host.exec(f"cd {HOME}; runuser -u david -- sh -c {quote(script)}", check=False)

    return run


@pytest.fixture
def elsewhere(as_david):
    """Have his project lead to a path; afterwards it is a folder again."""

    def lead(path: str) -> None:
        as_david(f"cd; mv project kept && ln -s {quote(path)} project")

    yield lead
    as_david("cd; [ ! -L project ] || rm project; [ -e project ] || mv kept project")


# --- a folder, a file ----------------------------------------------------------------------------


def test_a_group_that_is_not_the_users_own_is_mended_and_a_pipe_is_replaced(host, root, as_david):
    host.exec(f"chgrp shadow {HOME}/.jupyter {HOME}/.ipython")
    as_david(f"rm {CONFIG}; mkfifo {CONFIG}")
    well(root("full", "--no-verify"))
    groups = host.exec(f"stat -c %G {HOME}/.jupyter {HOME}/.ipython")
    assert groups == "david\ndavid\n"
    assert host.exec(f"stat -c %F {CONFIG}") == "regular file\n"


def test_a_file_of_roots_that_is_moved_there_is_not_given_away(host, root, as_david):
    host.exec(f"cd {PROJECT}; printf secret >of_root; chmod 600 of_root")
    as_david(f"cp {TOKEN} kept_token; mv project/of_root {TOKEN}")
    done = root("jupyter")
    told = host.exec(f"stat -c %U {TOKEN}"), as_david(f"cat {TOKEN}")
    as_david(f"mv -f kept_token {TOKEN}")
    assert told == ("root\n", "") and done.returncode == 1
    assert "david may not read it" in done.stdout + done.stderr


# --- where a restore is led ----------------------------------------------------------------------


def test_a_line_end_in_a_path_adds_nothing_to_the_ledger(host, root, archive, elsewhere):
    before = host.exec(f"cat {LEDGER}")
    elsewhere(f"{HOME}/x\ntree {CRON}\npath /x")
    refused(root("restore", archive, "--there"), "line break")
    assert host.exec(f"cat {LEDGER}") == before


def test_a_link_leads_root_to_no_place_of_the_systems(host, root, archive, elsewhere):
    for path in (SYSTEM, f"{SYSTEM}/below/it"):
        elsewhere(path)
        refused(root("restore", archive, "--there"), f"{PROJECT} leads to {path}", "lab.project")
        assert host.exec(f"ls -d {SYSTEM} {SYSTEM}.restoring 2>/dev/null", check=False) == ""
        host.exec(f"cd {HOME}; runuser -u david -- sh -c 'rm project; mv kept project'")


def packed(host, files: dict[str, str]) -> str:
    """A backup with these files of root's among the server's own; its name there."""
    name = "jupyterlab-2099-01-01T000000Z.tar.zst"
    facts = (
        "format=1\nmade=x\nhost=x\nuser=david\nhome=x\nproject=x\ndomain=x\nby=x\njupyterlab=x\n"
    )
    texts = {"manifest": facts, "lock.txt": "", **files, "project/x": "x"}
    lines = [
        f"mkdir -p $(dirname {path}); printf %s {quote(text)} >{path}"
        for path, text in texts.items()
    ]
    host.exec(
        "cd $(mktemp -d)\n" + "\n".join(lines) + f"\ntar -c {' '.join([*texts])} | zstd -q >x\n"
        f"mv x {ARCHIVES}/{name}; cd {ARCHIVES}; sha256sum {name} >{name}.sha256"
    )
    return name


@pytest.mark.parametrize(
    "name, authenticator, more",
    [
        ("jupyterlab-other", "webroot", "pre_hook = touch /tmp/hooked"),
        ("jupyterlab", "webroot", "post_hook = touch /tmp/hooked"),
        ("jupyterlab", "manual", "manual_auth_hook = touch /tmp/hooked"),
        ("jupyterlab", "webroot", "config_dir = /home/david/evil"),
        ("jupyterlab", "webroot", "[[webroot_map]]\nx.example.org = /etc"),
    ],
)
def test_certbot_gets_no_settings_but_those_that_are_known(
    host, root, archive, name, authenticator, more
):
    text = CONF.format(name=name, authenticator=authenticator, more=more)
    own = "letsencrypt/archive/jupyterlab-fab/cert1.pem"
    evil = packed(host, {f"letsencrypt/renewal/{name}-fab.conf": text, own: "x"})
    done = root("restore", evil, "--there")
    host.exec(f"rm {ARCHIVES}/{evil}*")
    refused(done, "nothing was touched")
    assert host.exec("ls /etc/letsencrypt/renewal 2>/dev/null", check=False) == ""


def test_what_they_make_to_spoil_a_backup_is_left_out_and_told(host, root, as_david):
    """A device, which Linux lets anybody make, a path without end, a tar of their own instead."""
    ram = f"{HOME}/project/ram"  # the container's own disk takes no such device
    host.exec(
        f"cd {HOME}; cp -a project own; rm -r project; mv own project"
    )  # else no exchange there
    host.exec(f"mkdir {ram}; mount -t tmpfs -o mode=0777 ram {ram}")
    as_david(
        "cd project; mknod ram/spoiled c 0 0; printf x >'colon: x'; i=25\n"
        f"while [ $i -gt 0 ]; do mkdir {'d' * 200}; cd -P {'d' * 200}; i=$((i - 1)); done"
    )
    out = well(root("backup", "--there"))
    host.exec(f"umount {ram}")
    assert "left out: project/ram/spoiled is not a file, folder or link" in out
    assert "has a name that is too long" in out
    well(root("restore", "latest", "--there"))
    assert as_david("cat 'project/colon: x'; ls project/ram") == "x"
    as_david("rm -rf project/ddd*")


def test_no_backup_goes_where_others_may_write(host, root, archive):
    host.exec("install -d -m 0777 /srv/open; install -d -m 0700 /srv/open/inner")
    for folder in ("/srv/open", "/srv/open/inner", "/srv/open/new"):
        done = root("backup", "--there", env={"FABRIC_LAB_BACKUP_FOLDER": folder})
        refused(done, "others may write in /srv/open", "lab.backup_folder")


# --- what an uninstall is led to -----------------------------------------------------------------


def test_an_endless_file_does_not_keep_anybody_waiting(host, root, as_david):
    as_david(f"mv {CONFIG} kept_config; truncate -s 300M {CONFIG}")
    task = root.start("--dry", "uninstall", stdin=subprocess.DEVNULL)
    try:
        out, _ = task.communicate(timeout=60)
    finally:
        task.kill()
        as_david(f"mv -f kept_config {CONFIG}")
    assert task.returncode == 0 and "goes   " in out


@pytest.fixture(scope="module")
def others(host):
    """What is not david's: a log of the system's, and another user's project."""
    host.exec(
        "runuser -u anna -- sh -c 'mkdir -p ~anna/project/venv; echo x >~anna/project/venv/x'\n"
        f"chmod 0755 ~anna {HOME}; echo x >/var/log/theirs"
    )
    return "/var/log/theirs /home/anna/project/venv/x"


@pytest.mark.parametrize(
    "link, target", [(".ipython/profile_default", "/var"), ("project", "/home/anna/project")]
)
def test_no_link_leads_an_uninstall_to_what_is_anothers(host, root, as_david, others, link, target):
    as_david(f"mv {link} aside; ln -s {target} {link}")
    done = root("uninstall")
    as_david(f"rm {link}; mv aside {link}")
    assert host.exec(f"cat {others}") == "x\nx\n"
    assert "Traceback" not in done.stderr


def test_without_the_links_all_of_it_goes(host, root, as_david, others):
    well(root("uninstall"))
    assert host.exec(f"cat {others}") == "x\nx\n"
    assert host.exec(f"ls {PROJECT}/venv {LEDGER} 2>/dev/null", check=False) == ""
