"""A server made ill in each of the ways that people report: doctor names the cause in a line."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from outcomes import well
from surgery import listener, nginx_with, small_disk
from untouched import everything

from fabfile.certs import private_ca

pytestmark = pytest.mark.diagnosis

DOMAIN = "jupyterlab.vmdomain.io"
SITE = "/etc/nginx/sites-available/jupyterlab"
UNIT = "/etc/systemd/system/jupyterlab.service"
VENV = "/home/david/project/venv"
SOCKET = "/run/jupyterlab/jupyter.sock"
RELOAD = "nginx -t 2>/dev/null && nginx -s reload && sleep 0.5"
# What a page that is asked for and a kernel that computes leave behind, whoever asks.
WRITTEN = r"/(var/log/nginx/|home/david/\.ipython/profile_default|" + (
    r"home/david/\.local/share/jupyter/runtime'|tmp/systemd-private-[^/]*/tmp')"
)
START = "systemctl reset-failed jupyterlab; systemctl restart jupyterlab; " + (
    f"timeout 120 sh -c 'until curl -s --unix-socket {SOCKET} http://x/api; do sleep 0.2; done'"
)
# On a busy machine it takes a while until the first one has ended.
AGAIN = (
    "timeout 60 sh -c 'until systemctl show -p SubState -p NRestarts jupyterlab "
    "| grep -q -e auto-restart -e NRestarts=[1-9]; do sleep 0.1; done'"
)


class Patient:
    """The server, and its operator, to whom the name leads there or elsewhere."""

    def __init__(self, server, folder):
        self.server, self.host, self.folder = server, server.host, folder
        self.settings: dict[str, str] = {}
        self.hosts = folder / "hosts"
        self.lead(server.host.address)

    def lead(self, address: str) -> None:
        """Lead the operator's name to an address."""
        self.hosts.write_text(f"127.0.0.1 localhost\n{address} {DOMAIN}\n")

    def fab(self, *arguments: str):
        """Run a task where the name leads."""
        return self.server.fab(*arguments, env=self.settings, hosts=self.hosts)

    def ill(self, cause: str, *words: str, warnings: int = 0, options: tuple[str, ...] = ()) -> str:
        """Assert that doctor finds this cause alone, in one line with proof and remedy; give it."""
        done = self.fab("doctor", *options)
        whole = done.stdout + done.stderr
        assert "Traceback" not in whole, whole
        told = [line for line in done.stdout.splitlines() if line.startswith("  ")]
        ill = [line for line in told if line.startswith("  FAIL")]
        assert (done.returncode, len(ill)) == (1, 1), whole
        assert len(told) - len(ill) == warnings, whole
        assert re.match(rf"  FAIL  {re.escape(cause)}: .+; remedy: \S", ill[0]), whole
        assert [word for word in words if word not in ill[0]] == [], whole
        assert done.stderr.strip() == f"{self.server.target}: 1 cause found"
        return ill[0]

    def healthy(self, *words: str) -> None:
        """Assert that doctor finds nothing that fails, and warns of these alone."""
        out = well(self.fab("doctor"))
        assert f"{self.server.target}: nothing is wrong" in out
        assert [word for word in words if word not in out] == [], out
        assert out.count("  warn") == len(words), out

    def mended(self, *tasks: str) -> None:
        """Assert that the remedy is one."""
        well(self.fab(*tasks))
        self.healthy()


@contextmanager
def broken(host, how: str, mend: str):
    """Break something by a script, and mend it by another."""
    try:
        host.exec(how)
        yield
    finally:
        host.exec(mend, check=False)


def edited(expression: str) -> tuple[str, str]:
    """Break the site by a sed expression; how, and how to mend it."""
    how = f"cp -a {SITE} /root/site; sed -i {expression!r} {SITE}; ! cmp -s {SITE} /root/site"
    return f"{how}; {RELOAD}", f"cp -a /root/site {SITE}; {RELOAD}"


@pytest.fixture(scope="module")
def patient(servers, tmp_path_factory):
    """A server that is well, before and after each test."""
    made = Patient(*servers("ill", settled=True), tmp_path_factory.mktemp("ill"))
    well(made.fab("full", "--no-verify"))
    return made


def test_a_host_that_was_never_set_up(servers, tmp_path):
    bare = Patient(*servers("bare"), tmp_path)
    bare.ill("JupyterLab is not set up on this server", f"fab -H {bare.server.target} full")


