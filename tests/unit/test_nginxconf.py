"""Nginx's configuration, read as Nginx reads it."""

import pytest

from fabfile.doctor import nginx_config
from fabfile.doctor.nginx_config import Site, site

NAME = "lab.example.org"


def dump(http: str, **files: str) -> str:
    """What `nginx -T` prints: the main file, then those that it includes."""
    told = f"# configuration file /etc/nginx/nginx.conf:\nevents {{}}\nhttp {{ {http} }}\n"
    return told + "".join(
        f"# configuration file /etc/nginx/{name}.conf:\n{text}\n" for name, text in files.items()
    )


def served(body: str, http: str = "") -> Site:
    return site(dump(f"{http} server {{ server_name {NAME}; {body} }}"), NAME, 80, "/api/x")


def test_a_name_that_nobody_has_is_nowhere():
    assert site(dump("server { server_name other.example.org; }"), NAME, 80, "/") == Site()
    assert site("", NAME, 80, "/") == Site()
    assert site("bogus } ; {", NAME, 80, "/") == Site()


@pytest.mark.parametrize(
    "listen, port, there",
    [("", 80, True), ("listen 8080;", 8080, True), ("listen 8080;", 80, False),
     ("listen [::]:443 ssl;", 443, True), ("listen 127.0.0.1;", 80, True),
     ("listen unix:/run/x;", 80, False), ("listen 18080;", 8080, False)],
)  # fmt: skip
def test_a_server_is_one_of_its_ports(listen, port, there):
    text = dump(f"server {{ {listen} server_name {NAME}; }}")
    assert bool(site(text, NAME, port, "/").files) == there


def test_includes_are_read_in_their_places_and_the_first_server_wins():
    text = dump(
        "include /etc/nginx/conf.d/*.conf; include sites/*.conf;",
        **{"sites/b": f"server {{ server_name {NAME}; include /etc/nginx/snippets/s.conf; }}",
           "conf.d/a": "server { server_name .example.org; client_max_body_size 2m; }",
           "snippets/s": "location / { proxy_pass http://x; }"},
    )  # fmt: skip
    found = site(text, NAME, 80, "/")
    assert found.files == ("/etc/nginx/conf.d/a.conf", "/etc/nginx/sites/b.conf")
    assert (found.body, found.proxied) == (2 * 2**20, False)


@pytest.mark.parametrize(
    "locations, timeout",
    [
        ("location / { proxy_read_timeout 1; } location /api/ { proxy_read_timeout 2; }", 2),
        ("location /api/ { proxy_read_timeout 2; } location ~ /x$ { proxy_read_timeout 3; }", 3),
        ("location ^~ /api/ { proxy_read_timeout 2; } location ~ /x$ { proxy_read_timeout 3; }", 2),
        ("location = /api/x { proxy_read_timeout 4; } location ~ x { proxy_read_timeout 3; }", 4),
        ("location ~* ^/API { proxy_read_timeout 5m; }", 300),
        ("location ~ (?<a { deny all; } location / { proxy_read_timeout 1h1s; }", 3601),
        ("proxy_read_timeout 7; location / { proxy_pass http://x; }", 7),
        ("", 60),
    ],
)  # fmt: skip
def test_the_location_is_the_one_that_nginx_takes(locations, timeout):
    assert served(locations).timeout == timeout


def test_headers_are_inherited_as_a_whole_or_not_at_all():
    http = "proxy_set_header Upgrade $http_upgrade; proxy_http_version 1.1;"
    assert served("location / { proxy_pass http://x; }", http).headers["upgrade"] == "$http_upgrade"
    own = served('location / { proxy_set_header Host "$host:80"; proxy_pass http://x; }', http)
    assert (own.headers, own.version) == ({"host": "$host:80"}, "1.1")


def test_comments_quotes_and_variables_are_no_structure():
    text = "set $a \"}{;\"; # } ;\n log_format x '${b}c'; location / { return 200 ${a}x; }"
    assert served(f"{text} client_max_body_size 0;").body == 2**63


@pytest.mark.parametrize("text, bytes_", [("1m", 2**20), ("64M", 2**26), ("10", 10), ("2g", 2**31)])
def test_sizes(text, bytes_):
    assert nginx_config.bytes_of(text) == bytes_
