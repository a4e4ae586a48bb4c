"""From what was seen of a server to what is wrong with it: a table."""

import base64
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest
from answers import endless
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fabfile import ns, web
from fabfile.certs import private_ca
from fabfile.doctor import doctor, probe
from fabfile.doctor.causes import CAUSES
from fabfile.doctor.diagnose import diagnose, likely, table
from fabfile.doctor.evidence import Evidence
from fabfile.doctor.probe import Probe
from fabfile.render import shell
from fabfile.settings import Settings
from fabfile.settings.names import Instance

SOCKET = Instance().socket
DOMAIN = Settings().domain
SERVER, FRONT = "1.1.1.1", "9.9.9.9"
FAB = "fab -H david@1.1.1.1"
SITE = f"""# configuration file /etc/nginx/nginx.conf:
user www-data;
http {{ include /etc/nginx/sites-enabled/*; }}
# configuration file /etc/nginx/sites-enabled/zz-jupyterlab:
server {{
    listen 80; server_name {DOMAIN};
    client_max_body_size 64m; proxy_read_timeout 86400s; proxy_http_version 1.1;
    proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    location / {{ proxy_pass http://jupyterlab; }}
}}
"""
BESIDE = (
    SITE.replace("{", "{{")
    .replace("}", "}}")
    .replace("http {{", "http {{ include /etc/nginx/conf.d/*.conf;")
    + "# configuration file /etc/nginx/conf.d/a.conf:\n"
    "server {{ listen {}; server_name a.example.org; }}\n"
)
RUNS = "LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nExecMainStatus=0"
OK = "nginx|/lab opens|ok|0.1|200"
NONE = "LoadState=not-found\nActiveState=inactive"
HEALTHY = {
    "ntp": "NTP=yes",
    "addresses": f"{SERVER}\n",
    "disks": "20000000000 9000000000 1000000 900000 /",
    "proof": OK,
    "jupyterlab.service": RUNS,
    "jupyterlab.socket": NONE,
    "nginx.service": RUNS,
    "nginx": "nginx: configuration file /etc/nginx/nginx.conf test is successful",
    "site": SITE,
    "listening": 'LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=1,fd=6))',
    "body": "405",
    "socket": f"drwxr-s--- david:www-data /run/jupyterlab\nsrw-rw---- david:www-data {SOCKET}\n"
    "nginx www-data 0",
}
HERE = Probe(
    0, SERVER, sent="/jupyterlab-doctor-a-0", status=404, lab=302, place="/login?next=/lab"
)
THERE = Probe(
    0, FRONT, sent=HERE.sent, status=404, server="nginx", lab=302, place="/login", large=403
)
CAME = f'{FRONT} [2026-11-24T10:00:00+00:00] "GET /jupyterlab-doctor-a-0" 404 9 0.1s "-" 404'


def seen(probes=(HERE,), offset=0.0, refused="", settings=None, url="", **said) -> Evidence:
    """What is seen of a healthy server, but for this."""
    chosen = Settings(**(settings or {}))
    texts = HEALTHY | {name.replace("__", "."): text for name, text in said.items()}
    lines = {name: text.splitlines() for name, text in texts.items()}
    typed = probe.site_url(chosen, url)
    return Evidence(chosen, typed, lines, offset, tuple(probes), SERVER, refused)


def names(e: Evidence) -> list[str]:
    return [one.cause.name for one in diagnose(e, FAB)]


def unit(**properties: str) -> str:
    """A unit that runs, but for this."""
    return RUNS + "".join(f"\n{name}={value}" for name, value in properties.items())


def site(*change: str) -> str:
    return SITE.replace(*change)


def row(check: str, detail: str) -> str:
    """A check of verify that failed."""
    return f"{OK}\nnginx|{check}|FAIL|0|{detail}"


