"""The site in the eyes of gixy, which knows what goes wrong in Nginx configurations."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_render import rendered

from fabfile import nginx
from fabfile.engine.host import Host
from testbed.machine import ROOT

# Its advice, `default_server`, would take names away from the other sites of a host, or break the
# next one that says so, too. The first server of our file, the last that Nginx reads, is the
# default where nobody else is: tests/integration/test_shared.py shows it.
OTHERWISE = {"default_server_flag"}
THERE = Host(certificates="jupyterlab.vmdomain.io.acme.pem")


def findings(path: Path) -> set[tuple[str, str]]:
    """What gixy says of a configuration, from LOW on: check and severity."""
    gixy = Path(sys.executable).parent / "gixy"
    done = subprocess.run([gixy, "-f", "json", path], capture_output=True, text=True)
    return {(found["plugin"], found["severity"]) for found in json.loads(done.stdout)}


@pytest.fixture
def judged(tmp_path):
    """Give a function that has gixy judge a site, inside `http`."""

    def judge(text: str) -> set[str]:
        path = tmp_path / "nginx.conf"
        path.write_text(f"events {{}}\nhttp {{\n{text}}}\n")
        return {check for check, _ in findings(path)}

    return judge


@pytest.mark.parametrize("tls", ["off", "self-signed", "letsencrypt", "files"])
@pytest.mark.parametrize("port", [None, 8888])
def test_gixy_finds_nothing_in_the_site(judged, tls, port):
    text = rendered(nginx, "jupyterlab", host=THERE, tls=tls, port=port)
    assert judged(text) - OTHERWISE == set()


@pytest.mark.parametrize("tls", ["off", "letsencrypt"])
def test_gixy_finds_nothing_in_the_site_under_a_path(judged, tls):
    text = rendered(nginx, "jupyterlab", host=THERE, tls=tls, base_path="/jupyter")
    assert judged(text) - OTHERWISE == set()


@pytest.mark.parametrize("domain", ["203.0.113.7", "fd00::9"])
def test_gixy_misses_in_the_site_of_an_address_what_counts_for_names_alone(judged, domain):
    text = rendered(nginx, "jupyterlab", tls="self-signed", domain=domain)
    assert judged(text) - OTHERWISE == {"hsts_header"}  # RFC 6797, 8.1


@pytest.mark.parametrize("tls", ["off", "theirs"])
def test_gixy_finds_nothing_in_what_another_site_includes(judged, tls):
    chosen = {"site": "include", "base_path": "/a.b", "domain": "shop.example.org", "tls": tls}
    http, ours = (rendered(nginx, n, **chosen) for n in ("00-jupyterlab.conf", "locations.conf"))
    server = "server { listen 80 default_server; server_name shop.example.org;\n"
    server += f"server_tokens off; {ours}}}\n"
    assert judged(http + server) == set()


def test_gixy_finds_something_in_the_site_of_the_how_to(judged):
    text = (ROOT / "tests/integration/howto/jupyterlab.nginx").read_text()
    assert judged(text)