def test_a_healthy_one_is_left_untouched(patient):
    patient.healthy()
    before = everything(patient.server)
    patient.healthy()
    differ = before ^ everything(patient.server)
    assert {row for row in differ if not re.search(WRITTEN, row)} == set()


# --- the machine -----------------------------------------------------------------------------


def test_a_full_disk(patient):
    with small_disk(patient.host, "/tmp", "20m"):
        patient.host.exec(
            "chmod 1777 /tmp; head -c 30m /dev/zero >/tmp/filled; systemctl restart jupyterlab",
            False,
        )
        patient.ill("the disk is full", "/tmp has ", " free of 21.0 MB", "MB in /tmp", "make room")
    patient.host.exec(START)


def test_no_inodes_left(patient):
    with small_disk(patient.host, "/tmp", "20m,nr_inodes=2000"):
        patient.host.exec(
            "chmod 1777 /tmp; cd /tmp && seq 1990 | xargs touch; systemctl restart jupyterlab",
            False,
        )
        patient.ill("there are too many files", "/tmp has", "of 2000 inodes free")
    patient.host.exec(START)


def test_a_disk_that_is_nearly_full_is_a_warning(patient):
    with small_disk(patient.host, "/tmp", "400m"):
        patient.host.exec("chmod 1777 /tmp; head -c 385m /dev/zero >/tmp/filled")
        patient.healthy("the disk is nearly full: /tmp has 15.7 MB")


def test_a_clock_that_is_off(patient):
    """All containers of a machine share its clock: the server only tells another time."""
    away = "mv /usr/bin/date /usr/bin/date.true"
    other = '#!/bin/sh\\nexec date.true -d +2hours "$@"\\n'
    how = f"{away}; printf '{other}' >/usr/bin/date; chmod +x /usr/bin/date"
    with broken(patient.host, how, "mv /usr/bin/date.true /usr/bin/date"):
        patient.ill("a clock is wrong", "is 2 h ahead of this machine's", "set-ntp true")


# --- JupyterLab ------------------------------------------------------------------------------


def test_a_service_that_was_stopped(patient):
    well(patient.fab("stop"))
    patient.ill("JupyterLab is not running", "inactive", f"fab -H {patient.server.target} start")
    verified = patient.fab("verify")
    assert "likely JupyterLab is not running: fab -H" in verified.stderr
    assert verified.stderr.strip().endswith(f"fab -H {patient.server.target} doctor")
    patient.mended("start")


def test_a_service_that_is_masked(patient):
    patient.host.exec(
        f"ln -sf /dev/null {UNIT}; systemctl daemon-reload; systemctl stop jupyterlab"
    )
    patient.ill("JupyterLab's unit is masked", "systemd")
    patient.mended("systemd")


def test_a_service_that_ends_again_and_again(patient):
    config = "/home/david/.jupyter/jupyter_lab_config.py"
    how = f"cp -a {config} /root/config; echo 'raise SystemExit(\"no such option\")' >>{config}\n"
    mend = f"cp -a /root/config {config}; {START}"
    with broken(patient.host, f"{how}systemctl restart jupyterlab; sleep 2.5; {AGAIN}", mend):
        patient.ill("JupyterLab exits with an error", "no such option", "is restarted")


OTHERS = {
    "/home/david/.jupyter/jupyter_server_config.py": """
c.ServerApp.port = 9999
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.certfile = c.ServerApp.keyfile = "/gone.pem"
c.ServerApp.root_dir = "/gone"
c.ServerApp.base_url = "/elsewhere"
c.ServerApp.token = ""
""",
    "/home/david/.jupyter/jupyter_notebook_config.py": """
c.NotebookApp.port = 9998
c.NotebookApp.token = ""
c.NotebookApp.notebook_dir = "/gone"
""",
    "/home/david/.jupyter/jupyter_lab_config.json": '{"ServerApp": {"sock": "/tmp/sock"}}',
    "/etc/jupyter/jupyter_config.py": "c.ServerApp.ssl_options = {'certfile': '/gone.pem'}",
}