AGAIN = unit(ActiveState="activating", SubState="auto-restart", Result="exit-code")
DEAD = "jupyter|answers on its socket|FAIL|0|curl: (7) Failed to connect"
NO_LAB = row("/lab leads to the login page", "curl: (7) Failed to connect")
PORT = {"http_port": 8080}
AT_8080 = site("listen 80", "listen 8080")
LISTENS = 'LISTEN 0 511 0.0.0.0:8080 0.0.0.0:* users:(("nginx",pid=1,fd=6))'


UNTRUSTED = Probe(**{**vars(HERE), "untrusted": "unable to get local issuer certificate"})


@pytest.mark.parametrize(
    "expected, proof, how",
    [
        ([], "", {}),
        ([], "", {"jupyterlab__service": unit(ActiveState="inactive", SubState="dead"),
                  "jupyterlab__socket": "LoadState=loaded\nActiveState=active"}),
        (["absent"], "there is no jupyterlab.service",
         {"jupyterlab__service": NONE, "proof": "", "site": "", "nginx__service": NONE}),
        (["absent"], "the last run did not finish: david@x, since 9:00; it stopped: E: no curl",
         {"jupyterlab__service": NONE, "proof": "", "site": "", "nginx__service": NONE,
          "turn": "david@x, since 9:00; it stopped: E: no curl"}),
        (["full", "absent"], "/ has 0 bytes free",
         {"disks": "20000000000 0 1000000 900000 /", "jupyterlab__service": NONE, "proof": "",
          "site": "", "nginx__service": NONE}),
        (["sudo"], "sudo refuses",
         {"refused": "sudo refuses", "site": "", "socket": "", "nginx": ""}),
        (["full"], "/ has 0 bytes free of 20.0 GB; largest: 5.1 GB in /var/log",
         {"disks": "20000000000 0 1000000 900000 /", "biggest": "5000000 / /var/log\n9 /run /run/x",
          "jupyterlab__service": AGAIN, "proof": DEAD, "body": "502"}),
        (["inodes"], "/ has 0 of 1000000 inodes", {"disks": "20000000000 9000000000 1000000 0 /",
                                                   "jupyterlab__service": AGAIN, "proof": DEAD}),
        (["low"], "/ has 100.0 MB", {"disks": "20000000000 100000000 1000000 900000 /"}),
        (["clock"], "2 h behind this machine's; the server uses no NTP",
         {"offset": -7200.2, "ntp": "NTP=no\nNTPSynchronized=no"}),
        (["masked"], "is masked",
         {"jupyterlab__service": unit(LoadState="masked", ActiveState="inactive"), "proof": DEAD}),
        (["stopped"], "enabled, but inactive",
         {"jupyterlab__service": unit(ActiveState="inactive", UnitFileState="enabled"),
          "proof": DEAD}),
        (["stopped"], "disabled and inactive",
         {"jupyterlab__service": unit(ActiveState="inactive", UnitFileState="disabled"),
          "proof": DEAD}),
        (["crash"], "is restarted: KeyError: 'x'",
         {"jupyterlab__service": AGAIN, "proof": DEAD, "body": "502",
          "journal": "KeyError: 'x'\njupyterlab.service: Main process exited, code=exited\n"}),
        (["crash"], "it also reads /etc/jupyter/jupyter_config.py",
         {"jupyterlab__service": AGAIN, "proof": DEAD, "body": "502", "journal": "Bad config",
          "configuration": "/etc/jupyter/jupyter_config.py"}),
        (["overruled"], "ServerApp.port, ServerApp.ip of /etc/jupyter/jupyter_config.py",
         {"overruled": "ServerApp.port, ServerApp.ip",
          "configuration": "/etc/jupyter/jupyter_config.py"}),
        (["overruled"], "ServerApp.port of ~/.jupyter/jupyter_server_config.json",
         {"overruled": "ServerApp.port"}),
        (["blank"], "bokeh loads from https://cdn.bokeh.org (or use BOKEH_RESOURCES=inline); "
         "ipyleaflet loads from https://tile.openstreetmap.org",
         {"libraries": "numpy\nBokeh\nipyleaflet"}),
        (["blank"], "folium loads from https://cdnjs.cloudflare.com https://code.jquery.com https:",
         {"libraries": "bokeh\nfolium",
          "settings": {"content_from": ("https://cdn.bokeh.org", "https://cdn.jsdelivr.net")}}),
        ([], "", {"libraries": "numpy\nmatplotlib\nplotly"}),
        (["crash"], "is restarted: no such option",
         {"jupyterlab__service": unit(NRestarts="3"), "journal": "no such option",
          "proof": row("answers on its socket", "curl: (7)"), "body": "502"}),
        ([], "", {"jupyterlab__service": unit(NRestarts="3")}),
        ([], "", {"probes": [Probe(0, SERVER, status=502, lab=502)]}),
        (["no-venv"], "at step EXEC",
         {"jupyterlab__service": AGAIN, "proof": DEAD, "body": "502",
          "journal": "x: Failed at step EXEC spawning /venv/bin/jupyter: No such file"}),
        (["no-venv"], "No such file",
         {"jupyterlab__service": f"{AGAIN}\nExecMainStatus=203", "proof": DEAD,
          "journal": "jupyterlab.service: Failed at step EXEC: No such file"}),
        (["killed"], "killed by the Linux kernel",
         {"jupyterlab__service": unit(ActiveState="failed", Result="oom-kill"), "proof": DEAD}),
        (["killed-lately"], "OOM killer", {"memory": "2026-11-24 systemd[1]: by the OOM killer."}),
        (["socket"], "srw------- david:david", {
            "socket": "drwxr-s--- david:www-data /run/jupyterlab\n"
            f"srw------- david:david {SOCKET}\nnginx www-data 7",
            "proof": row("/lab leads to the login page", "502"), "body": "502"}),
        (["folder"], "drwx--S---", {
            "socket": "drwx--S--- david:www-data /run/jupyterlab\n"
            f"srw-rw---- david:www-data {SOCKET}\nnginx www-data 7",
            "proof": row("/lab leads to the login page", "502")}),
        (["config"], "unknown directive",
         {"nginx": 'nginx: [emerg] unknown directive "bogus" in /x:1', "site": "", "listening": "",
          "nginx__service": unit(ActiveState="failed"), "proof": NO_LAB}),
        (["taken"], "apache2 listens on port 80",
         {"listening": 'LISTEN 0 5 *:80 *:* users:(("apache2",pid=1,fd=6))', "proof": NO_LAB,
          "nginx__service": unit(ActiveState="failed")}),
        (["nginx-masked"], "masked",
         {"nginx__service": unit(LoadState="masked", ActiveState="inactive"), "listening": "",
          "proof": NO_LAB}),
        (["nginx-down"], "failed",
         {"nginx__service": unit(ActiveState="failed"), "listening": "",
          "proof": NO_LAB, "probes": [Probe(0, SERVER, closed="refused")]}),
        (["unloaded"], "bind() to 0.0.0.0:80 failed",
         {"reload": "bind() to 0.0.0.0:80 failed (98: Address already in use)",
          "proof": row("/lab leads to the login page", "200 ")}),
        (["config"], "unknown directive",
         {"nginx": 'nginx: [emerg] unknown directive "bogus" in /x:1', "site": "",
          "reload": 'unknown directive "bogus" in /x:1'}),
        (["apart"], "a.conf has `listen 192.0.2.1:80`; our site listens at 80 instead of 192.0.2.1",
         {"site": BESIDE.format("192.0.2.1:80"), "proof": row("/lab leads", "404 ")}),
        (["apart"], "listens at 80 instead of [::]:80",
         {"site": BESIDE.format("[::]:80 ipv6only=off")}),
        ([], "", {"site": BESIDE.format("192.0.2.1:8080")}),
        ([], "", {"site": BESIDE.format("[::]:80 default_server")}),
        (["apart"], "our site listens at [::]:80 instead of 80",
         {"site": site("listen 80", "listen [::]:80")}),
        (["http2"], "HTTP/0.9",
         {"proof": row("/lab leads", "curl: (1) Received HTTP/0.9 when not allowed")}),
        (["no-site"], DOMAIN, {"site": site(DOMAIN, "other.example.org"),
                               "proof": row("/lab leads to the login page", "curl: (52) Empty")}),
        (["two-sites"], "conf.d/a.conf", {
            "site": site("http { ", "http { include /etc/nginx/conf.d/*; ")
            + f"# configuration file /etc/nginx/conf.d/a.conf:\nserver {{ server_name {DOMAIN}; }}",
            "proof": row("/lab leads to the login page", "200")}),
        (["upgrade"], "no proxy_set_header Upgrade",
         {"site": site("proxy_set_header Upgrade $http_upgrade;", ""),
          "proof": row("a websocket upgrade answers 101", "400")}),
        (["upgrade"], "no proxy_http_version 1.1",
         {"site": site("proxy_http_version 1.1;", ""),
          "proof": row("6*7 over the websocket is 42", "Connection to remote host was lost")}),
        (["upgrade"], "a websocket upgrade answers 101: 400",
         {"site": "", "proof": row("a websocket upgrade answers 101", "400")}),
        (["host"], "browsers send " + DOMAIN + ":8080",
         {"settings": PORT, "listening": LISTENS, "site": AT_8080.replace("$http_host", "$host"),
          "proof": row("a websocket upgrade answers 101", "403")}),
        ([], "", {"settings": PORT, "listening": LISTENS, "site": AT_8080}),
        ([], "", {"site": site("$http_host", "$host")}),
        (["body"], "413 to 1398205 bytes, client_max_body_size 1048576 bytes",
         {"site": site("client_max_body_size 64m;", ""), "body": "413"}),
        (["body-chosen"], "lab.upload_limit: 1m",
         {"settings": {"upload_limit": "1m"}, "body": "413"}),
        (["timeout"], "60 s", {"site": site("proxy_read_timeout 86400s;", "")}),
        ([], "",
         {"settings": {"read_timeout": 60}, "site": site("proxy_read_timeout 86400s;", "")}),
        (["token"], "the token is accepted: 401", {"proof": row("the token is accepted", "401")}),
        (["no-kernel"], "500", {"proof": row("a kernel starts", "500")}),
        (["unlike"], "/lab opens: 500", {"proof": row("/lab opens", "500")}),
        (["unknown-name"], DOMAIN, {"probes": [Probe(0, SERVER, False)]}),
        (["elsewhere"], f"{DOMAIN} points to {FRONT} (nginx), which answers 302",
         {"probes": [THERE]}),
        (["elsewhere"], "which no answer", {"probes": [Probe(0, FRONT, closed="no answer")]}),
        (["front-lost"], "answers 502", {"probes": [Probe(0, FRONT, status=502, lab=502)]}),
        (["firewall"], "dropped; rule: nft tcp dport 80 drop",
         {"probes": [Probe(0, SERVER, closed="dropped")],
          "firewall": "nft x drop\nnft tcp dport 80 drop"}),
        (["ufw"], "ufw is active", {"probes": [Probe(0, SERVER, closed="dropped")],
                                    "firewall": "ufw active\nnft tcp dport 80 drop"}),
        (["between"], "port 80 of 1.1.1.1: dropped",
         {"probes": [Probe(0, SERVER, closed="dropped")], "firewall": "ufw inactive"}),
        (["banned"], "8.8.8.8",
         {"probes": [Probe(0, SERVER, closed="rejected")], "banned": "8.8.8.8"}),
        (["front"], f"{FRONT} (nginx)",
         {"probes": [THERE], "arrived": f'{CAME} "{DOMAIN}" "websocket"'}),
        (["front"], FRONT, {"probes": [THERE], "arrived": CAME}),
        (["front-upgrade"], "plain", {"probes": [THERE], "arrived": f'{CAME} "{DOMAIN}" "-"'}),
        (["front-host"], "passes the host x.org on",
         {"probes": [THERE], "arrived": f'{CAME} "x.org" "websocket"'}),
        (["front-body"], "413", {"probes": [Probe(**{**vars(THERE), "large": 413})],
                                 "arrived": f'{CAME} "{DOMAIN}" "websocket"'}),
        (["sub-path"], "under /jupyter, which arrives as /; /lab leads to /login", {
            "probes": [Probe(0, FRONT, status=404, sent=HERE.sent, lab=404),
                      Probe(1, FRONT, sent="/jupyter/jupyterlab-doctor-a-1", place="/login")],
            "arrived": CAME.replace("a-0", "a-1")}),
        (["nginx-down"], "failed",
         {"nginx__service": unit(ActiveState="failed"), "listening": "", "proof": NO_LAB,
          "probes": [Probe(0, FRONT, status=502, lab=502)]}),
        (["stopped"], "inactive",
         {"jupyterlab__service": unit(ActiveState="inactive"),
          "proof": row("answers on its socket", "404")}),
        (["crash"], "failed", {"jupyterlab__service": unit(ActiveState="failed"),
                               "proof": row("answers on its socket", "curl: (28)")}),
        (["killed"], "", {"jupyterlab__service": unit(ActiveState="failed", Result="oom-kill"),
                          "proof": DEAD, "memory": "2026-11-24 systemd[1]: by the OOM killer."}),
        (["two-sites"], "conf.d/a.conf", {
            "site": site("http { ", "http { include /etc/nginx/conf.d/*; ")
            + f"# configuration file /etc/nginx/conf.d/a.conf:\nserver {{ server_name {DOMAIN};"
            "location / { proxy_pass http://x; } }", "body": "413",
            "proof": row("the login page is there", "404")}),
        (["no-certificate"], "Nginx serves none on port 443", {
            "settings": {"tls": "self-signed"}, "site": site("listen 80", "listen 443"),
            "listening": LISTENS.replace("8080", "443"), "probes": [UNTRUSTED],
            "proof": row("plain HTTP redirects to HTTPS", "302")}),
        (["untrusted"], "1.1.1.1: unable", {"probes": [UNTRUSTED]}),
        (["elsewhere"], FRONT, {"probes": [Probe(**{**vars(UNTRUSTED), "address": FRONT})]}),
        (["beside"], "/lab answers 200", {"probes": [Probe(0, SERVER, status=200, lab=200)]}),
    ],
)  # fmt: skip
def test_what_is_seen_names_what_is_wrong(expected, proof, how):
    found = diagnose(seen(**how), FAB)
    assert [one.cause.name for one in found] == expected, found
    assert proof in "".join(one.proof for one in found)


