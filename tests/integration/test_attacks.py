"""What an attacker gets from the how-to's JupyterLab, and not from ours."""

import time

import attacks
import attacks_login
import attacks_network
import howto
import laboratory as lab
import pytest
from outcomes import well

from fabfile.manage.audit import THREATS

pytestmark = pytest.mark.security

ATTACKS = [
    attacks.reaches_jupyterlab_beside_nginx,
    attacks.harvests_a_password_in_the_place_of_the_service,
    attacks.hears_what_a_kernel_computes,
    attacks.reads_the_notebooks_and_their_history,
    attacks.finds_the_token_in_the_logs,
    attacks.may_take_all_memory,
    attacks.is_as_exposed_as_a_unit_can_be,
    attacks.shares_files_in_tmp_with_others,
    attacks_network.answers_to_any_name,
    attacks_network.tells_versions,
    attacks_network.leaves_headers_out,
    attacks_network.sends_cookies_from_other_sites,
    attacks_login.refuses_the_owners_password,
    attacks_login.forgets_the_password_of_the_login_page,
    attacks_login.prints_the_token_at_every_start,
    attacks_login.hides_who_guessed,
    attacks_login.guesses_by_another_way,
    attacks_login.guesses_passwords_at_speed,
    attacks_login.keeps_visitors_waiting_by_guesses,
]
FROM_A_NOTEBOOK = [  # closed by the strict sandbox alone: the standard one leaves the owner's sudo
    attacks.becomes_root_from_a_notebook,
    attacks.plants_an_ssh_key_from_a_notebook,
]
AUDITED = ("beside", "squat", "kernels", "files", "guesses", "logs", "version", "headers")
AUDITED += ("cookies", "sandbox", "memory")
WITHSTOOD = [  # by the how-to, too, for its defaults: no setting of ours may undo that
    attacks.reads_a_hash_a_token_or_a_key,
    attacks.sees_a_secret_in_the_process_list,
    attacks_network.opens_a_websocket_from_another_site,
    attacks_network.runs_a_files_script_as_the_owner,
    attacks_network.fills_the_memory_without_a_login,
]


@pytest.fixture(scope="module")
def theirs(servers):
    """A server after the how-to."""
    (server,) = servers("howto")
    howto.follow(server)
    lab.wait_up(server)
    attacks.prepare(server)
    return server


@pytest.fixture(scope="module")
def ours(servers):
    """A server after `full`, with the password that the how-to has one type."""
    (server,) = servers("attacked", settled=True)
    well(server.fab("full", "--no-verify", env={"LAB_PASSWORD": howto.PASSWORD}))
    lab.wait_up(server)
    attacks.prepare(server)
    return server


def named(attack) -> str:
    return attack.__name__


@pytest.mark.parametrize("attack", ATTACKS + FROM_A_NOTEBOOK, ids=named)
def test_an_attack_succeeds_against_the_how_to(theirs, attack):
    assert attack(theirs)


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_the_attack_fails_against_ours(ours, attack):
    assert not attack(ours)


@pytest.mark.parametrize("attack", WITHSTOOD, ids=named)
def test_an_attack_that_fails_anyway(theirs, ours, attack):
    assert not attack(theirs)
    assert not attack(ours)


# --- what the limit on logins costs those who do not guess --------------------------------------


def from_the_server_itself(server, password: str) -> str:
    """Log in from another address than these tests': the status."""
    form = '"_xsrf=$(awk "/_xsrf/ { print \\$7 }" /tmp/jar)"'
    curl = f"curl -s -b /tmp/jar -c /tmp/jar -H 'Host: {lab.DOMAIN}' http://127.0.0.1/login"
    return server.host.exec(
        f"{curl} -o /dev/null; {curl} -o /dev/null -w '%{{http_code}}' "
        f"--data-urlencode {form} --data-urlencode 'password={password}'; rm /tmp/jar"
    )


def test_while_guesses_are_refused_another_address_logs_in(ours):
    assert attacks_login.exhausted(ours)
    assert from_the_server_itself(ours, lab.token(ours)) == "302"


def test_while_guesses_are_refused_who_is_in_works_on(ours):
    assert attacks_login.exhausted(ours)
    with lab.kernel(ours) as compute:
        assert compute("print(6 * 7)") == "42\n"
    api = lab.owner(ours)
    assert {api.get("/api/contents").status_code for _ in range(50)} == {200}
    assert {lab.client(ours).get("/login").status_code for _ in range(20)} == {200}


def test_five_typing_errors_are_forgiven(ours):
    """Once the limit has forgotten the guesses before."""
    time.sleep(30)
    visitor = lab.client(ours)
    answers = [visitor.post("/login", data=lab.form(visitor, "tpyo")) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {401}
    assert visitor.post("/login", data=lab.form(visitor, lab.token(ours))).status_code == 302


# --- what else is said of both -------------------------------------------------------------------


def test_the_audit_finds_the_same_in_the_how_to(theirs):
    theirs.host.exec("apt-get install -qqy --no-install-recommends curl 2>&1")
    done = theirs.fab("audit")
    assert done.returncode == 1
    told = [line.strip() for line in done.stdout.splitlines()]
    assert [name for name in AUDITED if f"OPEN    {THREATS[name].what}" not in told] == []


@pytest.fixture(scope="module")
def strict(ours):
    """Ours, with the strict sandbox; the last thing that is done to it."""
    well(ours.fab("systemd", env={"FABRIC_LAB_SANDBOX": "strict"}))
    lab.wait_up(ours)
    return ours


@pytest.mark.parametrize("attack", FROM_A_NOTEBOOK, ids=named)
def test_in_the_strict_sandbox_an_attack_from_a_notebook_fails(strict, attack):
    assert not attack(strict)
