"""What lands on the server is read here as its readers read it: Nginx, systemd, Python."""

import configparser
import copy
import re
import subprocess
import sys
from types import SimpleNamespace
from unittest import mock

import crossplane
import pytest
from jinja2 import UndefinedError
from states import compared

from fabfile import fail2ban, jupyter, nginx, schedule, systemd
from fabfile.engine.host import Host
from fabfile.items import Absent, File
from fabfile.render import file, render
from fabfile.settings import Settings
from fabfile.settings.names import Instance

OURS = Instance()
DAVID = Host(user="david", group="david", home="/home/david")
ODD = Host(user="john.doe", group="domain users", home="/home/100%/john.doe")


def rendered(step, ending: str, host: Host = DAVID, **chosen) -> str:
    """The text of the file that a step puts there."""
    found = step.items(Settings(**chosen), host)
    return next(i.content for i in found if isinstance(i, File) and i.path.endswith(ending))


# --- Nginx -------------------------------------------------------------------------------------


NEWER = re.compile(
    r"^ +(proxy_cookie_flags|ssl_conf_command|ssl_reject_handshake) .*;$", re.MULTILINE
)  # 1.19


@pytest.fixture
def site(tmp_path):
    """Give a function that has crossplane parse a site, strictly, inside `http`."""

    def parse(**chosen) -> list[dict]:
        (tmp_path / "site.conf").write_text(rendered(nginx, "jupyterlab", **chosen))
        whole = tmp_path / "nginx.conf"
        whole.write_text("events {}\nhttp {\n    include site.conf;\n}\n")
        parsed = crossplane.parse(str(whole), combine=True)  # contexts and arguments are checked
        assert parsed["status"] == "ok", parsed["errors"]
        tree = block(parsed["config"][0]["parsed"], "http")
        text = (tmp_path / "site.conf").read_text()
        (tmp_path / "site.conf").write_text(NEWER.sub("", text))
        assert [e for e in unknown_to_nginx(whole) if e not in entries_of_maps(tree)] == []
        return tree

    return parse


def unknown_to_nginx(path) -> list[str]:
    """The names of which crossplane knows no directive."""
    errors = crossplane.parse(str(path), strict=True)["errors"]
    return [found["error"].split('"', 1)[1].rpartition('" in ')[0] for found in errors]


def entries_of_maps(tree: list[dict]) -> list[str]:
    """The names on the left in maps, which are no directives."""
    return [e["directive"] for d in tree if d["directive"] == "map" for e in d["block"]]


def of(tree: list[dict], name: str) -> list[list[str]]:
    """The arguments of each directive of that name."""
    return [found["args"] for found in tree if found["directive"] == name]


def block(tree: list[dict], *head: str) -> list[dict]:
    """What stands in the one block that begins so."""
    (found,) = [d["block"] for d in tree if [d["directive"], *d["args"]] == list(head)]
    return found


def lab(tree: list[dict], domain: str = Settings().domain) -> list[dict]:
    """The server that passes on to JupyterLab: the last."""
    found = [d["block"] for d in tree if d["directive"] == "server"][-1]
    assert of(found, "server_name") == [[domain]]
    return found


@pytest.mark.parametrize("port, server", [(None, f"unix:{OURS.socket}"), (8899, "127.0.0.1:8899")])
def test_the_upstream_is_where_jupyter_listens(site, port, server):
    upstream = block(site(port=port), "upstream", "jupyterlab")
    assert of(upstream, "server") == [[server]]
    assert of(upstream, "keepalive") == [["8"]]


def test_the_site_has_the_chosen_name_and_port(site):
    server = lab(site(domain="lab.example.org", http_port=8080), "lab.example.org")
    assert of(server, "listen") == [["8080"], ["[::]:8080"]]


def test_limits_are_the_chosen_ones(site):
    server = lab(site(upload_limit="2g", read_timeout=600))
    assert of(server, "client_max_body_size") == [["2g"]]
    assert of(server, "proxy_read_timeout") == of(server, "proxy_send_timeout") == [["600s"]]


