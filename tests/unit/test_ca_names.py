"""The private CA signs for its own names alone, and its key can be locked by a passphrase."""

import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from invoke import Exit
from states import compared

from fabfile import tls
from fabfile.certs import private_ca, selection
from fabfile.settings import Settings
from fabfile.settings.fields import address
from fabfile.settings.loader import refuse_at_odds

DOMAIN = "lab.example.org"
OURS = (DOMAIN, f"x.{DOMAIN}", DOMAIN.upper())
OTHERS = ("www.example.com", "example.org", f"not{DOMAIN}", "other.org")
KEPT = "-----BEGIN PRIVATE KEY-----"
LOCKED = "-----BEGIN ENCRYPTED PRIVATE KEY-----"


@pytest.fixture
def settings(tmp_path):
    for held in (private_ca.FOUND, private_ca.SAVED, getattr(private_ca, "OPENED", {})):
        held.clear()
    return Settings(domain=DOMAIN, tls="self-signed", ca_folder=f"{tmp_path}/ca")


def again(settings) -> private_ca.Authority:
    """The CA as the next run finds it."""
    private_ca.FOUND.clear()
    getattr(private_ca, "OPENED", {}).clear()
    return selection.authority(settings)


@pytest.fixture
def forged(settings, tmp_path):
    """Who has the key signs for a name, or an address: the CA and the chain with its key."""

    def sign(name: str, *addresses: str):
        ca = selection.authority(settings)
        if not (tmp_path / "ca").exists():
            ca.save()
        pair = ca.sign(name, addresses, ExtendedKeyUsageOID.SERVER_AUTH)
        path = tmp_path / "forged.pem"
        path.write_text("".join(pair))
        return tmp_path / "ca" / "ca.pem", path

    return sign


@contextmanager
def served(path):
    """Serve TLS with a certificate to who asks first; give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    def answer() -> None:
        plain, _ = wire.accept()
        with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
            secure.recv(999)
            secure.sendall(b"HTTP/1.0 200 OK\r\n\r\nhere")

    with socket.create_server(("127.0.0.1", 0)) as wire:
        thread = threading.Thread(target=answer)
        thread.start()
        yield wire.getsockname()[1]
        thread.join()


def by_openssl(ca, path, name) -> bool:
    """Whether openssl takes the chain."""
    how = "-verify_ip" if address(name) else "-verify_hostname"
    asked = "openssl", "verify", "-CAfile", ca, how, name, path
    return subprocess.run(asked, capture_output=True).returncode == 0


def by_python(ca, path, name) -> bool:
    """Whether Python's ssl takes the server."""
    context = ssl.create_default_context(cafile=ca)
    with served(path) as port, socket.create_connection(("127.0.0.1", port), 5) as plain:
        try:
            context.wrap_socket(plain, server_hostname=name).close()
        except ssl.SSLCertVerificationError:
            return False
    return True


def by_curl(ca, path, name) -> bool:
    """Whether curl takes the server."""
    with served(path) as port:
        url = f"https://{f'[{name}]' if ':' in name else name}:{port}/"
        way = "--noproxy", "*", "--connect-to", "::127.0.0.1:", url
        done = subprocess.run(("curl", "-sS", "--cacert", ca, *way), capture_output=True, text=True)
    assert done.returncode in (0, 60), done.stderr
    return done.stdout == "here"


WAYS = pytest.mark.parametrize("takes", [by_openssl, by_python, by_curl])


@WAYS
@pytest.mark.parametrize("name", OURS)
def test_its_names_are_taken(forged, takes, name):
    assert takes(*forged(name), name)


@WAYS
@pytest.mark.parametrize("name", OTHERS)
def test_who_has_its_key_is_no_other_site(forged, takes, name):
    assert not takes(*forged(name), name)


@pytest.mark.parametrize("other", ["127.0.0.1", "8.8.8.8", "::1"])
def test_nor_an_address(forged, other):
    assert not by_openssl(*forged(DOMAIN, other), DOMAIN)
    assert not by_python(*forged(DOMAIN, other), other)