def test_other_configuration_files_are_overruled_and_a_bad_one_is_named(patient):
    how = "mkdir -p /etc/jupyter\n"
    for path, text in OTHERS.items():
        how += f"cat >{path} <<'END'\n{text}\nEND\n"
    mend = f"rm -f {' '.join(OTHERS)}; {START}"
    with broken(patient.host, how + START, mend):
        well(patient.fab("verify"))
        patient.healthy("ServerApp.certfile")
        own = next(iter(OTHERS))
        patient.host.exec(f"echo 'c.ServerApp.port = \"odd\"' >>{own}")
        refused = patient.fab("restart")
        assert f"JupyterLab reads this file, too: {own}" in refused.stdout
        assert "correct that setting in the files above" in refused.stderr
        patient.ill("JupyterLab exits with an error", own)


def test_a_venv_that_is_gone(patient):
    # on a busy machine the journal learns why only when that process is gone
    pause, go_on = (f"systemctl kill -s {how} systemd-journald" for how in ("STOP", "CONT"))
    how = f"mv {VENV} {VENV}.away; {pause}; systemctl restart jupyterlab || true; {AGAIN}; {go_on}"
    with broken(patient.host, how, f"mv {VENV}.away {VENV}; {START}"):
        patient.ill("the venv is damaged or missing", VENV, "jupyter --anew")


def test_a_kernel_that_dies_at_its_start(patient):
    away = f"for f in {VENV}/lib/python3*/site-packages; do cd $f; done; mv"
    with broken(patient.host, f"{away} ipykernel gone", f"{away} gone ipykernel"):
        patient.ill("no kernel starts: the venv is damaged", "jupyter --anew")


@pytest.mark.parametrize(
    "how, mend, cause, proof, task",
    [
        (f"chmod 0600 {SOCKET}", f"chmod 0660 {SOCKET}",
         "Nginx has no permission to open JupyterLab's socket", "srw------- david:www-data",
         "restart"),
        (f"chgrp david {SOCKET}", f"chgrp www-data {SOCKET}",
         "Nginx has no permission to open JupyterLab's socket", "david:david", "restart"),
        ("chmod 0700 /run/jupyterlab", "chmod 2750 /run/jupyterlab",
         "Nginx has no permission to enter the folder of JupyterLab's socket", "drwx", "systemd"),
    ],
    ids=["mode", "group", "folder"],
)  # fmt: skip
def test_wrong_rights_of_the_socket(patient, how, mend, cause, proof, task):
    with broken(patient.host, how, mend):
        patient.ill(cause, proof, f"fab -H {patient.server.target} {task}")


# --- Nginx -----------------------------------------------------------------------------------

