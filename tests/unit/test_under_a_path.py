"""JupyterLab under a folder of the URL: in a server block of our own, and in somebody else's."""

import re

import crossplane
import pytest
from invoke import Exit
from states import compared
from test_render import block, executed, lab, of, rendered, servers, site  # noqa: F401

from fabfile import nginx
from fabfile.engine.host import Host
from fabfile.items import Absent, File, Included, Port, Service
from fabfile.settings import Settings
from fabfile.settings.names import Instance

OURS = Instance()
SHOP = {"site": "include", "base_path": "/jupyter", "domain": "shop.example.org"}
SERVER = "server {{ server_name shop.example.org; {}\n}}\n"


def locations(tree: list[dict]) -> list[str]:
    """Where the locations of a server are, in order."""
    return [args[-1] for args in of(tree, "location")]


@pytest.fixture
def shop(tmp_path):
    """Give a function that has crossplane parse what is ours inside of another site."""

    def parse(**chosen) -> tuple[list[dict], list[dict]]:
        (tmp_path / "ours.conf").write_text(rendered(nginx, "locations.conf", **SHOP | chosen))
        whole = tmp_path / "nginx.conf"
        http = rendered(nginx, "00-jupyterlab.conf", **SHOP | chosen)
        theirs = SERVER.format("include ours.conf;")
        whole.write_text(f"events {{}}\nhttp {{\n{http}\n{theirs}}}\n")
        parsed = crossplane.parse(str(whole), combine=True)
        assert parsed["status"] == "ok", parsed["errors"]
        tree = block(parsed["config"][0]["parsed"], "http")
        return tree, block(tree, "server")

    return parse


@pytest.mark.parametrize("base", ["", "/jupyter", "/a/b.c"])
def test_jupyter_is_told_its_path(base):
    told = vars(executed(base_path=base)).get("base_url")
    assert told == f"{base}/"


def test_a_site_of_our_own_has_all_under_the_path(site):  # noqa: F811
    tree = site(base_path="/jupyter")
    server = lab(tree)
    under = [place for place in locations(server) if place.startswith(("/jupyter", "^/jupyter"))]
    others = [place for place in locations(server) if place not in under]
    assert len(under) == 11 and others == ["/.well-known/acme-challenge/", "/", "/"]
    ((code, where),) = of(block(server, "location", "=", "/"), "return")
    assert (code, where) == ("302", "$scheme://$jupyterlab_host/jupyter/")
    assert of(block(server, "location", "/"), "return") == [["404"]]
    asked = block(server, "location", "=", "/jupyter/.jupyterlab-me")
    assert of(asked, "proxy_pass") == [["http://jupyterlab/jupyter/api/me?$jupyterlab_query"]]
    counted = block(tree, "map", "$request_method $uri", "$jupyterlab_guess")
    assert of(counted, "~^POST /jupyter/+login/*$") == [["$jupyterlab_client"]]


def test_a_dot_in_the_path_is_only_a_dot(site):  # noqa: F811
    tree = site(base_path="/a.b")
    assert r"^/a\.b/(static|lab/extensions)/" in " ".join(locations(lab(tree)))
    counted = block(tree, "map", "$request_method $uri", "$jupyterlab_guess")
    assert of(counted, r"~^POST /a\.b/+login/*$") == [["$jupyterlab_client"]]


def test_plain_http_is_led_to_the_same_place_by_https(site):  # noqa: F811
    plain = block(servers(site(base_path="/jupyter", tls="self-signed"))[1], "location", "/")
    assert of(plain, "return") == [["301", "https://jupyterlab.vmdomain.io$request_uri"]]


def test_another_site_gets_two_locations_and_nothing_beside_them(shop):
    tree, server = shop()
    assert [(d["directive"], *d["args"]) for d in server] == [
        ("server_name", "shop.example.org"),
        ("location", "=", "/jupyter"),
        ("location", "^~", "/jupyter/"),  # before their regular expressions
    ]
    kinds = {directive["directive"] for directive in tree}
    assert kinds == {"server", "upstream", "map", "limit_req_zone", "limit_conn_zone", "log_format"}


def test_in_another_site_each_limit_and_header_is_in_our_location(shop):
    _, server = shop(upload_limit="2g", read_timeout=600)
    ours = block(server, "location", "^~", "/jupyter/")
    assert of(ours, "client_max_body_size") == [["2g"]]
    assert of(ours, "proxy_read_timeout") == of(ours, "proxy_send_timeout") == [["600s"]]
    assert of(ours, "proxy_buffering") == of(ours, "proxy_request_buffering") == [["off"]]
    assert of(ours, "limit_req") == [["zone=jupyterlab_login", "burst=5", "nodelay"]]
    assert of(ours, "limit_conn") == [["jupyterlab_clients", "256"]]
    assert len(of(ours, "proxy_ignore_headers")[0]) == 5
    hidden = {name for (name,) in of(ours, "proxy_hide_header")}
    assert {"Strict-Transport-Security", "Service-Worker-Allowed", "Alt-Svc"} <= hidden
    assert len(of(ours, "add_header")) == 4 and of(ours, "error_log") == [["/dev/null", "emerg"]]
    inner = [d["block"] for d in ours if d["directive"] == "location"]
    passing = [location for location in inner if of(location, "proxy_pass")]
    assert len(passing) == 6
    everywhere = {name for name, _ in of(ours, "proxy_set_header")} - {"Upgrade"}
    for location in inner:
        here = {name for name, _ in of(location, "proxy_set_header")}
        assert not here or here >= everywhere, "one header here would drop all the others"


