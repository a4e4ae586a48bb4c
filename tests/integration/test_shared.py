"""A host that serves other sites already, and that is set up in other ways than the default."""

import httpx
import pytest
from outcomes import nothing_to_change, well
from refusals import refused
from surgery import listener
from visitor import DOMAIN, Visitor

pytestmark = pytest.mark.sites

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
    """A server that lost its venv, with two sites, one of them answering to every name."""
    site = server("shared", settled=True)
    site.host.exec(f"systemctl stop jupyterlab; rm -r {VENV} /home/david/.cache/jupyterlab")
    for path, text in OTHERS.items():
        site.host.exec(f"cat >{path} <<'END'\n{text}END")
    site.host.exec(
        "cd /etc/nginx/sites-enabled; ln -s ../sites-available/shop ../sites-available/front .\n"
        "systemctl restart nginx"
    )
    return site


def others(site) -> tuple[str, str]:
    """What the other sites answer, and their files with time and rights."""
    names = ("shop.example.org", "anything.example.org", site.host.address)
    url = f"http://{site.host.address}/x"
    answers = [
        httpx.get(url, headers={"Host": name}, timeout=60, trust_env=False) for name in names
    ]
    files = site.host.exec(
        "find /etc/nginx ! -name '*jupyterlab*' ! -type d -printf '%p %T@ %C@ %m %u %g %l\\n'"
        " | sort\n"
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
    nothing_to_change(site.fab("full", "--no-verify", env=PIP))


def test_the_other_sites_answer_as_before(site, before, done):
    assert before[0].split() == ["shop", "-", "front", "close", "front", "close"]
    assert others(site) == before


def test_jupyterlab_answers_to_its_name_only(site, done):
    assert Visitor(site).client.get("/lab").headers["Location"].startswith("/login")
    assert "front" in Visitor(site, f"not-{DOMAIN}").client.get("/lab").text


def test_another_installer_alone_changes_nothing(site, done):
    nothing_to_change(site.fab("full", "--no-verify"))


@pytest.mark.parametrize("how", ["header", "query"])
def test_five_megabytes_are_uploaded(site, done, how):
    token = site.host.exec("cat /home/david/.jupyter/jupyterlab_token")
    content = "0123456789abcdef" * 65536 * 5
    answer = Visitor(site).client.put(
        f"/api/contents/{how}.txt",
        headers={"Authorization": f"token {token}"} if how == "header" else {},
        params={"token": token} if how == "query" else {},
        json={"type": "file", "format": "text", "content": content},
    )
    assert answer.status_code == 201, answer.text
    assert site.infra.file(f"/home/david/project/{how}.txt").content_string == content


def test_an_option_of_pip_that_uv_has_no_word_for(site, done):
    site.host.exec(
        'su david -c \'mkdir -p ~/.config/pip; echo "[install]\nno-compile = true" '
        ">~/.config/pip/pip.conf'"
    )
    out = well(site.fab("jupyter", env={"FABRIC_LAB_PACKAGES": "jupyter cowsay"}))
    assert "pip.conf sets no-compile, which uv does not support" in out and "using pip" in out
    assert site.host.exec(f"cat {VENV}/lib/python3*/site-packages/cowsay-*/INSTALLER") == "pip\n"


# --- a port instead of the socket --------------------------------------------------------------


def listeners(site) -> str:
    return site.host.exec("ss -Hltnp | grep -v sshd")


def test_a_port_that_is_taken_leaves_the_running_service_alone(site, done):
    service = site.host.exec("systemctl show jupyterlab -p MainPID")
    with listener(site.host, 8899):
        refused(site.fab("full", env={"FABRIC_LAB_PORT": "8899"}), "port 8899 is taken")
    assert site.host.exec("systemctl show jupyterlab -p MainPID") == service
    nothing_to_change(site.fab("full", "--no-verify"))


def test_a_loopback_port_and_back_to_the_socket(site, before, done):
    port = {"FABRIC_LAB_PORT": "8899"}
    assert "6*7 over the websocket is 42" in well(site.fab("full", env=port))
    assert "127.0.0.1:8899" in listeners(site)
    nothing_to_change(site.fab("full", "--no-verify", env=port))
    assert "6*7 over the websocket is 42" in well(site.fab("full"))
    assert ":8899" not in listeners(site)
    nothing_to_change(site.fab("full", "--no-verify"))
    assert others(site) == before


# --- names that nobody has ---------------------------------------------------------------------

SECURE = """
server { listen 443 ssl; server_name secure.example.org; return 200 "secure\\n";
  ssl_certificate /etc/ssl/secure.pem; ssl_certificate_key /etc/ssl/secure.key; }
"""
MAKE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=secure.example.org "
    "-keyout /etc/ssl/secure.key -out /etc/ssl/secure.pem 2>&1"
)