def certificate(name: str, begin: float, end: float) -> str:
    """One that is served, in base64; its time in days from now."""
    ca, now = private_ca.make("/nowhere"), datetime.now(UTC)
    leaf = x509.load_pem_x509_certificate(ca.issue(name)[0].encode())
    first, last = (now + timedelta(days) for days in (begin, end))
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, leaf.public_key(), 1, first, last, leaf.extensions
    )
    return base64.b64encode(private_ca.pem(builder.sign(ca.key, hashes.SHA256())).encode()).decode()


@pytest.mark.parametrize(
    "expected, name, begin, end, offset",
    [
        ([], DOMAIN, -10, 90, 0),
        ([], "*." + DOMAIN.partition(".")[2], -10, 90, 0),
        (["soon"], DOMAIN, -90, 5, 0),
        (["expired"], DOMAIN, -90, -1, 0),
        (["early"], DOMAIN, 1, 90, 0),
        (["other-name"], "other.example.org", -10, 90, 0),
        (["clock"], DOMAIN, -10, 90, 86400 * 100),
        (["clock"], DOMAIN, -10, 90, -86400 * 100),
        (["clock", "expired"], DOMAIN, -90, -10, 3600),
    ],
)
def test_a_certificate_is_judged_by_both_clocks(expected, name, begin, end, offset):
    https = {"settings": {"tls": "self-signed"}, "site": site("listen 80", "listen 443 ssl")}
    ports = 'LISTEN 0 511 *:443 *:* users:(("nginx",pid=1,fd=6))'
    served = certificate(name, begin, end)
    probes = [HERE if {*expected} <= {"soon", "clock"} else UNTRUSTED]
    proof = OK if {*expected} <= {"soon", "clock"} else row("plain HTTP redirects to HTTPS", "")
    e = seen(
        **https, listening=ports, certificate=served, offset=offset, probes=probes, proof=proof
    )
    assert names(e) == expected