def test_websockets_pass(site):
    tree = site()
    server = lab(tree)
    assert of(server, "proxy_http_version") == [["1.1"]]
    headers = dict(of(server, "proxy_set_header"))
    assert headers["Upgrade"] == "$http_upgrade"
    chosen = block(tree, "map", "$http_upgrade", headers["Connection"])
    assert of(chosen, "default") == [["upgrade"]]
    assert of(chosen, "") == [[""]]
    names = block(tree, "map", "$http_host", headers["Host"])
    assert of(names, "default") == [["jupyterlab.vmdomain.io"]]
    assert headers["X-Forwarded-Proto"] == "$scheme"
    assert headers["X-Forwarded-For"] == "$remote_addr"  # what a client claims is not believed


def test_nothing_is_spooled_to_the_disk(site):
    server = lab(site())
    assert of(server, "proxy_buffering") == of(server, "proxy_request_buffering") == [["off"]]


def test_every_location_passes_on_with_the_headers_of_the_server(site):
    locations = [d["block"] for d in lab(site()) if d["directive"] == "location"]
    passing = [location for location in locations if of(location, "proxy_pass")]
    assert len(passing) == 6
    everywhere = {name for name, _ in of(lab(site()), "proxy_set_header")} - {"Upgrade"}
    guards = of(lab(site()), "add_header")
    for location in locations:
        here = {name for name, _ in of(location, "proxy_set_header")}
        assert not here or here >= everywhere, "one header here would drop all the others"
        sent = of(location, "add_header")
        assert not sent or sent[-len(guards) :] == guards, "one here would drop all the others"


def test_a_large_body_waits_for_who_is_logged_in(site):
    tree = site()
    size = "$content_length $http_transfer_encoding $request_method $server_protocol"
    large = block(tree, "map", size, "$jupyterlab_large")
    assert of(large, "~^[0-9]{5,}") == of(large, "~*^[0-9]* chunked") == [["1"]]
    locations = [d["block"] for d in lab(tree) if d["directive"] == "location"]
    passing = [location for location in locations if of(location, "proxy_pass")]
    asking = [d for d in passing if of(d, "auth_request") or of(d, "proxy_method")]
    doors = [location for location in passing if location not in asking]
    assert (len(asking), len(doors)) == (3, 3)
    for door in doors:
        ((_, there, last),) = of(block(door, "if", "$jupyterlab_large"), "rewrite")
        assert last == "last"
    waits = block(lab(tree), "location", "=", there)
    assert of(waits, "internal") == [[]]
    ((asked,),) = of(waits, "auth_request")
    asks = block(lab(tree), "location", "=", asked)
    assert of(asks, "proxy_method") == [["GET"]]
    assert ["Content-Length", ""] in of(asks, "proxy_set_header")


CROOKED = (
    *(
        "/..",
        "/../lab",
        "/x/../lab",
        "/x/..?y",
        "/x/..#y",
        "/./x",
        "/%2e%2e/x",
        "/.%2E/x",
        "/x/%2e",
    ),
    *("/proxy/8097/..%2f..%2flab", "/x/..%2fproxy/8097/", "/x%2F..%2Fapi", "/static/x%2f%2e%2e/y"),
)
STRAIGHT = (
    *(
        "/",
        "/lab",
        "/lab?next=/../x",
        "/api/contents/..x",
        "/api/contents/a..b",
        "/api/contents/...",
    ),
    *("/api/contents/a.", "/api/contents/.hidden/x", "/api/contents/100%25", "/a%2Fb", "/a//b"),
    *("/lab/api/settings/@jupyterlab%2Fapputils-extension:themes", "/files/a..%20b", "/proxyx"),
)


def crooked(tree: list[dict]) -> list[re.Pattern]:
    """What is refused by the path as it came."""
    found = block(tree, "map", "$request_uri", "$jupyterlab_crooked")
    assert of(found, "default") == [[""]]
    names = [d["directive"] for d in found if d["directive"] != "default"]
    assert all(of(found, name) == [["1"]] for name in names)
    return [re.compile(name.lstrip("~*"), re.IGNORECASE * name.startswith("~*")) for name in names]


def test_a_path_that_jupyter_and_nginx_may_read_differently_is_refused(site):
    (steps,) = crooked(site())
    assert [path for path in CROOKED if not steps.search(path)] == []
    assert [path for path in (*STRAIGHT, "/proxy/1/") if steps.search(path)] == []