EDITS = {
    "upgrade": ("/Upgrade $http_upgrade/d", "the Upgrade headers do not reach JupyterLab",
                "no proxy_set_header Upgrade"),
    "version": ("/proxy_http_version/d", "the Upgrade headers do not reach JupyterLab",
                "no proxy_http_version 1.1"),
    "body": ("/client_max_body_size/d", "Nginx rejects request bodies of that size",
             "1048576 bytes"),
    "timeout": ("/proxy_read_timeout/d", "Nginx does not wait long enough for an answer", "60 s"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_a_site_that_somebody_edited(patient, name):
    expression, cause, proof = EDITS[name]
    with broken(patient.host, *edited(expression)):
        patient.ill(cause, proof, f"fab -H {patient.server.target} nginx")


def test_a_limit_that_the_settings_chose(patient):
    patient.settings = {"FABRIC_LAB_UPLOAD_LIMIT": "1m"}
    try:
        well(patient.fab("nginx"))
        patient.ill("the upload limit in the settings is too low", "lab.upload_limit: 1m", "64m")
    finally:
        patient.settings = {}
        patient.mended("nginx")


def test_a_host_without_its_port(patient):
    patient.settings = {"FABRIC_LAB_HTTP_PORT": "8080"}
    try:
        well(patient.fab("nginx"))
        patient.healthy()
        with broken(patient.host, *edited("s/Host $jupyterlab_host/Host $host/")):
            patient.ill("Nginx passes the host name on without the port", f"{DOMAIN}:8080")
    finally:
        patient.settings = {}
        patient.mended("nginx")


def test_a_configuration_that_nginx_rejects(patient):
    with broken(
        patient.host, "echo bogus >/etc/nginx/conf.d/b.conf", "rm /etc/nginx/conf.d/b.conf"
    ):
        patient.ill("Nginx's configuration is invalid", "/etc/nginx/conf.d/b.conf:", "fix the line")


def test_nginx_down_masked_or_out_of_its_port(patient):
    host = patient.host
    with broken(host, "systemctl stop nginx", "systemctl start nginx"):
        patient.ill("Nginx is not running, or listens on another port", "inactive", " nginx")
        with listener(host, 80):
            patient.ill("another program listens on Nginx's port", "systemd-socket", "on port 80")
        with broken(host, "systemctl mask nginx 2>&1", "systemctl unmask nginx"):
            patient.ill("Nginx's unit is masked", "sudo systemctl unmask nginx.service")


def test_a_site_that_is_gone_or_not_the_first(patient):
    away = "mv /etc/nginx/sites-enabled/zz-jupyterlab /root/link"
    back = f"mv /root/link /etc/nginx/sites-enabled/zz-jupyterlab; {RELOAD}"
    with broken(patient.host, f"{away}; {RELOAD}", back):
        patient.ill("JupyterLab's site is not enabled in Nginx", DOMAIN, " nginx")
    other = f"server {{ listen 80; server_name {DOMAIN}; return 200 other; }}"
    with nginx_with(patient.host, "/etc/nginx/conf.d/other.conf", other):
        told = patient.ill("another site on this server answers for the name", "conf.d/other.conf")
    assert f"remove {DOMAIN} from that site" in told


# --- the way there ---------------------------------------------------------------------------

NFT = "nft add table inet t; nft add chain inet t i '{ type filter hook input priority 0; }'; "


@pytest.mark.parametrize("how, word", [("drop", "no answer"), ("reject", "refused at once")])
def test_a_firewall(patient, how, word):
    patient.host.exec(
        "command -v nft >/dev/null || apt-get -qq install -y nftables >/dev/null 2>&1"
    )
    shut = f"{NFT} nft add rule inet t i iifname eth0 tcp dport 80 {how}"
    with broken(patient.host, shut, "nft delete table inet t"):
        told = patient.ill(
            "the server's firewall blocks the port", word, "tcp dport 80", "open port 80"
        )
    assert ("dropped" in told) == (how == "drop")


@pytest.fixture(scope="module")
def front(servers, patient):
    """Another server with an Nginx, which the name leads to."""
    (front,) = servers("front")
    front.host.exec("apt-get -qq update && apt-get -qq install -y nginx-light >/dev/null 2>&1")
    yield front.host
    patient.lead(patient.host.address)


def test_a_name_that_leads_to_another_machine(patient, front):
    patient.lead(front.address)
    told = patient.ill("the name points to another machine", f"{DOMAIN} points to {front.address}")
    assert f"point {DOMAIN} to {patient.host.address}" in told
    assert f"fab -H {patient.server.target} hosts" in told


PASS = "proxy_pass http://{};"
HOST = "proxy_set_header Host $http_host;"
WIRE = ("proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        'proxy_set_header Connection "upgrade";')  # fmt: skip
BODY = "client_max_body_size 64m;"


@contextmanager
def proxying(patient, front, *lines: str, location: str = "/"):
    """Have the front pass on what comes for the name."""
    place = f"location {location} {{ {' '.join(lines).format(patient.host.address)} }}"
    text = f"server {{ listen 80; server_name {DOMAIN}; {place} }}"
    patient.lead(front.address)
    with nginx_with(front, "/etc/nginx/conf.d/front.conf", text):
        yield


def test_a_proxy_in_front_that_does_all_well_is_named(patient, front):
    with proxying(patient, front, PASS, HOST, WIRE, BODY):
        patient.healthy(f"a reverse proxy stands in front: {front.address} (nginx")


@pytest.mark.parametrize(
    "lines, cause, proof, remedy",
    [
        ((HOST, BODY), "a reverse proxy in front removes the Upgrade headers", "plain request",
         "proxy_set_header Upgrade $http_upgrade;"),
        ((f"proxy_set_header Host {DOMAIN}:81;", WIRE, BODY),
         "a reverse proxy in front changes the host name",
         f"passes the host {DOMAIN}:81 on, browsers send {DOMAIN}", HOST),
        ((HOST, WIRE), "a reverse proxy in front rejects request bodies of that size",
         "answers 413", BODY),
        ((WIRE, BODY), "a reverse proxy in front cannot reach this server", "answers 502", HOST),
    ],
    ids=["upgrade", "host", "body", "no host"],
)  # fmt: skip
def test_a_proxy_in_front_that_does_something_wrong(patient, front, lines, cause, proof, remedy):
    with proxying(patient, front, PASS, *lines):
        patient.ill(cause, front.address, proof, remedy)


def test_a_proxy_that_has_us_under_a_path_of_its_own(patient, front):
    with proxying(patient, front, PASS.replace(";", "/;"), HOST, WIRE, BODY, location="/jupyter/"):
        told = patient.ill(
            "a reverse proxy in front serves JupyterLab under another path",
            "under /jupyter, which arrives as /",
            "set lab.base_path: /jupyter",
            f"location /jupyter/ {{ proxy_pass http://{patient.host.address}; }}",
        )
    assert "/lab leads to /login" in told
    lines = PASS.replace(";", "/;"), HOST, WIRE, BODY
    with proxying(patient, front, *lines, location="/odd/place/"):
        url = f"http://{DOMAIN}/odd/place"
        patient.ill("a reverse proxy in front serves JupyterLab under another path",
                    "under /odd/place", options=("--url", url))  # fmt: skip


# --- certificates ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secured(patient):
    """The same with a certificate of the operator's own company."""
    patient.lead(patient.host.address)
    ca = private_ca.make(patient.folder, "A company")
    chain, key = ca.issue(DOMAIN)
    (patient.folder / "chain.pem").write_text(chain)
    (patient.folder / "key.pem").write_text(key)
    patient.settings = {
        "FABRIC_LAB_TLS": "files",
        "FABRIC_LAB_TLS_CERTIFICATE": str(patient.folder / "chain.pem"),
        "FABRIC_LAB_TLS_KEY": str(patient.folder / "key.pem"),
    }
    well(patient.fab("tls"))
    patient.healthy()
    return patient, ca


def lasting(ca, name: str, begin: datetime, end: datetime) -> tuple[str, str]:
    """A certificate of the company for a name and a time, and its key."""
    chain, key = ca.issue(name)
    leaf = x509.load_pem_x509_certificate(chain.encode())
    builder = x509.CertificateBuilder(
        ca.certificate.subject, leaf.subject, leaf.public_key(), 1, begin, end, leaf.extensions
    )
    return private_ca.pem(builder.sign(ca.key, hashes.SHA256())) + ca.pem, key


def serving(patient, chain: str, key: str):
    """Have Nginx serve another certificate, as one that nobody has renewed."""
    pem, place = f"/etc/nginx/jupyterlab/{DOMAIN}.pem", f"/etc/nginx/jupyterlab/{DOMAIN}.key"
    kept = f"cp -a {pem} /root/pem; cp -a {place} /root/key"
    put = "".join(
        f"cat >{path} <<'END'\n{text}\nEND\n" for path, text in ((pem, chain), (place, key))
    )
    back = f"cp -a /root/pem {pem}; cp -a /root/key {place}; {RELOAD}"
    return broken(patient.host, f"{kept}\n{put}{RELOAD}", back)


def test_certificates_that_are_wrong(secured):
    patient, ca = secured
    now = datetime.now(UTC)
    for name, begin, end, cause, proof in (
        (
            DOMAIN,
            -90,
            -1,
            "the certificate has expired",
            f"it expired on {now - timedelta(1):%Y-%m-%d}",
        ),
        (DOMAIN, 2, 90, "the certificate is not valid yet", "it is valid from"),
        ("other.example.org", -1, 90, "the certificate is for another name", "other.example.org"),
    ):
        with serving(patient, *lasting(ca, name, now + timedelta(begin), now + timedelta(end))):
            patient.ill(cause, proof, f"fab -H {patient.server.target} tls")
    with serving(patient, *lasting(ca, DOMAIN, now - timedelta(90), now + timedelta(5))):
        patient.healthy("the certificate expires soon: 4 days left")


def test_json_is_one_line_for_programs(patient):
    done = patient.fab("doctor", "--json")
    told = json.loads(well(done))
    assert (told["host"], told["ill"], told["findings"]) == (patient.server.target, False, [])


def test_one_that_sleeps_is_not_ill(secured):
    patient, _ = secured
    patient.settings = {**patient.settings, "FABRIC_LAB_SLEEP_AFTER": "3600"}
    well(patient.fab("full", "--no-verify"))
    patient.host.exec("systemctl stop jupyterlab.service")
    patient.healthy()
