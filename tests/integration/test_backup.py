"""A backup of a server that is in use, and what a bare one is after its restore."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import stat
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from outcomes import nothing_to_change, well
from refusals import refused, state
from surgery import CUT, small_disk
from test_connections import FOR_DAVID
from test_interrupted import KILL_ALL
from visitor import Visitor

pytestmark = pytest.mark.lifecycle

PASSWORD = {"LAB_PASSWORD": "kept over there"}
PACKAGES = {"FABRIC_LAB_PACKAGES": "jupyter tqdm==4.66.1"}  # which is not the newest
PROJECT, ARCHIVES = "/home/david/project", "/var/backups/jupyterlab/archives"
NOTEBOOK = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
FILL = rf"""
cd {PROJECT}
su david -c '
    umask 027
    mkdir -p Übung/deep && printf "%s" "$0" >"Übung/deep/a notebook.ipynb"
    head -c 20000000 /dev/urandom >data.bin
    ln data.bin linked.bin; ln -s /etc/shadow shadow
' '{NOTEBOOK}'
echo "of root" >secret && chmod 600 secret
mkdir -p /etc/nginx/jupyterlab
echo chain >/etc/nginx/jupyterlab/lab.example.org.pem
(umask 077; echo key >/etc/nginx/jupyterlab/lab.example.org.key)
"""
NOTEBOOKS = (
    f"cd {PROJECT} && find . -name venv -prune -o ! -name secret -type f -print0 | sort -z "
    "| xargs -0 sha256sum; stat -c '%n %a %U' Übung/deep/* . ; readlink shadow"
)
VERSIONS = f"ls {PROJECT}/venv/lib/python3*/site-packages | grep dist-info"
SOON = 'n=100; until [ -z "$({0})" ] || [ $n = 0 ]; do sleep 0.1; n=$((n-1)); done; {0}'
WORKING = "ps -eo args | grep -E '^(tar|zstd|tee|sha256sum|head) ' || true"
LEFT = (
    "find /home/david /var/backups/jupyterlab /run -maxdepth 2 "
    r"\( -name '*.restoring' -o -name '*.part' -o -name 'incoming/?*' -o -name restoring \)"
)
TIMER = {"FABRIC_LAB_BACKUP_SCHEDULE": "Mon *-*-* 03:00", "FABRIC_LAB_BACKUP_KEEP": "2"}
# Stands before the real mv and waits there, once, for whoever kills the run.
PAUSE = """#!/bin/sh
case "$*" in
    *'{needle}'*) [ -e /tmp/met ] || { touch /tmp/met; sleep 60; } ;;