def test_with_a_cluster_proxy_is_refused_as_it_came_too(site):
    for base in ("", "/jupyter"):
        tree = site(host=Host(cluster=("10.0.0.2 w1",)), base_path=base)
        _, proxy = crooked(tree)
        there = [f"{base}{path}" for path in ("/proxy", "/proxy/8097/", "//proxy/x", "/proxy?x")]
        assert all(map(proxy.search, there))
        assert not any(proxy.search(base + path) for path in STRAIGHT)


def test_every_door_to_jupyter_refuses_it(site):
    for location in [d for d in lab(site()) if d["directive"] == "location"]:
        if of(location["block"], "proxy_pass") and not of(location["block"], "internal"):
            assert of(block(location["block"], "if", "$jupyterlab_crooked"), "return") == [["400"]]
    asset = block(lab(site()), "location", "=", "/.jupyterlab-asset")
    assert of(block(asset, "if", "$jupyterlab_crooked"), "return") == [["400"]]


def test_what_is_compressed_is_no_page_of_jupyters_for_an_error(site):
    tree = lab(site())
    packing = [d["block"] for d in tree if d["directive"] == "location"]
    packing = [location for location in packing if of(location, "gzip")]
    assert len(packing) == 2
    for location in packing:
        assert of(location, "proxy_intercept_errors") == [["on"]]
        ((*statuses, page),) = of(location, "error_page")
        assert {"400", "401", "403", "404", "405", "500"} <= set(statuses)
        own = block(tree, "location", "=", page)
        assert of(own, "internal") == [[]] and of(own, "return") and not of(own, "proxy_pass")


def test_an_upstream_does_not_steer_nginx(site):
    ((*ignored,),) = of(lab(site()), "proxy_ignore_headers")
    names = ("Redirect", "Expires", "Limit-Rate", "Buffering", "Charset")
    assert set(ignored) == {f"X-Accel-{name}" for name in names}


def test_connections_are_limited_by_client(site):
    tree = site(connection_limit=99)
    assert of(tree, "limit_conn_zone") == [["$jupyterlab_client", "zone=jupyterlab_clients:1m"]]
    assert of(lab(tree), "limit_conn") == [["jupyterlab_clients", "99"]]
    assert of(lab(tree), "limit_conn_status") == [["429"]]


@pytest.mark.parametrize("tls", ["off", "self-signed"])
def test_no_server_waits_long_for_a_request_that_was_begun(site, tls):
    assert all(of(one, "client_header_timeout") == [["15s"]] for one in servers(site(tls=tls)))


def test_fail2ban_counts_wrong_passwords_alone():
    text = rendered(fail2ban, "filter.d/jupyterlab.conf", fail2ban=True, base_path="/a.b")
    (sieve,) = re.findall("^failregex = (.*)$", text, re.MULTILINE)
    sieve = re.compile(sieve.replace("<ADDR>", r"(?P<who>\S+)"))
    assert sieve.match('::1 [2026] "POST /a.b/login" 401 9 0.1s "x" 401 "h" ""')["who"] == "::1"
    others = (
        *('POST /a.b/login" 429', 'POST /a.b/login" 403', 'POST /a.b/api/login" 401'),
        *('POST /axb/login" 401', 'GET /a.b/login" 401', 'POST /x" 200 " 401'),
    )
    for other in others:
        assert not sieve.match(f'::1 [2026] "{other} 9 0.1s "x" 401 "h" ""')


def test_a_query_reaches_no_log(site):
    tree = site(tls="self-signed")
    ((name, *words),) = of(tree, "log_format")
    for variable in ("$request ", '$request"', "$args", "$query_string", "$request_uri", "referer"):
        assert variable not in "".join(words)
    for server in servers(tree):
        assert of(server, "error_log") == [["/dev/null", "emerg"]]
        assert [arguments[1:] for arguments in of(server, "access_log")] in ([[name]], [[]])


def servers(tree: list[dict]) -> list[list[dict]]:
    """What stands in each server, in order."""
    return [d["block"] for d in tree if d["directive"] == "server"]


@pytest.mark.parametrize("tls, listens", [("off", ["80"]), ("self-signed", ["80", "443"])])
def test_other_names_get_no_answer_and_come_first(site, tls, listens):
    nobody = servers(site(tls=tls))[0]
    assert of(nobody, "return") == [["444"]]
    assert of(nobody, "ssl_reject_handshake") == ([["on"]] if tls != "off" else [])
    ports = [arguments[0] for arguments in of(nobody, "listen") if "[" not in arguments[0]]
    assert ports == listens


