"""Where our site listens beside the sites of others, from their `listen` lines."""

from pathlib import PurePath

import pytest
from dash import reading, said
from invoke import Exit

from fabfile import nginx
from fabfile.certs import selection
from fabfile.engine.host import Host
from fabfile.engine.listening import addresses, listens, unfit
from fabfile.items import File, Obstacle
from fabfile.settings import Settings
from testbed.machine import ROOT

FILES_OF = ROOT / "templates/files"
OURS = ["80", "[::]:80"]
BOTH = ["[::]:80"]


def beside(*words: str) -> tuple:
    return listens([f"/etc/nginx/conf.d/shop.conf:{one}" for one in words])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        # the same addresses, another port, and what is no TCP
        ("80", OURS),
        ("*:80 default_server", OURS),
        ("0.0.0.0:80", OURS),
        ("80 reuseport", OURS),
        ("80 backlog=1024 so_keepalive=on", OURS),
        ("[::]:80 ipv6only=on", OURS),
        ("[::0]:80", OURS),
        ("192.0.2.1:8080", OURS),
        ("8000-8080", OURS),
        ("unix:/run/nginx.sock", OURS),
        ("unix:/run/80", OURS),
        ("192.0.2.1:80 quic reuseport", OURS),
        # IPv4 as well at the socket of IPv6
        ("[::]:80 default_server ipv6only=off", BOTH),
        ("[::]:80 ipv6only=off", BOTH),
        ("[::] ipv6only=off", BOTH),
        ("[::]:443 ssl ipv6only=off", OURS),
        # one address: Nginx considers only the sites that name it
        ("192.0.2.1:80", [*OURS, "192.0.2.1:80"]),
        ("192.0.2.1", [*OURS, "192.0.2.1:80"]),
        ("192.0.2.1:80 default_server", [*OURS, "192.0.2.1:80"]),
        ("192.0.2.1:79-81", [*OURS, "192.0.2.1:80"]),
        ("[2001:db8::1]:80", [*OURS, "[2001:db8::1]:80"]),
        ("localhost:80", [*OURS, "localhost:80"]),
        ("localhost", [*OURS, "localhost:80"]),
        ("my-host-1:80", [*OURS, "my-host-1:80"]),
        # one address that Nginx binds by itself: then it cannot bind all of them
        ("192.0.2.1:80 reuseport", ["127.0.0.1:80", "[::]:80", "192.0.2.1:80"]),
        ("192.0.2.1:80 backlog=512", ["127.0.0.1:80", "[::]:80", "192.0.2.1:80"]),
        ("127.0.0.1:80 bind", ["127.0.0.1:80", "[::]:80"]),
        ("[2001:db8::1]:80 so_keepalive=on", ["80", "[2001:db8::1]:80"]),
    ],
)
def test_our_site_listens_where_others_leave_room(theirs, ours):
    assert addresses(beside(theirs), 80) == ours


def test_several_sites_count_once():
    sites = beside("80 reuseport", "192.0.2.2:80 bind", "192.0.2.1:80", "192.0.2.1:80 ssl", "81")
    assert addresses(sites, 80) == [*OURS, "192.0.2.1:80", "192.0.2.2:80"]
    assert addresses((), 8080) == ["8080", "[::]:8080"]


def test_without_ipv6_there_is_no_such_line():
    assert addresses(beside("192.0.2.1:80"), 80, ipv6=False) == ["80", "192.0.2.1:80"]
    text = site(Host(ipv6=False))
    assert "listen 80;" in text and "listen [" not in text


def site(host: Host, **chosen) -> str:
    """Our site on a host."""
    found = nginx.items(Settings(**chosen), host)
    return next(one.content for one in found if isinstance(one, File))


def test_each_server_block_of_our_site_listens_there():
    host = Host(listens=beside("192.0.2.1:80", "[::]:443 ssl ipv6only=off"))
    text = site(host, tls="self-signed")
    assert text.count("    listen 192.0.2.1:80;\n") == text.count("    listen 80;\n") == 2
    assert text.count("    listen [::]:443 ssl;\n") == 2 and "listen 443 ssl;" not in text


@pytest.mark.parametrize(
    ("theirs", "secure", "why"),
    [
        ("80 proxy_protocol", False, "proxy_protocol"),
        ("192.0.2.1:80 ssl", False, "ssl"),
        ("80 proxy_protocol", True, ""),
        ("443 ssl http2", True, ""),
        ("443 ssl proxy_protocol", True, "proxy_protocol"),
        ("80 default_server", False, ""),
    ],
)
def test_an_option_that_would_apply_to_our_site_is_refused(theirs, secure, why):
    found = unfit(beside(theirs), 443 if secure else 80, secure)
    assert found == (why and f"/etc/nginx/conf.d/shop.conf has `listen {theirs}`, and {why} "
                     "would apply to our site there, too: change that line, or choose another "
                     "lab.http_port or lab.https_port")  # fmt: skip