def test_every_remedy_is_a_task_and_every_sign_a_check_that_there_is():
    checks = shell("run/verify").replace("$what", "the password / the token") + "the site leads"
    for one in CAUSES:
        tasks = re.findall(r"\{fab\} ([a-z]+)", one.remedy)
        assert set(tasks) <= set(ns.task_names), one.name
        assert all(start in checks for start, _ in one.signs), one.name
        assert one.found or one.signs, one.name


def test_what_is_hidden_comes_later_and_is_there():
    order = [one.name for one in CAUSES] + ["proof", "*"]
    assert len(order) == len(set(order))
    for one in CAUSES:
        assert set(one.hides) <= set(order), one.name
        assert all(order.index(name) > order.index(one.name) for name in one.hides), one.name


def test_the_likeliest_is_what_others_would_hide():
    assert likely("/lab leads to", "curl: (7)")[0].name == "nginx-down"
    assert likely("anything", "")[0].name == "unlike"


def test_the_table_for_people_has_a_row_for_each_symptom():
    rows = table().splitlines()[2:]
    assert len(rows) == sum(bool(one.symptom) for one in CAUSES)
    assert all(row.count(" | ") == 2 and "{fab}" not in row for row in rows)
    assert f"JupyterLab is not running | {FAB} start |" in table()