def test_a_login_is_counted_by_client(site):
    tree = site(login_rate=30)
    ((key, zone, rate),) = of(tree, "limit_req_zone")
    assert (zone, rate) == ("zone=jupyterlab_login:1m", "rate=30r/m")
    counted = block(tree, "map", "$request_method $uri", key)
    assert of(counted, "~^POST /+login/*$") == [["$jupyterlab_client"]]
    assert of(counted, "default") == [[""]]
    assert of(lab(tree), "limit_req") == [["zone=jupyterlab_login", "burst=5", "nodelay"]]


@pytest.mark.parametrize("tls", ["self-signed", "files", "letsencrypt"])
def test_https_is_as_mozilla_has_it_in_every_server(site, tls):
    there = Host(certificates="lab.example.org.acme.pem")
    tree = site(tls=tls, domain="lab.example.org", host=there)
    secure = [s for s in servers(tree) if any("ssl" in a for a in of(s, "listen"))]
    assert len(secure) == 2
    for server in secure:
        assert of(server, "ssl_protocols") == [["TLSv1.2", "TLSv1.3"]]
        ((ciphers,),) = of(server, "ssl_ciphers")
        assert all("GCM" in c or "CHACHA20" in c for c in ciphers.split(":"))
        assert of(server, "ssl_session_tickets") == [["off"]]
    ending = ".acme" if tls == "letsencrypt" else ""
    place = f"/etc/nginx/jupyterlab/lab.example.org{ending}"
    server = lab(tree, "lab.example.org")
    assert of(server, "ssl_certificate") == [[f"{place}.pem"]]
    assert of(server, "ssl_certificate_key") == [[f"{place}.key"]]
    plain = block(servers(tree)[1], "location", "/")
    assert of(plain, "return") == [["301", "https://lab.example.org$request_uri"]]


@pytest.mark.parametrize(
    "there, certificate",
    [
        ("", None),
        ("other.example.org.pem", None),
        ("lab.example.org.pem", "lab.example.org.pem"),
        ("lab.example.org.acme.pem lab.example.org.pem", "lab.example.org.acme.pem"),
    ],
)
def test_until_lets_encrypt_has_answered_what_was_there_is_served(site, there, certificate):
    tree = site(tls="letsencrypt", domain="lab.example.org", host=Host(certificates=there))
    server = lab(tree, "lab.example.org")
    place = f"/etc/nginx/jupyterlab/{certificate}"
    assert of(server, "ssl_certificate") == ([[place]] if certificate else [])
    assert ["80"] in of(server, "listen") or certificate
    assert of(servers(tree)[0], "ssl_reject_handshake") == [["on"]]


@pytest.mark.parametrize("length", [46, 47, 253])
def test_a_name_of_any_length_fits_into_nginxs_table(site, length):
    domain = ".".join(["a" * 60] * 5)[: length - 2] + ".b"
    pattern = f"~^{domain.replace('.', chr(92) + '.')}$"
    tree = site(domain=domain)
    assert lab(tree, domain if length == 46 else pattern)
    names = [of(d["block"], "server_name")[0][0] for d in tree if d["directive"] == "server"]
    assert all(len(name) <= 46 or name == pattern for name in names)


@pytest.mark.parametrize("tls, secure", [("off", False), ("self-signed", True)])
def test_the_headers_that_browsers_heed(site, tls, secure):
    server = lab(site(tls=tls, content_from=("https://cdn.example.org",)))
    headers = {name: value for name, value, always in of(server, "add_header")}
    assert ("Strict-Transport-Security" in headers) == secure
    assert headers["X-Content-Type-Options"] == "nosniff"
    sources = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert sources["frame-ancestors"] == "'self'"
    assert {"https://cdn.example.org", "blob:"} <= set(sources["script-src"].split())
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "https://cdn.example.org" not in sources["frame-ancestors"] + sources["base-uri"]
    assert of(server, "proxy_cookie_flags") == [["~", "samesite=lax", *(["secure"] * secure)]]
    assert of(server, "server_tokens") == [["off"]]


# --- systemd -----------------------------------------------------------------------------------


def unit(**options) -> tuple[configparser.ConfigParser, list[str]]:
    """The unit as a tree (of what is said twice, the last), and its lines."""
    text = rendered(systemd, ".service", **options)
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str
    parser.read_string(text)
    return parser, text.splitlines()


