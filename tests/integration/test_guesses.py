"""Who goes on guessing: limited by network, and banned by fail2ban where one wants it."""

import time

import httpx
import pytest
from outcomes import nothing_to_change, well
from visitor import DOMAIN, Visitor

pytestmark = [pytest.mark.security, pytest.mark.debian, pytest.mark.core]

BANS = {"FABRIC_LAB_FAIL2BAN": "true"}
# Many guesses from addresses of its own: what came back, each a line.
GUESSES = r"""
ip -6 addr add 2001:db8::1/64 dev lo nodad 2>/dev/null || true
for n in $(seq {first} {last}); do
    ip -6 addr add 2001:db8:{network}::$n/128 dev lo nodad 2>/dev/null || true
    curl -s -o /dev/null -w '%{{http_code}}\n' --interface 2001:db8:{network}::$n \
        --resolve "{domain}:80:[2001:db8::1]" -d password=no "http://{domain}/login"
done
"""
# systemd calls it started before it has its socket.
JAILS = """
timeout 60 sh -c 'until fail2ban-client ping >/dev/null 2>&1; do sleep 0.2; done'
fail2ban-client status
"""


@pytest.fixture(scope="module")
def site(server):
    """A server with a firewall of its own."""
    site = server("guarded", settled=True)
    well(site.fab("full", "--no-verify", env=BANS))
    return site


def guesses(site, network: str, first: int, last: int) -> list[str]:
    """Guess from many addresses of one network, one after the other."""
    script = GUESSES.format(network=network, first=first, last=last, domain=DOMAIN)
    return site.host.exec(script).split()


def reaches(visitor: Visitor) -> bool:
    """Say whether the site lets them connect: it is told who is banned, and then does it."""
    try:
        visitor.client.get("/login")
    except (httpx.ConnectError, httpx.ReadTimeout):  # the latter if banned once connected
        return False
    return True


def test_the_addresses_of_one_network_share_a_limit(site):
    began = time.monotonic()
    answers = guesses(site, "0:1", 1, 12)
    more = int(time.monotonic() - began) // 5  # at twelve a minute, while a busy machine guessed
    assert 6 - more <= answers.count("429") <= 6 and len(answers) == 12


def test_another_network_is_not_limited_by_it(site):
    assert "429" not in guesses(site, "0:2", 1, 3)


def test_a_page_of_somebody_elses_does_not_get_its_visitor_banned(site):
    """It has them ask as often as it likes, but without the form's secret no password is tried."""
    visitor = Visitor(site)
    forms = [{"data": {"password": "no"}}, {"content": b"x" * 20000}]
    answers = {visitor.client.post("/login", **form).status_code for form in forms * 25}
    assert answers == {403, 429}
    time.sleep(5)  # fail2ban is told of each line of the log
    assert reaches(visitor) and "jupyterlab" in site.host.exec(JAILS)
    assert "Currently failed:\t0" in site.host.exec("fail2ban-client status jupyterlab")


def test_a_guesser_is_banned_and_others_are_not(site):
    quick = {**BANS, "FABRIC_LAB_LOGIN_RATE": "600"}  # at twelve a minute it takes two of them
    well(site.fab("nginx", env=quick))
    visitor = Visitor(site)
    visitor.client.get("/login")
    form = {"_xsrf": visitor.client.cookies["_xsrf"], "password": "no"}
    for _ in range(20):
        assert visitor.client.post("/login", data=form).status_code == 401
        time.sleep(0.2)
    deadline = time.monotonic() + 60
    while reaches(visitor):
        assert time.monotonic() < deadline, site.host.exec("fail2ban-client banned")
        time.sleep(0.2)
    well(site.fab("status"))  # by SSH the same address still comes in
    assert "429" not in guesses(site, "0:3", 1, 2)
    site.host.exec("fail2ban-client unban --all")
    assert visitor.client.get("/login").status_code == 200
    well(site.fab("nginx", env=BANS))


def test_a_second_run_changes_nothing(site):
    nothing_to_change(site.fab("full", "--no-verify", env=BANS))


def test_without_the_setting_there_is_no_jail(site):
    well(site.fab("full", "--no-verify"))
    assert "jupyterlab" not in site.host.exec(JAILS)
    nothing_to_change(site.fab("full", "--no-verify"))
