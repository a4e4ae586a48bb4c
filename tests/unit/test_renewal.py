"""A renewal that fails is told two days before the certificate ends, with its cause."""

import base64
from datetime import timedelta

import pytest
from aged import ending

from fabfile import tls
from fabfile.certs import private_ca, renewal
from fabfile.doctor import check_nginx
from fabfile.doctor.diagnose import diagnose
from fabfile.doctor.evidence import Evidence
from fabfile.doctor.probe import Url
from fabfile.engine.converge import Reading
from fabfile.engine.host import Host
from fabfile.items import Certificate, Service
from fabfile.items.certificate import lasts, left, overdue, parsed
from fabfile.settings import Settings
from fabfile.status import collect, display

DOMAIN = "lab.example.org"
FAB = "fab -H david@1.1.1.1"
SIX_DAYS = timedelta(hours=160)  # Let's Encrypt's short-lived ones
CA = private_ca.make("/nowhere")


def aged(hours: float, life: timedelta) -> str:
    """A certificate that ends in some hours."""
    return ending(CA, DOMAIN, timedelta(hours=hours) + timedelta(seconds=9), life)[0]


@pytest.mark.parametrize(
    "life, hours, is_late",
    [
        (timedelta(90), 30 * 24, False),  # certbot tries for the first time
        (timedelta(90), 29 * 24 + 1, False),
        (timedelta(90), 29 * 24 - 1, True),
        (timedelta(90), -1, True),
        (timedelta(45), 14 * 24 + 1, False),
        (timedelta(45), 14 * 24 - 1, True),
        (timedelta(365), 30 * 24, False),  # Debian 12's certbot waits for the last 30 days
        (timedelta(365), 29 * 24 - 1, True),
        (SIX_DAYS, 80, False),
        (SIX_DAYS, 61, False),
        (SIX_DAYS, 59, True),
    ],
)
def test_when_certbot_should_have_renewed_one(life, hours, is_late):
    assert overdue(parsed(aged(hours, life))) == is_late


@pytest.mark.parametrize("days", [6.67, 7, 10, 30, 45, 47, 90, 200, 397])
def test_each_kind_is_told_two_days_before_it_ends_and_not_while_it_is_new(days):
    life = timedelta(days)
    new, late = (parsed(aged(hours, life)) for hours in (life.total_seconds() / 3600 - 1, 48))
    assert (overdue(new), lasts(new)) == (False, True)
    assert (overdue(late), lasts(late)) == (True, False)


@pytest.mark.parametrize("hours, words", [(-5, "0 hours"), (49, "49 hours"), (100, "4 days")])
def test_how_long_one_lasts_in_words(hours, words):
    assert left(parsed(aged(hours, SIX_DAYS))) == words


def reading(chosen: Settings, hours: float, life=timedelta(90), **units: str) -> Reading:
    """What was read of a server whose certificate ends in some hours."""
    items = [i for i in tls.items(chosen, Host()) if isinstance(i, Certificate | Service)]
    text = base64.b64encode(aged(hours, life).encode()).decode()
    file = ["regular file|root|root|644", text]
    service = [
        "server=" + chosen.acme_server,
        "Id=certbot.service",
        *units.get("run", "").split("|"),
    ]
    answers = [
        (
            [*file, "regular file|root|root|600"]
            if chosen.tls != "letsencrypt"
            else [*file, *service]
        )
        if isinstance(item, Certificate)
        else ["Id=certbot.timer", f"ActiveState={units.get('timer', 'active')}"]
        for item in items
    ]
    return Reading(Host(), items, answers)


FAILED = "ActiveState=failed|ExecMainStartTimestamp=Sun 2026-11-29 08:01:02.000003 UTC"


@pytest.mark.parametrize(
    "hours, units, said",
    [
        (700, {"run": FAILED}, ""),
        (600, {"run": FAILED}, "its last run, at 2026-11-29 08:01 UTC, failed"),
        (600, {"timer": "inactive"}, "certbot.timer does not run"),
        (600, {"run": "ActiveState=inactive"}, f"renewed it; {FAB} doctor says why"),
    ],
)
def test_why_certbot_does_not_renew_one_as_the_login_user_sees_it(hours, units, said):
    chosen = Settings(tls="letsencrypt", domain=DOMAIN)
    told = renewal.warning(reading(chosen, hours, **units), "letsencrypt", FAB)
    assert said in told and bool(said) == bool(told)
    assert told.endswith(f"{FAB} tls tries again") or not told


def test_one_that_certbot_did_not_renew_is_obtained_by_the_next_run():
    chosen = Settings(tls="letsencrypt", domain=DOMAIN)
    assert tls.pending(reading(chosen, 700)) == ""
    assert "certbot has not renewed it, and it ends in 25 days" in tls.pending(reading(chosen, 600))