def secure(site, name: str) -> str:
    """What is answered by HTTPS to who asks for a name."""
    curl = f"curl -sk --connect-to '::127.0.0.1:443' https://{name}/login"
    return site.host.exec(curl, check=False)


def test_another_site_keeps_the_names_of_nobody_by_https(site, before, done, tmp_path):
    tls = {"FABRIC_LAB_TLS": "self-signed", "FABRIC_LAB_CA_FOLDER": str(tmp_path)}
    there = "/etc/nginx/sites-enabled/secure"
    site.host.exec(f"{MAKE}\ncat >{there} <<'END'\n{SECURE}END\nnginx -s reload")
    well(site.fab("full", "--no-verify", env=tls))
    assert "JupyterLab" in secure(site, DOMAIN) or "Jupyter Server" in secure(site, DOMAIN)
    assert secure(site, "secure.example.org") == secure(site, "other.example.org") == "secure\n"
    site.host.exec(f"rm {there}; systemctl restart nginx")
    assert secure(site, "other.example.org") == ""
    assert secure(site, DOMAIN) != ""
    well(site.fab("full", "--no-verify", "--yes"))


def test_a_site_that_is_first_without_saying_so_stays_first(site, before, done):
    front = "/etc/nginx/sites-enabled/front"
    site.host.exec(f"rm {front}; systemctl restart nginx")
    nothing_to_change(site.fab("nginx"))
    assert Visitor(site, "anything.example.org").client.get("/lab").text == "shop\n"
    site.host.exec("rm /etc/nginx/sites-enabled/shop; systemctl restart nginx")
    with pytest.raises(httpx.RemoteProtocolError):  # 444: no answer
        Visitor(site, "anything.example.org").client.get("/lab")
    site.host.exec(
        "cd /etc/nginx/sites-enabled; ln -s ../sites-available/shop ../sites-available/front .\n"
        "systemctl restart nginx"
    )


def answers(site, address: str) -> list[str]:
    """What the shop and JupyterLab answer on the server itself."""
    found = []
    for name, word in (("shop.example.org", "shop"), (DOMAIN, "Jupyter")):
        text = site.host.exec(f"curl -s -H 'Host: {name}' http://{address}/login")
        found.append(word if word in text else text)
    return found


@pytest.mark.parametrize("words", ["[::]:80 default_server ipv6only=off", "ADDRESS:80"])
def test_another_site_that_listens_in_its_own_way(site, before, done, words):
    """Ours adapts, both answer, and Nginx starts with both."""
    listen = words.replace("ADDRESS", site.host.address)
    site.host.exec(
        "cd /etc/nginx/sites-enabled; rm -f zz-jupyterlab front shop; cat >shop <<'END'\n"
        f'server {{ listen {listen}; server_name shop.example.org; return 200 "shop\\n"; }}\n'
        "END\nsystemctl restart nginx"
    )
    well(site.fab("nginx"))
    nothing_to_change(site.fab("nginx"))
    assert answers(site, site.host.address) == ["shop", "Jupyter"]
    site.host.exec("systemctl restart nginx")
    assert answers(site, site.host.address) == ["shop", "Jupyter"]
    site.host.exec(
        "cd /etc/nginx/sites-enabled; rm shop; ln -s ../sites-available/shop "
        "../sites-available/front .; rm zz-jupyterlab; systemctl restart nginx"
    )
    well(site.fab("nginx"))


def test_a_welcome_page_that_somebody_changed_stays(site, before, done):
    site.host.exec(
        "sed -i s/80/8081/ /etc/nginx/sites-available/default\n"
        "ln -s /etc/nginx/sites-available/default /etc/nginx/sites-enabled/; nginx -s reload"
    )
    nothing_to_change(site.fab("nginx"))
    assert site.infra.file("/etc/nginx/sites-enabled/default").exists
