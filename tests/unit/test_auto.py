"""`tls: auto`: what the first run decides, what later ones keep, what is told of it."""

import socket
from types import SimpleNamespace

import pytest
from fabric import Connection
from invoke import Exit
from test_settings import bare_environment, load  # noqa: F401

from fabfile import tls
from fabfile.certs import auto
from fabfile.items import Issued
from fabfile.settings import DOMAIN, Settings

PEER = "9.9.9.9"
SITE = "/etc/nginx/jupyterlab/"


@pytest.fixture
def decide(monkeypatch):
    """Give a function that decides for a server that tells these lines."""

    def run(*lines: str, peer: str = PEER, anew: bool = False, **settings) -> Settings:
        c = SimpleNamespace(gateway=not peer)
        monkeypatch.setattr(auto.connection, "open_connection", lambda *a: None)
        monkeypatch.setattr(auto.connection, "peer_address", lambda c: peer)
        monkeypatch.setattr(auto.channel, "ask", lambda *a: [*lines])
        monkeypatch.setattr(auto.acme_preflight, "addresses", lambda name: list(here))
        monkeypatch.setattr(auto, "obstacle", lambda s, leads: obstacles.get(s.domain, ""))
        return auto.decided(c, load(tls="auto", **settings), anew)

    here, obstacles = [PEER], {"closed.org": "closed"}
    return run


def kind(settings: Settings) -> tuple[str, str, str]:
    return settings.domain, settings.tls, settings.auto


def test_without_a_name_the_address_that_ssh_reached_is_the_name(decide):
    assert kind(decide()) == (PEER, "letsencrypt", f"{PEER} is a public address")
    domain, mode, why = kind(decide(peer="10.0.0.9"))
    assert (domain, mode) == ("10.0.0.9", "self-signed") and "private" in why
    assert decide(address="8.8.4.4").domain == "8.8.4.4"


@pytest.mark.parametrize("peer", ["", "fe80::1%eth0"])
def test_behind_a_jump_host_or_on_the_link_the_name_of_the_hosts_file_stays(decide, peer):
    assert kind(decide(peer=peer))[:2] == (DOMAIN, "self-signed")


def test_a_port_that_is_closed_leads_to_the_private_ca(decide):
    closed = decide(domain="closed.org")
    assert closed.tls == "self-signed" and closed.auto == "Let's Encrypt needs port 80, and closed"
    proved = decide(domain="closed.org", tls_dns="cloudflare", tls_dns_credentials="x")
    assert proved.tls == "letsencrypt"


@pytest.mark.parametrize(
    "served, settings, mode",
    [
        ("lab.org.acme.pem", {}, "letsencrypt"),
        ("lab.org.pem", {}, "self-signed"),
        ("lab.org.pem", {"tls_certificate": "c", "tls_key": "k"}, "files"),
    ],
)
def test_what_the_site_has_is_kept_whatever_is_seen(decide, served, settings, mode):
    line = f"serves\t{SITE}{served}"
    assert kind(decide(line, peer="10.0.0.9", domain="lab.org", **settings)) == (
        "lab.org",
        mode,
        "",
    )


def test_another_name_or_an_order_decides_anew(decide):
    line = f"serves\t{SITE}old.org.pem"
    assert decide(line, domain="lab.org").tls == "letsencrypt"
    line = f"serves\t{SITE}lab.org.pem"
    assert decide(line, domain="lab.org").tls == "self-signed"
    assert decide(line, domain="lab.org", anew=True).tls == "letsencrypt"


def test_a_name_that_leads_elsewhere_is_refused_by_what_would_serve_it_alone(decide):
    settings = decide("leads\t8.8.4.4", domain="lab.org")
    assert settings.tls == "off" and "8.8.4.4" in settings.auto
    with pytest.raises(Exit, match=r"lab.domain: lab.org leads to 8.8.4.4"):
        tls.serve(Connection("david@x"), settings)


def test_settings_that_contradict_what_was_decided_are_refused(decide):
    with pytest.raises(Exit, match=r"lab.tls_key"):
        decide(tls_certificate="c")


def test_a_site_of_others_has_their_certificate():
    with pytest.raises(Exit, match=r"lab.tls: auto: with lab.site: include"):
        load(tls="auto", site="include", base_path="/jupyter")


def test_an_open_port_is_no_obstacle_even_if_nobody_listens_yet(monkeypatch):
    def refuse(address, seconds):
        raise ConnectionRefusedError

    def drop(address, seconds):
        raise TimeoutError("timed out")

    settings = Settings(tls="letsencrypt", domain="lab.org")
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert auto.obstacle(settings, {PEER}) == ""
    monkeypatch.setattr(socket, "create_connection", drop)
    told = auto.obstacle(settings, {PEER})
    assert PEER in told and "timed out" in told
    assert "8080" in auto.obstacle(Settings(http_port=8080), {PEER})


@pytest.mark.parametrize(
    "peer, domain, words",
    [
        (PEER, DOMAIN, f"at {PEER} with a certificate that every browser trusts"),
        (PEER, "lab.org", "if the name leads here"),
        ("10.0.0.9", "lab.org", "private CA"),
        ("", DOMAIN, "private CA"),
    ],
)
def test_a_run_without_https_says_what_auto_would_give(monkeypatch, peer, domain, words):
    monkeypatch.setattr(auto.connection, "peer_address", lambda c: peer)
    assert words in auto.promise(None, Settings(domain=domain))


@pytest.fixture
def failing(monkeypatch, capsys):
    """Give a function that serves a site whose certificate cannot be obtained."""

    def run(valid: bool, **settings):
        def converge(c, chosen, *steps, request):
            served.append(chosen.tls)
            state = SimpleNamespace(valid=valid)
            return SimpleNamespace(of=lambda kind: [(item, state)], host=SimpleNamespace(root=True))

        def obtain(*arguments):
            raise Exit("it did not answer")

        served: list[str] = []
        item = SimpleNamespace(due=lambda s: "there is none yet", serves=lambda s: s.valid)
        monkeypatch.setattr(tls, "converge", converge)
        monkeypatch.setattr(tls, "obtain", obtain)
        ca = SimpleNamespace(new=False, save=lambda: False, names=("lab.org",))
        monkeypatch.setattr(tls.selection, "authority", lambda s: ca)
        _, chosen = tls.serve(Connection("david@x"), Settings(tls="letsencrypt", **settings))
        return served, chosen.tls, capsys.readouterr().out

    assert Issued.serves
    return run


def test_where_the_acme_server_fails_auto_has_the_private_ca_instead(failing):
    served, mode, out = failing(valid=False, auto="lab.org leads here", domain="lab.org")
    assert (served, mode) == (["letsencrypt", "self-signed"], "self-signed")
    assert "it did not answer" in out and "fab -H david@x tls --decide" in out


@pytest.mark.parametrize("valid, reason", [(True, "why"), (True, ""), (False, None)])
def test_but_not_instead_of_a_certificate_that_serves_nor_where_it_was_asked_for(
    failing, valid, reason
):
    with pytest.raises(Exit, match="it did not answer"):
        failing(valid=valid, auto=reason, domain="lab.org")