@pytest.mark.parametrize("tls, wire, flags", [("off", "ws", []), ("theirs", "wss", ["secure"])])
def test_how_the_other_site_is_asked_decides_on_cookies_and_its_policy_on_hsts(
    shop, tls, wire, flags
):
    _, server = shop(tls=tls)
    ours = block(server, "location", "^~", "/jupyter/")
    headers = {name: value for name, value, always in of(ours, "add_header")}
    assert f"connect-src 'self' {wire}://shop.example.org;" in headers["Content-Security-Policy"]
    assert of(ours, "proxy_cookie_flags") == [["~", "samesite=lax", *flags]]
    assert "Strict-Transport-Security" not in headers  # it would change that of the whole host


def test_further_names_of_the_other_site_are_led_to_the_one(shop):
    tree, server = shop()
    known = block(tree, "map", "$http_host", "$jupyterlab_elsewhere")
    assert of(known, "default") == [["1"]]
    assert of(known, r"~*^shop\.example\.org(:[0-9]+)?$") == [[""]]
    everything = block(block(server, "location", "^~", "/jupyter/"), "location", "/jupyter/")
    led = block(everything, "if", "$jupyterlab_elsewhere")
    assert of(led, "return") == [["302", "http://shop.example.org$request_uri"]]


# --- the items ---------------------------------------------------------------------------------


def items(**chosen) -> list:
    return nginx.items(Settings(**chosen), Host())


@pytest.mark.parametrize("one, other", [({}, SHOP), (SHOP, {})])
def test_the_files_of_one_way_are_gone_in_the_other(one, other):
    written = {i.path for i in items(**one) if isinstance(i, File)}
    gone = {i.path for i in items(**other) if isinstance(i, Absent)}
    assert written and written <= gone


@pytest.mark.parametrize("chosen", [{}, SHOP])
def test_what_nginx_rejects_is_put_back_whole(chosen):
    (service,) = [i for i in items(**chosen) if isinstance(i, Service)]
    for item in items(**chosen):
        assert not isinstance(item, File | Absent) or item.path in service.fix.split()


def test_what_nginx_names_for_all_is_each_ones_own():
    def named(**chosen):
        text = rendered(nginx, chosen.pop("file", "jupyterlab"), **chosen)
        told = re.findall(r"^(?:upstream|log_format) (\S+)|^map .* (\$\S+) \{|zone=(\w+):|"
                          r"shared:(\w+)|server_name (\S+);", text, re.MULTILINE)  # fmt: skip
        return {word for row in told for word in row if word}

    his = named(tls="self-signed")
    hers = named(tls="self-signed", name="anna", domain="anna.example.org", file="jupyterlab-anna")
    assert len(his) == len(hers) == 14 and not his & hers


def test_in_another_site_the_ports_are_theirs():
    assert [i for i in items(**SHOP) if isinstance(i, Port)] == []


BESIDE = "/etc/nginx/jupyterlab*/at/shop.example.org.conf"
ASKED = Included(domain="shop.example.org", line=OURS.line, beside=BESIDE)


@pytest.mark.parametrize(
    "lines", [["includes", "names /etc/nginx/sites-available/shop"], ["unreadable"]]
)
def test_a_site_that_has_the_line_or_may_have_it_is_taken(lines):
    assert compared(ASKED, lines, set()) is None


@pytest.mark.parametrize(
    "lines, where",
    [
        (["names /etc/nginx/sites-available/shop"], ", in /etc/nginx/sites-available/shop;"),
        (["names /a", "names /b"], ", in /a or /b;"),
        ([], ";"),
    ],
)
def test_a_site_without_the_line_is_refused_with_the_line_and_the_file(lines, where):
    with pytest.raises(Exit) as refusal:
        compared(ASKED, lines, set())
    told = refusal.value.message
    assert (
        f"`include /etc/nginx/jupyterlab/*.conf;` to the server block of {SHOP['domain']}" in told
    )
    assert f"{SHOP['domain']}{where} then run again" in told


def test_the_line_is_looked_for_as_it_stands():
    asked = ASKED.read()
    ways = r"/etc/nginx/jupyterlab/\*\.conf|/etc/nginx/jupyterlab\*/at/shop\.example\.org\.conf"
    assert asked == rf"show_including '({ways})' 'shop\.example\.org'"