def test_the_unit_runs_as_the_user_and_always_again():
    parser, lines = unit()
    assert parser.sections() == ["Unit", "Service", "Install"]
    service = parser["Service"]
    assert (service["User"], service["Group"]) == ("david", "david")
    assert service["WorkingDirectory"] == "/home/david/project"
    assert service["ExecStart"] == (
        '"/home/david/project/venv/bin/jupyter" lab "--ServerApp.root_dir=/home/david/project"'
    )
    assert service["Restart"] == "always"
    assert parser["Install"]["WantedBy"] == "multi-user.target"
    assert 'Environment="JUPYTER_TOKEN_FILE=/home/david/.jupyter/jupyterlab_token"' in lines


def test_a_percent_sign_in_a_path_is_no_specifier():
    parser, lines = unit(host=ODD)
    service = parser["Service"]
    assert (service["User"], service["Group"]) == ("john.doe", "domain users")
    assert service["WorkingDirectory"] == "/home/100%%/john.doe/project"
    paths = [line for line in lines if not line.startswith("MemoryMax=")]
    assert "%" not in "".join(paths).replace("%%", "")


@pytest.mark.parametrize("port, folder_made", [(None, True), (8899, False)])
def test_the_folder_of_the_socket_is_made_when_there_is_one(port, folder_made):
    _, lines = unit(port=port)
    before = [line for line in lines if line.startswith("ExecStartPre=")]
    made = f"ExecStartPre=+/usr/bin/systemd-tmpfiles --create {OURS.tmpfiles}"
    assert before == ([made, f"ExecStartPre=/usr/bin/rm -f {OURS.socket}"] if folder_made else [])


def test_nginx_may_enter_the_folder_of_the_socket_and_others_not():
    rule = rendered(systemd, "tmpfiles.d/jupyterlab.conf")
    (line,) = [row for row in rule.splitlines() if not row.startswith("#")]
    assert line.split() == ["d", "/run/jupyterlab", "2750", "david", "www-data", "-"]


@pytest.mark.parametrize("sandbox", ["standard", "strict"])
def test_a_unit_that_may_sleep_is_started_by_its_socket_and_not_again_when_it_ended_well(sandbox):
    parser, lines = unit(sandbox=sandbox, sleep_after=600)
    assert parser["Service"]["Restart"] == "on-failure"
    assert said(lines, "Requires") == ["jupyterlab.socket"]
    assert f"ExecStartPre=/usr/bin/rm -f {OURS.own_socket}" in lines
    assert OURS.socket not in "\n".join(lines)  # systemd's, and not for this unit to remove
    never = unit(sandbox=sandbox)[1]
    changed = [line for line in never if line not in lines]
    assert changed == [f"ExecStartPre=/usr/bin/rm -f {OURS.socket}", "Restart=always"]


def test_the_socket_that_wakes_it_is_given_to_nobody_by_a_path_in_their_folder():
    text = rendered(systemd, ".socket", host=ODD, sleep_after=600)
    assert said(text.splitlines(), "ListenStream") == [OURS.socket]
    owner = [said(text.splitlines(), f"Socket{what}") for what in ("User", "Group", "Mode")]
    assert owner == [[], [], ["0666"]]


def test_a_socket_of_before_ends_and_goes_where_it_never_sleeps():
    (gone,) = [i for i in systemd.items(Settings(), DAVID) if isinstance(i, Absent)]
    assert compared(gone, ["absent"], set()) is None
    change = compared(gone, ["regular file|root|root|644"], set())
    assert change.shell == f"retire jupyterlab.socket\nput_absent {OURS.socket_file}"
    assert change.touches == ("jupyterlab.service",)  # which is started anew without it


# what makes sudo or apt fail for a unit with User=, as systemd.exec(5) says of each
NO_SUDO = re.compile(
    r"NoNewPrivileges|SystemCall\w+|Restrict\w+|MemoryDeny\w+|LockPersonality|DynamicUser"
    r"|PrivateDevices|PrivateUsers|Protect(Clock|Hostname|Kernel\w+|System)"
)