@pytest.mark.parametrize(
    "chosen", [{}, {"tls": "self-signed", "port": 8888}, {"domain": "it-s.example.org"}]
)
def test_the_script_is_good_shell_and_the_password_is_not_in_what_shows(chosen):
    settings = Settings(**chosen)
    for secret in (None, "it's $x"):
        script = str(doctor.script(settings, "david", "a", secret))
        done = subprocess.run(["sh", "-n"], input=script.encode(), capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
    assert "it's $x" not in str(doctor.script(settings, "david", "a"))


def test_a_url_names_host_and_path():
    url = probe.site_url(Settings(), "https://example.org:8443/jupyter/lab")
    assert (url.scheme, url.host, url.path) == ("https", "example.org:8443", "/jupyter")
    assert probe.site_url(Settings(http_port=8080)).host == f"{DOMAIN}:8080"


@pytest.mark.parametrize("again", [b"HTTP/1.1 100 Continue\r\n\r\n", b"x"])
def test_an_answer_without_an_end_is_waited_for_only_so_long(monkeypatch, again):
    monkeypatch.setattr(web, "PATIENCE", 1)
    with endless(again) as port:
        url = probe.Url("http", "lab", port)
        began = time.monotonic()
        assert probe.probe_one(Settings(), url, Probe(0, "127.0.0.1"), "n").status == 0
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("url", ["example.org", "ftp://example.org", "http://", "http://x:port"])
def test_a_url_that_is_none_is_refused(url):
    from invoke import Exit

    with pytest.raises(Exit, match="give the address that people type"):
        probe.site_url(Settings(), url)
