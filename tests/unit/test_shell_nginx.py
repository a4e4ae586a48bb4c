"""A reload of Nginx counts when new workers serve: the shell, with a master of the test's own."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from dash import applying, dash, reading, said

# A master with one worker: on HUP it starts another one, or writes why it cannot.
MASTER = """
import os, signal, subprocess, sys, time
log, fails = sys.argv[1:]
def work():
    return subprocess.Popen(["sleep", "60"])
workers = [work()]
def renew(*_):
    if fails:
        with open(log, "a") as file:
            for line in fails.splitlines():
                file.write(f"2026/11/28 23:18:28 [emerg] {os.getpid()}#{os.getpid()}: {line}\\n")
        return
    workers.append(work())
    workers[0].kill(); workers[0].wait()
signal.signal(signal.SIGHUP, renew)
print("ready", flush=True)
while True:
    time.sleep(1)
"""
BUSY = "bind() to 0.0.0.0:80 failed (98: Address already in use)\n" * 5 + "still could not bind()"


@contextmanager
def master(log, fails: str):
    """A program that Nginx's master stands for: its process."""
    command = [sys.executable, "-c", MASTER, str(log), fails]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        yield process
        for child in subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
        ).stdout.split():
            subprocess.run(["kill", child])
        process.kill()


@pytest.fixture
def reload(tmp_path):
    """Give a function that reloads Nginx with a new file: what the run said and whether it took.

    :param restarts: whether a restart would go well; :param shows: what sites listen at.
    """
    etc = tmp_path / "etc"
    etc.mkdir()
    log = tmp_path / "error.log"
    (etc / "nginx.conf").write_text(f"user www-data;\nerror_log  {log} warn;\nhttp {{ }}\n")
    log.write_text("2026/11/28 23:00:00 [emerg] 1#1: an old error\n")

    def run(fails: str = "", restarts: bool = True, shows: str = ""):
        site = tmp_path / "site"
        with master(log, fails) as process:
            text = applying(tmp_path).replace("/etc/nginx", str(etc))
            script = (
                f"{text}\nnginx() {{ :; }}\nenable_unit() {{ :; }}\nrefuse_port() {{ :; }}\n"
                f"show_listens() {{ printf '%s' {shows!r}; }}\n"
                "systemctl() { case $1 in\n"
                f"    show) echo {process.pid} ;;\n"
                f"    reload) kill -HUP {process.pid} ;;\n"
                f"    restart) echo restarted; {'true' if restarts else 'false'} ;;\n"
                "    is-active) true ;;\nesac; }\n"
                f"set -e\nkeep {site}\necho new >{site}\nreload_nginx {site}\n"
                'echo served; cat "$run/own/notes"\n'
            )
            done = dash(script)
        return done.stdout.decode(), site.exists(), done.returncode

    return run


def test_an_nginx_that_does_not_start_is_shown_with_its_journal(tmp_path):
    systemctl = "systemctl() { case $1 in is-active | restart) return 3 ;; esac; }\n"
    journal = "journalctl() { echo no certificate; }\n"
    done = dash(f"{applying(tmp_path)}\n{systemctl}{journal}set -eu\nserve_anew")
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"nginx does not start; the last lines of its journal:\nno certificate" in done.stdout


def test_a_reload_with_new_workers_counts(reload):
    said, there, code = reload()
    assert (said, there, code) == ("served\n", True, 0)


def test_what_nginx_cannot_read_is_put_back_with_the_reason(reload):
    said, there, code = reload('open() "/var/log/shop/a.log" failed (2: No such file)')
    assert code != 0 and not there
    assert "Nginx does not serve with the new files" in said and "/var/log/shop/a.log" in said
    assert "old error" not in said and "restarted" not in said


def test_an_address_that_nginx_itself_has_in_another_way_takes_a_restart(reload):
    said, there, code = reload(BUSY)
    assert (there, code) == (True, 0)
    assert said.startswith("restarted\nserved\nNginx was restarted, because a reload cannot")


def test_an_address_that_stays_taken_is_put_back_and_named(reload):
    said, there, code = reload(BUSY, restarts=False, shows="/etc/passwd:[::]:80 ipv6only=off\n")
    assert code != 0 and not there
    assert "/etc/passwd:[::]:80 ipv6only=off" in said and "bind() to 0.0.0.0:80 failed" in said


def test_a_site_that_the_login_user_may_not_read_is_named_before_a_restart(reload, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "nobody")
    said, there, code = reload(BUSY, shows="/etc/shadow:[::]:80 ipv6only=off\n")
    assert code != 0 and not there and "restarted" not in said
    assert "nobody may not read /etc/shadow, which says where a site listens" in said


# --- the welcome page on a host without IPv6 ----------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "names", "ipv6", "during", "after"),
    [
        ("fresh", "curl nginx", False, "empty", "nothing"),  # then the package enables no page
        ("fresh", "curl", False, "nothing", "nothing"),
        ("fresh", "curl nginx", True, "nothing", "nothing"),
        ("welcome", "curl", False, "empty", "nothing"),
        ("welcome", "curl", True, "link", "link"),
        ("other", "curl nginx", False, "link", "link"),
    ],
)
def test_nginx_is_installed_without_the_welcome_page(tmp_path, shown, names, ipv6, during, after):
    """The page listens at `[::]:80`, so with it Nginx does not start there."""
    etc = tmp_path / "etc"
    page = etc / "sites-enabled/default"
    if shown != "fresh":
        page.parent.mkdir(parents=True)
        page.symlink_to("/etc/hostname")
    see = (
        f"see() {{ if [ -L {page} ]; then echo link; elif [ -e {page} ]; then\n"
        f"    [ -s {page} ] || echo empty; else echo nothing; fi; }}\n"
    )
    done = dash(
        f"{applying(tmp_path).replace('/etc/nginx', str(etc))}\n{see}"
        f"can_ipv6() {{ {'true' if ipv6 else 'false'}; }}\nshow_welcome() {{ echo {shown}; }}\n"
        "write_packages_hook() { :; }\nremember_index() { :; }\n"
        "apt_get() { case $1 in install) see ;; esac; }\n"
        f"set -e\ninstall_packages false {names}\nsee\n"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().split() == [during, after]
    wanted = f"path {page}" in (tmp_path / "ledger/made").read_text()
    assert wanted == (shown == "fresh" and during == "empty")


def test_no_ipv6_is_what_a_socket_says(tmp_path):
    perl = tmp_path / "perl"
    for status, word in ((97, "none"), (0, "there"), (127, "there")):
        perl.write_text(f"#!/bin/sh\nexit {status}\n")
        perl.chmod(0o755)
        text = reading().replace("/proc/net/if_inet6", str(perl))
        assert said(f"{text}PATH={tmp_path}:$PATH\ncan_ipv6 && echo there || echo none") == [word]
    assert said(f"{text.replace(str(perl), '/none')}can_ipv6 || echo none") == ["none"]
