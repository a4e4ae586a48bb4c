"""Both ways in, the token and the password, go on working; and no secret is left lying about."""

import json
import re
import shlex
import time
import urllib.parse
from contextlib import contextmanager

import pytest
from outcomes import nothing_to_change, well
from visitor import Visitor, accepted

pytestmark = [pytest.mark.lifecycle, pytest.mark.core]

TOKEN_URL = re.compile(r"http://jupyterlab\.vmdomain\.io/lab\?token=(\w+)")
CHOSEN = "set on the login page"
PASSWORDS = {
    "quotes and backslashes": r"""it's "quoted" \'twice\" \n\\""",
    "blanks inside": "two  blanks and a\u00a0hard one",
    "dollars and backticks": "$HOME $(id) ${PATH} $$ `id` `",
    "umlauts": "Grüße, Größe: naïve Ωmega 日本",
    "percents and a hash": "#100% %s %20 +plus&amp=1 #!tag;|<>*?~",
}


@pytest.fixture(scope="module")
def site(server):
    return server("login", settled=True)


@pytest.fixture(scope="module")
def first(site):
    """The first run, with no password given."""
    return well(site.fab("full"))


@pytest.fixture(scope="module")
def token(first):
    return TOKEN_URL.search(first)[1]


@pytest.fixture(scope="module")
def guest(site, token):
    """A visitor who came with the token, set a password on the login page, and stays logged in."""
    visitor = Visitor(site)
    assert visitor.log_in(token, new_password=CHOSEN)
    return visitor


# --- the token, and the password of the login page ---------------------------------------------


def test_full_without_a_password_prints_the_url_that_logs_in(site, token):
    visitor = Visitor(site)
    assert visitor.client.get("/lab", params={"token": token}).status_code == 200
    assert visitor.is_in()


def test_the_login_page_takes_the_token_and_nothing_else(site, token):
    assert accepted(site, token)
    assert not accepted(site, token[:-1])


def test_the_password_of_the_login_page_works(site, guest):
    assert accepted(site, CHOSEN)


@pytest.fixture(scope="module")
def restarted(site, guest):
    """JupyterLab was restarted after the password had been set."""
    site.host.exec("systemctl restart jupyterlab")
    well(site.fab("verify"))  # waits until it answers


def test_it_survives_a_restart(site, restarted):
    assert accepted(site, CHOSEN)


@pytest.fixture(scope="module")
def member(site, restarted):
    """A visitor who logged in with that password after the restart, and stays logged in.

    Jupyter's key for cookies holds the hash that it started with: the guest is out by now.
    """
    visitor = Visitor(site)
    assert visitor.log_in(CHOSEN)
    return visitor


def test_another_full_changes_nothing_and_logs_nobody_out(site, member):
    nothing_to_change(site.fab("full", "--no-verify"))
    assert accepted(site, CHOSEN)
    assert member.is_in()


def test_a_second_restart_logs_nobody_out(site, member):
    site.host.exec("systemctl restart jupyterlab")
    well(site.fab("verify"))
    assert member.is_in()


def test_full_does_not_print_the_token_once_there_is_a_password(site, guest, token):
    assert token not in well(site.fab("full", "--no-verify"))


def test_the_token_task_prints_the_url_that_still_logs_in(site, guest, token):
    assert well(site.fab("token")).strip() == f"http://jupyterlab.vmdomain.io/lab?token={token}"
    assert accepted(site, token)


def test_the_password_of_the_login_page_given_to_full_changes_nothing(site, member):
    nothing_to_change(site.fab("full", "--no-verify", env={"LAB_PASSWORD": CHOSEN}))
    assert member.is_in()


# --- a password that is given ------------------------------------------------------------------


@pytest.mark.parametrize("name", PASSWORDS)
def test_a_password_with(site, guest, name):
    given = {"LAB_PASSWORD": PASSWORDS[name]}
    assert "set the password" in well(site.fab("password", env=given))
    visitor = Visitor(site)
    assert visitor.log_in(PASSWORDS[name])
    assert not accepted(site, CHOSEN)
    nothing_to_change(site.fab("password", env=given))
    assert visitor.is_in()


def test_verify_takes_the_password_that_is_set_and_no_other(site, guest):
    spoken = "".join(PASSWORDS.values())
    well(site.fab("password", env={"LAB_PASSWORD": spoken}))
    assert "the password is accepted" in well(site.fab("verify", env={"LAB_PASSWORD": spoken}))
    done = site.fab("verify", env={"LAB_PASSWORD": CHOSEN})
    assert done.returncode == 1
    assert "LAB_PASSWORD is not the password that is set" in done.stderr


def test_full_with_the_same_password_changes_nothing_and_logs_nobody_out(site, guest):
    given = {"LAB_PASSWORD": "by full"}
    assert "set the password" in well(site.fab("full", env=given))
    visitor = Visitor(site)
    assert visitor.log_in("by full")
    nothing_to_change(site.fab("full", "--no-verify", env=given))
    nothing_to_change(site.fab("full", "--no-verify"))
    assert visitor.is_in()


