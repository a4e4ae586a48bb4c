"""A private CA is made once, kept whole and private, and refused when it is not."""

import threading
from datetime import timedelta

import pytest
from aged import ending
from cryptography import x509
from invoke import Exit
from states import compared

from fabfile import tls
from fabfile.certs import private_ca
from fabfile.items import Given, Issued
from fabfile.items.certificate import covers, days_left, issuer, names, parsed
from fabfile.settings import Settings

DOMAIN = "lab.example.org"


@pytest.fixture
def folder(tmp_path):
    private_ca.FOUND.clear()
    private_ca.SAVED.clear()
    return tmp_path / "deep" / "ca"


def test_looking_for_a_ca_writes_nothing(folder):
    private_ca.find(folder)
    assert not folder.exists()


def test_a_ca_is_saved_once_with_a_key_for_its_owner_alone(folder):
    ca = private_ca.find(folder)
    assert (ca.save(), ca.save()) == (True, False)
    assert {path.name for path in folder.iterdir()} == {"ca.pem", "ca.key"}
    assert (folder / "ca.key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    private_ca.FOUND.clear()
    assert private_ca.find(folder).certificate == ca.certificate


def test_a_fleet_shares_one(folder):
    found = []
    hosts = [threading.Thread(target=lambda: found.append(private_ca.find(folder))) for _ in "1234"]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    assert len({ca.pem for ca in found}) == 1


def test_who_is_second_does_not_replace_the_first(folder):
    first, second = private_ca.make(folder), private_ca.make(folder)
    assert first.save()
    private_ca.SAVED.clear()  # as if by another process
    with pytest.raises(Exit, match="not empty"):
        second.save()
    assert (folder / "ca.pem").read_text() == first.pem
    assert [path.name for path in folder.parent.iterdir()] == ["ca"]


def test_the_threads_of_a_fleet_save_one(folder):
    ca, saved = private_ca.find(folder), []
    hosts = [threading.Thread(target=lambda: saved.append(ca.save())) for _ in range(8)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    assert sorted(saved) == [False] * 7 + [True]


def test_what_it_issues_is_for_one_name_and_no_ca(folder):
    ca = private_ca.find(folder)
    chain, key = ca.issue(DOMAIN)
    leaf, root = x509.load_pem_x509_certificates(chain.encode())
    assert root == ca.certificate and ca.signed(leaf)
    assert names(leaf) == [DOMAIN] and covers(leaf, DOMAIN) and not covers(leaf, "x.org")
    assert 395 < days_left(leaf) < 398
    basic = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not basic.ca
    assert issuer(leaf).startswith("JupyterLab servers of ")
    assert key.startswith("-----BEGIN PRIVATE KEY-----")
    assert not private_ca.make(folder).signed(leaf)


@pytest.mark.parametrize(
    "spoil, told",
    [
        (lambda f: (f / "ca.key").unlink(), "ca.key: No such file"),
        (lambda f: (f / "ca.pem").unlink(), "ca.pem: No such file"),
        (lambda f: (f / "ca.key").write_text("nonsense"), "is damaged: restore it"),
        (lambda f: (f / "ca.pem").write_text("nonsense"), "is damaged: restore it"),
        (lambda f: (f / "ca.key").chmod(0o644), "others may read"),
        (lambda f: (f / "ca.pem").write_text(private_ca.make(f).pem), "does not belong to ca.pem"),
    ],
    ids=[
        "no key",
        "no certificate",
        "a damaged key",
        "a damaged certificate",
        "a readable key",
        "another's",
    ],
)
def test_a_ca_that_cannot_be_used_is_refused_and_left_alone(folder, spoil, told):
    private_ca.find(folder).save()
    spoil(folder)
    private_ca.FOUND.clear()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(Exit, match=told):
        private_ca.find(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# --- certificates as items -----------------------------------------------------------------------


def shown(text: str, rights: str = "root|root|644") -> list[str]:
    import base64

    return [f"regular file|{rights}", base64.b64encode(text.encode()).decode()]


@pytest.fixture
def pair(folder):
    return private_ca.find(folder).issue(DOMAIN)


KEY = "regular file|root|root|600"


@pytest.mark.parametrize(
    "rights, key, fits, needed",
    [
        ("root|root|644", KEY, True, False),
        ("root|root|644", KEY, False, True),
        ("root|root|600", KEY, True, True),
        ("root|root|644", "regular file|root|root|644", True, True),
        ("root|root|644", "regular file|david|root|600", True, True),
        ("root|root|644", "absent", True, True),
    ],
)
def test_a_certificate_and_its_key_go_together(pair, rights, key, fits, needed):
    item = Given(path="/x.pem", domain=DOMAIN, fits=lambda text: fits, make=lambda: pair)
    change = compared(item, [*shown(pair[0], rights), key], set())
    assert bool(change) == needed
    if change:
        assert change.before is None and change.after is None, "no diff shows a key"
        calls = [line.split(" root")[0] for line in change.shell.splitlines() if "/x." in line]
        assert calls == ["doubt /x.pem", "put_file /x.key", "put_file /x.pem"]


def test_one_that_is_not_there_is_made(pair):
    item = Given(path="/x.pem", domain=DOMAIN, fits=bool, make=lambda: pair)
    assert compared(item, ["absent", "absent"], set()).touches == ("/x.pem",)


def test_the_key_is_never_read():
    item = Given(path="/x.pem", domain=DOMAIN, fits=bool, make=lambda: ("", ""))
    assert item.read().splitlines() == ["show_path /x.pem", "show_rights /x.key"]


@pytest.mark.parametrize(
    "domain, server, why",
    [
        (DOMAIN, "https://acme", ""),
        ("other.example.org", "https://acme", f"the current one is for {DOMAIN}"),
        (DOMAIN, "https://staging", "the current one is of https://acme"),
    ],
)
def test_when_a_certificate_of_an_acme_server_is_due(pair, domain, server, why):
    item = Issued(path="/x.pem", domain=domain, server=server, email="", webroot="/w", hook="/h")
    assert item.due(item.parse([*shown(pair[0]), "server=https://acme"])) == why
    assert compared(item, [*shown(pair[0]), "server=https://acme"], set()) is None, (
        "not asked for yet"
    )


@pytest.mark.parametrize(("days", "is_due"), [(40, False), (3, True), (-1, True)])
def test_one_that_ends_soon_is_due_and_no_longer_fits(folder, days, is_due):
    ca = private_ca.find(folder)
    ca.save()
    text, _ = ending(ca, DOMAIN, timedelta(days, hours=1))
    item = Issued(path="/x.pem", domain=DOMAIN, server="s", email="", webroot="", hook="")
    assert bool(item.due(item.parse([*shown(text), "server=s"]))) == is_due
    assert tls.signed(ca, Settings(domain=DOMAIN))(text) != is_due


def test_without_one_it_is_due(pair):
    item = Issued(path="/x.pem", domain=DOMAIN, server="", email="", webroot="", hook="", now=True)
    assert item.due(item.parse(["absent"])) == "there is none yet"
    assert compared(item, ["absent"], set()).say == f"obtain a certificate for {DOMAIN}"


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nx\n"])
def test_what_is_no_certificate_is_none(text):
    assert parsed(text) is None