@pytest.mark.parametrize("tls", ["off", "self-signed"])
def test_such_a_port_is_refused_before_anything_is_changed(tls):
    port = "80" if tls == "off" else "443 ssl"
    host = Host(listens=beside(f"{port} proxy_protocol"))
    item = next(i for i in nginx.items(Settings(tls=tls), host) if isinstance(i, Obstacle))
    with pytest.raises(
        Exit, match=f"nothing was changed: .*`listen {port} proxy_protocol`.*lab.http"
    ):
        item.compare(item.parse([]), set())


def test_an_nginx_that_would_not_read_or_reach_ours_is_refused_with_the_commands():
    strange = Host(reads_sites=False, nginx_user="nginx")
    for host, chosen, word in (
        (strange, {}, "sudo mkdir -p /etc/nginx/sites-available"),
        (strange, {"site": "include", "base_path": "/lab"}, "sudo usermod -aG www-data nginx"),
        (Host(nginx_user="nginx"), {}, "Nginx runs as nginx, who is not in the group www-data"),
        (Host(nginx_user="nginx"), {"port": 8888}, ""),
        (Host(), {}, ""),
    ):
        found = nginx.items(Settings(**chosen), host)
        why = next(one.why for one in found if isinstance(one, Obstacle))
        assert word in why and bool(word) == bool(why)


def test_files_that_are_named_after_a_long_domain_fit_on_a_disk():
    """A name has 255 characters, and an ending is added where a file is kept or exchanged."""
    chosen = Settings(domain=".".join(["a" * 62] * 3 + ["b" * 60, "c"]), tls="letsencrypt")
    named = [*selection.files(chosen), nginx.beside(chosen)]
    assert max(len(PurePath(path).name) for path in named) < 240
    hook = (FILES_OF / "certs/renewal-hook.sh").read_text()
    place = next(line for line in hook.splitlines() if line.startswith("place="))
    script = f"instance=jupyterlab domain={chosen.domain}\n{place}\necho $place.pem"
    assert said(script) == [selection.issued(chosen)]


# --- what the shell reads ----------------------------------------------------------------------

FILES = {
    "nginx.conf": "user www-data;\nhttp {\n  include mime.types;\n"
    "  include ETC/conf.d/*.conf; # include ETC/never/*;\n  include 'sites-enabled/*';\n"
    "  # server { listen 1; }\n}\n",
    "mime.types": "types { text/html html; }\n",
    "conf.d/shop.conf": "server { listen 80 default_server; listen [::]:80 ipv6only=off; }\n"
    "server {\n\tlisten\t192.0.2.1:443  ssl\n\t\thttp2; # listen 2;\n"
    "  return 200 'a#b';include snippets/more.conf;\n}\n",
    "conf.d/old.conf.bak": "server { listen 3; }\n",
    "snippets/more.conf": "listen 81;#listen 4;\n#listen 5;\nlisten 82;\n",
    "sites-available/off": "server { listen 6; }\n",
    "sites-enabled/zz-jupyterlab-anna": "server { listen 7; }\n",
    "sites-enabled/jupyterlab": "server { listen 8; }\n",
    "sites-enabled/listener": "server { server_name listen.example.org; }\n",
    "never/x": "server { listen 9; }\n",
}


def shown(etc) -> list[str]:
    script = reading().replace("/etc/nginx", str(etc))
    return said(f"instance=jupyterlab\n{script}show_listens\n")


def test_the_lines_of_all_files_that_nginx_reads_are_shown(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("ETC", str(tmp_path)))
    shop, more = tmp_path / "conf.d/shop.conf", tmp_path / "snippets/more.conf"
    assert shown(tmp_path) == [
        f"{shop}:80 default_server",
        f"{shop}:[::]:80 ipv6only=off",
        f"{shop}:192.0.2.1:443 ssl http2",
        f"{more}:81",
        f"{more}:82",
    ]
    found = listens(shown(tmp_path))
    assert [one.written for one in found] == ["80", "[::]:80", "192.0.2.1:443", "81", "82"]


def test_no_nginx_and_files_that_include_each_other_end(tmp_path):
    assert shown(tmp_path) == []
    (tmp_path / "nginx.conf").write_text("include nginx.conf;")
    assert shown(tmp_path) == []


@pytest.mark.parametrize(
    ("conf", "folders", "shown"),
    [
        ("user www-data;\nhttp { include ETC/sites-enabled/*; }\n", True, []),
        ("user www-data;\nhttp { include ETC/sites-enabled/*; }\n", False, ["reads_sites=no"]),
        ("# include ETC/sites-enabled/*;\nuser root;\n", True, ["reads_sites=no"]),
        ("include ETC/sites-enabled/*;\n", True, []),
        ("include ETC/sites-enabled/*;\nuser  nobody;\n", True, ["nginx_user=nobody"]),
        ("include ETC/sites-enabled/*;\nuser nobody  www-data;\n", True, []),
        (None, False, []),
    ],
)
def test_the_nginx_of_another_packager_is_seen(tmp_path, conf, folders, shown):
    for name in ("sites-available", "sites-enabled") if folders else ():
        (tmp_path / name).mkdir()
    if conf is not None:
        (tmp_path / "nginx.conf").write_text(conf.replace("ETC", str(tmp_path)))
    script = reading().replace("/etc/nginx", str(tmp_path))
    assert said(f"{script}foreign_nginx\n") == shown