def test_a_new_password_logs_out_who_came_with_the_old_one(site, guest):
    well(site.fab("password", env={"LAB_PASSWORD": "the old one"}))
    visitor = Visitor(site)
    assert visitor.log_in("the old one")
    well(site.fab("password", env={"LAB_PASSWORD": "the new one"}))
    assert not visitor.is_in()


# --- where no secret may be --------------------------------------------------------------------

SAMPLES = "/root/commands"
SAMPLE = (
    "while :; do for f in /proc/[0-9]*/cmdline; do cat $f; echo; done 2>/dev/null"
    f" | tr '\\0' ' ' >>{SAMPLES}; done"
)


@contextmanager
def commands_sampled(host):
    """Note every command line on the server, over and over."""
    host.exec(f"systemd-run -q --collect --unit=sampler sh -c {shlex.quote(SAMPLE)}")
    try:
        yield
    finally:
        host.exec("systemctl stop sampler")


def spellings(secret: str) -> set[str]:
    """A secret as it stands in a text, a URL, a JSON file, a shell."""
    quoted = {urllib.parse.quote(secret), urllib.parse.quote_plus(secret), shlex.quote(secret)}
    return {secret, *quoted, json.dumps(secret)[1:-1]}


def found(host, secret: str, places: str) -> str:
    """Name the lines of some output on the server that hold a secret, in any spelling."""
    wanted = "\n".join(spellings(secret))
    search = f"cat >/dev/shm/wanted <<'END'\n{wanted}\nEND\n"
    return host.exec(
        f"{search}{places} | grep -aF -f /dev/shm/wanted | head -5 | tr -cd '\\n -~'\n"
        "rm /dev/shm/wanted"
    )


COMMANDS = f"cat {SAMPLES}"
JOURNAL = "journalctl --sync || true; journalctl --no-pager -o cat"
LOGS = "grep -raF --exclude-dir=journal '' /var/log"
ASIDE = "grep -raF '' /var/backups/jupyterlab /run/jupyterlab* /tmp /etc"


@pytest.fixture(scope="module")
def sampled(site, guest):
    """The runs that are given a password, the server's command lines noted meanwhile."""
    secret = """Sécret "$pass\\word' %41"""
    with commands_sampled(site.host):
        runs = [
            site.fab("password", env={"LAB_PASSWORD": secret}),
            site.fab("--debug", "full", env={"LAB_PASSWORD": secret}),
            site.fab("--debug", "password", env={"LAB_PASSWORD": f"{secret}2"}),
            site.fab("full", env={"LAB_PASSWORD": secret}),
        ]
        assert accepted(site, secret)
    site.host.exec(f"logger -t canary 'to see that this is searched: canary'; cp {SAMPLES} /root/c")
    return secret, "".join(well(done) + done.stderr for done in runs)


def test_the_password_is_not_in_the_output(sampled):
    secret, output = sampled
    assert [spelling for spelling in spellings(secret) if spelling in output] == []


@pytest.mark.parametrize(
    ("places", "canary"),
    [
        pytest.param(COMMANDS, "sudo -n", id="a command line"),
        pytest.param(JOURNAL, "to see that this is searched: canary", id="the journal"),
        pytest.param(LOGS, "/login", id="the logs"),
        pytest.param(ASIDE, "hashed_password", id="what is kept aside"),
    ],
)
def test_the_password_is_not_in(site, sampled, places, canary):
    secret, _ = sampled
    assert found(site.host, canary, places), "this test does not see anything"
    assert found(site.host, secret, places) == ""


@pytest.fixture
def logs(site, token):
    """Give a function that finds a text in the logs of Nginx and in the journal."""
    return lambda text: found(site.host, text, LOGS) + found(site.host, text, JOURNAL)


def soon(look) -> str:
    """What this finds, within 20 s: Nginx writes its line when the answer is on its way."""
    deadline = time.monotonic() + 20
    while not (told := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return told


def test_the_token_is_in_no_log(site, guest, token, logs):
    visitor, path = Visitor(site), f"/lab?token={token}"
    assert visitor.client.get(path).status_code == 200
    referer = {"Referer": f"http://jupyterlab.vmdomain.io{path}"}
    assert visitor.client.get("/api/status", headers=referer).status_code == 200
    assert visitor.client.get(f"/no-such-page?token={token}").status_code == 404
    assert soon(lambda: logs("/no-such-page"))
    assert logs(token) == ""


def test_the_token_is_in_no_log_when_jupyterlab_is_stopped(site, guest, token, logs):
    visitor, path = Visitor(site), f"/lab?token={token}"
    site.host.exec("systemctl stop jupyterlab")
    assert visitor.client.get(path).status_code == 502
    referer = {"Referer": f"http://jupyterlab.vmdomain.io{path}"}
    assert visitor.client.get("/api/status", headers=referer).status_code == 502
    assert visitor.client.get("/not-there").status_code == 502
    well(site.fab("systemd"))
    assert '"GET /not-there" 502 ' in logs("/not-there")
    assert logs(token) == ""


def test_the_token_is_in_no_log_when_a_body_is_too_large(site, guest, token, logs):
    body = b"x" * 65 * 1024 * 1024
    answer = Visitor(site).client.put("/api/contents/huge", params={"token": token}, content=body)
    assert answer.status_code == 413
    assert soon(lambda: logs("/api/contents/huge"))
    assert logs(token) == ""
