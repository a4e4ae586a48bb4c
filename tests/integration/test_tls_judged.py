"""HTTPS and Nginx in the eyes of others' tools; after test_tls, on the same server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from named import DOMAIN
from outcomes import well

pytestmark = pytest.mark.https

TESTSSL = "testssl --quiet --color 0 --warnings batch --add-ca /root/ca.pem --jsonfile /root/told"
# What a private CA has as a consequence: nobody asks it whether a certificate was taken back.
PRIVATE = {"cert_revocation"}
# What gixy says of Debian's own nginx.conf: the number of files that a worker may have open, which
# systemd sets high enough, and Debian 12's TLS defaults, which each server of ours replaces.
OPEN_FILES = "worker_rlimit_nofile_vs_connections"
DEBIANS = {"bookworm": {OPEN_FILES, "weak_ssl_tls"}, "trixie": {OPEN_FILES}}
OTHERWISE = {"default_server_flag"}  # see tests/unit/test_gixy.py
GRAVE = ("MEDIUM", "HIGH", "CRITICAL")


@pytest.fixture(scope="module")
def site(certified):
    well(certified.fab("self-signed", "full", "--no-verify"))
    return certified


@pytest.fixture(scope="module")
def told(site, acme):
    """All that testssl.sh, on another server, has to say: id -> severity and finding."""
    root = (site.folder / "ca" / "ca.pem").read_text()
    acme.host.exec(
        "apt-get install -qqy --no-install-recommends testssl.sh >&2\n"
        f"cat >/root/ca.pem <<'END'\n{root}END\n{TESTSSL} https://{DOMAIN} >&2 || true"
    )
    found = json.loads(acme.host.exec("cat /root/told; rm /root/told"))
    return {row["id"]: (row["severity"], row["finding"]) for row in found}


def test_testssl_has_looked_at_everything(told):
    secrecy = "FS" if "FS" in told else "PFS"  # its name before testssl.sh 3.2
    for name, finding in {
        "TLS1_2": "offered",
        "TLS1_3": "offered",
        "TLS1": "not offered",
        "heartbleed": "not vulnerable",
        secrecy: "offered",
        "cert_chain_of_trust": "passed.",
        "HSTS_time": "182 days",
    }.items():
        assert finding in told[name][1], (name, told[name])


def test_testssl_finds_nothing_of_weight(told):
    grave = {name: what for name, what in told.items() if what[0] in GRAVE}
    assert set(grave) - PRIVATE == set(), grave


def test_nginx_has_nothing_to_warn_of(site):
    said = site.host.exec("nginx -t 2>&1").splitlines()
    assert [line for line in said if "syntax is ok" not in line and "successful" not in line] == []


def test_systemd_has_nothing_to_say_of_the_unit(site):
    unit = "/etc/systemd/system/jupyterlab.service"
    assert site.host.exec(f"systemd-analyze verify {unit} 2>&1") == ""


def test_gixy_finds_in_the_whole_of_nginx_only_what_is_debians(site, tmp_path, debian):
    whole = tmp_path / "nginx.conf"
    whole.write_text(site.host.exec("nginx -T 2>/dev/null"))
    gixy = Path(sys.executable).parent / "gixy"
    done = subprocess.run([gixy, "-f", "json", whole], capture_output=True, text=True)
    found = {(row["plugin"], row["file"]) for row in json.loads(done.stdout)}
    assert {name for name, file in found if "jupyterlab" in file} == OTHERWISE
    assert {name for name, file in found if "jupyterlab" not in file} == DEBIANS[debian]