esac
exec /usr/bin/{command} "$@"
"""


@pytest.fixture(scope="module")
def site(servers):
    """A server in use: a password, an added package, notebooks, certificates."""
    (made,) = servers("backed", settled=True)
    well(made.fab("full", "--no-verify", env=PASSWORD | PACKAGES))
    made.host.exec(FILL)
    return made


@pytest.fixture(scope="module")
def visitor(site):
    """Somebody who logged in there before the backup."""
    made = Visitor(site)
    assert made.log_in(PASSWORD["LAB_PASSWORD"])
    return made


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder on the operator's machine."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def backed(site, visitor, kept):
    """What `backup` printed, and its file."""
    out = well(site.fab("backup", "--to", str(kept)))
    (file,) = kept.glob("*/*.tar.zst")
    return out, file


@pytest.fixture(scope="module")
def bare(servers):
    return servers("rescued")[0]


# --- to the operator's machine -----------------------------------------------------------------


def test_it_comes_whole_for_the_operator_alone(site, backed):
    out, file = backed
    assert file.parent.name == site.host.address
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (file.parent / f"{file.name}.sha256").read_text() == f"{digest}  {file.name}\n"
    assert "it holds keys and the login" in out
    assert len(list(file.parent.iterdir())) == 2


def test_plain_tools_list_it_and_no_venv_is_in_it(backed):
    listed = subprocess.run(["tar", "--zstd", "-tvf", backed[1]], capture_output=True, text=True)
    rows = [re.split(r"\d\d:\d\d ", row)[1] for row in listed.stdout.splitlines()]
    assert {"manifest", "lock.txt", "cookie_secret", "jupyter/jupyterlab_token"} <= set(rows)
    assert "nginx/lab.example.org.key" in rows
    assert not [row for row in rows if row.startswith(("project/venv", "project/secret"))]


def test_what_the_user_cannot_read_is_told(backed):
    assert "david may not read it, so it is left out: ./secret" in backed[0]


def test_a_full_disk_here_leaves_nothing(site, backed, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "t", place], check=True)
    try:
        refused(site.fab("backup", "--to", str(place)), "No space left on device", "--to")
        assert list(place.glob("*/*")) == []
    finally:
        subprocess.run(["umount", place], check=True)
    assert site.host.exec(SOON.format(WORKING)) == ""


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, "cut the connection"])
def test_one_that_is_cut_off_leaves_nothing_on_either_side(site, backed, tmp_path, way):
    site.host.exec(f"su david -c 'head -c 300000000 /dev/urandom >{PROJECT}/huge'")
    client = site.start("backup", "--to", str(tmp_path), stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while not any(part.stat().st_size for part in tmp_path.glob("*/*.part")):
            assert time.monotonic() < deadline and client.poll() is None
            time.sleep(0.02)
        if way == "cut the connection":
            site.host.exec(CUT, check=False)
        else:
            client.send_signal(way)
        out, errors = client.communicate(timeout=60)
    finally:
        client.kill()
        site.host.exec(f"rm {PROJECT}/huge")
    assert client.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(way, 1)
    assert "Traceback" not in out + errors
    assert len(errors.strip().splitlines()) == 1 and "no partial backup" in errors, errors
    assert list(tmp_path.glob("*/*")) == []
    left = f"{WORKING}; ls -d /run/jupyterlab-backup.?????? 2>/dev/null || true"
    assert site.host.exec(SOON.format(left)) == ""


# --- refused before anything is touched --------------------------------------------------------


def damaged(file: Path, folder: Path, way: str) -> Path:
    """A copy that is not whole."""
    data, copy = bytearray(file.read_bytes()), folder / file.name
    if way == "a flipped byte":
        data[len(data) // 2] ^= 1
    elif way == "cut off":
        del data[-3:]
    else:
        data = bytearray(NOTEBOOK.encode())
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("way", ["a flipped byte", "cut off", "another file"])
def test_a_damaged_one_is_refused(bare, backed, tmp_path, way):
    before = state(bare)
    copy = damaged(backed[1], tmp_path, way)
    refused(bare.fab("restore", str(copy)), "not a whole backup", "nothing was touched")
    assert state(bare) == before


def test_where_there_is_none_it_says_so(bare, tmp_path):
    refused(bare.fab("restore", "latest", "--to", str(tmp_path)), "no backup in", "fab backup")
    refused(bare.fab("restore", "mine.zst"), "mine.zst: no such file")


# --- onto a bare server ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rescued(bare, backed):
    """The bare server after one command, without a setting or a password of the first."""
    out = well(bare.fab("restore", str(backed[1])))
    assert "6*7 over the websocket is 42" in out
    return out


def test_the_same_password_and_token_log_in(bare, rescued, site):
    assert Visitor(bare).log_in(PASSWORD["LAB_PASSWORD"])
    token = "cat /home/david/.jupyter/jupyterlab_token"
    assert bare.host.exec(token) == site.host.exec(token)


def test_who_was_logged_in_still_is(bare, rescued, visitor):
    again = Visitor(bare)
    for cookie in visitor.client.cookies.jar:
        again.client.cookies.set(cookie.name, cookie.value)
    assert again.is_in()
    assert not Visitor(bare).is_in()


def test_the_same_notebooks_and_packages(bare, rescued, site):
    assert bare.host.exec(NOTEBOOKS) == site.host.exec(NOTEBOOKS)
    assert bare.host.exec(VERSIONS) == site.host.exec(VERSIONS)
    assert "tqdm-4.66.1.dist-info" in bare.host.exec(VERSIONS)


def test_the_certificates_are_roots(bare, rescued):
    told = bare.host.exec("cd /etc/nginx/jupyterlab && stat -c '%n %U %a' * && cat *")
    assert told == ("lab.example.org.key root 600\nlab.example.org.pem root 644\nkey\nchain\n")


def test_nothing_is_left_and_nothing_is_to_do(bare, rescued):
    assert bare.host.exec(LEFT) == ""
    nothing_to_change(bare.fab("full", "--no-verify"))


# --- onto one in use, by root --------------------------------------------------------------------


@contextmanager
def paused(host, command: str, needle: str):
    """Have the run wait before that command; give the shell that waits until it does."""
    wrapper = f"/usr/local/sbin/{command}"
    text = PAUSE.replace("{needle}", needle).replace("{command}", command)
    host.exec(f"rm -f /tmp/met; cat >{wrapper} <<'END'\n{text}END\nchmod 755 {wrapper}")
    try:
        yield "timeout 60 sh -c 'until [ -e /tmp/met ]; do sleep 0.05; done'"
    finally:
        host.exec(f"rm -f {wrapper} /tmp/met")


@pytest.mark.parametrize(
    "command, needle, old",
    [
        ("tar", "--no-same-owner", True),
        ("mv", f"{PROJECT}.restoring/project {PROJECT}", False),
    ],
    ids=["while it is unpacked", "between two names"],
)
def test_one_that_is_killed_is_old_or_completed(bare, rescued, backed, command, needle, old):
    bare.host.exec(f"su david -c 'echo later >{PROJECT}/later'")
    with paused(bare.host, command, needle) as until:
        client = bare.start("restore", str(backed[1]), stdin=subprocess.DEVNULL)
        try:
            bare.host.exec(until)
            bare.host.exec(KILL_ALL)
            out, errors = client.communicate(timeout=60)
        finally:
            client.kill()
    assert client.returncode == 1 and "Traceback" not in out + errors
    if old:
        assert bare.host.exec(f"cat {PROJECT}/later") == "later\n"
        bare.host.exec(f"rm {PROJECT}/later")
        return
    out = well(bare.fab("full", "--no-verify"))  # whoever comes next
    assert "a restore was interrupted: this run completes it first" in out
    assert bare.host.exec(LEFT) == ""
    assert bare.host.exec(f"ls {PROJECT}.before-*/later {PROJECT}/later 2>/dev/null || true")
    assert not bare.infra.file(f"{PROJECT}/later").exists
    assert bare.infra.service("jupyterlab").is_running


# --- on the server itself, and by the timer ------------------------------------------------------


def test_the_timer_backs_up_and_the_newest_stay(site, backed, kept):
    well(site.fab("schedule", env=TIMER))
    nothing_to_change(site.fab("schedule", env=TIMER))
    assert "03:00:00" in site.host.exec("systemctl list-timers --no-pager jupyterlab-backup.timer")
    for _ in range(3):
        site.host.exec("systemctl start jupyterlab-backup.service")
    assert len(site.host.exec(f"ls {ARCHIVES}/*.zst").split()) == 2
    assert site.host.exec(f"stat -c '%U %a' {ARCHIVES} {ARCHIVES}/*.zst | sort -u") == (
        "root 600\nroot 700\n"
    )
    site.host.exec(f"printf x >>$(ls {ARCHIVES}/*.zst | head -n 1)")
    rows = well(site.fab("backup", "--list", "--to", str(kept))).splitlines()
    told = [row.split()[0:1] + row.split()[-1:] for row in rows[1:]]
    assert told == [["here", "sound"], ["there", "sound"], ["there", "damaged"],
                    ["timer", "success"]], rows  # fmt: skip
    assert all("jupyterlab 4." in row for row in rows[1:3])


def test_a_time_that_systemd_does_not_know_is_refused(site, backed):
    done = site.fab("schedule", env={"FABRIC_LAB_BACKUP_SCHEDULE": "fooday"})
    refused(done, "lab.backup_schedule: 'fooday'", "daily")


def test_without_a_schedule_the_timer_goes_and_the_backups_stay(site, backed):
    well(site.fab("schedule"))
    assert "0 timers" in site.host.exec("systemctl list-timers --all --no-pager jupyterlab-backup*")
    assert site.host.exec(f"ls {ARCHIVES}/*.zst")
    nothing_to_change(site.fab("schedule"))


def test_a_full_disk_there_leaves_nothing(site, backed):
    with small_disk(site.host, "/mnt/archives", "5m"):
        done = site.fab("backup", "--there", env={"FABRIC_LAB_BACKUP_FOLDER": "/mnt/archives"})
        refused(done, "No space left on device", "the disk is full")
        assert site.host.exec("find /mnt/archives -type f") == ""


def test_what_does_not_belong_there_is_refused_there(site, backed):
    name = "jupyterlab-2099-01-01T000000Z.tar.zst"
    site.host.exec(
        "cd $(mktemp -d) && echo format=1 >manifest && : >lock.txt && mkdir project\n"
        "tar -cP --transform 's,^lock,/etc/cron.d/lock,' manifest project lock.txt | zstd -q >x\n"
        f"mv x {ARCHIVES}/{name}; cd {ARCHIVES}; sha256sum {name} >{name}.sha256"
    )
    before = site.host.exec(NOTEBOOKS)
    done = site.fab("restore", name, "--there")
    site.host.exec(f"rm {ARCHIVES}/{name}*")
    refused(done, "could not check", "unsafe path /etc/cron.d/lock.txt: nothing was touched")
    assert site.host.exec(NOTEBOOKS) == before
    assert not site.infra.file("/etc/cron.d/lock.txt").exists


def test_root_restores_it_for_its_user(site, server, backed):
    root = server("backed", "root", home="/root", sudo="none")
    env = FOR_DAVID | PACKAGES
    out = well(root.fab("restore", "latest", "--there", env=env))
    assert f"is kept as {PROJECT}.before-" in out
    owners = site.host.exec(f"find {PROJECT} -maxdepth 1 -printf '%u\\n' | sort -u")
    assert owners == "david\n"


# --- with a password, on a terminal, and in a fleet ----------------------------------------------


def test_a_sudo_with_password_and_terminal_does_it_too(site, server, backed, tmp_path):
    server("backed", "david", sudo="password", password="of sudo")
    tty = "/etc/sudoers.d/tty"
    site.host.exec(f"echo 'Defaults requiretty' >{tty}; chmod 440 {tty}")
    try:
        known = {"FABRIC_SUDO_PASSWORD": "of sudo"}
        well(site.fab("backup", "--to", str(tmp_path), env=known))
        well(site.fab("restore", "latest", "--to", str(tmp_path), env=known | PACKAGES))
    finally:
        site.host.exec(f"rm {tty}")
        server("backed", "david")
    assert Visitor(site).log_in(PASSWORD["LAB_PASSWORD"])


def test_a_fleet_is_backed_up_at_once(site, bare, rescued, operator, tmp_path):
    hosts = f"{site.target},{bare.target}"
    done = operator.fab("-i", str(operator.key), "fleet", f"backup --to {tmp_path}", "--on", hosts)
    assert well(done).count(" changed ") == 2
    found = {file.parent.name for file in tmp_path.glob("*/*.zst")}
    assert found == {site.host.address, bare.host.address}