# --- one for addresses -------------------------------------------------------------------------

FOUR, SIX = "203.0.113.7", "fd00::9"
LIMITS = [(FOUR,), (SIX,), (FOUR, SIX), (FOUR, DOMAIN)]


@pytest.fixture(params=LIMITS, ids=" ".join)
def limited(request, settings, forged):
    """A CA for these names and addresses, and what a thief of its key makes of it."""
    selection.authority(with_names(settings, *request.param, domain=request.param[0]))
    return request.param, forged


@WAYS
def test_its_addresses_are_taken(limited, takes):
    names, forged = limited
    for name in names:
        assert takes(*forged(name), name)


@WAYS
@pytest.mark.parametrize("other", ["203.0.113.8", "fd00::a", FOUR, SIX, DOMAIN, "example.org"])
def test_and_nothing_else(limited, takes, other):
    names, forged = limited
    if other not in names:
        assert not takes(*forged(other), other)
        assert not takes(*forged(names[0], other), names[0]), "nor beside one of its own"


def test_its_names_are_read_again(limited, settings):
    names, forged = limited
    forged(names[0])
    assert again(with_names(settings, *names, domain=names[0])).names == names


def test_an_address_that_is_not_its_own_is_refused_with_the_way_out(settings):
    selection.authority(settings).save()
    with pytest.raises(Exit) as told:
        tls.given(with_names(settings, domain=FOUR))
    for word in (f"signs for {DOMAIN}, not for {FOUR}", "lab.ca_names", "tls --new-ca"):
        assert word in told.value.message
    with pytest.raises(Exit, match=rf"lab\.domain, {FOUR}, is none of these names"):
        refuse_at_odds(with_names(settings, DOMAIN, "203.0.113.8", domain=FOUR))
    refuse_at_odds(with_names(settings, DOMAIN, FOUR, domain=FOUR))


def test_it_says_so_where_every_program_must_heed_it(settings):
    told = selection.authority(settings).certificate.extensions
    names = told.get_extension_for_class(x509.NameConstraints)
    assert names.critical and [one.value for one in names.value.permitted_subtrees] == [DOMAIN]
    excluded = [one.value for one in names.value.excluded_subtrees]
    assert all(any(ip_address(one) in net for net in excluded) for one in ("1.2.3.4", "fd00::1"))
    uses = told.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.SERVER_AUTH]


def with_names(settings, *names: str, domain: str = DOMAIN) -> Settings:
    """The same with other names."""
    import msgspec

    return msgspec.structs.replace(settings, ca_names=names, domain=domain)


def test_the_settings_name_them(settings):
    ca = selection.authority(with_names(settings, "example.org", "lab.example.com"))
    assert ca.names == ("example.org", "lab.example.com")
    assert ca.issue("a.b.example.org") and ca.issue("lab.example.com")


def test_another_name_is_refused_before_anything_is_done(settings):
    selection.authority(settings).save()
    other = with_names(settings, domain="lab.example.com")
    with pytest.raises(Exit) as told:
        tls.given(other)
    for word in ("lab.domain", DOMAIN, "lab.example.com", "lab.ca_names", "tls --new-ca"):
        assert word in told.value.message
    with pytest.raises(Exit, match=r"lab\.ca_names: example\.com: lab\.domain, lab\.example\.org"):
        refuse_at_odds(with_names(settings, "example.com"))
    refuse_at_odds(with_names(settings, "example.org"))


def test_one_of_before_works_on_and_has_no_names(settings, tmp_path):
    private_ca.make(tmp_path / "ca").save()
    ca = again(settings)
    assert ca.names == () and ca.issue("anything.example.com")


def test_another_ca_takes_its_place_and_the_one_before_is_kept(settings, tmp_path):
    private_ca.make(tmp_path / "ca").save()
    private_ca.SAVED.clear()
    former = selection.authority(settings)
    aside = private_ca.put_aside(tmp_path / "ca")
    assert aside.parent == tmp_path and aside.name.startswith("ca.before-")
    assert (aside / "ca.pem").read_text() == former.pem
    ca = selection.authority(settings)
    assert ca.new and ca.names == (DOMAIN,) and ca.save()
    assert private_ca.put_aside(tmp_path / "ca") is None, "a fleet makes one, not one a host"


