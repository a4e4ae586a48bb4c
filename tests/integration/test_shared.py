"""A host that serves other sites already, and that is set up in other ways than the default."""

import httpx
import pytest
from outcomes import nothing_to_change, well
from refusals import refused
from surgery import listener
from visitor import DOMAIN, Visitor

VENV = "/home/david/project/venv"
PIP = {"FABRIC_LAB_INSTALLER": "pip"}
OTHERS = {
    "/etc/nginx/conf.d/upgrade.conf": (
        "map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n"
        "log_format main '$remote_addr';\nupstream backend { server 127.0.0.1:9; }\n"
    ),
    "/etc/nginx/sites-available/front": (
        "server { listen 80 default_server; listen [::]:80 default_server; server_name _;\n"
        '  add_header X-Upgrade $connection_upgrade; return 200 "front\\n"; }\n'
    ),
    "/etc/nginx/sites-available/shop": (
        'server { listen 80; server_name shop.example.org; return 200 "shop\\n"; }\n'
    ),
}


@pytest.fixture(scope="module")
def site(server):
    """A server with Nginx and two sites, one of them answering to every name."""
    site = server("shared")
    site.host.exec("apt-get update -qq; apt-get install -qqy --no-install-recommends nginx 2>&1")
    for path, text in OTHERS.items():
        site.host.exec(f"cat >{path} <<'END'\n{text}END")
    site.host.exec(
        "cd /etc/nginx/sites-enabled; rm default; ln -s ../sites-available/* .; rm default\n"
        "systemctl restart nginx"
    )
    return site


def others(site) -> tuple[str, str]:
    """What the other sites answer, and their files with time and rights."""
    names = ("shop.example.org", "anything.example.org", site.host.address)
    answers = [
        httpx.get(f"http://{site.host.address}/x", headers={"Host": name}, trust_env=False)
        for name in names
    ]
    files = site.host.exec(
        "find /etc/nginx ! -name jupyterlab ! -type d -printf '%p %T@ %C@ %m %u %g %l\\n' | sort\n"
        "systemctl show nginx -p MainPID"
    )
    return " ".join(a.text + a.headers.get("X-Upgrade", "-") for a in answers), files


@pytest.fixture(scope="module")
def before(site):
    return others(site)


@pytest.fixture(scope="module")
def done(site, before):
    """The first full, with plain pip."""
    return site.fab("full", env=PIP)


def test_full_with_pip_beside_other_sites(site, before, done):
    out = well(done)
    assert "6*7 over the websocket is 42" in out
    assert "(pip)" in out and not site.infra.file("/home/david/.cache/jupyterlab/uv").exists
    nothing_to_change(site.fab("full", env=PIP))


def test_the_other_sites_answer_as_before(site, before, done):
    assert before[0].split() == ["shop", "-", "front", "close", "front", "close"]
    assert others(site) == before


def test_jupyterlab_answers_to_its_name_only(site, done):
    assert Visitor(site).client.get("/lab").headers["Location"].startswith("/login")
    assert "front" in Visitor(site, f"not-{DOMAIN}").client.get("/lab").text


def test_another_installer_alone_changes_nothing(site, done):
    nothing_to_change(site.fab("full"))


def test_five_megabytes_are_uploaded(site, done):
    token = site.host.exec("cat /home/david/.jupyter/jupyterlab_token")
    content = "0123456789abcdef" * 65536 * 5
    answer = Visitor(site).client.put(
        "/api/contents/large.txt",
        headers={"Authorization": f"token {token}"},
        json={"type": "file", "format": "text", "content": content},
    )
    assert answer.status_code == 201, answer.text
    assert site.infra.file("/home/david/project/large.txt").content_string == content


def test_an_option_of_pip_that_uv_has_no_word_for(site, done):
    site.host.exec(
        'su david -c \'mkdir -p ~/.config/pip; echo "[install]\nno-compile = true" '
        ">~/.config/pip/pip.conf'"
    )
    out = well(site.fab("jupyter", env={"FABRIC_LAB_PACKAGES": "jupyter cowsay"}))
    assert "pip.conf sets no-compile, which uv has no word for" in out and "using pip" in out
    assert site.host.exec(f"cat {VENV}/lib/python3*/site-packages/cowsay-*/INSTALLER") == "pip\n"


# --- a port instead of the socket --------------------------------------------------------------


def listeners(site) -> str:
    return site.host.exec("ss -Hltnp | grep -v sshd")


def test_a_port_that_is_taken_leaves_the_running_service_alone(site, done):
    service = site.host.exec("systemctl show jupyterlab -p MainPID")
    with listener(site.host, 8899):
        refused(site.fab("full", env={"FABRIC_LAB_PORT": "8899"}), "port 8899 is taken")
    assert site.host.exec("systemctl show jupyterlab -p MainPID") == service
    nothing_to_change(site.fab("full"))


def test_a_loopback_port_and_back_to_the_socket(site, before, done):
    port = {"FABRIC_LAB_PORT": "8899"}
    assert "6*7 over the websocket is 42" in well(site.fab("full", env=port))
    assert "127.0.0.1:8899" in listeners(site)
    nothing_to_change(site.fab("full", env=port))
    assert "6*7 over the websocket is 42" in well(site.fab("full"))
    assert ":8899" not in listeners(site)
    nothing_to_change(site.fab("full"))
    assert others(site) == before
