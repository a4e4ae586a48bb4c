"""The audit calls a sound server sound, and names what somebody has opened."""

import pytest
from outcomes import well
from refusals import refused

from fabfile.manage.audit import THREATS

pytestmark = pytest.mark.security

SITE = "/etc/nginx/sites-available/jupyterlab"
CONFIG = "/home/david/.jupyter/jupyter_lab_config.py"
TOKEN = "/home/david/.jupyter/jupyterlab_token"
DROPIN = "/etc/systemd/system/jupyterlab.service.d/harm.conf"
FRONT = "/etc/nginx/conf.d/front.conf"
PACKAGES = "/home/david/project/venv/lib/python3*/site-packages"
RELOAD = "nginx -t 2>&1 && systemctl reload nginx && sleep 1"
UP = (
    "timeout 90 sh -c 'until curl -fso /dev/null --unix-socket /run/jupyterlab/jupyter.sock"
    " http://localhost/api; do sleep 0.1; done'"
)


def edited(*expressions: str) -> str:
    """Edit the site."""
    words = " ".join(f"-e '{expression}'" for expression in expressions)
    return f"sed -i {words} {SITE}"


def dropped(line: str) -> str:
    """Give the unit another line."""
    return f"mkdir -p $(dirname {DROPIN}); printf '[Service]\\n{line}\\n' >>{DROPIN}"


# What opens a threat; those of a group do not hide each other, and end with what has them read.
STOPPED = {"running": "systemctl stop jupyterlab"}
IN_NGINX = {
    "guesses": edited("/limit_req zone/d"),
    "names": "printf 'server { listen 80 default_server; location / { proxy_pass http://jupyterlab;"
    f" proxy_set_header Host jupyterlab.vmdomain.io; }} }}\\n' >{FRONT}",
    "pages": edited("/proxy_intercept_errors/d"),
    "logs": edited("s/access.log jupyterlab;/access.log combined;/"),
    "version": edited("s/server_tokens off/server_tokens on/"),
    "headers": edited("/add_header/d"),
    "cookies": edited("/proxy_cookie_flags/d"),
}
IN_THE_UNIT = {
    "sandbox": dropped("CapabilityBoundingSet=~"),
    "memory": dropped("MemoryMax=infinity"),
}
BESIDE = {
    "files": f"chmod 0755 /home/david /home/david/.jupyter; chmod 0644 {TOKEN}",
    "ports": "systemd-run -q --uid david --unit jupyterlab-extra "
    "python3 -m http.server 3001 -b 127.0.0.1\n"
    "timeout 30 sh -c 'until ss -Hltn | grep -q :3001; do sleep 0.1; done'",
    "hole": f"cd {PACKAGES}; mv jupyter_server-*.dist-info jupyter_server-2.19.0.dist-info",
    "kernels": f"sed -i '/transport = /s/ipc/tcp/' {CONFIG}",
}
IN_NGINX_WITH_HTTPS = {
    "oldtls": edited(
        "s/TLSv1.2 TLSv1.3/TLSv1 TLSv1.1 TLSv1.2/", "s/ssl_ciphers .*/ssl_ciphers ALL:@SECLEVEL=0;/"
    ),
    "headers": edited("/Strict-Transport/d"),
    "cookies": edited("s/lax secure/lax/", "s/X-Forwarded-Proto $scheme/X-Forwarded-Proto http/"),
}
WITHOUT_HTTPS = {
    "clear": edited("s#return 301 .*#proxy_pass http://jupyterlab; proxy_set_header Host $host;#"),
}
RESTART = (
    f"systemctl daemon-reload; rm -f /run/jupyterlab/*.sock; systemctl restart jupyterlab\n{UP}"
)
HARMS = ((STOPPED, ""), (IN_NGINX, RELOAD), (IN_THE_UNIT, RESTART), (BESIDE, RESTART))
REPAIR = f"""
systemctl stop jupyterlab-extra 2>/dev/null || true
rm -rf $(dirname {DROPIN}) {FRONT}
systemctl daemon-reload
chmod 0700 /home/david
cd {PACKAGES}
[ ! -e jupyter_server-2.19.0.dist-info ] || mv jupyter_server-2.19.0.dist-info $(cat /root/hole)
"""


@pytest.fixture(scope="module")
def site(server):
    site = server("audited", settled=True)
    well(site.fab("full", "--no-verify"))
    site.host.exec(f"cd {PACKAGES}; ls -d jupyter_server-*.dist-info >/root/hole")
    return site


@pytest.fixture(scope="module")
def strict(site, tmp_path_factory):
    """The settings under which nothing is left open."""
    folder = tmp_path_factory.mktemp("ca")
    return {
        "FABRIC_LAB_TLS": "self-signed",
        "FABRIC_LAB_SANDBOX": "strict",
        "FABRIC_LAB_CA_FOLDER": str(folder),
    }


def opened(out: str) -> list[str]:
    """The threats that are told as open and should not be."""
    told = [line.removeprefix("  OPEN    ") for line in out.splitlines() if "  OPEN " in line]
    return sorted(name for name, threat in THREATS.items() if threat.what in told)


def audited(site, harms: dict[str, str], end: str, **settings) -> list[str]:
    """Do harms, audit, and mend them."""
    site.host.exec("\n".join([*harms.values(), end]))
    done = site.fab("audit", env=settings)
    site.host.exec(REPAIR)
    assert "remedy: fab -H" in done.stdout, done.stdout + done.stderr
    refused(done, "open that should be closed")
    well(site.fab("full", "--no-verify", env=settings))
    return opened(done.stdout)


def test_a_server_by_default_is_sound(site):
    out = well(site.fab("audit"))
    assert opened(out) == []
    assert "16 of 18 threats closed, 2 allowed by your settings" in out
    assert "allowed by lab.tls: off" in out and "allowed by lab.sandbox: standard" in out


@pytest.mark.parametrize(
    ("harms", "end"), [pytest.param(harms, end, id=", ".join(harms)) for harms, end in HARMS]
)
def test_what_somebody_has_opened_is_named(site, harms, end):
    assert audited(site, harms, end) == sorted(harms)


def test_with_https_and_the_strict_sandbox_nothing_is_open(site, strict):
    well(site.fab("full", "--no-verify", env=strict))
    out = well(site.fab("audit", env=strict))
    assert "21 of 21 threats closed" in out and "chosen" not in out


@pytest.mark.parametrize("harms", [IN_NGINX_WITH_HTTPS, WITHOUT_HTTPS], ids=", ".join)
def test_what_somebody_has_opened_of_https_is_named(site, strict, harms):
    assert audited(site, harms, RELOAD, **strict) == sorted(harms)


def test_a_port_is_open_as_chosen(site, strict):
    port = {**strict, "FABRIC_LAB_PORT": "8899"}
    well(site.fab("full", "--no-verify", env=port))
    out = well(site.fab("audit", env=port))
    assert out.count("allowed by lab.port: 8899") == 2
    well(site.fab("full", "--no-verify", "--yes"))


def test_who_may_not_use_sudo_is_told(server):
    site = server("audited", user="anna", sudo="none")
    refused(site.fab("audit"), "sudo")
