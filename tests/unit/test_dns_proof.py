"""A certificate that certbot obtains by the API of a DNS provider, and the key of that API."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from aged import ending
from dash import applying, dash
from fabric import Connection
from invoke import Exit
from states import compared
from test_archive_rules import CERT, CONF, RENEWAL, ROOTS, USERS, looked, rules, tar, why, with_conf
from test_authority import shown

from fabfile import full, tls
from fabfile.certs import acme_preflight, certbot, private_ca, selection
from fabfile.engine.host import Host
from fabfile.items import Absent, Credentials, File, Packages
from fabfile.settings import Settings
from fabfile.settings.credentials import Secret, hash_password
from fabfile.settings.loader import refuse_at_odds
from fabfile.settings.schema import PROVIDERS

DOMAIN = "lab.example.org"
KEY = "/etc/nginx/jupyterlab/dns.key"
FILES = {
    "google": '{"type": "service_account", "private_key": "s3cret"}\n',
    "route53": "[default]\naws_access_key_id=A\naws_secret_access_key=s3cret\n",
    **{
        name: f"dns_{name}_token = s3cret\n"
        for name in PROVIDERS
        if name not in ("google", "route53")
    },
}


@pytest.fixture
def chosen(tmp_path):
    """Give a function that returns settings with a provider and a file with its key."""

    def choose(name: str, text: str | None = None, **more) -> Settings:
        path = tmp_path / "dns.ini"
        path.write_text(FILES[name] if text is None else text)
        given = {"tls_dns": name, "tls_dns_credentials": str(path)} | more
        return Settings(domain=DOMAIN, tls="letsencrypt", **given)

    return choose


def items(settings: Settings, kind: type, host: Host | None = None) -> list:
    return [i for i in tls.items(settings, host or Host()) if isinstance(i, kind)]


# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more, told",
    [
        ({"tls_dns_credentials": ""}, "lab.tls_dns: cloudflare needs lab.tls_dns_credentials"),
        ({"tls_dns": ""}, "lab.tls_dns_credentials: for whose API?"),
        ({"tls_dns": "", "tls_dns_credentials": "", "http_port": 8080}, "lab.http_port: 8080"),
        ({"http_port": 8080}, None),
        ({"tls_dns": "route53", "tls_dns_credentials": ""}, None),
        ({"tls": "off", "tls_dns_credentials": ""}, None),
    ],
)
def test_settings_at_odds_are_refused(more, told):
    given = {"tls": "letsencrypt", "tls_dns": "cloudflare", "tls_dns_credentials": "x"} | more
    settings = Settings(domain=DOMAIN, **given)
    if told:
        with pytest.raises(Exit, match=re.escape(told)):
            refuse_at_odds(settings)
    else:
        refuse_at_odds(settings)


@pytest.mark.parametrize(
    "text, told",
    [
        (
            "dns_linode_key = x\n",
            "has no line with dns_cloudflare_: the documentation of certbot-dns",
        ),
        ("", "has no line with dns_cloudflare_"),
        ("dns_cloudflare_api_token = \0\n", "has no line"),
    ],
)
def test_a_file_that_certbot_would_refuse_is_refused_first(chosen, text, told):
    with pytest.raises(Exit, match=told) as refusal:
        tls.items(chosen("cloudflare", text), Host())
    assert str(refusal.value).startswith("lab.tls_dns_credentials: ")


def test_a_file_that_cannot_be_read_is_refused(chosen, tmp_path):
    with pytest.raises(Exit, match="No such file"):
        selection.dns_credentials(chosen("linode", tls_dns_credentials=str(tmp_path / "none")))
    settings = chosen("linode")
    Path(settings.tls_dns_credentials).write_bytes(b"dns_linode_key = \xff\n")
    with pytest.raises(Exit, match="not a text file"):
        selection.dns_credentials(settings)


# --- what the server gets -----------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_provider_has_a_package_of_debian_a_key_and_a_plugin(chosen, name):
    settings = chosen(name)
    (packages,) = items(settings, Packages)
    assert packages.names == ("certbot", f"python3-certbot-dns-{name}")
    (key,) = items(settings, Credentials)
    assert (key.path, key.rights) == (KEY, ("root", "root", "0600"))
    assert key.secret.reveal() == FILES[name]
    issued = certbot.issued(settings, now=True)
    call = compared(issued, ["absent"], set()).shell.split()
    assert call[0] == "obtain_certificate" and call[-2:] == [f"dns-{name}", KEY]
    drop_ins = [i for i in items(settings, File) if "certbot.service.d" in i.path]
    assert [KEY in i.content for i in drop_ins] == [True] * (name == "route53")


def test_a_server_with_a_role_of_its_own_needs_no_key(chosen):
    settings = chosen("route53", tls_dns_credentials="")
    assert items(settings, Credentials) == []
    assert compared(certbot.issued(settings, now=True), ["absent"], set()).shell.endswith(
        "dns-route53 ''"
    )
    assert [i for i in items(settings, Absent) if "certbot.service.d" in i.path]


def test_without_a_provider_all_is_as_before():
    settings = Settings(domain=DOMAIN, tls="letsencrypt")
    assert items(settings, Packages)[0].names == ("certbot",) and not items(settings, Credentials)
    call = compared(certbot.issued(settings, now=True), ["absent"], set()).shell.split()
    assert call[-2:] == ["webroot", "/var/lib/jupyterlab-acme"]


@pytest.mark.parametrize("name", ["", "rfc2136", "cloudflare"])
@pytest.mark.parametrize("now", ["webroot", "dns-rfc2136", "dns-cloudflare"])
def test_another_way_needs_another_certificate(chosen, name, now, tmp_path):
    settings = chosen(name) if name else Settings(domain=DOMAIN, tls="letsencrypt")
    issued = certbot.issued(settings)
    text, _ = ending(private_ca.make(tmp_path), DOMAIN, left=private_ca.timedelta(80))
    state = issued.parse([*shown(text), f"server={settings.acme_server}", f"authenticator={now}"])
    same = now == (f"dns-{name}" if name else "webroot")
    assert issued.due(state) == (
        "" if same else f"the current one is renewed by {now}, not by {issued.authenticator}"
    )


# --- the key ------------------------------------------------------------------------------------

ITEM = Credentials(path=KEY, secret=Secret("dns_x_token = s3cret\n"), setting="lab.x")
THERE = "regular file|root|root|600"


def stamp(text: str) -> list[str]:
    return shown(hash_password(Secret(text)))


@pytest.mark.parametrize(
    "lines, well",
    [
        ([THERE, *stamp("dns_x_token = s3cret\n")], True),
        ([THERE, *stamp("another")], False),
        (["absent", *stamp("dns_x_token = s3cret\n")], False),
        ([THERE.replace("600", "644"), *stamp("dns_x_token = s3cret\n")], False),
        ([THERE, "regular file|root|root|600", stamp("dns_x_token = s3cret\n")[1]], False),
        ([THERE, "absent"], False),
        ([THERE, *shown("nonsense")], False),
    ],
    ids=["there", "another", "gone", "readable", "interrupted", "unknown", "nonsense"],
)
def test_the_key_is_compared_by_a_hash_and_never_read(lines, well):
    assert (compared(ITEM, lines, set()) is None) == well
    assert f"show_rights {KEY}" in ITEM.read() and f"show_path {KEY}\n" not in ITEM.read()


def test_the_key_is_in_no_word_that_is_shown():
    change = compared(ITEM, ["absent", "absent"], set())
    assert change.say == f"put lab.x into {KEY}" and change.before is None is change.after
    assert "s3cret" not in f"{ITEM!r}{change.say}{vars(change)}"
    assert change.shell.index("doubt") < change.shell.index("s3cret")


def test_no_script_that_is_printed_holds_it(monkeypatch):
    change = compared(ITEM, ["absent", "absent"], set())
    seen = SimpleNamespace(host=Host(), items=[])
    monkeypatch.setattr(full, "look", lambda *a: (seen, [change]))
    with pytest.raises(Exit, match="the script would hold a secret"):
        full.script(Connection("david@1.1.1.1"), Settings())


# --- on the server ------------------------------------------------------------------------------

CERTBOT = """
certbot() {
    for word; do echo "<$word>"; done
    echo "AWS_CONFIG_FILE=${AWS_CONFIG_FILE-unset}"
    [ -z "${fails-}" ] || { echo "$fails"; return 1; }
}
systemctl() { echo "systemctl $*"; }
"""
HOOK = "#!/bin/sh\necho hook $RENEWED_LINEAGE $RENEWED_DOMAINS\n"


@pytest.fixture
def obtain(tmp_path):
    """Give a function that calls obtain_certificate with a certbot that says what it got."""
    hook = tmp_path / "hook"
    hook.write_text(HOOK)
    hook.chmod(0o755)

    def run(plugin: str, place: str, conf: str = "", fails: str = ""):
        (tmp_path / "letsencrypt/renewal").mkdir(parents=True, exist_ok=True)
        if conf:
            (tmp_path / "letsencrypt/renewal/jupyterlab-fab.conf").write_text(conf)
        text = applying(tmp_path)
        for theirs in ("/etc/letsencrypt", "/var/lib/letsencrypt", "/var/log/letsencrypt"):
            text = text.replace(theirs, f"{tmp_path}/letsencrypt")
        text = text.replace("/etc/nginx", f"{tmp_path}/nginx")
        call = f"obtain_certificate {DOMAIN} '' https://a {hook} {plugin} {place!r}"
        return dash(f"{text}{CERTBOT}\nset -e\nfails={fails!r}\n{call}\n")

    return run


@pytest.mark.parametrize("name", PROVIDERS)
def test_certbot_gets_the_plugin_and_the_file_with_the_key(obtain, name):
    done = obtain(f"dns-{name}", KEY)
    assert done.returncode == 0, done
    out = done.stdout.decode()
    assert f"<--authenticator=dns-{name}>" in out and "webroot" not in out
    if name == "route53":
        assert "credentials" not in out and f"AWS_CONFIG_FILE={KEY}" in out
        assert "systemctl daemon-reload" in out
    else:
        assert f"<--dns-{name}-credentials={KEY}>" in out and "AWS_CONFIG_FILE=unset" in out
    assert "hook " in out and out.strip().endswith(DOMAIN)


def test_without_a_key_certbot_gets_none(obtain):
    out = obtain("dns-google", "").stdout.decode()
    assert "<--authenticator=dns-google>" in out and "credentials" not in out and "<>" not in out


@pytest.mark.parametrize(
    "conf, forced",
    [
        ("", False),
        ("server = https://a\nauthenticator = webroot\n", False),
        ("server = https://a\nauthenticator = dns-rfc2136\n", True),
        ("server = https://b\nauthenticator = webroot\n", True),
    ],
)
def test_another_way_or_server_replaces_a_valid_certificate(obtain, conf, forced):
    out = obtain("webroot", "/w", conf).stdout.decode()
    assert ("<--force-renewal>" in out) == forced
    assert "<--authenticator=webroot>" in out and "<--webroot-path=/w>" in out


@pytest.mark.parametrize("fails", ["", "Encountered error adding TXT record"])
def test_the_key_goes_when_port_80_proves_the_name_and_not_before(obtain, tmp_path, fails):
    place = tmp_path / "nginx/jupyterlab"
    place.mkdir(parents=True)
    for name in ("dns.key", "dns.key.hash"):
        (place / name).write_text("s3cret\n")
    done = obtain("webroot", "/w", "server = https://a\nauthenticator = dns-linode\n", fails)
    assert done.returncode == bool(fails), done
    assert b"s3cret" not in done.stdout + done.stderr
    assert sorted(p.name for p in place.iterdir()) == (["dns.key", "dns.key.hash"] if fails else [])


# --- in a backup ----------------------------------------------------------------------------------

DNS = CONF.partition("[[webroot_map]]")[0].replace(
    "authenticator = webroot\nwebroot_path = /var/lib/jupyterlab-acme,",
    f"authenticator = dns-rfc2136\ndns_rfc2136_credentials = {KEY}",
)


@pytest.mark.parametrize("name", PROVIDERS)
def test_certbots_settings_for_a_dns_are_written_anew(name):
    text = DNS.replace("rfc2136", name)
    found = looked(tar(with_conf(text, **{CERT: "c", "nginx/dns.key": FILES[name]})))
    written = found.files[RENEWAL].decode()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert written.splitlines() == lines
    assert found.files["nginx/dns.key"].decode() == FILES[name] and found.notes == []


@pytest.mark.parametrize(
    "old, new, word",
    [
        ("dns-rfc2136", "dns-other", "program of its own"),
        ("dns-rfc2136", "dns-rfc2136,manual", "program of its own"),
        (KEY, "/home/david/x", "dns_rfc2136_credentials"),
        (KEY, "/etc/nginx/other/dns.key", "dns_rfc2136_credentials"),
        ("dns_rfc2136_credentials", "dns_rfc2136_server", "dns_rfc2136_server"),
        ("key_type = ecdsa", "dns_rfc2136_propagation_seconds = x", "propagation"),
    ],
)
def test_certbot_gets_nothing_else(old, new, word):
    assert old in DNS
    assert word in why(tar(with_conf(DNS.replace(old, new, 1))))


def test_seconds_that_somebody_has_chosen_do_no_harm():
    text = DNS.replace("key_type", "dns_rfc2136_propagation_seconds = 5\nkey_type")
    assert b"propagation" not in looked(tar(with_conf(text))).files[RENEWAL]


@pytest.mark.parametrize(
    "text", ["[default]\nCredential_Process = touch /x\n", '{"Executable": 1}']
)
def test_a_key_that_would_run_a_program_is_left_out(text):
    found = looked(tar({**ROOTS, "nginx/dns.key": text, **USERS}))
    assert "nginx/dns.key" not in found.files and "name a program" in found.notes[0]


def test_the_archives_know_the_same_providers():
    assert rules.DNS == PROVIDERS


# --- before certbot is asked ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "addresses, closed, said",
    [
        ([], "", "there is no address for the name"),
        (["10.1.2.3"], "", ""),
        (["10.1.2.3"], "timed out", "leads to 10.1.2.3, where port 443 is closed (timed out)"),
    ],
)
def test_what_keeps_browsers_away_is_noted_and_refuses_nothing(
    chosen, monkeypatch, capsys, addresses, closed, said
):
    monkeypatch.setattr(acme_preflight, "addresses", lambda domain: addresses)
    monkeypatch.setattr(acme_preflight, "shut", lambda *a: closed)
    monkeypatch.setattr(acme_preflight.channel, "apply", None)  # the server is not asked
    acme_preflight.check(None, chosen("linode"), root=False)
    out = capsys.readouterr().out
    assert said in out and bool(said) == bool(out)