def said(lines: list[str], name: str) -> list[str]:
    """What the unit says under this name, in order."""
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def test_the_standard_sandbox_says_nothing_that_forbids_sudo():
    _, lines = unit()
    assert [line for line in lines if NO_SUDO.fullmatch(line.partition("=")[0])] == []
    kept = " ".join(said(lines, "CapabilityBoundingSet")).split()
    assert {"CAP_SETUID", "CAP_SETGID", "CAP_AUDIT_WRITE", "CAP_DAC_OVERRIDE"} <= set(kept)
    assert not {"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"} & set(kept)


def test_the_strict_sandbox_forbids_it_and_spares_what_notebooks_need():
    _, lines = unit(sandbox="strict")
    assert said(lines, "NoNewPrivileges") == ["yes"]
    assert said(lines, "CapabilityBoundingSet") == [""]
    assert said(lines, "MemoryDenyWriteExecute") == []  # numba writes code and runs it
    assert "AF_NETLINK" in said(lines, "RestrictAddressFamilies")[0].split()
    assert not [words for words in said(lines, "SystemCallFilter") if "@resources" in words]


@pytest.mark.parametrize(
    "options, writable",
    [
        ({}, ['"/home/david"']),
        ({"project": "/home/david/x"}, ['"/home/david"']),
        ({"project": "/home/davids/x"}, ['"/home/david"', '"/home/davids/x"']),
        ({"project": "/srv/lab"}, ['"/home/david"', '"/srv/lab"']),
        ({"host": ODD}, ['"/home/100%%/john.doe"']),
    ],
)
def test_strict_leaves_home_and_project_writable(options, writable):
    _, lines = unit(sandbox="strict", **options)
    assert said(lines, "BindPaths") == writable
    assert said(unit(**options)[1], "BindPaths") == []


@pytest.mark.parametrize("port, folder", [(None, ["-/run/jupyterlab"]), (8899, [])])
def test_strict_leaves_the_folder_of_the_socket_writable_when_there_is_one(port, folder):
    assert said(unit(sandbox="strict", port=port)[1], "ReadWritePaths") == folder


@pytest.mark.parametrize("sandbox", ["standard", "strict"])
@pytest.mark.parametrize(
    "options, limits",
    [
        ({}, (["80%"], [], ["8192"])),
        (
            {"memory_limit": "4G", "cpu_limit": "200%", "tasks_limit": 512},
            (["4G"], ["200%"], ["512"]),
        ),
    ],
)
def test_the_limits_are_the_chosen_ones(sandbox, options, limits):
    _, lines = unit(sandbox=sandbox, **options)
    assert tuple(said(lines, n) for n in ("MemoryMax", "CPUQuota", "TasksMax")) == limits
    assert said(lines, "OOMPolicy") == ["continue"]  # a killed kernel takes nothing with it


# --- Jupyter -----------------------------------------------------------------------------------


class Section(SimpleNamespace):
    """A section of a configuration, with what Jupyter's own has: `in`, [], and get."""

    def __contains__(self, name):
        return name in vars(self)

    def __getitem__(self, name):
        return vars(self)[name]

    def get(self, name):
        return vars(self).get(name)


class Usual:
    """The usual manager of kernels: each is what its name says."""

    def pre_start_kernel(self, kernel_name, kwargs):
        spec = SimpleNamespace(argv=kernel_name.split())
        return SimpleNamespace(kernel_spec=spec, transport="ipc"), kernel_name, kwargs["kernel_id"]


def configured(server=None, **options) -> Section:
    """What the configuration sets, by running it as Jupyter does.

    :param server: the running server that reads it.
    """
    text = rendered(jupyter, "jupyter_lab_config.py", **options)
    config = Section(**{name: Section() for name in SECTIONS})
    config.ContentsManager = Section(hide_globs=["*~"])
    app = SimpleNamespace(initialized=lambda: server is not None, instance=lambda: server)
    modules = {
        "jupyter_server.serverapp": SimpleNamespace(ServerApp=app),
        "jupyter_server.services.kernels.kernelmanager": SimpleNamespace(
            AsyncMappingKernelManager=Usual
        ),
    }
    known = {"get_config": lambda: config, "__file__": "jupyter_lab_config.py"}
    with mock.patch.dict(sys.modules, modules):
        exec(compile(text, "config", "exec"), known)
    return config