# --- its key -----------------------------------------------------------------------------------


@pytest.fixture
def locked(settings, monkeypatch):
    """A CA whose key has a passphrase, as the next run finds it; nobody gives it yet."""
    monkeypatch.setenv("LAB_CA_PASSPHRASE", "made by the test")
    selection.authority(settings).save()
    monkeypatch.delenv("LAB_CA_PASSPHRASE")
    return again(settings)


def key_of(settings) -> str:
    """The text of the key."""
    return (selection.Path(settings.ca_folder) / "ca.key").read_text()


def test_a_key_is_locked_when_it_is_made(settings, locked):
    assert key_of(settings).startswith(LOCKED)
    with pytest.raises(TypeError):
        serialization.load_pem_private_key(key_of(settings).encode(), None)


def test_without_a_passphrase_it_is_as_it_was(settings):
    selection.authority(settings).save()
    assert key_of(settings).startswith(KEPT)
    assert again(settings).issue(DOMAIN)


def shown(text: str) -> list[str]:
    """What the server says of a certificate that is there and well."""
    import base64

    rights = "regular file|root|root|"
    return [f"{rights}644", base64.b64encode(text.encode()).decode(), f"{rights}600"]


def test_it_is_opened_only_to_sign(settings, locked, monkeypatch):
    monkeypatch.setenv("LAB_CA_PASSPHRASE", "made by the test")
    chain, _ = locked.issue(DOMAIN)
    monkeypatch.delenv("LAB_CA_PASSPHRASE")
    again(settings)
    item = tls.given(settings)
    assert compared(item, shown(chain), set()) is None, "nothing to change asks for nothing"
    change = compared(item, ["absent", "absent"], set())
    assert change.say.startswith("put the certificate of"), "a dry run asks for nothing"
    with pytest.raises(Exit, match="LAB_CA_PASSPHRASE"):
        _ = change.shell
    monkeypatch.setenv("LAB_CA_PASSPHRASE", "made by the test")
    again(settings)
    change = compared(tls.given(settings), ["absent", "absent"], set())
    assert "PRIVATE KEY" in change.shell and change.shell is change.shell


def test_it_is_opened_once_for_all_hosts_of_a_run(locked, monkeypatch):
    asked = []
    monkeypatch.setattr("getpass.getpass", lambda _: asked.append(1) or "made by the test")
    monkeypatch.setattr("fabfile.ui.console.may_ask", lambda: True)
    hosts = [threading.Thread(target=locked.issue, args=(DOMAIN,)) for _ in range(8)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    assert asked == [1]


@pytest.mark.parametrize("given, told", [("mistyped", "does not open"), ("", "is empty")])
def test_a_wrong_passphrase_is_told_and_never_shown(locked, monkeypatch, given, told):
    monkeypatch.setenv("LAB_CA_PASSPHRASE", given)
    with pytest.raises(Exit, match=told) as refused:
        locked.issue(DOMAIN)
    assert not given or given not in refused.value.message


def test_the_key_of_another_ca_is_refused_when_it_is_opened(settings, locked, monkeypatch):
    other = private_ca.make(locked.folder)
    (locked.folder / "ca.pem").write_text(other.pem)
    monkeypatch.setenv("LAB_CA_PASSPHRASE", "made by the test")
    with pytest.raises(Exit, match=r"does not belong to ca\.pem"):
        again(settings).issue(DOMAIN)


def test_a_new_ca_lasts_longer_than_what_it_signs(settings):
    ca = selection.authority(settings)
    leaf = x509.load_pem_x509_certificate(ca.issue(DOMAIN)[0].encode())
    assert datetime.now(UTC) < leaf.not_valid_after_utc < ca.certificate.not_valid_after_utc
