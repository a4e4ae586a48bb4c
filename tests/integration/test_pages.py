"""Pages that load fast: what the browser gets is compressed, from disk, and never stale."""

import gzip
import hashlib
import re

import httpx
import pytest
from laboratory import client, owner, request, send, status, wait_up
from notebook import Notebook
from outcomes import nothing_to_change, well
from visitor import DOMAIN

pytestmark = pytest.mark.sites

VENV = "/home/david/project/venv"
STATIC = f"{VENV}/share/jupyter/lab/static"
CACHE = "/var/cache/jupyterlab/assets"
HASHED = r"/([^/]+\.)?[0-9a-f]{16,64}\.(js|css|svg|woff2?)"
ZIPPED = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}
DID = "compress JupyterLab's pages for Nginx"


@pytest.fixture(scope="module")
def site(servers):
    (made,) = servers("paged", settled=True)
    made.own_venv()
    made.host.exec(f"rm -r {CACHE}")
    assert DID in well(made.fab("full", "--no-verify"))
    return made


def files(site) -> dict[str, str]:
    """Address -> sha256 of everything with a hash in its name that pages may load."""
    listed = site.host.exec(
        f"cd {VENV}/share/jupyter && find -L lab/static labextensions -path '*/static/*' -type f "
        "-exec sha256sum -- {} +"
    )
    rows = (line.split("  ", 1) for line in listed.splitlines())
    found = {path: digest for digest, path in rows if re.search(HASHED + "$", path)}
    assert len(found) > 200
    return {f"/{addressed(path)}": digest for path, digest in found.items()}


def addressed(path: str) -> str:
    """The address of a file in share/jupyter."""
    return re.sub("^lab/static", "static/lab", re.sub("^labextensions", "lab/extensions", path))


def one(site) -> str:
    """The address of JupyterLab's main program."""
    return next(address for address in files(site) if "/static/lab/main." in address)


def raw(answer) -> bytes:
    """The body as it came, nothing unpacked."""
    return b"".join(answer.iter_raw())


def fetch(site, address: str, how: dict[str, str]):
    """Ask as a stranger: the answer, and the bytes as they came."""
    with client(site, **how).stream("GET", address) as answer:
        return answer, raw(answer)


def assert_true(site) -> set[str]:
    """Everything comes as the venv has it; gives what came from the disk."""
    served = set()
    url = f"http://{site.host.address}"
    asked = httpx.Client(base_url=url, headers={"Host": DOMAIN, **ZIPPED}, timeout=60)
    with asked:
        for address, digest in files(site).items():
            answer = asked.get(address)
            assert answer.status_code == 200, address
            assert hashlib.sha256(answer.content).hexdigest() == digest, address
            packed = "Content-Encoding" in answer.headers
            if packed and "Content-Length" in answer.headers:  # what is packed on the way has none
                served.add(address)
    return served


def test_a_file_comes_compressed_for_good_and_guarded(site):
    answer, body = fetch(site, one(site), ZIPPED)
    headers = answer.headers
    assert headers["Content-Encoding"] == "gzip" and headers["Vary"] == "Accept-Encoding"
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Content-Type"] == "application/javascript"
    page = client(site).get("/login").headers
    for guard in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
        assert headers[guard] and headers[guard] in page[guard]
    assert len(body) == int(headers["Content-Length"]) < len(gzip.decompress(body)) / 2
    again, nothing = fetch(site, one(site), {**ZIPPED, "If-None-Match": headers["ETag"]})
    assert (again.status_code, nothing) == (304, b"")
    assert again.headers["Vary"] == "Accept-Encoding"