def executed(**options) -> SimpleNamespace:
    """What it sets of the server, and of kernels."""
    config = configured(**options)
    assert vars(config.KernelManager) == {"transport": "ipc"}
    app = config.ServerApp
    logged = vars(app).pop("logging_config")
    assert vars(config.LabApp) == vars(config.JupyterNotebookApp) == {"logging_config": logged}
    assert list(logged["formatters"]["console"]) == ["()"]
    app.kernels = config.MappingKernelManager
    app.managers = vars(app).pop("kernel_manager_class")
    app.hook = vars(app).pop("tornado_settings")["page_config_hook"]
    assert config.ContentsManager.hide_globs == ["*~", "venv"]
    return app


SECTIONS = (
    "ServerApp", "LabApp", "JupyterNotebookApp", "KernelManager", "MappingKernelManager",
    "PasswordIdentityProvider",
)  # fmt: skip
COMMON = {
    "ip": "127.0.0.1",
    "certfile": "",
    "keyfile": "",
    "client_ca": "",
    "ssl_options": {},
    "base_url": "/",
    "file_to_run": "",
    "open_browser": False,
    "allow_remote_access": True,
    "trust_xheaders": True,
    "extra_log_scrub_param_keys": [""],
}


@pytest.mark.parametrize(
    "port, where",
    [
        (None, {"sock": OURS.socket, "sock_mode": "0660", "port": 8888}),
        (8899, {"sock": "", "port": 8899, "port_retries": 0}),
    ],
)
def test_jupyter_listens_only_where_nginx_asks(port, where):
    set_there = vars(executed(port=port))
    assert vars(set_there.pop("kernels")) == {}
    assert issubclass(set_there.pop("managers"), Usual)
    assert set_there.pop("extra_template_paths") == ["/home/david/.jupyter/pages"]
    assert set_there.pop("hook")(None, {}) == {
        "disabledExtensions": ["@jupyterlab/apputils-extension:announcements"]
    }
    set_there.pop("terminado_settings", None)  # by the shell of who runs this
    assert set_there == {**COMMON, **where, "root_dir": "/home/david/project"}


