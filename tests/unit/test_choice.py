"""Which HTTPS `tls: auto` is, by what is seen of the name and the addresses."""

import pytest

from fabfile.certs.choice import Seen, choose

PUBLIC, OTHER, SIX = "9.9.9.9", "8.8.4.4", "2620:fe::fe"
OWN = frozenset({PUBLIC, SIX, "10.1.2.3"})


def seen(domain: str, *leads: str, own=OWN, **more: bool) -> Seen:
    return Seen(domain, own, frozenset(leads), **more)


@pytest.mark.parametrize(
    ("there", "mode", "words"),
    [
        pytest.param(seen("lab.org", PUBLIC), "letsencrypt", "leads to this server", id="public"),
        pytest.param(seen("lab.org", PUBLIC, SIX), "letsencrypt", "lab.org", id="IPv6, too"),
        pytest.param(seen(""), "self-signed", "no name", id="no name"),
        pytest.param(seen("lab", PUBLIC), "self-signed", "your own network", id="one word"),
        pytest.param(seen("nas.home.arpa"), "self-signed", "your own network", id="home.arpa"),
        pytest.param(seen("LAB.Local"), "self-signed", "your own network", id="capital letters"),
        pytest.param(seen("lab.org"), "self-signed", "no address in the DNS", id="not in the DNS"),
        pytest.param(
            seen("lab.org", "10.1.2.3"), "self-signed", "private address", id="a private address"
        ),
        pytest.param(
            seen("lab.org", PUBLIC, "10.1.2.3"), "self-signed", "10.1.2.3", id="one of each"
        ),
        pytest.param(seen(PUBLIC), "letsencrypt", "public address", id="an address"),
        pytest.param(seen(SIX), "letsencrypt", "public address", id="an IPv6 address"),
        pytest.param(seen("10.1.2.3"), "self-signed", "private", id="one of a private network"),
        pytest.param(seen("10.1.2.3", local=True), "letsencrypt", "", id="an ACME server there"),
        pytest.param(
            seen("lab.lan", "10.1.2.3", local=True), "letsencrypt", "leads", id="and a name there"
        ),
        pytest.param(
            seen("lab.org", "10.1.2.3", dns=True), "letsencrypt", "DNS", id="proved by the DNS"
        ),
        pytest.param(seen("lab.lan", dns=True), "self-signed", "your own", id="in no DNS"),
        pytest.param(seen("lab.org", OTHER, files=True), "files", "certificate", id="files"),
    ],
)
def test_what_is_chosen(there, mode, words):
    assert (chosen := choose(there))[0] == mode and words in chosen[1]


@pytest.mark.parametrize("leads", [(OTHER,), (PUBLIC, OTHER)])
def test_for_a_name_that_leads_elsewhere_none_fits_and_both_addresses_are_told(leads):
    tls, why = choose(seen("lab.org", *leads))
    assert tls == "off" and all(words in why for words in (OTHER, PUBLIC, "DNS"))


def test_a_server_without_a_public_address_is_not_meant_by_a_public_name():
    tls, why = choose(seen("lab.org", OTHER, own=frozenset({"10.1.2.3"})))
    assert tls == "off" and "not in the public network" in why


def test_a_name_that_only_ends_like_a_private_one_is_public():
    assert choose(seen("mylocal", PUBLIC))[0] == "self-signed"  # one word
    assert choose(seen("my.notlocal", PUBLIC))[0] == "letsencrypt"