def test_who_takes_no_gzip_gets_the_file_as_it_is(site):
    answer, body = fetch(site, one(site), PLAIN)
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert hashlib.sha256(body).hexdigest() == files(site)[one(site)]
    again, _ = fetch(site, one(site), {**PLAIN, "If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_everything_with_a_hash_comes_from_the_disk(site):
    assert assert_true(site) == set(files(site))


def test_texts_are_compressed_on_the_way_but_no_page(site):
    asked = owner(site)
    for address in ("/lab/api/settings", "/static/style/bootstrap.min.css"):
        answer = asked.get(address, headers=ZIPPED)
        assert answer.headers["Content-Encoding"] == "gzip", address
        assert answer.headers["Vary"] == "Accept-Encoding"
    for address in ("/lab", "/login", "/api/contents"):
        assert "Content-Encoding" not in asked.get(address, headers=ZIPPED).headers, address


def test_versions_are_still_for_nobody(site):
    for address in ("/static/lab/package.json", "/static/lab/third-party-licenses.json"):
        assert fetch(site, address, ZIPPED)[0].status_code == 404


def test_a_cell_runs_and_a_second_full_has_nothing_to_do(site):
    assert Notebook(site.host).cell("6*7").startswith("42")
    nothing_to_change(site.fab("full", "--no-verify"))


def test_it_is_served_while_jupyter_is_stopped(site):
    site.host.exec("systemctl stop jupyterlab")
    try:
        assert fetch(site, one(site), ZIPPED)[0].status_code == 200
        assert client(site).get("/login").status_code == 502
    finally:
        site.host.exec("systemctl start jupyterlab")
        wait_up(site)


def test_a_link_leads_nowhere(site):
    planted = f"{CACHE}/static/lab/planted.0123456789abcdef.js"
    folder = f"{CACHE}/static/lab-planted"
    site.host.exec(
        f"su david -c 'ln -s /etc/nginx/nginx.conf {planted}.gz; ln -s /etc/nginx {folder}'\n"
        f"su david -c 'ln -s /etc/nginx/nginx.conf {planted}'"
    )
    try:
        answer, body = fetch(site, "/static/lab/planted.0123456789abcdef.js", ZIPPED)
        assert answer.status_code == 404 and b"worker_connections" not in body
        site.host.exec("runuser -u www-data -- test -r /etc/nginx/nginx.conf")
    finally:
        site.host.exec(f"rm {planted} {planted}.gz {folder}")


def test_a_large_body_of_a_stranger_does_not_get_past_it(site):
    lengthy = request(
        "/static/lab/none.0123456789abcdef.js",
        f"Host: {DOMAIN}",
        "Content-Length: 30000000",
        method="GET",
    )
    assert status(send(site, lengthy)) in ("401", "403")


def test_a_file_that_somebody_adds_is_served_at_once_and_compressed_by_the_next_full(site):
    address = "/static/lab/added.0123456789abcdef.js"
    site.host.exec(f"su david -c 'echo 1 >{STATIC}/added.0123456789abcdef.js'")
    try:
        assert fetch(site, address, ZIPPED)[1] == b"1\n"
        assert DID in well(site.fab("full", "--no-verify"))
        answer, body = fetch(site, address, ZIPPED)
        assert answer.headers["Content-Encoding"] == "gzip" and gzip.decompress(body) == b"1\n"
    finally:
        site.host.exec(f"rm {STATIC}/added.0123456789abcdef.js")


def test_nothing_is_stale_by_another_version_by_hand_an_upgrade_and_a_rollback(site):
    old = "'jupyterlab==4.5.*' 'notebook==7.5.*'"
    site.host.exec(f'su - david -c "{VENV}/bin/pip install -q {old}"; systemctl restart jupyterlab')
    wait_up(site)
    by_hand = assert_true(site)
    assert one(site) not in by_hand  # JupyterLab itself has answered
    assert DID in well(site.fab("full", "--no-verify"))
    assert assert_true(site) == set(files(site))
    main = one(site)
    well(site.fab("upgrade"))
    assert one(site) != main and assert_true(site) == set(files(site))
    assert fetch(site, main, ZIPPED)[0].status_code == 200  # for a page that is open
    nothing_to_change(site.fab("full", "--no-verify"))
    well(site.fab("rollback"))
    assert one(site) == main and assert_true(site) == set(files(site))
    nothing_to_change(site.fab("full", "--no-verify"))


def test_uninstall_takes_it_away(site):
    well(site.fab("uninstall", "--yes"))
    assert not site.infra.file("/var/cache/jupyterlab").exists