def test_what_other_configuration_files_say_against_it_is_overruled(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("ours")
    monkeypatch.setenv("JUPYTER_TOKEN_FILE", str(tmp_path / "token"))
    theirs = Section(
        ServerApp=Section(port=9999, certfile="/mine.pem", base_url="/", terminado_settings={}),
        PasswordIdentityProvider=Section(token="", hashed_password="of the .py"),
        IdentityProvider=Section(hashed_password="of the .json"),
    )
    typed = Section(ServerApp=Section(root_dir="/typed"))
    updated, warned = [], []

    def collisions(c):
        return {
            section: {name: "" for name in vars(theirs[section])
                      if name in vars(c)[section] and theirs[section][name] != c[section][name]}
            for section in ("ServerApp", "PasswordIdentityProvider")
        }  # fmt: skip

    theirs.collisions = collisions
    server = SimpleNamespace(
        config=theirs,
        cli_config=typed,
        log=SimpleNamespace(warning=lambda text, *more: warned.append(text % more)),
        update_config=lambda config: updated.append(copy.deepcopy(config)),
    )
    configured(server)
    first, last = updated
    assert last == typed
    assert (first.ServerApp.sock, first.ServerApp.port) == (OURS.socket, 8888)
    assert (first.ServerApp.certfile, first.ServerApp.ssl_options) == ("", {})
    assert first.KernelManager.transport == "ipc"
    assert vars(first.PasswordIdentityProvider) == {
        "token": "ours",
        "hashed_password": "of the .json",
    }
    assert not hasattr(first.ServerApp, "terminado_settings")  # anybody may choose another shell
    assert warned == [
        "overruled by jupyter_lab_config.py: ServerApp.port, ServerApp.certfile, "
        "PasswordIdentityProvider.token, PasswordIdentityProvider.hashed_password"
    ]


@pytest.mark.parametrize(
    "command, transport",
    [
        ("/venv/bin/python -m ipykernel_launcher -f {connection_file}", "ipc"),
        ("python -m bash_kernel -f {connection_file}", "ipc"),
        ("python3.11 -m xpython_launcher -f {connection_file}", "tcp"),
        ("deno jupyter --kernel --conn {connection_file}", "tcp"),
        ("R --slave -e IRkernel::main() --args {connection_file}", "tcp"),
    ],
)
def test_a_kernel_uses_tcp_unless_it_works_over_unix_sockets(command, transport):
    manager, name, number = executed().managers().pre_start_kernel(command, {"kernel_id": "7"})
    assert (manager.transport, name, number) == (transport, command, "7")


def test_a_gateway_keeps_its_own_manager_of_kernels():
    server = SimpleNamespace(
        config=Section(GatewayClient=Section(), IdentityProvider=Section()),
        cli_config=None,
        update_config=lambda config: None,
    )
    server.config.collisions = lambda c: {}
    assert not hasattr(configured(server).ServerApp, "kernel_manager_class")


def test_jupyter_that_may_sleep_has_a_socket_of_its_own_and_ends_when_idle():
    asleep = executed(sleep_after=600)
    assert (asleep.sock, asleep.sock_mode) == (OURS.own_socket, "0600")
    assert asleep.shutdown_no_activity_timeout == 600


@pytest.mark.parametrize(
    "chosen, interval, busy, connected",
    [
        ({"cull_after": 60}, 6, False, False),
        ({"cull_after": 86400, "cull_busy": True}, 300, True, False),
        ({"cull_after": 600, "cull_connected": True}, 60, False, True),
    ],
)
def test_idle_kernels_end_as_chosen(chosen, interval, busy, connected):
    assert vars(executed(**chosen).kernels) == {
        "cull_idle_timeout": chosen["cull_after"],
        "cull_interval": interval,
        "cull_busy": busy,
        "cull_connected": connected,
    }


@pytest.mark.parametrize("home, short", [("/home/david", False), ("/home/" + "x" * 40, True)])
def test_where_the_sockets_of_kernels_would_be_too_long_they_are_elsewhere(home, short):
    host = Host(user="david", group="david", home=home)
    _, lines = unit(host=host)
    assert (f"Environment=JUPYTER_RUNTIME_DIR={OURS.runtime}" in lines) == short
    assert hasattr(executed(host=host), "cookie_secret_file") == short


@pytest.mark.parametrize(
    "home", ["/home/o'neill", '/home/"x"', "/home/back\\slash", "/home/jürgen"]
)
def test_an_odd_home_is_the_same_text_in_python(home):
    assert executed(host=Host(home=home)).root_dir == f"{home}/project"


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("home", ["/home/david", "/home/o'neill", '/home/"x" y'])
def test_a_terminal_finds_the_venv_first_whatever_the_profile_says(
    monkeypatch, tmp_path, shell, home
):
    monkeypatch.setenv("SHELL", shell)
    (tmp_path / ".profile").write_text("PATH=/mine:/bin; export KEPT=yes\n")
    command = executed(host=Host(home=home)).terminado_settings["shell_command"]
    venv = f"{home}/project/venv"
    told = subprocess.run(
        command,
        input='echo "$VIRTUAL_ENV:$PATH:$KEPT"',
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert told.stdout == f"{venv}:{venv}/bin:/mine:/bin:yes\n"


def test_a_shell_that_cannot_do_so_is_left_as_it_is(monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert not hasattr(executed(), "terminado_settings")


# --- all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template, values",
    [
        ("nginx/site.conf.j2", {"settings": Settings()}),
        ("jupyter/jupyter_lab_config.py.j2", {"settings": Settings(), "socket": "/s"}),
        ("systemd/jupyterlab.service.j2", {"settings": Settings()}),
        ("systemd/tmpfiles.conf.j2", {}),
    ],
)
def test_a_missing_value_is_an_error_and_not_an_empty_text(template, values):
    with pytest.raises(UndefinedError):
        render(template, **values)


@pytest.mark.parametrize("port", [None, 8899])
def test_every_file_ends_its_last_line(port):
    found = [i for s in (jupyter, systemd, nginx) for i in s.items(Settings(port=port), ODD)]
    texts = [item.content for item in found if isinstance(item, File)]
    assert len(texts) == 6
    texts.remove(file("jupyter/login.html"))  # Jupyter renders it
    for text in texts:
        assert text.endswith("\n")
        assert "{{" not in text
        assert "{%" not in text


def test_the_units_of_the_backup_are_rendered():
    found = schedule.items(Settings(name="anna", backup_schedule="daily"), Host())
    texts = {item.path: item.content for item in found if isinstance(item, File)}
    timer = texts["/etc/systemd/system/jupyterlab-anna-backup.timer"]
    assert "Description=Scheduled backups of jupyterlab-anna" in timer
    assert "OnCalendar=daily" in timer