@pytest.mark.parametrize("kind, first", [("files", "get a new one, then "), ("self-signed", "")])
def test_one_that_no_program_renews(kind, first, tmp_path):
    chain, key = CA.issue(DOMAIN)
    for name, text in (("c", chain), ("k", key)):
        (tmp_path / name).write_text(text)
    chosen = Settings(
        tls=kind, domain=DOMAIN, tls_certificate=f"{tmp_path}/c", tls_key=f"{tmp_path}/k",
        ca_folder=f"{tmp_path}/ca",
    )  # fmt: skip
    assert renewal.warning(reading(chosen, 500), kind, FAB) == ""
    told = renewal.warning(reading(chosen, 300), kind, FAB)
    assert told == f"it ends in 12 days; remedy: {first}{FAB} tls"


def test_status_shows_it():
    seen = reading(Settings(tls="letsencrypt", domain=DOMAIN), 600)
    there = collect.certificate(seen, "WHY")
    assert there["warning"] == "WHY" and there["days_left"] == 25
    assert collect.certificate(seen, "")["warning"] is None
    told = {"host": "h", "now": "2026-01-01T00:00:00Z", "certificate": there, "url": "u"}
    nothing = dict.fromkeys(("server", "kernels", "terminals", "disk", "former_python"))
    unit = {"state": "absent", "since": None}
    told |= {**nothing, "versions": {}, "newest": {}, "holes": [], "service": unit, "nginx": unit}
    rows = dict(display.lines(told))
    assert rows["tls"].endswith("25 days left; WHY")


LOG = f"""Detail: 1.1.1.1: Fetching http://{DOMAIN}/x: Connection refused
2026-11-29 08:00:01,123:ERROR:certbot._internal.renewal:Failed to renew certificate jupyterlab-fab \
with error: Some challenges have failed."""
OPS = "2026-11-29 08:00:01,1:WARNING:certbot.display.ops:Hook 'deploy-hook'"
HOOK = f"{OPS} reported error code 7"


def seen(
    hours: float, life=timedelta(90), kind="letsencrypt", **said: str
) -> list[tuple[str, str]]:
    """Name what doctor finds, with its proof."""
    chosen = Settings(tls=kind, domain=DOMAIN)
    said = {"certificate": base64.b64encode(aged(hours, life).encode()).decode()} | said
    lines = {name.replace("__", "."): text.splitlines() for name, text in said.items()}
    e = Evidence(chosen, Url("https", DOMAIN, 443), lines, peer="1.1.1.1")
    found = [(one.cause.name, one.proof) for one in diagnose(e, FAB)]
    return [one for one in found if one[0] != "unknown-name"]


def test_doctor_names_the_cause():
    assert seen(700, certbot=LOG) == []
    assert seen(700, SIX_DAYS * 20, certbot__timer="ActiveState=inactive") == [
        ("timer", "certbot.timer is inactive")
    ]
    ((name, proof),) = seen(600, certbot=LOG)
    assert name == "unrenewed" and "it ends in 25 days" in proof and "Connection refused" in proof
    ((name, proof),) = seen(50, SIX_DAYS)
    assert name == "unrenewed" and proof == "it ends in 50 hours; certbot says: nothing"
    ((name, proof),) = seen(-30, certbot=LOG)
    assert name == "unrenewed" and "it expired on" in proof
    new = base64.b64encode(aged(2000, timedelta(90)).encode()).decode()
    ((name, proof),) = seen(600, lineage=new, certbot=f"{LOG}\n{HOOK}")
    assert name == "not-handed" and proof.endswith("its hook ended with 7")
    why = f"{LOG}\n{HOOK}\n{OPS} ran with error output:\n nginx: [emerg] unknown directive"
    ((name, proof),) = seen(600, lineage=new, certbot=why)
    assert name == "not-handed" and proof.endswith("nginx: [emerg] unknown directive")
    assert [name for name, _ in seen(600, lineage=base64.b64encode(b"x").decode())] == ["unrenewed"]


def test_doctor_says_of_others_only_that_they_end_soon():
    assert [name for name, _ in seen(300, kind="files", certbot=LOG)] == ["soon"]
    assert seen(600, kind="files", certbot=LOG, certbot__timer="ActiveState=inactive") == []


@pytest.mark.parametrize(
    "lines, why",
    [
        ([], ""),
        (LOG.splitlines(), f"1.1.1.1: Fetching http://{DOMAIN}/x: Connection refused"),
        (["acme.messages.Error: urn:x", "x with error: can't set attribute"], "urn:x"),
        ([*LOG.splitlines(), "x with error: Max retries exceeded"], "Max retries exceeded"),
        ([LOG.splitlines()[0], "x with error: timed out"], "timed out"),
        (["x with error: " + "y" * 999], "y" * 297 + "..."),
    ],
)
def test_what_certbot_said_last(lines, why):
    assert check_nginx.certbots(lines) == why
